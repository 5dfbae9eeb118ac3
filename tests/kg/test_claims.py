"""What contradicts what, in made-up records and in the starting data, and how answers stay with their flags."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.claims import ALIKE, FlagAnswers, contradictions, with_answers
from kg.errors import BadRequest
from kg.ledger import Ledger
from ontology import path as shipped

SOURCES = [{"id": f"source-{n}", "url": f"https://s{n}.example/"} for n in (1, 2, 3)]


def start_records(name):
    return [json.loads(line) for line in shipped(f"start/{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def outcome(n, value, *, source=None, **more):
    stated = {"stated_in": [f"source-{source}"]} if source else {}
    told = {"indicator": {"en": "people helped"}, "unit": {"en": "people"}}
    return {"id": f"claim-{n}", "value": value, **told, **stated, **more}


def practice(**fields):
    return {"kind": "practice", "id": "gent--duos", "sources": SOURCES, **fields}


def pairs(*records):
    return [tuple(side.node or side.id for side in flag.sides) for flag in contradictions(*records)]


def test_the_contradictions_of_the_starting_data_are_found_and_nothing_else():
    """All six are told in the records' own notes or rivals: sources that disagree were kept side by side on purpose."""
    found = {(r["id"], flag.what, flag.differs) for r in start_records("practices") for flag in contradictions(r)}
    assert found == {
        ("mechelen--samen-inburgeren", "outcome", ()),
        ("antwerp--curant", "outcome", ("value",)),
        ("berlin--stadtteilmutter", "outcome", ("value",)),
        ("fuenlabrada--milma", "period", ("end",)),
        ("bologna--salus-space", "period", ("start",)),
        ("nantes--cnce", "period", ("start",)),
    }
    for name in ("cities", "mentorships", "transfers", "programmes"):
        assert [flag for record in start_records(name) for flag in contradictions(record)] == []


def test_a_flag_names_both_claims_with_their_sources_in_both_languages():
    [flag] = contradictions(practice(outcomes=[outcome(1, "81", source=1), outcome(2, "135", source=2)]))
    told = flag.as_json("fr")
    assert told["reason"] == "Deux chiffres pour le même résultat : 81 et 135."
    assert [(claim["node"], claim["sources"]) for claim in told["claims"]] == [
        ("claim-1", ["https://s1.example/"]),
        ("claim-2", ["https://s2.example/"]),
    ]
    assert (told["state"], told["answer"]) == ("open", None)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (outcome(2, "135", source=1), "one source counts two things"),
        (outcome(2, "135", source=2, claim_period="2019"), "another time, or one that is not stated"),
        (outcome(2, "135", source=2, indicator={"en": "people trained"}), "another indicator"),
        (outcome(2, "135", source=2, unit={"en": "per cent"}), "another unit"),
        (outcome(2, "80", source=2, qualifier="over"), "81 is over 80"),
        (outcome(2, "85", source=2, qualifier="about"), "81 is about 85"),
        (outcome(2, "81.0", source=2), "the same number"),
    ],
)
def test_claims_that_may_both_be_true_are_not_flagged(second, why):
    assert pairs(practice(outcomes=[outcome(1, "81", source=1), second])) == [], why


def test_rivals_named_by_a_curator_are_flagged_whatever_they_say():
    words = {"id": "claim-2", "statement": {"en": "Nobody was helped."}, "rivals": ["claim-1", "claim-9"]}
    [flag] = contradictions(practice(outcomes=[outcome(1, "81", source=1), words]))
    assert flag.named
    assert flag.reason("en") == "A curator has named these two as rivals: 81 and “Nobody was helped.”."


def test_spans_that_follow_each_other_are_phases_and_inferred_years_are_nobodys_claim():
    first = {"id": "period-1", "start": "2003", "end": "2008"}
    assert pairs(practice(periods=[first, {"id": "period-2", "start": "2010"}])) == []
    assert pairs(practice(periods=[first, {"id": "period-2", "start": "2005"}])) == [("period-1", "period-2")]
    inferred = {"id": "period-2", "start": "2005", "precision": "inferred"}
    assert pairs(practice(periods=[first, inferred])) == []


def test_costs_and_funding_contradict_each_other_only_for_the_same_thing():
    def cost(n, amount, **more):
        return {"id": f"cost-{n}", "resource": "money", "currency": "EUR", "amount": amount, **more}

    def grant(n, amount, **more):
        return {"id": f"funding-{n}", "stated_name": "City Fund", "currency": "EUR", "amount": amount, **more}

    assert pairs(practice(costs=[cost(1, "1000"), cost(2, "2500")])) == [("cost-1", "cost-2")]
    assert pairs(practice(costs=[cost(1, "1000"), cost(2, "2500", cost_note={"en": "a year"})])) == []
    assert pairs(practice(funding=[grant(1, "1000"), grant(2, "2500", stated_name="city  fund")])) != []
    assert pairs(practice(funding=[grant(1, "1000"), grant(2, "2500", currency="SEK")])) == []


