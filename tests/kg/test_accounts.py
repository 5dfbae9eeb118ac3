"""Tokens: shown once, worth nothing when read from the database, and ended at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from kg import accounts as subject
from kg.accounts import READER, ROLE_SCOPES, ROLES, SCOPES, Accounts, Actor, name_fault
from kg.errors import BadRequest, NotAuthenticated, NotFound
from kg.ledger import Change, Ledger
from tests.postgres import fresh_database

START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
    else:
        with fresh_database() as address:
            yield address


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.create(url, "https://example.org/") as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(ledger: Ledger, clock: Clock) -> Iterator[Accounts]:
    with Accounts(ledger, now=clock) as opened:
        yield opened


@pytest.fixture
def rememberless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "REMEMBERED_SECONDS", 0.0)


def refusal(accounts: Accounts, shown: str) -> str:
    with pytest.raises(NotAuthenticated) as error:
        accounts.actor_of(shown)
    return str(error.value)


def test_a_token_names_its_account_role_and_scopes(accounts: Accounts) -> None:
    shown, token = accounts.create_token("Ilze Bērziņa", "curator", scopes=["write", "read"], by="admin")
    for _ in range(2):  # verified, then remembered
        actor = accounts.actor_of(shown)
        assert actor == Actor("Ilze Bērziņa", "curator", frozenset({"read", "write"}))
        assert actor.author == "curator/Ilze Bērziņa"
    (listed,) = accounts.list_tokens()
    assert (listed.id, listed.name, listed.created_by, listed.created) == (token.id, "Ilze Bērziņa", "admin", START)


def test_the_database_holds_no_secret(accounts: Accounts, ledger: Ledger, url: str) -> None:
    shown, token = accounts.create_token("ilze", "curator", by="admin")
    accounts.actor_of(shown)
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = repr(connection.execute(text("SELECT * FROM tokens")).all())
    engine.dispose()
    assert token.id in rows
    assert "$argon2id$" in rows
    assert shown not in rows
    assert shown.removeprefix(f"mg_{token.id}_") not in rows
    assert shown not in repr(vars(accounts)) + repr(token)


def test_the_ledgers_chain_does_not_know_of_tokens(accounts: Accounts, ledger: Ledger) -> None:
    with ledger.write() as transaction:
        transaction.append(Change("city", "jelgava", "published", "public", "", READER.author))
    accounts.create_token("ilze", "curator", by="admin")
    assert ledger.verify() == 1


@pytest.mark.parametrize("remembered", [True, False])
def test_a_revoked_token_is_refused_at_once_and_told_so(
    ledger: Ledger, accounts: Accounts, clock: Clock, remembered: bool
) -> None:
    shown, token = accounts.create_token("ilze", "curator", by="admin")
    if remembered:
        accounts.actor_of(shown)
    with Accounts(ledger, now=clock) as elsewhere:
        elsewhere.revoke_token(token.id, by="boss")
    assert refusal(accounts, shown) == "the token was revoked on 2026-11-02: ask for a new one"
    clock.time += timedelta(days=1)
    assert accounts.revoke_token(token.id, by="somebody").revoked_by == "boss", "the first one counts"
    assert accounts.list_tokens()[0].state(clock.time) == "revoked"


def test_another_process_revokes_too(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger.create(address, "https://example.org/") as ledger, Accounts(ledger) as accounts:
        shown, token = accounts.create_token("ilze", "curator", by="admin")
        accounts.actor_of(shown)
        program = (
            "import sys; from kg.accounts import Accounts; from kg.ledger import Ledger\n"
            "with Ledger.open(sys.argv[1]) as l, Accounts(l) as a: a.revoke_token(sys.argv[2], by='boss')"
        )
        subprocess.run([sys.executable, "-c", program, address, token.id], check=True)
        assert "revoked" in refusal(accounts, shown)


def test_an_expired_token_is_refused_and_told_so(accounts: Accounts, clock: Clock) -> None:
    shown, token = accounts.create_token("ilze", "curator", expires=START + timedelta(days=1), by="admin")
    clock.time += timedelta(days=1, microseconds=-1)
    accounts.actor_of(shown)
    assert token.state(clock.time) == "valid"
    clock.time += timedelta(microseconds=1)
    assert refusal(accounts, shown) == "the token expired on 2026-11-03: ask for a new one"
    assert token.state(clock.time) == "expired"


def test_only_the_right_secret_is_told_why(accounts: Accounts) -> None:
    shown, token = accounts.create_token("ilze", "curator", by="admin")
    accounts.revoke_token(token.id, by="admin")
    wrong = shown[:-1] + ("A" if shown[-1] != "A" else "B")
    unknown = "mg_aaaaaaaaaaaa_" + "x" * 43
    assert refusal(accounts, wrong) == refusal(accounts, unknown)
    assert "not known" in refusal(accounts, wrong)


@pytest.mark.parametrize(
    "shown",
    ["", "x", "mg_", "mg_aaaaaaaaaaaa_", "mg_AAAAAAAAAAAA_" + "x" * 43, "mg_aaaaaaaaaaaa_" + "x" * 42 + "é", "\x00" * 59,
     "\ud800" * 59, "mg_aaaaaaaaaaaa_" + "x" * 10_000, "mg_aaaaaaaaaaaa_" + "x" * 43 + "\n"],
)  # fmt: skip
def test_what_is_no_token_is_refused_without_being_repeated(accounts: Accounts, shown: str) -> None:
    assert refusal(accounts, shown) == "this is not a token: one begins with mg_ and has 59 characters; copy it whole"


def test_each_part_of_a_token_counts(accounts: Accounts, rememberless: None) -> None:
    first, one = accounts.create_token("ilze", "curator", by="admin")
    second, two = accounts.create_token("ilze", "administrator", by="admin")
    assert "not known" in refusal(accounts, second.replace(two.id, one.id))
    assert accounts.actor_of(first).role == "curator"


def test_a_remembered_secret_is_bound_to_its_row(accounts: Accounts, url: str) -> None:
    shown, token = accounts.create_token("ilze", "curator", by="admin")
    accounts.create_token("bob", "contributor", by="admin")
    accounts.actor_of(shown)
    engine = create_engine(url)
    with engine.begin() as connection:
        other_hash = connection.execute(text("SELECT hash FROM tokens WHERE name = 'bob'")).scalar_one()
        connection.execute(text("UPDATE tokens SET hash = :hash WHERE id = :id"), {"hash": other_hash, "id": token.id})
    engine.dispose()
    assert "not known" in refusal(accounts, shown)


def test_what_is_remembered_is_bounded(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "REMEMBERED", 2)
    for name in "abc":
        accounts.actor_of(accounts.create_token(name, "reader", by="admin")[0])
    assert len(accounts._verified) == 2


def test_the_last_use_is_noted_once_a_minute(ledger: Ledger, clock: Clock) -> None:
    def used() -> datetime | None:
        (token,) = reader.list_tokens()
        return token.last_used

    with Accounts(ledger, now=clock) as reader:
        with Accounts(ledger, now=clock) as accounts:
            shown, _ = accounts.create_token("ilze", "curator", by="admin")
            assert used() is None
            accounts.actor_of(shown)
        assert used() == START
        clock.time += timedelta(seconds=59)
        with Accounts(ledger, now=clock) as accounts:
            accounts.actor_of(shown)
        assert used() == START
        clock.time += timedelta(seconds=1)
        with Accounts(ledger, now=clock) as accounts:
            accounts.actor_of(shown)
        assert used() == clock.time


def test_no_request_waits_for_a_writer(accounts: Accounts, ledger: Ledger) -> None:
    shown, _ = accounts.create_token("ilze", "curator", by="admin")
    answered = threading.Event()

    def ask() -> None:
        accounts.actor_of(shown)
        answered.set()

    with ledger.write() as transaction:
        transaction.append(Change("city", "jelgava", "draft", "public", "", "curator/ilze"))
        asking = threading.Thread(target=ask)
        asking.start()
        assert answered.wait(20)
    asking.join()


def test_many_threads_at_once_get_their_own_actor(accounts: Accounts) -> None:
    shown = {name: accounts.create_token(name, "reader", by="admin")[0] for name in "abcd"}
    found: list[tuple[str, str]] = []

    def ask(name: str) -> None:
        found.extend((name, accounts.actor_of(shown[name]).name) for _ in range(10))

    threads = [threading.Thread(target=ask, args=(name,)) for name in shown]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(asked == told for asked, told in found)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "a/b"}, "'a/b' cannot be the name of an account: it has a slash"),
        ({"name": ""}, "it has 0 characters; 1 to 60 are right"),
        ({"name": "x" * 61}, "it has 61 characters"),
        ({"name": "a\nb"}, "it has characters that cannot be seen"),
        ({"name": "a\u202eb"}, "it has characters that cannot be seen"),
        ({"name": "a\ud800"}, "it has characters that cannot be seen"),
        ({"name": " a"}, "there is space at its beginning or end"),
        ({"name": "Anonymous"}, "stands for nobody in particular"),
        ({"role": "king"}, "'king' is not a role: one of reader, contributor, curator, manager, administrator"),
        ({"scopes": ["all"]}, "'all' is not a scope that a token of a contributor can have: read, write, import"),
        ({"scopes": ["read"], "role": "reader"}, "'read' is not a scope that a token of a reader can have: none"),
        ({"scopes": ["publish"]}, "'publish' is not a scope that a token of a contributor can have"),
        ({"expires": START}, "the token would expire on 2026-11-02, which is past"),
        ({"expires": datetime(2027, 1, 1)}, "has no time zone"),
    ],
)
def test_a_token_that_cannot_be_is_refused_in_words(accounts: Accounts, given: dict, message: str) -> None:
    wanted = {"name": "ilze", "role": "contributor", "by": "admin", **given}
    with pytest.raises(BadRequest) as error:
        accounts.create_token(**wanted)
    assert message in str(error.value)
    assert accounts.list_tokens() == []


def test_a_name_is_kept_in_composed_form(accounts: Accounts) -> None:
    assert accounts.create_token("e\u0301va", "reader", by="admin")[1].name == "éva"


@pytest.mark.parametrize("id", ["nope", "aaaaaaaaaaaa", "", "\x00", "\ud800", "a" * 10_000])
def test_revoking_what_is_not_there_says_so(accounts: Accounts, id: str) -> None:
    with pytest.raises(NotFound, match="mentorgraph token list"):
        accounts.revoke_token(id, by="admin")


def test_an_ended_session_is_remembered_until_it_would_expire(accounts: Accounts, clock: Clock) -> None:
    accounts.end_session("one", START + timedelta(hours=1))
    accounts.end_session("one", START + timedelta(hours=1))
    assert accounts.has_ended("one")
    assert not accounts.has_ended("two")
    clock.time += timedelta(hours=2)
    accounts.end_session("two", START + timedelta(hours=9))
    assert not accounts.has_ended("one"), "it has expired by itself; the table does not grow"
    assert accounts.has_ended("two")


@given(st.text(max_size=70))
def test_a_name_either_makes_an_author_of_two_parts_or_is_refused(name: str) -> None:
    if fault := name_fault(name):
        with pytest.raises(ValueError, match="cannot be the name"):
            Actor(name, "curator")
        fault.encode()
    else:
        assert Actor(name, "curator").author.split("/") == ["curator", name]
        assert name.isprintable()


@given(st.sampled_from(ROLES), st.frozensets(st.sampled_from(SCOPES)))
def test_a_scope_only_narrows(role: str, scopes: frozenset[str]) -> None:
    actor, unnarrowed = Actor("ilze", role, scopes), Actor("ilze", role)
    assert unnarrowed.allowed == ROLE_SCOPES[role]
    assert actor.allowed <= unnarrowed.allowed
    assert actor.allowed == (unnarrowed.allowed & scopes if scopes else unnarrowed.allowed)
    assert [scope for scope in SCOPES if READER.may(scope)] == []


@pytest.mark.parametrize("wrong", [{"role": "king"}, {"scopes": frozenset({"all"})}, {"name": "a/b"}])
def test_an_actor_is_well_formed(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"not a role|not a scope|cannot be the name"):
        Actor(**{"name": "ilze", "role": "curator", **wrong})
