"""Any Accept and Accept-Language header gives an answer or 406, never 500."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.negotiation import acceptable, language_of_header, preferred

PIECES = st.sampled_from(
    [
        "text/html",
        "application/json",
        "application/*",
        "*/*",
        "*",
        ";",
        ",",
        "q=",
        "q=0",
        "q=1.5",
        "q=nan",
        "=",
        "/",
        " ",
        "é",
    ]
)
HEADERS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(accept=HEADERS)
def test_any_accept_header_gives_an_answer_or_406(client: httpx.Client, accept: str) -> None:
    answer = client.get("/health/live", headers={"accept": accept.strip().encode("latin-1")})
    assert answer.status_code in (200, 406)
    if answer.status_code == 406:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "'/health/live' answers only as application/json"


@given(st.text(max_size=80))
def test_no_header_breaks_the_reading_of_preferences(header: str) -> None:
    assert language_of_header(header) in (None, "en", "fr")
    assert acceptable(header, ["application/json"]) in (None, "application/json")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fr", "fr"),
        ("fr-CA;q=0.3, en;q=0.4", "en"),
        ("nl, de", None),
        ("fr;q=0, en", "en"),
        ("", None),
        (None, None),
    ],
)
def test_the_preferred_language_that_we_have(header: str | None, expected: str | None) -> None:
    assert language_of_header(header) == expected


def test_equal_preferences_keep_their_order() -> None:
    assert list(preferred("a, b;q=1.0, c;q=0.9")) == ["a", "b", "c"]


def test_sentences_follow_the_parameter_before_the_header(client: httpx.Client) -> None:
    asked = {"need": "One desk for newcomers", "limit": 1}
    french = client.get("/api/suggestions", params=asked, headers={"accept-language": "fr"})
    english = client.get("/api/suggestions", params={**asked, "lang": "en"}, headers={"accept-language": "fr"})
    assert french.headers["content-language"] == "fr"
    assert english.headers["content-language"] == "en"
    assert french.headers["vary"].casefold().count("accept-language") == 1
    first_french, first_english = (a.json()["suggestions"][0] for a in (french, english))
    assert first_french["city"]["id"] == first_english["city"]["id"]
    assert first_french["band_label"] != first_english["band_label"]
    assert first_french["reasons"][0]["text"] != first_english["reasons"][0]["text"]


def lines(name: str, *values: str) -> httpx.Headers:
    return httpx.Headers([(name, value) for value in values])


@pytest.mark.parametrize(
    ("path", "name", "values", "told", "expected"),
    [
        (
            "/sparql?query=ASK%20%7B%7D",
            "accept",
            ["image/png", "application/sparql-results+xml"],
            "content-type",
            "application/sparql-results+xml",
        ),
        ("/id/city/mechelen", "accept", ["image/png", "application/n-triples"], "location", "/id/city/mechelen.nt"),
        ("/id/city/mechelen", "accept", ["text/html;q=0.5", "text/turtle"], "location", "/id/city/mechelen.ttl"),
        ("/health/live", "accept", ["image/png", "application/json"], "content-type", "application/json"),
        ("/graphs/shapes", "accept", ["image/png", "application/ld+json"], "content-type", "application/ld+json"),
        ("/", "accept-language", ["nl", "fr"], "content-language", "fr"),
        ("/api/search?q=x", "accept-language", ["nl", "fr"], "content-language", "fr"),
        ("/nowhere", "accept-language", ["nl", "fr"], "content-language", "fr"),
    ],
)
def test_lines_of_a_list_are_one_list(
    client: httpx.Client, path: str, name: str, values: list[str], told: str, expected: str
) -> None:
    """RFC 9110, 5.3: a header sent twice means both values, in their order."""
    answer = client.get(path, headers=lines(name, *values), follow_redirects=False)
    assert answer.headers[told] == expected, answer.text
    assert client.get(path, headers={name: ", ".join(values)}).headers[told] == expected


def test_a_copy_may_be_named_in_any_line(client: httpx.Client) -> None:
    path = "/id/city/mechelen.ttl"
    tag = client.get(path).headers["etag"]
    for tags in (['"x"', tag], [tag, '"x"']):
        assert client.get(path, headers=lines("if-none-match", *tags)).status_code == 304
    assert client.get(path, headers=lines("if-none-match", '"x"', '"y"')).status_code == 200


def test_a_language_without_sentences_is_refused(client: httpx.Client) -> None:
    answer = client.get("/api/suggestions", params={"need": "x", "lang": "de"})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["field"] == "lang"
