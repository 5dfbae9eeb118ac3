"""Published records: a list and a record of every kind, as the declaration names them.

Which records are public is said by each record, not by its kind: a mentorship's need or visit is its
team's own unless it was made public, and the catalogue gives out nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from kg import errors
from kg.errors import NotFound, quoted
from kg.fields import Declaration, Kind
from kg.fields import in_language as wording
from service.api.describing import problems_of, schema_name
from service.api.models import Listing
from service.api.values import ID
from service.negotiation import answer_language, answers_as, in_language

RecordId = Annotated[str, Path(description="Short identifier: small letters, digits and hyphens.")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="`next` of the answer before, for the page after it.")
]


def checked_id(kind: str, id: str) -> str:
    """The identifier, if a record can have it. Anything else in an address is simply not there."""
    if len(id) > 120 or not ID.fullmatch(id):
        raise NotFound(
            f"there is no {kind} {quoted(id)}; an identifier has small letters, digits and hyphens, such as 'jelgava'"
        )
    return id


def routes(declared: Declaration) -> APIRouter:
    """A pair of addresses for each kind: its list, and one of it."""
    router = APIRouter(dependencies=[Depends(answers_as("application/json"))])
    for kind in declared.kinds.values():
        _add_list(router, kind)
        _add_one(router, kind)
    return router


def _add_list(router: APIRouter, kind: Kind) -> None:
    def list_records(
        request: Request,
        language: Annotated[str, Depends(answer_language)],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Cursor = None,
    ) -> JSONResponse:
        found = request.app.state.catalogue.list_records(kind.name, limit=limit, cursor=cursor, language=language)
        return in_language(found, language)

    router.add_api_route(
        f"/api/{kind.path}",
        list_records,
        methods=["GET"],
        tags=[kind.path],
        name=f"list_{kind.path}",
        summary=f"List {kind.path}",
        description=f"Published, public {kind.path} by identifier. {wording(kind.help, 'en')}".strip(),
        response_class=JSONResponse,
        responses={200: {"model": Listing}, **problems_of(errors.BadRequest)},
    )


def _add_one(router: APIRouter, kind: Kind) -> None:
    def read_record(request: Request, id: RecordId) -> JSONResponse:
        return JSONResponse(request.app.state.catalogue.get(kind.name, checked_id(kind.name, id)))

    found: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "The record as plain JSON; what is not known is absent.",
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema_name(kind)}"}}},
        }
    }
    router.add_api_route(
        f"/api/{kind.path}/{{id}}",
        read_record,
        methods=["GET"],
        tags=[kind.path],
        name=f"read_{kind.name}",
        summary=f"One {kind.name}",
        description=f"The record of a {kind.name} that is published and public, as plain JSON.",
        response_class=JSONResponse,
        responses=found | problems_of(errors.NotFound, errors.Gone),
    )
