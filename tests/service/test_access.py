"""What everybody may do, as docs/access.md has it, tried on every route; and how a caller is recognised."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from kg.accounts import ROLE_SCOPES, ROLES, SCOPES, Accounts
from kg.catalogue import Catalogue
from kg.errors import DataFolderUnusable
from kg.fields import declaration
from service.access import session_key
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import Server, running

PAGE = (Path(__file__).resolve().parents[2] / "docs/access.md").read_text("utf-8")
PLURALS = {kind.path for kind in declaration().kinds.values()}
FILLED = {
    "id": "no-such-record",
    "kind": "practices",
    "number": "1",
    "suffix": "ttl",
    "path": "id/practice/no-such-record",
}
WRONG = "expired or revoked token"


@dataclass(frozen=True)
class Row:
    """One line of the table: what callers may do at some addresses."""

    methods: list[str]
    addresses: list[str]
    scope: str
    cells: dict[str, str]


def table() -> list[Row]:
    lines = [line for line in PAGE.partition("## Every address")[2].splitlines() if line.startswith("|")]
    head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert head == ["methods", "addresses", "scope", "anonymous", *ROLES, WRONG]
    return [
        Row(
            cells[0].split(", "),
            re.findall("`([^`]+)`", cells[1]),
            cells[2],
            dict(zip(head[3:], cells[3:], strict=True)),
        )
        for cells in body
    ]


TABLE = table()
ENTRIES = [(method, address, row) for row in TABLE for method in row.methods for address in row.addresses]


def is_named_by(path: str, address: str) -> bool:
    """Whether a route's path is the one that an address of the table means; {kind} is any kind's plural."""
    parts, wanted = path.replace(":path", "").split("/"), address.split("/")
    return len(parts) == len(wanted) and all(
        part == want or (want == "{kind}" and part in PLURALS) for part, want in zip(parts, wanted, strict=True)
    )


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with Catalogue.create(tmp_path_factory.mktemp("access") / "data", models=prepared_models()) as made:
        made.follow()
        yield made


@pytest.fixture(scope="module")
def server(catalogue: Catalogue) -> Iterator[Server]:
    with running(create_app(Settings(), catalogue)) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    return server.client


@pytest.fixture(scope="module")
def accounts(catalogue: Catalogue) -> Iterator[Accounts]:
    with Accounts(catalogue.ledger) as opened:
        yield opened


@pytest.fixture(scope="module")
def shown(catalogue: Catalogue, accounts: Accounts) -> dict[str, list[dict[str, str]]]:
    """What each caller of the table sends; a wrong token is tried expired and revoked."""
    tokens = {role: [accounts.create_token(f"a {role}", role, by="test")[0]] for role in ROLES}
    earlier = datetime.now(UTC) - timedelta(days=2)
    with Accounts(catalogue.ledger, now=lambda: earlier) as past:
        expired, _ = past.create_token("late", "administrator", expires=earlier + timedelta(days=1), by="test")
    revoked, token = accounts.create_token("gone", "administrator", by="test")
    accounts.revoke_token(token.id, by="test")
    tokens[WRONG] = [expired, revoked]
    return {"anonymous": [{}], **{name: [bearer(one) for one in some] for name, some in tokens.items()}}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def asked(client: httpx.Client, method: str, address: str, headers: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{(\w+)\}", lambda part: FILLED.get(part[1], "x"), address).replace("…", "pages.css")
    graph = {"graph": f"{Settings().base}id/practice/no-such-record#record"} if address == "/graphs" else None
    return client.request(method, path, headers=headers, params=graph)


def test_the_table_has_every_route_once_and_no_other(server: Server) -> None:
    routes = {
        (method, route.path)
        for route in iter_route_contexts(server.app.routes)
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }
    routes = {(method, "/static/…" if path == "/static" else path) for method, path in routes}
    named = {
        route: [(m, address) for m, address, _ in ENTRIES if m == route[0] and is_named_by(route[1], address)]
        for route in routes
    }
    assert {route: found for route, found in named.items() if len(found) != 1} == {}, "in docs/access.md"
    assert {(method, address) for method, address, _ in ENTRIES} == {found[0] for found in named.values()}
    assert len(ENTRIES) == len({(method, address) for method, address, _ in ENTRIES})


@pytest.mark.parametrize(("method", "address", "row"), ENTRIES, ids=[f"{m} {a}" for m, a, _ in ENTRIES])
def test_everybody_may_what_the_table_says(
    client: httpx.Client, shown: dict[str, list[dict[str, str]]], method: str, address: str, row: Row
) -> None:
    for who, expected in row.cells.items():
        for headers in shown[who]:
            answer = asked(client, method, address, headers)
            assert answer.status_code < 500, (who, answer.text)
            if expected in ("401", "403"):
                assert answer.status_code == int(expected), (who, answer.text)
                assert ("www-authenticate" in answer.headers) is (expected == "401")
            elif expected == "yes":
                assert answer.status_code not in (401, 403), (who, answer.text)
            else:
                assert expected in ("own", "kept"), expected
                assert answer.status_code != 401, (who, answer.text)


NARROWED = [(method, address, row.scope) for method, address, row in ENTRIES if row.scope != "–"]


@pytest.mark.parametrize(("method", "address", "scope"), NARROWED, ids=[f"{m} {a}" for m, a, _ in NARROWED])
def test_a_token_needs_the_scope_that_the_table_names(
    client: httpx.Client, accounts: Accounts, method: str, address: str, scope: str
) -> None:
    others = [other for other in SCOPES if other != scope]
    without, _ = accounts.create_token("ilze", "administrator", scopes=others, by="test")
    with_it, _ = accounts.create_token("ilze", "administrator", scopes=[scope], by="test")
    answer = asked(client, method, address, bearer(without))
    assert answer.status_code == 403
    assert f"'{scope}'" in answer.json()["detail"]
    assert asked(client, method, address, bearer(with_it)).status_code not in (401, 403)


def test_the_tables_of_roles_and_scopes_are_those_of_the_program() -> None:
    roles = re.findall(r"^\| (\w+) \|", PAGE.partition("| role |")[2].partition("##")[0], re.MULTILINE)
    assert tuple(roles) == ROLES
    scopes = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert tuple(scope for scope, _, _ in scopes) == SCOPES
    for scope, contributor, others in scopes:
        assert (scope in ROLE_SCOPES["contributor"]) is (contributor == "yes")
        for role in ("curator", "manager", "administrator"):
            assert (scope in ROLE_SCOPES[role]) is (others == "yes")


def test_who_am_i(client: httpx.Client, shown: dict[str, list[dict[str, str]]], accounts: Accounts) -> None:
    nobody = {"name": "anonymous", "role": "reader", "scopes": [], "authenticated_by": None, "login": None}
    assert client.get("/api/me").json() == nobody
    answer = client.get("/api/me", headers=shown["contributor"][0])
    assert answer.json() == {
        "name": "a contributor",
        "role": "contributor",
        "scopes": ["read", "write", "import"],
        "authenticated_by": "token",
        "login": None,
    }
    assert answer.headers["cache-control"] == "no-store"
    narrow, _ = accounts.create_token("ilze", "curator", scopes=["write"], by="test")
    assert client.get("/api/me", headers=bearer(narrow)).json()["scopes"] == ["write"]


def test_a_revoked_token_is_refused_by_the_running_service_at_once(client: httpx.Client, accounts: Accounts) -> None:
    text, token = accounts.create_token("ilze", "curator", by="test")
    assert client.get("/api/me", headers=bearer(text)).status_code == 200
    accounts.revoke_token(token.id, by="test")
    answer = client.get("/api/practices", headers=bearer(text))
    assert answer.status_code == 401
    assert answer.json()["type"].endswith("/not-authenticated")
    assert "was revoked" in answer.json()["detail"]
    assert text not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer nonsense")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer nonsense"), ("Authorization", "Basic aWx6ZTp4")],
        [("Authorization", "Bearer mg_aaaaaaaaaaaa_" + "x" * 43)],
        [("Authorization", b"Bearer \xff\xfe")],
        [("Authorization", "Bearer " + "x" * 50_000)],
        [("Cookie", "mentorgraph-session=x")],
    ],
)
def test_wrong_credentials_never_make_an_anonymous_caller(
    client: httpx.Client, headers: list[tuple[str, str | bytes]]
) -> None:
    answer = client.get("/api/me", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_tokens_are_none(client: httpx.Client, shown: dict[str, list[dict[str, str]]]) -> None:
    one = shown["curator"][0]["Authorization"]
    assert client.get("/api/me", headers=[("Authorization", one), ("Authorization", one)]).status_code == 401


def test_the_schemes_name_is_read_as_people_write_it(
    client: httpx.Client, shown: dict[str, list[dict[str, str]]]
) -> None:
    token = shown["curator"][0]["Authorization"].removeprefix("Bearer ")
    assert client.get("/api/me", headers={"Authorization": f"bearer {token}"}).json()["role"] == "curator"


def test_a_token_in_an_address_is_not_read(client: httpx.Client, shown: dict[str, list[dict[str, str]]]) -> None:
    token = shown["administrator"][0]["Authorization"].removeprefix("Bearer ")
    for name in ("token", "access_token", "authorization"):
        assert client.get("/api/me", params={name: token}).json()["name"] == "anonymous"


def test_a_proxys_own_login_does_not_keep_readers_out(client: httpx.Client) -> None:
    proxys = {"Authorization": "Basic aWx6ZTp4"}
    assert client.get("/api/practices", headers=proxys).status_code == 200
    assert client.get("/api/me", headers=proxys).json()["name"] == "anonymous"
    assert client.post("/api/practices", headers=proxys).status_code == 401


def test_openapi_says_which_routes_take_an_account_and_how(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert "401" in operation["responses"], (method, path)
            scope = next(
                (row.scope for m, address, row in ENTRIES if m == method.upper() and is_named_by(path, address)), "–"
            )
            assert ("security" in operation) is (scope != "–"), (method, path)


def test_a_key_that_cannot_sign_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "session.key").write_text("short")
    with pytest.raises(DataFolderUnusable, match=r"'session\.key' in the data folder is damaged"):
        session_key(tmp_path)
    with pytest.raises(DataFolderUnusable, match="cannot be made or read"):
        session_key(tmp_path / "nowhere")
