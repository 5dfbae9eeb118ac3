"""Times a suggestion end to end and step by step, beside the embedding of its need alone, txtai and LanceDB, in one run.

    python bench/suggest.py                        1,000, 10,000 and 100,000 practices (about two hours)
    python bench/suggest.py --sizes 1000           others
    python bench/suggest.py --keep FOLDER          what was filled is kept there, and used or continued the next time
    python bench/suggest.py --million              10,000 and 1,000,000 practices as well, as an index alone
    python bench/suggest.py --without LanceDB

Each size gets a catalogue of its own: ledger, graph and index as in the product, about five passages a practice.
Embedding 500,000 passages would take more than an hour, so a passage's vector is the normalised sum of its sentences'
vectors, which the real model made; needs are embedded as always. Records are valid by construction and go straight
into the ledger. Needs come without their language, as people write them. Requests alternate with the embedding alone of
the same words in another order, since a Latvian need has twice the tokens of an English one; no need is asked twice, so no
cache helps.

txtai and LanceDB (pip install -e '.[bench]') get the same passages and vectors and, of each need, the text and the
vector. Search beside search is our ranking of practices without embedding, theirs of passages, all among practices of one
country. Recall is the share of the ten practices nearest to a need by all vectors that our list of the nearest passages
shows.

The million is an index alone, built from vectors, beside one of 10,000 made alike: no ledger, no graph, no facts of
cities, so it times reading a need and finding practices for it. A practice has one passage there: with five, the engine's
graph over five million vectors takes two cores more than an hour. Texts repeat every 2,000 practices, vectors do not.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import search_peers
import synthetic

from kg import answering
from kg.catalogue import CANDIDATES, Catalogue, title_of
from kg.city_facts import CityFactsReader
from kg.ledger import Change
from kg.records import to_graph, to_ntriples
from kg.search import view
from kg.search.embedding import Embedder, load_embedder, prepare_model
from kg.search.port import Query
from kg.search.ranking import Filters
from kg.search.switching import index_folder

HEADINGS = {
    "whole": """| practices | embedding alone, ms | suggestion, ms (p95) | ratio | recall@10 | start with first answer, s | memory, MB |
|---:|---:|---:|---:|---:|---:|---:|""",
    "search": """| practices | search in one country | ms (p95) | ÷ ours | memory, MB | on disk, MB | built in, s |
|---:|---|---:|---:|---:|---:|---:|""",
}
OURS = "mentorgraph"
TEN_THOUSAND, MILLION = 10_000, 1_000_000
TEXTS_OF_A_MILLION = 2_000
NEAREST = 10
STEPS = [
    *("recognising the language", "themes and bridge", "embedding", "words and their rarity", "retrieval"),
    *(
        "exact scores",
        "fusing",
        "facts of cities",
        "factors and matching",
        "reasons",
        "passages cited",
        "writing",
        "the rest",
    ),
]

START = """
import sys, time
begun = time.perf_counter()
from pathlib import Path
from kg.catalogue import Catalogue
with Catalogue.open(Path(sys.argv[1]), models=Path(sys.argv[2])) as catalogue:
    catalogue.suggest_mentors({"needs": [{"text": "language practice for newcomers"}]})
    status = Path("/proc/self/status").read_text()
    print(time.perf_counter() - begun, int(status.split("VmRSS:")[1].split()[0]) / 1024)
