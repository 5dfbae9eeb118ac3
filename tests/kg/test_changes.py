"""Patches, differences, three-way mergers, blame and unions of records, on generated and on the starting records."""

import copy
import json
from contextlib import suppress
from itertools import pairwise

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.accounts import ROLES
from kg.changes import (
    PATCH_DEPTH,
    PATCH_PARTS,
    Difference,
    blame,
    describe,
    differences,
    label_of,
    merge_patch,
    merge_records,
    rdf_patch,
    replace_reference,
    role_of,
    three_way,
)
from kg.errors import BadRequest, InvalidRecord, TooLarge
from kg.fields import declaration
from kg.records import from_ntriples, next_inner_id, to_graph, to_ntriples
from ontology import path as shipped
from tests.kg.test_records import contents_of

BASE = "https://example.org/"
KINDS = sorted(declaration().kinds)
STARTING = [
    json.loads(line)
    for file in sorted(shipped("start").iterdir(), key=str)
    if file.name.endswith(".jsonl")
    for line in file.read_text(encoding="utf-8").splitlines()
]
PRACTICE = {
    "kind": "practice",
    "id": "gent--table",
    "title": {"en": "Table", "fr": "Une table"},
    "city": "gent",
    "themes": ["heat", "work"],
    "outcomes": [
        {"id": "claim-1", "value": "7", "unit": {"en": "duos"}, "stated_in": ["source-1"]},
        {"id": "claim-2", "value": "12"},
    ],
    "sources": [{"id": "source-1", "url": "https://x.example/a"}],
}


def kept(record):
    """The record as the ledger gives it back."""
    return from_ntriples(to_ntriples(to_graph(record, BASE)), BASE)


def stored(record):
    return to_ntriples(to_graph(record, BASE))


def nodes(record):
    """Every inner node, as (field, node)."""
    for field in declaration().kinds[record["kind"]].fields:
        if field.inner is not None and field.key != "record" and field.key in record:
            for node in record[field.key] if field.many else [record[field.key]]:
                yield field, node


def resolved(record):
    """The record with every reference to a node of its own leading to one that is there, or left out."""
    record = copy.deepcopy(record)
    ids = [node["id"] for _, node in nodes(record)]
    for field, node in nodes(record):
        for part in field.inner.fields:
            if part.type == "inner-ref" and part.key in node:
                fitting = [id for id in ids if id.startswith(part.refers_to) and id != node["id"]]
                found = sorted({fitting[len(name) % len(fitting)] for name in node[part.key]} if fitting else ())
                node[part.key] = found
                if not found:
                    del node[part.key]
    return record


@st.composite
def ledger_records(draw, kind=None, id="x"):
    kind = kind or draw(st.sampled_from(KINDS))
    contents = draw(contents_of(declaration().kinds[kind]))
    return resolved(kept({"kind": kind, "id": id, **contents}))


@st.composite
def edited(draw, record):
    """Another form of the record: fields removed, replaced and added, inner nodes changed, removed and added."""
    fresh = draw(ledger_records(record["kind"], record["id"]))
    result = {"kind": record["kind"], "id": record["id"]}
    for field in declaration().kinds[record["kind"]].fields:
        old, new = record.get(field.key), fresh.get(field.key)
        choice = draw(st.sampled_from(["old", "old", "new", "both"]))
        if choice == "both" and field.many and field.inner is not None and old and new:
            taken = [node["id"] for node in old]
            kept_nodes = [node for node in old if draw(st.booleans())]
            changed = [
                {**node, "id": draw(st.sampled_from([next_inner_id(field.inner.id_prefix, taken)]))} for node in new[:1]
            ]
            value = kept_nodes + changed
        elif choice == "both" and field.type == "text" and old and new:
            value = {**old, **new}
        elif choice == "both" and field.many and isinstance(old, list) and isinstance(new, list):
            value = old if field.inner is not None else sorted({*old, *new})
        else:
            value = new if choice == "new" else old
        if value:
            result[field.key] = value
    return kept(result)


