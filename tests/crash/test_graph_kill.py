"""Killed at any moment, the graph comes back as the ledger says: nothing acknowledged is missing, nothing is half."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from kg.graph.store import OxigraphStore
from kg.ledger import Ledger
from kg.views import Follower, agreement

ROUNDS = 10
BASE = "https://x.org/"

WORKER = """
import random, sys
from pathlib import Path
from kg.graph.store import OxigraphStore
from kg.ledger import Change, Ledger
from kg.views import Follower

url, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
draw = random.Random(seed)
ledger = Ledger.open(url)
follower = Follower(ledger, OxigraphStore(folder, ledger.base), batch=7)
follower.catch_up()

def change(step):
    id = f"p-{draw.randrange(60)}"
    state = draw.choices(["published", "draft", "withdrawn"], [8, 2, 1])[0]
    visibility = draw.choices(["public", "team"], [9, 1])[0]
    thing = f"<https://x.org/id/practice/{id}"
    lines = [f'{thing}#claim-{n}> <https://x.org/says> "{seed}-{step}-{n}" .' for n in range(draw.randrange(1, 40))]
    return Change("practice", id, state, visibility, "\\n".join(lines), "ilze")

for step in range(1_000_000):
    with ledger.write() as tx:
        saved = [tx.append(change(step)) for _ in range(draw.randrange(1, 20))]
    print(saved[-1].number, flush=True)
    if step % 5 == 4:
        follower.rebuild()
    else:
        follower.catch_up()
    print("in the graph", saved[-1].number, flush=True)
"""


def work_until_killed(url, folder, round, seconds):
    """What a worker acknowledged before it was killed: the last row saved, and the last row it saw in the graph."""
    command = [sys.executable, "-c", WORKER, url, str(folder), str(round)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline()]
        time.sleep(seconds)
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)
    numbers = [int(line.split()[-1]) for line in said if line.endswith("\n")]
    in_graph = [int(line.split()[-1]) for line in said if line.startswith("in") and line.endswith("\n")]
    return numbers[-1], max(in_graph, default=0)


def content(store, path):
    store.dump(path, "nquads")
    return sorted(path.read_bytes().splitlines())


@pytest.mark.slow
def test_a_graph_killed_at_any_moment_catches_up_to_what_the_ledger_says(tmp_path):
    url, folder, draw = f"sqlite:///{tmp_path}/ledger.sqlite", tmp_path / "graph", random.Random(20)
    Ledger.create(url, BASE).close()
    behind = 0
    for round in range(ROUNDS):
        saved, in_graph = work_until_killed(url, folder, round, draw.uniform(0, 0.4))
        with Ledger.open(url) as ledger, OxigraphStore(folder, BASE) as store, OxigraphStore(None, BASE) as fresh:
            assert ledger.last_number() >= saved
            behind += ledger.last_number() > store.marker()
            assert Follower(ledger, store, batch=7).catch_up() == ledger.last_number()
            assert Follower(ledger, fresh).rebuild() == store.marker() >= in_graph
            assert content(store, tmp_path / "followed.nq") == content(fresh, tmp_path / "fresh.nq") != []
            assert agreement(ledger, store) == []
    assert behind, "no kill came between ledger and graph, so this run has shown nothing"
