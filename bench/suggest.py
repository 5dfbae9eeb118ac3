"""Times a suggestion end to end beside the embedding of its need alone, in one run, at several sizes.

    python bench/suggest.py                        1,000, 10,000 and 100,000 practices (half an hour)
    python bench/suggest.py --sizes 1000           others

Each size gets a catalogue of its own in a temporary folder: ledger, graph and index as in the
product, about five passages a practice. Embedding 500,000 passages would take more than an hour,
so a passage's vector is the normalised sum of its sentences' vectors, which the real model made;
needs are embedded as always. Records are valid by construction and go straight into the ledger.
Requests alternate with the embedding alone; no need is asked twice, so no cache helps either.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import synthetic

from kg.catalogue import Catalogue, title_of
from kg.ledger import Change
from kg.records import to_graph, to_ntriples
from kg.search import view
from kg.search.embedding import Embedder, load_embedder, prepare_model
from kg.search.switching import index_folder

HEADING = """| practices | embedding alone, ms | suggestion, ms (p95) | ratio | start with first answer, s | memory, MB |
|---:|---:|---:|---:|---:|---:|"""

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

    def learn(self, texts: Sequence[str]) -> None:
        """Embed every sentence once."""
        for text, vector in zip(texts, self.real.embed(texts, kind="passage"), strict=True):
            self.known[text] = vector

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


def fill(catalogue: Catalogue, practices: int) -> float:
    """Put the records into the ledger; seconds."""
    begun = time.perf_counter()
    towns = max(50, practices // 20)
    with catalogue.ledger.write() as transaction:
        for record in (*synthetic.cities(towns), *synthetic.practices(practices, towns)):
            payload = to_ntriples(to_graph(record, catalogue.base))
            change = Change(
                record["kind"], record["id"], "published", "public", payload, "bench", title=title_of(record)
            )
            transaction.append(change)
    return time.perf_counter() - begun


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def measure(practices: int, rounds: int, models: Path, real: Embedder, sums: SentenceSums) -> dict[str, float]:
    """One line of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as tmp:
        folder = Path(tmp) / "data"
        with Catalogue.create(folder, models=models) as catalogue:
            filled = fill(catalogue, practices)
            begun = time.perf_counter()
            catalogue.catch_up(shown)
            graph_seconds = time.perf_counter() - begun
            begun = time.perf_counter()
            view_ = catalogue.search
            view_.optimise(wait=True)
            search_seconds = time.perf_counter() - begun
            asked = synthetic.needs(2 * rounds + 10, seed=practices)  # no need is asked twice, at other sizes neither
            for text, language in asked[:10]:
                catalogue.suggest_mentors({"needs": [{"text": text, "language": language}]})
            gc.collect()
            alone, whole = [], []
            for (one, _), (other, language) in zip(asked[10::2], asked[11::2], strict=True):
                alone.append(timed(lambda text=one: real.embed([text], kind="query")))
                request = {"needs": [{"text": other, "language": language}]}
                whole.append(timed(lambda asked=request: catalogue.suggest_mentors(asked)))
        child = subprocess.run(
            [sys.executable, "-c", START, str(folder), str(models)], check=True, capture_output=True, text=True
        )
        start, memory = map(float, child.stdout.split())
    return {
        "practices": practices,
        "embedding_ms": statistics.median(alone),
        "suggestion_ms": statistics.median(whole),
        "suggestion_p95_ms": sorted(whole)[int(0.95 * len(whole))],
        "ratio": statistics.median(whole) / statistics.median(alone),
        "start_s": start,
        "memory_mb": memory,
        "ledger_s": filled,
        "graph_s": graph_seconds,
        "index_s": search_seconds,
    }


def shown(what: str, done: int, total: int) -> None:
    """Progress on standard error."""
    print(f"\r{what}: {done:,} of {total:,}   ", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=60, help="suggestions timed per size")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    models = Path(".cache") / "bench-models"
    models.mkdir(parents=True, exist_ok=True)
    prepare_model(models_folder=models)
    real = load_embedder(models)
    sums = SentenceSums(real)
    print("embedding the sentences once", file=sys.stderr)
    sums.learn(["Town.", *(sentence for pool in synthetic.sentences().values() for sentence in pool)])
    opened = Catalogue._open_search
    Catalogue._open_search = lambda self: view.SearchView(
        index_folder(self.folder.search, sums.identity), sums, read=self._read, discard=True
    )
    try:
        rows = []
        if not options.json:
            print(HEADING, flush=True)
        for size in options.sizes:
            rows.append(measure(size, options.rounds, models, real, sums))
            if not options.json:
                print(line(rows[-1]), flush=True)
    finally:
        Catalogue._open_search = opened
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['practices']:,} practices: into the ledger {row['ledger_s']:.0f} s, graph {row['graph_s']:.0f} s, "
            f"index {row['index_s']:.0f} s"
        )


def line(row: dict[str, float]) -> str:
    """One line of the table."""
    return (
        f"| {row['practices']:,} | {row['embedding_ms']:.1f} | {row['suggestion_ms']:.1f} ({row['suggestion_p95_ms']:.1f}) "
        f"| {row['ratio']:.2f} | {row['start_s']:.2f} | {row['memory_mb']:,.0f} |"
    )


if __name__ == "__main__":
    main()
