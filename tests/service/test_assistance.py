"""What helps curators, over HTTP on the starting data."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from kg.accounts import Accounts
from kg.catalogue import Catalogue
from kg.worklists import NAMES
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import running

DUOS = "/api/practices/mechelen--samen-inburgeren"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    """A client for each role, of a service of this module's own."""
    folder = tmp_path_factory.mktemp("assistance") / "data"
    with Catalogue.create(folder, start_data=True, models=prepared_models()) as catalogue:
        catalogue.follow()
        catalogue.catch_up()
        with running(create_app(Settings(data=folder), catalogue)) as server, Accounts(catalogue.ledger) as accounts:
            found = {"nobody": httpx.Client(base_url=server.url, trust_env=False, timeout=60)}
            for role in ("contributor", "curator", "manager"):
                token, _ = accounts.create_token(role, role, by="test")
                found[role] = httpx.Client(
                    base_url=server.url, trust_env=False, timeout=60, headers={"Authorization": f"Bearer {token}"}
                )
            yield found
            for client in found.values():
                client.close()


def test_hints_come_with_three_words_of_a_title(people: dict[str, httpx.Client]) -> None:
    draft = {"title": {"fr": "Samen Inburgeren, duos à Malines"}}
    told = people["contributor"].post("/api/practices/hints?lang=fr", json=draft).json()
    assert "mechelen" in str(told["cities"][0])
    again = {"title": {"en": "Samen Inburgeren (buddy duos)"}, "city": "mechelen"}
    told = people["contributor"].post("/api/practices/hints?lang=fr", json=again).json()
    assert any("mechelen--samen-inburgeren" in str(one) for one in told["duplicates"])
    assert people["nobody"].post("/api/practices/hints", json=draft).status_code == 401
    wrong = people["contributor"].post("/api/practices/hints", json={"title": 7})
    assert wrong.status_code == 422


def test_a_contributor_is_not_told_of_drafts_that_others_write(people: dict[str, httpx.Client]) -> None:
    secret = {"title": {"en": "Quokka crossing guards in Mechelen"}, "city": "mechelen"}
    made = people["curator"].post("/api/practices", json=secret)
    assert made.status_code == 201
    asked = {"title": {"en": "Quokka crossing guards"}, "city": "mechelen"}
    assert "quokka" in people["curator"].post("/api/practices/hints", json=asked).text.lower()
    outside = people["contributor"].post("/api/practices/hints", json=asked).json()
    assert "quokka" not in str(outside["duplicates"]).lower()


def test_quality_is_figures_with_reasons(people: dict[str, httpx.Client]) -> None:
    told = people["curator"].get(f"{DUOS}/quality").json()
    assert "completeness" in str(told)
    assert people["nobody"].get(f"{DUOS}/quality").status_code == 401
    off = people["curator"].post(f"{DUOS}/quality/sources")
    assert off.status_code == 422
    assert "MENTORGRAPH_CHECK_SOURCES" in off.json()["detail"]


def test_a_contradiction_is_answered_and_reopened_by_another_value(people: dict[str, httpx.Client]) -> None:
    curator = people["curator"]
    flag = curator.get(f"{DUOS}/flags").json()["flags"][0]
    assert flag["state"] == "open"
    path = f"{DUOS}/flags/{flag['key']}/answer"
    assert curator.post(path, json={"verdict": "explained"}).status_code == 422
    assert people["manager"].post(path, json={"verdict": "wrong"}).status_code == 403
    said = curator.post(path, json={"verdict": "explained", "note": "Duos and friendships are counted."})
    assert said.json()["state"] == "answered"
    tag = curator.get(DUOS).headers["ETag"]
    changed = {"outcomes": [{"id": "claim-1", "value": "160"}]}
    done = curator.patch(DUOS, json=changed, headers={"If-Match": tag})
    assert done.status_code == 200, done.text
    again = next(one for one in curator.get(f"{DUOS}/flags").json()["flags"] if one["key"] == flag["key"])
    assert again["state"] == "reopened"
    assert curator.post(f"{DUOS}/flags/nothing/answer", json={"verdict": "wrong"}).status_code == 404


@pytest.mark.parametrize("name", NAMES)
def test_every_work_list_has_a_page_with_reasons(people: dict[str, httpx.Client], name: str) -> None:
    assert people["nobody"].get(f"/api/worklists/{name}").status_code == 401
    page = people["curator"].get(f"/api/worklists/{name}", params={"lang": "fr", "labels": "lv", "limit": 5})
    assert page.status_code == 200, page.text
    for entry in page.json()["results"]:
        assert entry["reason"]
    assert people["contributor"].get(f"/api/worklists/{name}?drafts=true").status_code == 403


def test_an_unknown_work_list_lists_those_there_are(people: dict[str, httpx.Client]) -> None:
    names = {one["name"] for one in people["curator"].get("/api/worklists").json()["worklists"]}
    assert names == set(NAMES)
    unknown = people["curator"].get("/api/worklists/everything")
    assert unknown.status_code == 404
    assert "incomplete" in unknown.json()["detail"]
