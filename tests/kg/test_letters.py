"""Promises of the text that an officer can forward."""

import pytest

from kg.letters import FORMS, Origin, write_letter


def answer(**changed):
    unknown = {"factor": "capacity", "whom": "mentor", "text": "Is it free?", "ask": "Ask Ghent."}
    suggestion = {
        "rank": 1,
        "band_label": "strong suggestion",
        "city": {"label": "Ghent", "country_label": "Belgium"},
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
    assert "Besoin 1\n\n- It fits." in text
    assert "(besoin 1)" in text
    assert "Besoin 1\n\n-" not in write_letter(answer(), ORIGINS, "fr", "text")


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
