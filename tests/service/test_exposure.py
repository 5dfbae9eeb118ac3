"""Exposure over HTTP and on the command line, over the starting data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from kg.catalogue import Catalogue
from kg.exposure import MOST_NEEDS
from kg.matching.fairness import attention
from service.api.exposure import EXAMPLES
from service.cli import Refused
from service.exposure_printing import exposure_request, print_exposure

ADDRESS = "/api/suggestions/exposure"


@pytest.fixture(scope="module")
def on_record(client: httpx.Client) -> dict[str, Any]:
    answer = client.post(ADDRESS, json={})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_needs_on_record_are_asked_when_none_are_given(client: httpx.Client, on_record: dict[str, Any]) -> None:
    needs = client.get("/api/needs").json()["total"]
    assert (on_record["needs"], on_record["needs_total"], on_record["on_record"]) == (needs, needs, True)
    assert on_record["cities_total"] + on_record["without_records_total"] == client.get("/api/cities").json()["total"]
    assert [one["id"] for one in on_record["without_records"]] == ["lublin"]
    assert on_record["never_total"] == sum(one["suggested"] == 0 for one in on_record["cities"]) > 0
    assert {one["country"] for one in on_record["by_country"]} >= {"BE", "ES", "GR"}
    assert sum(one["share"] for one in on_record["cities"]) == pytest.approx(1, abs=0.01)


def test_exposure_is_that_of_the_suggestions_themselves(client: httpx.Client) -> None:
    needs = [
        {"text": "Places to practise Latvian", "mentee": "jelgava"},
        {"text": "Des citoyens étrangers conseillent la municipalité"},
    ]
    ranked_by = {"weights": {"language": 0.5}, "profile": "peer-learning"}
    told = client.post(ADDRESS, json={"needs": needs, "first": 5, **ranked_by}).json()
    expected: dict[str, float] = {}
    for need in needs:
        mentee = {"mentee": {"city": need["mentee"]}} if "mentee" in need else {}
        asked = {"needs": [{"text": need["text"]}], "limit": 5, **ranked_by, **mentee}
        for one in client.post("/api/suggestions", json=asked).json()["suggestions"]:
            expected[one["city"]["id"]] = expected.get(one["city"]["id"], 0) + attention(one["rank"])
    got = {one["city"]["id"]: one["exposure"] for one in told["cities"] if one["suggested"]}
    assert got == pytest.approx(expected, abs=1e-4)
    assert (told["profile"]["name"], told["profile"]["changed"]) == ("peer-learning", ["language"])


def test_sentences_are_in_the_language_asked_for(client: httpx.Client) -> None:
    answer = client.post(ADDRESS, params={"lang": "fr"}, json={})
    assert answer.headers["content-language"] == "fr"
    assert answer.json()["text"].startswith("Besoins posés")
    assert answer.json()["by_country"][0]["country_label"] in ("Espagne", "Belgique")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_part_of_an_answer_is_described(client: httpx.Client, name: str) -> None:
    told = client.post(ADDRESS, json=EXAMPLES[name]["value"]).json()
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(told) == set(schemas["ExposureAnswer"]["properties"])
    for key, name_of in (("cities", "ExposedCity"), ("by_records", "RecordGroup"), ("by_country", "ExposedCountry")):
        assert set(told[key][0]) == set(schemas[name_of]["properties"])


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"needs": []}, 422, "needs"),
        ({"needs": [{"text": "x"}] * (MOST_NEEDS + 1)}, 422, "needs"),
        ({"needs": [{"text": "x"}, {"text": "x", "mentee": "atlantis"}]}, 422, "needs[1].mentee: there is no city"),
        ({"needs": [{"text": "x"}, {"text": "x", "themes": ["magic"]}]}, 422, "needs[1].themes: there is no theme"),
        ({"needs": [{"text": "x\u0000"}]}, 422, "needs.0.text"),
        ({"first": 0}, 422, "first"),
        ({"first": 10**40}, 422, "first"),
        ({"weights": {"distance": 1}}, 422, "no such factor"),
        ({"profile": "harmony"}, 422, "there is no 'harmony'"),
        ({"need": []}, 422, "need"),
        ([], 422, ""),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    client: httpx.Client, asked: Any, status: int, said: str
) -> None:
    answer = client.post(ADDRESS, json=asked)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]


# On the command line


def test_needs_come_from_a_file_one_a_line(
    tmp_path: Path, catalogue: Catalogue, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "needs.txt"
    file.write_text("A council of foreign residents\n\n Logement pour réfugiés \n", encoding="utf-8")
    request = exposure_request(file, 3, {"trust": 0}, "peer-learning")
    assert [need["text"] for need in request["needs"]] == ["A council of foreign residents", "Logement pour réfugiés"]
    steps: list[tuple[str, int, int]] = []
    told = catalogue.exposure(request, language="fr", progress=lambda *step: steps.append(step))
    assert steps == [("needs", 0, 2), ("needs", 2, 2)]
    print_exposure(told, "fr")
    printed = capsys.readouterr().out
    assert "Besoins posés\xa0: 2." in printed
    assert "Jamais parmi les premières" in printed
    assert "Classement selon le profil peer-learning, version " in printed
    assert "│ 0.000 │ 0.000 │" not in printed.partition("≥")[0], "who never came up is named below the tables"


@pytest.mark.parametrize(("text", "said"), [("\n", "needs"), ("x\n" * (MOST_NEEDS + 1), "needs.txt: needs")])
def test_a_file_that_is_too_long_or_empty_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "needs.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=said):
        exposure_request(file, 10, {})
