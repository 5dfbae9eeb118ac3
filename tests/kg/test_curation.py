"""Who may take which step on which record, what each step leaves behind, and what readers see of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kg.accounts import READER, Actor
from kg.catalogue import Catalogue
from kg.curation import Curation, Saved
from kg.errors import (
    BadRequest,
    DuplicateRecord,
    Gone,
    InvalidRecord,
    KgError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    StaleRecord,
    StillReferenced,
    WrongState,
)
from kg.ledger import Head
from kg.rights import keeps

ILZE, OTTO = Actor("ilze", "contributor"), Actor("otto", "contributor")
ANNA, BELA = Actor("anna", "curator"), Actor("bela", "curator")
MARA, NILS = Actor("mara", "manager"), Actor("nils", "manager")
ADA = Actor("ada", "administrator")
EVERYBODY = (READER, OTTO, ILZE, ANNA, BELA, MARA, ADA)

GENT = {"id": "gent", "name": {"en": "Ghent", "fr": "Gand"}, "country": "BE"}
BUDDIES = {
    "title": {"en": "Buddies"},
    "city": "gent",
    "themes": ["intercultural-buddy"],
    "language": "en",
    "action": {"en": "Residents and newcomers meet every week."},
    "sources": [{"id": "source-1", "url": "https://example.org/buddies"}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The themes and one city, for tests to copy; no model is needed."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with Catalogue.create(folder) as catalogue:
        assert catalogue.save([{"kind": "city", **GENT}]).written
    return folder


@pytest.fixture
def catalogue(made: Path, tmp_path: Path) -> Iterator[Catalogue]:
    folder = shutil.copytree(made, tmp_path / "data", ignore=shutil.ignore_patterns("lock"))
    with Catalogue.open(folder) as opened:
        yield opened


@pytest.fixture
def desk(catalogue: Catalogue) -> Curation:
    return catalogue.curation


def city(desk: Curation, id: str, state: str = "published", by: Actor = ILZE, **more: Any) -> int:
    """A city called `id` in one state, drafted by one person and reviewed by Anna; its newest revision."""
    record = {"id": id, "name": {"en": id.capitalize()}, "country": "LV", **more}
    return brought(desk, "city", desk.create("city", record, by), state, by)


def practice(desk: Curation, title: str, state: str = "published", by: Actor = ILZE, **more: Any) -> Saved:
    saved = desk.create("practice", {**BUDDIES, "title": {"en": title}, **more}, by)
    brought(desk, "practice", saved, state, by)
    return saved


def brought(desk: Curation, kind: str, saved: Saved, state: str, by: Actor) -> int:
    id, number = saved.id, saved.revision
    if state in ("submitted", "returned"):
        number = desk.submit(kind, id, by, expected=number).revision
    if state == "returned":
        number = desk.give_back(kind, id, ANNA, expected=number, note="since when?").revision
    if state in ("published", "withdrawn", "both"):
        number = desk.publish(kind, id, ANNA, expected=number).revision
    if state == "both":
        number = desk.patch(kind, id, {"record": {"notes": {"en": "more"}}}, by, expected=number).revision
    if state == "withdrawn":
        number = desk.withdraw(kind, id, ANNA, expected=number, reason="told twice").revision
    return number


def head(desk: Curation, kind: str, id: str) -> Head:
    found = desk._ledger.head(kind, id)
    assert found is not None
    return found


def now(desk: Curation, kind: str, id: str) -> dict[str, Any]:
    return desk.read(kind, id, ADA, "newest")[0]


def shown(catalogue: Catalogue, kind: str, id: str) -> dict[str, Any] | None:
    """What a stranger gets; the graph must say the same."""
    thing = f"{catalogue.base}id/{kind}/{id}"
    in_graph = bool(catalogue.graph.rows(f"SELECT ?type {{ <{thing}> a ?type }}"))
    try:
        record = catalogue.get(kind, id)
    except (NotFound, Gone):
        record = None
    assert in_graph == (record is not None)
    return record


def refused(call: Callable[[], object]) -> type[Exception] | None:
    try:
        call()
    except (BadRequest, NotAllowed, NotAuthenticated, NotFound, WrongState, Gone, StaleRecord, InvalidRecord) as error:
        return type(error)
    return None


# Who may do what


ALLOWED = {
    # step: {state: who may take it}, of everybody; Ilze began the draft
    "patch": {
        "draft": (ILZE, ANNA, BELA, ADA),
        "submitted": (ANNA, BELA, ADA),
        "returned": (ILZE, ANNA, BELA, ADA),
        "published": (OTTO, ILZE, ANNA, BELA, MARA, ADA),
        "both": (ILZE, ANNA, BELA, ADA),
        "withdrawn": (ANNA, BELA, ADA),
    },
    "submit": {"draft": (ILZE, ANNA, BELA, ADA), "returned": (ILZE, ANNA, BELA, ADA), "both": (ILZE, ANNA, BELA, ADA)},
    "give_back": {"submitted": (ANNA, BELA, ADA)},
    "publish": {
        "draft": (ANNA, BELA, ADA),
        "submitted": (ANNA, BELA, ADA),
        "returned": (ANNA, BELA, ADA),
        "both": (ANNA, BELA, ADA),
    },
    "withdraw": {
        "draft": (ILZE, ANNA, BELA, ADA),
        "submitted": (ANNA, BELA, ADA),
        "returned": (ILZE, ANNA, BELA, ADA),
        "published": (ANNA, BELA, ADA),
        "both": (ANNA, BELA, ADA),
    },
    "comment": {
        "draft": (ILZE, ANNA, BELA, MARA, ADA),
        "submitted": (ILZE, ANNA, BELA, MARA, ADA),
        "returned": (ILZE, ANNA, BELA, MARA, ADA),
        "published": (ANNA, BELA, MARA, ADA),
        "both": (ILZE, ANNA, BELA, MARA, ADA),
        "withdrawn": (ANNA, BELA, MARA, ADA),
    },
    "assign": dict.fromkeys(("draft", "submitted", "returned", "published", "both", "withdrawn"), (ANNA, BELA, ADA)),
}
STATES = ("draft", "submitted", "returned", "published", "both", "withdrawn")


def take(desk: Curation, step: str, actor: Actor, number: int, kind: str = "city", id: str = "riga") -> object:
    if step == "patch":
        return desk.patch(kind, id, {"name": {"lv": f"R {actor.name}"}}, actor, expected=number)
    if step == "give_back":
        return desk.give_back(kind, id, actor, expected=number, note="why?")
    if step == "withdraw":
        return desk.withdraw(kind, id, actor, expected=number, reason="told twice")
    if step == "comment":
        return desk.discussion.comment(kind, id, "Since when?", actor)
    if step == "assign":
        return desk.discussion.assign(kind, id, ["bela"], actor)
    return getattr(desk, step)(kind, id, actor, expected=number)


@pytest.mark.parametrize("state", STATES)
def test_each_role_may_take_the_steps_that_are_its_own(catalogue: Catalogue, desk: Curation, state: str) -> None:
    made = 0
    for step, states in ALLOWED.items():
        number = 0
        for actor in EVERYBODY:
            if not number:  # the step before was taken
                made += 1
                id = f"riga-{made}"
                number = city(desk, id, state)
            before = catalogue.ledger.last_number()
            error = refused(lambda step=step, actor=actor, id=id, number=number: take(desk, step, actor, number, id=id))  # type: ignore[misc]
            assert (error is None) == (actor in states.get(state, ())), (step, actor, error)
            if error is not None:
                assert catalogue.ledger.last_number() == before
            elif step not in ("comment", "assign"):
                number = 0
            if actor == READER:
                assert error in (NotAuthenticated, NotFound)


def test_managers_keep_what_belongs_to_mentorships_and_nothing_else(desk: Curation) -> None:
    need = desk.create("need", {"id": "n", "mentee": "gent", "need_text": {"en": "Shade"}}, MARA)
    assert need.visibility == "team"
    with pytest.raises(NotAllowed, match="second person"):
        desk.publish("need", "n", MARA, expected=need.revision)
    assert desk.publish("need", "n", NILS, expected=need.revision).state == "published"
    made = practice(desk, "Shade", "submitted")
    with pytest.raises(NotAllowed, match="somebody else"):
        desk.publish("practice", made.id, MARA, expected=head(desk, "practice", made.id).number)
    assert [keeps(one, "need") for one in EVERYBODY] == [False, False, False, True, True, True, True]


def test_a_contributor_has_its_own_drafts_and_no_others(catalogue: Catalogue, desk: Curation) -> None:
    number = city(desk, "riga", "draft")
    for version in ("published", "newest", number):
        with pytest.raises(NotFound, match="there is no city 'riga'"):
            desk.read("city", "riga", OTTO, version)
    assert [one["id"] for one in desk.list_records("city", ILZE, state="draft")["results"]] == ["riga"]
    assert desk.list_records("city", OTTO, state="draft")["results"] == []
    with pytest.raises(NotAuthenticated):
        desk.list_records("city", READER)
    with pytest.raises(DuplicateRecord):
        desk.create("city", {"id": "riga", "name": {"en": "Mine"}}, OTTO)


def test_a_stranger_to_a_draft_learns_nothing_of_it_by_trying_to_change_it(desk: Curation) -> None:
    """The number of somebody's draft can be guessed; a patch on it must be refused before it is applied."""
    number = city(desk, "riga", "both")
    with pytest.raises(NotAllowed, match="somebody else"):
        desk.patch("city", "riga", {"nonsense": 1}, OTTO, expected=number)
    with pytest.raises(NotAllowed):
        desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, OTTO, expected=number - 1)


