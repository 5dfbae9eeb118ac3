"""Whether a practice may be taken up by a city, condition by condition."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, Field

from kg import errors
from service.api.describing import problems_of
from service.api.models import Answered, CityName, Given, Mentee, ProfileName, ProfileReference, one_of_both
from service.api.records import RecordId, checked_id
from service.api.values import LISTED_LIMIT, Reference, Theme
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["practices"], dependencies=[Depends(answers_as("application/json"))])

Status = Literal["met", "partly", "not-met", "unknown"]
Figure = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class TransferRequest(Given):
    """A city, and what it says of itself beyond what is on record."""

    mentee: Annotated[Mentee, AfterValidator(one_of_both)]
    staff: Figure | None = Field(default=None, description="Full-time posts it could charge with it.")
    budget: Figure | None = Field(default=None, description="Money it could spend, in `currency`.")
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    years: Figure | None = Field(default=None, description="For how many years it can plan.")
    themes: list[Theme] = Field(default_factory=list, max_length=LISTED_LIMIT, description="What it needs.")
    target_groups: list[Annotated[str, Field(max_length=100)]] = Field(
        default_factory=list, max_length=LISTED_LIMIT, description="For whom, as records name target groups."
    )
    answers: dict[Annotated[str, Field(max_length=100)], Status] = Field(
        default_factory=dict, max_length=100, description="Conditions that the city judges itself, by their `id`."
    )
    profile: ProfileReference | None = Field(
        default=None, description="Name of the constants; of them `size_ratio` says when two sizes are far apart."
    )

    def plain(self) -> dict[str, Any]:
        """What was given, as plain JSON for the catalogue."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class JudgedPractice(Answered):
    id: str
    iri: str
    title: str
    city: CityName


class Sorting(Answered):
    """For sorting lists only: never show the value without its coverage."""

    value: float = Field(description="Mean over the known conditions by weight: met 1, partly a half, not met 0.")
    coverage: float = Field(description="Weight of the known conditions, of the weight of all, in [0, 1].")


class TransferSummary(Answered):
    """How many conditions have each status. Unknown is not against the practice."""

    unknown: int
    not_met: int
    partly: int
    met: int
    for_sorting: Sorting | None
    text: str


class CityFact(Answered):
    text: str
    source: str | None = Field(description="Address where the fact is stated; null where it is not on record.")
    as_of: str | None = Field(description="Year that the fact is about.")


class JudgedCondition(Answered):
    """One condition of the practice, and how the city stands to it."""

    id: str
    aspect: str
    group: Literal["population", "intervention", "environment", "transfer"]
    stated: bool = Field(description="The practice's record asks for it; else it shows in how the settings compare.")
    status: Status
    judged_by: Literal["record", "city"] = Field(description="A rule on recorded facts, or the city's own answer.")
    weight: float
    condition: str
    finding: str
    facts: list[CityFact]


class Question(Answered):
    criterion: str
    text: str


class TransferQuestions(Answered):
    """What to find out about conditions that are not settled."""

    whom: str
    mentor: list[Question]
    city: list[Question]


class Told(Answered):
    """What the record tells in words, to read before the first call; null where it does not."""

    core_elements: str | None
    adaptable_parts: str | None
    success_factors: str | None
    difficulties: str | None
    lessons: str | None


class Method(Answered):
    name: str
    version: str


class Transferability(Answered):
    practice: JudgedPractice
    city: CityName | None = Field(description="Null for a city that is not on record.")
    name: str
    summary: TransferSummary
    criteria: list[JudgedCondition] = Field(description="Unknown ones first, then not met, partly and met.")
    questions: TransferQuestions
    told: Told
    role_limits: str
    method: Method
    profile: ProfileName
    as_of: str
    revision: int


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Transferability, "description": "Conditions, each met, partly met, not met or unknown."}
}

EXAMPLES: dict[str, Example] = {
    "city": {
        "summary": "A city on record that answers one condition itself",
        "value": {"mentee": {"city": "jelgava"}, "budget": 40000, "years": 3, "answers": {"need": "met"}},
    },
    "profile": {
        "summary": "A city that is not on record",
        "value": {
            "mentee": {"profile": {"name": "Newtown", "country": "LV", "population": 9000, "languages": ["lv", "en"]}},
            "themes": ["language-informal"],
            "target_groups": ["newcomers"],
        },
    },
}


@router.get(
    "/api/practices/{id}/transferability",
    summary="Conditions of a practice for a city on record",
    response_class=JSONResponse,
    responses=ANSWERS | problems_of(errors.BadRequest, errors.NotFound, errors.Gone),
)
def transferability_to_city(
    request: Request,
    id: RecordId,
    language: Annotated[str, Depends(answer_language)],
    city: Annotated[Reference, Query(description="The city that would take it up.", examples=["jelgava"])],
    profile: Annotated[
        ProfileReference | None, Query(description="Name of the constants by which sizes are compared.")
    ] = None,
) -> JSONResponse:
    """Each condition of the practice against facts of the city: met, partly, not met or unknown, with its basis.

    Whether a practice will work can only be anticipated: read what is unknown as questions to the mentor.
    """
    wanted = {"mentee": {"city": city}, "profile": profile}
    found = request.app.state.catalogue.transferability(checked_id("practice", id), wanted, language=language)
    return in_language(found, language)


@router.post(
    "/api/practices/{id}/transferability",
    summary="Conditions of a practice for a city that says more of itself",
    response_class=JSONResponse,
    responses=ANSWERS
    | problems_of(errors.BadRequest, errors.NotFound, errors.Gone, errors.UnreadableInput, errors.TooLarge),
)
def transferability_to_profile(
    request: Request,
    id: RecordId,
    wanted: Annotated[TransferRequest, Body(openapi_examples=EXAMPLES)],
    language: Annotated[str, Depends(answer_language)],
) -> JSONResponse:
    """The same for a city that is not on record, or with what a city says of itself. Nothing is kept."""
    found = request.app.state.catalogue.transferability(checked_id("practice", id), wanted.plain(), language=language)
    return in_language(found, language)
