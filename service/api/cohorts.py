"""Mentors for a whole cohort of mentees, under the rules of a programme."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request
from fastapi.openapi.models import Example
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from kg import errors
from service.api.describing import COMPUTING, problems_of
from service.api.models import (
    Answered,
    CityName,
    Factor,
    Given,
    MenteeProfile,
    Need,
    ProfileName,
    ProfileReference,
    Suggestion,
    Weight,
)
from service.api.values import NEEDS_LIMIT, Country, Day, Language, Name, Reference
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["cohorts"], dependencies=[Depends(answers_as("application/json"))])


def pairing_is_for() -> None:
    """Who may pair a cohort: everybody, as long as it reads public records only. This is the place to ask for a role."""


Number = Annotated[int, Field(ge=0, le=500)]


class CohortMentee(Given):
    """A mentee: a city on record, with its public needs if none are given, or a profile with an id."""

    city: Reference | None = None
    id: Reference | None = Field(default=None, description="What rules call a mentee that is not on record.")
    profile: MenteeProfile | None = None
    needs: list[Need] | None = Field(default=None, min_length=1, max_length=NEEDS_LIMIT)
    languages: list[Language] = Field(
        default_factory=list, max_length=20, description="Its mentor must be able to work in one of these."
    )
    must: bool = Field(default=False, description="It must get a mentor.")
    visits: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Visits that its mentorship takes; 3 unless given."
    )


class CohortMentor(Given):
    """A mentor city, with how much it takes on."""

    city: Reference
    at_most: Number | None = Field(
        default=None, description="Most mentees; else the places left in its offer on record, else 1."
    )
    at_least: Number = Field(default=0, description="Fewest mentees.")
    languages: list[Language] = Field(
        default_factory=list, max_length=20, description="Languages it can work in, beside those on record."
    )


MentorOrCity = Annotated[
    CohortMentor,
    BeforeValidator(
        lambda given: {"city": given} if isinstance(given, str) else given,
        json_schema_input_type=CohortMentor | Reference,
    ),
]
"""A mentor, or the name of its city alone. One of the two is judged, so that a refusal names one place."""


class Pair(Given):
    """A mentee and a mentor of the cohort, by their ids."""

    mentee: Reference
    mentor: Reference


Pairs = Annotated[list[Pair], Field(max_length=5000)]


class CohortRules(Given):
    """What holds for the cohort as a whole. Each rule narrows the choice; the answer says what each costs."""

    vetoes: Pairs = Field(default_factory=list, description="Never these.")
    fixed: Pairs = Field(default_factory=list, description="These are settled.")
    known: Pairs = Field(default_factory=list, description="These know each other already.")
    known_pairs: Literal["prefer", "avoid", "exclude", "ignore"] = Field(
        default="prefer", description="What to make of pairs that know each other."
    )
    countries: dict[Country, Number] = Field(
        default_factory=dict, max_length=300, description="Most mentorships with mentors of a country."
    )
    each_country: Number | None = Field(default=None, description="The same for every other country.")
    other_countries: bool = Field(default=False, description="Mentor and mentee come from different countries.")
    shared_language: bool = Field(default=False, description="Mentor and mentee share a language on record.")
    everyone: bool = Field(default=False, description="Every mentee must get a mentor.")
    visits: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        default=None, description="Visits that the money allows in all."
    )
    lowest_band: Literal["strong", "good", "possible"] | None = Field(
        default=None, description="No pair below this band, unless it is fixed."
    )


class CohortRequest(Given):
    """A cohort: who asks, who may accompany, and the rules."""

    name: Name = ""
    mentees: list[CohortMentee] = Field(min_length=1, max_length=500)
    mentors: Annotated[
        Annotated[list[MentorOrCity], Field(min_length=1, max_length=500), Tag("(list)")]
        | Annotated[Literal["all available", "all on record"], Tag("(words)")],
        Discriminator(lambda given: "(words)" if isinstance(given, str) else "(list)"),
    ]
    rules: CohortRules = Field(default_factory=CohortRules)
    mentor_per: Literal["mentee", "need"] = Field(
        default="mentee", description="One mentor for all needs of a mentee, or one for each need."
    )
    profile: ProfileReference | None = Field(default=None, description="Name of the constants, as in suggestions.")
    weights: dict[Factor, Weight] = Field(default_factory=dict, max_length=50)
    as_of: Day | None = None
    alternatives: Annotated[int, Field(ge=0, le=10)] = Field(default=3, description="How many next best pairings.")
    time_limit_seconds: Annotated[float, Field(ge=1, le=40, allow_inf_nan=False)] = 20

    model_config = ConfigDict(strict=True, extra="forbid")

    def plain(self) -> dict[str, Any]:
        """What was given, as plain JSON for the catalogue."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


class Party(Answered):
    """A mentee as an answer names it."""

    mentee: CityName
    need: int | None = Field(description="Which need, counted from 0, where each gets a mentor; null for all of them.")


class RuleSaid(Answered):
    kind: str
    subject: list[str] = Field(description="Identifiers that the rule is about.")
    text: str = Field(description="The rule in a sentence, in the language of the answer.")


class RuleCost(RuleSaid):
    gain: float | None = Field(
        description="How much the total would rise without this rule alone; null where the time did not allow to say."
    )


class Regret(Answered):
    loss: float = Field(description="How much better its best possible mentor would be, as utility.")
    best: CityName = Field(description="The mentor it would have chosen by itself.")