def test_a_draft_begun_beside_a_published_version_is_its_authors(desk: Curation) -> None:
    number = city(desk, "riga")
    saved = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, OTTO, expected=number)
    assert desk.read("city", "riga", OTTO, "newest")[0]["name"]["lv"] == "Rīga"
    assert "lv" not in desk.read("city", "riga", ILZE)[0]["name"]
    with pytest.raises(NotAllowed):
        desk.patch("city", "riga", {"name": {"fr": "Riga"}}, ILZE, expected=saved.revision)
    desk.publish("city", "riga", ANNA, expected=saved.revision)
    assert "newest" not in desk.read("city", "riga", OTTO)[0]["record"]


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        ({"read"}, ()),
        ({"write"}, ("patch", "submit")),
        ({"publish"}, ()),
        ({"read", "write"}, ("patch", "submit", "comment")),
        ({"write", "publish"}, ("patch", "submit", "give_back", "publish", "withdraw")),
        ({"read", "write", "publish"}, ("patch", "submit", "give_back", "publish", "withdraw", "comment", "assign")),
    ],
)
def test_a_token_may_what_its_scopes_say(desk: Curation, scopes: set[str], may: tuple[str, ...]) -> None:
    """What is not for everybody is seen with `read` only; the record is published, so that its address is no secret."""
    token = Actor("bela", "curator", frozenset(scopes))
    for step in ("patch", "submit", "give_back", "publish", "withdraw", "comment", "assign"):
        id = f"riga-{step.replace('_', '-')}"
        number = city(desk, id, "both")
        if step == "give_back":
            number = desk.submit("city", id, ILZE, expected=number).revision
        error = refused(lambda step=step, id=id, number=number: take(desk, step, token, number, id=id))  # type: ignore[misc]
        assert (error is None) == (step in may), (step, error)


# A second person


def test_whoever_wrote_the_newest_words_does_not_publish_them(desk: Curation) -> None:
    """A drafts, B corrects: then A may publish, who reads B's words, and B may not."""
    saved = desk.create("city", {"id": "riga", "name": {"en": "Riga"}, "country": "LV"}, ANNA)
    saved = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, BELA, expected=saved.revision)
    with pytest.raises(NotAllowed, match="second person"):
        desk.publish("city", "riga", BELA, expected=saved.revision)
    assert desk.publish("city", "riga", ANNA, expected=saved.revision).state == "published"


def test_steps_without_words_do_not_make_a_second_person(desk: Curation) -> None:
    saved = desk.create("city", {"id": "riga", "name": {"en": "Riga"}, "country": "LV"}, ANNA)
    saved = desk.submit("city", "riga", BELA, expected=saved.revision)
    saved = desk.give_back("city", "riga", BELA, expected=saved.revision, note="look again")
    saved = desk.undo("city", "riga", saved.revision, BELA, expected=saved.revision)
    with pytest.raises(NotAllowed, match="second person"):
        desk.publish("city", "riga", ANNA, expected=saved.revision)
    with pytest.raises(NotAllowed, match="second person"):
        desk.create("city", {"id": "cesis", "name": {"en": "C"}, "country": "LV"}, ANNA, publish=True)


def test_who_shows_a_record_to_more_people_needs_a_second_person_too(catalogue: Catalogue, desk: Curation) -> None:
    need = {"id": "n", "mentee": "gent", "need_text": {"en": "Shade"}}
    made = desk.create("need", need, ANNA)
    done = desk.publish("need", "n", BELA, expected=made.revision)
    opened = desk.replace("need", "n", {**need, "record": {"visibility": "public"}}, BELA, expected=done.revision)
    with pytest.raises(NotAllowed, match="second person"):
        desk.publish("need", "n", BELA, expected=opened.revision)
    assert shown(catalogue, "need", "n") is None
    desk.publish("need", "n", ANNA, expected=opened.revision)
    assert shown(catalogue, "need", "n") is not None


