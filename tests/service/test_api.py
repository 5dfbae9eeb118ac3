"""What callers of the JSON interface receive."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from kg.catalogue import Catalogue
from kg.errors import DataFolderInUse, DataFolderUnusable
from kg.fields import declaration
from service.api.models import FoundPractices, Listing, SimilarPractices, Suggestions
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import Server, running

LANGUAGE_NEED = "Nous cherchons à aider les nouveaux arrivants à apprendre la langue du pays"


def suggested(client: httpx.Client, **request: object) -> dict:
    answer = client.post("/api/suggestions", json={"needs": [{"text": LANGUAGE_NEED}], **request})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_need_gets_mentor_cities_with_everything_that_was_promised(client: httpx.Client) -> None:
    answer = suggested(client, mentee={"city": "jelgava"}, limit=5)
    promise(Suggestions, answer)
    assert [one["rank"] for one in answer["suggestions"]] == [1, 2, 3, 4, 5]
    assert "jelgava" not in [one["city"]["id"] for one in answer["suggestions"]]
    assert answer["needs"][0]["language"] == "fr"
    assert answer["mentee"]["id"] == "jelgava"
    for one in answer["suggestions"]:
        assert one["practices"][0]["passage"]["text"]
        assert sum(reason["contribution"] for reason in one["reasons"]) == pytest.approx(one["utility"], abs=1e-5)


def promise(model: type[BaseModel], answer: object) -> None:
    """The described model reads the answer strictly: every field is described, and there unless it may be left out."""
    read = model.model_validate(answer, strict=True)
    assert read.model_dump(exclude_unset=True, by_alias=True) == answer, (
        "a field is not described, or read as something else"
    )


def test_the_same_question_gets_the_same_answer(client: httpx.Client) -> None:
    assert suggested(client) == suggested(client)


def test_a_link_gets_the_same_answer_as_a_body(client: httpx.Client) -> None:
    posted = suggested(
        client,
        mentee={"city": "jelgava"},
        filters={"countries": ["BE", "ES"], "exclude_cities": ["mechelen"]},
        weights={"language": 0.2},
        limit=3,
        as_of="2026-01-31",
    )
    linked = client.get(
        "/api/suggestions",
        params={
            "need": LANGUAGE_NEED,
            "mentee": "jelgava",
            "country": ["BE", "es"],
            "exclude": "mechelen",
            "weight": "language:0.2",
            "limit": 3,
            "as_of": "2026-01-31",
        },
    )
    assert linked.json() == posted
    assert {one["city"]["country"] for one in posted["suggestions"]} <= {"BE", "ES"}
    assert posted["profile"]["changed"] == ["language"]


def test_a_city_may_be_named_by_its_address(client: httpx.Client, catalogue: Catalogue) -> None:
    address = f"{catalogue.base}id/city/jelgava"
    assert suggested(client, mentee={"city": address}) == suggested(client, mentee={"city": "jelgava"})


def test_a_mentee_that_is_not_on_record_describes_itself(client: httpx.Client) -> None:
    profile = {"name": "Valmiera", "country": "LV", "population": 22000, "languages": ["lv", "en"]}
    answer = suggested(client, mentee={"profile": {**profile, "experience": {"language": "starting"}}})
    assert answer["mentee"] is None
    assert answer["suggestions"]


def test_several_needs_are_answered_together(client: httpx.Client) -> None:
    needs = [{"text": "One desk for every service", "weight": 2}, {"text": "Work with employers who hire refugees"}]
    answer = client.post("/api/suggestions", json={"needs": needs}).json()
    assert len(answer["needs"]) == 2
    assert {practice["need"] for one in answer["suggestions"] for practice in one["practices"]} == {0, 1}


def test_a_shorter_answer_is_the_beginning_of_a_longer_one(client: httpx.Client) -> None:
    assert suggested(client, limit=2)["suggestions"] == suggested(client, limit=6)["suggestions"][:2]


def test_search_pages_through_every_practice_once(client: httpx.Client) -> None:
    seen: list[str] = []
    asked = {"q": "language courses for parents", "limit": 30}
    cursor: str | None = ""
    while cursor is not None:
        answer = client.get("/api/search", params=asked | ({"cursor": cursor} if cursor else {})).json()
        promise(FoundPractices, answer)
        seen += [one["id"] for one in answer["results"]]
        cursor = answer["next"]
    total = client.get("/api/practices", params={"limit": 1}).json()["total"]
    assert len(seen) == len(set(seen))
    assert 30 < len(seen) <= total


def test_search_filters_and_counts(client: httpx.Client) -> None:
    answer = client.get("/api/search", params={"q": "newcomers", "country": "BE", "lang": "fr"}).json()
    assert answer["results"]
    assert {one["city"]["country"] for one in answer["results"]} == {"BE"}
    assert answer["results"][0]["city"]["country_label"] == "Belgique"
    assert [value["value"] for value in answer["facets"]["country"]][:1] == ["BE"]
    assert [v["value"] for v in answer["facets"]["country"] if v["chosen"]] == ["BE"]


def test_similar_practices_leave_the_practice_out(client: httpx.Client) -> None:
    answer = client.get("/api/practices/mechelen--samen-inburgeren/similar", params={"limit": 4}).json()
    promise(SimilarPractices, answer)
    assert len(answer["results"]) == 4
    assert "mechelen--samen-inburgeren" not in [one["id"] for one in answer["results"]]


@pytest.mark.parametrize("kind", ["practice", "city", "theme", "organisation", "programme", "mentorship", "transfer"])
def test_every_public_kind_lists_its_records_and_gives_each(client: httpx.Client, kind: str) -> None:
    path = declaration().kinds[kind].path
    listing = client.get(f"/api/{path}", params={"limit": 200, "lang": "fr"}).json()
    promise(Listing, listing)
    assert listing["total"] == len(listing["results"]) > 0
    record = client.get(f"/api/{path}/{listing['results'][-1]['id']}").json()
    assert (record["kind"], record["record"]["state"]) == (kind, "published")


def test_a_list_is_paged(client: httpx.Client) -> None:
    first = client.get("/api/themes", params={"limit": 2}).json()
    second = client.get("/api/themes", params={"limit": 2, "cursor": first["next"]}).json()
    whole = client.get("/api/themes", params={"limit": 4}).json()
    assert first["results"] + second["results"] == whole["results"]
    assert client.get("/api/themes", params={"limit": 200}).json()["next"] is None


def test_what_a_team_keeps_to_itself_is_neither_listed_nor_read_nor_exported(tmp_path: Path) -> None:
    city = {"kind": "city", "id": "ghent", "name": {"en": "Ghent"}, "country": "BE"}
    needs = [
        {
            "kind": "need",
            "id": id,
            "mentee": "ghent",
            "need_text": {"en": "One desk"},
            "record": {"visibility": visibility},
        }
        for id, visibility in (("one-team", "team"), ("told", "public"), ("one-programme", "programme"))
    ]
    with Catalogue.create(tmp_path / "data") as catalogue:
        report = catalogue.save([city, *needs])
        assert (report.new, report.refused) == (4, [])
        with running(create_app(Settings(), catalogue)) as server:
            assert [one["id"] for one in server.client.get("/api/needs").json()["results"]] == ["told"]
            found = {
                id: server.client.get(f"/api/needs/{id}").status_code for id in ("one-team", "told", "one-programme")
            }
            assert found == {"one-team": 404, "told": 200, "one-programme": 404}
            for format in ("jsonl", "nq", "trig"):
                text = server.client.get("/api/export", params={"format": format}).text
                assert "told" in text
                assert "one-team" not in text
                assert "one-programme" not in text


def test_an_export_holds_every_public_record(client: httpx.Client) -> None:
    answer = client.get("/api/export")
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert len(records) == int(answer.headers["x-records"])
    assert {"practice", "city", "theme", "mentorship"} <= {record["kind"] for record in records}
    assert {record["record"]["visibility"] for record in records} == {"public"}
    quads = client.get("/api/export", params={"format": "nq"})
    assert quads.headers["content-type"].startswith("application/n-quads")
    assert "#record> ." in quads.text


def test_health_tells_alive_and_ready(client: httpx.Client) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}
    ready = client.get("/health/ready").json()
    assert ready["status"] == "ok"
    assert ready["views"]["graph"]["behind"] == 0


def test_head_is_answered_like_get_without_a_body(client: httpx.Client) -> None:
    got, head = client.get("/api/cities"), client.head("/api/cities")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_browsers_are_kept_careful_and_other_sites_may_read(client: httpx.Client) -> None:
    for path in ("/", "/api/cities", "/api/nothing", "/docs"):
        headers = client.get(path, headers={"Origin": "https://example.org"}).headers
        assert "script-src" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["access-control-allow-origin"] == "*"


def test_long_answers_are_compressed_for_those_who_can(client: httpx.Client) -> None:
    assert client.get("/openapi.json").headers["content-encoding"] == "gzip"


def test_the_environment_alone_makes_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a catalogue the application opens the folder of its settings, and gives it back."""
    Catalogue.create(tmp_path / "data").close()
    (tmp_path / "data" / "models").symlink_to(prepared_models())
    monkeypatch.setenv("MENTORGRAPH_DATA", str(tmp_path / "data"))
    with running(create_app()) as server:
        assert server.client.get("/api/themes").json()["total"] == 90
        with pytest.raises(DataFolderInUse):
            Catalogue.open(tmp_path / "data")
    Catalogue.open(tmp_path / "data").close()


