"""Writes a selection of records to one file: CSV, a zip file of CSV, XLSX, JSON Lines, N-Quads, N-Triples or Turtle.

What is written can be imported again and changes nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from kg.accounts import READER, Actor
from kg.city_facts import country_code
from kg.errors import BadRequest, DataFolderUnusable, NotAllowed, quoted
from kg.exchange.spreadsheets import write_csv, write_workbook, write_zip
from kg.exchange.tables import sheets
from kg.fields import Field, declaration
from kg.ledger import STATES, Head, Revision
from kg.records import Record, check_id, graph_from_ntriples
from kg.vocabulary import record_iri

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

FORMS = {
    "csv": "text/csv",
    "zip": "application/zip",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/jsonl",
    "nq": "application/n-quads",
    "nt": "application/n-triples",
    "ttl": "text/turtle",
}
"""Endings and media types."""

PAGE = 500


@dataclass(frozen=True)
class Selection:
    """Which records: all that meet every condition; an empty condition lets everything in.

    `kinds` are names of kinds, `ids` identifiers. `themes` and `cities` keep records that name one of them anywhere,
    `countries` those whose own or whose city's country is one. Without `states` the published versions are meant,
    with them the newest of the records in one of these states, for people who work on them.
    """

    kinds: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    states: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for state in self.states:
            if state not in STATES:
                raise BadRequest(
                    {
                        "en": f"{quoted(state)} is not a state: one of {', '.join(STATES)}",
                        "fr": f"{quoted(state)} n’est pas un état : l’un de {', '.join(STATES)}",
                    }
                )
        for id in (*self.ids, *self.themes, *self.cities):
            check_id("record", id)
        for code in self.countries:
            if country_code(code) is None:
                raise BadRequest(
                    {
                        "en": f"country: {quoted(code)} is no country; use two letters such as LV (ISO 3166-1)",
                        "fr": f"country : {quoted(code)} n’est pas un pays ; écrivez deux lettres telles que LV (ISO 3166-1)",
                    }
                )
        object.__setattr__(self, "countries", tuple(country_code(code) for code in self.countries))


def selected(catalogue: Catalogue, selection: Selection, actor: Actor = READER) -> Iterator[tuple[Record, Revision]]:
    """Records of a selection with their revisions, by kind and identifier.

    Raises NotFound for a kind there is none of, NotAllowed for states that this actor does not see.

    >>> from tempfile import TemporaryDirectory
    >>> from kg.catalogue import Catalogue
    >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
    ...     [record["id"] for record, _ in selected(catalogue, Selection(("theme",), ids=("housing", "social-roma")))]
    ['housing', 'social-roma']
    """
    if selection.states and not actor.may("read"):
        raise NotAllowed(
            {
                "en": "drafts and other states are for people who work on records; leave the states out",
                "fr": "les brouillons et autres états sont réservés à qui travaille sur les fiches ; n’indiquez pas d’état",
            }
        )
    names = [declaration().kind(name).name for name in selection.kinds] or list(declaration().kinds)
    countries = _Countries(catalogue)
    for kind in sorted(set(names)):
        for head in _heads(catalogue, kind, selection, actor):
            number = head.number if selection.states else head.published
            assert number is not None
            revision = catalogue.ledger.revision(number)
            if revision.payload is None:
                continue
            record = catalogue._read(revision)
            if _lets_in(selection, record, countries):
                yield catalogue._with_state(record, revision), revision


def _heads(catalogue: Catalogue, kind: str, selection: Selection, actor: Actor) -> Iterator[Head]:
    """Heads of a kind that the actor may see."""
    rights = catalogue.curation.rights

    def shown(head: Head) -> bool:
        if selection.states:
            return head.state in selection.states and rights.may_see(actor, head)
        return head.published is not None and (head.published_visibility == "public" or rights.may_see(actor, head))

    if selection.ids:
        found = catalogue.ledger.referenced((kind, id) for id in selection.ids)
        yield from (head for _, head in sorted(found.items()) if shown(head))
        return
    after = None
    while page := catalogue.ledger.list(kind, after_id=after, limit=PAGE):
        yield from (head for head in page if shown(head))
        after = page[-1].id


class _Countries:
    """The country of each city, read once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[str, str | None] = {}

    def of(self, city: str) -> str | None:
        if city not in self._known:
            head = self._catalogue.ledger.head("city", city)
            number = (head.published or head.number) if head is not None else None
            revision = self._catalogue.ledger.revision(number) if number is not None else None
            there = revision is not None and revision.payload is not None
            self._known[city] = self._catalogue._read(revision).get("country") if there and revision else None
        return self._known[city]