def test_a_small_team_does_without(desk: Curation) -> None:
    desk.rights.second_person = False
    assert (
        desk.create("city", {"id": "riga", "name": {"en": "R"}, "country": "LV"}, ANNA, publish=True).state
        == "published"
    )
    with pytest.raises(NotAllowed):
        desk.create("city", {"id": "cesis", "name": {"en": "C"}, "country": "LV"}, ILZE, publish=True)


# Words


def test_a_draft_says_what_is_missing_and_is_published_only_when_nothing_is(desk: Curation) -> None:
    saved = desk.create("city", {"id": "riga"}, ILZE)
    assert {one.field for one in saved.missing} == {"name", "country"}
    with pytest.raises(InvalidRecord) as caught:
        desk.publish("city", "riga", ANNA, expected=saved.revision, language="fr")
    assert {one.field for one in caught.value.problems} == {"name", "country"}
    assert desk.create("city", {"id": "cesis", "name": {"en": "C"}, "country": "LV"}, ILZE).missing == ()


def test_what_says_the_same_is_not_written_again(catalogue: Catalogue, desk: Curation) -> None:
    number = city(desk, "riga")
    before = catalogue.ledger.last_number()
    same = desk.patch("city", "riga", {"country": "LV"}, OTTO, expected=number)
    assert (same.changed, same.revision, same.state) == (False, number, "published")
    assert catalogue.ledger.last_number() == before


@pytest.mark.parametrize("state", ["draft", "submitted", "returned"])
def test_a_save_that_changes_nothing_leaves_a_record_in_its_state(desk: Curation, state: str) -> None:
    number = city(desk, "riga", state)
    for saved in (
        desk.patch("city", "riga", {}, ANNA, expected=number),
        desk.replace("city", "riga", now(desk, "city", "riga"), ANNA, expected=number),
    ):
        assert (saved.changed, saved.state, saved.revision) == (False, state, number)
    assert head(desk, "city", "riga").number == number


def test_a_keeper_mends_a_record_in_review_and_somebody_else_publishes_it(desk: Curation) -> None:
    number = city(desk, "riga", "submitted")
    mended = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, ANNA, expected=number)
    assert (mended.changed, mended.state) == (True, "submitted")
    with pytest.raises(NotAllowed, match="second person"):
        desk.publish("city", "riga", ANNA, expected=mended.revision)
    assert desk.publish("city", "riga", BELA, expected=mended.revision).state == "published"


def test_who_mends_a_submitted_record_of_ones_own_submits_it_anew(desk: Curation) -> None:
    number = city(desk, "riga", "submitted", by=ANNA)
    assert desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, ANNA, expected=number).state == "draft"


@pytest.mark.parametrize("title", ["year", "outcomes.claim-2.foo"])
def test_a_patch_is_told_every_problem_at_once_in_the_language_asked_for(desk: Curation, title: str) -> None:
    """A misspelt field hides nothing else, and reads as it does in a check; a name with dots is no place."""
    made = practice(desk, "Buddies", "draft", outcomes=[{"id": "claim-1", "value": "7"}])
    patch = {title: 3, "city": "atlantis", "themes": ["nope"], "language": 3}
    with pytest.raises(InvalidRecord) as caught:
        desk.patch("practice", made.id, patch, ILZE, expected=made.revision, language="fr")
    found = {one.field: one.message for one in caught.value.problems}
    assert set(found) == {title, "city", "themes", "language"}
    assert found == {
        one.field: one.message for one in desk.check("practice", patch, language="fr") if one.field in found
    }
    inner = {"outcomes": [{"id": "claim-1", "foo": 1, "value": ["x"]}], "city": "atlantis", "id": "other"}
    with pytest.raises(InvalidRecord) as caught:
        desk.patch("practice", made.id, inner, ILZE, expected=made.revision, language="fr")
    found = {one.field: one.message for one in caught.value.problems}
    assert set(found) == {"id", "outcomes.claim-1.foo", "outcomes.claim-1.value", "city"}
    assert found["outcomes.claim-1.foo"].startswith("il n'y a pas de champ 'foo' ici")
    assert found["id"].startswith("reste ")


@pytest.mark.parametrize("title", [{"fr": ""}, {"xx-bad": ""}, {"en": " \u00a0", "fr": "\n"}, {"en": "\u200b"}])
def test_a_blank_text_counts_as_missing_wherever_it_is_looked_at(desk: Curation, title: dict[str, str]) -> None:
    record = {**BUDDIES, "title": title}
    assert "title" in {one.field for one in desk.check("practice", record)}
    saved = desk.create("practice", record, ILZE)
    assert {one.field for one in saved.missing} >= {"title"}
    assert "title" not in now(desk, "practice", saved.id)
    with pytest.raises(InvalidRecord) as caught:
        desk.publish("practice", saved.id, ANNA, expected=saved.revision)
    assert "title" in {one.field for one in caught.value.problems}
    named = desk.patch("practice", saved.id, {"title": {"en": "Buddies"}}, ILZE, expected=saved.revision)
    assert "title" not in {one.field for one in named.missing}
    taken = desk.patch("practice", saved.id, {"title": {"en": " "}}, ILZE, expected=named.revision)
    assert "title" in {one.field for one in taken.missing}


def test_a_blank_name_in_one_language_is_not_what_lists_call_a_record(desk: Curation) -> None:
    saved = desk.create("practice", {**BUDDIES, "title": {"en": "", "fr": "Binômes"}}, ILZE)
    assert (saved.id, head(desk, "practice", saved.id).title) == ("gent--binomes", "Binômes")


def test_a_stale_change_is_refused_with_both_sides_and_a_proposal(desk: Curation) -> None:
    number = city(desk, "riga")
    first = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, ANNA, expected=number)
    with pytest.raises(StaleRecord) as caught:
        desk.patch("city", "riga", {"name": {"fr": "Riga"}}, BELA, expected=number)
    assert caught.value.current == first.revision
    difference = caught.value.difference
    assert difference is not None
    assert difference["proposal"]["name"] == {"en": "Riga", "fr": "Riga", "lv": "Rīga"}
    with pytest.raises(StaleRecord) as caught:
        desk.replace("city", "riga", {"name": {"en": "R", "lv": "R"}}, BELA, expected=number)
    assert caught.value.difference is not None
    assert caught.value.difference["collisions"] == ["name@lv"]
    for step in ("submit", "publish"):
        with pytest.raises(StaleRecord, match="look at it again"):
            getattr(desk, step)("city", "riga", BELA, expected=number)


@pytest.mark.parametrize(
    ("record", "id"),
    [
        ({"title": {"en": "Buddies"}, "city": "gent"}, "gent--buddies"),
        ({"title": {"el": "Πόλη"}, "city": "https://x.org/id/city/gent"}, "gent--pole"),
        ({"title": {"en": "Buddies"}, "city": "Ghent & Bruges"}, "ghent-bruges--buddies"),
        ({"title": {"en": "Buddies"}, "id": None}, "buddies"),
        ({"title": {"en": "💚"}}, "practice"),
        ({}, "practice"),
        ({"title": {"en": "x" * 5000}}, "x" * 80),
    ],
)
def test_an_identifier_is_made_of_city_and_title(desk: Curation, record: dict[str, Any], id: str) -> None:
    assert desk._free_id(desk._catalogue._validation.declared.kind("practice"), {"kind": "practice", **record}) == id


