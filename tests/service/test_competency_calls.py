"""The competency questions that are requests, asked of a real service by somebody who may ask them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kg.accounts import Accounts
from ontology import path as shipped
from tests.service.conftest import Server

CALLS = [
    file
    for file in sorted(shipped("questions").glob("*.http"))
    if "# available:" not in file.read_text(encoding="utf-8")
]
EMPTY = {"29-deprecated-or-broad-themes"}
"""The starting data has no such record."""


@pytest.fixture(scope="module")
def curator(server: Server) -> Iterator[httpx.Client]:
    with Accounts(server.app.state.catalogue.ledger) as accounts:
        token, _ = accounts.create_token("asks", "curator", by="test")
    with httpx.Client(
        base_url=server.url, trust_env=False, timeout=120, headers={"Authorization": f"Bearer {token}"}
    ) as client:
        yield client


@pytest.mark.parametrize("file", CALLS, ids=lambda file: file.stem)
def test_a_call_is_answered_from_the_starting_data(curator: httpx.Client, file: Path) -> None:
    head, _, body = re.sub(r"(?m)^#.*\n", "", file.read_text(encoding="utf-8")).strip().partition("\n\n")
    request, *lines = head.splitlines()
    method, _, target = request.partition(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    answer = curator.request(method, target, headers=headers, content=body.encode() or None)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    listed = next((told[key] for key in ("results", "suggestions", "revisions", "pairs", "never") if key in told), None)
    while not listed and told.get("next"):  # a page of a work list may be empty and have another after it
        told = curator.get(target, params={"cursor": told["next"]}).json()
        listed = told["results"]
    assert isinstance(listed, list)
    assert bool(listed) != (file.stem in EMPTY)
