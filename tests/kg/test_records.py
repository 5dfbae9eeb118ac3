"""Plain JSON to graph and back, without loss."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.errors import BadRequest, InvalidRecord
from kg.fields import Field, Structure, declaration
from kg.records import (
    check_id,
    from_graph,
    from_ntriples,
    graph_from_ntriples,
    is_blank,
    references,
    to_graph,
    to_ntriples,
)
from kg.vocabulary import DEFAULT_BASE

BASE = "https://example.org/"
CITY = {"kind": "city", "id": "gent", "name": {"nl": "Gent"}}

slugs = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(
    lambda text: not is_blank(text)
)
tags = st.sampled_from(["en", "fr", "el", "lv", "en-GB", "nl-BE", "ar", "zh-Hant"])


def values_of(field: Field):
    """Any value of a field's form; meaning does not matter here."""
    one = {
        "text": st.dictionaries(tags, texts, min_size=1, max_size=3),
        "texts": st.dictionaries(tags, st.lists(texts, min_size=1, max_size=3, unique=True), min_size=1, max_size=2),
        "string": texts.map(str.strip).filter(lambda text: not is_blank(text)),
        "integer": st.integers(-(10**12), 10**12),
        "decimal": st.sampled_from(["1.50", "007", "-0.1"]),
        "boolean": st.booleans(),
        "date": st.just("2026-02-28"),
        "datetime": st.just("2026-02-28T10:00:00+00:00"),
        "year": st.sampled_from(["2016", "0033"]),
        "uri": st.just("https://example.org/ä?b=c#d"),
        "iri": st.sampled_from(["https://example.org/x", "http://www.wikidata.org/entity/Q239"]),
        "ref": slugs,
        "inner-ref": slugs,
    }
    if field.type == "inner":
        assert field.inner is not None
        strategy = contents_of(field.inner)
    else:
        strategy = st.sampled_from(sorted(field.choices or {"x": None})) if field.type == "concept" else one[field.type]
    if not field.many or field.type in ("text", "texts"):
        return strategy
    return st.lists(strategy, min_size=1, max_size=3, unique_by=json.dumps)


def contents_of(structure: Structure):
    """Some of a structure's fields."""
    return st.fixed_dictionaries({}, optional={field.key: values_of(field) for field in structure.fields})


def records():
    """A record of any kind with any of its fields."""
    kinds = st.sampled_from(sorted(declaration().kinds))
    return kinds.flatmap(
        lambda name: st.tuples(st.just({"kind": name}), slugs, contents_of(declaration().kinds[name])).map(
            lambda parts: {**parts[0], "id": parts[1], **parts[2]}
        )
    )


@settings(max_examples=150, deadline=None)
@given(records())
def test_a_record_stored_and_read_back_is_the_same_whatever_its_text(record):
    stored = to_ntriples(to_graph(record, BASE))
    read = from_ntriples(stored, BASE)
    assert to_ntriples(to_graph(read, BASE)) == stored
    assert _without_ids(read) == _without_ids(record)


def _without_ids(value):
    """A record with lists in one order, without minted identifiers and without empty objects, which say nothing."""
    if isinstance(value, dict):
        parts = {key: _without_ids(part) for key, part in value.items() if key != "id"}
        return {key: part for key, part in parts.items() if part != {}}
    if isinstance(value, list):
        return sorted((_without_ids(part) for part in value), key=lambda part: json.dumps(part, sort_keys=True))
    return value


def test_the_stored_form_does_not_depend_on_the_order_of_keys_or_lists():
    record = {**CITY, "alternative": None, "alt_names": ["Gand", "Ghent"], "country": "BE"}
    record.pop("alternative")
    turned = dict(reversed({**record, "alt_names": ["Ghent", "Gand"]}.items()))
    assert to_ntriples(to_graph(record, BASE)) == to_ntriples(to_graph(turned, BASE))


def test_inner_nodes_keep_their_identifiers_and_new_ones_get_the_next():
    record = {
        "kind": "practice",
        "id": "x",
        "outcomes": [{"statement": {"en": "new"}}, {"id": "claim-7", "value": "3"}],
    }
    read = from_graph(to_graph(record, BASE), BASE)
    assert [claim["id"] for claim in read["outcomes"]] == ["claim-7", "claim-8"]


