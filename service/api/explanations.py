"""Why a city is not suggested, and the profiles of constants that rank."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import Field

from kg import errors
from service.api.describing import COMPUTING, problems_of
from service.api.models import Answered, Changes, CityName, ProfileName, ReadNeed, Suggestion, SuggestionRequest
from service.api.values import Reference
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["suggestions"], dependencies=[Depends(answers_as("application/json"))])


class WhyNotRequest(SuggestionRequest):
    """A request for suggestions, and the city that it asks about."""

    city: Reference = Field(description="The city on record that is, or is not, suggested.", examples=["vienna"])


class FilterMet(Answered):
    filter: str = Field(description="As in the request's filters.")
    text: str


class NearPractice(Answered):
    """A practice of the city, with how close it is to a need."""

    need: int
    practice: str
    title: str
    similarity: float
    cited: bool = Field(description="Whether it is close enough to be cited.")


class FactorDifference(Answered):
    """One factor of the city beside the last one listed. Contributions add up to the difference of the utilities."""

    factor: str
    label: str
    value: float | None = Field(description="Of the city, in [0, 1]; null when not known.")
    other: float | None = Field(description="Of the one it is compared with.")
    contribution: float = Field(description="Its share of the utility less the other one's.")
    text: str


class WhyNot(Answered):
    city: CityName
    verdict: Literal["suggested", "mentee", "excluded", "no-practice", "not-close", "set-back", "ranked-lower"]
    text: str = Field(description="The verdict in sentences, in the language of the answer.")
    rank: int | None = Field(
        description="Where it stands; null where it is not ranked, or beyond those weighed in full."
    )
    filters: list[FilterMet] = Field(description="Filters of the request that leave it out.")
    nearest: list[NearPractice] = Field(description="Its practices closest to each need, however far.")
    lowest_similarity: float
    compared_with: CityName | None = Field(description="The last city listed, where this one ranks lower.")
    differences: list[FactorDifference]
    changes: Changes | None = Field(description="What would put it before that city.")
    suggestion: Suggestion | None = Field(description="Its reasons, unknowns and cautions, where it can be weighed.")
    needs: list[ReadNeed]
    mentee: CityName | None
    role_limits: str
    profile: ProfileName
    as_of: str
    revision: int
    model: str


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": WhyNot, "description": "What keeps the city off the list, or its rank."}
}

EXAMPLES: dict[str, Example] = {
    "city": {
        "summary": "Why is Vienna not among the first three?",
        "value": {
            "needs": [{"text": "One desk where newcomers find every service"}],
            "mentee": {"city": "jelgava"},
            "limit": 3,
            "city": "vienna",
        },
    }
}


@router.post(
    "/api/suggestions/why-not",
    summary="Why is a city not suggested?",
    response_class=JSONResponse,
    responses=ANSWERS | problems_of(*COMPUTING, errors.UnreadableInput, errors.TooLarge),
)
def why_not(
    request: Request,
    wanted: Annotated[WhyNotRequest, Body(openapi_examples=EXAMPLES)],
    language: Annotated[str, Depends(answer_language)],
) -> JSONResponse:
    """Whether a city is suggested for a request and, if not, why: a filter, nothing close on record, or a lower rank, with
    each factor beside the last city listed and what would swap the two. What is not known is told as unknown.
    """
    with request.app.state.turns.one():
        found = request.app.state.catalogue.why_not(wanted.plain(), language=language)
    return in_language(found, language)


class Constant(Answered):
    value: Any = Field(description="A number, numbers by name, or the bands.")
    meaning: str


class ShownProfile(Answered):
    """The constants that rank, by a name and a version."""

    name: str
    version: str
    label: str
    default: bool = Field(description="Whether it ranks where a request names none.")
    built_in: bool
    constants: dict[str, Constant]
    factors: dict[str, str] = Field(description="What each factor of the weights is called.")


class Profiles(Answered):
    profiles: list[ShownProfile]


PROFILES: dict[int | str, dict[str, Any]] = {
    200: {"model": Profiles, "description": "Profiles by name, with every constant and its meaning."}
}


@router.get(
    "/api/profiles",
    summary="Profiles that a request may name",
    response_class=JSONResponse,
    responses=PROFILES | problems_of(),
)
def list_profiles(request: Request, language: Annotated[str, Depends(answer_language)]) -> JSONResponse:
    """Weights, half-life, discount, thresholds and all other constants of the ranking, for each profile there is."""
    return in_language(request.app.state.catalogue.list_profiles(language=language), language)
