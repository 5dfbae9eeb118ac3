"""Requests made from OpenAPI, good and bad, for every operation and in every role: each is answered as described.

Schemathesis makes them, from fuzzing.toml beside this file, the same in each run. Of its checks these are left out:

* `object_level_authorization` asks as two people about one record; tests/service/test_curation_api.py does, knowing who may what;
* `negative_data_rejection` of `…/check` alone, which answers 200 with all that is wrong;
* `positive_data_acceptance` of `/sparql` alone: no schema tells a query from another text;
* `max_response_time`: nothing here depends on how fast the machine is.

Regressions that it found stand below it by name, so that they are seen without it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from kg.accounts import ROLES, Accounts
from kg.catalogue import Catalogue
from kg.fields import declaration
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import Server, running

RULES = Path(__file__).with_name("fuzzing.toml")
RECORDS = ["mechelen", "jelgava", "health", "inclucities", "mechelen--samen-inburgeren", "no-such-record"]
"""What half of the generated requests ask for: cities, a theme, a programme and a practice on record, and nothing."""
REVISIONS = ['"1"', '"40"', '"90"', 'W/"130-ttl"', "*"]
WRONG = ("expired", "revoked")
COVERED = r"^/api/(\{kind\}|imports|waiting|worklists|me$)|^/api/cities/\{id\}$|^/health|^/log"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of this module's own: it is written to."""
    folder = tmp_path_factory.mktemp("fuzzed") / "data"
    with Catalogue.create(folder, start_data=True, models=prepared_models()) as catalogue:
        catalogue.follow()
        with running(create_app(Settings(data=folder), catalogue)) as server:
            yield server


@pytest.fixture(scope="module")
def tokens(service: Server) -> dict[str, str]:
    """One for each role, one that has expired, and one that was revoked."""
    ledger, earlier = service.app.state.catalogue.ledger, datetime.now(UTC) - timedelta(days=2)
    with Accounts(ledger) as accounts, Accounts(ledger, now=lambda: earlier) as past:
        made = {role: accounts.create_token(role, role, by="test")[0] for role in ROLES}
        made["expired"], _ = past.create_token("late", "curator", expires=earlier + timedelta(days=1), by="test")
        made["revoked"], known = accounts.create_token("gone", "curator", by="test")
        accounts.revoke_token(known.id, by="test")
    return made


@pytest.fixture
def fuzz(service: Server, tokens: dict[str, str], tmp_path: Path) -> Callable[..., None]:
    """Have Schemathesis ask in a role, with options of its command line; fails with what it found."""
    rules = tmp_path / "rules.toml"
    known = f"""
        [dictionaries]
        records.values = {json.dumps(RECORDS)}
        revisions.values = {json.dumps(REVISIONS)}
        [parameters]
        "path.id" = {{ dictionary = "records", probability = 0.5 }}
        "header.if-match" = {{ dictionary = "revisions", probability = 0.5 }}
    """
    rules.write_text(known + RULES.read_text("utf-8"), "utf-8")

    described = tmp_path / "openapi.json"
    described.write_bytes(service.client.get("/openapi.json").content)

    def run(who: str, *options: str) -> None:
        bearer = ["--header", f"Authorization: Bearer {tokens[who]}"] if who in tokens else []
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(rules), "run", *options, *bearer]
        asked = [*command, "--no-color", "--checks", "all", "--url", service.url, str(described)]
        done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("who", ["anonymous", *ROLES])
def test_every_operation_answers_each_role_as_described(fuzz: Callable[..., None], who: str) -> None:
    fuzz(who, "--phases", "examples,fuzzing", "--max-examples", "2")


@pytest.mark.parametrize("who", WRONG)
def test_every_operation_refuses_a_wrong_token_as_described(fuzz: Callable[..., None], who: str) -> None:
    fuzz(who, "--phases", "fuzzing", "--max-examples", "1", "--mode", "positive")


@pytest.mark.slow
def test_every_limit_and_method_is_as_described(fuzz: Callable[..., None]) -> None:
    """Each bound of each parameter, on both sides; methods that are not described. Of the kinds' own routes: one's."""
    fuzz(
        "administrator",
        "--phases",
        "coverage",
        "--include-path-regex",
        COVERED,
        "--exclude-name",
        "PUT /api/cities/{id}",
    )


@pytest.mark.slow
def test_what_follows_from_a_new_record_is_as_described(fuzz: Callable[..., None]) -> None:
    fuzz("curator", "--phases", "stateful", "--max-examples", "10", "--include-path-regex", r"^/api/cities|/submit$")


# What was found that way


