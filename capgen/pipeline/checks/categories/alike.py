"""Things that people, and models, call by each other's names without being wrong."""

from __future__ import annotations

_GROUPS = """
rabbit hare bunny
alligator crocodile caiman
pitcher jug ewer carafe
coffeepot pot
suitcase trunk
jean bottoms denims
guitar bass ukulele
boat trawler gondola barge ferry
skateboard cruiser longboard
bed double bunk cot crib mattress
armchair wingback recliner rocker
toilet loo lavatory commode urinal latrine
orange clementine satsuma
sunglasses aviator aviators wayfarer wayfarers
doughnut donut ring cruller fritter
sushi nigiri maki roll sashimi salmon tuna
pumpkin lantern gourd squash
truck wheeler rig semi dumper tanker
pony shetland
sign notice chalkboard octagon
signboard notice chalkboard
microphone mic
book paperback hardcover hardback novel textbook volume notebook
building tower skyscraper house
screen board billboard
dessert pastry croissant pain pie tart
car suv van minivan taxi cab jeep sedan limousine pickup truck hatchback wagon convertible
truck pickup lorry van trailer tractor mixer
motorcycle motorbike scooter moped bike dirtbike
bicycle bike cycle cruiser racer
bus minibus coach trolley
bus truck lorry van
rickshaw bicycle bike tricycle cart carriage
cart trolley handcart wagon stroller
taco burrito wrap tortilla
herb leaf plant parsley basil mint
basket box bin
marker pen pencil crayon highlighter
horn megaphone loudspeaker speaker
stick ruler rod
toaster maker oven
pot bowl bucket
lights light pole lamppost post
tag label sign sticker plaque signboard card
scoreboard signboard sign board
dessert cake pie pudding custard
globe sphere ball
train locomotive railcar tram trolley subway
boat ship canoe kayak yacht dinghy raft ferry vessel sailboat
airplane plane aeroplane jet airliner aircraft
chair armchair stool seat bench recliner
sofa couch sectional loveseat armchair futon seat settee chaise daybed lounge
table desk counter countertop tabletop stand nightstand
cabinet cupboard drawer dresser wardrobe closet shelf bookcase sideboard
cup mug glass tumbler teacup goblet
glass wineglass goblet flute tumbler
plate dish platter saucer tray
bowl dish basin
bottle flask jar jug
pan skillet wok pot saucepan frypan
pot saucepan kettle planter flowerpot urn vase
bag handbag purse backpack satchel tote pouch suitcase luggage briefcase knapsack rucksack
box carton crate package container case chest bin
basket hamper bin crate
jacket coat blazer parka sweater hoodie cardigan vest shirt top sweatshirt pullover
shirt blouse top tee jersey sweater sweatshirt t
dress gown skirt robe
pants jeans trousers leggings slacks shorts denim
hat cap beanie helmet fedora bonnet headgear
shoe sneaker boot sandal slipper trainer footwear cleat heel
sock stocking
glove mitten mitt
tie necktie
glasses eyeglasses spectacles sunglasses shades goggles
sign signboard billboard poster banner placard signage
picture painting photo photograph poster frame portrait print artwork drawing
lamp light lantern bulb lampshade streetlight lamppost chandelier sconce
tv television screen monitor display
monitor screen display computer
phone cellphone smartphone telephone mobile iphone
laptop computer notebook
camera camcorder
curtain drape blind shade drapery
blanket quilt towel sheet throw comforter bedspread duvet
rug mat carpet
pillow cushion
stove oven cooker range burner cooktop
refrigerator fridge freezer
faucet tap spigot
sink basin washbasin
donut doughnut pastry bun
bread bun roll sandwich toast loaf baguette sub
sandwich burger hamburger cheeseburger sub hotdog
pizza pie pepperoni margherita
cake cupcake pastry pie tart muffin
cow bull calf ox cattle heifer steer
sheep lamb ram ewe
horse pony mare foal colt stallion
duck duckling mallard drake goose
chicken hen rooster chick bantam cockerel pullet
chair rocker
remote handset clicker
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
faucet tap
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
handbag purse clutch
wallet purse billfold
streetcar tram
camper caravan
trailer caravan
windshield windscreen
hood bonnet
trunk boot
plate numberplate plates
extinguisher canister
sidewalk pavement
fireplug hydrant
television telly
register till
tachometer counter gauge dial
speedometer gauge dial
sign post fingerpost signpost plate
headstall bridle halter
bridle halter
hotdog frankfurter wiener sausage
necklace pearls beads pearl
pig hog sow boar piglet swine
maker machine pot brewer
soup stew chowder broth
stew casserole
postbox mailbox box
bird pigeon seagull gull crow parrot
ball basketball football baseball soccer
racket racquet paddle
bat stick
board surfboard skateboard snowboard plank
ski pole
pole post pillar column rod
flower bouquet blossom rose tulip bloom flowers arrangement
plant flower bush shrub tree
leaf foliage
statue sculpture figurine bust figure
doll toy figurine
clock watch timepiece
knife blade cutlery
bin can trashcan dustbin wastebasket
book notebook magazine novel
paper napkin tissue towel
umbrella parasol
wheel tire tyre rim
headlight light lamp
mirror glass
bracelet band bangle wristband
ring band
necklace chain pendant
watch wristwatch
earring earrings hoop stud
baseball ball
remote controller
computer pc laptop
seal walrus
deer stag doe elk moose fawn
bear cub panda
cat kitten tabby calico tortoiseshell siamese
dog puppy pup
monkey ape chimpanzee gorilla
fish goldfish
apple fruit
orange citrus tangerine mandarin
""".strip().splitlines()

ALIKE: dict[str, frozenset[str]] = {}
"""By each word, the words that may stand for it."""
for _group in _GROUPS:
    for _word in _group.split():
        ALIKE[_word] = ALIKE.get(_word, frozenset()) | frozenset(_group.split())