def _lets_in(selection: Selection, record: Mapping[str, Any], countries: _Countries) -> bool:
    """Whether a record meets the conditions on what it names."""
    named = _named(record) if selection.themes or selection.cities or selection.countries else {}
    themes, cities = named.get("theme", set()), named.get("city", set())
    if selection.themes and not themes & set(selection.themes):
        return False
    if selection.cities and not cities & set(selection.cities):
        return False
    if not selection.countries:
        return True
    own = record.get("country")
    return any(one in selection.countries for one in ([own] if own else map(countries.of, cities)))


def _named(record: Mapping[str, Any]) -> dict[str, set[str]]:
    """Other records that a record names, by kind, and itself."""
    found: dict[str, set[str]] = {record["kind"]: {record["id"]}}
    for declared in declaration().kind(record["kind"]).fields:
        value = record.get(declared.key)
        parts = value if isinstance(value, list) else [value]
        holders: list[tuple[Field, Any]] = [(declared, parts)]
        if declared.inner is not None:
            holders = [
                (inner, part.get(inner.key) if inner.many else [part.get(inner.key)])
                for part in parts
                if isinstance(part, dict)
                for inner in declared.inner.fields
            ]
        for field, values in holders:
            if field.ref_kind:
                found.setdefault(field.ref_kind, set()).update(one for one in values or () if one)
    return found


def write_selection(catalogue: Catalogue, selection: Selection, form: str, out: BinaryIO, actor: Actor = READER) -> int:
    """Write a selection in one of FORMS; returns the number of records.

    CSV is one table of one kind, with a column for each part; several kinds need a zip file or XLSX. Raises BadRequest
    for another form or several kinds in CSV, besides what `selected` raises.
    """
    if form not in FORMS:
        raise BadRequest(
            {
                "en": f"{quoted(form)} is no form to export to: one of {', '.join(FORMS)}",
                "fr": f"{quoted(form)} n’est pas une forme d’export : l’une de {', '.join(FORMS)}",
            }
        )
    found = selected(catalogue, selection, actor)
    if form in ("csv", "zip", "xlsx"):
        return _tables([record for record, _ in found], form, out)
    count = 0
    graph = graph_from_ntriples("")
    for record, revision in found:
        count += 1
        payload = revision.payload or ""
        if form == "jsonl":
            out.write(f"{json.dumps(record, ensure_ascii=False)}\n".encode())
        elif form == "nt":
            out.write(payload.encode())
        elif form == "nq":
            name = record_iri(catalogue.base, record["kind"], record["id"])
            out.write("".join(f"{line.removesuffix(' .')} <{name}> .\n" for line in payload.splitlines()).encode())
        else:
            graph += graph_from_ntriples(payload)
    if form == "ttl":
        out.write(graph.serialize(format="turtle", encoding="utf-8"))
    return count


def _tables(records: list[Record], form: str, out: BinaryIO) -> int:
    if form == "csv":
        if len({record["kind"] for record in records}) > 1:
            raise BadRequest(
                {
                    "en": "a CSV file holds one kind of record; name the kind, or export to zip or xlsx",
                    "fr": "un fichier CSV contient un seul type de fiches ; nommez le type, ou exportez en zip ou xlsx",
                }
            )
        for sheet in sheets(records, flat=True):
            write_csv(sheet, out)
    elif form == "zip":
        write_zip(sheets(records), out)
    else:
        write_workbook(sheets(records), out)
    return len(records)


def export_selection(catalogue: Catalogue, selection: Selection, path: Path, actor: Actor = READER) -> int:
    """Write a selection to a file whose ending tells the form; it appears whole or not at all.

    Raises DataFolderUnusable where it cannot be written, besides what `write_selection` raises.
    """
    form = path.suffix.lower().removeprefix(".")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                count = write_selection(catalogue, selection, form, out, actor)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataFolderUnusable(f"{path.name}: cannot be written ({error.strerror})") from None
    return count
