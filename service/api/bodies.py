"""Records in request bodies: plain JSON, JSON-LD or RDF, read with the same care as files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Header, Query, Request
from starlette.exceptions import HTTPException

from kg.errors import BadRequest, PreconditionMissing, StaleRecord, UnreadableInput, in_french, quoted
from kg.exchange.importing import json_fault, parsed_json, rdf_rows
from kg.fields import Kind
from kg.records import Record
from service.api.describing import draft_name
from service.problems import language_asked

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
RDF_TYPES = {
    "application/ld+json": "json-ld",
    "text/turtle": "turtle",
    "application/trig": "trig",
    "application/n-triples": "nt",
    "application/n-quads": "nquads",
    "application/rdf+xml": "xml",
}
"""Media types of RDF bodies, with the name of their reader."""

BODY = {"en": "the body", "fr": "le corps"}
"""What messages call a body in place of a file's name."""

_TAGS = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_TAG = re.compile(r'(W/)?"(?:(\d{1,18})(?:-[a-z]+)?"|[^"]*")')

IfMatch = Annotated[
    str | None,
    Header(description='The `ETag` of the revision that the change was written on, such as `"17"`; without it, 428.'),
]
IfNoneMatch = Annotated[str | None, Header(description="`*` creates the record; 412 where it is there.")]
Note = Annotated[str, Query(max_length=2000, description="Why, for the record's history.")]
Publish = Annotated[bool, Query(description="Publish at once, where the role and the second-person rule allow it.")]


async def raw_body(request: Request) -> bytes:
    """Dependency: the body as it came, within the limit that every request has."""
    return await request.body()


def media_type_of(request: Request, *allowed: str) -> str:
    """The body's media type in lower case, without parameters. 415 for another one, or another charset than UTF-8."""
    given = request.headers.get("content-type", "")
    media_type, *parameters = (part.strip().lower() for part in given.split(";"))
    charset = next((p.partition("=")[2].strip('" ') for p in parameters if p.startswith("charset=")), "utf-8")
    if media_type not in allowed or charset not in ("utf-8", "utf8", "us-ascii"):
        raise HTTPException(415, " or ".join(allowed))
    return media_type


def text_of(body: bytes) -> str:
    """The body as text. Raises UnreadableInput for what is not UTF-8."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableInput(
            {
                "en": f"the body: byte {error.start + 1} is not UTF-8",
                "fr": f"le corps : l’octet {error.start + 1} n’est pas de l’UTF-8",
            }
        ) from None


def json_in(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises UnreadableInput for anything else."""
    try:
        value = parsed_json(text_of(body))
    except ValueError as error:
        raise UnreadableInput(
            {"en": f"the body is not JSON: {error}", "fr": f"le corps n’est pas du JSON : {json_fault(error)}"}
        ) from None
    if not isinstance(value, dict):
        raise UnreadableInput(
            {
                "en": f"the body must be an object in braces, not {quoted(value)}",
                "fr": f"le corps doit être un objet entre accolades, non {quoted(value)}",
            }
        )
    return value


def record_in(request: Request, body: bytes, kind: Kind, base: str, id: str | None = None) -> Record:
    """The one record that a body holds, as plain JSON.

    Raises UnreadableInput where the body is not what its Content-Type says or does not hold one record of the kind,
    InvalidRecord for RDF that is no record.
    """
    media_type = media_type_of(request, JSON, *RDF_TYPES)
    if media_type == JSON:
        return json_in(body)
    return rdf_record(text_of(body), RDF_TYPES[media_type], kind, base, id, language=language_asked(request))


def rdf_record(text: str, format: str, kind: Kind, base: str, id: str | None = None, *, language: str = "en") -> Record:
    """The one record of an RDF text. Raises UnreadableInput where it has none, several, or statements about other things.

    `language` is that of the messages.
    """
    others: list[str] = []
    rows = list(rdf_rows(BODY[language], text, format, base, ignored=others, in_own_graphs=True, language=language))
    if others:
        raise UnreadableInput(
            {
                "en": (
                    f"the body has statements about {', '.join(quoted(one) for one in others[:3])}, which is no part of the record"
                ),
                "fr": f"le corps a des énoncés sur {', '.join(quoted(one) for one in others[:3])}, qui ne font pas partie de la fiche",
            }
        )
    for row in rows:
        if row.error is not None:
            raise row.error
    wanted = f"{base}id/{kind.name}/{id or '…'}"
    found = [row.record for row in rows if row.record is not None]
    if len(found) != 1 or found[0]["kind"] != kind.name or (id is not None and found[0]["id"] != id):
        named = ", ".join(f"{one['kind']} {quoted(one['id'])}" for one in found[:3]) or "none"
        french = ", ".join(f"{in_french(one['kind'])} {quoted(one['id'])}" for one in found[:3]) or "rien"
        raise UnreadableInput(
            {
                "en": f"the body must describe one thing, {wanted}; it describes: {named}",
                "fr": f"le corps doit décrire une seule chose, {wanted} ; il décrit : {french}",
            }
        )
    return found[0]