histories = ledger_records().flatmap(lambda base: st.tuples(st.just(base), edited(base), edited(base)))
start = st.sampled_from(STARTING).map(kept)
start_histories = start.flatmap(lambda base: st.tuples(st.just(base), edited(base), edited(base)))
quick = settings(max_examples=20, deadline=None)


# --- patch


@quick
@given(ledger_records())
def test_an_empty_patch_changes_nothing_and_the_record_as_its_own_patch_neither(record):
    assert merge_patch(record, {}) == record
    assert kept(merge_patch(record, record)) == record


@quick
@given(st.one_of(histories, start_histories))
def test_a_patch_gives_what_it_names_and_leaves_the_rest(history):
    before, after, _ = history
    named = {k: v for k, v in after.items() if not isinstance(v, (dict, list))}
    patched = merge_patch(before, named)
    assert all(patched[key] == value for key, value in named.items())
    assert {k: v for k, v in patched.items() if k not in named} == {k: v for k, v in before.items() if k not in named}


@quick
@given(st.one_of(histories, start_histories))
def test_a_patch_written_out_from_both_forms_leads_from_one_to_the_other(history):
    before, after, _ = history
    assert kept(merge_patch(before, patch_between(before, after))) == after


def patch_between(before, after):
    """The patch that a form would send: null for what is gone, inner nodes by identifier."""
    patch = dict.fromkeys(before.keys() - after.keys())
    kind = declaration().kinds[before["kind"]]
    for key, value in after.items():
        field = kind.by_key.get(key)
        old = before.get(key)
        if field is None or old is None:
            patch[key] = value
        elif field.type in ("text", "texts") or key == "record":
            patch[key] = nested(old, value)
        elif field.inner is not None and field.many:
            was, now = ({node["id"]: node for node in part} for part in (old, value))
            patch[key] = dict.fromkeys(was.keys() - now.keys()) | {
                id: nested(was.get(id, {}), node) for id, node in now.items()
            }
        elif field.inner is not None and old["id"] == value["id"]:
            patch[key] = nested(old, value)
        else:
            patch[key] = value
    return patch


def nested(old, new):
    """RFC 7396 between two objects."""
    patch = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(old.get(key), dict)
        patch[key] = nested(old[key], value) if both else value
    return patch


def test_the_record_that_is_patched_stays_as_it_is():
    before = copy.deepcopy(PRACTICE)
    merge_patch(PRACTICE, {"title": {"en": None}, "outcomes": {"claim-1": {"unit": {"fr": "duos"}}, "claim-2": None}})
    assert before == PRACTICE


def test_texts_are_patched_by_language_however_the_tag_is_spelt():
    record = {"kind": "practice", "id": "x", "title": {"nl-BE": "Tafel", "en": "Table"}}
    assert merge_patch(record, {"title": {"nl-be": "De tafel"}})["title"] == {"nl-BE": "De tafel", "en": "Table"}
    assert merge_patch(record, {"title": {"NL-BE": None, "en": None}}) == {"kind": "practice", "id": "x"}
    theme = {"kind": "theme", "id": "x", "alt": {"en": ["jobs", "work"]}}
    assert merge_patch(theme, {"alt": {"en": ["posts"], "fr": ["emploi"]}})["alt"] == {
        "en": ["posts"],
        "fr": ["emploi"],
    }
    assert "alt" not in merge_patch(theme, {"alt": {"en": []}})


def test_inner_nodes_are_patched_by_identifier_and_never_by_position():
    patched = merge_patch(PRACTICE, {"outcomes": [{"id": "claim-2", "value": "13"}, {"value": "20"}]})
    assert [(claim["id"], claim["value"]) for claim in patched["outcomes"]] == [
        ("claim-1", "7"),
        ("claim-2", "13"),
        ("claim-3", "20"),
    ]
    assert merge_patch(PRACTICE, {"outcomes": []})["outcomes"] == PRACTICE["outcomes"]
    assert merge_patch(PRACTICE, {"outcomes": {"claim-7": None}}) == PRACTICE
    assert "outcomes" not in merge_patch(PRACTICE, {"outcomes": None})


