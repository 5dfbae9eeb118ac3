"""What is published, or a selection of records, as one file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from kg import errors
from kg.accounts import Actor
from kg.errors import BadRequest
from kg.exchange.selections import FORMS, Selection, export_selection
from service.access import actor
from service.api.describing import problems_of

router = APIRouter(tags=["export"])

MEDIA_TYPES = FORMS | {"jsonl": "application/x-ndjson", "trig": "application/trig"}
CHUNK_BYTES = 1 << 16


Values = Annotated[list[str] | None, Query(max_length=100)]


@router.get(
    "/api/export",
    summary="What is published, or a selection, as one file",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One record a line (jsonl), one named graph a record (nq, trig), or tables (csv, zip, xlsx).",
            "content": {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()},
            "headers": {"X-Records": {"description": "How many records it has.", "schema": {"type": "integer"}}},
        },
        **problems_of(errors.BadRequest, errors.Busy, errors.NotFound, errors.NotAuthenticated, errors.NotAllowed),
    },
)
def export(
    request: Request,
    who: Annotated[Actor, Depends(actor)],
    format: Annotated[Literal["jsonl", "nq", "trig", "csv", "zip", "xlsx", "ttl", "nt"], Query()] = "jsonl",
    kind: Values = None,
    id: Values = None,
    theme: Values = None,
    city: Values = None,
    country: Values = None,
    state: Values = None,
) -> StreamingResponse:
    """For a copy, a notebook, another store, or a spreadsheet program; what is exported can be imported again.

    Repeatable conditions narrow it down: records of a kind, with an identifier, that name a theme or city, of a country. With
    `state` the newest versions in that state, for those who work on them. CSV holds one kind.
    """
    given = {"kinds": kind, "ids": id, "themes": theme, "cities": city, "countries": country, "states": state}
    selection = Selection(**{name: tuple(values) for name, values in given.items() if values})
    whole = selection == Selection() and format in ("jsonl", "nq", "trig")
    if format == "trig" and not whole:
        raise BadRequest(
            {
                "en": "format: a selection is exported as jsonl, nq, nt, ttl, csv, zip or xlsx",
                "fr": "format : une sélection s’exporte en jsonl, nq, nt, ttl, csv, zip ou xlsx",
            }
        )
    catalogue = request.app.state.catalogue
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"mentorgraph.{format}"
        with request.app.state.turns.one():
            records = catalogue.export(path) if whole else export_selection(catalogue, selection, path, who)
        file = path.open("rb")
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"', "X-Records": str(records)}
    if not whole:
        headers["Cache-Control"] = "no-store"
    return StreamingResponse(_chunks(file), media_type=MEDIA_TYPES[format], headers=headers)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The file's bytes. Its folder is gone already: the file lasts until it is closed here."""
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
