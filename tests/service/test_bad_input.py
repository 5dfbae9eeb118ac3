"""Bad input: each with a clear message, at its place, and never a 500."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.serving import MOST_IN_LINE
from tests.service.conftest import Server


def refused(client: httpx.Client, request: Any, status: int = 422) -> dict:
    answer = client.post("/api/suggestions", json=request)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


def with_need(**need: object) -> dict:
    return {"needs": [{"text": "One desk for newcomers", **need}]}


CASES: dict[str, tuple[dict, str, str]] = {
    "no need": ({"needs": []}, "needs", "at least 1"),
    "no needs at all": ({}, "needs", "must be given"),
    "twenty-one needs": ({"needs": [{"text": "x"}] * 21}, "needs", "at most 20"),
    "empty need": (with_need(text=" \n "), "needs.0.text", "say in a sentence"),
    "need of 20,001 characters": (
        with_need(text="é" * 20_001),
        "needs.0.text",
        "20,001 characters; 20,000 are allowed",
    ),
    "NUL": (with_need(text="one\x00desk"), "needs.0.text", "character 4 is the control character U+0000"),
    "escape": (with_need(text="\x1b[31mred"), "needs.0.text", "U+001B"),
    "half a surrogate pair": (with_need(text="x\ud800"), "needs.0.text", "U+D800"),
    "need is a number": (with_need(text=5), "needs.0.text", "string"),
    "language tag that is none": (with_need(language="english!"), "needs.0.language", "no language tag"),
    "language that does not exist": (with_need(language="gr"), "needs.0.language", "such as 'en', 'fr' or 'el'"),
    "unknown theme": (with_need(themes=["nosuchtheme"]), "themes", "there is no theme 'nosuchtheme'"),
    "unknown city": ({**with_need(), "mentee": {"city": "jelgawa"}}, "mentee.city", "did you mean jelgava"),
    "invalid IRI": (
        {**with_need(), "mentee": {"city": "https://exa mple/<x>"}},
        "mentee.city",
        "nor the address of a record",
    ),
    "IRI of something else": (
        {**with_need(), "mentee": {"city": "https://example.org/x"}},
        "mentee.city",
        "there is no city",
    ),
    "city and profile": ({**with_need(), "mentee": {"city": "jelgava", "profile": {}}}, "mentee", "not both"),
    "neither city nor profile": ({**with_need(), "mentee": {}}, "mentee", "not neither"),
    "level that is none": (
        {**with_need(), "mentee": {"profile": {"experience": {"language": "huge"}}}},
        "mentee.profile.experience.language",
        "'leading'",
    ),
    "misspelt field": ({**with_need(), "filter": {}}, "filter", "mend its spelling"),
    "country": ({**with_need(), "filters": {"countries": ["Belgium"]}}, "filters.countries.0", "two letters"),
    "population the wrong way round": (
        {**with_need(), "filters": {"population_min": 9, "population_max": 3}},
        "filters.population_min",
        "above population_max",
    ),
    "negative weight": ({**with_need(), "weights": {"language": -1}}, "weights.language", "greater than or equal to 0"),
    "unknown factor": ({**with_need(), "weights": {"distance": 1}}, "weight 'distance'", "no such factor"),
    "limit as text": ({**with_need(), "limit": "5"}, "limit", "integer"),
    "limit too high": ({**with_need(), "limit": 51}, "limit", "50"),
    "limit is true": ({**with_need(), "limit": True}, "limit", "integer"),
    "day that is none": ({**with_need(), "as_of": "2026-02-30"}, "as_of", "YYYY-MM-DD"),
    "day as a number": ({**with_need(), "as_of": 0}, "as_of", "YYYY-MM-DD"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_request_that_cannot_be_used_is_told_where_and_why(client: httpx.Client, case: str) -> None:
    request, place, said = CASES[case]
    detail = refused_raw(client, request)["detail"]
    assert place in detail
    assert said in detail


def refused_raw(client: httpx.Client, request: dict) -> dict:
    """As JSON with escapes, which can carry what UTF-8 cannot."""
    body = json.dumps(request, ensure_ascii=True).encode()
    answer = client.post("/api/suggestions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    return answer.json()


def test_every_fault_is_told_at_once(client: httpx.Client) -> None:
    told = refused(client, {"needs": [{"text": ""}, {"text": "x", "language": "??"}], "limit": 0})
    assert [fault["field"] for fault in told["problems"]] == ["needs.0.text", "needs.1.language", "limit"]


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999"], ids=["NaN", "infinity", "minus infinity", "too large"]
)
def test_a_weight_is_a_finite_number(client: httpx.Client, number: str) -> None:
    body = f'{{"needs": [{{"text": "one desk"}}], "weights": {{"language": {number}}}}}'
    answer = client.post("/api/suggestions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "weights.language" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b"[" * 200_000, b'{"needs": [{"text": "\xc3"}]}'])
def test_a_body_that_is_not_json(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/api/suggestions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_without_its_media_type_is_told_so(client: httpx.Client) -> None:
    answer = client.post("/api/suggestions", content=b'{"needs": [{"text": "one desk"}]}')
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "text",
    [
        "אנחנו רוצים לעזור לעולים חדשים ללמוד את השפה",
        "نريد أن نساعد الوافدين الجدد على تعلم اللغة",
        "Θέλουμε να στηρίξουμε τους πρόσφυγες",
        "Ve\u0301ls palī\u0304dze\u0301t",
        "\u202eRLO and \u200dZWJ 👩‍👩‍👧 \U0010fffd",
        "𝔬𝔫𝔢 𝔡𝔢𝔰𝔨",
        "x" * 20_000,
    ],
)
def test_any_script_is_a_text(client: httpx.Client, text: str) -> None:
    answer = client.post("/api/suggestions", json={"needs": [{"text": text}], "limit": 1})
    assert answer.status_code == 200, answer.text


def test_ten_megabytes_are_refused_as_declared(client: httpx.Client) -> None:
    answer = client.post("/api/suggestions", json=with_need(text="x" * 10_000_000))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "a request body may have 1,000,000 bytes at most"


def test_ten_megabytes_in_chunks_are_refused_as_they_come(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"needs": [{"text": "'
        for _ in range(100):
            yield b"x" * 100_000

    headers = {"Content-Type": "application/json", "Accept-Language": "fr"}
    answer = client.post("/api/suggestions", content=chunks(), headers=headers)
    assert (answer.status_code, answer.headers["content-language"]) == (413, "fr")
    assert answer.json()["type"].endswith("/too-large")
    assert answer.json()["detail"] == "le corps d’une demande peut compter 1\u202f000\u202f000 octets au plus"


def test_a_body_of_lying_length_harms_nobody(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(
            b"POST /api/suggestions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        )
    assert server.client.get("/health/live").status_code == 200


HOST = b"Host: x\r\n"
HEADS = {
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "another version": b"GET /health/live HTTP/2.0\r\n" + HOST + b"\r\n",
    "no version": b"GET /health/live\r\n\r\n",
    "two lengths": b"POST /sparql HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a length and chunks": b"POST /sparql HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"POST /sparql HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: foo\r\n\r\n",
    "a space before the colon": b"GET /health/live HTTP/1.1\r\n" + HOST + b"Foo : bar\r\n\r\n",
    "a NUL": b"GET /health/live HTTP/1.1\r\n" + HOST + b"Foo: b\x00r\r\n\r\n",
    "a folded header": b"GET /health/live HTTP/1.1\r\n" + HOST + b"Foo: b\r\n r\r\n\r\n",
    "bytes that are no text": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "an address of 350 kB": b"GET /health/live?" + b"a" * 350_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "80,000 headers": b"GET /health/live HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 80_000 + b"\r\n",
    "a header without end": b"GET /health/live HTTP/1.1\r\n" + HOST + b"a: " + b"b" * 400_000,
    "empty lines without end": b"\r\n" * 200_000,
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_what_is_no_request_of_http_is_refused_and_the_connection_closed(server: Server, head: bytes) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    said, torn = b"", False
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        try:
            connection.sendall(head)
            while part := connection.recv(65_536):
                said += part
        except ConnectionError:  # closed upon bytes that were still on their way: the answer may be lost with them
            torn = True
    assert said.startswith(b"HTTP/1.1 400 ") or (torn and not said and len(head) > 300_000)
    assert torn or b"connection: close" in said


@pytest.mark.parametrize(
    ("requests", "link", "more", "are_answered"),
    [
        (MOST_IN_LINE + 1, b"", b"", True),
        (20_000, b"", b"", False),
        (50, b"", b"A: " + b"a" * 20_000 + b"\r\n", False),
        (50, b"?" + b"a" * 20_000, b"", False),
    ],
    ids=["as many as may wait", "too many", "long heads", "long links"],
)
def test_requests_that_do_not_wait_for_answers_stand_in_a_short_line(
    server: Server, requests: int, link: bytes, more: bytes, are_answered: bool
) -> None:
    """Without the limit, 4 MB of them took 260 MB of memory."""
    host, port = server.url.removeprefix("http://").split(":")
    said = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection, suppress(ConnectionError):
        connection.sendall((b"GET /health/live" + link + b" HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n") * requests)
        while said.count(b"HTTP/1.1 ") < requests and (part := connection.recv(65_536)):
            said += part
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", said)
    assert set(statuses) <= {b"200"}
    assert (len(statuses) == requests) == are_answered
    assert server.client.get("/health/live").status_code == 200


def test_what_follows_a_request_cannot_be_taken_for_its_answer(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    said = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection, suppress(ConnectionError):
        connection.sendall(b"GET /health/status HTTP/1.1\r\nHost: x\r\n\r\nno request\r\n\r\n")
        while part := connection.recv(65_536):
            said += part
    assert b"HTTP/1.1 400" not in said


def test_a_link_may_hold_the_longest_need(server: Server) -> None:
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    connection.request("GET", f"/api/suggestions?{urlencode({'need': '語' * 20_000, 'limit': 1})}")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("id", ["..%2F..%2Fetc", "%00", "Ghent", "a" * 300, "%F0%9F%92%A9", "x--", "nosuchcity"])
def test_a_record_that_cannot_be_there_is_not_found(client: httpx.Client, id: str) -> None:
    answer = client.get(f"/api/cities/{id}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("cursor", ["\x00", "' OR 1=1 --", "é" * 100, "-1", "eyJ4IjoxfQ=="])
@pytest.mark.parametrize("path", ["/api/search?q=desk", "/api/cities"])
def test_a_made_up_cursor_breaks_nothing(client: httpx.Client, path: str, cursor: str) -> None:
    answer = client.get(path, params={**({"q": "desk"} if "q=" in path else {}), "cursor": cursor})
    assert answer.status_code in (200, 422)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["needs", "mentee", "filters", "weights", "limit", "as_of", "text", "city", "profile"])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, JSON | st.lists(st.dictionaries(KEYS, JSON, max_size=3), max_size=2), max_size=4))
def test_no_body_makes_the_service_fail(client: httpx.Client, body: dict) -> None:
    content = json.dumps(body).encode()
    answer = client.post("/api/suggestions", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert answer.json()["detail"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30), st.text(max_size=10), st.text(max_size=5))
def test_no_link_makes_the_first_page_fail(client: httpx.Client, need: str, mentee: str, lang: str) -> None:
    try:
        params = {key: value.encode() for key, value in (("need", need), ("mentee", mentee), ("lang", lang))}
    except UnicodeEncodeError:
        return
    answer = client.get("/", params=params)
    assert answer.status_code in (200, 422)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