def test_identifiers_that_were_ever_used_are_not_given_again():
    taken = ["claim-3", "source-2"]
    assert merge_patch(PRACTICE, {"outcomes": [{}]}, taken=taken)["outcomes"][-1] == {"id": "claim-4"}
    patch = {"sources": [{"id": "source-2"}], "outcomes": [{"id": "claim-1", "stated_in": ["source-1", "source-2"]}]}
    patched = merge_patch(PRACTICE, patch, taken=taken)
    assert [source["id"] for source in patched["sources"]] == ["source-1", "source-3"]
    assert patched["outcomes"][0]["stated_in"] == ["source-1", "source-3"]


def test_a_new_node_may_bring_an_identifier_of_its_own_that_others_name():
    patch = {"outcomes": [{"id": "claim-2", "stated_in": ["source-9"]}], "sources": [{"id": "source-9"}, {}]}
    patched = merge_patch(PRACTICE, patch)
    assert [source["id"] for source in patched["sources"]] == ["source-1", "source-9", "source-10"]
    assert patched["outcomes"][1]["stated_in"] == ["source-9"]
    assert merge_patch(patched, {"sources": [{"id": "source-9"}]}) == patched


def test_a_part_that_stands_alone_is_changed_replaced_and_removed():
    record = {"kind": "practice", "id": "x", "contact": {"id": "contact-1", "mailbox": "a@x.example"}}
    changed = merge_patch(record, {"contact": {"accepts_requests": True}})
    assert changed["contact"] == {"id": "contact-1", "mailbox": "a@x.example", "accepts_requests": True}
    replaced = merge_patch(record, {"contact": {"id": "contact-2", "accepts_requests": False}})
    assert replaced["contact"] == {"id": "contact-2", "accepts_requests": False}
    assert merge_patch(record, {"contact": None}) == {"kind": "practice", "id": "x"}
    assert merge_patch({"kind": "practice", "id": "x"}, {"contact": {}}, taken=["contact-1"])["contact"] == {
        "id": "contact-2"
    }


def test_what_the_ledger_says_of_a_record_may_be_repeated_and_not_changed():
    record = {"kind": "city", "id": "x", "record": {"state": "draft", "revision": 7, "confidence": "sourced"}}
    repeated = {"kind": "city", "id": "x", "iri": BASE + "id/city/x", "record": {"state": "draft", "revision": 7}}
    assert merge_patch(record, repeated) == record
    assert merge_patch(record, {"record": None})["record"] == {"state": "draft", "revision": 7}
    with pytest.raises(InvalidRecord) as caught:
        merge_patch(record, {"record": {"state": "published", "visibility": None}, "id": "y", "kind": "theme"})
    assert [problem.field for problem in caught.value.problems] == ["id", "kind", "record.state", "record.visibility"]


def test_a_patch_says_who_shall_see_a_record_and_leaves_the_rest_of_it():
    record = {"kind": "city", "id": "x", "record": {"state": "draft", "visibility": "public", "confidence": "sourced"}}
    changed = merge_patch(record, {"record": {"visibility": "team"}})
    assert changed["record"] == {"state": "draft", "visibility": "team", "confidence": "sourced"}


@pytest.mark.parametrize(
    ("patch", "place"),
    [
        ([], ""),
        (None, ""),
        ({"titel": {"en": "x"}}, "titel"),
        ({"title": "x"}, "title"),
        ({"outcomes": "x"}, "outcomes"),
        ({"outcomes": [None]}, "outcomes.1"),
        ({"outcomes": [{"valu": "1"}]}, "outcomes.claim-3.valu"),
        ({"outcomes": [{"id": "Claim 3"}]}, "outcomes.Claim 3.id"),
        ({"outcomes": [{"id": 3}]}, "outcomes.3.id"),
        ({"outcomes": [{"id": "record"}]}, "outcomes.record.id"),
        ({"outcomes": [{"id": "source-1"}]}, "outcomes.source-1.id"),
        ({"outcomes": [{"id": "claim-1"}, {"id": "claim-1"}]}, "outcomes.claim-1.id"),
        ({"outcomes": {"claim-1": {"id": "claim-2"}}}, "outcomes.claim-1.id"),
        ({"outcomes": {"claim-1": [1]}}, "outcomes.claim-1"),
        ({"contact": ["x"]}, "contact"),
        ({"record": "x"}, "record"),
        ({"x" * 100_000: 1}, "x" * 60),
    ],
)
def test_a_patch_that_cannot_be_applied_is_refused_with_its_place(patch, place):
    with pytest.raises(InvalidRecord) as caught:
        merge_patch(PRACTICE, patch)
    assert [problem.field for problem in caught.value.problems] == [place]


