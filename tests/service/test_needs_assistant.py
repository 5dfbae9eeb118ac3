"""The needs assistant over HTTP and on the command line, and bridge vocabularies as people load them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

from kg.catalogue import Catalogue
from service.cli import explained
from service.needs_commands import change_vocabularies, print_needs, read_text
from tests.models import prepared_models
from tests.service.test_command_line import run

PAGE = "We are a port. Refugee families cannot find a flat.\n\n- Mothers want to learn the language in the evening\n"
SMALL = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
<urn:home> skos:prefLabel "housing"@en, "lakás"@hu .
"""


def test_a_page_comes_back_as_needs(client: httpx.Client) -> None:
    answer = client.post("/api/needs/analysis", json={"text": PAGE}, params={"lang": "fr"})
    told = answer.json()
    assert (answer.status_code, answer.headers["content-language"]) == (200, "fr")
    assert len(told["needs"]) == 2
    assert told["needs"][0]["questions"]
    assert told["role_limits"].startswith("Une ville mentore")
    assert told == client.post("/api/needs/analysis", json={"text": PAGE}, params={"lang": "fr"}).json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": ""}, 422),
        ({"text": "a\u0000b"}, 422),
        ({"text": "x" * 20_001}, 422),
        ({"text": "x", "language": "klingonisch"}, 422),
        ({"text": "x", "more": 1}, 422),
        ({}, 422),
        ([], 422),
    ],
)
def test_what_is_no_text_is_a_problem(client: httpx.Client, body: object, status: int) -> None:
    answer = client.post("/api/needs/analysis", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_answers_say_what_a_need_was_read_with(client: httpx.Client) -> None:
    asked = {
        "needs": [{"text": "Keressük a módját, hogyan segíthetnénk az újonnan érkezett családoknak lakást találni."}]
    }
    (need,) = client.post("/api/suggestions", json=asked).json()["needs"]
    assert need["language"] == "hu"
    assert [one["code"] for one in need["understood"]["warnings"]] == ["language-without-labels"]
    found = client.get("/api/search", params={"q": "Nous cherchons à loger les nouveaux arrivants"}).json()
    assert found["understood"]["by"] == "labels"
    assert found["understood"]["vocabularies"] == ["themes"]


@pytest.mark.parametrize(
    ("language", "title"),
    [("en", "Read as background, not as a need"), ("fr", "Lu comme contexte, non comme besoin")],
)
def test_the_command_prints_what_it_took_for_background(
    language: str, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"needs": [], "context": ["We are a port."], "role_limits": "It accompanies."}
    print_needs(answer, language)
    assert f"{title}\n    We are a port." in capsys.readouterr().out
    print_needs(answer | {"context": []}, language)
    assert title not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [("Brakuje mieszkań. Od dwóch lat.", True), ("Il manque des logements depuis deux ans.", False)],
)
def test_the_command_says_where_questions_could_not_be_checked(
    client: httpx.Client, capsys: pytest.CaptureFixture[str], text: str, said: bool
) -> None:
    print_needs(client.post("/api/needs/analysis", json={"text": text}).json(), "en")
    assert ("All questions are asked" in capsys.readouterr().out) == said


def test_the_status_counts_what_is_public(client: httpx.Client) -> None:
    told = client.get("/health/status").json()
    assert told["records"]["practice"] == 79
    assert told["vocabularies"] == []
    assert told["model"].startswith("all-MiniLM-L6-v2@")


def test_a_thesaurus_is_loaded_used_listed_and_removed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Catalogue.create(data, models=prepared_models()).close()
    shutil.copytree(prepared_models(), data / "models")
    small = tmp_path / "small.ttl"
    small.write_text(SMALL, "utf-8")
    loaded = run("load", "--thesaurus", small, "--json", folder=tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert [(one["name"], one["languages"]) for one in json.loads(loaded.stdout)["vocabularies"]] == [
        ("small", ["en", "hu"])
    ]
    (tmp_path / "page.txt").write_text("Nincs elég lakás a családoknak a városban.", "utf-8")
    (need,) = json.loads(run("needs", "page.txt", "--json", folder=tmp_path).stdout)["needs"]
    (theme,) = [one for one in need["themes"] if one["basis"] == "vocabulary"]
    assert (theme["id"], theme["through"]["vocabulary"], theme["words"]) == ("housing", "small", ["lakás"])
    assert need["understood"]["vocabularies"] == ["small"]
    assert json.loads(run("status", "--json", folder=tmp_path).stdout)["vocabularies"][0]["name"] == "small"
    assert run("load", "--remove", "small", folder=tmp_path).stdout.strip() == "No bridge vocabulary is loaded."
    again = run("load", "--remove", "small", folder=tmp_path)
    assert (again.returncode, again.stderr.strip()) == (
        1,
        "mentorgraph: there is no vocabulary 'small'; none is loaded",
    )


def test_of_several_files_none_is_kept_when_one_cannot_be_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Catalogue.create(data, models=prepared_models()).close()
    (tmp_path / "good.ttl").write_text(SMALL, "utf-8")
    (tmp_path / "bad.ttl").write_text("no turtle", "utf-8")
    with pytest.raises(Exception, match=r"bad\.ttl") as raised:
        change_vocabularies(data, [tmp_path / "good.ttl", tmp_path / "bad.ttl"], [])
    assert explained(raised.value)[1] == 1
    assert change_vocabularies(data, [], []) == []


def test_a_text_file_in_another_encoding_is_said(tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    path.write_bytes("Žēl".encode("cp1257"))
    with pytest.raises(Exception, match="is not text in UTF-8"):
        read_text(path)
    path.write_bytes("\ufeffBesoin".encode())
    assert read_text(path) == "Besoin"
    path.write_bytes("é".encode() * 60_000)
    assert len(read_text(path)) > 20_000
