"""`mentorgraph token`, beside a running service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg.catalogue import Catalogue
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import running


def token(*words: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [Path(sys.executable).parent / "mentorgraph", "token", *words],
        env={**os.environ, "MENTORGRAPH_DATA": str(folder), "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with Catalogue.create(tmp_path_factory.mktemp("tokens") / "data", models=prepared_models()) as made:
        yield made


@pytest.fixture
def folder(catalogue: Catalogue) -> Path:
    """A data folder that this process owns, as a service does."""
    return catalogue.folder.path


def test_a_token_is_made_used_listed_and_revoked_while_the_service_runs(catalogue: Catalogue, folder: Path) -> None:
    with running(create_app(Settings(), catalogue)) as server:
        client = server.client
        made = token("create", "ilze", "--role", "curator", "--scope", "read", folder=folder)
        shown = made.stdout.strip()
        assert "It is not shown again" in made.stderr
        headers = {"Authorization": f"Bearer {shown}"}
        assert client.get("/api/me", headers=headers).json()["scopes"] == ["read"]
        (listed,) = json.loads(token("list", "--json", folder=folder).stdout)["tokens"]
        assert (listed["name"], listed["role"], listed["state"]) == ("ilze", "curator", "valid")
        told = token("list", folder=folder).stdout
        assert listed["id"] in told
        assert "curator/ilze" in told
        assert shown not in told
        assert token("revoke", listed["id"], folder=folder).stdout.startswith(
            f"The token {listed['id']} of ilze is revoked"
        )
        assert client.get("/api/me", headers=headers).status_code == 401


def test_json_has_the_secret_once(folder: Path) -> None:
    made = json.loads(token("create", "robot", "--role", "contributor", "--days", "0", "--json", folder=folder).stdout)
    assert made["token"].startswith(f"mg_{made['id']}_")
    assert made["expires"] is None
    assert "token" not in json.loads(token("revoke", made["id"], "--json", folder=folder).stdout)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("create", "a/b", "--role", "curator"), 1, "'a/b' cannot be the name of an account"),
        (("create", "a", "--role", "king"), 2, "king"),
        (("create", "a"), 2, "--role"),
        (
            ("create", "a", "--role", "contributor", "--scope", "publish"),
            1,
            "not a scope that a token of a contributor",
        ),
        (("create", "a", "--role", "curator", "--days", "-1"), 2, "--days"),
        (("revoke", "nope"), 1, "there is no token 'nope'"),
    ],
)
def test_mistakes_are_told_in_a_line(folder: Path, words: tuple[str, ...], code: int, message: str) -> None:
    assert message in token(*words, folder=folder, code=code).stderr


def test_without_a_data_folder_the_message_names_the_command_that_makes_one(tmp_path: Path) -> None:
    assert "mentorgraph init" in token("list", folder=tmp_path / "none", code=4).stderr
    (tmp_path / "empty").mkdir()
    assert "mentorgraph init" in token("list", folder=tmp_path / "empty", code=4).stderr
