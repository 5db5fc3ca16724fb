from capgen.text import normal, tidy, words


def test_case_and_punctuation_make_no_difference():
    assert normal("A Red-ish cup,  on the table!") == normal("a red-ish cup on the table")
    assert normal("A cup") != normal("A cap")


def test_apostrophes_and_hyphens_stay_inside_words():
    assert words("The dog's T-shirt isn’t new.") == ["the", "dog's", "t-shirt", "isn’t", "new"]


def test_a_combining_mark_belongs_to_its_letter():
    assert words("एक लाल कप") == ["एक", "लाल", "कप"]
    assert words("Cafe\u0301 noir") == ["café", "noir"]


def test_tidying_folds_white_space_only():
    assert tidy("  A  cup\n of\ttea. ") == "A cup of tea."
