"""Files of records: what is read, what is refused and why, and that nothing is fetched."""

import json
import socket
from pathlib import Path

import pytest

from kg.errors import TooLarge, UnreadableInput
from kg.exchange import importing
from kg.exchange.importing import read_records
from kg.fields import declaration, json_ld_context
from kg.records import to_graph, to_json_ld, to_ntriples
from kg.vocabulary import DEFAULT_BASE

CITY = {"kind": "city", "id": "gent", "name": {"nl": "Gent", "el": "Γάνδη"}, "country": "BE", "alt_names": ["Gand"]}


def rows(path: Path, text: str | bytes, base: str = DEFAULT_BASE, **options):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_records(path, base, **options))


def serialised(format: str) -> str:
    if format == "jsonl":
        return json.dumps(CITY)
    if format == "json":
        return json.dumps([CITY])
    if format == "jsonld":
        return json.dumps(to_json_ld(CITY, DEFAULT_BASE, json_ld_context(declaration())["@context"]))
    graph = to_graph(CITY, DEFAULT_BASE)
    named = {"ttl": "turtle", "nt": "nt", "nq": "nt", "trig": "turtle", "rdf": "xml"}
    return graph.serialize(format=named[format])


@pytest.mark.parametrize("format", ["jsonl", "json", "jsonld", "ttl", "nt", "nq", "trig", "rdf"])
def test_one_record_is_the_same_from_every_format(tmp_path, format):
    (row,) = rows(tmp_path / f"cities.{format}", serialised(format))
    assert row.error is None
    assert to_ntriples(to_graph(row.record, DEFAULT_BASE)) == to_ntriples(to_graph(CITY, DEFAULT_BASE))


@pytest.mark.parametrize("format", ["ttl", "nt", "rdf"])
def test_shipped_addresses_become_the_ledgers_own(tmp_path, format):
    (row,) = rows(tmp_path / f"cities.{format}", serialised(format), base="https://towns.example/")
    assert row.record["id"] == "gent"


def test_a_byte_order_mark_and_empty_lines_do_no_harm(tmp_path):
    text = "\ufeff" + json.dumps(CITY) + "\r\n\r\n" + json.dumps({**CITY, "id": "riga"}) + "\n"
    assert [row.record["id"] for row in rows(tmp_path / "x.jsonl", text)] == ["gent", "riga"]


def test_a_broken_line_is_named_and_the_others_are_read(tmp_path):
    found = rows(tmp_path / "x.jsonl", f'{json.dumps(CITY)}\n{{"kind": "city",\n[1, 2]\n')
    assert [row.error is None for row in found] == [True, False, False]
    assert "x.jsonl line 2: is not JSON" in str(found[1].error)
    assert "x.jsonl line 3: a record is an object" in str(found[2].error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "city", "kind": "theme"}', "'kind' stands twice"),
        ('{"kind": NaN}', "NaN is no JSON value"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_json_that_would_be_read_in_two_ways_is_refused(tmp_path, text, message):
    (row,) = rows(tmp_path / "x.jsonl", text)
    assert message in str(row.error)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "a,b", "the ending tells the format"),
        ("x.jsonl", b"\xff\xfe\x00", "is not UTF-8"),
        ("x.ttl", "<urn:a> <urn:b>", "is not readable as turtle"),
        ("x.nt", "<urn:a> <urn:b> .", "is not readable as nt"),
        ("x.rdf", "<rdf:RDF", "is not readable as xml"),
        ("x.jsonld", '{"@context": 3, "@id": "urn:x"}', "is no JSON-LD context"),
        ("x.json", "[", "is not JSON"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused_with_its_name(tmp_path, name, content, message):
    with pytest.raises(UnreadableInput, match=message) as caught:
        rows(tmp_path / name, content)
    assert str(caught.value).startswith(name)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_is_named_without_its_folder(tmp_path):
    with pytest.raises(UnreadableInput, match=r"^gone\.ttl: cannot be read"):
        list(read_records(tmp_path / "gone.ttl", DEFAULT_BASE))


def test_a_file_over_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "FILE_LIMIT_BYTES", 10)
    with pytest.raises(TooLarge, match="split it"):
        rows(tmp_path / "x.jsonl", json.dumps(CITY))


def test_entities_that_multiply_are_refused(tmp_path):
    bomb = '<!DOCTYPE r [<!ENTITY a "' + "x" * 1000 + '">'
    for level in "bcdefghij":
        bomb += f'<!ENTITY {level} "{("&" + chr(ord(level) - 1) + ";") * 10}">'
    text = f'{bomb}]><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><a>&j;</a></rdf:RDF>'
    with pytest.raises(UnreadableInput, match="document types"):
        rows(tmp_path / "x.rdf", text)


def test_nothing_is_fetched_for_json_ld_or_xml(tmp_path):
    """A listener on loopback would see a connection; there is none, and the reader says why."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.3)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/context.json"
        with pytest.raises(UnreadableInput, match="is not fetched"):
            rows(tmp_path / "x.jsonld", json.dumps({"@context": [address], "@id": "urn:x"}))
        with pytest.raises(UnreadableInput, match="is not fetched"):
            rows(tmp_path / "y.jsonld", json.dumps({"@context": {"@import": address}, "@id": "urn:x"}))
        with pytest.raises(UnreadableInput, match="document types"):
            rows(tmp_path / "x.rdf", f'<!DOCTYPE r SYSTEM "{address}"><r/>')
        with pytest.raises(TimeoutError):
            listener.accept()


def test_statements_about_other_things_are_told(tmp_path):
    ignored: list[str] = []
    text = serialised("nt") + "<urn:scheme> <urn:b> <urn:c> .\n"
    assert len(rows(tmp_path / "x.nt", text, ignored=ignored)) == 1
    assert ignored == ["urn:scheme"]


def test_a_node_without_an_address_is_refused_with_its_record(tmp_path):
    record = f"<{DEFAULT_BASE}id/city/gent> a <https://schema.org/City> ; <https://schema.org/x> [ ] . [] <urn:b> 3 ."
    ignored: list[str] = []
    (row,) = rows(tmp_path / "x.ttl", record, ignored=ignored)
    assert "a blank node" in str(row.error)
    assert ignored == ["nodes without an address"]


def test_what_a_file_says_of_visibility_is_kept_beside_the_record(tmp_path):
    (row,) = rows(tmp_path / "x.jsonl", json.dumps({**CITY, "record": {"visibility": "team", "confidence": "sourced"}}))
    assert row.said == {"visibility": "team"}