def test_a_patch_is_refused_when_it_is_too_deep_or_too_long():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TooLarge, match=f"at most {PATCH_DEPTH} levels"):
        merge_patch(PRACTICE, {"themes": deep})
    with pytest.raises(TooLarge, match="100,000 values"):
        merge_patch(PRACTICE, {"themes": ["x"] * PATCH_PARTS})


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(max_size=3), st.sampled_from(["id", "claim-1", "value", "statement", "en"])),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*declaration().kinds["practice"].by_key, "id", "x"]), json_values, max_size=4))
def test_any_json_as_a_patch_is_applied_or_refused_as_a_record(patch):
    with suppress(InvalidRecord):
        to_graph(merge_patch(PRACTICE, patch), BASE)


# --- differences


@quick
@given(st.one_of(histories, start_histories))
def test_there_are_differences_exactly_where_the_stored_forms_differ(history):
    before, after, _ = history
    assert differences(before, before) == []
    found = differences(before, after)
    assert bool(found) == (stored(before) != stored(after))
    turned = differences(after, before)
    assert [(d.path, d.after, d.before) for d in turned] == [(d.path, d.before, d.after) for d in found]
    assert all(describe(difference, language) for difference in found for language in ("en", "fr"))


@given(st.sampled_from(STARTING))
@settings(max_examples=30, deadline=None)
def test_a_record_that_is_new_differs_from_nothing_in_all_it_says(record):
    record = kept(record)
    found = differences(None, record)
    assert {d.path.split(".")[0].split("@")[0] for d in found} == record.keys() - {"kind", "id"}
    assert all(d.before is None for d in found)


def test_differences_are_found_field_by_field_node_by_node_and_language_by_language():
    after = copy.deepcopy(PRACTICE)
    after["title"] = {"en": "Table for two", "lv": "Galds"}
    after["outcomes"] = [{"id": "claim-3", "value": "1"}, {**PRACTICE["outcomes"][0], "value": "8", "stated_in": []}]
    after["record"] = {"state": "published", "licence": "https://x.example/l"}
    assert [(d.path, d.before, d.after) for d in differences(PRACTICE, after)] == [
        ("title@en", "Table", "Table for two"),
        ("title@fr", "Une table", None),
        ("title@lv", None, "Galds"),
        ("outcomes.claim-1.value", "7", "8"),
        ("outcomes.claim-1.stated_in", ["source-1"], None),
        ("outcomes.claim-2", {"value": "12"}, None),
        ("outcomes.claim-3", None, {"value": "1"}),
        ("record.licence", None, "https://x.example/l"),
    ]


def test_only_what_the_ledger_would_keep_counts_as_a_difference():
    one = {"kind": "city", "id": "x", "name": {"nl-BE": "Gent"}, "latitude": "51.050", "alt_names": ["b", "a", "a"]}
    other = {
        **one,
        "name": {"nl-be": "Gent"},
        "latitude": "51.05",
        "alt_names": ["a", "b"],
        "languages": [],
        "nuts": None,
    }
    assert differences(one, other) == []
    assert [d.path for d in differences(one, {**other, "latitude": "51.06"})] == ["latitude"]
    mailbox = {"kind": "practice", "id": "x", "contact": {"id": "contact-1", "accepts_requests": True}}
    assert differences(mailbox, {**mailbox, "contact": {"id": "contact-1", "accepts_requests": 1}}) != []


