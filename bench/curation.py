"""Times a curator's work: the check of a record, a save until suggestions and SPARQL see it, and an import.

    python bench/curation.py                   1,000 practices, the ledger in SQLite and in PostgreSQL
    python bench/curation.py --sizes 100000    others (an hour)
    python bench/curation.py --filled FOLDER   begin with copies of what `bench/suggest.py --keep FOLDER` has filled

Each size and engine gets a catalogue of its own in a temporary folder, filled as in bench/suggest.py. The check is
timed in kg and over HTTP, on records that are right and on ones that name a city wrong by a letter. Saves are PATCH
requests with ?publish=true to `mentorgraph serve`; "seen" is the time until an answer of /sparql and one of
/api/suggestions had it, asked again and again. The import is of practices that are new, published at once, until the
index has the last one; beside it the same passages are embedded alone, with the same model in the same run.
PostgreSQL is the server of the tests, with fsync.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import synthetic
from sqlalchemy import MetaData, create_engine, select
from suggest import SentenceSums, fill, shown, timed

from kg.accounts import Accounts, Actor
from kg.catalogue import Catalogue
from kg.imports import ImportFile, ImportOptions, Imports
from kg.ledger import Ledger
from kg.search import view
from kg.search.embedding import load_embedder, prepare_model
from kg.search.switching import index_folder
from kg.vocabulary import DEFAULT_BASE

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.postgres import fresh_database

HEADING = """| practices | ledger | check in kg, ms (p95) | with a wrong city | check over HTTP, ms (p95) | saved, ms (p95) | seen by SPARQL, ms (p95) | by suggestions, ms (p95) | import, practices/s | embedding alone | ratio |
|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""
ANNA = Actor("anna", "curator")


