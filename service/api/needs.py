"""Needs assistant: a page of free text becomes separate needs, with themes and open questions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import Field

from kg import errors
from service.api.describing import COMPUTING, problems_of
from service.api.models import Answered, Given, Named
from service.api.values import Language, NeedText
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["needs"], dependencies=[Depends(answers_as("application/json"))])


class NeedsText(Given):
    """What a city writes about itself and its difficulties, a page or so."""

    text: NeedText
    language: Language | None = Field(default=None, description="Language of the text, where you know it.")


class CountedTheme(Named):
    """A theme to walk to."""

    cities: int = Field(description="Cities that run a practice on it, narrower themes included.")


class CandidateTheme(CountedTheme):
    """A theme that the need may be about."""

    strength: float = Field(description="In [0, 1]: of the label's words found, or of the nearness in meaning.")
    basis: str = Field(
        description="words (of a label of ours), vocabulary (of a bridge vocabulary's label) or meaning."
    )
    words: list[str] = Field(description="The words of the text that led there; none where its meaning did.")
    broader: list[CountedTheme]
    narrower: list[CountedTheme]
    neighbours: list[CountedTheme]


class Question(Answered):
    code: str = Field(description="who, since, tried, success or narrower.")
    text: str = Field(description="The question, in the language of the answer.")


class SeparateNeed(Answered):
    text: str
    language: str
    themes: list[CandidateTheme] = Field(description="Those found by words first, then those near in meaning.")
    questions: list[Question] = Field(description="What the text leaves open.")
    questions_checked: bool = Field(
        description="Whether words that answer the questions are known in this language; otherwise all are asked."
    )


class AnalysedNeeds(Answered):
    """The needs found, in the order of the text."""

    needs: list[SeparateNeed]
    context: list[str] = Field(description="Sentences that name no need: they count for the questions of all needs.")
    left_out: list[str] = Field(
        description="What was not read, because the text is long or has more than twelve needs."
    )
    cities: int = Field(description="Cities that run a practice on record, whatever its theme.")
    role_limits: str = Field(description="What mentors do and what they do not.")
    revision: int
    model: str


EXAMPLES: dict[str, Example] = {
    "page": {
        "summary": "Two needs and some background",
        "value": {
            "text": "We are a town of 20,000 by the sea. Refugee families wait two years for a flat they can pay. "
            "Their children come to school without a word of the language; we tried volunteers, in vain."
        },
    }
}


@router.post(
    "/api/needs/analysis",
    summary="Take a text apart into needs",
    response_class=JSONResponse,
    responses={
        200: {"model": AnalysedNeeds, "description": "Separate needs; the same text on the same data gets the same."},
        **problems_of(*COMPUTING, errors.UnreadableInput, errors.TooLarge),
    },
)
def analyse_needs(
    request: Request,
    wanted: Annotated[NeedsText, Body(openapi_examples=EXAMPLES)],
    language: Annotated[str, Depends(answer_language)],
) -> JSONResponse:
    """Separate needs with candidate themes, open questions, and how many cities have experience with each theme.

    Nothing is kept, and nothing is decided: the city says which of the themes it means.
    """
    with request.app.state.turns.one():
        found: dict[str, Any] = request.app.state.catalogue.analyse_needs(
            wanted.text, language=wanted.language, answer_in=language
        )
    return in_language(found, language)
