"""What the README and the docs show really runs."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kg.catalogue import Catalogue
from tests.models import prepared_models

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("readme")
    with Catalogue.create(place / "data", start_data=True, models=prepared_models()) as catalogue:
        catalogue.reindex()
    (place / "data" / "models").symlink_to(prepared_models(), target_is_directory=True)
    (place / "duos.jsonl").write_text(blocks("json")[0], "utf-8")
    return place


def test_every_command_shown_runs_in_the_order_shown(folder):
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("mentorgraph ")]
    assert len(commands) >= 4
    for line in commands:
        words = shlex.split(line)[1:]
        done = subprocess.run(
            [Path(sys.executable).parent / "mentorgraph", *words],
            cwd=folder,
            env={**os.environ, "MENTORGRAPH_DATA": str(folder / "data")},
            capture_output=True,
        )
        assert done.returncode == 0, (line, done.stderr.decode())


def test_the_make_targets_shown_are_there():
    shown = [
        line.removeprefix("make ") for block in blocks("sh") for line in block.splitlines() if line.startswith("make ")
    ]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"serve", "test"} <= set(shown) <= set(targets)


def test_the_query_shown_finds_something(folder):
    with Catalogue.open(folder / "data", models=prepared_models()) as catalogue:
        for query in blocks("sparql"):
            found = json.loads(catalogue.graph.query(query))
            assert found["results"]["bindings"]


def test_the_request_shown_is_one_the_service_takes(folder):
    (body,) = re.findall(r"-d '(\{.*\})'", README)
    with Catalogue.open(folder / "data", models=prepared_models()) as catalogue:
        assert catalogue.suggest_mentors(json.loads(body))["suggestions"]


def test_the_map_names_every_folder_that_is_there():
    listed = set(re.findall(r"^\| `([a-z]+)/` \|", README, re.MULTILINE))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    assert listed == {path.partition("/")[0] for path in tracked if "/" in path and not path.startswith(".")}


def test_every_link_to_a_file_of_ours_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "ontology").glob("**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), (page.name, target)