class Sums(SentenceSums):
    """Sums of sentences to fill a catalogue with, the real vectors of whole passages once `exact` is set."""

    exact = False

    def embed(
        self, texts: Sequence[str], *, kind: str, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        return (self.real if self.exact else super()).embed(texts, kind=kind, progress=progress)


@contextmanager
def ledger_url(engine: str) -> Iterator[str | None]:
    """Where the ledger lies: None for the folder's own file."""
    if engine == "SQLite":
        yield None
        return
    with fresh_database() as url:
        server = create_engine(url, isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            for statement in ("ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"):
                connection.exec_driver_sql(statement)
        server.dispose()
        yield url


def checks(catalogue: Catalogue, records: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Milliseconds of checks, right and wrong ones in turn; the first ones warm the thread up."""
    found: dict[str, list[float]] = {"check_ms": [], "wrong_ms": []}
    for number, record in enumerate(records):
        wrong = {**record, "city": f"{record['city']}x"}
        for name, one in (("check_ms", record), ("wrong_ms", wrong)):
            taken = timed(lambda body=one: catalogue.curation.check("practice", body))
            if number >= 5:
                found[name].append(taken)
    return found


def imported(catalogue: Catalogue, sums: Sums, rows: int, tmp: Path) -> tuple[float, float]:
    """Practices a second of an import into a catalogue that is being followed, and of the embedding alone."""
    towns = catalogue.ledger.count("city")
    records = [{**one, "id": f"{one['id']}-new"} for one in synthetic.practices(rows, towns, seed=5)]
    texts = [passage.indexed for one in records for passage in view.cut_practice(one, sums)]
    sums.exact = True
    begun = time.perf_counter()
    sums.embed(texts[: len(texts) // 2], kind="passage")
    alone = time.perf_counter() - begun
    file = tmp / "new.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in records))
    catalogue.follow()
    catalogue.curation.rights.second_person = False
    begun = time.perf_counter()
    report = Imports(catalogue).apply([ImportFile.at(file)], ANNA, ImportOptions(publish=True))
    catalogue.catch_up()
    whole = time.perf_counter() - begun
    assert report.counts["new"] == rows
    begun = time.perf_counter()
    sums.embed(texts[len(texts) // 2 :], kind="passage")  # half before and half after: the machine is not always alike
    alone += time.perf_counter() - begun
    sums.exact = False
    return rows / whole, rows / alone


@contextmanager
def service(folder: Path, url: str | None) -> Iterator[str]:
    """`mentorgraph serve` over a folder: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "MENTORGRAPH_DATA": str(folder),
        "MENTORGRAPH_HOST": "127.0.0.1",
        "MENTORGRAPH_PORT": str(port),
        "MENTORGRAPH_SECOND_PERSON": "false",
        **({"MENTORGRAPH_LEDGER": url} if url else {}),
    }
    command = [str(Path(sys.executable).with_name("mentorgraph")), "serve"]
    process = subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{address}/health/ready", trust_env=False).status_code == 200:
                    break
            if process.poll() is not None:
                sys.exit("the service did not start")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def over_http(
    address: str, token: str, base: str, records: Sequence[dict[str, Any]], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of checks, of saves, and until SPARQL and suggestions had them."""
    found: dict[str, list[float]] = {name: [] for name in ("http_ms", "saved_ms", "sparql_ms", "suggestions_ms")}
    needs = itertools.cycle(synthetic.needs(500, seed=9))
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, timeout=120, trust_env=False) as client:
        for number, record in enumerate(records):
            taken = timed(lambda body=record: client.post("/api/practices/check", json=body).raise_for_status())
            if number >= 5:
                found["http_ms"].append(taken)
        for number, record in enumerate(records[: rounds + 3]):
            path = f"/api/practices/{record['id']}"
            match = client.get(f"{path}?version=newest").headers["ETag"]
            title = f"Saved for the {number}th time"
            begun = time.perf_counter()
            saved = client.patch(
                f"{path}?publish=true",
                json={"title": {"en": title}},
                headers={"If-Match": match, "Content-Type": "application/merge-patch+json"},
            )
            answered = (time.perf_counter() - begun) * 1000
            revision = saved.raise_for_status().json()["revision"]
            ask = f'ASK {{ <{base}id/practice/{record["id"]}> ?p "{title}"@en }}'
            while not client.post("/sparql", data={"query": ask}).raise_for_status().json()["boolean"]:
                time.sleep(0.002)
            sparql = (time.perf_counter() - begun) * 1000
            while True:
                text, language = next(needs)
                body = {"needs": [{"text": text, "language": language}]}
                if client.post("/api/suggestions", json=body).raise_for_status().json()["revision"] >= revision:
                    break
            if number >= 3:
                taken_ = (answered, sparql, (time.perf_counter() - begun) * 1000)
                for name, one in zip(("saved_ms", "sparql_ms", "suggestions_ms"), taken_, strict=True):
                    found[name].append(one)
    return found


def copied(filled: Path, folder: Path, url: str | None) -> None:
    """A catalogue that was filled before; its ledger row by row where it shall lie elsewhere."""
    shutil.copytree(filled, folder, ignore=shutil.ignore_patterns("lock"))
    if url is None:
        return
    there, here = create_engine(f"sqlite:///{folder}/ledger.sqlite"), create_engine(url)
    with Ledger.create(url, DEFAULT_BASE):
        pass  # its tables
    tables = MetaData()
    tables.reflect(here)
    with there.connect() as source, here.begin() as target:
        for table in tables.sorted_tables:
            target.execute(table.delete())
            for rows in source.execute(select(table)).mappings().partitions(1_000):
                target.execute(table.insert(), [dict(row) for row in rows])
    for engine in (there, here):
        engine.dispose()
    for file in folder.glob("ledger.sqlite*"):
        file.unlink()


def measure(
    practices: int, engine: str, rounds: int, rows: int, models: Path, sums: Sums, filled: Path | None
) -> dict[str, Any]:
    """One line of the table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as tmp, ledger_url(engine) as url:
        folder = Path(tmp) / "data"
        if filled is not None:
            copied(filled / str(practices) / "data", folder, url)
        begin = Catalogue.create if filled is None else Catalogue.open
        with begin(folder, models=models, ledger_url=url) as catalogue:
            fill(catalogue, practices)
            _ = catalogue.lists
            catalogue.catch_up(shown)
            catalogue.search.optimise(wait=True)
            towns = max(50, practices // 20)
            records = list(itertools.islice(synthetic.practices(practices, towns), 5 + 4 * rounds))
            found: dict[str, Any] = checks(catalogue, records)
            found["import"], found["alone"] = imported(catalogue, sums, rows, Path(tmp))
            with Accounts(catalogue.ledger) as accounts:
                token = accounts.create_token("anna", "curator", by="bench")[0]
            base = catalogue.base
        shutil.copytree(models, folder / "models", dirs_exist_ok=True)
        with service(folder, url) as address:
            found |= over_http(address, token, base, records, rounds)
    return {"practices": practices, "engine": engine, **found}


def line(row: dict[str, Any]) -> str:
    """One line of the table."""

    def both(name: str) -> str:
        taken = sorted(row[name])
        return f"{statistics.median(taken):.1f} ({taken[int(0.95 * len(taken))]:.1f})"

    times = ("check_ms", "wrong_ms", "http_ms", "saved_ms", "sparql_ms", "suggestions_ms")
    return (
        f"| {row['practices']:,} | {row['engine']} | {' | '.join(map(both, times))} "
        f"| {row['import']:.1f} | {row['alone']:.1f} | {row['import'] / row['alone']:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000])
    parser.add_argument("--engines", nargs="+", choices=["SQLite", "PostgreSQL"], default=["SQLite", "PostgreSQL"])
    parser.add_argument("--rounds", type=int, default=30, help="saves per line; four times as many checks")
    parser.add_argument("--rows", type=int, default=200, help="practices imported")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--filled", type=Path, help="the folder of `bench/suggest.py --keep`")
    options = parser.parse_args()
    models = Path(".cache") / "bench-models"
    models.mkdir(parents=True, exist_ok=True)
    prepare_model(models_folder=models)
    sums = Sums(load_embedder(models))
    sentences = ["Town.", *(sentence for pool in synthetic.sentences().values() for sentence in pool)]
    sums.learn(sentences, (options.filled or models) / "sentences.npy")
    Catalogue._open_search = lambda self: view.SearchView(  # type: ignore[method-assign]
        index_folder(self.folder.search, sums.identity), sums, read=self._read, discard=True
    )
    rows = []
    if not options.json:
        print(HEADING, flush=True)
    for size, engine in itertools.product(options.sizes, options.engines):
        rows.append(measure(size, engine, options.rounds, options.rows, models, sums, options.filled))
        if not options.json:
            print(line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
