"""Mentor cities for needs: POST for the whole request, GET for links."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from kg import errors
from service.api.describing import COMPUTING, problems_of
from service.api.models import Mentee, ProfileReference, SuggestionRequest, Suggestions
from service.api.values import LISTED_LIMIT, NEEDS_LIMIT, Country, Day, Language, NeedText, Population, Reference, Theme
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["suggestions"])

MEDIA_TYPES = {"json": "application/json", "markdown": "text/markdown", "text": "text/plain"}
VARY = "Accept, Accept-Language"
Accepted = Annotated[str, Depends(answers_as(*MEDIA_TYPES.values()))]
Form = Annotated[
    Literal["json", "markdown", "text"] | None,
    Query(description="Whether to answer as data or as a text to forward; the Accept header decides otherwise."),
]

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Suggestions,
        "description": "Mentor cities, best first. The same question on the same data gets the same answer.",
        "content": {media_type: {"schema": {"type": "string"}} for media_type in ("text/markdown", "text/plain")},
    }
}

EXAMPLES: dict[str, Example] = {
    "city": {
        "summary": "One need of a city on record",
        "value": {
            "needs": [{"text": "Nous cherchons à aider les nouveaux arrivants à apprendre la langue"}],
            "mentee": {"city": "jelgava"},
            "limit": 5,
        },
    },
    "profile": {
        "summary": "Two needs of a city that is not on record, with a filter and a weight",
        "value": {
            "needs": [
                {"text": "One desk where newcomers find every service", "weight": 2},
                {"text": "Work with employers who hire refugees", "themes": ["employment-employers"]},
            ],
            "mentee": {
                "profile": {
                    "country": "LV",
                    "population": 9000,
                    "languages": ["lv", "en"],
                    "experience": {"reception-onestop": "starting"},
                }
            },
            "filters": {"countries": ["BE", "ES", "DE"]},
            "weights": {"language": 0.2},
        },
    },
}


@router.post(
    "/api/suggestions",
    summary="Suggest mentor cities",
    response_class=JSONResponse,
    responses=ANSWERS | problems_of(*COMPUTING, errors.UnreadableInput, errors.TooLarge),
)
def suggest_mentors(
    request: Request,
    wanted: Annotated[SuggestionRequest, Body(openapi_examples=EXAMPLES)],
    language: Annotated[str, Depends(answer_language)],
    accepted: Accepted,
    format: Form = None,
) -> Response:
    """Mentor cities for one or more needs in free words, with the practices and passages that speak for each.

    People decide: a suggestion is where to look first, with what is known, unknown and against it.
    """
    return answer(request, wanted, language, MEDIA_TYPES[format] if format else accepted)


@router.get(
    "/api/suggestions",
    summary="Suggest mentor cities, by a link",
    response_class=JSONResponse,
    responses=ANSWERS | problems_of(*COMPUTING),
)
def suggest_mentors_by_link(
    request: Request,
    language: Annotated[str, Depends(answer_language)],
    accepted: Accepted,
    need: Annotated[list[NeedText], Query(max_length=NEEDS_LIMIT, description="A need; may be repeated.")],
    mentee: Annotated[Reference | None, Query(description="The mentee city.", examples=["jelgava"])] = None,
    country: Annotated[list[Country] | None, Query(max_length=LISTED_LIMIT, description="Only mentors there.")] = None,
    theme: Annotated[list[Theme] | None, Query(max_length=LISTED_LIMIT, description="Only this theme.")] = None,
    record_language: Annotated[
        list[Language] | None, Query(max_length=LISTED_LIMIT, description="Only practices recorded in it.")
    ] = None,
    population_min: Annotated[Population | None, Query()] = None,
    population_max: Annotated[Population | None, Query()] = None,
    exclude: Annotated[list[Reference] | None, Query(max_length=LISTED_LIMIT, description="Never this city.")] = None,
    weight: Annotated[
        list[str] | None,
        Query(
            max_length=50, description="A factor and how much it counts, such as language:2.", examples=["language:2"]
        ),
    ] = None,
    per_country: Annotated[int | None, Query(ge=1, le=50, description="Most mentors of one country.")] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 5,
    as_of: Annotated[Day | None, Query(description="The day from which ages are counted.")] = None,
    profile: Annotated[ProfileReference | None, Query(description="Name of the constants that rank.")] = None,
    explain: Annotated[bool, Query(description="Whether to tell what would swap neighbouring ranks.")] = False,
    format: Form = None,
) -> Response:
    """The same answer as by POST, for a request that fits in a link."""
    filters = {
        "countries": country,
        "themes": theme,
        "languages": record_language,
        "population_min": population_min,
        "population_max": population_max,
        "exclude_cities": exclude,
    }
    wanted = {
        "needs": [{"text": text} for text in need],
        "mentee": None if mentee is None else Mentee(city=mentee),
        "filters": {key: value for key, value in filters.items() if value is not None},
        "weights": dict(_weight(text, place) for place, text in enumerate(weight or [])),
        "limit": limit,
        "as_of": as_of,
        "profile": profile,
        "explain": explain,
        "diversity": None if per_country is None else {"per_country": per_country},
    }
    checked = SuggestionRequest.model_validate({key: value for key, value in wanted.items() if value})
    return answer(request, checked, language, MEDIA_TYPES[format] if format else accepted)


def answer(request: Request, wanted: SuggestionRequest, language: str, media_type: str) -> Response:
    """Ask the catalogue, in turn, and write down its answer as data or as a text."""
    catalogue, asked = request.app.state.catalogue, wanted.plain()
    with request.app.state.turns.one():
        if media_type == MEDIA_TYPES["json"]:
            return in_language(catalogue.suggest_mentors(asked, language=language), language, vary=VARY)
        form = "markdown" if media_type == MEDIA_TYPES["markdown"] else "text"
        text = catalogue.letter(asked, language=language, form=form)
    headers = {"Content-Language": language, "Vary": VARY}
    return Response(text, media_type=f"{media_type}; charset=utf-8", headers=headers)


def _weight(text: str, place: int) -> tuple[str, float]:
    """Factor and number of "language:2"; whether there is such a factor is for the catalogue to say."""
    factor, _, number = text.partition(":")
    try:
        SuggestionRequest.model_validate({"needs": [{"text": "x"}], "weights": {factor: float(number)}})
    except (ValueError, ValidationError) as error:
        message = "write a factor, a colon and a number from 0 to 1000, such as language:2"
        fault = {"type": "weight", "loc": ("query", "weight", place), "msg": message, "input": text}
        raise RequestValidationError([fault]) from error
    return factor, float(number)
