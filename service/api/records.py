"""Records to read: a list and a record of every kind, as the declaration names them.

Which records are public is said by each record, not by its kind: a mentorship's need or visit is its
team's own unless it was made public, and the catalogue gives out nothing else.
"""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from kg import errors
from kg.accounts import Actor
from kg.errors import BadRequest, NotFound, in_french, quoted
from kg.facets import UNKNOWN
from kg.fields import Declaration, Kind
from kg.fields import in_language as wording
from kg.list_facts import facets_of
from kg.listing import NO_FACETS, ORDERS, Wanted, values_of
from service.access import actor
from service.api.describing import described_parameters_only, problems_of, schema_name
from service.api.models import CityListing, Listing, PracticeListing
from service.api.values import ID, LISTED_LIMIT, Population, Reference
from service.negotiation import answer_language, answers_as, in_language
from service.representations import cache_headers, is_fresh, not_modified

RecordId = Annotated[str, Path(description="Short identifier: small letters, digits and hyphens.")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="`next` of the answer before, for the page after it.")
]


NARROWING = {
    "country": "ISO 3166 code of two letters.",
    "theme": "A theme's identifier or address; narrower ones are included.",
    "evidence": "Evidence that the record states.",
    "decade": "First year of the decade in which it began, such as 2010.",
    "language": "Language tag, such as fr: of a practice's texts, of a city's officials, of an offer.",
    "size": "Inhabitants of the city.",
    "offer": "Whether the city offers to mentor, by its own public statement.",
}
"""What each facet narrows by. "unknown" asks for records that do not say."""


LISTINGS = {"practice": PracticeListing, "city": CityListing}


def checked_id(kind: str, id: str) -> str:
    """The identifier, if a record can have it. Anything else in an address is simply not there."""
    if len(id) > 120 or not ID.fullmatch(id):
        raise NotFound(
            {
                "en": f"there is no {kind} {quoted(id)}; an identifier has small letters, digits and hyphens, such as 'jelgava'",
                "fr": f"il n’y a pas de fiche {in_french(kind)} {quoted(id)} ; un identifiant a des minuscules, des chiffres et des traits d’union, comme 'jelgava'",
            }
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
        labels_in: Annotated[str, Depends(answer_language)],
        who: Annotated[Actor, Depends(actor)],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Cursor = None,
        state: Annotated[
            Literal["any", "draft", "submitted", "returned", "published", "withdrawn", "merged"] | None,
            Query(description="For those who work on records: their newest revision is in this state, or in any."),
        ] = None,
        facets: Annotated[
            str | None,
            Query(max_length=200, description=f"Facets to count, by comma; all otherwise, none for `{NO_FACETS}`."),
        ] = None,
        **asked: Any,
    ) -> JSONResponse:
        catalogue = request.app.state.catalogue
        if state is None:
            found = catalogue.list_records(
                kind.name, limit=limit, cursor=cursor, language=labels_in, wanted=_wanted(asked, facets)
            )
            return in_language(found, labels_in)
        if facets is not None or _wanted(asked, None).narrows:
            raise BadRequest(
                {
                    "en": "state: filters, facets and orders are of what is published; leave them out, or the state",
                    "fr": "state : filtres, facettes et ordres portent sur ce qui est publié ; omettez-les, ou l’état",
                }
            )
        wanted = None if state == "any" else state
        found = catalogue.curation.list_records(
            kind.name, who, state=wanted, limit=limit, cursor=cursor, language=labels_in
        )
        answer = in_language(found, labels_in)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    _take_parameters(list_records, kind)
    router.add_api_route(
        f"/api/{kind.path}",
        list_records,
        methods=["GET"],
        tags=[kind.path],
        name=f"list_{kind.path}",
        summary=f"List {kind.path}",
        description=f"Published, public {kind.path} by identifier, with facets. {wording(kind.help, 'en')}".strip(),
        response_class=JSONResponse,
        dependencies=[Depends(described_parameters_only)],
        responses={
            200: {"model": LISTINGS.get(kind.name, Listing)},
            **problems_of(errors.BadRequest, errors.NotAuthenticated),
        },
    )


def _take_parameters(list_records: Any, kind: Kind) -> None:
    """Give the function the query parameters that its kind's facets and orders allow, in place of `asked`."""
    said = signature(list_records, eval_str=True)
    own = [one for one in said.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    more: dict[str, Any] = {
        facet: Annotated[
            list[_narrowing_type(kind, facet)] | None,  # type: ignore[misc]
            Query(max_length=LISTED_LIMIT, description=f'{NARROWING[facet]} "unknown" where the record does not say.'),
        ]
        for facet in facets_of(kind)
    }
    if kind.name in ORDERS:
        orders = ORDERS[kind.name]
        more["sort"] = Annotated[Literal[orders], Query(description=_SORT[kind.name])]
    if kind.name == "city":
        more |= _LIKE
    keyword = Parameter.KEYWORD_ONLY
    added = [Parameter(n, keyword, default="id" if n == "sort" else None, annotation=a) for n, a in more.items()]
    own = [one.replace(kind=keyword) for one in own]
    list_records.__signature__ = said.replace(parameters=[*own, *added])


_SORT = {
    "practice": "`evidence`: strongest evidence first, then what is known to be most recent, then the most complete.",
    "city": "`nearest`: most like the city or profile of `like…` in size, country and migration.",
}
_LIKE: dict[str, Any] = {
    "like": Annotated[Reference | None, Query(description="For `sort=nearest`: a city on record; it is left out.")],
    "like_country": Annotated[
        str | None, Query(max_length=20, description="For `sort=nearest`, or in place of the city's.")
    ],
    "like_population": Annotated[
        Annotated[Population, Field(ge=1)] | None, Query(description="For `sort=nearest`, or in place of the city's.")
    ],
    "like_foreign_born_share": Annotated[
        float | None, Query(ge=0, le=1, allow_inf_nan=False, description="A fraction in [0, 1]; as above.")
    ],
}


def _narrowing_type(kind: Kind, facet: str) -> Any:
    """The values of a facet: a fixed list where there is one, else a text that is checked against what there is."""
    choices = values_of(kind.name, facet)
    return Literal[(*choices, UNKNOWN)] if choices else Annotated[str, Field(max_length=500)]


def _wanted(asked: dict[str, Any], facets: str | None) -> Wanted:
    """What a list is asked for, as the catalogue takes it."""
    return Wanted(
        given={facet: asked[facet] for facet in NARROWING if asked.get(facet)},
        facets=facets,
        order=asked.get("sort", "id"),
        like=asked.get("like"),
        like_country=asked.get("like_country"),
        like_population=asked.get("like_population"),
        like_share=asked.get("like_foreign_born_share"),
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