@pytest.fixture
def send(service: Server, tokens: dict[str, str]) -> Callable[..., httpx.Response]:
    def send(method: str, path: str, body: str | bytes, media_type: str = "application/json") -> httpx.Response:
        headers = {"Content-Type": media_type, "Authorization": f"Bearer {tokens['curator']}"}
        content = body.encode() if isinstance(body, str) else body
        return service.client.request(method, path, content=content, headers=headers)

    return send


Send = Callable[..., httpx.Response]


@pytest.mark.parametrize("body", ["null", '""', "5", "true"])
def test_linked_data_that_is_no_object_is_refused(send: Send, body: str) -> None:
    answer = send("POST", "/api/cities/check", body, "application/ld+json")
    assert answer.status_code == 400
    assert "an object in braces" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/turtle", '"*'),
        ("text/turtle", "'g"),
        ("text/turtle", "<a\\U00110000> a <b> ."),
        ("text/turtle", '<http://a/b> _:p "x", [ <http://a/c> 1 ] .'),
        ("text/turtle", "@prefix a: <https://\\uD800/> . a:g a:c [ a:d 1 ] ."),
        ("application/ld+json", '{"@id": "http://a/b", "http://a/{": [{"http://a/c": 1}]}'),
        ("application/ld+json", '{"@id": "http://a/b", "http://a/\\ud800": [{"http://a/c": 1}]}'),
    ],
)
def test_broken_rdf_is_the_senders_mistake(send: Send, media_type: str, body: str) -> None:
    answer = send("POST", "/api/cities/check", body, media_type)
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"].endswith("/unreadable-input")


@pytest.mark.parametrize("title", ["null", "5", "true", "[]", '["a"]', '{"x": 1}', r'"\ud800"'])
def test_a_title_that_is_no_text_is_a_fault_of_the_record(send: Send, title: str) -> None:
    answer = send("POST", "/api/practices", f'{{"title": {{"en": {title}}}}}')
    assert answer.status_code == 422, answer.text
    assert answer.json()["problems"][0]["field"].startswith("title")


def test_a_key_with_half_a_character_is_refused(send: Send) -> None:
    answer = send("POST", "/api/practices/check", r'{"\ud800": 1}')
    assert answer.status_code == 400
    assert "lone surrogate" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["null", r'"\ud800"'])
def test_an_imported_row_whose_name_is_no_text_is_refused_alone(
    service: Server, tokens: dict[str, str], name: str
) -> None:
    rows = f'{{"kind": "city", "id": "x", "name": {{"en": {name}}}}}\n{{"kind": "city", "id": "y", "name": {{"en": "Y"}}}}\n'
    answer = service.client.post(
        "/api/imports", files={"files": ("x.jsonl", rows)}, headers={"Authorization": f"Bearer {tokens['curator']}"}
    )
    assert answer.status_code == 201, answer.text
    assert [row["outcome"] for row in answer.json()["report"]["rows"]] == ["refused", "new"]


def test_a_body_that_is_not_text_is_the_senders_mistake(send: Send) -> None:
    answer = send("POST", "/api/cities/mechelen/comments", b"\xff\xfe{")
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/unreadable-input")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/cities/mechelen", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/api/cities/check", "OPTIONS, POST"),
        ("/api/cities/mechelen/submit", "OPTIONS, POST"),
        ("/api/worklists/incomplete", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/id/city/mechelen", "GET, HEAD, OPTIONS"),
        ("/dumps/latest.nq.gz", "GET, HEAD, OPTIONS"),
        ("/static/style.css", "GET, HEAD, OPTIONS"),
        ("/sparql", "GET, HEAD, OPTIONS, POST"),
        ("/graphs", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("/graphs?default", "GET, HEAD, OPTIONS"),
        ("/graphs/id/city/mechelen", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("/graphs/ontology", "GET, HEAD, OPTIONS"),
    ],
)
def test_allow_names_the_methods_of_the_address_alone(service: Server, path: str, methods: str) -> None:
    answer = service.client.request("OPTIONS", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Allow"] == methods
    refused = service.client.request("TRACE", path)
    assert refused.status_code == 405
    assert refused.headers["Allow"] == methods


def test_links_of_a_new_record_lead_to_operations(service: Server) -> None:
    described = service.client.get("/openapi.json").json()["paths"]
    operations = [operation for path in described.values() for operation in path.values()]
    named = {operation["operationId"] for operation in operations}
    links = [link for one in operations for link in one["responses"].get("201", {}).get("links", {}).values()]
    assert len(links) == 5 * len(declaration().kinds)
    assert {link["operationId"] for link in links} <= named