def expected_revision(request: Request, kind: str, id: str, if_match: str | None) -> int:
    """The revision of a record that `If-Match` names; of several tags the one that is the newest revision's.

    Raises PreconditionMissing without one, and for `*` where the record is (it names none); StaleRecord for `*` where it
    is not, and where no tag is a strong one of ours; BadRequest for what is no ETag.
    """
    head = request.app.state.catalogue.ledger.head(kind, id)
    return _matching(if_match, head and head.number)


def _matching(if_match: str | None, current: int | None) -> int:
    """The same with the newest revision's number, None where there is no record.

    >>> _matching('"x", "17-ttl"', 17), _matching('"16"', 17)
    (17, 16)
    """
    if if_match is not None and if_match.strip() == "*" and current is None:
        raise StaleRecord(
            {
                "en": "If-Match: * asks for a record that is there, and there is none",
                "fr": "If-Match: * demande une fiche qui existe, et il n’y en a pas",
            }
        )
    if if_match is None or if_match.strip() == "*":
        raise PreconditionMissing(
            {
                "en": "say which revision the change was written on: If-Match with the ETag of what you have read, "
                'such as "17"; a new record is created with If-None-Match: *',
                "fr": "dites sur quelle révision la modification repose : If-Match avec l’ETag de ce que vous avez lu, "
                'par exemple "17" ; une nouvelle fiche se crée avec If-None-Match: *',
            }
        )
    named = [number for number, weak in _tags("If-Match", if_match) if number is not None and not weak]
    if not named:
        shown = quoted(if_match)
        raise StaleRecord(
            {
                "en": f'If-Match: {shown} names no revision of this record; send its ETag, such as "17", without W/',
                "fr": f"If-Match: {shown} ne nomme aucune révision de cette fiche ; envoyez son ETag, "
                'par exemple "17", sans W/',
            }
        )
    return current if current in named else named[0]


def require_none_match(request: Request, kind: str, id: str, if_none_match: str | None) -> None:
    """Raises StaleRecord where the record is what `If-None-Match` rules out: any for `*`, else one of these revisions."""
    head = request.app.state.catalogue.ledger.head(kind, id) if if_none_match is not None else None
    if head is None or if_none_match is None:
        return
    if if_none_match.strip() == "*" or head.number in {number for number, _ in _tags("If-None-Match", if_none_match)}:
        raise StaleRecord(
            {
                "en": f"{kind} {quoted(id)} is there already, and If-None-Match: {quoted(if_none_match)} rules that out",
                "fr": f"la fiche {in_french(kind)} {quoted(id)} existe déjà, ce qu’exclut If-None-Match: {quoted(if_none_match)}",
            }
        )


def _tags(name: str, header: str) -> list[tuple[int | None, bool]]:
    """The tags of a header: the number of our revision, None for another tag, and whether it is a weak one."""
    if _TAGS.fullmatch(header) is None:
        raise BadRequest(
            {
                "en": f'{name}: {quoted(header)} is no list of ETags as this service gives them, such as "17"',
                "fr": f'{name} : {quoted(header)} n’est pas une liste d’ETag tels que ce service les donne, par exemple "17"',
            }
        )
    return [(int(found[2]) if found[2] else None, bool(found[1])) for found in _TAG.finditer(header)]


def body_schema(kind: Kind, *media_types: str) -> dict[str, Any]:
    """How OpenAPI describes a body with a record in it."""
    plain = {"schema": {"$ref": f"#/components/schemas/{draft_name(kind)}"}}
    rdf: Mapping[str, Any] = {"schema": {"type": "string", "description": "RDF, describing the one record."}}
    contents = {media_type: plain if media_type == JSON else rdf for media_type in media_types}
    return {"requestBody": {"required": True, "content": contents}}