def test_a_difference_is_said_in_english_and_french():
    practice = "practice"
    assert describe(Difference(practice, "title@fr", "", None, "Une table")) == "Title (fr): “Une table” added"
    assert describe(Difference(practice, "city", "", "gent", None), "fr") == "Ville : « gent » retiré"
    evidence = Difference(practice, "outcomes.claim-1.evidence", "", "activity-counts", None)
    assert "activity-counts" not in describe(evidence)
    assert describe(Difference(practice, "contact.contact-1.accepts_requests", "", True, False)).endswith(
        "yes became no"
    )
    claim = Difference(practice, "outcomes.claim-1", "", None, {"value": "7"})
    assert describe(claim, "fr-BE").endswith(", claim-1 : « 7 » ajouté")
    long = "a" * 500
    said = describe(Difference(practice, "action@en", "", f"{long} north {long}", f"{long} south {long}"))
    assert "north" in said
    assert "south" in said
    assert len(said) < 400
    assert label_of("practice", "no.such@place") == "no.such@place"


def test_two_kinds_are_not_compared():
    with pytest.raises(ValueError, match="one kind"):
        differences({"kind": "city", "id": "x"}, {"kind": "theme", "id": "x"})


# --- three ways


@quick
@given(st.one_of(histories, start_histories))
def test_where_one_side_changed_nothing_the_merger_is_the_other(history):
    base, _, yours = history
    for merged in (three_way(base, base, yours), three_way(base, yours, base), three_way(base, yours, yours)):
        assert merged.collisions == []
        assert merged.merged == yours


@quick
@given(st.one_of(histories, start_histories))
def test_the_merger_does_not_depend_on_who_is_called_you(history):
    base, theirs, yours = history
    one, other = three_way(base, theirs, yours), three_way(base, yours, theirs)
    assert one.theirs == other.yours
    assert one.theirs == differences(base, theirs)
    if not one.renumbered:
        assert one.collisions == other.collisions
        assert one.merged == other.merged
    assert (one.merged is None) == bool(one.collisions)


@quick
@given(st.one_of(histories, start_histories))
def test_the_merger_has_every_change_of_both(history):
    base, theirs, yours = history
    found = three_way(base, theirs, yours)
    if found.merged is not None and not found.renumbered:
        merged = {d.path: d for d in differences(base, found.merged)}
        for wanted in [*found.theirs, *found.yours]:
            done = merged.get(wanted.path)
            assert done is not None, wanted.path
            if isinstance(wanted.before, list) or isinstance(wanted.after, list):
                assert set(wanted.added) <= set(done.added)
                assert set(wanted.removed) <= set(done.removed)
            else:
                assert done.after == wanted.after


def test_places_that_both_changed_in_another_way_collide():
    theirs = merge_patch(
        PRACTICE, {"title": {"en": "A", "fr": "T"}, "outcomes": {"claim-1": None, "claim-2": {"value": "1"}}}
    )
    yours = merge_patch(PRACTICE, {"title": {"en": "B", "fr": "T"}, "outcomes": [{"id": "claim-1", "value": "9"}]})
    found = three_way(PRACTICE, theirs, yours)
    assert found.collisions == ["title@en", "outcomes.claim-1"]
    assert found.merged is None


def test_lists_take_what_either_added_and_lose_what_either_removed():
    theirs, yours = {**PRACTICE, "themes": ["heat", "youth"]}, {**PRACTICE, "themes": ["work", "housing", "youth"]}
    assert three_way(PRACTICE, theirs, yours).merged["themes"] == ["housing", "youth"]


def test_new_nodes_of_both_sides_stay_apart_with_what_they_refer_to():
    def with_claim(name):
        source, claim = (
            {"id": "source-2", "url": f"https://{name}.example/"},
            {"id": "claim-3", "stated_in": ["source-2"]},
        )
        return merge_patch(PRACTICE, {"outcomes": [claim], "sources": [source]})

    found = three_way(PRACTICE, with_claim("their"), with_claim("your"))
    assert found.collisions == []
    assert found.renumbered == {"claim-3": "claim-4", "source-2": "source-3"}
    urls = {source["id"]: source["url"] for source in found.merged["sources"]}
    assert [(claim["id"], [urls[id] for id in claim["stated_in"]]) for claim in found.merged["outcomes"][2:]] == [
        ("claim-3", ["https://their.example/"]),
        ("claim-4", ["https://your.example/"]),
    ]