def test_a_second_record_of_that_name_gets_a_number(desk: Curation) -> None:
    assert [practice(desk, "Buddies", "draft").id for _ in range(3)] == [
        "gent--buddies",
        "gent--buddies-2",
        "gent--buddies-3",
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"title": {"en": 5}},
        {"title": {"en": None}},
        {"title": ["x"]},
        {"title": {"en": {"en": "x"}}},
        {"title": {"en": "x"}, "city": "Ghent & Bruges"},
        {"title": {"en": "x"}, "city": 7},
        {"title": {"en": "x"}, "id": "Ünwanted"},
        {"title": {"en": "x"}, "id": ["x"]},
        {"title": {"en": "a\x00b"}},
        {"title": {"en": "\ud800"}},
        {"title": {"en": "x"}, "kind": "city"},
        {"title": {"en": "x"}, "kind": ["practice"]},
        {"title": {"en": "x"}, "record": "public"},
        {"title": {"en": "x"}, "record": {"visibility": "everybody"}},
        {"title": {"en": "x"}, "record": {"visibility": ["public"]}},
    ],
)
def test_a_record_that_cannot_be_is_refused_and_not_a_mistake_of_ours(
    catalogue: Catalogue, desk: Curation, record: dict[str, Any]
) -> None:
    before = catalogue.ledger.last_number()
    assert refused(lambda: desk.create("practice", record, ANNA)) in (BadRequest, InvalidRecord)
    with pytest.raises((BadRequest, InvalidRecord)):
        desk.replace("city", "gent", {"kind": "city", **record}, ANNA, expected=head(desk, "city", "gent").number)
    refused(lambda: desk.check("practice", record))
    assert catalogue.ledger.last_number() == before


@pytest.mark.parametrize("words", ["a\x00b", "\ud800", "x" * 6_000])
def test_notes_reasons_and_comments_that_cannot_be_kept_are_refused(
    catalogue: Catalogue, desk: Curation, words: str
) -> None:
    number = city(desk, "riga", "submitted")
    before = catalogue.ledger.last_number()
    bad = (BadRequest, InvalidRecord)
    talk = desk.discussion
    for call in (
        lambda: desk.create("city", {"id": "x"}, ANNA, note=words),
        lambda: desk.patch("city", "riga", {"name": {"fr": "R"}}, ANNA, expected=number, note=words),
        lambda: desk.give_back("city", "riga", ANNA, expected=number, note=words),
        lambda: desk.publish("city", "riga", ANNA, expected=number, note=words),
        lambda: desk.withdraw("city", "riga", ANNA, expected=number, reason=words),
        lambda: talk.comment("city", "riga", words, ANNA),
        lambda: talk.comment("city", "riga", "?", ANNA, field=f"name.{words}"),
        lambda: talk.assign("city", "riga", [words], ANNA),
        lambda: desk.read("city", words, ANNA),
        lambda: desk.merge("city", "gent", words, ANNA, expected=head(desk, "city", "gent").number),
        lambda: desk.withdraw("city", "riga", ANNA, expected=number, reason="x", replaced_by=words),
        lambda: talk.waiting(ANNA, cursor=f"city/{words}"),
    ):
        with pytest.raises(bad):
            call()
    assert catalogue.ledger.last_number() == before
    assert talk.comments("city", "riga", ANNA) == []


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        ("sources.source-9", "sources has no part 'source-9' now; there are: source-1, source-2"),
        ("sources.source-9.url", "sources has no part 'source-9' now"),
        ("sources.", "sources has no part '' now"),
        ("outcomes.claim-1", "outcomes has no part 'claim-1' now; it is empty"),
        ("contact.contact-1.mailbox", "contact has no part 'contact-1' now; it is empty"),
        ("sources.source-1.colour", "a part of sources has no field 'colour'; there are: url, "),
        ("record.colour", "record has no field 'colour'; there are: licence, "),
        ("beginning", "a practice has no field 'beginning'; there are: title, "),
        ("", "a practice has no field ''"),
        ("title.en", "title has no parts: remove 'en'"),
        ("title@no language", "title has nothing at 'title@no language'"),
        ("city@en", "city has nothing at 'city@en'"),
        ("x" * 201, "has 201 characters, 200 at most"),
    ],
)
def test_a_comment_on_what_the_record_does_not_have_is_refused(desk: Curation, place: str, missing: str) -> None:
    sources = [{"id": f"source-{n}", "url": f"https://example.org/{n}"} for n in (1, 2)]
    id = practice(desk, "Shade", "draft", sources=sources).id
    with pytest.raises(BadRequest, match=f"^field: {re.escape(missing)}"):
        desk.discussion.comment("practice", id, "Since when?", ANNA, field=place)
    assert desk.discussion.comments("practice", id, ANNA) == []


@pytest.mark.parametrize(
    "place", ["title", "title@fr", "outcomes", "sources.source-1", "sources.source-1.archived", "record.notes@nl"]
)
def test_a_comment_may_be_on_what_is_still_to_be_filled_in(desk: Curation, place: str) -> None:
    id = practice(desk, "Shade", "draft").id
    said = desk.discussion.comment("practice", id, "What is it?", ANNA, field=place)
    assert (said.field, said.field_gone) == (place, False)


def test_a_comment_outlives_its_part_and_says_so(desk: Curation) -> None:
    claim = {"id": "claim-1", "statement": {"en": "Fewer colds"}, "value": "7", "stated_in": ["source-1"]}
    saved = practice(desk, "Shade", "draft", outcomes=[claim])
    talk, address = desk.discussion, ("practice", saved.id)
    for place in (None, "outcomes", "outcomes.claim-1.value"):
        talk.comment(*address, "Seven of how many?", ANNA, field=place)
    assert [one.field_gone for one in talk.comments(*address, ANNA)] == [False, False, False]
    before = saved.revision
    saved = desk.patch(*address, {"outcomes": {"claim-1": None}}, ILZE, expected=before)
    assert [(one.field, one.text, one.field_gone) for one in talk.comments(*address, ILZE)] == [
        (None, "Seven of how many?", False),
        ("outcomes", "Seven of how many?", False),
        ("outcomes.claim-1.value", "Seven of how many?", True),
    ]
    with pytest.raises(BadRequest, match="no part 'claim-1' now"):
        talk.comment(*address, "And now?", ANNA, field="outcomes.claim-1.value")
    last = talk.comments(*address, ANNA)[-1]
    assert talk.resolve(*address, last.number, ANNA).field_gone
    desk.undo(*address, saved.revision, ANNA, expected=saved.revision)
    assert [one.field_gone for one in talk.comments(*address, ANNA)] == [False, False, False]


