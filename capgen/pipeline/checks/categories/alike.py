"""Things that people, and models, call by each other's names without being wrong."""

from __future__ import annotations

# In a row with a colon, what stands before it may be called by the words behind it, and not these by each other's;
# such a row is for these names alone, one without for all names that end in its words.
_GROUPS = """
rabbit hare bunny
alligator crocodile caiman
pitcher jug ewer carafe
coffeepot: pot
suitcase trunk carryon
jean bottoms denims denim
guitar bass ukulele
boat trawler gondola barge ferry
skateboard cruiser longboard deck
bed double bunk cot crib
bed mattress
armchair wingback recliner rocker
toilet loo lavatory commode urinal latrine
orange clementine satsuma
sunglasses aviator aviators wayfarer wayfarers
doughnut donut ring cruller fritter
sushi: nigiri maki roll sashimi salmon tuna
pumpkin lantern gourd squash
truck wheeler rig semi dumper tanker
pony shetland
sign notice chalkboard octagon
signboard notice chalkboard
microphone mic
book paperback hardcover hardback novel textbook volume
booklet manual leaflet
building tower skyscraper house
screen board billboard
dessert: pastry croissant pain pie tart cake pudding custard
car suv van minivan taxi cab jeep sedan limousine pickup hatchback wagon convertible coupe
truck pickup lorry van
truck: trailer tractor mixer
motorcycle motorbike scooter moped bike dirtbike
bicycle bike cycle cruiser racer
bus minibus coach
rickshaw: tricycle cart carriage bicycle bike
tricycle: trike bike
cart trolley handcart wagon stroller
taco burrito wrap tortilla
herb: leaf plant parsley basil mint
basket box bin
marker pen highlighter
crayon pencil
horn megaphone loudspeaker
speaker loudspeaker tower
stick ruler rod
toaster: maker oven
pot: bowl bucket
bucket: tub
lights light pole lamppost post
streetlight street_light street_lights: pole post lamppost lamp light
street_sign: plate arrow signpost plaque
magazine issue edition
newspaper issue edition
poker_chip: token
button: badge
badge: button
television_set: screen
coffee_maker: machine pot brewer
bow_tie: bow
baseball_cap: hat
garbage_truck: lorry
shopping_cart: trolley
motor_scooter: moped
ladle: spoon
mallet: hammer
cloak: cape
lab_coat: jacket coat
duffel_bag: holdall bag
clippers: secateurs
coaster: mat
crock_pot: cooker
deadbolt: lock bolt
drumstick: leg
generator: engine
hairbrush: paddle brush
harmonium: keyboard
inhaler: puffer
ipod: player
ottoman: footrest stool pouf
passport: booklet
pinwheel: windmill
windmill: sail sails
pliers: pincers pincer
saxophone: horn
shaker: mixer
suit: blazer jacket
tinsel: garland
visor: sunshade
whistle: pipe
seashell: conch shell
cassette: tape
barrette: clip
bassinet: basket
milk_can: churn
neckerchief: bandana scarf
boutonniere: rose flower
tote_bag: shopper
comic_book: magazine comic
dagger: knife
spotlight: lamp light
hot_dog hotdog: sausage hotdog
pennant: flag
prune: plum
quesadilla: tortilla
roller_skate ice_skate: shoe boot skate
cornmeal grits: corn
omelet: eggs egg
wreath bouquet: flowers flower leaves
croissant: pastry
pastry: croissant
notepad: pad
signboard sign: tag label plaque sticker card
ice_cream icecream: scoop scoops gelato sorbet cone
golfcart: buggy cart
tag label sticker plaque
tag: card sign
scoreboard signboard sign board
globe sphere ball
train: locomotive railcar tram trolley subway
railcar passenger_car bullet_train: train
train: carriage car wagon coach
railcar: carriage car wagon coach
boat ship: boat ship canoe kayak yacht dinghy raft ferry vessel sailboat sailing_vessel tender
yacht sailboat: boat ship vessel yacht sailboat
soccer_ball: football ball
dinghy: tender raft boat
canoe kayak
airplane plane aeroplane jet airliner aircraft
chair: armchair stool seat recliner rocker
armchair recliner stool bench: seat chair
stool: perch
sofa couch sectional loveseat futon settee chaise daybed lounge chesterfield
table desk counter countertop tabletop stand nightstand trestle
cabinet cupboard dresser wardrobe closet sideboard
cabinet dresser file_cabinet: drawer drawers
shelf bookcase bookshelf
cup: mug glass tumbler teacup goblet
mug: cup
glass wineglass goblet flute tumbler
plate dish: dish plate platter saucer tray
platter tray saucer: dish plate
dish: skillet pan bowl
bowl: dish basin
bottle flask jar jug
pan: skillet wok saucepan frypan
pot: saucepan kettle planter flowerpot urn
vase: urn jar
handbag purse satchel tote pouch clutch bag
bag: handbag purse backpack satchel tote pouch luggage briefcase knapsack rucksack sack
suitcase luggage briefcase case bag
box carton crate package case chest
box: bin container
basket hamper bin crate
jacket coat blazer parka sweater hoodie cardigan vest shirt sweatshirt pullover
jacket shirt: top
jacket: puffer bomber windbreaker
shirt blouse top tee jersey sweater sweatshirt t
dress gown skirt robe
pants jeans trousers leggings slacks shorts denim
hat cap beanie fedora bonnet headgear
cap: newsboy
shoe: sneaker boot sandal slipper trainer footwear cleat heel loafer
boot sneaker: shoe footwear
sandal slipper: sandal slipper shoe footwear
sneaker trainer
skate boot
sock stocking
glove mitten mitt
tie necktie
bow_tie: bow
bow ribbon
glasses eyeglasses spectacles sunglasses shades goggles
spectacles glasses sunglasses goggles: frame frames
sign signboard: billboard poster banner placard signage signboard sign
banner: sign poster
poster billboard: sign placard
picture painting photo photograph poster frame portrait print artwork drawing
lamp: light lantern bulb lampshade streetlight lamppost chandelier sconce
lampshade: shade
lantern: lamp light
lightbulb: bulb lamp light
tv television screen monitor display
monitor screen display computer
phone cellphone telephone mobile iphone
telephone: receiver rotary
laptop: computer notebook
camera camcorder rangefinder
curtain drape blind shade drapery
blanket quilt towel sheet throw comforter bedspread duvet
rug mat carpet
trampoline mat
pillow cushion
stove oven cooker range burner cooktop
refrigerator fridge freezer icebox
faucet tap spigot
sink basin washbasin
doughnut: pastry
bread bun roll sandwich toast loaf baguette sub
sandwich: burger hamburger cheeseburger sub hotdog
hamburger burger cheeseburger
pizza: pie pepperoni margherita
cake cupcake pastry pie tart muffin
cow bull calf ox cattle heifer steer bovine
sheep lamb ram ewe
horse pony mare foal colt stallion
duck duckling mallard drake
chicken hen rooster chick bantam cockerel pullet
chair rocker
remote_control remote: handset clicker remote controller
pepper capsicum
minivan carrier
stroller pushchair buggy pram
elevator lift
car lift
pacifier dummy soother
diaper nappy
flashlight torch
thermos flask
crib cot
stove hob
eraser rubber
cookie biscuit
fry chip
candy sweet lolly
eggplant aubergine
zucchini courgette
beet beetroot
aid plaster
bathrobe gown robe
jersey jumper pullover
sweater jumper
vest waistcoat
suspender brace
pantyhose tights
overall dungarees
wrench spanner
thumbtack pin
wallet purse billfold
streetcar tram
camper caravan
trailer caravan
windshield windscreen
hood bonnet
trunk boot
numberplate plate plates
extinguisher canister
sidewalk pavement
fireplug hydrant
television telly
register till
tachometer counter gauge dial
speedometer gauge dial
sign fingerpost signpost plate arrow
headstall bridle halter strap straps
bridle halter
hotdog frankfurter wiener sausage
necklace pearls beads pearl
pig hog sow boar piglet swine
maker machine pot brewer
soup stew chowder broth
stew casserole
postbox mailbox box
ball: basketball football baseball
racket racquet paddle
board: surfboard skateboard snowboard plank
ski pole
pole post pillar column rod
flower: bouquet blossom rose tulip bloom flowers arrangement
plant: flower bush shrub tree
leaf foliage
lettuce: leaf leaves romaine
corn: cob ear kernel kernels
statue sculpture figurine bust figure
doll toy figurine
clock watch timepiece
knife blade
fan: blade blades
blender: pitcher jug
spatula turner
clippers loppers lopper
headband sweatband
plume feather
dish_antenna satellite_dish: receiver
projectile shell
drill hammer
tapestry hanging
wig curls curl hair
bin can trashcan dustbin wastebasket
notebook magazine
paper napkin tissue towel
umbrella parasol
wheel tire tyre rim
headlight taillight: light lamp lens
mirror: glass
bracelet band bangle wristband
ring band
necklace chain pendant
watch wristwatch
earring earrings hoop stud
remote controller
computer: pc laptop
deer stag doe elk moose fawn
bear: cub panda
cat kitten tabby calico tortoiseshell siamese
dog puppy pup
dog: boxer afghan
horse: bay sorrel
sheep: ram
fish: bass pike ray
monkey: ape chimpanzee gorilla
orange citrus tangerine mandarin
gull seagull
""".strip().splitlines()

_FEW = 4  # names of one thing; of more kinds of things, compounds are other kinds yet: a dessert plate is no platter

ALIKE: dict[str, frozenset[str]] = {}
"""By the last word of a name, the words that may stand for it."""
CALLED: dict[str, frozenset[str]] = {}
"""The same by the whole name, with underscores in a compound."""
for _group in _GROUPS:
    _called, _colon, _names = _group.partition(":")
    _rows = CALLED if _colon or len(_called.split()) > _FEW else ALIKE
    for _word in _called.split():
        _rows[_word] = _rows.get(_word, frozenset()) | frozenset((_names or _called).split()) | {_word}
