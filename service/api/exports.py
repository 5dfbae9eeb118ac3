"""Everything that is published, as one file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from kg import errors
from service.api.describing import problems_of

router = APIRouter(tags=["export"])

MEDIA_TYPES = {
    "jsonl": "application/x-ndjson",
    "nq": "application/n-quads",
    "trig": "application/trig",
}
CHUNK_BYTES = 1 << 16


@router.get(
    "/api/export",
    summary="Everything published, as one file",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One record a line (jsonl), or one named graph a record (nq, trig).",
            "content": {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()},
            "headers": {"X-Records": {"description": "How many records it has.", "schema": {"type": "integer"}}},
        },
        **problems_of(errors.BadRequest, errors.Busy),
    },
)
def export(request: Request, format: Annotated[Literal["jsonl", "nq", "trig"], Query()] = "jsonl") -> StreamingResponse:
    """All published records as they were at one moment: for a copy, a notebook, another store."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"mentorgraph.{format}"
        with request.app.state.turns.one():
            records = request.app.state.catalogue.export(path)
        file = path.open("rb")
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"', "X-Records": str(records)}
    return StreamingResponse(_chunks(file), media_type=MEDIA_TYPES[format], headers=headers)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The file's bytes. Its folder is gone already: the file lasts until it is closed here."""
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