@pytest.mark.parametrize("number", [0, -1, 1, 10**30])
def test_a_revision_of_another_record_is_none_of_this_one(desk: Curation, number: int) -> None:
    newest = city(desk, "riga")
    with pytest.raises(NotFound, match="no revision"):
        desk.undo("city", "riga", number, ANNA, expected=newest)
    with pytest.raises(NotFound, match="no revision"):
        desk.read("city", "riga", ANNA, number)
    with pytest.raises(StaleRecord):
        desk.patch("city", "riga", {"country": "EE"}, ANNA, expected=number)


def test_a_theme_never_lies_below_itself(desk: Curation) -> None:
    for id, above in (("a", None), ("b", "a"), ("c", "b")):
        scheme = desk.read("theme", "health", ANNA)[0]["scheme"]
        record = {"id": id, "label": {"en": id}, "scheme": scheme, **({"broader": above} if above else {})}
        brought(desk, "theme", desk.create("theme", record, ILZE), "published", ILZE)
    number = head(desk, "theme", "a").number
    for above in ("a", "b", "c"):
        with pytest.raises(InvalidRecord, match="below itself"):
            desk.patch("theme", "a", {"broader": above}, ANNA, expected=number)
        problems = desk.check("theme", {**now(desk, "theme", "a"), "broader": above}, language="fr")
        assert "ne peut pas dépendre de lui-même" in problems[0].message
    saved = desk.patch("theme", "a", {"broader": "health"}, ANNA, expected=number)
    assert saved.state == "draft"


def test_two_drafts_that_make_a_circle_together_are_not_both_published(desk: Curation) -> None:
    scheme = desk.read("theme", "health", ANNA)[0]["scheme"]
    for id in ("a", "b"):
        saved = desk.create("theme", {"id": id, "label": {"en": id}, "scheme": scheme}, ILZE)
        brought(desk, "theme", saved, "published", ILZE)
    first = desk.patch("theme", "a", {"broader": "b"}, ILZE, expected=head(desk, "theme", "a").number)
    second = desk.patch("theme", "b", {"broader": "a"}, ILZE, expected=head(desk, "theme", "b").number)
    desk.publish("theme", "a", ANNA, expected=first.revision)
    with pytest.raises(InvalidRecord, match="below itself"):
        desk.publish("theme", "b", ANNA, expected=second.revision)


def test_a_theme_is_neither_withdrawn_nor_merged_nor_unpublished(desk: Curation) -> None:
    scheme = desk.read("theme", "health", ANNA)[0]["scheme"]
    saved = desk.create("theme", {"id": "a", "label": {"en": "a"}, "scheme": scheme}, ILZE)
    number = brought(desk, "theme", saved, "published", ILZE)
    for call in (
        lambda: desk.withdraw("theme", "a", ANNA, expected=number, reason="x"),
        lambda: desk.merge("theme", "a", "health", ANNA, expected=number),
        lambda: desk.undo("theme", "a", number, ANNA, expected=number),
    ):
        with pytest.raises(WrongState, match="deprecated"):
            call()


# What readers see


def test_a_draft_beside_a_published_version_changes_nothing_outside(catalogue: Catalogue, desk: Curation) -> None:
    number = city(desk, "riga")
    draft = desk.patch("city", "riga", {"name": {"en": "Secret name"}}, ILZE, expected=number).revision
    for actor in (READER, OTTO):
        assert desk.read("city", "riga", actor, "newest")[0]["name"] == {"en": "Riga"}
        assert desk.read("city", "riga", actor, number)[0]["name"] == {"en": "Riga"}
        assert set(desk.read("city", "riga", actor)[0]["record"]) == {"state", "visibility", "revision", "modified"}
        with pytest.raises(NotFound, match="no revision"):
            desk.read("city", "riga", actor, draft)
        with pytest.raises(NotFound):
            desk.history.difference("city", "riga", number, draft, actor)
        assert [(one.number, one.author, one.note) for one in desk.history.entries("city", "riga", actor)] == [
            (number, "curator", "")
        ]
        assert {one.number for one in desk.history.blame("city", "riga", actor).values()} == {number}
    assert b"Secret" not in catalogue.graph.query("SELECT ?o { ?s ?p ?o FILTER(isLiteral(?o)) }")
    assert [one.number for one in desk.history.entries("city", "riga", ILZE)] == [draft, number, number - 1]


@pytest.mark.parametrize("how", ["withdrawn", "merged", "team"])
def test_what_is_no_longer_public_is_not_read_by_its_old_numbers(
    catalogue: Catalogue, desk: Curation, how: str
) -> None:
    number = city(desk, "riga")
    if how == "withdrawn":
        desk.withdraw("city", "riga", ANNA, expected=number, reason="told twice")
    elif how == "merged":
        desk.merge("city", "riga", "gent", ANNA, expected=number)
    else:
        wanted = {**now(desk, "city", "riga"), "record": {"visibility": "team"}}
        closed = desk.replace("city", "riga", wanted, ANNA, expected=number)
        assert shown(catalogue, "city", "riga") is not None  # until it is published
        desk.publish("city", "riga", BELA, expected=closed.revision)
    for actor in (READER, OTTO):
        for version in ("published", "newest", number):
            with pytest.raises((Gone, NotFound)):
                desk.read("city", "riga", actor, version)
        with pytest.raises((Gone, NotFound)):
            desk.history.difference("city", "riga", number, number, actor)
        with pytest.raises((Gone, NotFound)):
            desk.history.blame("city", "riga", actor)
    assert shown(catalogue, "city", "riga") is None
    assert desk.read("city", "riga", ANNA, number)[0]["name"] == {"en": "Riga"}


def test_what_was_never_public_is_not_told_of_when_it_goes(desk: Curation) -> None:
    number = city(desk, "riga", "draft")
    desk.withdraw("city", "riga", ILZE, expected=number, reason="a secret reason")
    for actor in (READER, OTTO, ILZE):
        with pytest.raises(NotFound):
            desk.read("city", "riga", actor)
        with pytest.raises(NotFound):
            desk.history.entries("city", "riga", actor)
    with pytest.raises(Gone, match="a secret reason"):
        desk.read("city", "riga", MARA)


def test_a_reason_given_among_ourselves_stays_there(desk: Curation) -> None:
    """Public once, the team's when it was withdrawn: strangers hear that it is gone, not why."""
    number = city(desk, "riga")
    wanted = {**now(desk, "city", "riga"), "record": {"visibility": "team"}}
    closed = desk.replace("city", "riga", wanted, ANNA, expected=number)
    closed = desk.publish("city", "riga", BELA, expected=closed.revision)
    desk.withdraw("city", "riga", ANNA, expected=closed.revision, reason="a secret reason")
    for version in ("published", number):
        with pytest.raises((Gone, NotFound)) as caught:
            desk.read("city", "riga", READER, version)
        assert "secret" not in str(caught.value)
    assert "secret" not in str(desk.history.entries("city", "riga", READER))


