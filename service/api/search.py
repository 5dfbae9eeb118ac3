"""Practices by similarity: to a text, or to one of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from kg import errors
from service.api.describing import COMPUTING, described_parameters_only, problems_of
from service.api.models import FoundPractices, SimilarPractices
from service.api.records import Cursor, RecordId, checked_id
from service.api.values import LISTED_LIMIT, Language, NeedText, Population, Reference
from service.negotiation import answer_language, answers_as, in_language

Values = list[Annotated[str, Field(max_length=500)]] | None
Narrowing = Annotated[
    Values,
    Query(max_length=LISTED_LIMIT, description='As in `GET /api/practices`; "unknown" where it is not on record.'),
]

router = APIRouter(tags=["practices"], dependencies=[Depends(answers_as("application/json"))])


@router.get(
    "/api/search",
    summary="Search practices",
    response_class=JSONResponse,
    dependencies=[Depends(described_parameters_only)],
    responses={200: {"model": FoundPractices}, **problems_of(*COMPUTING)},
)
def search_practices(
    request: Request,
    q: Annotated[NeedText, Query(description="What to look for, in any language.")],
    labels_in: Annotated[str, Depends(answer_language)],
    language: Annotated[Language | None, Query(description="Language of q, where you know it.")] = None,
    country: Narrowing = None,
    theme: Narrowing = None,
    evidence: Narrowing = None,
    decade: Narrowing = None,
    record_language: Annotated[Values, Query(max_length=LISTED_LIMIT, description="The facet `language`.")] = None,
    size: Narrowing = None,
    population_min: Annotated[Population | None, Query(description="Of the practice's city.")] = None,
    population_max: Annotated[Population | None, Query(description="Of the practice's city.")] = None,
    exclude: Annotated[list[Reference] | None, Query(max_length=LISTED_LIMIT, description="Not of this city.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Cursor = None,
) -> JSONResponse:
    """Practices, the closest first, each with the passage that comes closest; counts of what there is to narrow by."""
    narrowed = {
        "country": country,
        "theme": theme,
        "evidence": evidence,
        "decade": decade,
        "language": record_language,
        "size": size,
    }
    filters = {
        "population_min": population_min,
        "population_max": population_max,
        "exclude_cities": exclude,
    }
    given = {key: value for key, value in filters.items() if value is not None}
    with request.app.state.turns.one():
        found = request.app.state.catalogue.search_practices(
            q,
            language=language,
            filters=given,
            narrowed={facet: values for facet, values in narrowed.items() if values},
            limit=limit,
            cursor=cursor,
            labels_in=labels_in,
        )
    return in_language(found, labels_in)


@router.get(
    "/api/practices/{id}/similar",
    summary="Practices like this one",
    response_class=JSONResponse,
    responses={200: {"model": SimilarPractices}, **problems_of(errors.NotFound, errors.Gone, *COMPUTING)},
)
def similar_practices(
    request: Request,
    id: RecordId,
    labels_in: Annotated[str, Depends(answer_language)],
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> JSONResponse:
    """Practices of other records that are most like this one, the closest first."""
    with request.app.state.turns.one():
        found = request.app.state.catalogue.similar_practices(
            checked_id("practice", id), limit=limit, labels_in=labels_in
        )
    return in_language(found, labels_in)