def test_observations_of_a_city_contradict_each_other_in_one_year_and_boundary():
    def seen(n, observed, year="2024", **more):
        told = {"measure": "population", "observed": observed, "observation_source": f"https://s{n}.example/"}
        return {"id": f"observation-{n}", "observed_in": year, **told, **more}

    def of(*observations):
        return pairs({"kind": "city", "id": "gent", "observations": [*observations]})

    assert of(seen(1, "265086"), seen(2, "250000")) == [("observation-1", "observation-2")]
    assert of(seen(1, "265086"), seen(2, "265000")) == [], "rounded"
    assert of(seen(1, "265086"), seen(2, "250000", year="2019")) == []
    assert of(seen(1, "265086"), seen(2, "550000", boundary="urban-area")) == []
    assert of(seen(1, "265086", year=None), seen(2, "250000", year=None)) == [], "undated: perhaps two years"


def test_records_about_one_thing_are_compared_with_each_other():
    one = practice(outcomes=[outcome(1, "81", source=1)])
    other = {**practice(outcomes=[outcome(1, "135", source=2)]), "id": "gent--buddies"}
    assert [flag.sides[0].place for flag in contradictions(one, other)] == ["practice/gent--buddies#claim-1"]
    story = {"kind": "transfer", "practice": "gent--duos", "to_city": "riga", "sources": SOURCES[:1]}
    told = [{**story, "id": "a", "year": "2019", "degree": "adapted"}, {**story, "id": "b", "year": "2021"}]
    [flag] = contradictions(*told)
    assert (flag.what, flag.differs) == ("transfer", ("year",))
    assert contradictions(told[0], {**told[1], "to_city": "lyon"}) == ()


@given(st.lists(st.tuples(st.sampled_from(["1", "7", "12", "about", ""]), st.integers(1, 3)), max_size=6), st.randoms())
def test_the_order_of_claims_changes_nothing(figures, random: Random):
    claims = [outcome(n, value, source=source) for n, (value, source) in enumerate(figures)]
    mixed = random.sample(claims, len(claims))
    assert contradictions(practice(outcomes=claims)) == contradictions(practice(outcomes=mixed))


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_two_values_can_be_compared(a, b):
    flags = contradictions(practice(outcomes=[outcome(1, a, source=1), outcome(2, b, source=2)]))
    assert len(flags) <= 1
    assert all(a in str(flag.as_json("en")["claims"][0]["values"]) or not a.isalnum() for flag in flags)


@pytest.mark.parametrize("value", ["1e999999999", "-1E-99999999", "NaN", "Infinity", "9" * 5000])
def test_huge_numbers_are_compared_without_being_worked_out(value):
    assert pairs(practice(outcomes=[outcome(1, value, source=1), outcome(2, "5", source=2)])) == [
        ("claim-1", "claim-2")
    ]


def test_of_very_many_claims_on_one_point_the_first_are_compared():
    many = [outcome(n, str(n * n), source=1 + n % 2) for n in range(1000, 1000 + 2 * ALIKE)]
    assert 0 < len(contradictions(practice(outcomes=many))) <= ALIKE * (ALIKE - 1) // 2


# --------------------------------------------------------------------------------------------- answers


@pytest.fixture
def answers(tmp_path):
    with Ledger.create(f"sqlite:///{tmp_path}/ledger.db", "https://x.org/") as ledger:
        yield FlagAnswers(ledger)


def flagged(value="135"):
    [flag] = contradictions(practice(outcomes=[outcome(1, "81", source=1), outcome(2, value, source=2)]))
    return flag


def now(answers, flag):
    [one] = with_answers([flag], answers.answers_of("practice", "gent--duos"))
    return one


def test_an_answered_flag_stays_visible_and_reappears_when_a_value_changes(answers):
    assert now(answers, flagged()).state == "open"
    answers.answer_flag(flagged(), "explained", author="curator/ilze", note="  The second counts visitors. ")
    answered = now(answers, flagged())
    assert answered.state == "answered"
    assert answered.as_json("en")["answer"]["note"] == "The second counts visitors."
    assert answered.as_json("en")["answer"]["role"] == "curator", "who it was is for the ledger alone"
    changed = now(answers, flagged("140"))
    assert (changed.key, changed.state) == (answered.key, "reopened")
    answers.answer_flag(flagged("140"), "wrong", author="curator/anna")
    assert now(answers, flagged("140")).state == "answered"
    assert [one.verdict for one in answers.history_of("practice", "gent--duos")] == ["explained", "wrong"]


def test_an_answer_to_two_records_is_found_from_both(answers):
    one = practice(outcomes=[outcome(1, "81", source=1)])
    other = {**practice(outcomes=[outcome(1, "135", source=2)]), "id": "gent--buddies"}
    [flag] = contradictions(one, other)
    answers.answer_flag(flag, "wrong", author="curator/ilze")
    found = [answers.answers_of("practice", id) for id in ("gent--duos", "gent--buddies", "gent--other")]
    assert [flag.key in one for one in found] == [True, True, False]


@pytest.mark.parametrize(
    ("verdict", "note", "message"),
    [
        ("perhaps", "", "'perhaps' is none of explained, mended, wrong"),
        ("explained", "  ", "say in a sentence"),
        ("wrong", "a\x00b", "control character"),
        ("wrong", "\ud800", "half of a character"),
        ("wrong", "x" * 5000, "5,000 characters"),
        ("wrong", 7, "must be a text"),
    ],
)
def test_an_answer_that_cannot_be_kept_is_refused(answers, verdict, note, message):
    with pytest.raises(BadRequest, match=message):
        answers.answer_flag(flagged(), verdict, author="curator/ilze", note=note)
    assert answers.history_of("practice", "gent--duos") == []
