"""How the attention of suggestions spreads over cities, for whoever looks after the fairness of a catalogue."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import Field

from kg import errors
from kg.exposure import MOST_NEEDS
from service.api.describing import COMPUTING, problems_of
from service.api.models import Answered, CityName, Factor, Given, ProfileName, ProfileReference, Weight
from service.api.values import LISTED_LIMIT, Day, Language, NeedText, Reference, Theme
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["suggestions"], dependencies=[Depends(answers_as("application/json"))])


class ExposureNeed(Given):
    """One need, asked by itself."""

    text: NeedText
    language: Language | None = Field(
        default=None, description="Language of the text, where you know it; recognised otherwise."
    )
    themes: list[Theme] = Field(
        default_factory=list, max_length=LISTED_LIMIT, description="Themes the need is about; found otherwise."
    )
    mentee: Reference | None = Field(default=None, description="The city on record that asks; nobody in particular.")


class ExposureRequest(Given):
    """Which needs to ask, and how far to look."""

    needs: list[ExposureNeed] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_NEEDS,
        description="Left out: the public needs on record, the first 100 of them.",
    )
    first: Annotated[int, Field(ge=1, le=50, description="How many places of each ranking count.")] = 10
    profile: ProfileReference | None = Field(
        default=None,
        description="Name of the constants that rank; `/api/profiles` lists them. The usual ones otherwise.",
    )
    weights: dict[Factor, Weight] = Field(default_factory=dict, max_length=50)
    as_of: Day | None = None

    def plain(self) -> dict[str, Any]:
        """What was given, as plain JSON for the catalogue."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class ExposedCity(Answered):
    city: CityName
    exposure: float = Field(description="Sum of 1 / log2(rank + 1) over the needs for which it was among the first.")
    share: float = Field(description="Its part of all exposure, in [0, 1].")
    suggested: int = Field(description="For how many needs it was among the first.")
    best_rank: int | None
    records: int = Field(description="Its public practices, own ones and as a partner.")
    per_record: float


class NeverSuggested(Answered):
    city: CityName
    records: int


class RecordEffect(Answered):
    """How far cities with more records get more exposure."""

    spearman: float = Field(description="Rank correlation, in [-1, 1].")
    interval: list[float] = Field(description="Its 95 % interval over resamples of the cities, lower end first.")
    cities: int


class RecordGroup(Answered):
    """Cities with alike numbers of records."""

    least: int
    most: int | None = Field(description="null: or more.")
    cities: int
    never: int
    exposure: float = Field(description="Mean over the cities.")
    per_record: float = Field(description="Mean over their records.")


class ExposedCountry(Answered):
    country: str | None = Field(description="ISO 3166 code; null for cities whose country is not on record.")
    country_label: str | None
    cities: int
    records: int
    exposure: float
    share: float
    share_of_records: float


class ExposureAnswer(Answered):
    """Who comes up how often. Lists name 100 cities at most; the totals count all."""

    needs: int = Field(description="How many needs were asked.")
    needs_total: int = Field(description="How many there are, given or on record.")
    on_record: bool = Field(description="Whether the needs are those on record.")
    first: int
    text: str = Field(description="What the figures say, in the language of the answer.")
    gini: float | None = Field(description="Inequality of exposure: 0 all the same, near 1 one has all.")
    gini_records: float | None = Field(description="Inequality of the numbers of records, to compare with.")
    cities_total: int = Field(description="Cities that have a practice on record.")
    cities: list[ExposedCity] = Field(description="Most exposed first.")
    never_total: int
    never: list[NeverSuggested] = Field(description="Cities with practices that were never among the first.")
    without_records_total: int
    without_records: list[CityName] = Field(description="Cities without a practice on record: they cannot come up.")
    record_effect: RecordEffect | None
    by_records: list[RecordGroup]
    by_country: list[ExposedCountry]
    profile: ProfileName
    as_of: str
    revision: int
    model: str


EXAMPLES: dict[str, Example] = {
    "on-record": {"summary": "The public needs on record", "value": {}},
    "given": {
        "summary": "Needs of one's own, one of them asked by a city on record",
        "value": {
            "needs": [
                {"text": "Places to practise Latvian", "mentee": "jelgava"},
                {"text": "Une seule adresse pour toutes les démarches"},
            ],
            "first": 5,
        },
    },
}


@router.post(
    "/api/suggestions/exposure",
    summary="Tell who is suggested how often",
    response_class=JSONResponse,
    responses={
        200: {"model": ExposureAnswer, "description": "The same needs on the same data get the same answer."},
        **problems_of(*COMPUTING, errors.UnreadableInput, errors.TooLarge),
    },
)
def tell_exposure(
    request: Request,
    wanted: Annotated[ExposureRequest, Body(openapi_examples=EXAMPLES)],
    language: Annotated[str, Depends(answer_language)],
) -> JSONResponse:
    """How much attention each city gets over many needs, how unequal that is, which cities never come up, and whether
    cities with more records get more of it.

    It tells about the catalogue and its ranking, not about how good a city's work is.
    """
    with request.app.state.turns.one():
        found: dict[str, Any] = request.app.state.catalogue.exposure(wanted.plain(), language=language)
    return in_language(found, language)