def test_a_node_that_one_side_removed_and_the_other_newly_names_collides():
    theirs = merge_patch(PRACTICE, {"sources": None, "outcomes": {"claim-1": {"stated_in": None}}})
    yours = merge_patch(PRACTICE, {"outcomes": {"claim-2": {"stated_in": ["source-1"]}}})
    assert three_way(PRACTICE, theirs, yours).collisions == ["sources.source-1"]


def test_two_contacts_where_there_is_place_for_one_collide():
    base = {"kind": "practice", "id": "x"}
    theirs, yours = ({**base, "contact": {"id": id, "mailbox": f"{id}@x.example"}} for id in ("contact-1", "contact-2"))
    assert three_way(base, theirs, yours).collisions == ["contact"]


# --- RDF patch


def applied(patch, quads):
    """A small reader of RDF Patch: quads after the patch, as text."""
    quads, inside = set(quads), False
    for line in patch.splitlines():
        operation, _, rest = line.partition(" ")
        assert line.endswith(" ."), line
        if operation in ("TX", "TC"):
            inside = operation == "TX"
        elif operation in ("A", "D"):
            assert inside
            (quad,) = ox.parse(rest, format=ox.RdfFormat.N_QUADS)
            (quads.add if operation == "A" else quads.remove)(quad)
        else:
            assert operation == "H"
    assert not inside
    return quads


def quads(payload, graph):
    return {
        ox.Quad(t.subject, t.predicate, t.object, ox.NamedNode(graph))
        for t in ox.parse(payload, format=ox.RdfFormat.N_TRIPLES)
    }


@quick
@given(st.one_of(histories, start_histories))
def test_an_rdf_patch_leads_from_one_form_to_the_other_and_back(history):
    before, after = stored(history[0]), stored(history[1])
    graph = f"{BASE}id/{history[0]['kind']}/x#record"
    patch = rdf_patch(before, after, graph, id="urn:revision:2", previous="urn:revision:1")
    assert patch.startswith("H id <urn:revision:2> .\nH prev <urn:revision:1> .\nTX .\n")
    assert applied(patch, quads(before, graph)) == quads(after, graph)
    assert applied(rdf_patch(after, before, graph), quads(after, graph)) == quads(before, graph)
    assert applied(rdf_patch(None, after, graph), set()) == quads(after, graph)
    assert applied(rdf_patch(before, None, graph), quads(before, graph)) == set()


def test_an_address_that_would_break_out_of_the_patch_is_refused():
    with pytest.raises(ValueError, match="no address"):
        rdf_patch(None, "", "urn:g> .\nA <urn:a")


# --- blame


@quick
@given(st.one_of(histories, start_histories))
def test_every_place_is_blamed_on_the_version_that_last_changed_it(history):
    versions = list(enumerate([*history, history[1]], start=5))
    blamed = blame(versions)
    newest = versions[-1][1]
    leaves = {d.path for d in differences({"kind": newest["kind"], "id": "x"}, newest) if not isinstance(d.after, dict)}
    assert leaves <= blamed.keys()
    for (_, before), (number, after) in pairwise(versions):
        for changed in differences(before, after):
            if changed.path in blamed and changed.after is not None:
                assert blamed[changed.path] >= number
    assert all(number == 5 for number in blame([(5, newest), (6, newest)]).values())


def test_blame_goes_into_inner_nodes_and_passes_over_erased_versions():
    changed = merge_patch(PRACTICE, {"outcomes": {"claim-2": {"value": "13"}}, "title": {"fr": None}})
    again = merge_patch(changed, {"title": {"fr": "Une table"}})
    blamed = blame([(1, PRACTICE), (2, None), (4, changed), (9, again)])
    assert blamed["outcomes.claim-2"] == 1
    assert blamed["outcomes.claim-2.value"] == 4
    assert blamed["title@en"] == 1
    assert blamed["title@fr"] == 9
    assert blame([(1, None)]) == {}


# --- two records into one