def test_visibility_is_kept_and_changed_by_keepers_only(catalogue: Catalogue, desk: Curation) -> None:
    need = {"id": "n", "mentee": "gent", "need_text": {"en": "Shade"}}
    made = desk.create("need", need, ILZE)
    assert made.visibility == "team"
    with pytest.raises(NotAllowed, match="decided by its manager"):
        desk.replace("need", "n", {**need, "record": {"visibility": "public"}}, ILZE, expected=made.revision)
    opened = desk.replace("need", "n", {**need, "record": {"visibility": "programme"}}, MARA, expected=made.revision)
    done = desk.publish("need", "n", NILS, expected=opened.revision)
    assert (done.visibility, shown(catalogue, "need", "n")) == ("programme", None)
    with pytest.raises(NotFound):
        desk.read("need", "n", OTTO)
    assert desk.read("need", "n", MARA)[0]["record"]["visibility"] == "programme"
    edited = desk.patch("need", "n", {"need_text": {"fr": "Ombre"}}, MARA, expected=done.revision)
    assert edited.visibility == "programme"


def test_what_was_read_can_be_sent_back(desk: Curation) -> None:
    number = city(desk, "riga", "both")
    read = desk.read("city", "riga", ILZE, "newest")[0]
    assert read["record"]["newest"] == number
    assert not desk.replace("city", "riga", read, ILZE, expected=number).changed
    assert desk.check("city", read) == []


# Withdraw


def test_what_others_refer_to_is_withdrawn_only_with_a_replacement(catalogue: Catalogue, desk: Curation) -> None:
    old = city(desk, "riga")
    city(desk, "cesis")
    made = practice(desk, "Buddies", "published", city="riga")
    number = head(desk, "practice", made.id).number
    draft = desk.patch("practice", made.id, {"summary": {"en": "More."}}, ILZE, expected=number)
    with pytest.raises(StillReferenced) as caught:
        desk.withdraw("city", "riga", ANNA, expected=old, reason="told twice")
    assert list(caught.value.referring) == [("practice", made.id)]
    for wrong in ("riga", "nowhere"):
        with pytest.raises(BadRequest, match="no other published city"):
            desk.withdraw("city", "riga", ANNA, expected=old, reason="told twice", replaced_by=wrong)
    assert head(desk, "city", "riga").state == "published"
    desk.withdraw("city", "riga", ANNA, expected=old, reason="told twice", replaced_by="cesis")
    outside = shown(catalogue, "practice", made.id)
    assert outside is not None
    assert (outside["city"], "summary" in outside) == ("cesis", False)
    inside = desk.read("practice", made.id, ILZE, "newest")[0]
    assert (inside["city"], inside["summary"]) == ("cesis", {"en": "More."})
    with pytest.raises(Gone) as gone:
        catalogue.get("city", "riga")
    assert gone.value.replaced_by == "cesis"
    again = desk.patch("practice", made.id, {"summary": {"fr": "Plus."}}, ILZE, expected=inside["record"]["revision"])
    assert again.revision > draft.revision


def test_a_record_in_review_keeps_its_place_when_its_link_is_rewritten(desk: Curation) -> None:
    old = city(desk, "riga")
    city(desk, "cesis")
    made = practice(desk, "Buddies", "submitted", city="riga")
    desk.withdraw("city", "riga", ANNA, expected=old, reason="told twice", replaced_by="cesis")
    assert head(desk, "practice", made.id).state == "submitted"
    assert desk.rights.owner("practice", made.id) == "ilze"
    assert now(desk, "practice", made.id)["city"] == "cesis"


def test_what_takes_the_place_does_not_refer_to_itself(catalogue: Catalogue, desk: Curation) -> None:
    for id, more in (("league", {}), ("union", {"member_of": ["league"]})):
        record = {"id": id, "name": {"en": id}, "type": "city-network", **more}
        saved = desk.create("organisation", record, ILZE)
        number = brought(desk, "organisation", saved, "published", ILZE)
    number = head(desk, "organisation", "league").number
    desk.withdraw("organisation", "league", ANNA, expected=number, reason="united", replaced_by="union")
    assert "member_of" not in catalogue.get("organisation", "union")


def test_a_contributor_does_not_rewrite_what_others_keep(desk: Curation) -> None:
    mine = city(desk, "riga", "draft")
    city(desk, "cesis")
    made = practice(desk, "Buddies", "draft", by=OTTO, city="riga")
    with pytest.raises(NotAllowed, match="ask a curator"):
        desk.withdraw("city", "riga", ILZE, expected=mine, reason="told twice", replaced_by="cesis")
    assert now(desk, "practice", made.id)["city"] == "riga"


# Merge


def test_two_records_become_one_and_links_follow(catalogue: Catalogue, desk: Curation) -> None:
    gone = city(desk, "riga", alt_names=["Ryga"], languages=["lv"])
    kept = city(desk, "cesis", languages=["ru"])
    made = practice(desk, "Buddies", city="riga")
    saved, _ = desk.merge("city", "riga", "cesis", BELA, expected=gone, expected_into=kept)
    assert saved.state == "published"
    stays = shown(catalogue, "city", "cesis")
    assert stays is not None
    assert set(stays["languages"]) == {"lv", "ru"}
    assert "Ryga" in stays["alt_names"]
    outside = shown(catalogue, "practice", made.id)
    assert outside is not None
    assert outside["city"] == "cesis"
    with pytest.raises(Gone) as caught:
        desk.read("city", "riga", READER)
    assert caught.value.replaced_by == "cesis"
    assert catalogue.graph.rows(f"SELECT ?s {{ ?s ?p <{catalogue.base}id/city/riga> }}") == []


def test_a_merger_that_adds_nothing_still_reaches_the_views(catalogue: Catalogue, desk: Curation) -> None:
    first = city(desk, "riga", name={"en": "Riga"})
    city(desk, "riga-2", name={"en": "Riga"})
    desk.merge("city", "riga", "riga-2", BELA, expected=first)
    assert shown(catalogue, "city", "riga") is None
    assert catalogue._graph_follower.lag() == 0


