"""Function words of languages written in Latin letters, without those that English captions use too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

_WORDS = {
    "German": """der das dem den ein eine einen einem einer eines und mit auf im ist sind von vor neben über unter sich
        wird trägt steht sitzt liegt zum zur auch aus bei oder nicht einige seine seiner ihre ihren hält hinter""",
    "French": """le la les un une de des du et dans sur avec est sont qui au aux ses sont une en pour par ce cette il
        elle près sous porte assis assise debout tient blanc noir rouge bleu vert chien derrière devant très""",
    "Spanish": """el la los las un una unos unas con en de del y que está están sobre su sus por para es se lleva junto
        sentado sentada tiene blanco negro rojo azul perro detrás encima muy hay lado""",
    "Portuguese": """um uma com em de das dos na nos nas da e que está são sobre seu sua por para ao à pelo pela não
        sentado usando branco preto vermelho azul cachorro perto atrás tem ao lado""",
    "Italian": """il lo gli un una di della dei delle con che su nel nella sono per dal dalla e di si è sul sulla seduto
        bianco nero rosso cane vicino accanto dietro""",
    "Dutch": """een het de en op met zijn aan naast voor dat wordt staat zit ligt draagt naar bij uit onder zwarte witte
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
# Half a sign: dishes and streets have them in English too (chili con carne).
_WEAK = frozenset({"de", "con", "en", "di", "du"})
_BY_WORD: dict[str, set[str]] = defaultdict(set)
for _language, _words in _WORDS.items():
    for _word in set(_words.split()) - _AMBIGUOUS - _ENGLISH:
        _BY_WORD[_word].add(_language)
FOREIGN = frozenset(_BY_WORD)


def foreign_stretch(words: Sequence[str], enough: int) -> tuple[str, str] | None:
    """The language and the words of a stretch with ``enough`` more of its function words than English ones.

    Args:
        words: in lower case; names and quotations are left out.
    """
    hits = [word for word in words if word in FOREIGN]
    if len(hits) < enough:
        return None
    for language in sorted({language for word in hits for language in _BY_WORD[word]}):
        stretch = _best(words, language, enough)
        if stretch is not None:
            return language, stretch
    return None


def _best(words: Sequence[str], language: str, enough: int) -> str | None:
    """The stretch of words with the largest sum of +1 a function word of the language, -1 an English one (Kadane)."""
    total, start = 0.0, 0
    for position, word in enumerate(words):
        if word in FOREIGN and language in _BY_WORD[word]:
            total += 0.5 if word in _WEAK else 1
        elif word in _ENGLISH:
            total -= 1
        if total <= 0:
            total, start = 0.0, position + 1
        elif total >= enough:
            stretch = words[start : position + 1]
            if len({w for w in stretch if w in FOREIGN and language in _BY_WORD[w]}) > 1:
                return " ".join(stretch)
    return None
