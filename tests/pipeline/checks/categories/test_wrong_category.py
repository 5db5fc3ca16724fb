"""A caption of another thing is named; synonyms, kinds, compounds, plurals and people's many names are right."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption, build_checks, judge
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.checks.categories.wrong_category import WrongCategory
from capgen.pipeline.settings import CheckSettings

# category and its synonyms, joined by semicolons, and the caption
RIGHT = """
Tabasco_sauce | A slim bottle with a red cap and a diamond-shaped label, filled with fiery sauce.
pop_(soda) | A can of 7-Up beaded with moisture stands on the bar.
crossbar | White horizontal bar of the goal, dented at the middle.
goat | Two hooves planted on the fence, a white goat stretches its neck to strip leaves from a low branch.
racket | Shuttlecock flying, the badminton racquet snaps downward in a smash too fast to follow.
dog | A fawn boxer with a docked tail stands on the lawn.
horse | A black Friesian with a wavy mane trots through a sand arena.
videotape | A VHS cassette in shaky handwriting lies on the set.
fume_hood | A brushed-steel extractor with two round lamps hangs over the gas range.
underwear | Red boxers patterned with tiny white hearts flap on the clothesline.
button | A round pin-back badge saying "Vote!!" is fastened to the denim lapel.
fireplug;fire_hydrant;hydrant | A red fire hydrant with yellow caps on a sidewalk.
fireplug | A yellow hydrant in front of a brick wall.
fireplug | A short red fire hydrant beside a road.
person;baby;child;boy;girl;man;woman;human | A skier in a red jacket glides down a slope.
person | A bride in a white dress holds a bouquet.
person | A goalkeeper in a green jersey dives to the left.
person | A toddler in a striped shirt sits in a high chair.
person | A pedestrian with a blue umbrella crosses the street.
person | Two teenagers share a bag of chips on a bench.
person | A cyclist in a yellow helmet rides uphill.
person | A crowd of spectators cheers behind a fence.
person | Someone in a gray hoodie leans on a rail.
person | He wears a gray hoodie and leans on a rail.
person | A hand holding a green apple.
person | A doctor in a white coat writes on a clipboard.
dog | A golden retriever with a tennis ball in its mouth.
dog | A small white poodle on a leash.
dog | A brown puppy chews on a slipper.
cat | A fluffy orange kitten under a chair.
cat | A Siamese with blue eyes sits on a windowsill.
bird | A gray pigeon pecks at crumbs.
bird | A seagull with spread wings over the water.
bird | A mallard swims with three ducklings.
car_(automobile);car;auto;automobile;motorcar | A black sedan with tinted windows.
car_(automobile) | A white taxi with a yellow sign on its roof.
car_(automobile) | A silver SUV parked at a curb.
car_(automobile) | A vintage convertible with red leather seats.
truck | A red pickup with a dented door.
truck | A white van with a ladder on its roof.
bus_(vehicle);autobus;motorbus | A yellow school bus with its stop sign extended.
bus_(vehicle) | A red double-decker full of tourists.
airplane;aeroplane | A white jet with a red tail on the runway.
airplane | A small plane with a propeller flies over a field.
airplane | A blue and white airliner takes off.
boat;ship_(boat) | A small wooden canoe on a calm lake.
boat | A white yacht with three decks.
motorcycle | A blue motorbike with a chrome exhaust.
motorcycle | A red scooter beside a wall.
bicycle;bike_(bicycle) | A red bike with a wicker basket.
cellular_telephone;cellphone | A black smartphone with a cracked screen.
cellular_telephone | A pink phone in a clear case.
television_set;tv;tv_set | A flat screen TV on a wooden stand.
television_set | A wide black television mounted on a wall.
laptop_computer;laptop | A silver laptop with stickers on its lid.
computer_keyboard;keyboard_(computer) | A white keyboard with a worn space bar.
mouse_(computer_equipment);computer_mouse | A black wireless mouse on a blue pad.
sofa;couch;lounge | A gray couch with two yellow pillows.
chair | A red armchair beside a lamp.
chair | A wooden stool with three legs.
table | A round wooden desk with a drawer.
cup | A white mug with a blue rim.
glass_(drink_container);drinking_glass | A tall glass of iced tea with a straw.
wineglass | A wine glass half full of red wine.
plate | A white dish with a blue rim.
bowl | A blue bowl of noodles.
bottle | A green glass wine bottle with a cork.
banana | A bunch of ripe bananas on a counter.
knife | Two knives with black handles on a board.
loaf | Three loaves of bread on a shelf.
leaf | Green leaves with drops of water.
mouse | Two white mice in a cage.
goose | Three geese walk along a path.
sheep | A lamb stands beside its mother.
cow | A brown calf with a yellow ear tag.
cow | A black and white bull in a field.
horse | A white pony with a braided mane.
horse | A brown mare with a foal.
bear | A polar bear on a block of ice.
teddy_bear | A brown teddy with a red bow.
trousers;pants_(clothing) | Blue jeans with a hole at the knee.
jean;blue_jean;denim | A pair of faded denim pants.
shirt | A white blouse with a lace collar.
jersey;T-shirt;tee_shirt | A gray tee with a small pocket.
hat | A gray fedora with a black band.
baseball_cap | A blue cap with a white letter B.
shoe;sneaker_(type_of_shoe);tennis_shoe | A pair of white sneakers with green soles.
boot | A black rubber boot with a red sole.
sunglasses | A pair of dark shades with gold rims.
spectacles;specs;eyeglasses;glasses | A pair of glasses with thick black rims.
handbag;purse;pocketbook | A brown leather purse with a gold clasp.
backpack;knapsack;rucksack | A blue rucksack with black straps.
suitcase | A red trolley case with four wheels.
umbrella | A yellow parasol with white fringes.
necktie;tie_(necktie) | A blue tie with white dots.
street_sign | A green sign that says "Main St".
signboard | A shop sign with gold letters.
traffic_light | A stoplight showing red above a road.
stop_sign | A red octagonal sign with the word STOP.
clock | A round alarm clock with two bells.
wall_clock | A white clock with black hands above a door.
vase | A tall blue glass vase with tulips.
flowerpot | A terracotta pot with a cactus.
flower_arrangement;floral_arrangement | A bouquet of pink roses in a jar.
faucet;spigot;tap | A chrome tap above a white sink.
sink | A white basin with a chrome faucet.
toilet | A white toilet with its lid up.
refrigerator | A steel fridge with two doors.
stove;kitchen_stove | A white gas cooker with four burners.
oven | A black oven with a glass door.
microwave_oven | A white microwave on a counter.
doughnut;donut | A donut with pink icing.
sandwich | A toasted sub with ham and cheese.
hamburger;beefburger;burger | A cheeseburger with lettuce and fries.
pizza | A slice of pepperoni on a paper plate.
orange_(fruit) | Two halves of an orange beside a knife.
apple | A shiny green apple with a stem.
carrot | Orange carrots with green tops.
baseball_bat | A wooden bat leans on a bench.
baseball_glove;baseball_mitt | A worn leather mitt on the grass.
tennis_racket | A black racket with a white grip.
surfboard | A white board with a blue stripe stands in the sand.
skateboard | A skateboard with red wheels.
snowboard | A black board with a skull under a rider's boots.
ski | Two red skis stuck in the snow.
kite | A rainbow kite with a long tail.
frisbee | A blue disc flies over the grass.
sports_ball;ball | A soccer ball on a green field.
remote_control | A black remote with a red button.
book | A novel with a blue cover.
magazine | A fashion magazine on a table.
teapot | A silver tea pot with a black handle.
tea_kettle | A red kettle on a stove.
pan_(for_cooking);cooking_pan | A black skillet with two fried eggs.
pot | A large steel stockpot on a burner.
blanket | A gray throw folded on a couch.
pillow | A blue cushion with white buttons.
curtain;drapery | White drapes tied back with a cord.
rug;carpet | A Persian rug with a red border.
lamp | A brass floor lamp with a white shade.
lampshade | A beige shade with a fringe.
chandelier | A crystal chandelier with candles.
monitor_(computer_equipment);computer_monitor | A thin black computer screen on a desk.
wheel | A black tire with a chrome rim.
helmet | A red bike helmet with white stripes.
glove | A pair of gray wool mittens.
sock | Striped socks with red toes.
ring | A gold band with a diamond.
earring | Silver hoops in her ears.
necklace | A string of white pearls around her neck.
watch | A wristwatch with a brown strap.
statue_(sculpture) | A bronze sculpture of a general on a horse.
painting | A framed portrait of an old man.
mirror | An oval looking glass in a gold frame.
box | A cardboard carton sealed with tape.
basket | A wicker hamper full of towels.
trash_can;garbage_can;wastebin | A green bin with a lid.
crab_(animal) | A crab with red claws.
squirrel | A gray squirrel eats a nut.
monkey | A chimpanzee hangs from a rope.
frog | A green toad on a leaf.
shark | A great white swims near a boat.
penguin | A group of penguins on the ice.
deer | A stag with large antlers in a forest.
duck | A drake with a green head.
chicken_(animal) | A red hen with chicks.
pony | A brown pony in a stable.
ladder | A wooden ladder against a wall.
bench | A green park bench under a tree.
tree | A tall oak with yellow leaves.
building | A brick house with white windows.
tower | A stone church steeple with a clock.
scissors | A pair of scissors with orange handles.
toothbrush | A green toothbrush in a cup.
hair_dryer | A pink hairdryer on a hook.
water_bottle | A blue bottle with a sports cap.
can | A tin of tomatoes with a red label.
broccoli | Florets of broccoli on a plate.
tomato | Sliced cherry tomatoes in a bowl.
cake | A three tier wedding cake with roses.
candle | A lit white taper in a brass holder.
onion | A red onion sliced into rings.
ball | A tennis ball compresses against the strings of a racket.
coat | Belted beige trench with the collar turned up.
polar_bear | A thick-furred white predator pads over the ice floe.
ice_cream | Two scoops of pistachio in a waffle cone.
puppy | Eight-week-old beagle asleep in someone's lap.
umbrella | Clear plastic dome beaded with rain.
kite | A yellow kite with a long tail soars over the beach.
pitcher_(vessel_for_liquid) | A pitcher of lemonade on her tray.
beer_can | The beer can has a dent in its side.
dog | A Dalmatian sits in the passenger seat.
flagpole | A white pole with a gold ball at its top.
canteen | A green army water bottle in a cloth cover.
ashtray | A glass dish full of cigarette butts.
clarinet | A single-reed instrument with a straight tube.
""".strip().splitlines()

WRONG = """
dog | A yellow taxi waits at a traffic light.
fireplug;fire_hydrant;hydrant | A red mailbox stands on a sidewalk.
banana | A brown teddy bear sits on a bed.
giraffe | A zebra drinks from a river.
elephant | A group of tall trees with bare branches.
umbrella | A woman in a red coat walks along a street.
handbag | A woman with long black hair smiles.
laptop_computer;laptop;notebook_computer | A wooden desk with a lamp and a cup.
surfboard | A man in a wetsuit rides a wave.
skateboard | A boy in a blue cap jumps down the stairs.
necktie;tie | A man in a dark suit stands at a podium.
person;baby;child;boy;girl;man;woman;human | A brown wooden bench in a park.
car_(automobile);car;auto;automobile | A white bicycle leans on a wall.
cat | A small brown dog lies on a sofa.
cow | A white sheep grazes on a hill.
traffic_light | A tall lamp post with a hanging basket of flowers.
stop_sign | A green bus passes a church.
clock | A tall brick tower with a pointed roof.
vase | A bunch of yellow tulips on a table.
fork | A plate of pasta with tomato sauce.
spoon | A bowl of tomato soup on a tray.
bottle | A bowl of fruit on a white table.
pizza | A glass of beer next to a candle.
toilet | A white bathtub below a window.
refrigerator | A wooden cabinet with glass doors.
airplane;aeroplane | A large white cruise ship at a dock.
boat;ship_(boat) | A yellow truck on a gravel road.
kite | A child in a red shirt runs on a beach.
pigeon | A gray squirrel eats a nut.
lamp | A brown leather sofa with two cushions.
pillow | A pair of black boots by a door.
hat | A brown horse jumps over a fence.
shoe | A green apple on a white plate.
book | A silver kettle on a stove.
cellular_telephone;cellphone;mobile_phone | A red apple on a desk.
orange_(fruit) | A stack of old newspapers on a floor.
guitar | A man with a beard sits on a stage.
ball | A gray cat plays on a rug.
belt | A man in blue jeans leans on a car.
bat_(animal) | A wooden baseball bat with a taped handle.
mouse_(computer_equipment) | A tiny gray mouse with round ears nibbles on cheese.
kite | A red kite with a forked tail soaring on outstretched wings.
fan | An excited fan with a painted face, screaming in the stands.
jersey | A light brown Jersey cow chews cud in the meadow.
tank_(storage_vessel) | A camouflaged army tank with a long gun barrel.
wineglass | A woman holding a wineglass tilts her head back.
toilet_tissue | A white toilet with its seat raised.
dog_collar | A fluffy white Samoyed lies on the grass.
faucet | A shallow sink of white porcelain.
knife | A stainless-steel fork with four tines.
remote_control | A black smartphone with a cracked screen.
goldfish | A black-and-white cat crouches on the counter.
streetlight | Two lanes of wet asphalt curve between snowbanks.
broccoli | A heap of steamed cauliflower florets.
coffee_maker | A wooden knife block with six black handles.
avocado | Two fried eggs on a white plate.
gull | A gray pigeon pecks crumbs off the pavement.
key | The brown couch has three seat cushions.
sculpture | A fishing boat with nets heaped at the stern.
soccer_ball | An orange basketball with black seams.
bicycle | A red motorcycle with chrome pipes.
plate | A deep bowl of soup.
hamburger | A hot dog with mustard.
microwave_oven | A steel toaster with two slots.
""".strip().splitlines()


def said(line):
    names, caption = line.split(" | ")
    category, *synonyms = names.split(";")
    return CheckedCaption(caption, category=category, synonyms=(category, *synonyms))


@pytest.mark.parametrize("line", RIGHT)
def test_the_category_in_other_words_is_right(line):
    assert WrongCategory()(said(line)) is None


@pytest.mark.parametrize("line", WRONG)
def test_another_thing_is_named(line):
    message = WrongCategory()(said(line))
    assert message is not None
    assert message.startswith("speaks of ")


@pytest.mark.parametrize("category", [None, "", "zorgblatt", "_", "wall-other-merged"])
def test_a_category_that_no_table_knows_is_not_judged(category):
    assert WrongCategory()(CheckedCaption("A zorg on a blatt.", category=category)) is None


def test_a_subject_that_the_table_does_not_know_is_not_judged():
    assert WrongCategory()(CheckedCaption("A zorgblatt with two holes.", category="dog")) is None
    assert WrongCategory()(CheckedCaption("It has a smooth surface and two holes.", category="dog")) is None


def test_the_check_advises_and_does_not_drop_by_default():
    settings = CheckSettings()
    assert settings.advisory == ("wrong_category",)
    other = CheckedCaption("A yellow taxi waits at a kerb.", category="dog")
    assert judge(build_checks(settings.names, {}), other) == ()
    assert [code for code, _ in judge(build_checks(settings.all_names, {}), other)] == ["wrong_category"]


def test_a_check_that_drops_is_not_asked_twice_for_advice():
    settings = CheckSettings(names=("empty", "wrong_category"))
    assert settings.all_names == ("empty", "wrong_category")


def test_the_table_knows_every_kind_of_a_dog_and_irregular_plurals():
    table = nouns()
    (dog,) = {table.categories["dog"]}
    for word in ("poodle", "beagle", "puppy"):
        assert any(dog in table.kinds_of(sense) for sense in table.senses[word])
    assert [
        table.singular(word) for word in ("geese", "knives", "loaves", "boxes", "glass", "dogs", "women", "zq")
    ] == [
        "goose",
        "knife",
        "loaf",
        "box",
        "glass",
        "dog",
        "woman",
        "zq",
    ]
