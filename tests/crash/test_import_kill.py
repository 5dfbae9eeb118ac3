"""SIGKILL at random moments of an import: running it again finishes it, and the result is that of an undisturbed run.

500 records in twenty kills; `make test-long` sets MENTORGRAPH_TEST_IMPORT_ROWS to 5000.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kg.accounts import Actor
from kg.catalogue import Catalogue
from kg.imports import ImportFile, ImportOptions, Imports

pytestmark = pytest.mark.slow
ROWS = int(os.environ.get("MENTORGRAPH_TEST_IMPORT_ROWS", "500"))
KILLS = 20
BATCH = max(10, ROWS // 25)

IMPORTING = """
import sys
from pathlib import Path
from kg.accounts import Actor
from kg.catalogue import Catalogue
from kg.imports import ImportFile, ImportOptions, Imports
with Catalogue.open(Path(sys.argv[1])) as catalogue:
    catalogue.curation.rights.second_person = False
    print("begins", flush=True)
    Imports(catalogue).apply(
        [ImportFile.at(Path(sys.argv[2]))], Actor("anna", "curator"), ImportOptions(publish=True), batch=int(sys.argv[3])
    )
print("done", flush=True)
"""


def rows() -> list[dict]:
    """New cities, practices in them that come first, and organisations that change."""
    found = []
    for n in range(ROWS // 2):
        found.append(
            {
                "kind": "practice",
                "id": f"town-{n}--buddies",
                "title": {"en": f"Buddies of town {n}"},
                "action": {"en": "Residents and newcomers meet every week."},
                "city": f"town-{n}",
                "themes": ["intercultural-buddy"],
                "language": "en",
                "sources": [{"url": f"https://example.org/{n}"}],
            }
        )
        found.append({"kind": "city", "id": f"town-{n}", "name": {"en": f"Town {n}"}, "country": "BE"})
    return found


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    with Catalogue.create(folder / "data") as catalogue:
        before = [
            {"kind": "city", "id": f"town-{n}", "name": {"en": "To be changed"}, "country": "BE"} for n in range(20)
        ]
        assert catalogue.save(before).written
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows()))
    return folder


def result(folder: Path) -> tuple[dict, int]:
    """What the ledger holds in the end, without times and numbers, and how many rows it took; all views agree."""
    with Catalogue.open(folder) as catalogue:
        assert catalogue.verify() == catalogue.ledger.last_number()
        found = {
            (one.kind, one.id): (one.state, one.visibility, one.title, one.payload, one.author)
            for one in catalogue.ledger.published_revisions()
        }
        return found, catalogue.ledger.last_number()


def copied(start: Path, place: Path) -> Path:
    return shutil.copytree(start / "data", place, ignore=shutil.ignore_patterns("lock"))


def test_twenty_kills_and_a_last_run_give_what_an_undisturbed_run_gives(start, tmp_path):
    undisturbed, disturbed = copied(start, tmp_path / "undisturbed"), copied(start, tmp_path / "disturbed")
    with Catalogue.open(undisturbed) as catalogue:
        catalogue.curation.rights.second_person = False
        began = time.monotonic()
        options = ImportOptions(publish=True)
        files = [ImportFile.at(start / "rows.jsonl")]
        report = Imports(catalogue).apply(files, Actor("anna", "curator"), options, batch=BATCH)
        took = time.monotonic() - began
    assert report.written == ROWS

    moments, killed = random.Random(4), 0
    for _ in range(KILLS):
        lines = importing(start, disturbed, kill_after=moments.uniform(0.0, took / 4))
        killed += "done" not in lines
    assert killed >= 5
    assert "done" in importing(start, disturbed)
    assert result(disturbed) == result(undisturbed)


def importing(start: Path, folder: Path, kill_after: float | None = None) -> list[str]:
    """What the import printed; killed some seconds after it began, unless it is left alone."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING, str(folder), str(start / "rows.jsonl"), str(BATCH)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    with process.stdout as output:
        lines = [output.readline()]
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(process.pid, signal.SIGKILL)
        lines += output.readlines()
    assert process.wait() in (0, -signal.SIGKILL)
    return [line.strip() for line in lines]
