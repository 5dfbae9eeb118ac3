"""Pairing a cohort over HTTP and on the command line, over the starting data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kg.cohorts import read_file
from kg.matching.reasons import ROLE_LIMITS
from ontology import path as shipped
from service.api.cohorts import EXAMPLES
from tests.models import prepared_models

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def inclucities(client: httpx.Client) -> dict[str, Any]:
    answer = client.post("/api/cohorts", json=read_file(shipped("cohorts/inclucities.yaml")))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_eight_municipalities_are_paired_with_the_next_best_beside(inclucities: dict[str, Any]) -> None:
    best = {one["mentee"]["id"]: one["mentor"]["id"] for one in inclucities["pairs"]}
    assert set(best) == {"capaci", "jelgava", "levadia", "saint-jean-de-la-ruelle"}
    assert set(best.values()) == {"brussels", "fuenlabrada", "mechelen", "schaerbeek"}
    ranked = [best] + [
        best | {one["mentee"]["id"]: one["to"]["id"] for one in other["changes"]}
        for other in inclucities["alternatives"]
    ]
    assert len({tuple(sorted(one.items())) for one in ranked}) == 6
    assert inclucities["proved"]
    assert inclucities["unmatched"] == []


def test_the_page_on_cohorts_tells_the_first_pairing_of_the_eight(inclucities: dict[str, Any]) -> None:
    page = (ROOT / "docs/cohorts.md").read_text(encoding="utf-8").split("## The four pairs of IncluCities")[1]
    told = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)[1:]
    assert told == [(one["mentee"]["label"], one["mentor"]["label"]) for one in inclucities["pairs"]]
    total, loss = inclucities["total"], inclucities["alternatives"][0]["loss"]
    assert f"({total:.3f} in all, the next {loss:.3f} below)" in page


def test_pairs_have_the_reasons_that_suggestions_have(client: httpx.Client, inclucities: dict[str, Any]) -> None:
    pair = next(one for one in inclucities["pairs"] if one["mentee"]["id"] == "jelgava")
    need = client.get("/api/needs/jelgava--practising-latvian").json()
    asked = {
        "needs": [{"text": need["need_text"]["en"], "language": "en", "themes": sorted(need["themes"])}],
        "mentee": {"city": "jelgava"},
        "weights": {"trust": 0},
        "as_of": inclucities["as_of"],
        "limit": 50,
    }
    told = client.post("/api/suggestions", json=asked).json()["suggestions"]
    same = next(one for one in told if one["city"]["id"] == pair["mentor"]["id"])
    assert pair["utility"] == same["utility"]
    assert pair["suggestion"]["reasons"] == same["reasons"]
    assert pair["suggestion"]["practices"] == same["practices"]
    assert any(one["passage"]["sentence"] for one in same["practices"])
    assert pair["suggestion"]["needs"] == same["needs"]


def test_a_profile_is_named_as_in_suggestions(client: httpx.Client) -> None:
    asked = {"mentees": [{"city": "jelgava"}], "mentors": ["schaerbeek", "ghent"], "alternatives": 0}
    peers = client.post("/api/cohorts", json=asked | {"profile": "peer-learning"}).json()
    assert peers["profile"]["name"] == "peer-learning"
    usual = client.post("/api/cohorts", json=asked).json()
    assert usual["profile"]["name"] == "mentoring"
    assert peers["total"] != usual["total"]
    refused = client.post("/api/cohorts", json=asked | {"profile": "peers"})
    same = client.post("/api/suggestions", json={"needs": [{"text": "Heat"}], "profile": "peers"})
    assert refused.status_code == same.status_code == 422
    assert {**refused.json(), "instance": ""} == {**same.json(), "instance": ""}


def test_sentences_are_in_the_language_asked_for_and_the_limits_stand_under_them(client: httpx.Client) -> None:
    asked = {"mentees": [{"city": "jelgava"}], "mentors": ["schaerbeek", "ghent"], "alternatives": 0}
    for language in ("en", "fr"):
        answer = client.post("/api/cohorts", params={"lang": language}, json=asked)
        assert answer.headers["content-language"] == language
        told = answer.json()
        assert told["role_limits"] == ROLE_LIMITS[language]
        assert told["rules"][0]["text"].endswith("1 city." if language == "en" else "1 ville.")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_documentation_work(client: httpx.Client, name: str) -> None:
    answer = client.post("/api/cohorts", json=EXAMPLES[name]["value"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["feasible"]


def test_the_request_of_the_page_on_cohorts_works(client: httpx.Client) -> None:
    page = (ROOT / "docs/cohorts.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found
    told = client.post("/api/cohorts", json=yaml.safe_load(found[1])).json()
    assert told["feasible"], told
    assert {(one["mentee"]["id"], one["mentor"]["id"]) for one in told["pairs"] if one["fixed"]} == {
        ("jelgava", "schaerbeek")
    }


def test_every_part_of_an_answer_is_described(client: httpx.Client, inclucities: dict[str, Any]) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(inclucities) == set(schemas["CohortAnswer"]["properties"])
    assert set(inclucities["pairs"][0]) == set(schemas["CohortPair"]["properties"])
    assert set(inclucities["fairest"]) == set(schemas["Fairest"]["properties"])
    assert set(inclucities["alternatives"][0]["changes"][0]) == set(schemas["Change"]["properties"])
    assert set(inclucities["rules"][0]) == set(schemas["RuleCost"]["properties"])


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"mentees": []}, 422, "mentees"),
        ({"mentors": ["atlantis"]}, 422, "there is no city 'atlantis' on record"),
        ({"mentors": "all available"}, 422, "no city on record offers to mentor"),
        ({"mentors": ["Gent"]}, 422, "mentors.0.city: this is neither a short identifier"),
        ({"mentors": [{"city": "ghent", "at_most": True}]}, 422, "mentors.0.at_most: "),
        ({"mentors": 3}, 422, "mentors: "),
        ({"mentors": "everybody"}, 422, "mentors: "),
        ({"rules": {"vetos": []}}, 422, "rules.vetos"),
        ({"rules": {"visits": 10**40}}, 422, "rules.visits"),
        ({"time_limit_seconds": 1e9}, 422, "time_limit_seconds"),
        ({"mentees": [{"city": "riga"}]}, 422, "'riga' has no public need on record"),
        ({"mentees": [{"city": "jelgava"}, {"city": "jelgava"}]}, 422, "stands twice"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    client: httpx.Client, change: dict[str, Any], status: int, said: str
) -> None:
    asked = {"mentees": [{"city": "jelgava"}], "mentors": ["schaerbeek"], **change}
    answer = client.post("/api/cohorts", json=asked)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert said in detail
    assert len(answer.json().get("problems", [said])) == 1
    assert not re.search(r"[(\[]list|union|literal|Cohort", detail)


# On the command line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, start_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("cohorts")
    shutil.copytree(start_folder, folder / "data")
    shutil.copytree(prepared_models(), folder / "data" / "models", dirs_exist_ok=True)
    return folder


def run(
    *arguments: str | Path, folder: Path, program: str = "from service.cli import main; main()"
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MENTORGRAPH_")}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_a_file_is_paired_on_the_command_line(place: Path) -> None:
    file = shipped("cohorts/inclucities.yaml")
    result = run("cohort", file, "--alternatives", "1", "--profile", "peer-learning", folder=place)
    assert result.returncode == 0, result.stderr
    assert "Jelgava" in result.stdout
    assert result.stdout.count(" less: ") == 1
    assert "accompanies" in result.stdout
    assert "Weighed with the profile peer-learning, version " in result.stdout


NOISY = """
import ctypes
from kg.catalogue import Catalogue
from service.cli import main

