"""SIGKILL at bad moments: after the next start ledger, graph and index agree and nothing acknowledged is missing."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from kg.catalogue import Catalogue
from tests.models import prepared_models

pytestmark = pytest.mark.slow
ROUNDS = 4

CITIES = """
def city(number):
    return {"kind": "city", "id": f"town-{number}", "name": {"en": f"Town {number}"}, "country": "BE"}

def practice(number):
    return {
        "kind": "practice", "id": f"town-{number}--buddies", "title": {"en": f"Buddies of town {number}"},
        "action": {"en": "Residents and newcomers meet every week and walk through the town together."},
        "city": f"town-{number}", "themes": ["intercultural-buddy"], "language": "en",
        "sources": [{"url": f"https://example.org/{number}"}],
    }
"""

SAVING = """
import sys
from pathlib import Path
from kg.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]), models=Path(sys.argv[2]))
catalogue.follow()
number = int(sys.argv[3])
while True:
    number += 1
    assert catalogue.save([city(number), practice(number)]).written
    print(number, flush=True)
"""

COMMITTED_ONLY = """
import os, signal, sys
from pathlib import Path
from kg.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]), models=Path(sys.argv[2]))
_ = catalogue.search
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
catalogue.graph.apply = killed
catalogue.save([city(1), practice(1)])
"""

LOADING = """
import sys, time
from pathlib import Path
from kg.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]), models=Path(sys.argv[2]))
print("loading", flush=True)
catalogue.save([make(n) for n in range(1, 150) for make in (city, practice)])
print("saved", flush=True)
time.sleep(600)
"""

REINDEXING = """
import sys
from pathlib import Path
from kg.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]), models=Path(sys.argv[2]))
print("reindexing", flush=True)
while True:
    catalogue.reindex()
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    folder = tmp_path_factory.mktemp("started") / "data"
    with Catalogue.create(folder, models=prepared_models()) as catalogue:
        catalogue.save([{"kind": "city", "id": "gent", "name": {"en": "Ghent"}, "country": "BE"}])
        assert catalogue.check() == []
    return folder


@pytest.fixture
def folder(started, tmp_path):
    return shutil.copytree(started, tmp_path / "data", ignore=shutil.ignore_patterns("lock"))


def child(program: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    code = textwrap.dedent(CITIES) + textwrap.dedent(program)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(prepared_models()), *more],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def killed_after(process: subprocess.Popen[str], seconds: float) -> list[str]:
    """Lines the process had written `seconds` after its first one; then it is killed."""
    assert process.stdout is not None
    with process.stdout as lines:
        first = lines.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        rest = lines.read()
    assert process.wait() == -signal.SIGKILL
    return [line for line in (first + rest).split("\n") if line]


def test_a_kill_while_saving_loses_nothing_acknowledged(folder):
    moments = random.Random(1)
    acknowledged = 0
    for _ in range(ROUNDS):
        lines = killed_after(child(SAVING, folder, str(acknowledged)), moments.uniform(0.05, 1.0))
        acknowledged = max([acknowledged, *map(int, lines)])
        with Catalogue.open(folder, models=prepared_models()) as catalogue:
            assert catalogue.check() == []
            saved = catalogue.ledger.count("practice", published=True)
            assert saved >= acknowledged
            assert catalogue.get("practice", f"town-{acknowledged}--buddies")
            acknowledged = saved


def test_a_kill_between_the_ledgers_commit_and_the_views_is_made_good_at_the_next_start(folder):
    with child(COMMITTED_ONLY, folder) as process:
        assert process.wait() == -signal.SIGKILL
    with Catalogue.open(folder, models=prepared_models()) as catalogue:
        assert catalogue.ledger.count("practice", published=True) == 1
        assert catalogue.check() == []
        assert catalogue.suggest_mentors({"needs": [{"text": "buddies"}]})["suggestions"][0]["city"]["id"] == "town-1"


def test_a_kill_during_a_load_leaves_all_of_it_or_nothing(folder):
    moments = random.Random(2)
    for _ in range(ROUNDS):
        lines = killed_after(child(LOADING, folder), moments.uniform(0.1, 2.5))
        with Catalogue.open(folder, models=prepared_models()) as catalogue:
            assert catalogue.ledger.count("practice", published=True) in ({149} if "saved" in lines else {0, 149})
            assert catalogue.check() == []


def test_a_kill_during_a_rebuild_of_the_views_is_made_good_at_the_next_start(folder):
    with Catalogue.open(folder, models=prepared_models()) as catalogue:
        catalogue.save([{**GHENT_PRACTICE, "id": f"gent--{n}"} for n in range(40)])
    moments = random.Random(3)
    for _ in range(ROUNDS):
        killed_after(child(REINDEXING, folder), moments.uniform(0.0, 1.5))
        with Catalogue.open(folder, models=prepared_models()) as catalogue:
            assert catalogue.check() == []
            assert len(catalogue.search.held()) == 40


GHENT_PRACTICE = {
    "kind": "practice",
    "title": {"en": "Buddies"},
    "action": {"en": "Residents and newcomers meet."},
    "city": "gent",
    "themes": ["intercultural-buddy"],
    "language": "en",
    "sources": [{"url": "https://example.org/x"}],
}
