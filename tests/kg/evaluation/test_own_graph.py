from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kg.catalogue import Catalogue
from kg.evaluation.own_graph import (
    CITY_METRICS,
    LEFT_OUT,
    NEED,
    THEME,
    TRANSFER,
    WITHOUT_PROBLEM,
    Places,
    Records,
    ask_cases,
    evaluate_own_graph,
)
from kg.matching.aggregation import MODELS
from tests.models import prepared_models

AS_OF = date(2026, 11, 1)
PUBLIC = {"confidence": "sourced", "visibility": "public", "licence": "https://creativecommons.org/licenses/by/4.0/"}
SOURCES = [{"id": "source-1", "url": "https://example.org/page"}]


def city(id: str, name: str, country: str, **more: Any) -> dict[str, Any]:
    return {"kind": "city", "id": id, "name": {"en": name}, "country": country, "record": PUBLIC, **more}


def practice(id: str, theme: str, title: str, action: str, problem: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "practice",
        "id": id,
        "city": id.partition("--")[0],
        "tie": "own",
        "title": {"en": title},
        "action": {"en": action},
        **({"problem": {"en": problem}} if problem else {}),
        "themes": [theme],
        "language": "en",
        "evidence": "none-stated",
        "sources": SOURCES,
        "record": PUBLIC,
        **more,
    }


