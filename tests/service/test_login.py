"""Login against a real OpenID Connect provider, as a browser goes through it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from kg.accounts import Accounts, Actor
from kg.catalogue import Catalogue
from service.access import SESSION, Sessions, Signing
from service.api.sessions import LOGIN
from service.app import create_app
from service.settings import Settings
from tests.login_provider import RunningProvider, running_provider
from tests.models import prepared_models
from tests.service.conftest import Server, running

KEY = "the key that signs the cookies of these tests"


@dataclass(frozen=True)
class Place:
    """A service that knows a provider."""

    server: Server
    provider: RunningProvider
    catalogue: Catalogue

    @property
    def signing(self) -> Signing:
        return Signing(KEY)

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.server.url, timeout=60, trust_env=False)


def settings(issuer: str, **more: object) -> Settings:
    given = {
        "oidc_issuer": issuer,
        "oidc_client_id": "mentorgraph",
        "oidc_client_secret": "a secret that only the two of them know",
        "oidc_role_claim": "groups",
        "oidc_roles": {"editors": "curator", "staff": "contributor", "admins": "administrator"},
        "session_key": KEY,
    }
    return Settings(**given | more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with Catalogue.create(tmp_path_factory.mktemp("login") / "data", models=prepared_models()) as made:
        yield made


@pytest.fixture(scope="module")
def place(catalogue: Catalogue) -> Iterator[Place]:
    with running_provider() as provider, running(create_app(settings(provider.issuer), catalogue)) as server:
        provider.returns_to(server.url + "/login/return")
        yield Place(server, provider, catalogue)


def to_the_return(browser: httpx.Client, account: str, then: str = "/api/me") -> str:
    """Log in at the provider and agree; gives the address to which it sends the browser back, not yet followed."""
    answer = browser.get("/login", params={"then": then})
    assert answer.status_code == 303, answer.text
    for _ in range(20):
        if answer.has_redirect_location:
            address = urljoin(str(answer.url), answer.headers["location"])
            if "/login/return" in address:
                return address
            answer = browser.get(address)
        else:
            assert answer.status_code == 200, answer.text
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert action, answer.text
            assert prompt
            form = {"prompt": prompt[1], "login": account, "password": "any"}
            answer = browser.post(urljoin(str(answer.url), action[1]), data=form)
    raise AssertionError("the provider did not come to an end")


@contextmanager
def logged_in(place: Place, account: str) -> Iterator[httpx.Client]:
    with place.browser() as browser:
        answer = browser.get(to_the_return(browser, account))
        assert (answer.status_code, answer.headers["location"]) == (303, "/api/me"), answer.text
        yield browser


@pytest.mark.parametrize(
    ("account", "role", "scopes"),
    [
        ("ilze", "curator", ["read", "write", "publish", "import"]),
        ("maria", "administrator", ["read", "write", "publish", "import"]),
        ("bob", "reader", []),
        ("somebody", "reader", []),
    ],
)
def test_who_logs_in_has_the_role_that_the_providers_claim_gives(
    place: Place, account: str, role: str, scopes: list[str]
) -> None:
    with logged_in(place, account) as browser:
        assert browser.get("/api/me").json() == {
            "name": account,
            "role": role,
            "scopes": scopes,
            "authenticated_by": "session",
            "login": "/login",
        }


def test_the_provider_is_asked_for_a_code_with_pkce_state_and_nonce(place: Place) -> None:
    with place.browser() as browser:
        asked = parse_qs(urlsplit(browser.get("/login").headers["location"]).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"] == ["openid profile"]
    assert asked["redirect_uri"] == [place.server.url + "/login/return"]
    assert all(len(asked[name][0]) >= 20 for name in ("state", "nonce", "code_challenge"))


def test_cookies_are_not_for_scripts_nor_for_other_sites(place: Place) -> None:
    with place.browser() as browser:
        began = browser.get("/login").headers["set-cookie"]
        ended = browser.get(to_the_return(browser, "ilze")).headers.get_list("set-cookie")
    for cookie in (began, ended[0]):
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
    assert ended[1].startswith(f'{LOGIN}=""')


def test_under_https_cookies_are_for_https_and_this_host_only(place: Place) -> None:
    chosen = settings(place.provider.issuer, public_url="https://mentors.example.org/")
    with running(create_app(chosen, place.catalogue)) as server:
        cookie = server.client.get("/login").headers["set-cookie"]
    assert cookie.startswith(f"__Host-{LOGIN}=")
    assert "Secure" in cookie
    assert "Path=/;" in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    "changed",
    [
        lambda address: re.sub(r"state=[^&]+", "state=another", address),
        lambda address: re.sub(r"state=[^&]+&?", "", address),
        lambda address: re.sub(r"code=[^&]+", "code=another", address),
        lambda address: re.sub(r"code=[^&]+&?", "", address),
        lambda address: re.sub(r"\?.*", "?error=access_denied&error_description=%3Cscript%3E", address),
        lambda address: re.sub(r"\?.*", "", address),
        lambda address: address + "&state=another",
        lambda address: re.sub(r"code=[^&]+", "code=" + "x" * 9000, address),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(place: Place, changed: Callable[[str], str]) -> None:
    with place.browser() as browser:
        address = to_the_return(browser, "ilze")
        answer = browser.get(changed(address))
        assert answer.status_code == 401, answer.text
        assert answer.json()["detail"] == "the login did not come to its end; start again at /login"
        assert SESSION not in browser.cookies


def test_a_code_is_good_in_the_browser_that_asked_for_it(place: Place) -> None:
    with place.browser() as browser, place.browser() as other, place.browser() as third:
        address = to_the_return(browser, "ilze")
        assert other.get(address).status_code == 401, "a browser that began nothing"
        code, own = parse_qs(urlsplit(address).query)["code"][0], to_the_return(third, "bob")
        state = parse_qs(urlsplit(own).query)["state"][0]
        answer = third.get("/login/return", params={"code": code, "state": state})
        assert answer.status_code == 401, "somebody else's code"


def test_a_used_code_is_worth_nothing_with_the_cookie_it_came_with(place: Place) -> None:
    with place.browser() as browser:
        address = to_the_return(browser, "ilze")
        kept = {LOGIN: browser.cookies[LOGIN]}
        assert browser.get(address).status_code == 303
    assert httpx.get(address, cookies=kept, trust_env=False).status_code == 401


@pytest.mark.parametrize("part", ["nonce", "code_verifier"])
def test_a_token_for_another_login_is_refused(place: Place, part: str) -> None:
    with place.browser() as browser:
        address = to_the_return(browser, "ilze")
        kept = place.signing.read(LOGIN, browser.cookies[LOGIN])
        (flow,) = kept["flow"].values()
        flow["data"][part] = "x" * 48
        answer = httpx.get(address, cookies={LOGIN: place.signing.written(LOGIN, kept)}, trust_env=False)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_a_login_that_took_too_long_begins_anew(place: Place) -> None:
    with place.browser() as browser:
        address = to_the_return(browser, "ilze")
        kept = place.signing.read(LOGIN, browser.cookies[LOGIN]) | {"until": 1}
        answer = httpx.get(address, cookies={LOGIN: place.signing.written(LOGIN, kept)}, trust_env=False)
    assert answer.status_code == 401
    assert "took too long" in answer.json()["detail"]


def test_after_login_only_an_address_of_ours_is_gone_to(place: Place) -> None:
    for then in (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ):
        with place.browser() as browser:
            assert browser.get(to_the_return(browser, "ilze", then)).headers["location"] == "/", then


@pytest.mark.parametrize("change", ["signature", "role", "other purpose", "garbage", "empty"])
def test_a_cookie_that_was_not_signed_here_is_refused_not_ignored(place: Place, change: str) -> None:
    with logged_in(place, "bob") as browser:
        cookie = browser.cookies[SESSION]
    said = place.signing.read(SESSION, cookie)
    forged = {
        "signature": cookie[:-2] + ("A" if cookie[-2] != "A" else "B") + cookie[-1],
        "role": Signing("another key than that of the service").written(SESSION, [*said[:2], "administrator", said[3]]),
        "other purpose": place.signing.written(LOGIN, said),
        "garbage": "x.y.z" * 700,
        "empty": "",
    }[change]
    answer = httpx.get(place.server.url + "/api/me", headers={"Cookie": f"{SESSION}={forged}"}, trust_env=False)
    assert answer.status_code == 401
    assert "log in again" in answer.json()["detail"]


def test_a_session_ends_with_its_time_and_with_logout(place: Place) -> None:
    with Accounts(place.catalogue.ledger) as accounts:
        earlier = Sessions(place.signing, accounts, hours=8, now=lambda: 1_700_000_000)
        old, seconds = earlier.opened(Actor("ilze", "curator"))
    assert seconds == 8 * 3600
    answer = place.server.client.get("/api/me", headers={"Cookie": f"{SESSION}={old}"})
    assert (answer.status_code, answer.json()["detail"]) == (401, "the session has expired: log in again at /login")
    with logged_in(place, "ilze") as browser:
        copied = {"Cookie": f"{SESSION}={browser.cookies[SESSION]}"}
        assert browser.post("/logout", headers={"Origin": place.server.url}).status_code == 303
        assert SESSION not in browser.cookies
        assert browser.get("/api/me").json()["name"] == "anonymous"
    answer = place.server.client.get("/api/me", headers=copied)
    assert (answer.status_code, answer.json()["detail"]) == (401, "the session was ended: log in again at /login")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "OURS"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": "OURS"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
    ],
)
def test_no_other_site_changes_anything_with_somebodys_session(
    place: Place, headers: dict[str, str], allowed: bool
) -> None:
    with logged_in(place, "ilze") as browser:
        sent = {name: value.replace("OURS", place.server.url) for name, value in headers.items()}
        assert browser.post("/logout", headers=sent).status_code == (303 if allowed else 403)
        assert (SESSION in browser.cookies) is not allowed
        assert browser.get("/api/me").status_code == 200


def test_a_token_counts_before_a_session(place: Place) -> None:
    with Accounts(place.catalogue.ledger) as accounts:
        text, _ = accounts.create_token("robot", "contributor", by="test")
    with logged_in(place, "ilze") as browser:
        told = browser.get("/api/me", headers={"Authorization": f"Bearer {text}"}).json()
        assert (told["name"], told["authenticated_by"]) == ("robot", "token")
        assert browser.get("/api/me", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_name_that_cannot_be_one_is_refused_with_the_claim(place: Place) -> None:
    chosen = settings(place.provider.issuer, oidc_name_claim="nickname", public_url=place.server.url + "/")
    with running(create_app(chosen, place.catalogue)) as server, place.browser() as browser:
        address = to_the_return(browser, "ilze")  # both services have the same key, and the provider knows one address
        answer = server.client.get(
            "/login/return?" + urlsplit(address).query, headers={"Cookie": f"{LOGIN}={browser.cookies[LOGIN]}"}
        )
    assert answer.status_code == 403
    assert answer.json()["detail"] == (
        "the claim 'nickname' of the login provider is of no use: "
        "'ilze/ilze' cannot be the name of an account: it has a slash; the role stands before one"
    )


def test_a_provider_that_is_down_stops_login_and_nothing_else(place: Place) -> None:
    with running_provider() as provider, running(create_app(settings(provider.issuer), place.catalogue)) as server:
        provider.returns_to(server.url + "/login/return")
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as browser:
            address = to_the_return(browser, "ilze")
            provider.stop()
            answer = browser.get(address)
            assert answer.status_code == 503
            assert answer.json()["type"].endswith("/login-provider-unreachable")
            assert browser.get("/health/live").status_code == 200
    with running(create_app(settings(provider.issuer), place.catalogue)) as server:
        answer = server.client.get("/login")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"
        assert answer.json()["detail"] == "the login provider does not answer as it should; try again later"
        assert server.client.get("/api/me").json()["login"] == "/login"


def test_a_provider_that_calls_itself_otherwise_is_not_trusted(place: Place) -> None:
    issuer = place.provider.issuer + "/"
    with running(create_app(settings(issuer), place.catalogue)) as server:
        answer = server.client.get("/login")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the login provider is not the one that this service is set up for"


def test_without_a_provider_nobody_logs_in_and_nothing_of_it_is_loaded(catalogue: Catalogue) -> None:
    with running(create_app(Settings(), catalogue)) as server:
        for path in ("/login", "/login/return"):
            assert server.client.get(path).status_code == 404
        assert server.client.get("/api/me").json()["login"] is None
        assert server.client.get("/api/me", headers={"Cookie": f"{SESSION}=x"}).status_code == 401
        assert server.client.post("/logout").status_code == 303
    assert not (catalogue.folder.path / "session.key").exists()
    loaded = "import sys, service.app, service.login; print([m for m in sys.modules if m.startswith('authlib')])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "[]\n"


def test_the_key_is_made_once_for_the_owner_only(catalogue: Catalogue) -> None:
    chosen = settings("http://127.0.0.1:9", session_key=None)
    keys = []
    for _ in range(2):
        with running(create_app(chosen, catalogue)):
            keys.append((catalogue.folder.path / "session.key").read_text())
    made: Path = catalogue.folder.path / "session.key"
    assert keys[0] == keys[1]
    assert len(keys[0]) > 60
    assert made.stat().st_mode & 0o777 == 0o600
    assert not list(catalogue.folder.path.glob("session.key.*"))
    made.unlink()
