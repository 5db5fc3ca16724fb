"""Captions as models write them, judged by all default checks together: what must go, and what must stay."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption, build_checks, judge
from capgen.pipeline.settings import CheckSettings

CHECKS = build_checks(CheckSettings().names, {})

FAULTY = """
The round clock selected by the user's prompt has Roman numerals.
A chef's knife with a colored mask laid over its blade slices through a tomato.
Black umbrella at which the red arrow points, tilting in the wind.
Throughout the clip's eight frames, the freight train moves from left to right.
A green-tinted overlay covers the officer's black vest.
A barn owl with a white face, indicated with a red dot on its chest, perches on a post.
A mostly dark area with nothing recognisable as a wristlet.
Behind the tube of cream, the colour and shape of the file remain unknown.
Actually, looking again, those aren't stripes but folds; the bag is navy.
The object in the green bounding box is a small white dog.
A small white dog enclosed by a green bounding box stands on grass.
A dog, which is highlighted in green, runs on grass.
A dog highlighted with a green border.
A dog with a green box around its body.
The dog inside the thin green box is sleeping.
The dog within the box is sleeping on a mat.
The dog in the red box is sleeping on a mat.
A dog, shown in the thin box, sleeps on a mat.
A dog sleeps on a mat, framed by a thin red box.
The woman inside the red rectangle holds a bag.
A woman with a red rectangle around her holds a bag.
The region outlined in blue shows part of a roof.
The outlined region shows part of a roof.
The area inside the box contains a roof.
The highlighted area is a roof with tiles.
A roof with tiles, indicated by the green outline.
A roof with tiles as indicated by the bounding boxes.
A roof with a green contour around it.
A cat with a red contour line.
A masked object on a table.
The mask shows the shape of a cat.
The tinted region is a cat on a sofa.
A cat on a sofa, tinted in green.
A close-up shot of a cat's face.
A closer view of a cat's face.
The close-up shows a cat's face.
In the close-up, a cat looks up.
The cropped region shows a cat.
The crop shows a cat with green eyes.
The second picture shows a cat with green eyes.
The first image shows a room; the second a cat.
A cat, as seen in the second picture.
A cat visible in all four frames.
A cat that is visible in the first two frames.
The cat is in frame 1 and frame 2.
A cat at the top left of the image.
A cat in the center of the picture.
A cat in the foreground of the photo.
A cat on the right side of the frame.
The image features a cat.
The image is of a cat on a bed.
The image captures a cat on a bed.
Image of a cat on a bed.
Photo of a cat on a bed.
Picture of a cat on a bed.
A photograph of a cat on a bed.
A photo showing a cat on a bed.
A grainy image of a cat on a bed.
A wide shot of a cat on a bed.
The video shows a cat that jumps.
The video depicts a cat that jumps.
The clip shows a cat that jumps.
Throughout the video, a cat jumps.
In this video clip, a cat jumps.
In the frames, a cat jumps from a bed.
Across the four frames a cat jumps from a bed.
The object described is a cat.
The object is located on a bed.
The object of interest is a cat.
The object in question is a cat.
The subject is a cat on a bed.
The subject of the image is a cat.
Object 1 is a cat on a bed.
The main object in the image is a cat.
The described item is a cat.
The category is cat, lying on a bed.
Category: cat. A cat on a bed.
One sentence: A cat on a bed.
Caption - A cat on a bed.
"Caption": "A cat on a bed."
Here is the caption: A cat on a bed.
Here's the description: A cat on a bed.
Sure! Here's a caption: A cat on a bed.
Certainly! A cat on a bed.
The caption for the object is a cat on a bed.
I would describe this as a cat on a bed.
I'd say it is a cat on a bed.
It looks like the picture shows a cat.
As shown in the image, a cat lies on a bed.
As seen in the photo, a cat lies on a bed.
From the image, a cat lies on a bed.
There is a cat in the image.
There is a cat in this picture.
We see a cat on a bed.
Note: the cat is on a bed.
(Note: the cat is partially hidden.)
The user asked for a cat on a bed.
I'm sorry, I can't assist with that request.
I\u2019m unable to identify the object in the box.
I cannot see any object.
Sorry, I can't identify this.
It's hard to tell what the object is.
The object is unclear.
The object is not clearly visible.
It is unclear what the object is.
The object cannot be seen.
Not enough detail to describe the object.
No object found.
No caption available.
I do not have enough information to describe the object.
As an AI assistant, I can't view images.
Unfortunately, I cannot view the image.
Unfortunately, the image does not show the object.
This image does not contain a cat.
The image does not show any cat.
The cat is at coordinates (120, 45).
A cat at position left 0.2, top 0.3, right 0.5, bottom 0.9.
A cat in the box [0.1, 0.2, 0.5, 0.6].
A cat with bounding box coordinates 0.1 0.2 0.5 0.6.
A cat whose area is 42% of the image.
A cat on a bed, marked by a rectangle.
A cat on a bed that has been marked in green.
A cat on a bed, circled in yellow.
A cat on a bed outlined with a magenta line.
A cat with a cyan outline on a bed.
A cat surrounded by a yellow outline.
A blue box surrounds a cat on a bed.
A blue rectangle encloses a cat on a bed.
A blue box is drawn around a cat.
A red line outlines a cat on a bed.
A red border surrounds the cat.
A cat in a magenta box.
A person in the magenta box walks.
The person marked in red walks.
The person indicated in red walks.
The boxed person walks.
The selected person walks.
The target person walks.
The person in focus walks in the highlighted frame.
The spotlighted person walks.
A person with the background dimmed.
A person against a dimmed, blurred background.
A car with a red overlay.
A car in the inset.
A zoomed-in car with red doors.
A car partially cut off by the edge of the image.
A car cut off by the frame.
A car, cropped at the right edge.
A car in the left image and a bus in the right image.
""".strip().splitlines()

HONEST = """
A small oil painting of a haystack, its edges highlighted with dabs of pink, hangs in a heavy frame.
A long red Persian runner with a blue rectangular border and fringed ends covers the hallway floor.
A red awning lettered 中華料理 in gold over the restaurant's narrow doorway.
A bulky television on a trolley, its screen showing a grainy image of a football match.
A young man in a white shirt and black shorts serves a tennis ball on a clay court.
A woman with a ponytail holds a tennis racket above her head.
The brown horse on the left trots along the fence.
A large brown teddy bear sits on a wooden chair facing the camera.
A yellow school bus with its stop sign extended.
A traffic light showing red, mounted on a pole.
A stop sign partially covered by leaves.
A white and orange cat sleeping in an open suitcase.
The bottom drawer of a wooden dresser is slightly open.
The top of a red fire hydrant covered with snow.
A slice of pizza with pepperoni on a paper plate.
A pizza box on top of a stove.
A black television on a wooden stand, turned off.
A flat screen TV showing a soccer game.
A laptop with its screen displaying a colorful desktop.
A pair of skis leaning against the wall in the background.
A snowboarder in mid-air against a clear blue sky.
A surfer in a black wetsuit riding the crest of a wave.
A kite shaped like a fish flying high above the beach.
A clock on a tower showing half past ten.
A wall clock with roman numerals and a gold rim.
A blue bicycle with a wicker basket on the front.
A motorcycle parked next to a red car, its front wheel turned to the left.
A jetliner with a red tail taking off from the runway.
A stainless steel refrigerator with magnets and photos on the door.
A refrigerator covered with pictures and notes.
A bathroom mirror reflecting the image of a man taking a photo.
A man taking a picture of himself in the mirror.
A woman posing for a picture in front of a fountain.
A person seen from behind, wearing a green backpack.
A person whose face is hidden by a helmet.
A child partially hidden behind a tree in the background.
A wine glass half filled with red wine in the foreground.
A blurred person walking in the background.
A red and white striped umbrella shading a table.
A street sign on a pole that reads "Main St".
A sign with the number 42 in white on blue.
A sheep with a blue mark on its back.
A sheep marked with blue paint grazing in a field.
A cow with a yellow tag in its left ear.
A zebra standing in the middle of a herd.
A giraffe bending its neck to reach the leaves of a tree.
An elephant spraying water with its trunk at the edge of a pond.
A wooden bench with a plaque in memory of someone.
A vase of flowers in the center of the table.
A book with a picture of a mountain on its cover.
A magazine lying on the floor, its cover showing a smiling woman.
A poster of a band on the bedroom wall.
A framed photograph of a couple on a nightstand.
A painting in a golden frame hanging above the fireplace.
A remote control lying on the arm of a sofa.
A computer mouse next to a keyboard on a cluttered desk.
A cell phone displaying a photo of a baby.
A person holding up a phone to film the concert.
A camera hanging around a man's neck.
A skateboard with red wheels lying upside down.
A boy performing a trick on a skateboard above a ramp.
A baseball player wearing a red jersey with the number 7, swinging a bat.
A catcher crouching behind home plate with a mask and mitt.
An umpire in a black mask standing behind the catcher.
A batter in the box waiting for the pitch.
A goalkeeper in a green jersey diving to the left.
A referee in a striped shirt raising his hand.
A hot dog with mustard in a paper tray.
A bowl of broccoli and carrots next to a plate of rice.
A birthday cake with lit candles and the words Happy Birthday written in blue icing.
A donut with pink frosting and sprinkles in a white box.
A carton of eggs on the counter beside a mixing bowl.
A plastic container with a green lid filled with salad.
A knife lying across the edge of a cutting board.
A toilet with its lid up in a narrow room.
A sink with two faucets below a large mirror.
A shower curtain with a floral pattern drawn to one side.
A curtain drawn around the bed of a hospital room.
A scarf wrapped around the neck of a snowman.
A necklace with a heart-shaped pendant around a woman's neck.
A white line painted on the road.
A orange traffic cone in the middle of the street.
A road marked with a yellow double line.
A handicap parking space marked in blue.
A circle of chairs around a round table.
A wreath hanging on a red door with a gold frame.
The frame of an old greenhouse with missing panes.
Eyeglasses with thick black frames on a folded newspaper.
A windowsill with a row of potted plants.
A potted plant in a square white pot.
A rectangular rug with a dark border on the floor.
A square table with a checkered tablecloth.
A round sign with a red circle and a slash.
A no-smoking sign with a red circle around a cigarette.
A speed limit sign with a red circle around the number 30.
A license plate with black letters on a yellow background.
A tattoo of a rose outlined in black on his arm.
A wall mural of a dancing woman outlined in bright red.
A neon sign outlined in pink glowing above a bar.
A chalk outline of a hopscotch court on the pavement.
A shadow of a man on the wall.
The silhouette of a tree against the sunset.
A crop of bananas hanging in a store.
A farmer walking through rows of crops.
A horse with a cropped mane and a white blaze.
A dog with cropped ears on a leash.
A man with close-cropped gray hair in a suit.
A woman wearing a cropped white sweater and high-waisted jeans.
A wide shot glass on a bar counter.
A basketball player taking a shot over a defender.
A golfer watching his shot land on the green.
A vaccine shot being prepared by a nurse.
A nurse in a surgical mask and blue gloves.
A dog wearing a red bandana sits in the passenger seat, looking out of the window.
A seagull flying over the water with its wings outstretched.
A pelican standing on a post at the end of a pier.
A group of pigeons pecking at crumbs on the sidewalk.
A parked truck with a logo on its side.
A delivery truck loaded with boxes.
A forklift lifting a stack of wooden boxes.
A mailman opening a blue mailbox.
A newspaper vending box on the sidewalk.
A jewelry box with a small key in its lock.
A litter box in the corner of a laundry room.
A man playing a boom box on his shoulder.
A box spring leaning against the wall.
A juice box with a bent straw.
A tackle box full of fishing lures.
A sandbox with a red plastic shovel.
A jack-in-the-box with a painted clown head.
A window display featuring mannequins in evening gowns.
A map showing the route of the marathon.
A banner with the caption "Welcome Home".
A video screen above the stage showing the singer's face.
A scoreboard displaying the score of the game.
A toy robot with a screen in its chest.
A scene painted on the side of a van.
A ferry crossing the harbor, seen from above.
A gray object resembling a stone lies in the grass.
A metal object hangs from the ceiling.
A man carrying an object wrapped in brown paper.
A large inflatable object in the shape of a duck floats on the river.
A yellow highlighter lying on an open notebook.
A notebook page with highlighted sentences.
A marker board covered in equations.
A trail marker nailed to a tree.
A buoy marking the channel entrance.
A man marking a line on a plank with a pencil.
A line of people waiting in front of a shop.
A close game of chess between two old men.
A door left ajar at the end of a hallway.
A zoom lens mounted on a black camera.
The second floor of a building with flower boxes under its windows.
The first car in a long line of traffic.
The last slice of cake on a serving plate.
Two of the four wheels of a toppled cart.
A boy in the second row raises his hand.
A girl on the left holding a sign above her head.
A bus in the left lane passing a cyclist.
The left wing of an airplane seen through a window.
The upper half of a statue behind a hedge.
A cat on a windowsill looking out at the viewer.
A soldier saluting, his rifle resting on his shoulder.
A sorry-looking plant in a cracked pot.
A sign saying Sorry We're Closed on a glass door.
A man unable to keep his balance falls off a skateboard.
A basket of unidentified fruit at a market.
A wooden sculpture of an unknown figure.
A box labeled fragile.
A tiny dog in a red box-shaped handbag.
A dog inside a red phone box.
A person in a yellow frame tent.
A man in a red square-patterned shirt.
A horse in a red halter stands in the round pen.
A woman in a blue frame of a doorway.
A player in a green circle emblem jersey.
Here lies a brown dog beside a bone.
Sure-footed mountain goats climb a cliff.
Note cards stacked beside a pen.
An answer sheet and a pencil on a school desk.
Caption-less comic strip on a newspaper page.
I-beams stacked at a building site.
A waiter serving you-know-what on a tray.
Person in a red jacket, skiing downhill.
Black SUV, parked.
White mug with handle, on coaster.
Man's hand holding a fork.
Boy wearing glasses; he's laughing.
A tall building with lots of windows, windows that reflect the sky.
A blue and white and red and white striped pole.
A wooden table with a wooden bowl and a wooden spoon on a wooden tray.
One two three four five six seven eight nine ten numbers on a wall.
The image of a saint carved into a wooden door.
The picture on the wall is crooked.
The photo on the desk is in a silver frame.
The video game console is on the shelf under the TV.
The frame is made of dark wood and holds a mirror.
The scene on the vase is of a hunt.
The drawing is pinned to a cork board.
The clip on the bag is blue.
The frames of her glasses are red.
This picture hangs above a bed.
""".strip().splitlines()


@pytest.mark.parametrize("caption", FAULTY)
def test_a_faulty_caption_is_dropped(caption):
    assert judge(CHECKS, CheckedCaption(caption, category="thing"))


@pytest.mark.parametrize("caption", HONEST)
def test_an_honest_caption_is_kept(caption):
    assert judge(CHECKS, CheckedCaption(caption)) == ()
