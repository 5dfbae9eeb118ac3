"""Curators at work at random, four at once and one after another: what was acknowledged stands, and drafts stay inside.

Every operation carries words of its own, so that afterwards it can be told of every word in the ledger, the views and
the exports which operation brought it there, and whether that was acknowledged.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kg.accounts import READER, Actor
from kg.catalogue import Catalogue
from kg.curation import Saved
from kg.errors import (
    BadRequest,
    DuplicateRecord,
    Gone,
    InvalidRecord,
    NotAllowed,
    NotFound,
    StaleRecord,
    StillReferenced,
    WrongState,
)
from kg.exchange.selections import Selection, selected
from kg.ledger import Revision
from kg.records import Record, from_ntriples, graph_from_ntriples, references, to_graph, to_ntriples
from kg.search.switching import index_folder
from kg.search.view import SearchView
from tests.kg.conftest import WordsEmbedder
from tests.postgres import fresh_database

CURATORS = [*(Actor(name, "curator") for name in ("anna", "bela", "carl")), Actor("dora", "administrator")]
REFUSALS = (
    *(BadRequest, DuplicateRecord, Gone, InvalidRecord, NotAllowed),
    *(NotFound, StaleRecord, StillReferenced, WrongState),
)
POOL = [
    (kind, f"{letter}{number}")
    for kind, letter, count in (
        ("city", "c", 5),
        ("practice", "p", 6),
        ("organisation", "o", 3),
        ("need", "n", 2),
        ("theme", "t", 4),
    )
    for number in range(count)
]
WORDS = re.compile(r"word-\d+-\d+")
OPERATIONS = 1_000

Key = tuple[str, str]


class QuickCatalogue(Catalogue):
    """A catalogue whose texts are embedded by counting words; everything else is as in use."""

    def _open_search(self) -> SearchView:
        embedder = WordsEmbedder()
        return SearchView(index_folder(self.folder.search, embedder.identity), embedder, read=self._read, discard=True)


@dataclass(frozen=True)
class Acknowledged:
    """A write that somebody was told of, and what must be in the ledger for it."""

    key: Key
    revision: int
    author: str
    state: str
    holds: Callable[[Record], bool]
    changed: bool = True


@dataclass
class World:
    """A catalogue, what was acknowledged, the words of what was refused, and what strangers saw meanwhile."""

    catalogue: Catalogue
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused_words: set[str] = field(default_factory=set)
    comments: list[tuple[Key, int, str]] = field(default_factory=list)
    saved_at_once: list[Record] = field(default_factory=list)
    seen_revisions: set[int] = field(default_factory=set)
    seen_words: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)

    def fill(self) -> None:
        """Something of each kind to begin with."""
        first = [wording(key, "start", Random(1)) for key in POOL if key[1][1] in "012"]
        report = self.catalogue.save([{**one, "themes": ["health"]} if "themes" in one else one for one in first])
        assert report.written, report.refused


def wording(key: Key, words: str, random: Random) -> Record:
    """A record that could be published as far as its own words go; what it refers to may not be there."""
    kind, id = key

    def one(letter: str, count: int) -> str:
        return f"{letter}{random.randrange(count)}"

    own: Record = {
        "city": lambda: {"name": {"en": words}, "country": "LV", "alt_names": [f"{words} too"]},
        "practice": lambda: {
            "title": {"en": words},
            "city": one("c", 5),
            "themes": [one("t", 4)],
            "language": "en",
            "action": {"en": f"They met every week, {words}."},
            "outcomes": [{"id": "claim-1", "statement": {"en": f"{words} came"}, "source_not_separated": True}],
            "sources": [{"id": "source-1", "url": f"https://example.org/{words}"}],
        },
        "organisation": lambda: {"name": {"en": words}, "type": "municipality", "member_of": [one("o", 3)]},
        "need": lambda: {"mentee": one("c", 5), "need_text": {"en": words}},
        "theme": lambda: {"label": {"en": words}, "scheme": SCHEME, "broader": one("t", 4)},
    }[kind]()
    if own.get("member_of") == [id]:
        del own["member_of"]
    if words == "start":
        own.pop("broader", None)
        own.pop("member_of", None)
    return {"kind": kind, "id": id, **own}


SCHEME = "https://w3id.org/mentorgraph/themes"


@dataclass
class Move:
    """One thing that one curator does: to which record, with which other one, in which words."""

    world: World
    actor: Actor
    key: Key
    other: Key
    words: str
    random: Random
    seen: dict[Key, int]

    def newest(self, key: Key | None = None) -> int:
        """The revision the curator works on: mostly the newest, now and then one that was read a while ago."""
        key = key or self.key
        head = self.world.catalogue.ledger.head(*key)
        if head is None:
            raise NotFound(f"there is no {key}")
        if key not in self.seen or self.random.random() < 0.9:
            self.seen[key] = head.number
        return self.seen[key]

    def done(self, saved: Saved, holds: Callable[[Record], bool]) -> None:
        self.seen[saved.kind, saved.id] = saved.revision
        entry = Acknowledged(
            (saved.kind, saved.id), saved.revision, self.actor.author, saved.state, holds, saved.changed
        )
        self.world.acknowledged.append(entry)
        if not saved.changed:
            self.world.refused_words.add(self.words)

    def says(self, record: Record) -> Callable[[Record], bool]:
        wanted = to_ntriples(to_graph(record, self.world.catalogue.base))
        return lambda found: to_ntriples(to_graph(found, self.world.catalogue.base)) == wanted

    def at(self, number: int) -> Record:
        return self.world.catalogue._read(self.world.catalogue.ledger.revision(number))

    # What curators do

    def create(self) -> None:
        record = wording(self.key, self.words, self.random)
        if self.random.random() < 0.5:  # the identifier is made of the title, which nobody else has
            del record["id"]
            saved = self.desk.create(self.key[0], record, self.actor)
            self.done(saved, self.says({**record, "id": saved.id}))
        else:
            self.done(self.desk.create(self.key[0], record, self.actor), self.says(record))

    def replace(self) -> None:
        record = wording(self.key, self.words, self.random)
        if self.random.random() < 0.2:
            record["record"] = {"visibility": self.random.choice(["public", "team"])}
        number = self.newest()
        try:
            saved = self.desk.replace(*self.key, record, self.actor, expected=number)
        except StaleRecord as error:
            proposal = (error.difference or {}).get("proposal")
            if proposal is None:
                raise
            record, number = proposal, error.current
            saved = self.desk.replace(*self.key, record, self.actor, expected=number)
        self.done(saved, self.says(record))

    def patch(self) -> None:
        number = self.newest()
        before = self.at(number)
        named = {"city": "name", "practice": "lessons", "organisation": "name", "need": "need_text", "theme": "label"}
        field = named[self.key[0]]
        saved = self.desk.patch(*self.key, {field: {"fr": self.words}}, self.actor, expected=number)
        wanted = {**before, field: {**before.get(field, {}), "fr": self.words}}
        self.done(saved, self.says(wanted))

    def submit(self) -> None:
        self.step(self.desk.submit)

    def give_back(self) -> None:
        self.step(self.desk.give_back, note="why?")

    def publish(self) -> None:
        self.step(self.desk.publish)

    def withdraw(self) -> None:
        self.step(self.desk.withdraw, reason="told twice")

    def withdraw_replaced(self) -> None:
        self.step(self.desk.withdraw, reason="told twice", replaced_by=self.other[1])

    def step(self, take: Callable[..., Saved], **more: str) -> None:
        number = self.newest()
        saved = take(*self.key, self.actor, expected=number, **more)
        self.done(saved, self.says(self.at(number)))

    def merge(self) -> None:
        number, into = self.newest(), self.newest(self.other)
        one, stays = self.at(number), self.at(into)
        saved, _ = self.desk.merge(
            *self.key, self.other[1], self.actor, expected=number, expected_into=into, note="the same"
        )
        texts = {words for record in (one, stays) for words in WORDS.findall(json.dumps(record))}
        self.done(saved, lambda found: texts <= set(WORDS.findall(json.dumps(found))))

    def undo(self) -> None:
        number = self.newest()
        history = self.world.catalogue.ledger.history(*self.key)
        wanted = history[-1 - min(self.random.randrange(3), len(history) - 1)].number
        self.done(self.desk.undo(*self.key, wanted, self.actor, expected=number), lambda found: True)

    def comment(self) -> None:
        made = self.desk.discussion.comment(*self.key, self.words, self.actor)
        self.world.comments.append((self.key, made.number, self.words))
        if self.random.random() < 0.3:
            self.desk.discussion.resolve(*self.key, made.number, self.actor)

    def assign(self) -> None:
        names = [one.name for one in CURATORS if self.random.random() < 0.5]
        assert set(self.desk.discussion.assign(*self.key, names, self.actor)) <= {one.name for one in CURATORS}
        self.desk.discussion.waiting(self.actor, mine=True, limit=5)

    def save_many(self) -> None:
        """Records at once, all or none; one of them is sometimes wrong."""
        keys = [(kind, f"{id}-many") for kind, id in self.random.sample(POOL[:11], 3)]
        records = [{**wording(key, self.words, self.random), "themes": ["health"]} for key in keys]
        records = [
            one if one["kind"] == "practice" else {k: v for k, v in one.items() if k != "themes"} for one in records
        ]
        if self.random.random() < 0.3:
            records[-1]["country"] = "Nowhere"
        report = self.world.catalogue.save(records, author=self.actor.author, publish=self.random.random() < 0.7)
        if report.refused:
            raise BadRequest("refused")
        self.world.saved_at_once += records

    @property
    def desk(self) -> Any:
        return self.world.catalogue.curation


MOVES: dict[Callable[[Move], None], int] = {
    **dict.fromkeys((Move.create, Move.replace, Move.submit, Move.merge, Move.withdraw_replaced), 3),
    **dict.fromkeys((Move.patch, Move.publish), 5),
    **dict.fromkeys((Move.withdraw, Move.give_back, Move.undo, Move.comment), 2),
    **dict.fromkeys((Move.assign, Move.save_many), 1),
}


def make(move: Move, what: Callable[[Move], None]) -> bool:
    """Do it, and say whether it was taken; what is refused may leave no word behind."""
    try:
        what(move)
    except REFUSALS:
        move.world.refused_words.add(move.words)
        name = f"{what.__name__} refused"
    else:
        name = what.__name__
    move.world.made.append(name)
    return name == what.__name__


def look_from_outside(world: World, random: Random) -> None:
    """What a stranger finds: some record, some query, some search."""
    kind, id = random.choice(POOL)
    try:
        record, revision = world.catalogue.curation.read(kind, id, READER, random.choice(["published", "newest"]))
    except (NotFound, Gone):
        pass
    else:
        world.seen_revisions.add(revision.number)
        world.seen_words.update(WORDS.findall(json.dumps(record)))
    found = world.catalogue.graph.query("SELECT ?o { ?s ?p ?o FILTER(CONTAINS(STR(?o), 'word-')) }", table="csv")
    world.seen_words.update(WORDS.findall(found.decode()))
    page = world.catalogue.search_practices("they met every week", limit=50)
    world.seen_words.update(WORDS.findall(json.dumps(page)))


# What must hold in the end


def verify(world: World, tmp_path: Path) -> None:
    catalogue = world.catalogue
    rows = every_row(catalogue)
    assert catalogue.verify() == len(rows)
    assert_nothing_is_lost(world, rows)
    visible = visible_rows(rows)
    assert catalogue.check() == []
    assert_only_this_is_outside(world, rows, visible, tmp_path)
    assert_links_hold(catalogue, rows)
    graph, (documents, vectors) = graph_lines(catalogue, tmp_path), search_documents(catalogue)
    catalogue.reindex()
    assert graph_lines(catalogue, tmp_path) == graph
    again, vectors_again = search_documents(catalogue)
    assert again == documents
    assert vectors_again == pytest.approx(vectors, abs=1e-5)


def every_row(catalogue: Catalogue) -> list[Revision]:
    rows: list[Revision] = []
    while page := catalogue.ledger.since(rows[-1].number if rows else 0, 500):
        rows += page
    return rows


def assert_nothing_is_lost(world: World, rows: list[Revision]) -> None:
    """Each acknowledged write is there as acknowledged, once; of what was refused there is no word."""
    by_number = {row.number: row for row in rows}
    for one in world.acknowledged:
        row = by_number[one.revision]
        assert ((row.kind, row.id), row.state) == (one.key, one.state)
        assert one.holds(world.catalogue._read(row)), one
        assert not one.changed or row.author == one.author
    written = [one.revision for one in world.acknowledged if one.changed]
    assert len(set(written)) == len(written)
    words = {found for row in rows for found in WORDS.findall(f"{row.payload} {row.title} {row.note}")}
    assert not words & world.refused_words
    for record in world.saved_at_once:
        payload = to_ntriples(to_graph(record, world.catalogue.base))
        assert payload in {row.payload for row in rows if (row.kind, row.id) == (record["kind"], record["id"])}
    for key, number, text in world.comments:
        said = {one.number: one.text for one in world.catalogue.curation.discussion.comments(*key, CURATORS[3])}
        assert said[number] == text


def visible_rows(rows: list[Revision]) -> dict[Key, Revision]:
    """What a stranger may see, worked out from the rows alone."""
    published: dict[Key, Revision | None] = {}
    for row in rows:
        if row.state in ("published", "withdrawn", "merged"):
            published[row.kind, row.id] = row if row.state == "published" else None
    return {key: row for key, row in published.items() if row is not None and row.visibility == "public"}


def assert_only_this_is_outside(
    world: World, rows: list[Revision], visible: Mapping[Key, Revision], tmp_path: Path
) -> None:
    """Record, list, graph, search and exports have exactly the published public versions."""
    catalogue, kinds = world.catalogue, {row.kind for row in rows}
    wanted = {key: from_ntriples(row.payload or "", catalogue.base) for key, row in visible.items()}
    for key in {(row.kind, row.id) for row in rows}:
        for version in ("published", "newest"):
            try:
                record = plain(catalogue.curation.read(*key, READER, version)[0])
            except (NotFound, Gone):
                record = None
            assert record == (plain(wanted[key]) if key in wanted else None)
    listed = set()
    for kind in kinds:
        page = catalogue.list_records(kind, limit=200)
        assert page["next"] is None
        listed |= {(kind, one["id"]) for one in page["results"]}
    assert listed == set(visible)
    assert catalogue.export(tmp_path / "all.jsonl") == len(visible)
    exported = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {(one["kind"], one["id"]): plain(one) for one in exported} == {k: plain(v) for k, v in wanted.items()}
    chosen = {(r.kind, r.id): plain(one) for one, r in selected(catalogue, Selection())}
    assert chosen == {key: plain(one) for key, one in wanted.items()}
    held = {key: row.number for key, row in visible.items()}
    assert catalogue.graph.held() == held
    assert catalogue.search.held() == {key: number for key, number in held.items() if key[0] == "practice"}
    outside = {words for row in visible.values() for words in WORDS.findall(row.payload or "")}
    assert set(WORDS.findall(" ".join(graph_lines(catalogue, tmp_path)))) == outside
    page = catalogue.search_practices("they met every week", limit=100)
    assert {one["id"] for one in page["results"]} <= {id for kind, id in visible if kind == "practice"}
    once = [row for row in rows if row.state == "published" and row.visibility == "public"]
    assert world.seen_revisions <= {row.number for row in once}
    assert world.seen_words <= {words for row in once for words in WORDS.findall(row.payload or "")}


def plain(record: Record) -> Record:
    """A record without what the service says of it."""
    about = {k: v for k, v in record.get("record", {}).items() if k in ("notes", "licence", "confidence")}
    return {k: v for k, v in record.items() if k not in ("iri", "record")} | ({"record": about} if about else {})


def assert_links_hold(catalogue: Catalogue, rows: list[Revision]) -> None:
    """What is published refers to what is published, and no theme lies below itself."""
    published = {
        (row.kind, row.id): row
        for row in rows
        if (h := catalogue.ledger.head(row.kind, row.id)) and h.published == row.number
    }
    above: dict[str, str] = {}
    for key, row in published.items():
        linked = references(graph_from_ntriples(row.payload or ""), catalogue.base)
        assert linked <= set(published), (key, linked - set(published))
        if key[0] == "theme" and (broader := catalogue._read(row).get("broader")):
            above[key[1]] = broader
    for theme in above:
        trail = [theme]
        while trail[-1] in above:
            trail.append(above[trail[-1]])
            assert trail[-1] != theme, trail


def graph_lines(catalogue: Catalogue, tmp_path: Path) -> list[str]:
    catalogue.graph.dump(tmp_path / "all.nq", "nquads")
    vocabularies = tuple(f" <{iri}> ." for iri in catalogue.graph.vocabularies())  # their blank nodes get new names
    return sorted(line for line in (tmp_path / "all.nq").read_text().splitlines() if not line.endswith(vocabularies))


def search_documents(catalogue: Catalogue) -> tuple[dict[str, Any], list[float]]:
    """All that the index keeps but for the vectors, and these as one list of numbers."""
    index = catalogue.search._index
    kept: dict[str, Any] = {kind: index.kept(kind) for kind in ("city", "theme")}
    numbers: list[float] = []
    for _, id in sorted(catalogue.search.held()):
        found = index.vectors_of(id)
        assert found is not None
        vectors, words, facts = found
        known = {name: value for name, value in facts.items() if value is not None}  # null or absent: the same
        kept[id] = ({name: sorted(which) for name, which in words.items()}, json.dumps(known, sort_keys=True))
        numbers += [number for row in sorted(vectors.tolist()) for number in row]
    return kept, numbers


# Four at once


@contextmanager
def empty_catalogue(engine: str, folder: Path) -> Iterator[Catalogue]:
    if engine == "sqlite":
        with QuickCatalogue.create(folder / "data") as catalogue:
            yield catalogue
    else:
        with fresh_database() as url, QuickCatalogue.create(folder / "data", ledger_url=url) as catalogue:
            yield catalogue


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_four_curators_at_once_lose_nothing_and_show_no_draft(engine: str, tmp_path: Path) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # shown when the test fails; threads take turns as they like, so it only begins alike
    with empty_catalogue(engine, tmp_path) as catalogue:
        world = World(catalogue)
        world.fill()
        catalogue.follow()
        errors: list[BaseException] = []
        threads = [threading.Thread(target=work, args=(world, number, seed, errors)) for number in range(len(CURATORS))]
        for thread in threads:
            thread.start()
        looking = Random(seed)
        while any(thread.is_alive() for thread in threads):
            look_from_outside(world, looking)
            threads[0].join(0.1)
        print(Counter(world.made))
        assert errors == []
        assert len(world.made) == OPERATIONS
        assert len(world.acknowledged) > OPERATIONS // 5
        catalogue.catch_up()
        verify(world, tmp_path)


def work(world: World, number: int, seed: int, errors: list[BaseException]) -> None:
    random, seen = Random(f"{seed}-{number}"), {}
    moves, weights = list(MOVES), list(MOVES.values())
    try:
        for turn in range(OPERATIONS // len(CURATORS)):
            key = random.choice(POOL)
            other = random.choice([one for one in POOL if one[0] == key[0]])
            move = Move(world, CURATORS[number], key, other, f"word-{number}-{turn}", random, seen)
            make(move, random.choices(moves, weights)[0])
    except BaseException as error:  # noqa: BLE001 (the thread's edge: the test raises it)
        errors.append(error)


# One after another, chosen by Hypothesis


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun") / "data"
    with QuickCatalogue.create(folder) as catalogue:
        World(catalogue).fill()
        _ = catalogue.search
    return folder


def test_any_sequence_of_steps_keeps_the_promises(begun: Path) -> None:
    class Machine(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.tmp = TemporaryDirectory()
            folder = shutil.copytree(begun, Path(self.tmp.name) / "data", ignore=shutil.ignore_patterns("lock"))
            self.world = World(QuickCatalogue.open(folder))
            _ = self.world.catalogue.search
            self.turn = 0
            self.seen: dict[Actor, dict[Key, int]] = {one: {} for one in CURATORS}

        @rule(
            what=st.sampled_from(list(MOVES)),
            actor=st.sampled_from(CURATORS),
            key=st.sampled_from(POOL),
            other=st.integers(0, 5),
            choices=st.integers(0, 2**16),
        )
        def step(self, what: Callable[[Move], None], actor: Actor, key: Key, other: int, choices: int) -> None:
            self.turn += 1
            alike = [one for one in POOL if one[0] == key[0]]
            words = f"word-9-{self.turn}"
            before = self.world.catalogue.ledger.last_number()
            random, seen = Random(choices), self.seen[actor]
            if not make(Move(self.world, actor, key, alike[other % len(alike)], words, random, seen), what):
                assert self.world.catalogue.ledger.last_number() == before
            look_from_outside(self.world, Random(choices))

        def teardown(self) -> None:
            if hasattr(self, "world"):
                try:
                    verify(self.world, Path(self.tmp.name))
                finally:
                    self.world.catalogue.close()
                    self.tmp.cleanup()

    test = Machine.TestCase
    test.settings = settings(  # no shrinking: each try is a catalogue of its own
        max_examples=4,
        stateful_step_count=30,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    test().runTest()
