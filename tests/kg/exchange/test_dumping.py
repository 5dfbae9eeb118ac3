"""Dumps: one revision whole, whatever is written meanwhile, and the same dataset again where they are loaded."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest

from kg.catalogue import Catalogue
from kg.errors import DataFolderUnusable
from kg.exchange.dumps import ENGINE_FORMS, UNION_FORMS, Dumps

FORMATS = {"nq": ox.RdfFormat.N_QUADS, "trig": ox.RdfFormat.TRIG, "jsonld": ox.RdfFormat.JSON_LD}
LEDGERS_OWN = re.compile(
    r"<http://purl\.org/dc/terms/modified>|<http://www\.w3\.org/(2002/07/owl#versionInfo|ns/prov#\w+)>"
)


def city(id: str, words: str = "") -> dict:
    name = {"en": id.title(), "fr-BE": f'{words} "é"\n\\', "el": "Γάνδη", "zh-Hant": "根特"}
    return {"kind": "city", "id": id, "name": name, "country": "BE", "latitude": "51.050"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with Catalogue.create(tmp_path_factory.mktemp("dumped") / "data") as made:
        made.save([city("ghent"), city("liege")])
        yield made


@pytest.fixture
def dumps(catalogue: Catalogue, tmp_path: Path) -> Dumps:
    return Dumps(tmp_path / "dumps", catalogue.graph, rest=0)


def content(dumps: Dumps, form: str) -> bytes:
    return gzip.decompress(b"".join(dumps.whole(form).chunks()))


def quads(text: bytes, form: str) -> set[str]:
    """The dataset in canonical N-Quads (RDFC-1.0), a line each."""
    dataset = ox.Dataset(ox.parse(text, FORMATS[form]))
    dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return {str(quad) for quad in dataset}


def test_every_form_holds_the_same_dataset(dumps: Dumps) -> None:
    expected = quads(content(dumps, "nq"), "nq")
    assert len([line for line in expected if "#record>" in line]) > 1000
    for form in ("trig", "jsonld"):
        assert quads(content(dumps, form), form) == expected, form


@pytest.mark.parametrize("form", ENGINE_FORMS)
def test_a_dump_loaded_elsewhere_is_the_same_dataset(dumps: Dumps, tmp_path: Path, form: str) -> None:
    """But for what the other ledger says itself: when the change was made there, and its number."""
    (tmp_path / f"all.{form}.gz").write_bytes(b"".join(dumps.whole(form).chunks()))
    with Catalogue.create(tmp_path / "other") as other:
        report = other.load([tmp_path / f"all.{form}.gz"])
        assert (report.new, report.changed, report.refused) == (2, 0, [])
        loaded = content(Dumps(tmp_path / "dumps", other.graph), "nq")
    assert _ours(loaded) == _ours(content(dumps, "nq"))


@pytest.mark.parametrize("form", ENGINE_FORMS)
def test_what_teams_keep_by_default_stays_public_in_a_dump_loaded_elsewhere(tmp_path: Path, form: str) -> None:
    """Needs, visits and what was learnt are a team's where a new record says nothing; those in a dump were for all."""
    need = {"kind": "need", "id": "ghent--shade", "mentee": "ghent", "need_text": {"en": "Shade in schoolyards."}}
    with Catalogue.create(tmp_path / "one") as one, Catalogue.create(tmp_path / "other") as other:
        saved = one.save([city("ghent"), need | {"themes": ["housing"], "record": {"visibility": "public"}}])
        assert (saved.new, saved.refused) == (2, [])
        dumped = b"".join(Dumps(tmp_path / "dumps", one.graph).whole(form).chunks())
        (tmp_path / f"all.{form}.gz").write_bytes(dumped)
        other.load([tmp_path / f"all.{form}.gz"])
        loaded = content(Dumps(tmp_path / "others", other.graph), "nq")
    assert b"ghent--shade" in loaded
    assert _ours(loaded) == _ours(gzip.decompress(dumped), form)


def test_a_dump_of_itself_adds_nothing(catalogue: Catalogue, dumps: Dumps, tmp_path: Path) -> None:
    (tmp_path / "all.nq.gz").write_bytes(b"".join(dumps.whole("nq").chunks()))
    report = catalogue.load([tmp_path / "all.nq.gz"], dry_run=True)
    # The engine writes fr-be where the ledger has fr-BE; nothing else differs.
    assert (report.new, report.changed, report.refused) == (0, 2, [])