def test_a_service_without_its_data_folder_does_not_start(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path / "no"))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(DataFolderUnusable, match="mentorgraph init"):
        asyncio.run(start())


def test_openapi_describes_every_route_with_its_problems(server: Server) -> None:
    document = server.client.get("/openapi.json").json()
    validate(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            assert operation["summary"], place
            assert operation["description"], place
            assert "406" in operation["responses"], place
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    content = answer["content"]["application/problem+json"]
                    assert all(one["value"]["status"] == int(status) for one in content["examples"].values()), place
    request = document["paths"]["/api/suggestions"]["post"]["requestBody"]["content"]["application/json"]
    for name, example in request["examples"].items():
        answer = server.client.post("/api/suggestions", json=example["value"])
        assert answer.status_code == 200, (name, answer.text)


def test_records_are_described_from_the_ontology(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    practice = schemas["record.Practice"]["properties"]
    assert list(practice)[3:] == [field.key for field in declaration().kinds["practice"].fields]
    assert practice["outcomes"]["items"] == {"$ref": "#/components/schemas/record.OutcomeClaim"}
    assert set(schemas["record.OutcomeClaim"]["properties"]["evidence"]["enum"]) >= {"activity-counts"}


def test_the_documentation_lists_exactly_the_addresses_there_are(server: Server) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/http.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) /[^`…]*)", text, re.MULTILINE))
    kinds = "|".join(kind.path for kind in declaration().kinds.values())
    described = {
        f"{method.upper()} " + re.sub(rf"^/api/({kinds})(?=$|/\{{id\}}$|/check$)", "/api/{kind}", path)
        for path, operations in server.client.get("/openapi.json").json()["paths"].items()
        for method in operations
    }
    assert documented == described | {"GET /", "GET /docs", "GET /openapi.json", "GET /static/"}


def test_the_documentation_page_shows_every_address_and_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "<script" not in page
    assert 'src="' not in page
    assert 'href="http' not in page
