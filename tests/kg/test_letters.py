"""Promises of the text that an officer can forward."""

import pytest

from kg.letters import FORMS, Origin, write_letter


def answer(**changed):
    unknown = {"factor": "capacity", "whom": "mentor", "text": "Is it free?", "ask": "Ask Ghent."}
    suggestion = {
        "rank": 1,
        "band": "strong",
        "band_label": "strong suggestion",
        "utility": 0.7,
        "city": {"id": "ghent", "label": "Ghent", "country_label": "Belgium"},
        "practices": [
            {
                "id": "p",
                "need": 0,
                "title": "Shade <b>now</b>",
                "passage": {"text": "It is hot. Trees are planted. Done.", "sentence": {"start": 11, "end": 29}},
            }
        ],
        "needs": [{"need": 0, "for": ["It fits."], "against": [], "also": [], "unknowns": [unknown]}, {"need": 1}],
        "reasons": [
            {"factor": "trust", "weight": 1.0, "stance": "for", "text": "Shared programme."},
            {"factor": "language", "weight": 1.0, "stance": "against", "text": "No language."},
            {"factor": "evidence", "weight": 0.0, "stance": "for", "text": "Not weighed."},
        ],
        "cautions": [{"text": "It has ended."}],
        "unknowns": [unknown],
    }
    needs = [
        {"text": "1. Cool\nstreets", "understood": {"text": "Read as English.", "warnings": [{"text": "A guess."}]}}
    ]
    return {
        "suggestions": [suggestion],
        "needs": needs,
        "mentee": {"label": "Capaci"},
        "role_limits": "A mentor accompanies.",
        "profile": {"name": "mentoring", "version": "1", "changed": ["gap"]},
        "as_of": "2026-01-01",
        "revision": 7,
    } | changed


ORIGINS = {
    "p": Origin(("https://example.org/a_b", "javascript:alert(1)"), "https://creativecommons.org/licenses/by/4.0/")
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("language", "limits"), [("en", "What a mentor city does"), ("fr", "Ce que fait une ville mentore")]
)
def test_a_letter_has_reasons_unknowns_cautions_origin_and_the_limits_of_the_role(form, language, limits):
    text = write_letter(answer(), ORIGINS, language, form)
    for said in (
        *("Ghent, Belgium", "strong suggestion", "Shared programme.", "No language.", "It has ended.", "Capaci"),
        *("Is it free? Ask Ghent.", "Read as English. A guess.", "A mentor accompanies.", "mentoring", "gap", "2026"),
        *("https://example.org/a_b", "https://creativecommons.org/licenses/by/4.0/", limits),
    ):
        assert said in text.replace("\\", ""), said
    assert text.index("A mentor accompanies.") > text.index("Ghent")
    assert "Not weighed." not in text
    assert text.endswith("\n")


def test_the_deciding_sentence_is_marked_in_both_forms():
    assert "> It is hot. **Trees are planted.** Done." in write_letter(answer(), ORIGINS, "en", "markdown")
    assert "It is hot. [Trees are planted.] Done." in write_letter(answer(), ORIGINS, "en", "text")


def test_texts_of_records_make_no_marks_and_no_links():
    text = write_letter(answer(), ORIGINS, "en", "markdown")
    assert "<b>" not in text.replace("\\<", "")
    assert "> 1\\. Cool streets" in text
    assert "<https://example.org/a_b>" in text
    assert "<javascript" not in text


def test_with_several_needs_each_is_told_by_itself():
    several = answer(needs=answer()["needs"] * 2)
    text = write_letter(several, ORIGINS, "fr", "text")
    assert "Besoin 1 – Ce qui parle pour elle\n\n- It fits." in text
    assert "(besoin 1)" in text
    assert "Besoin 1" not in write_letter(answer(), ORIGINS, "fr", "text")


def of_two_needs():
    """Ghent on two needs, with a sentence of each stance, and the mentee's own level unknown for both."""
    own = {"factor": "gap", "whom": "mentee", "text": "Capaci's own level is unknown.", "ask": "State it."}
    evidence = {"factor": "evidence", "whom": "mentor", "text": "No evidence.", "ask": "Ask Ghent."}
    found = answer(needs=answer()["needs"] * 2)
    found["suggestions"][0] |= {
        "needs": [
            {"need": 0, "for": ["It fits."], "against": ["Only just."], "also": ["Old."], "unknowns": [evidence, own]},
            {"need": 1, "for": [], "against": ["Nothing was found."], "also": [], "unknowns": [own]},
        ],
        "unknowns": [own, evidence],
    }
    return found


def test_what_speaks_against_a_city_on_one_need_has_its_label():
    text = write_letter(of_two_needs(), ORIGINS, "en", "markdown")
    for label, sentence in (
        ("Need 1 – What speaks for it", "It fits."),
        ("Need 1 – What speaks against it", "Only just."),
        ("Need 1 – Also on record", "Old."),
        ("Need 1 – Not known: whom to ask", "No evidence. Ask Ghent."),
        ("Need 2 – What speaks against it", "Nothing was found."),
    ):
        assert f"**{label}**\n\n- {sentence}\n" in text
    assert "Need 2 – What speaks for it" not in text