"""


class SentenceSums:
    """The real embedder for needs; passages get the sum of their sentences' real vectors."""

    def __init__(self, real: Embedder) -> None:
        self.real, self.known = real, {}
        self.identity, self.dimension = real.identity, real.dimension
        self.max_tokens, self.multilingual = real.max_tokens, real.multilingual

    def learn(self, texts: Sequence[str], kept: Path) -> None:
        """Embed every sentence once; `kept` has their vectors for the next run."""
        if not kept.exists():
            print("embedding the sentences once", file=sys.stderr)
            np.save(kept, self.real.embed(texts, kind="passage"))
        self.known = dict(zip(texts, np.load(kept), strict=True))

    def embed(
        self, texts: Sequence[str], *, kind: str, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        if kind == "query":
            return self.real.embed(texts, kind=kind, progress=progress)
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            parts = [self.known[part] for part in re.split(r"(?<=\.) ", text) if part in self.known]
            row += np.sum(parts, axis=0) if parts else self.known["Town."]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Steps:
    """Where the time of calls goes: wraps functions by name and adds up what each takes beside those it calls."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def watch(self, owner: Any, name: str, step: str) -> Callable[[], None]:
        """Count calls of `owner.name` as this step; what is returned takes the watch off again."""
        watched = getattr(owner, name)

        @functools.wraps(watched)
        def timed_(*args: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            begun = time.perf_counter()
            try:
                return watched(*args, **named)
            finally:
                took = time.perf_counter() - begun
                self.taken[step] += (took - self._inner.pop()) * 1000
                self._inner[-1] += took

        setattr(owner, name, timed_)
        return lambda: setattr(owner, name, watched)

    def of(self, work: Callable[[], object]) -> dict[str, float]:
        """Milliseconds of each step in one call."""
        self.taken.clear()
        work()
        return dict(self.taken)


def watch_all(steps: Steps, index: type) -> Iterator[Callable[[], None]]:
    """The steps of a suggestion, in their order."""
    yield steps.watch(view, "language_of", "recognising the language")
    yield steps.watch(view.SearchView, "understand", "themes and bridge")
    yield steps.watch(SentenceSums, "embed", "embedding")
    yield steps.watch(view.SearchView, "_query", "words and their rarity")
    yield steps.watch(index, "candidates", "retrieval")
    yield steps.watch(index, "score", "exact scores")
    yield steps.watch(view.SearchView, "_ranked", "fusing")
    yield steps.watch(CityFactsReader, "facts", "facts of cities")
    yield steps.watch(answering, "rank_cities", "factors and matching")
    yield steps.watch(answering, "explained", "reasons")
    yield steps.watch(index, "payloads", "passages cited")
    yield steps.watch(json, "dumps", "writing")
    yield steps.watch(answering, "write_suggestion", "writing")
    yield steps.watch(Catalogue, "_need_answer", "writing")
    yield steps.watch(Catalogue, "suggest_mentors", "the rest")


def fill(catalogue: Catalogue, practices: int) -> float:
    """Put the records into the ledger, unless they are there; seconds."""
    begun = time.perf_counter()
    if catalogue.ledger.count("practice") >= practices:
        return 0.0
    with catalogue.ledger.write() as transaction:
        for record in (*synthetic.cities(towns(practices)), *synthetic.practices(practices, towns(practices))):
            payload = to_ntriples(to_graph(record, catalogue.base))
            change = Change(
                record["kind"], record["id"], "published", "public", payload, "bench", title=title_of(record)
            )
            transaction.append(change)
    return time.perf_counter() - begun


def towns(practices: int) -> int:
    """How many cities these practices lie in."""
    return max(50, practices // 20)


def write_passages(folder: Path, practices: int, sums: SentenceSums) -> None:
    """All passages with their vectors, for others and for exact search; kept where they are already."""
    if (folder / "vectors.npy").exists():
        return
    countries = {city["id"]: city["country"] for city in synthetic.cities(towns(practices))}
    rows = []
    with (folder / "passages.jsonl").open("w", encoding="utf-8") as lines:
        for record in synthetic.practices(practices, towns(practices)):
            found = view.cut_practice(record, sums)
            rows.append(sums.embed([passage.indexed for passage in found], kind="passage"))
            said = {"practice": record["id"], "country": countries[record["city"]]}
            lines.writelines(json.dumps({"text": passage.text, **said}) + "\n" for passage in found)
    np.save(folder / "vectors.tmp.npy", np.concatenate(rows))
    (folder / "vectors.tmp.npy").rename(folder / "vectors.npy")


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def measure(size: int, folder: Path, options: argparse.Namespace, models: Path, sums: SentenceSums) -> dict[str, Any]:
    """What is told of one size."""
    folder.mkdir(parents=True, exist_ok=True)
    data, found = folder / "data", {"practices": size}
    with Catalogue.open(data, models=models) if data.exists() else Catalogue.create(data, models=models) as catalogue:
        found |= _filled(catalogue, size, folder / "filled.json")
        asked = [text for text, _ in synthetic.needs(options.rounds + 10, seed=size)]
        found |= _suggestions(catalogue, asked, sums)
        found |= _searches(catalogue, size, folder, asked[10:], options, sums)
    child = subprocess.run(
        [sys.executable, "-c", START, str(data), str(models)], check=True, capture_output=True, text=True
    )
    found["start_s"], found["memory_mb"] = map(float, child.stdout.split())
    return found


def _filled(catalogue: Catalogue, size: int, note: Path) -> dict[str, float]:
    """Seconds that ledger, graph and index took, in this run or an earlier one; what was begun is continued."""
    catalogue.catch_up(shown)
    if note.exists():
        return json.loads(note.read_text())
    ledger = fill(catalogue, size)
    begun = time.perf_counter()
    catalogue.catch_up(shown)
    graph = time.perf_counter() - begun
    begun = time.perf_counter()
    catalogue.search.optimise(wait=True)
    seconds = {"ledger_s": ledger, "graph_s": graph, "index_s": time.perf_counter() - begun}
    note.write_text(json.dumps(seconds))
    return seconds


def _suggestions(catalogue: Catalogue, asked: Sequence[str], sums: SentenceSums) -> dict[str, Any]:
    """Suggestions beside the embedding alone of the same words in another order, then step by step."""

    def suggest(text: str) -> None:
        json.dumps(catalogue.suggest_mentors({"needs": [{"text": text}]}))

    for text in asked[:10]:
        suggest(text)
    gc.collect()
    alone, whole, dense = [], [], []
    index = catalogue.search._index
    for text in asked[10:]:
        turned = _turned(text, 7)
        alone.append(timed(lambda words=turned: sums.real.embed([words], kind="query")))
        whole.append(timed(lambda words=text: suggest(words)))
        query = Query(sums.real.embed([text], kind="query")[0].tolist(), {}, {})
        dense.append(timed(lambda q=query: index.candidates([q], Filters(), catalogue.search.profile.depth)))
    steps = Steps()
    with ExitStack() as watches:
        for stop in watch_all(steps, type(index)):
            watches.callback(stop)
        taken = [steps.of(lambda words=text: suggest(_turned(words, 19))) for text in asked[10:]]
    names = dict.fromkeys(name for one in taken for name in one)
    ordered = [name for name in STEPS if name in names]
    return {
        "embedding_ms": statistics.median(alone),
        "suggestion_ms": statistics.median(whole),
        "suggestion_p95_ms": _p95(whole),
        "ratio": statistics.median(whole) / statistics.median(alone),
        "steps_ms": {name: statistics.median(one.get(name, 0.0) for one in taken) for name in ordered},
        "dense_ms": statistics.median(dense),
    }


def _turned(text: str, places: int) -> str:
    """The same words, begun elsewhere: a need that no cache has seen, and as long for the model."""
    words = text.split()
    return " ".join([*words[places:], *words[:places]])


def _searches(
    catalogue: Catalogue,
    size: int,
    folder: Path,
    asked: Sequence[str],
    options: argparse.Namespace,
    sums: SentenceSums,
) -> dict[str, Any]:
    """Searching in one country beside the peers, and recall beside exact search."""
    chooser = random.Random(size)
    countries = [chooser.choice(synthetic.COUNTRIES) for _ in asked]
    write_passages(folder, size, sums)
    steps, ours = Steps(), []
    stop = steps.watch(SentenceSums, "embed", "embedding")
    for text, country in zip(asked, countries, strict=True):
        need, filters = view.NeedText(f"again {text}"), Filters(countries=frozenset([country]))
        steps.taken.clear()
        whole = timed(lambda n=need, f=filters: catalogue.search.rank_many([n], filters=f, limit=CANDIDATES))
        ours.append(whole - steps.taken["embedding"])
    stop()
    vectors = sums.real.embed(asked, kind="query")
    found = {
        OURS: {"ms": statistics.median(ours), "p95_ms": _p95(ours), "disk_mb": _megabytes(folder / "data" / "search")}
    }
    for name in search_peers.PEERS:
        if name in options.without:
            continue
        with tempfile.TemporaryDirectory(prefix="bench-") as place:
            peer = search_peers.PeerProcess(name, folder, Path(place))
            took = [peer.ask(*one)[0] for one in zip(asked, vectors, countries, strict=True)]
            disk = _megabytes(Path(place))
            found[name] = {
                "ms": statistics.median(took),
                "p95_ms": _p95(took),
                "memory_mb": peer.close(),
                "disk_mb": disk,
                "built_s": peer.built_seconds,
            }
    return {"search": found, "recall": _recall(catalogue, folder, vectors)}


def _recall(catalogue: Catalogue, folder: Path, vectors: np.ndarray) -> float:
    """Of the practices nearest by all vectors, the share that our dense list shows among as many."""
    rows = np.load(folder / "vectors.npy", mmap_mode="r")
    owners = np.array([one["practice"] for one in search_peers.read_passages(folder)])
    index, profile, shares = catalogue.search._index, catalogue.search.profile, []
    for vector in vectors:
        query = Query(vector.tolist(), {}, {})
        (known,) = index.candidates([query], Filters(), profile.depth)
        nearest = sorted(known.found, key=lambda key: -known.found[key]["dense"])[:NEAREST]
        (shown_,) = index.score([query], [known], [nearest])
        closeness = np.concatenate([rows[at : at + 50_000] @ vector for at in range(0, len(rows), 50_000)])
        exact = dict.fromkeys(owners[place] for place in np.argsort(-closeness)[: 20 * NEAREST])
        shares.append(len({one.practice for one in shown_} & set(list(exact)[:NEAREST])) / NEAREST)
    return statistics.mean(shares)


def measure_million(size: int, folder: Path, options: argparse.Namespace, models: Path, sums: SentenceSums) -> str:
    """What is told of an index built from vectors, without records behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    with Catalogue.open(data, models=models) if data.exists() else Catalogue.create(data, models=models) as catalogue:
        catalogue.catch_up(shown)
        search, begun = catalogue.search, time.perf_counter()
        _fill_index(search, size, sums)
        search.optimise(wait=True)
        built = time.perf_counter() - begun
        steps, whole, alone = Steps(), [], []
        stop = steps.watch(SentenceSums, "embed", "embedding")
        for text, _ in synthetic.needs(options.rounds + 10, seed=size):
            steps.taken.clear()
            whole.append(timed(lambda t=text: search.rank_many([view.NeedText(t)], limit=CANDIDATES)))
            alone.append(steps.taken["embedding"])
        stop()
        rest = [one - other for one, other in zip(whole[10:], alone[10:], strict=True)]
        return (
            f"{size:,} practices, {search._index.passages:,} passages, the index alone: built in {built:,.0f} s; finding "
            f"practices for a need {statistics.median(whole[10:]):.1f} ms, of it the embedding "
            f"{statistics.median(alone[10:]):.1f} ms, the rest {statistics.median(rest):.1f} ms (p95 {_p95(rest):.1f}); "
            f"memory of the process {search_peers.resident_mb():,.0f} MB, on disk {_megabytes(data / 'search'):,.0f} MB"
        )


def _fill_index(search: view.SearchView, size: int, sums: SentenceSums) -> None:
    """Practices straight into the index: texts and words of a few, vectors of their own."""
    few = []
    for record in synthetic.practices(min(size, TEXTS_OF_A_MILLION), towns(size)):
        found = view.cut_practice(record, sums)[:1]
        rows = np.zeros((len(found), sums.dimension), np.float32)
        few.append((record, view.practice_document(record, 1, found, rows, {}, search.profile)))
    pool, random_ = np.stack(list(sums.known.values())), np.random.default_rng(5)
    held = search._index.count
    for start in range(held, size, 500):
        documents = []
        for number in range(start, min(size, start + 500)):
            record, like = few[number % len(few)]
            chosen = random_.integers(len(pool), size=(len(like.passages), 4))
            vectors = pool[chosen].sum(axis=1)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            shared = {"country": synthetic.COUNTRIES[number % 15], "themes_all": record["themes"]}
            fresh = {
                "practice": f"practice-{number}",
                "city": f"town-{number // 20}",
                "vectors": vectors,
                "shared": shared,
            }
            documents.append(replace(like, **fresh))
        search._index.change(practices=documents)
        shown("index", start + len(documents), size)


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def shown(what: str, done: int, total: int) -> None:
    """Progress on standard error."""
    print(f"\r{what}: {done:,} of {total:,}   ", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=60, help="suggestions timed per size")
    parser.add_argument("--keep", type=Path, help="a folder for what is filled, to be used again")
    parser.add_argument("--without", nargs="+", default=[], choices=[*search_peers.PEERS], help="peers to leave out")
    parser.add_argument(
        "--million", type=int, nargs="?", const=MILLION, help="an index alone; another number to try it"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    models = Path(".cache") / "bench-models"
    models.mkdir(parents=True, exist_ok=True)
    prepare_model(models_folder=models)
    sums = SentenceSums(load_embedder(models))
    # The product opens its own model; the sums stand in for passages alone.
    Catalogue._open_search = lambda self: view.SearchView(
        index_folder(self.folder.search, sums.identity), sums, read=self._read, discard=True
    )
    folder = options.keep or Path(tempfile.mkdtemp(prefix="bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    sentences = ["Town.", *(sentence for pool in synthetic.sentences().values() for sentence in pool)]
    sums.learn(sentences, folder / "sentences.npy")
    try:
        rows = [measure(size, folder / str(size), options, models, sums) for size in options.sizes]
        if rows:
            print(json.dumps(rows, indent=1) if options.json else tables(rows), flush=True)
        if options.million:
            for size in (TEN_THOUSAND, options.million):
                print(measure_million(size, folder / f"index-{size}", options, models, sums), flush=True)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """The three tables of the README, and how long filling took."""
    lines = [HEADINGS["whole"], *map(whole_line, rows), ""]
    lines += [
        "| step, ms | " + " | ".join(f"{row['practices']:,}" for row in rows) + " |",
        "|---|" + "---:|" * len(rows),
    ]
    for step in STEPS:
        values = [row["steps_ms"].get(step, 0.0) for row in rows]
        lines.append(f"| {step} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
        if step == "retrieval":
            lines.append(
                "| of it the nearest passages alone | " + " | ".join(f"{r['dense_ms']:.2f}" for r in rows) + " |"
            )
    lines += ["", HEADINGS["search"], *(line for row in rows for line in search_lines(row)), ""]
    lines += [
        f"{row['practices']:,} practices: into the ledger {row['ledger_s']:.0f} s, graph {row['graph_s']:.0f} s, "
        f"index {row['index_s']:.0f} s"
        for row in rows
    ]
    return "\n".join(lines)


def whole_line(row: dict[str, Any]) -> str:
    """One size in the table of suggestions."""
    return (
        f"| {row['practices']:,} | {row['embedding_ms']:.1f} | {row['suggestion_ms']:.1f} ({row['suggestion_p95_ms']:.1f}) "
        f"| {row['ratio']:.2f} | {row['recall']:.3f} | {row['start_s']:.2f} | {row['memory_mb']:,.0f} |"
    )


def search_lines(row: dict[str, Any]) -> Iterator[str]:
    """One size in the table of searches."""
    ours = row["search"][OURS]["ms"]
    for name, one in row["search"].items():
        memory = one.get("memory_mb", row["memory_mb"])
        factor = "–" if name == OURS else f"{one['ms'] / ours:.1f}"
        disk = f"{one['disk_mb']:,.0f}" if one["disk_mb"] else "in memory"
        built = f"{one.get('built_s', row['index_s']):.0f}"
        yield (
            f"| {row['practices']:,} | {name} | {one['ms']:.1f} ({one['p95_ms']:.1f}) | {factor} | {memory:,.0f} "
            f"| {disk} | {built} |"
        )


if __name__ == "__main__":
    main()