def test_literals_are_kept_as_written():
    record = {**CITY, "name": {"en-GB": "Ghent"}, "latitude": "051.050", "nuts": "BE234"}
    assert from_ntriples(to_ntriples(to_graph(record, BASE)), BASE) == record


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"nmae": {"nl": "Gent"}}, "nmae", "there is no field called 'nmae' here"),
        ({"name": "Gent"}, "name", "must name the language"),
        ({"name": {"dutch language": "Gent"}}, "name", "is no language tag"),
        ({"name": {"nl": 3}}, "name@nl", "must be a text"),
        ({"name": {"nl": "Ge\x00nt"}}, "name@nl", "control character '\\x00' at position 3"),
        ({"name": {"nl": "Ge\ud800nt"}}, "name@nl", "lone surrogate"),
        ({"alt_names": "Gand"}, "alt_names", "must be a list"),
        ({"country": ["BE"]}, "country", "takes one value"),
        ({"country": 3}, "country", "must be written as a text"),
        ({"country": "BE\n"}, "country", "line break at its beginning or end"),
        ({"wikidata": "not an address"}, "wikidata", "must be a full address"),
        ({"wikidata": "https://x.org/> <urn:evil"}, "wikidata", "must be a full address"),
        ({"wikidata": "javascript:alert(1)"}, "wikidata", "must be a full address"),
        ({"observations": [{"id": "a b"}]}, "observations.1.id", "is no identifier"),
        ({"observations": ["many"]}, "observations.1", "must be an object"),
        (
            {"observations": [{"id": "observation-1"}, {"id": "observation-1"}]},
            "observations.observation-1",
            "stands twice",
        ),
        ({"observations": [{"measure": "wealth"}]}, "observations.observation-1.measure", "must be one of: population"),
        ({"record": "sourced"}, "record", "must be an object"),
    ],
)
def test_a_wrong_form_is_named_with_field_and_value(change, field, message):
    with pytest.raises(InvalidRecord) as caught:
        to_graph({**CITY, **change}, BASE)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert message in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('l\'été "\u00a0"', 'l\'été "\u00a0"'),
        ("a\x00b\nc\u202e\ud800", "a\\x00b\\nc\\u202e\\ud800"),
        (["a", 1, None, {"b": True}], '["a", 1, null, {"b": true}]'),
        ({"fr": "été"}, '{"fr": "été"}'),
        (3, "3"),
        (False, "false"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_the_value_of_a_problem_is_plain_text(value, told):
    with pytest.raises(InvalidRecord) as caught:
        to_graph({**CITY, "wikidata": value}, BASE)
    assert [problem.value for problem in caught.value.problems] == [told]


def test_a_value_that_is_deep_is_shown_as_far_as_it_is_told():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidRecord) as caught:
        to_graph({**CITY, "country": deep}, BASE)
    assert caught.value.problems[0].value == "[" * 200 + "…"


def test_every_problem_of_form_is_told_at_once():
    with pytest.raises(InvalidRecord) as caught:
        to_graph({**CITY, "name": 1, "country": 2, "colour": "red"}, BASE)
    assert {problem.field for problem in caught.value.problems} == {"name", "country", "colour"}


@pytest.mark.parametrize("id", ["", "Gent", "../etc", "gent/x", "gent ", "g" * 121, "gent---x", None, 3, "gent\n"])
def test_identifiers_that_would_not_fit_in_addresses_are_refused(id):
    with pytest.raises(BadRequest, match="no identifier"):
        check_id("city", id)


def test_statements_that_no_field_accounts_for_are_named_not_dropped():
    text = to_ntriples(to_graph(CITY, BASE)) + f'<{BASE}id/city/gent> <urn:colour> "red" .\n'
    with pytest.raises(InvalidRecord, match="urn:colour is no part of this kind of record"):
        from_ntriples(text, BASE)


def test_a_graph_about_two_things_is_no_record():
    two = graph_from_ntriples(to_ntriples(to_graph(CITY, BASE)) + to_ntriples(to_graph({**CITY, "id": "riga"}, BASE)))
    with pytest.raises(InvalidRecord, match="describes one thing"):
        from_graph(two, BASE)


def test_references_are_the_other_records_a_record_names():
    record = {
        "kind": "practice",
        "id": "x",
        "city": "gent",
        "themes": ["gender"],
        "partners": [{"partner_city": "riga"}],
    }
    assert references(to_graph(record, BASE), BASE) == {("city", "gent"), ("theme", "gender"), ("city", "riga")}


def test_a_reference_may_be_written_as_an_address_of_ours_only():
    record = {"kind": "practice", "id": "x", "city": f"{DEFAULT_BASE}id/city/gent"}
    assert from_graph(to_graph(record, DEFAULT_BASE), DEFAULT_BASE)["city"] == "gent"
    with pytest.raises(InvalidRecord, match="must name a city on record"):
        to_graph({**record, "city": "https://elsewhere.org/id/city/gent"}, DEFAULT_BASE)
