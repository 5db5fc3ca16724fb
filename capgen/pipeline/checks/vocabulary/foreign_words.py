"""Function words of languages written in Latin letters, without those that English captions use too."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

_WORDS = {
    "German": """der das dem den ein eine einen einem einer eines und mit auf im ist sind von vor neben über unter sich
        wird trägt steht sitzt liegt zum zur auch aus bei oder nicht einige seine seiner ihre ihren hält hinter ohne
        durch beim nach gegen während zwischen einigen mehrere sehr dieser dieses diese
        schon noch nur wie wenn etwas viele alle großer großes weiße weißer schwarze schwarzer schwarzem schwarzen
        weißen rote roten rotem blaue blauen grüne grünen braune braunen braun hängen liegen stehen sitzen wurde haben
        können gelbe gelben darauf daneben davor dahinter zum beispiel
        trinkt frisst läuft geht spielt fährt schaut blickt hängt schläft fliegt schwimmt wartet""",
    "French": """le la les un une de des du et dans sur avec est sont qui au aux ses sont une en pour par ce cette il
        elle près sous porte assis assise debout tient blanc noir rouge bleu vert chien derrière devant très
        elles ils leur leurs cet dont où mais comme deux trois bois
        blanche noire rouges bleue verte jaune gris grise à côté dessus dessous près posés
        mange boit court joue vole dort regarde posé posée garé garée
        ses nos vos votre notre leurs ne jusque depuis vers chez afin ainsi lorsque pendant celui celle
        ceux quelques plusieurs chaque aussi""",
    "Spanish": """el la los las un una unos unas con en de del y que está están sobre su sus por para es se lleva junto
        sentado sentada tiene blanco negro rojo azul perro detrás encima muy hay lado
        pero como más dos tres pequeño pequeña pequeños amarillo amarilla verde gris madera rojos rojas
        cual donde bajo está esta este estas estos
        bebe corre juega vuela duerme mira puesto puesta aparcado aparcada negra blanca roja
        desde hasta hacia cerca aunque mientras cuando también ambos cada otro otra algunos varias varios nuestro""",
    "Portuguese": """um uma com em de das dos na nos nas da e que está são sobre seu sua por para ao à pelo pela não
        sentado usando branco preto vermelho azul cachorro perto atrás tem ao lado
        mas como mais dois duas três pequeno pequena grandes amarelo amarela cinza onde sem esta este
        pequenos vermelhas azuis
        bebe corre joga voa dorme olha encostado encostada preta branca vermelha junto""",
    "Italian": """la le i gli sopra
        il lo un una di della dei delle con che su nel nella sono per dal dalla e di si è sul sulla seduto
        più tre piccola piccoli giallo gialla grigio legno tra sotto senza questo
        questa rossi rosse neri colore
        beve corre gioca vola dorme guarda appoggiato appoggiata nera bianca rossa
        bianco nero rosso cane vicino accanto dietro""",
    "Dutch": """maar als ook niet deze dit drie zwemt loopt vliegt speelt slaapt kijkt hangt rijdt
        grote gele groene grijs houten waar tussen zonder
        blauwe bruine
        een het de en op met zijn aan naast voor dat wordt staat zit ligt draagt naar bij uit onder zwarte witte
        rode van een zich""",
    "Indonesian": """yang dan dengan sebuah seekor seorang pada berwarna atas adalah ini itu untuk dari memiliki sedang
        duduk berdiri memakai putih hitam merah kecil""",
    "Vietnamese": "một với và của trên có màu đang con chiếc người là đứng ngồi bên cạnh trắng đen đỏ",
    "Polish": "na w jest i się oraz przy pod nad z który która siedzi stoi czarny biały czerwony obok",
    "Turkish": "bir ve ile üzerinde olan için bu yanında oturan duran siyah beyaz kırmızı küçük",
    "Swedish": "en ett och med på är som av sitter står bredvid svart vit röd den har",
    "Danish": "en et og med på er som af sidder står ved siden sort hvid rød",
    "Czech": "je na se v s který která sedí stoji stojí vedle černý bílý červený a",
    "Romanian": "și cu pe un o este care lângă stă negru alb roșu",
    "Hungarian": "egy és az van ül áll fekete fehér piros mellett amely",
    "Finnish": "ja on joka istuu seisoo musta valkoinen punainen vieressä",
    "Tagalog": "ang ng sa na may isang nasa mga at kulay nakaupo",
    "Pinyin": "yi zhi de zai shang hongse baise heise zuo zhe",
}
# Also English, or parts of names that English captions hold.
_ENGLISH = frozenset("a an the in on at is of with and to his her its from by for as that it son".split())  # noqa: SIM905
_AMBIGUOUS = frozenset("a as at no do me on son sent die was man hat or van o i s v w z at en e an am".split())  # noqa: SIM905
# With one of these a sentence in another language begins.
ARTICLES = frozenset("ein eine un une una um uma een ett der das les los las il een el".split())  # noqa: SIM905
# Half a sign: dishes and streets have them in English too (chili con carne).
_WEAK = frozenset({"de", "con", "en", "di", "du"})
# With an article behind them they are no dish any more: "en la puerta", "con un plato".
_BEFORE_ARTICLES = frozenset({"con", "en"})
# Inside names and dishes two of these stand together: Museo de la Ciudad, crème de la crème, tacos al pastor.
PARTICLES = frozenset(
    """de la le les l los las el du des di da do dos das del della dei degli al alla aux au à y e et und von van der den
    zu zur am ter ten""".split()  # noqa: SIM905
)
# Loan words with accents, as their stems: they are English in a caption.
_LOANS = re.compile(
    r"caf\u00e9s?|cro\u00fbtes?|cr\u00e8me|fra\u00eeche|lait|br\u00fbl\u00e9e|cr\u00eapes?|pur\u00e9es?|saut\u00e9\w*|jalape\u00f1os?|pi\u00f1atas?|pi\u00f1as?|clich\u00e9s?|d\u00e9cor|entr\u00e9es?|"
    r"fianc\u00e9e?s?|fa\u00e7ades?|na\u00efve|r\u00e9sum\u00e9s?|soir\u00e9e|souffl\u00e9s?|p\u00e2t\u00e9s?|flamb\u00e9\w*|consomm\u00e9|rattan|mat\u00e9|a\u00e7a\u00ed|gru\u00fey?\w*|gruy\u00e8re|"
    r"appliqu\u00e9\w*|d\u00e9coupage|papier-m\u00e2ch\u00e9|m\u00e2ch\u00e9|macram\u00e9|lam\u00e9|crudit\u00e9s|\u00e9clairs?|\u00e0|au|caram\u00e9?l\w*|bouclé|touch\u00e9|sm\u00f8rrebr\u00f8d|nici\u00f8ise"
)


def is_loan(word: str) -> bool:
    """Whether a word with an accent is one that English captions use."""
    return _LOANS.fullmatch(word) is not None


_BY_WORD: dict[str, set[str]] = defaultdict(set)
_HALF: dict[str, set[str]] = defaultdict(set)
for _language, _words in _WORDS.items():
    for _word in set(_words.split()) - _ENGLISH:
        (_HALF if _word in _AMBIGUOUS else _BY_WORD)[_word].add(_language)
_HALF["die"].add("German")
FOREIGN = frozenset(_BY_WORD)
ENGLISH = _ENGLISH | frozenset(
    """are was were has have this these two three one near next while behind under over into onto out up down left right
    which who there not very some many""".split()  # noqa: SIM905
)
"""Function words of English; a whole sentence without one is seldom English."""


def foreign_stretch(words: Sequence[str], enough: int) -> tuple[str, str] | None:
    """The language and the words of a stretch with ``enough`` more of its function words than English ones.

    Args:
        words: in lower case; names and quotations are left out.
    """
    hits = [word for word in words if word in FOREIGN]
    if len(hits) < min(enough, 2):
        return None
    for language in sorted({language for word in hits for language in _BY_WORD[word]}):
        stretch = _best(words, language, enough)
        if stretch is not None:
            return language, stretch
    return None


def _best(words: Sequence[str], language: str, enough: int) -> str | None:
    """The stretch of words with the largest sum of +1 a function word of the language, -1 an English one (Kadane).

    Half a sign counts half, and never alone: two whole ones must be there.
    """
    total, start = 0.0, 0
    for position, word in enumerate(words):
        weight = _weight(word, language)
        if weight:
            total += weight
        elif word in _ENGLISH:
            total -= 1
        if total <= 0:
            total, start = 0.0, position + 1
        elif total >= enough or _is_pair(words[position - 1 : position + 1], language):
            stretch = words[start : position + 1]
            if len({w for w in stretch if w in FOREIGN and language in _BY_WORD[w]}) > 1:
                return " ".join(stretch)
    return None


def strange_run(words: Sequence[tuple[str, bool]], strange: Collection[str], enough: float) -> str | None:
    """The words of a stretch in which words that are no English ones outweigh English ones; None where none does.

    A strange word counts 1, a function word of another language that English has too 0.5, a name 0.5 behind one of
    these, an English word -1. Without a function word or a letter of another language more is asked for: they may be
    rare English words.

    Args:
        strange: those of the words that are no English ones.
        words: in order, in lower case, each with whether it is a name; "." where a sentence ends.
        enough: the least weight of a stretch.
    """
    total, run, telling = 0.0, list[str](), False
    for word, named in words:
        english = word.replace("\u2019", "'") not in strange
        if word == ".":
            weight = -1.0
        elif named:
            weight = 0.5 if total > 0 else 0.0
        elif english:
            weight = 0.5 if word in FOREIGN or word in _HALF else -1.0
        else:
            weight = _strangeness(word)
        total += weight
        if total <= 0:
            total, run, telling = 0.0, [], False
            continue
        run.append(word)
        telling = telling or word in FOREIGN or word in _HALF or not word.isascii()
        if total >= enough and (telling or total >= enough + 1):
            return " ".join(run)
    return None


_RARE_LETTERS = re.compile("[\u0100-\u024f\u00df\u00e5\u00e6\u00f8\u00f0\u00fe\u00f5]")  # in loan words of English


def has_rare_letter(word: str) -> bool:
    """Whether a word has a letter that loan words of English never have."""
    return _RARE_LETTERS.search(word) is not None


def _strangeness(word: str) -> float:
    """How much a word that is no English one tells: two of a function word or of letters that loan words never have."""
    if is_loan(word) or len(word) == 1:  # f(x) = x
        return 0.0
    telling = word in FOREIGN and word not in PARTICLES and len(word) > 2
    return 2.0 if telling or has_rare_letter(word) else 1.0


def _is_pair(words: Sequence[str], language: str) -> bool:
    """Whether two words next to each other are function words of a language, and no little words of names."""
    return (
        len(words) == 2
        and words[0] != words[1]
        and all(word in FOREIGN and language in _BY_WORD[word] for word in words)
        and not PARTICLES.issuperset(words)
        and (_WEAK.isdisjoint(words) or words[0] in _BEFORE_ARTICLES)
    )


def _weight(word: str, language: str) -> float:
    """How much a word is a sign of a language."""
    if word in FOREIGN and language in _BY_WORD[word]:
        return 0.5 if word in _WEAK else 1
    if word in _HALF and language in _HALF[word]:
        return 0.5
    return 0 if word.isascii() or is_loan(word) else 1


def foreign_sentence(words: Sequence[str], enough: float = 1.5) -> str | None:
    """The language of a sentence of three words or more without an English function word but with those of another.

    Args:
        words: in lower case; names and quotations are left out.
        enough: weight of signs; a whole function word has 1.
    """
    if len(words) < 3 or not ENGLISH.isdisjoint(words):
        return None
    languages = {language for word in words if word in FOREIGN for language in _BY_WORD[word]}
    for language in sorted(languages):
        if sum(_weight(word, language) for word in set(words)) >= enough:
            return language
    return None
