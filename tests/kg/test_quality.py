"""Quality in numbers: what raises them, what leaves them alone, and what is unknown."""

import copy
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.fields import declaration
from kg.matching.profile import Profile
from kg.quality import ALIVE, DEAD, REFUSED, UNSURE, WEIGHTS, quality
from ontology import path as shipped

AS_OF = date(2026, 3, 1)
TYPES = [None, "none-stated", "activity-counts", "label-or-award", "outcome-counts", "independent-evaluation"]

claims = st.lists(
    st.fixed_dictionaries({}, optional={"evidence": st.sampled_from(TYPES[1:]), "stated_in": st.just(["source-1"])}),
    max_size=4,
)
practices = st.fixed_dictionaries(
    {"kind": st.just("practice"), "id": st.just("gent--duos")},
    optional={
        "title": st.just({"en": "Duos"}),
        "problem": st.sampled_from([{}, {"en": "No contact."}]),
        "evidence": st.sampled_from(TYPES),
        "outcomes": claims,
        "periods": claims,
        "sources": st.lists(
            st.fixed_dictionaries({"url": st.sampled_from(["https://a.example/", "https://b.example/"])}), max_size=3
        ),
    },
)
looked_up = st.dictionaries(
    st.sampled_from(["https://a.example/", "https://b.example/"]), st.sampled_from([ALIVE, DEAD, UNSURE, REFUSED])
)


def numbers(record, **more):
    return {m.name: m.value for m in quality(record, as_of=AS_OF, **more).measures}


def start_practices():
    lines = shipped("start/practices.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def test_the_starting_data_in_numbers():
    """Nobody has noted a day of verification or an archived copy yet: both are told, neither is held against them."""
    found = [quality(record, as_of=AS_OF) for record in start_practices().values()]
    assert {one.age.value for one in found} == {None}
    assert {one.archived.value for one in found} == {0.0}
    assert all(one.completeness.value >= 0.72 for one in found), "all are published, so all needed fields are there"
    assert sum("difficulties" in one.missing for one in found) > 60, "mentors should show failures; records rarely do"
    scale = {name: Profile().evidence[name] for name in TYPES if name in Profile().evidence}
    assert {one.evidence.value for one in found} == {None, *scale.values()}


def test_numbers_come_with_reasons_in_both_languages():
    record = {"kind": "city", "id": "gent", "name": {"en": "Ghent"}, "record": {"verified_on": "2024-02-29"}}
    told = {one["name"]: one for one in quality(record, as_of=AS_OF).as_json("fr")["measures"]}
    assert told["completeness"]["reasons"] == ["Manque : Pays."]
    assert told["age"]["value"] == 24.0
    assert told["age"]["reasons"] == ["Vérifiée en dernier le 2024-02-29 ; mois entiers jusqu'au 2026-03-01 : 24."]
    assert quality(record, as_of=AS_OF).as_json("en")["missing"] == ["country"]


def test_what_nobody_knows_is_said_to_be_unknown():
    told = quality({"kind": "practice", "id": "x"}, as_of=AS_OF).as_json("en")["measures"]
    unknown = {one["name"]: one["reasons"][0] for one in told if not one["known"]}
    assert unknown == {
        "evidence": "No evidence is stated.",
        "sourced": "There are no claims that could name a source.",
        "age": "Nobody has noted when this record was last verified.",
        "archived": "There are no sources.",
        "dead": "There are no sources.",
    }
    not_stated = {"kind": "practice", "id": "x", "evidence": "none-stated"}
    assert numbers(not_stated)["evidence"] is None


def test_dead_sources_are_named_and_an_unsure_look_says_nothing():
    urls = ["https://a.example/", "https://b.example/", "https://c.example/"]
    record = {"kind": "practice", "id": "x", "sources": [{"url": url} for url in urls]}
    said = {urls[0]: DEAD, urls[1]: ALIVE, urls[2]: UNSURE}
    found = quality(record, as_of=AS_OF, looked_up=said)
    assert found.dead.value == 1.0
    assert [reason.text("en") for reason in found.dead.reasons] == [
        "A source is gone: https://a.example/.",
        "Sources that were looked up with a clear answer: 2 of 3.",
    ]
    assert numbers(record, looked_up={urls[2]: UNSURE, urls[0]: REFUSED})["dead"] is None


def test_every_weight_belongs_to_a_demand_of_the_shapes():
    demands = {field.needed for kind in declaration().kinds.values() for field in kind.fields} - {None}
    assert demands == set(WEIGHTS)


@given(practices, looked_up)
def test_the_order_of_fields_claims_and_sources_changes_nothing(record, said):
    turned = {key: value[::-1] if isinstance(value, list) else value for key, value in reversed(record.items())}
    assert quality(turned, as_of=AS_OF, looked_up=said) == quality(record, as_of=AS_OF, looked_up=said)


def not_lower(before, after, *names):
    for name in names:
        assert before[name] is None or after[name] >= before[name], name


@given(practices, st.sampled_from(TYPES[1:]), looked_up)
def test_adding_a_source_or_evidence_never_lowers_a_number(record, evidence, said):
    before = numbers(record, looked_up=said)
    names = ("completeness", "evidence", "sourced", "archived", "dead")
    for change in (_add_source, _add_evidence, _tell_source, _archive, _add_claim):
        richer = copy.deepcopy(record)
        change(richer, evidence)
        not_lower(before, numbers(richer, looked_up=said), *names)
    assert numbers(richer, looked_up=said)["dead"] == before["dead"]


def _add_source(record, evidence):
    record.setdefault("sources", []).append({"url": "https://new.example/"})


def _add_evidence(record, evidence):
    if evidence != "none-stated":
        record.setdefault("outcomes", []).append({"evidence": evidence, "stated_in": ["source-1"]})


def _tell_source(record, evidence):
    for claim in record.get("outcomes", []):
        claim["stated_in"] = ["source-1"]


def _archive(record, evidence):
    for source in record.get("sources", []):
        source["archived"] = "https://archive.example/1"


def _add_claim(record, evidence):
    record.setdefault("periods", []).append({"start": "2020", "stated_in": ["source-1"]})


@pytest.mark.parametrize("said", ["", "soon", "2026-02-30"])
def test_a_day_that_is_none_counts_as_not_noted(said):
    assert numbers({"kind": "city", "id": "gent", "record": {"verified_on": said}})["age"] is None
    assert numbers({"kind": "city", "id": "gent", "record": {"verified_on": "2027-01-01"}})["age"] == 0.0
