"""Records to read: a list and a record of every kind, as the declaration names them.

Which records are public is said by each record, not by its kind: a mentorship's need or visit is its
team's own unless it was made public, and the catalogue gives out nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from kg import errors
from kg.accounts import Actor
from kg.errors import NotFound, quoted
from kg.fields import Declaration, Kind
from kg.fields import in_language as wording
from service.access import actor
from service.api.describing import problems_of, schema_name
from service.api.models import Listing
from service.api.values import ID
from service.negotiation import answer_language, answers_as, in_language
from service.representations import cache_headers, is_fresh, not_modified

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
        who: Annotated[Actor, Depends(actor)],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Cursor = None,
        state: Annotated[
            Literal["any", "draft", "submitted", "returned", "published", "withdrawn", "merged"] | None,
            Query(description="For those who work on records: their newest revision is in this state, or in any."),
        ] = None,
    ) -> JSONResponse:
        catalogue = request.app.state.catalogue
        if state is None:
            return in_language(
                catalogue.list_records(kind.name, limit=limit, cursor=cursor, language=language), language
            )
        wanted = None if state == "any" else state
        found = catalogue.curation.list_records(
            kind.name, who, state=wanted, limit=limit, cursor=cursor, language=language
        )
        answer = in_language(found, language)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    router.add_api_route(
        f"/api/{kind.path}",
        list_records,
        methods=["GET"],
        tags=[kind.path],
        name=f"list_{kind.path}",
        summary=f"List {kind.path}",
        description=f"Published, public {kind.path} by identifier. {wording(kind.help, 'en')}".strip(),
        response_class=JSONResponse,
        responses={200: {"model": Listing}, **problems_of(errors.BadRequest, errors.NotAuthenticated)},
    )


def _add_one(router: APIRouter, kind: Kind) -> None:
    def read_record(
        request: Request,
        id: RecordId,
        who: Annotated[Actor, Depends(actor)],
        version: Annotated[
            Literal["published", "newest"],
            Query(description="`newest` is the draft beside the published version, for those who work on the record."),
        ] = "published",
    ) -> Response:
        found, revision = request.app.state.catalogue.curation.read(kind.name, checked_id(kind.name, id), who, version)
        headers = cache_headers(str(revision.number), vary="Authorization, Cookie")
        headers["Cache-Control"] = "private, no-cache"
        return not_modified(headers) if is_fresh(request, headers) else JSONResponse(found, headers=headers)

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
        description=f"The record of a {kind.name} as it is published, as plain JSON; its `ETag` is what `If-Match` takes.",
        response_class=JSONResponse,
        responses=found | problems_of(errors.NotFound, errors.Gone, errors.NotAuthenticated),
    )
