"""Captions that are not English, or not to their end, are dropped; signs, names and loan words are kept."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.language import Language

FAULTY = """
A wooden fence runs along the meadow, 上面覆盖着绿色的藤蔓和一些干枯的叶子。
A small brown dog with a 红色 collar sits on the grass.
The jacket is dark blue with two pockets and a拉链 at the front.
A man in a grey suit и белой рубашке stands beside a car.
A white ceramic mug with a blue rim 그리고 둥근 손잡이가 있습니다.
一只棕色的小狗戴着红色项圈坐在草地上。
Кошка сидит на диване у окна.
A black cat lying on a sofa, рядом с окном.
A black cat with 緑色の目 and a long tail.
Un perro marrón con un collar rojo está sentado en el césped.
Un chien brun avec un collier rouge est assis sur l'herbe.
Ein brauner Hund mit rotem Halsband sitzt auf dem Gras.
Um cachorro marrom com uma coleira vermelha sentado na grama.
Un cane marrone con un collare rosso seduto sull'erba vicino a un albero.
Een bruine hond met een rode halsband zit op het gras.
Seekor anjing cokelat dengan kalung merah sedang duduk di rumput.
Một con chó màu nâu đang ngồi trên cỏ.
Brązowy pies z czerwoną obrożą siedzi na trawie.
Kırmızı tasmalı kahverengi bir köpek çimenlerin üzerinde oturuyor.
En brun hund med rött halsband sitter på gräset.
A brown dog sits on the grass, con un collar rojo y una correa en el cuello.
A brown dog sits on the grass avec un collier rouge et une laisse.
A brown dog on the grass und trägt ein rotes Halsband mit einem Ring.
The dog is brown com uma coleira vermelha no pescoço e uma bola na boca.
سگ قهوه ای روی چمن نشسته است.
A brown dog sits on grass وهو يرتدي طوقا أحمر.
एक भूरा कुत्ता घास पर बैठा है।
A brown dog สวมปลอกคอสีแดง on the grass.
茶色の犬が芝生に座っています。
A brown dog, 의자 옆에 앉아 있다.
A brown dog on the grass (一只狗).
The car has 四个 doors and a silver roof.
A silver car with tinted windows, 停在路边
A brass lamp avec un abat-jour blanc est posé sur une table.
Una panchina di legno con braccioli di ferro nel parco.
Un autobús rojo de dos pisos circula por la calle.
""".strip().splitlines()

HONEST = """
A shop sign that reads 麵包 in white letters on red.
A café table with a crème brûlée in a white dish.
A green can of Хлебный kvass with a gold rim.
A green exit sign with the text 出口 above a door.
A red paper lantern with the character 福 in gold.
A dark bottle with the label "純米吟醸" and a white cap.
A bottle of Côtes du Rhône with a torn label.
A yellow bus with Москва written on its side.
A blue street sign that says "улица Ленина" on a brick wall.
A white banner with the words "안녕하세요" in pink.
A package of noodles labeled 신라면 in red and black.
A blue cap embroidered with the Greek letters ΑΒΓ.
A gray sweatshirt with ΔΔΔ across the chest.
A marble bust of Ἀριστοτέλης on a pedestal.
A slice of crème fraîche tart with piñon nuts on a plate.
A star-shaped piñata with colorful paper fringes.
A plate of currywurst with a small fork beside it.
A pain au chocolat on a white saucer.
Three tacos al pastor with chopped onions and cilantro.
A bowl of pho with thin noodles and herbs.
A black skillet of huevos rancheros with red salsa.
A clay pot of boeuf bourguignon with carrots.
A café sign that reads "La vie est belle" in cursive.
A T-shirt with the words "Ich bin ein Berliner" on the front.
A poster for the Museo de la Ciudad de México on a wall.
A football jersey of Rio de Janeiro with green stripes.
A large white ship named Île de France at a pier.
A flamenco guitar with a rosette around the sound hole.
An old Citroën with rust on its doors.
A brown bottle of Löwenbräu with a blue label.
An Eames chair with a molded white shell and wooden legs.
A chaise longue covered in red velvet.
A wide-brimmed sombrero with golden trim.
A woman named Zoë on her badge smiles behind the counter.
A neon sign with the kanji 寿司 above a narrow door.
A menu board listing "ramen ラーメン" and prices.
A tattoo of the Chinese characters 和平 on a forearm.
A keyboard with Cyrillic and Latin letters on each key.
A coin with ΕΛΛΑΔΑ around the edge and an owl.
A thermometer reading 37 °C on its small display.
A box measuring about 30 × 20 cm with a red lid.
A speed sign that says 50 km/h in black on white.
A baker named François holds a tray of pâté en croûte.
A bowl of pasta e fagioli next to a loaf of pane di casa.
A plate of pommes de terre au gratin beside a glass of vin rouge.
A dish of pollo con arroz y frijoles on a checkered cloth.
A bottle of Château de la Tour from the Côte d'Or.
A blue sign for the Rue de la Paix on a stone wall.
A truck with the words El Rey de los Tacos on its side.
The sign for Calle de los Reyes Católicos hangs above a door.
A copy of Le Petit Prince with a boy on its cover.
A print of La Grande Jatte in a white frame.
A violin marked α and β on its two pegs.
""".strip().splitlines()


@pytest.mark.parametrize("caption", FAULTY)
def test_a_faulty_caption_is_dropped(caption):
    assert Language()(CheckedCaption(caption))


@pytest.mark.parametrize("caption", HONEST)
def test_an_honest_caption_is_kept(caption):
    assert Language()(CheckedCaption(caption)) is None


def test_other_scripts_may_be_allowed():
    caption = "A small brown dog with a 红色 collar sits on the grass."
    assert Language()(CheckedCaption(caption))
    assert Language(scripts=False)(CheckedCaption(caption)) is None


def test_no_stretch_can_have_less_than_one_word():
    with pytest.raises(ValueError, match="function_words"):
        Language(function_words=0)