RECORDS: list[dict[str, Any]] = [
    city("ghent", "Ghent", "BE", alt_names=["Gand"], local_name="Gent / Gand"),
    city("lyon", "Lyon", "FR"),
    city("oslo", "Oslo", "NO"),
    city("porto", "Porto", "PT"),
    city("riga", "Riga", "LV"),
    city("turku", "Turku", "FI"),
    practice(
        "ghent--trees",
        "neighbourhood-publicspace",
        "Street trees",
        "Hundreds of trees give shade to hot streets and squares.",
        "Streets and squares in Ghent overheat, for trees are few.",
    ),
    practice(
        "lyon--choir",
        "intercultural-culture-sport",
        "A choir for neighbours",
        "Neighbours and newcomers sing together in a choir every week.",
        "In Lyon newcomers and French neighbours never meet or sing together.",
    ),
    practice(
        "lyon--parking",
        "housing",
        "Parking garages",
        "Cars park below the ground in garages.",
        "Cars stand everywhere and block the pavements.",
    ),
    practice(
        "oslo--shade",
        "neighbourhood-publicspace",
        "Shade for schools",
        "Schoolyards got shade sails and trees, after a visit.",
        "Schoolyards overheat in summer.",
    ),
    practice(
        "porto--plan",
        "neighbourhood-publicspace",
        "The stops of our buses",
        "The stops of our buses in Porto are too hot in summer and lack shade.",
        partners=[{"id": "partner-1", "partner_city": "lyon", "stated_name": "Lyon"}],
    ),
    practice(
        "riga--festival",
        "intercultural-culture-sport",
        "Song festival",
        "Choirs of the whole country sing together.",
        partners=[{"id": "partner-1", "partner_city": "turku", "stated_name": "Turku"}],
    ),
    {
        "kind": "need",
        "id": "porto--heat",
        "mentee": "porto",
        "need_text": {"en": "The stops of our buses in Porto are too hot in summer and lack shade.", "fr": "Les rues sont chaudes : il faut des arbres."},
        "themes": ["neighbourhood-publicspace"],
        "sources": SOURCES,
        "record": PUBLIC,
    },
    {
        "kind": "mentorship",
        "id": "porto--ghent",
        "title": {"en": "Porto learns from Ghent"},
        "mentee": "porto",
        "mentor": "ghent",
        "mentorship_state": "closed",
        "needs": ["porto--heat"],
        "themes": ["neighbourhood-publicspace"],
        "theme_namings": [
            {"id": "naming-1", "named_as": {"en": "Trees and shade against heat"}, "themes": ["neighbourhood-publicspace"]},
            {"id": "naming-2", "named_as": {"en": "Trees and shade against heat"}, "themes": ["neighbourhood-publicspace"]},
            {"id": "naming-3", "named_as": {"en": "Hot streets, as in Gand"}, "themes": ["neighbourhood-publicspace"]},
        ],
        "sources": SOURCES,
        "record": PUBLIC,
    },
    {
        "kind": "transfer",
        "id": "ghent--trees--oslo",
        "practice": "ghent--trees",
        "from_city": "ghent",
        "to_city": "oslo",
        "resulting_practice": "oslo--shade",
        "sources": SOURCES,
        "record": PUBLIC,
    },
    {
        "kind": "transfer",
        "id": "ghent--trees--somewhere",
        "practice": "ghent--trees",
        "from_city": "ghent",
        "sources": SOURCES,
        "record": PUBLIC,
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    folder = tmp_path_factory.mktemp("own-graph")
    file = folder / "records.jsonl"
    file.write_text("\n".join(map(json.dumps, RECORDS)), encoding="utf-8")
    with Catalogue.create(folder / "data", models=prepared_models()) as made:
        report = made.load([file])
        assert report.written, report.as_json()
        yield made


@pytest.fixture(scope="module")
def told(catalogue: Catalogue) -> dict[str, Any]:
    return evaluate_own_graph(catalogue, ablated=True, as_of=AS_OF)


THEMES = [
    {"kind": "theme", "id": id, "broader": id.partition("-")[0]}
    for id in ("neighbourhood-publicspace", "intercultural-culture-sport")
] + [{"kind": "theme", "id": "housing"}]
"""As they come with every catalogue."""


def cases(records: list[dict[str, Any]] = RECORDS) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for case in Records([*THEMES, *records]).cases().cases:
        found.setdefault((case.kind, case.id), []).append(case)
    return found


def test_names_of_places_are_masked_in_every_spelling_on_record():
    texts = {one.text for some in cases().values() for one in some}
    assert not [text for text in texts for name in ("Ghent", "Gand", "Lyon", "Porto", "French") if name in text]
    assert "Streets and squares in … overheat, for trees are few." in texts
    assert "Hot streets, as in …" in texts


def test_only_whole_words_are_masked():
    places = Places([{"name": {"en": "Nice"}, "country": "FR"}, {"name": {"en": "Ål"}}])
    assert places.masked("In Nice and in nicely kept Ålesund, not Chad's chads", "FR") == (
        "In … and in nicely kept Ålesund, not …'s chads"
    )


def test_a_practice_is_left_out_where_its_city_has_another():
    found = cases()
    assert (LEFT_OUT, "lyon--choir") in found
    assert (LEFT_OUT, "ghent--trees") not in found
    (one,) = found[LEFT_OUT, "lyon--choir"]
    assert (one.without, one.answers, one.mentee) == (frozenset(["lyon--choir"]), {"lyon": 2, "riga": 1}, None)
    assert dict(Records(RECORDS).cases().left_out) == {
        (LEFT_OUT, "its city has no other practice to be found by"): 2,
        (LEFT_OUT, "no problem is stated"): 2,
        (TRANSFER, "what came of it, or where, is not on record"): 1,
        (WITHOUT_PROBLEM, "no problem is stated"): 2,
    }


def test_of_many_practices_some_are_asked_for_and_no_second_index_is_made():
    few = Records([*THEMES, *RECORDS]).cases(most=5)
    assert not [case for case in few.cases if case.kind == WITHOUT_PROBLEM]
    asked = [case.id for case in few.cases if case.kind == LEFT_OUT]
    for kind, number in ((LEFT_OUT, len(asked)), (WITHOUT_PROBLEM, 0)):
        assert number + sum(n for (of, _), n in few.left_out.items() if of == kind) == 5


def test_cities_on_the_same_narrow_theme_are_on_the_subject_others_are_not():
    (one,) = cases()[WITHOUT_PROBLEM, "ghent--trees"]
    assert one.answers == {"ghent": 2, "oslo": 1, "porto": 1}
    broad = [{**one, "themes": ["housing"]} if one["kind"] == "practice" else one for one in RECORDS]
    (other,) = cases(broad)[WITHOUT_PROBLEM, "ghent--trees"]
    assert other.answers == {"ghent": 2}


def test_mentorships_ask_with_needs_and_with_each_wording_of_the_theme_once():
    found = cases()
    assert sorted(one.language for one in found[NEED, "porto--ghent"]) == ["en", "fr"]
    assert len(found[THEME, "porto--ghent"]) == 2
    assert all((one.mentee, one.answers) == ("porto", {"ghent": 2}) for one in found[NEED, "porto--ghent"])


def test_a_mentor_without_practices_cannot_be_found_and_is_said_to_be_left_out():
    without = [one for one in RECORDS if one["id"] != "ghent--trees"]
    made = Records(without).cases()
    assert not [case for case in made.cases if case.kind in (NEED, THEME)]
    reason = "the mentee is not on record, or the mentor has no practice"
    assert made.left_out[NEED, reason] == made.left_out[THEME, reason] == 1


def test_a_transfer_asks_with_the_problem_it_answered():
    (one,) = cases()[TRANSFER, "ghent--trees--oslo"]
    assert (one.text, one.mentee, one.answers) == ("Schoolyards overheat in summer.", "oslo", {"ghent": 2})


def test_a_practice_taken_out_speaks_for_nobody(told):
    """Lyon's choir would be found at once; its garages say nothing about singing, nor the choir about cars."""
    assert told["types"][WITHOUT_PROBLEM]["first1"] == 1.0
    assert told["types"][LEFT_OUT]["n"] == 2
    assert told["types"][LEFT_OUT]["first1"] == 0.0


def test_what_the_mentee_did_itself_sends_it_to_nobody(catalogue):
    """Porto's own plan says the need word for word, and Lyon was its partner."""
    need = next(one for one in cases()[NEED, "porto--ghent"] if one.language == "en")
    nobody = replace(need, mentee=None)
    views = [catalogue.search, catalogue.search]
    asked, anyone = ask_cases(catalogue, [need, nobody], views, "asking")
    hits = {(hit.practice, hit.city) for hit in anyone.need.hits}
    assert {("porto--plan", "lyon"), ("porto--plan", "porto")} <= hits
    assert {(hit.practice, hit.city) for hit in asked.need.hits} == {
        (practice, city) for practice, city in hits if practice != "porto--plan"
    }
    assert "porto" not in asked.cities
    assert asked.mentee is not None


def test_wordings_of_one_mentorship_count_once(told):
    assert (told["types"][THEME]["n"], told["types"][NEED]["n"]) == (1, 1)
    assert told["types"][THEME]["mrr10"] == 1.0
    assert {language: one["n"] for language, one in told["languages"].items()} == {"en": 9, "fr": 1}


def test_every_voting_model_stands_beside_the_suggestions(told):
    assert set(told["voting"]) == {*MODELS, "most records"}
    for one in told["voting"].values():
        assert set(one["difference"]) == {*told["types"], "macro"}
        for kind, figures in one["types"].items():
            apart = told["types"][kind]["mrr10"] - figures["mrr10"]
            assert one["difference"][kind]["mrr10"] == pytest.approx(apart, abs=2e-4)
    assert set(told["attention"]) == {"suggestions", *told["voting"]}
    assert told["attention"]["most records"]["gini"] is not None


def test_each_part_of_search_is_taken_away_in_turn(told):
    signals = ("dense", "bm25", "beginnings", "themes")
    assert list(told["ablations"]) == [
        "no bridge",
        *(f"no {one}" for one in signals),
        *(f"{one} alone" for one in signals),
    ]
    assert all(set(CITY_METRICS) <= set(one["macro"]) for one in told["ablations"].values())


def test_chance_is_what_a_random_order_gives(told):
    assert told["chance"][WITHOUT_PROBLEM] == round((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5, 4)
    assert told["chance"][NEED] == round((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, 4)


def test_the_same_records_give_the_same_figures_and_are_as_before(catalogue, told):
    before = catalogue.ledger.last_number()
    again = evaluate_own_graph(catalogue, as_of=AS_OF)
    assert {key: value for key, value in told.items() if key != "ablations"} == again
    assert catalogue.ledger.last_number() == before == again["revision"]


def test_records_without_anything_to_ask_are_no_mistake(tmp_path: Path):
    with Catalogue.create(tmp_path / "data", models=prepared_models()) as empty:
        told = evaluate_own_graph(empty, as_of=AS_OF)
    assert (told["types"], told["practices"], told["cities"]) == ({}, 0, 0)


def test_the_measurement_can_be_stopped(catalogue):
    asked = []
    with pytest.raises(InterruptedError):
        evaluate_own_graph(catalogue, progress=lambda *step: asked.append(step), stopped=lambda: len(asked) > 4)
    assert asked[-1][0] == "asking the records"