def noisily(self, request, *, language, kept=Catalogue.pair_cohort):
    ctypes.CDLL(None).printf(b"a line of the solver's own\\n")
    return kept(self, request, language=language)

Catalogue.pair_cohort = noisily
main()
"""


def test_what_the_solver_prints_is_no_part_of_the_answer(place: Path) -> None:
    result = run("cohort", shipped("cohorts/inclucities.yaml"), "--json", folder=place, program=NOISY)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["feasible"]
    assert "a line of the solver's own" in result.stderr


def test_figures_have_a_comma_in_french(place: Path) -> None:
    result = run("cohort", shipped("cohorts/inclucities.yaml"), "--alternatives", "1", "--lang", "fr", folder=place)
    assert result.returncode == 0, result.stderr
    assert re.search(r"0,\d{3} de moins", result.stdout)
    assert not re.search(r"\d\.\d", result.stdout)
    assert "Ce que fait une ville mentore, et ce qu’elle ne fait pas" in result.stdout  # as under suggestions
    below_the_table = result.stdout.partition("Les meilleures répartitions suivantes")[2]
    assert below_the_table
    assert not re.search(r"\w[:;]\s", below_the_table)


def test_thirty_cities_are_paired_under_their_rules(place: Path) -> None:
    result = run("cohort", shipped("cohorts/thirty.yaml"), "--lang", "fr", "--json", folder=place)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["mentees_total"] == 30
    assert len(told["pairs"]) + len(told["unmatched"]) == 30
    assert all(mentor["taken"] <= mentor["places"] for mentor in told["mentors"])
    countries = [(one["mentee"]["country"], one["mentor"]["country"]) for one in told["pairs"]]
    assert all(one != other for one, other in countries)
    assert sum(other == "BE" for _, other in countries) <= 7
    assert {"levadia": "fuenlabrada"}.items() <= {
        one["mentee"]["id"]: one["mentor"]["id"] for one in told["pairs"]
    }.items()
    assert "accompagne" in told["role_limits"]


def test_rules_that_contradict_each_other_end_with_one(place: Path) -> None:
    file = place / "impossible.yaml"
    pair = "{mentee: jelgava, mentor: ghent}"
    file.write_text(
        f"mentees: [city: jelgava]\nmentors: [ghent]\nrules: {{fixed: [{pair}], vetoes: [{pair}]}}\n", encoding="utf-8"
    )
    result = run("cohort", file, folder=place)
    assert result.returncode == 1
    assert "Jelgava is to be accompanied by Ghent." in result.stdout
    assert "Jelgava and Ghent must not be paired." in result.stdout


def test_a_file_that_cannot_be_used_is_one_line(place: Path) -> None:
    file = place / "wrong.yaml"
    for text, said in (
        ("mentees: &x []\n", "line 1: anchors"),
        ("mentees: []\nmentors: [ghent]\n", "wrong.yaml: mentees"),
    ):
        file.write_text(text, encoding="utf-8")
        result = run("cohort", file, folder=place)
        assert (result.returncode, result.stdout) == (1, "")
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


def test_what_is_wrong_with_a_command_s_request_is_told_in_the_language_asked_for(place: Path) -> None:
    file = place / "no-mentors.yaml"
    file.write_text("mentees: [city: jelgava]\n", encoding="utf-8")
    for words, said in (
        (("suggest", ""), "needs.0.text : le texte est vide"),
        (("cohort", file), "no-mentors.yaml: mentors : cette valeur manque"),
    ):
        result = run(*words, "--lang", "fr", folder=place)
        assert (result.returncode, result.stdout) == (1, "")
        assert said in result.stderr