class CohortPair(Party):
    """One mentorship that is proposed, with its reasons."""

    mentor: CityName
    fixed: bool
    known: bool
    utility: float
    band: str | None = Field(description="As in suggestions; null where nothing is on record for a fixed pair.")
    band_label: str | None
    regret: Regret | None
    suggestion: Suggestion | None = Field(
        description="Practices with the deciding sentences, reasons, also need by need, unknowns and cautions, as in "
        "suggestions; rank is 1."
    )


class UnmatchedMentee(Party):
    code: Literal["nothing-found", "ruled-out", "places-taken", "rules-bind"]
    text: str
    mentors: list[CityName]
    rules: list[RuleSaid]


class MentorLoad(Answered):
    mentor: CityName
    places: int
    taken: int


class Change(Party):
    from_: CityName | None = Field(alias="from")
    to: CityName | None


class Alternative(Answered):
    """Another pairing, by what it changes in the best one."""

    total: float
    loss: float = Field(description="How much its total lies below the best one.")
    proved: bool = Field(description="Whether it is certain that none lies between it and the one before.")
    changes: list[Change]


class WorstPair(Party):
    mentor: CityName
    utility: float


class Fairest(Alternative):
    """As many pairs as can be, the worst of them as good as can be, then the largest total."""

    same: bool = Field(description="It is the best pairing itself.")
    worst: WorstPair | None
    worst_of_best: WorstPair | None
    matched: int
    matched_of_best: int


class BlockingPair(Party):
    """Two cities that would both rather have each other."""

    mentor: CityName
    instead_of: CityName | None = Field(description="Whom the mentor would give up; null where it has a place left.")
    mentee_gain: float
    mentor_gain: float
    breaks: RuleSaid | None = Field(description="The rule that stands against it; null where none does.")


class Contradiction(Answered):
    """Why no pairing obeys all rules."""

    rules: list[RuleSaid] = Field(description="They cannot hold together; without any one of them the others can.")
    why: str = Field(
        description="Which mentees have no practice on record close to their needs, at a mentor that must take some or at "
        "any of the cohort; empty where that is not why."
    )
    smallest: bool = Field(description="No smaller set of rules contradicts itself.")
    give_up: list[RuleSaid] = Field(description="As few rules as must go so that all others can hold.")


class CohortAnswer(Answered):
    name: str
    feasible: bool = Field(description="False where the rules contradict each other; `conflict` says which.")
    mentees_total: int
    mentors_total: int
    total: float | None = Field(description="Sum of the utilities of all pairs.")
    bound: float | None = Field(description="No pairing under these rules has a larger total.")
    gap: float | None = Field(description="How far the total may lie below the best one, of the bound; 0 when proved.")
    proved: bool
    ties_settled: bool = Field(description="Of pairings with the same total this is the first by identifiers.")
    pairs: list[CohortPair]
    unmatched: list[UnmatchedMentee]
    mentors: list[MentorLoad]
    alternatives: list[Alternative]
    fairest: Fairest | None
    blocking: list[BlockingPair]
    blocking_total: int
    rules: list[RuleCost]
    rules_total: int
    rules_untried: int
    conflict: Contradiction | None
    role_limits: str
    profile: ProfileName
    as_of: str
    revision: int
    model: str


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": CohortAnswer, "description": "The best pairing, or the rules that contradict each other."}
}

EXAMPLES: dict[str, Example] = {
    "inclucities": {
        "summary": "Four mentees with their needs on record, four mentors",
        "value": {
            "name": "IncluCities",
            "mentees": [{"city": city} for city in ("capaci", "jelgava", "levadia", "saint-jean-de-la-ruelle")],
            "mentors": ["brussels", "fuenlabrada", "mechelen", "schaerbeek"],
            "rules": {"everyone": True, "other_countries": True},
        },
    },
    "rules": {
        "summary": "Quotas, a veto, a settled pair and a budget",
        "value": {
            "mentees": [
                {"city": "jelgava", "must": True},
                {
                    "id": "new-town",
                    "profile": {"country": "LV", "population": 9000, "languages": ["lv", "en"]},
                    "needs": [{"text": "One desk where newcomers find every service"}],
                },
            ],
            "mentors": [{"city": "mechelen", "at_most": 2}, {"city": "vienna", "at_least": 1}],
            "rules": {
                "vetoes": [{"mentee": "new-town", "mentor": "mechelen"}],
                "countries": {"BE": 2},
                "visits": 6,
            },
        },
    },
}


@router.post(
    "/api/cohorts",
    summary="Pair a cohort",
    dependencies=[Depends(pairing_is_for)],
    response_class=JSONResponse,
    responses=ANSWERS | problems_of(*COMPUTING, errors.UnreadableInput, errors.TooLarge),
)
def pair_cohort(
    request: Request,
    wanted: Annotated[CohortRequest, Body(openapi_examples=EXAMPLES)],
    language: Annotated[str, Depends(answer_language)],
) -> JSONResponse:
    """The pairing of mentees and mentors with the largest sum of utilities under the rules, proved, with reasons for each
    pair, who stays without and why, the next best pairings, the fairest one, and what each rule costs.

    People decide: cities have to want each other. Nothing is written, and nobody is told.
    """
    with request.app.state.turns.one():
        found = request.app.state.catalogue.pair_cohort(wanted.plain(), language=language)
    return in_language(found, language)