def test_a_record_of_another_kind_with_the_same_name_is_changed_too(catalogue: Catalogue, desk: Curation) -> None:
    gone = city(desk, "riga")
    city(desk, "cesis")
    council = {"id": "cesis", "name": {"en": "Council"}, "type": "municipality", "governs": ["riga"]}
    field = desk._catalogue._validation.declared.kind("organisation").by_key["governs"]
    council["governs"] = ["riga"] if field.many else "riga"
    brought(desk, "organisation", desk.create("organisation", council, ILZE), "published", ILZE)
    desk.merge("city", "riga", "cesis", BELA, expected=gone)
    assert catalogue.get("organisation", "cesis")["governs"] in ("cesis", ["cesis"])


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        ("draft", "published", WrongState),
        ("published", "draft", WrongState),
        ("both", "published", WrongState),
        ("published", "both", WrongState),
        ("submitted", "submitted", WrongState),
        ("withdrawn", "published", WrongState),
        ("published", "withdrawn", WrongState),
        ("draft", "draft", None),
        ("published", "published", None),
    ],
)
def test_records_are_merged_where_nobody_is_at_work_on_them(
    catalogue: Catalogue, desk: Curation, first: str, second: str, error: type[Exception] | None
) -> None:
    number = city(desk, "riga", first)
    city(desk, "cesis", second)
    before = catalogue.ledger.last_number()
    assert refused(lambda: desk.merge("city", "riga", "cesis", BELA, expected=number)) == error
    assert (catalogue.ledger.last_number() == before) == (error is not None)
    with pytest.raises(BadRequest, match="the record itself"):
        desk.merge("city", "cesis", "cesis", BELA, expected=number)


# Undo


def test_a_change_of_words_is_taken_back_and_later_ones_stay(desk: Curation) -> None:
    number = city(desk, "riga")
    wrong = desk.patch("city", "riga", {"name": {"fr": "Wrong"}}, ANNA, expected=number).revision
    later = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, ANNA, expected=wrong).revision
    undone = desk.undo("city", "riga", wrong, BELA, expected=later)
    assert (undone.state, now(desk, "city", "riga")["name"]) == ("draft", {"en": "Riga", "lv": "Rīga"})
    touched = desk.patch("city", "riga", {"name": {"lv": "Riga"}}, ANNA, expected=undone.revision).revision
    with pytest.raises(StaleRecord, match="name@lv") as caught:
        desk.undo("city", "riga", later, BELA, expected=touched)
    assert caught.value.difference is not None
    first = desk.history.entries("city", "riga", ANNA)[-1].number
    with pytest.raises(BadRequest, match="is the first"):
        desk.undo("city", "riga", first, BELA, expected=touched)
    with pytest.raises(StaleRecord):
        desk.undo("city", "riga", wrong, BELA, expected=later)


def test_who_sees_a_record_is_taken_back_as_well(desk: Curation) -> None:
    need = {"id": "n", "mentee": "gent", "need_text": {"en": "Shade"}}
    made = desk.create("need", need, MARA)
    opened = desk.replace("need", "n", {**need, "record": {"visibility": "public"}}, MARA, expected=made.revision)
    back = desk.undo("need", "n", opened.revision, MARA, expected=opened.revision)
    assert (back.changed, back.visibility) == (True, "team")


def test_the_last_change_of_a_draft_taken_back_gives_the_draft_up(catalogue: Catalogue, desk: Curation) -> None:
    number = city(desk, "riga")
    before = shown(catalogue, "city", "riga")
    first = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, ILZE, expected=number).revision
    second = desk.patch("city", "riga", {"name": {"fr": "Riga"}}, ILZE, expected=first).revision
    left = desk.undo("city", "riga", first, ILZE, expected=second)
    assert left.state == "draft"
    back = desk.undo("city", "riga", second, ILZE, expected=left.revision)
    assert (back.state, head(desk, "city", "riga").published) == ("published", back.revision)
    after = shown(catalogue, "city", "riga")
    assert {key: value for key, value in (after or {}).items() if key != "record"} == {
        key: value for key, value in (before or {}).items() if key != "record"
    }
    with pytest.raises(WrongState):
        desk.publish("city", "riga", ANNA, expected=back.revision)


@pytest.mark.parametrize(("state", "before"), [("submitted", "draft"), ("returned", "submitted")])
def test_a_step_is_taken_back_as_a_step(desk: Curation, state: str, before: str) -> None:
    number = city(desk, "riga", state)
    undone = desk.undo("city", "riga", number, ANNA, expected=number)
    assert undone.state == before
    assert desk.rights.owner("city", "riga") == "ilze"
    with pytest.raises(WrongState, match="take the steps back in order"):
        desk.undo("city", "riga", number, ANNA, expected=undone.revision)


def test_a_draft_saved_with_the_published_wording_is_given_up(desk: Curation, catalogue: Catalogue) -> None:
    number = city(desk, "riga", "published")
    for write in (
        lambda at: desk.replace("city", "riga", desk.read("city", "riga", ILZE)[0], ILZE, expected=at),
        lambda at: desk.patch("city", "riga", {"name": {"lv": None}}, ILZE, expected=at),
    ):
        number = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, ILZE, expected=number).revision
        number = desk.patch("city", "riga", {"name": {"lv": "Rīgu"}}, ILZE, expected=number).revision
        saved = write(number)
        head = catalogue.ledger.head("city", "riga")
        assert (saved.state, saved.changed) == ("published", True)
        assert (head.state, head.number, head.published) == ("published", saved.revision, saved.revision)
        number = saved.revision
    assert desk.discussion.waiting(ADA)[0] == []


def test_a_first_publication_is_taken_back_and_the_draft_waits_again(catalogue: Catalogue, desk: Curation) -> None:
    submitted = city(desk, "riga", "submitted")
    number = desk.publish("city", "riga", ANNA, expected=submitted).revision
    with pytest.raises(NotAllowed):
        desk.undo("city", "riga", number, ILZE, expected=number)
    undone = desk.undo("city", "riga", number, BELA, expected=number)
    assert (undone.state, shown(catalogue, "city", "riga")) == ("submitted", None)
    with pytest.raises((Gone, NotFound)):
        desk.read("city", "riga", READER, number)
    assert desk.publish("city", "riga", ANNA, expected=undone.revision).state == "published"


def test_a_first_publication_that_others_refer_to_stays(desk: Curation) -> None:
    number = city(desk, "riga")
    practice(desk, "Buddies", city="riga")
    with pytest.raises(StillReferenced):
        desk.undo("city", "riga", number, BELA, expected=number)


def test_a_later_publication_is_taken_back_to_the_one_before(catalogue: Catalogue, desk: Curation) -> None:
    number = city(desk, "riga")
    draft = desk.patch("city", "riga", {"name": {"en": "Worse"}}, ILZE, expected=number).revision
    number = desk.publish("city", "riga", ANNA, expected=draft).revision
    undone = desk.undo("city", "riga", number, BELA, expected=number)
    outside = shown(catalogue, "city", "riga")
    assert outside is not None
    assert (undone.state, outside["name"], now(desk, "city", "riga")["name"]) == (
        "draft",
        {"en": "Riga"},
        {"en": "Worse"},
    )


