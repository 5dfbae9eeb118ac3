"""Profiles, reasons, why not, what would change and the text to forward, over HTTP on the starting data."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import httpx
import pytest

from kg.matching.reasons import spaced

NEED = "Nous voulons mettre en binôme des habitants et des réfugiés"
ASKED: dict[str, Any] = {"needs": [{"text": NEED}], "mentee": {"city": "jelgava"}, "limit": 3, "as_of": "2026-06-01"}


def told(client: httpx.Client, path: str = "/api/suggestions", **changed: Any) -> dict[str, Any]:
    answer = client.post(path, json=ASKED | changed, params={"lang": "en"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_evidence_query_returns_a_row_for_each_practice_that_is_cited(client: httpx.Client) -> None:
    for one in told(client)["suggestions"]:
        answer = client.get("/sparql", params={"query": one["evidence_query"], "format": "json"})
        assert answer.status_code == 200, answer.text
        rows = answer.json()["results"]["bindings"]
        assert {row["practice"]["value"].rpartition("/")[2] for row in rows} >= {p["id"] for p in one["practices"]}
        assert all(row["title"]["value"] for row in rows)
        assert any("source" in row for row in rows)
        shown = client.get(one["evidence_link"], headers={"accept": "text/html"})
        assert shown.status_code == 200
        assert one["practices"][0]["id"] in shown.text
    first = told(client)["suggestions"][0]
    rows = client.get("/sparql", params={"query": first["evidence_query"], "format": "json"}).json()["results"][
        "bindings"
    ]
    assert {"claim", "statement", "tie", "evidence"} <= {name for row in rows for name in row}
    ties = {p["id"]: p["tie"] for p in first["practices"]}
    shown = {row["practice"]["value"].rpartition("/")[2]: row.get("tie", {}).get("value") for row in rows}
    assert ties.items() <= shown.items()


def test_the_evidence_query_returns_all_practices_that_the_experience_is_said_to_rest_on(client: httpx.Client) -> None:
    more_than_cited = 0
    for text in ("One place where newcomers get all information", "Landlords refuse newcomers"):
        for one in told(client, needs=[{"text": text}], limit=10)["suggestions"]:
            said = " ".join(reason["text"] for reason in one["reasons"] if reason["factor"] == "experience")
            if counted := re.search(r"from (\d+) practice", said):
                answer = client.get("/sparql", params={"query": one["evidence_query"], "format": "json"}).json()
                found = {row["practice"]["value"] for row in answer["results"]["bindings"]}
                assert len(found) >= int(counted[1])
                more_than_cited += int(counted[1]) > len({practice["id"] for practice in one["practices"]})
    assert more_than_cited


def test_why_not_and_the_list_agree_on_ranks_where_several_countries_are_wanted(client: httpx.Client) -> None:
    wished = {"needs": [{"text": "Lutter contre les rumeurs et les discriminations"}], "diversity": {"per_country": 1}}
    whole = [one["city"]["id"] for one in told(client, **wished, limit=50)["suggestions"]]
    verdicts = set()
    for city in ("amadora", "athens", "bilbao", "fuenlabrada", "saint-jean-de-la-ruelle", "gdansk", "schaerbeek"):
        why = told(client, "/api/suggestions/why-not", **wished, city=city)
        verdicts.add(why["verdict"])
        assert (city in whole) == (why["verdict"] != "set-back")
        if city in whole:
            assert why["rank"] == whole.index(city) + 1
    assert {"ranked-lower", "set-back"} <= verdicts


def test_each_need_is_told_and_the_deciding_sentence_has_its_place(client: httpx.Client) -> None:
    found = told(client, needs=[{"text": NEED}, {"text": "One desk where newcomers find every service"}])
    marked = 0
    for one in found["suggestions"]:
        assert [need["need"] for need in one["needs"]] == [0, 1]
        assert all(need["for"] or need["against"] or need["also"] for need in one["needs"])
        for practice in one["practices"]:
            passage = practice["passage"]
            if passage["sentence"]:
                marked += 1
                sentence = passage["text"][passage["sentence"]["start"] : passage["sentence"]["end"]]
                assert sentence == sentence.strip() != ""
    assert marked


def test_a_profile_is_chosen_by_name_and_told(client: httpx.Client) -> None:
    mentee = {"profile": {"country": "LV", "experience": {"intercultural-buddy": "starting"}}}
    peers = told(client, profile="peer-learning", mentee=mentee, weights={"trust": 0})
    assert peers["profile"] == {
        "name": "peer-learning",
        "version": "2",
        "changed": ["trust"],
        "weights": {"trust": 0.0},
    }
    usual = told(client, mentee=mentee)
    assert [one["city"]["id"] for one in peers["suggestions"]] != [one["city"]["id"] for one in usual["suggestions"]]
    linked = client.get("/api/suggestions", params={"need": NEED, "profile": "peer-learning"}).json()
    assert linked["profile"]["name"] == "peer-learning"
    refused = client.post("/api/suggestions", json=ASKED | {"profile": "peers"})
    assert refused.status_code == 422
    assert "there is no 'peers'; there are mentoring, peer-learning" in refused.json()["detail"]


def test_the_profiles_are_listed_with_every_constant_and_its_meaning(client: httpx.Client) -> None:
    answer = client.get("/api/profiles", params={"lang": "fr"})
    assert answer.headers["content-language"] == "fr"
    listed = {one["name"]: one for one in answer.json()["profiles"]}
    assert set(listed) == {"mentoring", "peer-learning"}
    assert listed["mentoring"]["default"] is True
    assert listed["mentoring"]["constants"]["best_gap"]["value"] is None
    assert "âge" in listed["mentoring"]["constants"]["half_life_years"]["meaning"].lower()


def why_not(client: httpx.Client, city: str, **changed: Any) -> dict[str, Any]:
    return told(client, "/api/suggestions/why-not", city=city, **changed)


def test_why_not_answers_for_any_city(client: httpx.Client) -> None:
    cities = [one["id"] for one in client.get("/api/cities", params={"limit": 100}).json()["results"]]
    listed = {one["city"]["id"]: one for one in told(client)["suggestions"]}
    seen = set()
    for city in cities:
        found = why_not(client, city)
        seen.add(found["verdict"])
        assert found["city"]["id"] == city
        assert found["text"]
        assert found["role_limits"]
        if city in listed:
            assert (found["verdict"], found["rank"]) == ("suggested", listed[city]["rank"])
            assert found["suggestion"] == listed[city]
        elif found["verdict"] == "ranked-lower":
            assert found["rank"] > 3
            gap = sum(one["contribution"] for one in found["differences"])
            last = min(one["utility"] for one in listed.values())
            assert gap == pytest.approx(found["suggestion"]["utility"] - last, abs=1e-5)
            assert {found["changes"]["upper"]["id"], found["changes"]["lower"]["id"]} == {
                found["compared_with"]["id"],
                city,
            }
        else:
            assert not any(near["cited"] for near in found["nearest"]) or found["verdict"] == "mentee"
    assert {"suggested", "mentee", "ranked-lower", "not-close"} <= seen


def test_a_filter_that_keeps_a_city_out_is_named(client: httpx.Client) -> None:
    filters = {"countries": ["LV"], "exclude_cities": ["mechelen"], "population_min": 10_000_000}
    found = why_not(client, "mechelen", filters=filters)
    assert found["verdict"] == "excluded"
    assert {one["filter"] for one in found["filters"]} == {"exclude_cities", "countries", "population_min"}
    assert found["nearest"]
    theme = why_not(client, "mechelen", filters={"themes": ["housing"]})
    assert [one["filter"] for one in theme["filters"]] == ["themes"]
    assert "Without them its practices would put it at rank 1" in theme["text"]


def test_a_filter_that_lets_in_only_practices_far_from_the_need_is_named(client: httpx.Client) -> None:
    wanted = {"needs": [{"text": "Newcomers cannot find flats because private landlords refuse them"}], "mentee": None}
    why = told(client, "/api/suggestions/why-not", **wanted, city="athens", filters={"themes": ["governance"]})
    assert why["verdict"] == "excluded"
    assert why["filters"] == [
        {
            "filter": "themes",
            "text": "The practices of Athens on the themes that the request asks for (Integration governance) are not close "
            "to the need; others of it are.",
        }
    ]


def test_under_a_filter_a_city_is_weighed_by_the_practices_that_it_lets_in(client: httpx.Client) -> None:
    filters = {"themes": ["language"]}
    listed = told(client, filters=filters, limit=10)["suggestions"]
    assert len(listed) > 2
    second, third = (why_not(client, one["city"]["id"], filters=filters, limit=2) for one in listed[1:3])
    assert second["suggestion"] == listed[1]
    assert (third["verdict"], third["rank"]) == ("ranked-lower", 3)
    assert third["suggestion"] == listed[2]


def test_why_not_refuses_what_is_no_city_on_record(client: httpx.Client) -> None:
    for city, said in (("atlantis", "there is no city 'atlantis'"), ("mechelem", "did you mean mechelen")):
        answer = client.post("/api/suggestions/why-not", json=ASKED | {"city": city})
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
    assert client.post("/api/suggestions/why-not", json=ASKED).status_code == 422


def test_what_would_change_is_told_when_asked(client: httpx.Client) -> None:
    plain, explained = told(client), told(client, explain=True)
    assert plain.get("changes") is None
    assert explained["suggestions"] == plain["suggestions"]
    order = [one["city"]["id"] for one in told(client, limit=4)["suggestions"]]
    pairs = [(pair["upper"]["id"], pair["lower"]["id"]) for pair in explained["changes"]]
    assert pairs == list(pairwise(order))
    change = next(one for pair in explained["changes"] for one in pair["weights"])
    place = next(n for n, pair in enumerate(explained["changes"]) if change in pair["weights"])
    past = change["swap_at"] * (1.001 if change["direction"] == "more" else 0.999)
    swapped = [one["city"]["id"] for one in told(client, limit=10, weights={change["factor"]: past})["suggestions"]]
    upper, lower = pairs[place]
    assert swapped.index(lower) < swapped.index(upper)


@pytest.mark.parametrize(
    ("headers", "params", "media_type"),
    [
        ({"accept": "text/markdown"}, {}, "text/markdown; charset=utf-8"),
        ({"accept": "text/plain"}, {}, "text/plain; charset=utf-8"),
        ({}, {"format": "markdown"}, "text/markdown; charset=utf-8"),
        ({"accept": "text/plain, application/json;q=0.5"}, {"format": "json"}, "application/json"),
    ],
)
def test_an_answer_comes_as_a_text_to_forward(
    client: httpx.Client, headers: dict[str, str], params: dict[str, str], media_type: str
) -> None:
    answer = client.post("/api/suggestions", json=ASKED, params=params | {"lang": "fr"}, headers=headers)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["vary"].startswith("Accept, Accept-Language")
    if "json" not in media_type:
        first = client.post("/api/suggestions", json=ASKED, params={"lang": "fr"}).json()["suggestions"][0]
        plain = answer.text.replace("\\", "")
        assert first["city"]["label"] in plain
        for said in (*first["cautions"], *first["unknowns"]):
            assert spaced(said["text"]) in plain
        assert "Ce que fait une ville mentore, et ce qu’elle ne fait pas" in plain
        assert "creativecommons.org" in plain
        assert "profil mentoring, version 2" in plain
    assert client.post("/api/suggestions", json=ASKED, headers={"accept": "image/png"}).status_code == 406


def test_the_first_page_marks_the_sentence_and_tells_where_the_language_is_weak(client: httpx.Client) -> None:
    need = "Želimo pomagati priseljencem pri iskanju stanovanja"
    answer = client.get("/api/suggestions", params={"need": need, "lang": "en"}).json()
    warnings = answer["needs"][0]["understood"]["warnings"]
    assert warnings
    page = client.get("/", params={"need": need, "lang": "en"}).text
    for warning in warnings:
        assert warning["text"] in page
    french = client.get("/", params={"need": NEED, "lang": "fr"}).text
    assert re.search(r"<mark>[^<]+</mark>", french)
    assert "Classement selon le profil mentoring, version 2." in french
