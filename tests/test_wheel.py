"""The wheel, installed alone in a new environment, does the main job."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", target, ROOT], check=True, capture_output=True
    )
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_carries_every_data_file_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "kg", "ontology", "service"], cwd=ROOT, check=True, capture_output=True
    )
    assert set(tracked.stdout.decode().split()) <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"kg", "ontology", "service"}


def test_installed_alone_it_makes_a_catalogue_and_suggests_mentors(wheel, tmp_path):
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    # By version and first, as the Makefile does and for its reason.
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "torch==2.13.0"], check=True, cwd=tmp_path)
    subprocess.run([*pip, wheel, "torch==2.13.0"], check=True, cwd=tmp_path)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MENTORGRAPH", "VIRTUAL"))}
    environment["MENTORGRAPH_DATA"] = str(tmp_path / "data")

    def run(*words):
        done = subprocess.run(
            [place / "bin" / "mentorgraph", *words], env=environment, cwd=tmp_path, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    where = "import service, kg, ontology; print(service.__file__, kg.__file__, ontology.__file__)"
    found = subprocess.run([python, "-c", where], check=True, capture_output=True, cwd=tmp_path, env=environment)
    assert found.stdout.decode().count(str(place)) == 3
    run("init", "--start-data")
    answer = json.loads(run("suggest", "Buddies for newcomers", "--mentee", "jelgava", "--limit", "2", "--json"))
    assert [one["rank"] for one in answer["suggestions"]] == [1, 2]