def test_references_are_rewritten_in_the_record_and_in_its_nodes():
    record = {
        "kind": "practice",
        "id": "gent--table",
        "city": "gent",
        "partners": [{"id": "partner-1", "partner_city": "gent"}, {"id": "partner-2", "organisation": "gent"}],
    }
    changed = replace_reference(record, "city", "gent", "ghent")
    assert changed["city"] == "ghent"
    assert changed["partners"] == [
        {"id": "partner-1", "partner_city": "ghent"},
        {"id": "partner-2", "organisation": "gent"},
    ]
    assert record["city"] == "gent"


@quick
@given(ledger_records(), st.sampled_from(KINDS))
def test_no_reference_to_the_old_record_is_left(record, kind):
    named = {ref for ref in every_reference(record) if ref[0] == kind}
    for _, old in named:
        record = kept(replace_reference(record, kind, old, "the-new-one"))
    left = {ref for ref in every_reference(record) if ref[0] == kind}
    assert left == ({(kind, "the-new-one")} if named else set())


def every_reference(record):
    """Every (kind, id) that a record's fields name."""
    structures = [
        (declaration().kinds[record["kind"]], record),
        *((field.inner, node) for field, node in nodes(record)),
    ]
    for structure, values in structures:
        for field in structure.fields:
            if field.type == "ref" and field.key in values:
                for one in values[field.key] if field.many else [values[field.key]]:
                    yield field.ref_kind, one


pairs = st.one_of(
    st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(ledger_records(kind, "x"), ledger_records(kind, "y"))),
    ledger_records().flatmap(lambda one: st.tuples(st.just(one), edited(one).map(lambda two: {**two, "id": "y"}))),
    st.sampled_from(STARTING).flatmap(
        lambda one: st.tuples(
            st.just(kept(one)),
            st.sampled_from(
                [two for two in STARTING if two["kind"] == one["kind"] and two != one] or [{**one, "id": "y"}]
            ).map(kept),
        )
    ),
)