def test_what_is_unknown_is_asked_once_for_a_city():
    text = write_letter(of_two_needs(), ORIGINS, "en", "text")
    assert "\nNot known: whom to ask\n\n- Capaci's own level is unknown. State it.\n\n" in text
    assert text.count("Capaci's own level") == 1
    assert text.count("No evidence.") == 1


def beside(**changed):
    """Ghent, and a second city that differs in what is given."""
    found = answer()
    second = found["suggestions"][0] | {"rank": 2, "city": {"id": "lyon", "label": "Lyon", "country_label": "France"}}
    found["suggestions"].append(second | changed)
    found["suggestions"][0] |= {"band": "weak", "band_label": "weak suggestion"}
    return found


def test_a_city_above_one_of_a_better_band_has_a_sentence_on_it():
    said = "Ghent stands above Lyon although its band is lower: ranks follow all that is known together"
    assert said in write_letter(beside(band="possible", utility=0.5), {}, "en", "text")
    french = write_letter(beside(band="possible", utility=0.5), {}, "fr", "text")
    assert "Ghent est placée devant Lyon alors que sa mention est plus basse" in french
    assert "although" not in write_letter(beside(band="weak", utility=0.5), {}, "en", "text")


def test_a_city_set_back_for_its_country_is_not_explained_by_its_band():
    assert "although" not in write_letter(beside(band="possible", utility=0.9), {}, "en", "text")


def swaps(*, facts=(), weights=()):
    upper, lower = {"id": "ghent", "label": "Ghent"}, {"id": "lyon", "label": "Lyon"}
    return {
        "upper": upper,
        "lower": lower,
        "facts": [{"text": said} for said in facts],
        "weights": [{"text": said} for said in weights],
    }


@pytest.mark.parametrize(
    ("language", "pair", "told"),
    [
        ("en", swaps(facts=["If a."], weights=["If b."]), "What would put Lyon before Ghent: If a. If b."),
        ("fr", swaps(facts=["Si a."]), "Ce qui placerait Lyon devant Ghent\xa0: Si a."),
        ("en", swaps(), "What would put Lyon before Ghent: no single fact or weight."),
        ("fr", swaps(), "Ce qui placerait Lyon devant Ghent\xa0: aucun fait ni poids à lui seul."),
        ("en", swaps(weights=["1.", "2.", "3.", "4."]), "1. 2. 3. One other change would do so too."),
        ("fr", swaps(facts=["1.", "2."], weights=["3.", "4."]), "1. 2. 3. Un autre changement y suffirait aussi."),
        ("en", swaps(facts=list("abcde")), "a b c 2 other changes would do so too, each by itself."),
        ("fr", swaps(facts=list("abcde")), "a b c 2 autres changements y suffiraient aussi, chacun à lui seul."),
    ],
)
def test_what_would_change_the_order_is_one_paragraph_under_the_city(language, pair, told):
    text = write_letter(answer(changes=[pair]), ORIGINS, language, "text")
    [paragraph] = [line for line in text.splitlines() if line.endswith(told)]
    assert text.index(paragraph) > text.index("It has ended.")
    assert text.index(paragraph) < text.index("A mentor accompanies.")


def test_a_letter_says_nothing_of_changes_that_were_not_asked_for():
    assert "What would put" not in write_letter(answer(), ORIGINS, "en", "text")


def test_a_long_passage_is_cut_around_the_deciding_sentence():
    long = "word " * 300
    passage = {"text": f"{long}Trees are planted. {long}", "sentence": {"start": 1500, "end": 1518}}
    found = answer()
    found["suggestions"][0]["practices"][0]["passage"] = passage
    quote = next(line for line in write_letter(found, {}, "en", "markdown").splitlines() if line.startswith("> …"))
    assert "**Trees are planted.**" in quote
    assert len(quote) < 450


def test_no_suggestion_is_said_with_the_limits_all_the_same():
    text = write_letter(answer(suggestions=[]), {}, "en", "text")
    assert "No city on record comes close." in text
    assert "A mentor accompanies." in text


@pytest.mark.parametrize("form", FORMS)
def test_a_french_letter_has_spaces_that_hold_before_its_signs_and_quotes_needs_as_they_stand(form):
    need = {"text": "Comment loger ; et qui ?", "understood": {"text": "", "warnings": []}}
    told = answer(role_limits="Elle accompagne ; « elle » ne décide pas.", needs=[need])
    letter = write_letter(told, ORIGINS, "fr", form)
    assert "Elle accompagne\u202f; «\xa0elle\xa0» ne décide pas." in letter
    assert "Comment loger ; et qui ?" in letter
    assert "\u202f;" not in write_letter(told, ORIGINS, "en", form)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Asked for the City of Mons."), ("fr", "Demande pour City of Mons.")]
)
def test_a_name_that_says_what_the_place_is_has_its_article(language, said):
    assert said in write_letter(answer(mentee={"label": "City of Mons"}), ORIGINS, language, "text")
    french = write_letter(answer(mentee={"label": "Ville de Mons"}), ORIGINS, "fr", "text")
    assert "Demande pour la Ville de Mons." in french