@pytest.mark.parametrize("state", ["draft", "published", "both"])
def test_a_withdrawal_is_taken_back_with_all_there_was(catalogue: Catalogue, desk: Curation, state: str) -> None:
    number = city(desk, "riga", state)
    before, outside = now(desk, "city", "riga"), shown(catalogue, "city", "riga")
    gone = desk.withdraw("city", "riga", ANNA, expected=number, reason="by mistake").revision
    assert shown(catalogue, "city", "riga") is None
    back = desk.undo("city", "riga", gone, ANNA, expected=gone)
    assert back.state == {"both": "draft"}.get(state, state)
    again, seen = now(desk, "city", "riga"), shown(catalogue, "city", "riga")
    assert (again["name"], again["record"].get("notes")) == (before["name"], before["record"].get("notes"))
    assert (seen and seen["name"], seen is None) == (outside and outside["name"], outside is None)
    once_more = desk.undo("city", "riga", back.revision, ANNA, expected=back.revision)
    if state != "both":
        assert (once_more.state, shown(catalogue, "city", "riga")) == ("withdrawn", None)


def test_a_merger_is_taken_back_and_the_record_stands_again(catalogue: Catalogue, desk: Curation) -> None:
    number = city(desk, "riga", languages=["lv"])
    city(desk, "cesis")
    desk.merge("city", "riga", "cesis", ANNA, expected=number)
    gone = head(desk, "city", "riga").number
    assert desk.undo("city", "riga", gone, BELA, expected=gone).state == "published"
    seen = shown(catalogue, "city", "riga")
    assert seen is not None
    assert seen["languages"] == ["lv"]


# What is said, and who is waited for


def test_comments_are_for_who_works_on_the_record(desk: Curation) -> None:
    city(desk, "riga", "draft")
    talk = desk.discussion
    said = talk.comment("city", "riga", "  Ž 🚲 <b>?</b>\n", ANNA, field="name@lv")
    assert [(one.text, one.field, one.author) for one in talk.comments("cities", "riga", ILZE)] == [
        ("  Ž 🚲 <b>?</b>\n", "name@lv", "curator/anna")
    ]
    with pytest.raises(NotFound):
        talk.comments("city", "riga", OTTO)
    with pytest.raises(BadRequest, match="has words"):
        talk.comment("city", "riga", " \n", ANNA)
    with pytest.raises(BadRequest, match="no field 'mayor'"):
        talk.comment("city", "riga", "?", ANNA, field="mayor")
    with pytest.raises(NotAllowed, match="whoever wrote it"):
        talk.resolve("city", "riga", said.number, ILZE)
    with pytest.raises(NotFound):
        talk.resolve("city", "gent", said.number, ANNA)
    first = talk.resolve("city", "riga", said.number, ANNA)
    assert talk.resolve("city", "riga", said.number, BELA) == first
    assert talk.comments("city", "riga", ANNA, resolved=False) == []


def test_refusals_in_french_call_a_kind_by_its_french_name(desk: Curation) -> None:
    number = city(desk, "riga", "submitted")
    refused = [
        (lambda: desk.patch("city", "riga", {}, ANNA, expected=number - 1), "ville 'riga' en est à la révision"),
        (lambda: desk.patch("city", "riga", {}, ILZE, expected=number), "ville 'riga' est en relecture"),
        (lambda: desk.create("city", {"id": "riga"}, ANNA), "ville 'riga' existe déjà"),
        (lambda: desk.submit("city", "riga", ANNA, expected=number), "ville 'riga' est à l’état « submitted »"),
        (lambda: desk.read("city", "riga", ANNA), "la fiche ville 'riga' n’est pas encore publiée"),
    ]
    for take, words in refused:
        with pytest.raises(KgError) as error:
            take()
        assert error.value.told("fr").startswith(words)


def test_whom_a_record_waits_for(desk: Curation) -> None:
    talk = desk.discussion
    number = city(desk, "riga", "draft")
    desk.create("need", {"id": "n", "mentee": "gent", "need_text": {"en": "Shade"}}, MARA)

    def waits(actor: Actor) -> set[str]:
        return {one.id for one in talk.waiting(actor, mine=True)[0]}

    assert [waits(one) for one in (ILZE, OTTO, ANNA, MARA)] == [{"riga"}, set(), set(), {"n"}]
    number = desk.submit("city", "riga", ILZE, expected=number).revision
    assert [waits(one) for one in (ILZE, OTTO, ANNA, MARA)] == [set(), set(), {"riga"}, {"n"}]
    talk.assign("city", "riga", ["bela", "bela"], ANNA)
    assert [waits(one) for one in (ANNA, BELA)] == [set(), {"riga"}]
    number = desk.give_back("city", "riga", BELA, expected=number, note="since when?").revision
    assert [waits(one) for one in (ILZE, BELA)] == [{"riga"}, set()]
    [one] = talk.waiting(ILZE, mine=True)[0]
    assert (one.for_accounts, one.state) == (("ilze",), "returned")
    page, cursor = talk.waiting(ADA, limit=1)
    rest, end = talk.waiting(ADA, limit=1, cursor=cursor)
    assert ([page[0].id, rest[0].id], end) == (["riga", "n"], None)
    for wrong in (0, 201):
        with pytest.raises(BadRequest):
            talk.waiting(ANNA, limit=wrong)


def test_a_record_does_not_wait_for_a_reviewer_who_mended_it_and_so_cannot_publish_it(desk: Curation) -> None:
    number = city(desk, "riga", "submitted")
    talk = desk.discussion
    talk.assign("city", "riga", ["bela"], ANNA)
    desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, BELA, expected=number)
    [one] = talk.waiting(ANNA, mine=True)[0]
    assert (one.id, one.for_accounts, one.not_by) == ("riga", (), "bela")
    assert talk.waiting(BELA, mine=True)[0] == []


def test_an_account_may_have_a_hostile_name_in_a_request_to_review(desk: Curation) -> None:
    city(desk, "riga", "submitted")
    odd = "'; DROP TABLE comments --"
    assert desk.discussion.assign("city", "riga", [odd], ANNA) == (odd,)
    assert desk.discussion.assign("city", "riga", [], ANNA) == ()


def test_history_reads_the_same_from_both_ends(desk: Curation) -> None:
    number = city(desk, "riga")
    changed = desk.patch("city", "riga", {"name": {"lv": "Rīga"}}, ANNA, expected=number).revision
    [one] = desk.history.difference("city", "riga", number, changed, ANNA, language="fr")
    assert (one["field"], one["before"], one["after"]) == ("name@lv", None, "Rīga")
    [other] = desk.history.difference("city", "riga", changed, number, ANNA)
    assert (other["before"], other["after"]) == ("Rīga", None)
    fields = desk.history.blame("city", "riga", ANNA)
    assert (fields["name@lv"].number, fields["name@en"].number) == (changed, number - 1)