def wordings(value):
    """Every text and word inside a value."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in wordings(part)]
    return [text for part in value for text in wordings(part)] if isinstance(value, list) else [str(value)]


def said(field, node, record):
    """What a node says without identifiers: its values, and what the nodes say that it refers to."""
    told = {}
    by_id = {
        one["id"]: {k: v for k, v in one.items() if k not in ("id", "stated_in", "rivals")} for _, one in nodes(record)
    }
    for part in field.inner.fields:
        if part.key in node:
            refs = part.type == "inner-ref"
            told[part.key] = (
                sorted(json.dumps(by_id[id], sort_keys=True) for id in node[part.key] if id in by_id)
                if refs
                else node[part.key]
            )
    return told


def covers(one, other):
    """Whether a node says all that another says; references of twins may have become more."""
    return all(
        set(value) <= set(one.get(key, [])) if key in ("stated_in", "rivals") else key in one and one[key] == value
        for key, value in other.items()
    )


@settings(max_examples=50, deadline=None)
@given(pairs)
def test_nothing_of_either_record_is_missing_in_the_merged_one(pair):
    one, other = pair
    merged, decisions = merge_records(one, other)
    assert kept(merged) == merged
    assert (merged["kind"], merged["id"]) == (one["kind"], one["id"])
    everything = "\n".join(wordings(merged))
    lost = {str(decision.other) for decision in decisions if decision.how in ("lost", "self")}
    for record in (one, other):
        body = {key: value for key, value in record.items() if key not in ("kind", "id")}
        for field, node in nodes(body | {"kind": one["kind"]}):
            body.pop(field.key, None)
            if field.many:
                told = [said(field, here, merged) for there, here in nodes(merged) if there.key == field.key]
                assert any(covers(here, said(field, node, record)) for here in told), node
        for text in wordings(body):
            assert text in everything or text in lost, text
        for kind, id in every_reference(record):
            assert id in everything or id in lost, (kind, id)
    for _, node in nodes(one):
        assert node["id"] in {here["id"] for _, here in nodes(merged)}


@quick
@given(pairs)
def test_merging_again_adds_no_node(pair):
    one, other = pair
    merged, _ = merge_records(one, other)
    again, _ = merge_records(merged, other)
    assert len(list(nodes(again))) == len(list(nodes(merged)))


def test_claims_of_both_stand_side_by_side_with_their_own_sources():
    other = {
        "kind": "practice",
        "id": "gent--tafel",
        "title": {"en": "Table", "nl": "Tafel"},
        "themes": ["work", "youth"],
        "outcomes": [
            {"id": "claim-1", "value": "7", "unit": {"en": "duos"}, "stated_in": ["source-2"]},
            {"id": "claim-2", "value": "9", "stated_in": ["source-1", "source-2"], "rivals": ["claim-1"]},
        ],
        "sources": [
            {"id": "source-1", "url": "https://x.example/b"},
            {"id": "source-2", "url": "https://x.example/a"},
        ],
    }
    merged, decisions = merge_records(PRACTICE, other, taken=["claim-5"])
    assert decisions == []
    assert merged["title"] == {"en": "Table", "fr": "Une table", "nl": "Tafel"}
    assert merged["themes"] == ["heat", "work", "youth"]
    assert merged["sources"][1] == {"id": "source-2", "url": "https://x.example/b"}
    assert [claim["id"] for claim in merged["outcomes"]] == ["claim-1", "claim-2", "claim-6"]
    assert merged["outcomes"][2] == {
        "id": "claim-6",
        "value": "9",
        "stated_in": ["source-1", "source-2"],
        "rivals": ["claim-1"],
    }


def test_a_reference_to_a_part_that_is_gone_does_not_lead_to_a_part_of_the_kept_record():
    other = {**PRACTICE, "id": "gent--tafel", "outcomes": [{"id": "claim-1", "value": "9", "stated_in": ["source-1"]}]}
    del other["sources"]
    merged, _ = merge_records(PRACTICE, other)
    assert merged["outcomes"][-1] == {"id": "claim-3", "value": "9"}


def test_what_has_no_place_is_noted_joined_or_said_to_be_lost():
    one = {"kind": "practice", "id": "a", "title": {"en": "One"}, "action": {"en": "Cooks."}, "city": "gent"}
    two = {"kind": "practice", "id": "b", "title": {"en": "Two"}, "action": {"en": "Eats."}, "city": "riga"}
    merged, decisions = merge_records(one, two, "fr")
    assert merged["title"] == {"en": "One"}
    assert merged["action"] == {"en": "Cooks.\n\nEats."}
    assert merged["record"]["notes"]["fr"].splitlines() == [
        "De la fiche fusionnée b : Titre (en) : Two",
        "De la fiche fusionnée b : Ville : riga",
    ]
    assert [(d.path, d.how, d.kept, d.other) for d in decisions] == [
        ("action@en", "joined", "Cooks.", "Eats."),
        ("title@en", "noted", "One", "Two"),
        ("city", "noted", "gent", "riga"),
    ]
    assert all(decision.words for decision in decisions)
    full = {**one, "record": {"notes": {"en": "x" * 4990}}}
    _, decisions = merge_records(full, two)
    assert [decision.how for decision in decisions] == ["joined", "lost", "lost"]


def test_a_merged_record_does_not_name_itself():
    one = {"kind": "theme", "id": "heat", "broader": "summer-heat"}
    two = {"kind": "theme", "id": "summer-heat", "broader": "climate"}
    merged, decisions = merge_records(one, two)
    assert merged["broader"] == "climate"
    assert [(d.path, d.how, d.other) for d in decisions] == [("broader", "self", "summer-heat")]


def test_records_of_two_kinds_and_a_record_with_itself_are_not_merged():
    with pytest.raises(BadRequest, match="one kind"):
        merge_records(PRACTICE, {"kind": "city", "id": "gent"})
    with pytest.raises(BadRequest, match="into itself"):
        merge_records(PRACTICE, PRACTICE)


def test_the_role_of_a_row_is_one_of_the_roles_that_accounts_have():
    assert [role_of(f"{role}/ilze") for role in ROLES] == list(ROLES)
    assert role_of("ilze") == role_of("a/b/c") == role_of("curator/") == "administrator"
