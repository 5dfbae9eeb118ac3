"""Errors become answers in one form, in one place."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from kg import errors
from kg.accounts import Accounts
from kg.errors import KgError, Problem
from service import problems
from tests.service.conftest import Server, running

ROOT = Path(__file__).resolve().parents[2]

PROMISED = {
    "InvalidRecord": 422,
    "UnreadableInput": 400,
    "DuplicateRecord": 409,
    "StaleRecord": 412,
    "PreconditionMissing": 428,
    "WrongState": 409,
    "StillReferenced": 409,
    "NotFound": 404,
    "Gone": 410,
    "BadQuery": 400,
    "RefusedQuery": 403,
    "BadRequest": 422,
    "NotAuthenticated": 401,
    "NotAllowed": 403,
    "ReadOnly": 403,
    "ProviderUnreachable": 503,
    "TooLarge": 413,
    "Busy": 503,
    "TooSlow": 504,
    "DataFolderInUse": 503,
    "DataFolderUnusable": 503,
    "LedgerDamaged": 500,
    "ModelMissing": 503,
    "IndexMismatch": 503,
}


def all_errors(cls: type[KgError] = KgError) -> Iterator[type[KgError]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from all_errors(sub)


def test_every_error_of_kg_has_a_row_with_the_promised_status() -> None:
    declared = {cls.__name__ for cls in all_errors() if cls.__module__ == errors.__name__}
    assert declared == set(PROMISED)
    assert {cls.__name__: row.status for cls, row in problems.ROWS.items()} == PROMISED


def test_statuses_are_chosen_in_one_place_only() -> None:
    written = re.compile(r"status(_code)?\s*=\s*[45]\d\d|HTTPException\((?!\s*(?:406|413|415)\b)")
    for file in (ROOT / "service").rglob("*.py"):
        if file.name != "problems.py":
            assert not written.search(file.read_text(encoding="utf-8")), file


def test_the_documentation_lists_every_problem_with_its_status() -> None:
    documented = dict(
        re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", (ROOT / "docs/http.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    rows = [
        *problems.ROWS.values(),
        *(row for row, _ in problems.PROTOCOL_ROWS.values()),
        problems.OWN_MISTAKE,
        problems.NOT_READY,
    ]
    assert documented == {row.name: str(row.status) for row in rows}


def raising(error: Exception) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(problems.OwnMistakes)

    @app.get("/")
    def fail() -> None:
        raise error

    return app


def test_an_invalid_record_tells_every_problem() -> None:
    listed = [
        Problem("title", "give the practice a title", "warning"),
        Problem("periods.period-1.start", "must be a year", value="20x6"),
    ]
    with running(raising(errors.InvalidRecord("practice", "x", listed))) as server:
        answer = server.client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json() == {
        "type": "https://w3id.org/mentorgraph/problem/invalid-record",
        "title": "The record breaks rules",
        "status": 422,
        "detail": "practice 'x': title: give the practice a title; periods.period-1.start: must be a year",
        "instance": "/",
        "problems": [
            {"field": "title", "message": "give the practice a title", "severity": "warning"},
            {"field": "periods.period-1.start", "message": "must be a year", "severity": "violation", "value": "20x6"},
        ],
    }


def test_a_withdrawn_record_says_where_it_went() -> None:
    with running(raising(errors.Gone("practice", "a", "merged", "b"))) as server:
        answer = server.client.get("/")
    assert answer.status_code == 410
    assert answer.json()["replaced_by"] == "b"


def test_a_busy_service_says_when_to_come_back() -> None:
    with running(raising(errors.Busy("later"))) as server:
        answer = server.client.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_the_owner_of_the_folder_is_not_told_to_strangers() -> None:
    with running(raising(errors.DataFolderInUse(4711, "http://10.0.0.9:8000"))) as server:
        answer = server.client.get("/")
    assert answer.status_code == 503
    assert "4711" not in answer.text
    assert "10.0.0.9" not in answer.text


def test_our_own_mistake_is_logged_and_told_without_detail(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), running(raising(RuntimeError("secret of /srv/data"))) as server:
        answer = server.client.get("/")
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("/internal-error")
    assert "secret" not in answer.text
    assert "secret of /srv/data" in caplog.text


def test_an_address_that_is_none(server: Server) -> None:
    answer = server.client.get("/api/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "there is nothing at '/api/nothing'; /docs lists the addresses"
    assert answer.json()["instance"] == "/api/nothing"


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/themse", "/api/nothing", "/page", "/%3Cscript%3E"])
def test_a_browser_gets_a_page_at_an_address_that_is_none(server: Server, path: str) -> None:
    asked = {"Accept": BROWSER, "Accept-Language": "fr"}
    answer = server.client.get(path, headers=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert answer.headers["content-language"] == "fr"
    assert "<h1>Il n’y a rien ici</h1>" in answer.text
    assert "/docs donne la liste des adresses" in answer.text
    assert "<script>" not in answer.text
    assert f'href="{path}?lang=en"' in answer.text
    assert "There is nothing here" in server.client.get(f"{path}?lang=en", headers=asked).text
    assert server.client.post(path, headers=asked).headers["content-type"] == "application/problem+json"


def test_a_method_that_is_not_answered(server: Server) -> None:
    answer = server.client.delete("/api/cities")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer.json()["detail"] == "'/api/cities' does not answer DELETE"
    assert server.client.put("/api/suggestions").headers["allow"] == "GET, HEAD, OPTIONS, POST"


# In the language asked for


def test_every_title_is_told_in_french_too() -> None:
    rows = [*problems.ROWS.values(), *(row for row, _ in problems.PROTOCOL_ROWS.values())]
    for row in (*rows, problems.OWN_MISTAKE, problems.NOT_READY):
        assert row.french
        assert row.french != row.title


BOTH = errors.NotAllowed({"en": "it is closed", "fr": "c’est fermé"})
ALONE = errors.BadQuery("it ends too early")


@pytest.mark.parametrize(
    ("error", "asked", "header", "title", "detail", "language"),
    [
        (BOTH, {}, None, "You may not do this", "it is closed", "en"),
        (BOTH, {}, "fr-BE, en;q=0.5", "Vous ne pouvez pas faire cela", "c’est fermé", "fr"),
        (BOTH, {"lang": "fr"}, "en", "Vous ne pouvez pas faire cela", "c’est fermé", "fr"),
        (BOTH, {"lang": "en"}, "fr", "You may not do this", "it is closed", "en"),
        (BOTH, {"lang": "lv"}, "de", "You may not do this", "it is closed", "en"),
        (ALONE, {}, "fr", "Le texte n’est pas une requête", "it ends too early", "fr, en"),
        (errors.Gone("city", "x", "plus rien"), {}, "fr", "La fiche a été retirée", None, "fr"),
        (errors.StillReferenced("city", "x", [("need", "n")]), {}, "fr", None, None, "fr"),
        (errors.InvalidRecord("city", "x", [Problem("name", "donnez un nom")]), {}, "fr", None, None, "fr"),
        (ValueError("ours"), {}, "fr", "Le service a commis une erreur", problems.LOGGED["fr"], "fr"),
    ],
)
def test_a_problem_is_told_in_the_language_asked_for(
    error: Exception, asked: dict[str, str], header: str | None, title: str | None, detail: str | None, language: str
) -> None:
    with running(raising(error)) as server:
        answer = server.client.get("/", params=asked, headers={"Accept-Language": header} if header else {})
    told = answer.json()
    assert title in (None, told["title"])
    assert detail in (None, told["detail"])
    assert answer.headers["content-language"] == language
    assert answer.headers["vary"] == "Accept, Accept-Language"


NEED = {"text": "Buddies"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "needs : cette valeur manque ; elle est obligatoire"),
        ({"needs": []}, "needs : il en faut 1 au moins ; il y en a 0"),
        ({"needs": [NEED] * 21}, "needs : il en faut 20 au plus ; il y en a 21"),
        ({"needs": "Buddies"}, "needs : il faut ici une liste"),
        ({"needs": ["Buddies"]}, "needs.0 : il faut ici un objet"),
        ({"needs": [{"text": " "}]}, "needs.0.text : le texte est vide ; dites en une phrase ou deux ce qu’il faut"),
        ({"needs": [{"text": "x" * 20_001}]}, "needs.0.text : le texte a 20\u202f001 caractères ; 20\u202f000 au plus"),
        ({"needs": [{"text": "a\x00"}]}, "needs.0.text : le caractère 2 est le caractère de commande U+0000"),
        ({"needs": [{"text": 3}]}, "needs.0.text : il faut ici un texte"),
        ({"needs": [NEED | {"weight": 0}]}, "needs.0.weight : il faut ici plus de 0"),
        ({"needs": [NEED | {"weight": "2"}]}, "needs.0.weight : il faut ici un nombre"),
        ({"needs": [NEED | {"language": "xx"}]}, "needs.0.language : ce n’est pas un code de langue"),
        ({"needs": [NEED], "limit": 51}, "limit : il faut ici 50 au plus"),
        ({"needs": [NEED], "limit": 2.5}, "limit : il faut ici un nombre entier"),
        ({"needs": [NEED], "limits": 5}, "limits : il n’y a pas de champ de ce nom ici"),
        ({"needs": [NEED], "mentee": {}}, 'mentee : donnez soit la ville documentée ({"city": "jelgava"}), soit'),
        ({"needs": [NEED], "mentee": {"city": "Jelgava"}}, "mentee.city : ce n’est ni un identifiant court"),
        ({"needs": [NEED], "filters": {"countries": ["XX"]}}, "filters.countries.0 : ce n’est pas un code de pays"),
        ({"needs": [NEED], "as_of": "2026-02-30"}, "as_of : ce n’est pas un jour"),
        ({"needs": [NEED], "explain": "yes"}, "explain : il faut ici true ou false"),
        ({"needs": [NEED], "weights": {"trust": -1}}, "weights.trust : il faut ici 0 au moins"),
        ({"needs": [NEED], "mentee": {"profile": {"experience": {"gender": "x"}}}}, "il faut ici 'none', 'starting',"),
        ({"needs": [NEED], "profile": "Nix"}, "profile : ce texte n’a pas la forme attendue, ^[a-z]"),
        ({"needs": [{"text": 3}, {}]}, "needs.0.text : il faut ici un texte ; needs.1.text : cette valeur manque"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_in_french_where_it_is_asked_for(
    server: Server, body: dict[str, Any], said: str
) -> None:
    answer = server.client.post("/api/suggestions", json=body, headers={"Accept-Language": "fr"})
    told = answer.json()
    assert (answer.status_code, answer.headers["content-language"]) == (422, "fr")
    assert said in told["detail"]
    assert all(problem["message"] in told["detail"] for problem in told["problems"])
    english = server.client.post("/api/suggestions", json=body).json()
    assert len(english["problems"]) == len(told["problems"])
    assert not {problem["message"] for problem in english["problems"]} & {one["message"] for one in told["problems"]}


@pytest.fixture(scope="module")
def curator(server: Server) -> Iterator[httpx.Client]:
    with Accounts(server.app.state.catalogue.ledger) as accounts:
        token, _ = accounts.create_token("lit", "curator", by="test")
    headers = {"Authorization": f"Bearer {token}", "Accept-Language": "fr"}
    with httpx.Client(base_url=server.url, trust_env=False, timeout=120, headers=headers) as client:
        yield client


def wanting(**more: object) -> dict[str, Any]:
    return {"json": {"needs": [NEED], **more}}


def sent(media_type: str, text: str, **headers: str) -> dict[str, Any]:
    return {"content": text.encode(), "headers": {"Content-Type": media_type, **headers}}


JELGAVA = "https://w3id.org/mentorgraph/id/city/jelgava"
BODY = sent("application/json", "{}")
TRANSFER = "/api/practices/mechelen--samen-lopen/transferability"
EXPOSURE = "/api/suggestions/exposure"
CITY = "/api/cities/new-town"


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "said"),
    [
        ("POST", "/api/suggestions", wanting(profile="nix"), 422, "profile : il n’y a pas de 'nix' ; il y a "),
        ("POST", "/api/suggestions", wanting(weights={"relevance": 0}), 422, "poids 'relevance' : il doit être"),
        ("POST", "/api/suggestions", wanting(filters={"population_min": 9, "population_max": 3}), 422, "9 dépasse"),
        ("POST", "/api/suggestions/why-not", wanting(city="nowhere-at-all"), 422, "city : ville : aucune fiche"),
        ("POST", EXPOSURE, {"json": {"needs": [NEED], "profile": "nix"}}, 422, "profile : il n’y a pas de 'nix'"),
        ("POST", EXPOSURE, {"json": {"needs": [NEED | {"mentee": "nix"}]}}, 422, "needs[0].mentee : ville : aucune"),
        ("GET", "/api/practices?decade=2013", {}, 422, "decade : '2013' n’est pas une décennie ; écrivez"),
        ("GET", "/api/practices?country=XX", {}, 422, "country : 'XX' n’est pas un pays ; écrivez deux lettres"),
        ("GET", "/api/practices?facets=colour", {}, 422, "facets : il n’y a pas de 'colour' dans cette liste"),
        ("GET", "/api/cities?sort=nearest", {}, 422, "sort : le plus proche de quoi ? Donnez like=jelgava"),
        (
            "GET",
            "/api/cities?sort=nearest&like=jelgava&cursor=x",
            {},
            422,
            "cursor : 'x' ne vient d’aucune page de cette liste",
        ),
        ("GET", "/api/cities?state=any&country=BE", {}, 422, "state : filtres, facettes et ordres portent sur"),
        ("GET", "/api/cities/Riga", {}, 404, "il n’y a pas de fiche ville 'Riga' ; un identifiant a"),
        ("GET", "/api/search?q=flats&cursor=x", {}, 422, "cursor : 'x' ne vient d’aucune page de cette recherche"),
        ("GET", "/api/export?format=trig&kind=city", {}, 422, "format : une sélection s’exporte en jsonl"),
        ("GET", "/api/export?format=csv&kind=city&kind=need", {}, 422, "un fichier CSV contient un seul type de"),
        ("GET", "/api/export?format=nt&country=XX", {}, 422, "country : 'XX' n’est pas un pays ; écrivez"),
        ("GET", "/graphs?graph=x", {}, 400, "'x' n’est pas une adresse complète ; le graphe d’une fiche est"),
        ("GET", "/api/worklists/labels-missing?labels=%3F", {}, 422, "labels : '?' n’est pas un code de langue"),
        ("GET", "/api/worklists/labels-missing?cursor=%3F", {}, 422, "cursor : '?' ne vient d’aucune page de cette"),
        ("PUT", CITY, sent("application/json", "{"), 400, "le corps n’est pas du JSON : ligne 1, colonne 2 ("),
        ("PUT", CITY, sent("application/json", '{"a": 1, "a": 2}'), 400, "du JSON : la clé 'a' y est deux fois"),
        ("PUT", CITY, sent("application/json", '{"a": NaN}'), 400, "du JSON : NaN n’est pas une valeur JSON"),
        ("PUT", CITY, sent("application/json", "null"), 400, "doit être un objet entre accolades, non 'null'"),
        ("PUT", CITY, sent("application/json", "[true]"), 400, "un objet entre accolades, non '[true]'"),
        ("PUT", CITY, {**BODY, "content": b"\xff"}, 400, "le corps : l’octet 1 n’est pas de l’UTF-8"),
        ("PUT", CITY, sent("application/json", "{}", **{"If-Match": "17"}), 422, "If-Match : '17' n’est pas une liste"),
        ("PUT", CITY, sent("text/plain", "x"), 415, "envoyez le corps comme application/json ou "),
        (
            "PUT",
            CITY,
            sent("application/json", " " * 1_000_001),
            413,
            "peut compter 1\u202f000\u202f000 octets au plus",
        ),
        ("PUT", CITY, sent("text/turtle", "x"), 400, "le corps : n’est pas lisible comme turtle : ligne 1"),
        ("PUT", CITY, sent("text/turtle", ""), 400, "le corps doit décrire une seule chose, "),
        ("PUT", CITY, sent("text/turtle", f"<{JELGAVA}> a <x:y> ; <x:z> []."), 400, "a un nœud sans adresse"),
        ("PUT", CITY, sent("text/turtle", "<x:x> a <x:y> ."), 400, "le corps a des énoncés sur 'x:x', qui"),
        ("PUT", CITY, sent("application/rdf+xml", "<!DOCTYPE x>"), 400, "les types de document (<!DOCTYPE)"),
        ("PUT", CITY, sent("application/ld+json", "3"), 400, "du JSON-LD est un objet entre accolades"),
        ("PUT", CITY, sent("application/ld+json", "{"), 400, "n’est pas lisible comme json-ld : ligne 1"),
        ("PUT", CITY, sent("application/ld+json", '{"@context": "x:y"}'), 400, "le contexte 'x:y' n’est pas"),
        ("PUT", "/graphs/id/city/new-town", sent("text/turtle", ""), 400, "le corps doit décrire https://"),
        ("POST", "/api/cities/jelgava/quality/sources", {}, 422, "la consultation des sources est désactivée : "),
        ("POST", "/graphs", sent("text/turtle", ""), 400, "le corps décrit 0 fiches ; il en faut une"),
        ("POST", "/api/practices/hints", sent("application/json", '{"kind": "city"}'), 422, "les conseils sont pour"),
        ("PUT", "/api/cities/jelgava", sent("application/json", "{}", **{"If-None-Match": "*"}), 412, "la fiche ville"),
        (
            "POST",
            "/api/imports",
            {"files": {"files": ("a.csv", b"id")}, "data": {"options": "{"}},
            400,
            "options : n’est",
        ),
        (
            "POST",
            "/api/imports",
            {"files": {"files": ("a.csv", b"id")}, "data": {"options": "3"}},
            400,
            "options : il faut",
        ),
        ("POST", "/api/imports", {"files": [("files", ("a.csv", b"id"))] * 300}, 422, "un import a de 1 à "),
        ("POST", TRANSFER, {"json": {"mentee": {"city": "mechelen"}}}, 422, "est une pratique de 'mechelen' même"),
    ],
)
def test_a_bad_request_is_told_in_french_where_it_is_asked_for(
    curator: httpx.Client, method: str, path: str, more: dict[str, Any], status: int, said: str
) -> None:
    answer = curator.request(method, path, **more)
    assert said in answer.json()["detail"]
    assert (answer.status_code, answer.headers["content-language"]) == (status, "fr")


def test_an_address_that_is_none_is_told_in_french(server: Server) -> None:
    french = {"Accept-Language": "fr"}
    told = server.client.get("/nowhere", headers=french).json()
    assert (told["title"], told["detail"]) == (
        "Il n’y a rien ici",
        "il n’y a rien à l’adresse '/nowhere' ; /docs donne la liste des adresses",
    )
    told = server.client.delete("/health/live", headers=french).json()
    assert (told["title"], told["detail"]) == ("La méthode n’est pas admise", "'/health/live' ne répond pas à DELETE")


TOLD_IN_BOTH = {
    *("NotAuthenticated", "NotAllowed", "PreconditionMissing", "StaleRecord", "WrongState", "DuplicateRecord"),
    *("NotFound", "RefusedQuery"),
}
"""Refusals of who asks, of what they and their queries may, of states and of revisions, and of what is not there."""

OF_THE_SET_UP = {"the claim "}
"""Beginnings of what only whoever sets the login up can mend: in English."""


def test_refusals_of_rights_states_and_revisions_are_told_in_both_languages() -> None:
    found = 0
    for file in sorted([*(ROOT / "kg").rglob("*.py"), *(ROOT / "service").rglob("*.py")]):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        named = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in TOLD_IN_BOTH:
                found += 1
                said = named.get(call.args[0].id, call.args[0]) if isinstance(call.args[0], ast.Name) else call.args[0]
                where = f"{file.relative_to(ROOT)}:{call.lineno}"
                if ast.unparse(said) == "_told(text, position, english, french)":
                    continue  # the guard's own: whoever calls it has to give both
                if not isinstance(said, ast.Dict):
                    assert any(one in ast.unparse(said) for one in OF_THE_SET_UP), where
                    continue
                assert [key.value for key in said.keys if isinstance(key, ast.Constant)] == ["en", "fr"], where
                english, french = map(ast.unparse, said.values)
                assert english != french, where
    assert found > 60
