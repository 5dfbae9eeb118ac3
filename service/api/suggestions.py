"""Mentor cities for needs: POST for the whole request, GET for links."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from kg import errors
from service.api.describing import COMPUTING, problems_of
from service.api.models import Mentee, SuggestionRequest, Suggestions
from service.api.values import LISTED_LIMIT, NEEDS_LIMIT, Country, Day, Language, NeedText, Population, Reference, Theme
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["suggestions"], dependencies=[Depends(answers_as("application/json"))])

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Suggestions,
        "description": "Mentor cities, best first. The same question on the same data gets the same answer.",
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
) -> JSONResponse:
    """Mentor cities for one or more needs in free words, with the practices and passages that speak for each.

    People decide: a suggestion is where to look first, with what is known, unknown and against it.
    """
    return answer(request, wanted, language)


@router.get(
    "/api/suggestions",
    summary="Suggest mentor cities, by a link",
    response_class=JSONResponse,
    responses=ANSWERS | problems_of(*COMPUTING),
)
def suggest_mentors_by_link(
    request: Request,
    language: Annotated[str, Depends(answer_language)],
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
) -> JSONResponse:
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
        "diversity": None if per_country is None else {"per_country": per_country},
    }
    return answer(
        request, SuggestionRequest.model_validate({key: value for key, value in wanted.items() if value}), language
    )


def answer(request: Request, wanted: SuggestionRequest, language: str) -> JSONResponse:
    """Ask the catalogue, in turn, and write down its answer."""
    with request.app.state.turns.one():
        found = request.app.state.catalogue.suggest_mentors(wanted.plain(), language=language)
    return in_language(found, language)


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
