"""The dumps as a stranger fetches them."""

from __future__ import annotations

import base64
import gzip
import hashlib

import httpx
import pytest

from kg.catalogue import Catalogue
from service.app import create_app
from service.settings import Settings
from tests.service.conftest import running


@pytest.mark.parametrize("form", ["nq", "trig", "jsonld"])
def test_a_dump_comes_with_its_checksum_and_revision(client: httpx.Client, catalogue: Catalogue, form: str) -> None:
    answer = client.get(f"/dumps/latest.{form}.gz")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers, "packed twice"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert int(answer.headers["x-revision"]) == catalogue.ledger.last_number()
    digest = hashlib.sha256(answer.content)
    name = f"mentorgraph-{catalogue.ledger.last_number()}.{form}.gz"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert client.get(f"/dumps/latest.{form}.gz.sha256").text == f"{digest.hexdigest()}  {name}\n"
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert b"mechelen--samen-inburgeren" in gzip.decompress(answer.content)


def test_a_dump_is_fetched_again_only_after_a_change(client: httpx.Client) -> None:
    first = client.get("/dumps/latest.nq.gz")
    held = {"If-None-Match": first.headers["etag"]}
    assert client.get("/dumps/latest.nq.gz", headers=held).status_code == 304
    assert client.get("/dumps/latest.trig.gz", headers=held).status_code == 200
    assert client.get("/dumps/latest.nq.gz.sha256", headers=held).status_code == 200
    head = client.head("/dumps/latest.nq.gz")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", first.headers["etag"])


@pytest.mark.parametrize(
    "name", ["latest.nq", "latest.ttl.gz", "latest.nq.gz.sha256.sha256", "..%2Fledger.sqlite", "1"]
)
def test_a_dump_that_is_not_there_is_told_with_those_that_are(client: httpx.Client, name: str) -> None:
    answer = client.get(f"/dumps/{name}")
    assert answer.status_code == 404
    assert "latest.nq.gz" in answer.json()["detail"] or "%2F" in name


def test_a_crowd_that_wants_dumps_keeps_nobody_from_an_answer(catalogue: Catalogue) -> None:
    """One thing is made at a time; others are told to come back, and suggestions have places of their own."""
    with running(create_app(Settings(wait_seconds=0.05), catalogue)) as server:
        with server.app.state.publication.turns.one():
            for path in ("/dumps/latest.nq.gz", "/graphs?default", "/catalog", "/.well-known/void"):
                answer = server.client.get(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path
            assert server.client.get("/id/city/mechelen.ttl").status_code == 200
            assert server.client.get("/api/search", params={"q": "language"}).status_code == 200
        assert server.client.get("/dumps/latest.nq.gz").status_code == 200
