"""The smallest set of mentors that together covers several needs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, Field

from kg import errors
from service.api.describing import COMPUTING, problems_of
from service.api.models import (
    Answered,
    CityName,
    Diversity,
    Factor,
    Filters,
    Given,
    Mentee,
    Need,
    ProfileName,
    ProfileReference,
    Suggestion,
    Weight,
    one_of_both,
)
from service.api.values import NEEDS_LIMIT, Day
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["suggestions"], dependencies=[Depends(answers_as("application/json"))])


class SetRequest(Given):
    """Needs that one mentor alone may not cover, and how many mentors there may be."""

    needs: list[Need] = Field(min_length=1, max_length=NEEDS_LIMIT)
    mentee: Annotated[Mentee, AfterValidator(one_of_both)] | None = None
    filters: Filters = Field(default_factory=Filters)
    weights: dict[Factor, Weight] = Field(
        default_factory=dict, max_length=50, description="Of the reasons shown; who covers a need is relevance alone."
    )
    profile: ProfileReference | None = Field(default=None, description="Name of the constants, as in suggestions.")
    diversity: Diversity | None = Field(default=None, description="Most mentors of one country.")
    most: Annotated[int, Field(ge=1, le=NEEDS_LIMIT)] | None = Field(default=None, description="Most mentors in all.")
    alternatives: Annotated[int, Field(ge=0, le=5)] = Field(default=3, description="How many next best sets.")
    as_of: Day | None = None

    def plain(self) -> dict[str, Any]:
        """What was given, as plain JSON for the catalogue."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class Covered(Answered):
    need: int = Field(description="Counted from 0 in the order of the request.")
    relevance: float = Field(description="In [0, 1], no unit: for ordering, not a share of anything.")
    best: bool = Field(description="No mentor of the set is more relevant to this need.")


class NamedPractice(Answered):
    need: int
    id: str
    title: str


class SetMentor(Answered):
    """One mentor of a set."""

    city: CityName
    covers: list[Covered]
    text: str
    practices: list[NamedPractice] = Field(description="The closest practice for each need it covers.")
    suggestion: Suggestion | None = Field(
        description="As in suggestions, in the best set; `rank` is that for all needs together. Null in the other sets."
    )


class SetNeed(Answered):
    need: int
    covered_by: list[str] = Field(description="Identifiers of the set's mentors that cover it, the best first.")


class MentorSet(Answered):
    mentors: list[SetMentor]
    size: int
    relevance: float = Field(description="Sum over the needs of weight × the best relevance in the set.")
    needs: list[SetNeed]


class AskedNeed(Answered):
    need: int
    text: str
    language: str
    nearest: float | None = Field(
        description="How close the closest practice is by meaning alone, in [0, 1]; null where the model does not read "
        "the language, and with themes. Nobody covers a need below the profile's `least_meaning`."
    )
    covered_by: int = Field(description="How many cities cover it.")


class Closest(Answered):
    city: CityName
    relevance: float


class OpenNeed(Answered):
    need: int
    code: Literal["nobody", "limits"] = Field(description="Nobody covers it, or the limits keep those out who do.")
    text: str
    closest: Closest | None


class MentorSets(Answered):
    sets: list[MentorSet] = Field(description="The best first: fewest mentors, then the largest sum of relevance.")
    needs: list[AskedNeed]
    uncovered: list[OpenNeed]
    covers_from: float = Field(
        description="From which relevance on a city covers a need, if for that need alone it would be at least a "
        "possible suggestion."
    )
    complete: bool = Field(description="False where the time was over before all other sets were looked for.")
    most: int | None
    per_country: int | None
    mentee: CityName | None
    role_limits: str
    profile: ProfileName
    as_of: str
    revision: int
    model: str


EXAMPLES: dict[str, Example] = {
    "three needs": {
        "summary": "Three needs of a city on record",
        "value": {
            "needs": [
                {"text": "Buddies who practise the language with newcomers"},
                {"text": "One desk where newcomers find every service"},
                {"text": "Work with employers who hire refugees"},
            ],
            "mentee": {"city": "jelgava"},
            "diversity": {"per_country": 1},
        },
    },
}


@router.post(
    "/api/suggestions/sets",
    summary="Suggest mentors that complement each other",
    response_class=JSONResponse,
    responses={
        200: {"model": MentorSets, "description": "The smallest set that covers all needs, and the next best ones."},
        **problems_of(*COMPUTING, errors.UnreadableInput, errors.TooLarge),
    },
)
def suggest_sets(
    request: Request,
    wanted: Annotated[SetRequest, Body(openapi_examples=EXAMPLES)],
    language: Annotated[str, Depends(answer_language)],
) -> JSONResponse:
    """The smallest set of mentors that together covers the needs, proved; which needs nobody covers; other sets.

    A city covers a need from the relevance on that makes a suggestion at least possible.
    """
    with request.app.state.turns.one():
        found = request.app.state.catalogue.mentor_sets(wanted.plain(), language=language)
    return in_language(found, language)