def _ours(text: bytes, form: str = "nq") -> set[str]:
    return {line for line in quads(text, form) if not LEDGERS_OWN.search(line)}


def test_a_dump_is_one_revision_while_writes_go_on(catalogue: Catalogue, dumps: Dumps) -> None:
    """Two cities change together in every write; no dump has one's new words beside the other's old ones."""
    stop = threading.Event()

    def write() -> None:
        for number in range(1000):
            if stop.is_set():
                return
            catalogue.save([city("ghent", f"state {number}"), city("liege", f"state {number}")])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        revisions: list[int] = []
        deadline = time.monotonic() + 30
        while len(set(revisions)) < 4 and time.monotonic() < deadline:
            dump = dumps.whole("nq")
            text = gzip.decompress(b"".join(dump.chunks())).decode()
            states = set(re.findall(r"state (\d+)", text))
            assert len(states) <= 1, states
            numbers = [int(n) for n in re.findall(r'#versionInfo> "(\d+)"', text)]
            assert max(numbers) == dump.revision
            revisions.append(dump.revision)
    finally:
        stop.set()
        writer.join()
    assert revisions == sorted(revisions)
    assert len(set(revisions)) == 4, "nothing was written meanwhile"


def test_a_dump_is_made_once_for_a_revision(catalogue: Catalogue, dumps: Dumps, tmp_path: Path) -> None:
    first, again = dumps.whole("nq"), dumps.whole("nq")
    folder = tmp_path / "dumps"
    made = (folder / first.name).stat()
    assert (first.sha256, first.tag, first.name) == (again.sha256, again.tag, again.name)
    assert (folder / again.name).stat().st_mtime_ns == made.st_mtime_ns
    catalogue.save([city("ghent", "words never seen")])
    newer = dumps.whole("nq")
    again.file.close()
    newer.file.close()
    assert newer.tag != first.tag
    assert newer.revision == first.revision + 1
    assert [file.name for file in folder.iterdir()] == [newer.name], "an old dump or a leftover lies about"
    assert b"never seen" not in gzip.decompress(b"".join(first.chunks())), "a dump changed while it was read"


def test_between_two_dumps_there_is_a_rest(catalogue: Catalogue, tmp_path: Path) -> None:
    """Somebody who asks after every write gets the dump before, as the dump it is."""
    resting = Dumps(tmp_path / "dumps", catalogue.graph, rest=10_000)
    first = resting.whole("nq")
    catalogue.save([city("ghent", f"words after {first.revision}")])
    second = resting.whole("nq")
    assert (second.revision, second.tag, second.sha256) == (first.revision, first.tag, first.sha256)
    assert second.tag != resting.tag()
    assert b"".join(first.chunks()) == b"".join(second.chunks())


def test_the_checksum_is_that_of_the_file(dumps: Dumps) -> None:
    dump = dumps.whole("trig")
    body = b"".join(dump.chunks())
    assert hashlib.sha256(body).hexdigest() == dump.sha256
    assert len(body) == dump.size_bytes
    assert dump.file.closed


def test_what_a_killed_maker_left_is_swept(dumps: Dumps, tmp_path: Path) -> None:
    left = tmp_path / "dumps" / ".making-1"
    left.mkdir(parents=True)
    (left / "part").write_text("half")
    assert content(dumps, "nq")
    assert not left.exists()


def test_a_folder_that_was_removed_is_made_again(dumps: Dumps, tmp_path: Path) -> None:
    first = content(dumps, "nq")
    shutil.rmtree(tmp_path / "dumps")
    assert quads(content(dumps, "nq"), "nq") == quads(first, "nq")


def test_a_folder_that_cannot_be_made_is_told(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFolderUnusable, match="cannot be written"):
        Dumps(tmp_path / "file" / "dumps", catalogue.graph).whole("nq")


def test_the_union_has_every_statement_once_and_no_graph(dumps: Dumps) -> None:
    def plain(quad: ox.Quad) -> bool:
        return not isinstance(quad.subject, ox.BlankNode) and not isinstance(quad.object, ox.BlankNode)

    expected = {q.triple for q in ox.parse(content(dumps, "nq"), ox.RdfFormat.N_QUADS) if plain(q)}
    for form, format in UNION_FORMS.items():
        union = list(ox.parse(b"".join(dumps.union(form).chunks()), format))
        assert all(quad.graph_name == ox.DefaultGraph() for quad in union)
        assert {quad.triple for quad in union if plain(quad)} == expected, form
