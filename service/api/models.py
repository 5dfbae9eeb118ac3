"""Bodies of requests and answers. Requests are read strictly; what answers hold is promised in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.api.values import (
    LISTED_LIMIT,
    NEEDS_LIMIT,
    Country,
    Day,
    Language,
    Name,
    NeedText,
    Population,
    Reference,
    Theme,
)

Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Level = Literal["none", "starting", "some", "solid", "leading"]
Factor = Annotated[str, Field(pattern="^[a-z][a-z_]{0,39}$")]
ProfileReference = Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,39}$", examples=["mentoring", "peer-learning"])]


class Given(BaseModel):
    """A part of a request: a number is no text, and a misspelt field is refused, not passed over."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Need(Given):
    """One thing that the mentee city wants to be able to do."""

    text: NeedText
    language: Language | None = Field(
        default=None, description="Language of the text, where you know it; recognised otherwise."
    )
    themes: list[Theme] = Field(
        default_factory=list, max_length=LISTED_LIMIT, description="Themes the need is about; found otherwise."
    )
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = Field(
        default=1.0, description="How much this need counts beside the others."
    )


class MenteeProfile(Given):
    """A mentee city that is not on record, as far as it is known."""

    name: Name | None = None
    country: Country | None = None
    population: Annotated[Population, Field(ge=1)] | None = None
    languages: list[Language] = Field(default_factory=list, max_length=20, description="Working languages.")
    experience: dict[Theme, Level] = Field(
        default_factory=dict, max_length=LISTED_LIMIT, description="Own experience by theme, as declared by the city."
    )


class Mentee(Given):
    """Who asks: a city on record, or a profile."""

    city: Reference | None = None
    profile: MenteeProfile | None = None


def one_of_both(mentee: Mentee) -> Mentee:
    """The mentee, if it is given in exactly one of the two ways."""
    if (mentee.city is None) == (mentee.profile is None):
        raise PydanticCustomError(
            "mentee_form",
            'give either the city on record ({{"city": "jelgava"}}) or a profile, not both and not neither',
        )
    return mentee


class Filters(Given):
    """Hard limits. Most are better left to the weights: a filter on size would have refused every real pair."""

    countries: list[Country] = Field(default_factory=list, max_length=LISTED_LIMIT)
    themes: list[Theme] = Field(
        default_factory=list, max_length=LISTED_LIMIT, description="Themes; narrower ones are included."
    )
    languages: list[Language] = Field(
        default_factory=list, max_length=LISTED_LIMIT, description="Languages of practice records."
    )
    population_min: Population | None = None
    population_max: Population | None = None
    exclude_cities: list[Reference] = Field(default_factory=list, max_length=LISTED_LIMIT)


class Diversity(Given):
    """A wish for mentors of several countries. A city whose country is not on record is never set back."""

    per_country: Annotated[int, Field(ge=1, le=50)] = Field(description="Most mentors of one country.")


class SuggestionRequest(Given):
    """What is needed, by whom, and what counts."""

    needs: list[Need] = Field(min_length=1, max_length=NEEDS_LIMIT)
    mentee: Annotated[Mentee, AfterValidator(one_of_both)] | None = None
    filters: Filters = Field(default_factory=Filters)
    weights: dict[Factor, Weight] = Field(
        default_factory=dict, max_length=50, description="How much each factor counts; the profile's own otherwise."
    )
    limit: Annotated[int, Field(ge=1, le=50)] = 5
    as_of: Day | None = Field(default=None, description="The day from which ages are counted; today otherwise.")
    diversity: Diversity | None = Field(default=None, description="A wish for mentors of several countries.")
    profile: ProfileReference | None = Field(
        default=None,
        description="Name of the constants that rank; `/api/profiles` lists them. The usual ones otherwise.",
    )
    explain: bool = Field(default=False, description="Whether to tell what would swap neighbouring ranks.")

    def plain(self) -> dict[str, Any]:
        """What was given, as plain JSON for the catalogue."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True) | {"limit": self.limit}


class Answered(BaseModel):
    """A part of an answer. Later versions may add fields; those described here stay."""

    model_config = ConfigDict(extra="allow")


class CityName(Answered):
    id: str
    label: str
    country: str | None = Field(default=None, description="ISO 3166 code; null where it is not on record.")
    country_label: str | None = None


class Sentence(Answered):
    """Characters of a text, counted from 0; `end` is the first one after it."""

    start: int
    end: int


class Passage(Answered):
    """The part of a practice's record that comes closest to the need, in its own words."""

    text: str
    language: str = Field(description="BCP 47 tag of the text.")
    part: str = Field(description="Where it stands in the record: summary, problem, action, outcomes or lessons.")


class MarkedPassage(Passage):
    sentence: Sentence | None = Field(
        default=None,
        description="Where in the text the sentence closest to the need stands; null where its words do not tell.",
    )


class CitedPractice(Answered):
    id: str
    title: str
    passage: MarkedPassage | None
    need: int = Field(description="Which need it answers, counted from 0 in the order of the request.")
    tie: str | None = Field(description="own, partner or located: how far the practice is the city's.")
    similarity: float = Field(description="How close its passage is to the need, in [0, 1], no unit.")


class Reason(Answered):
    """One factor of the rank. Contributions add up to what the order is made of."""

    factor: str
    label: str
    weight: float
    known: bool = Field(description="False when the facts are missing; a missing fact never counts against a city.")
    value: float | None = Field(description="In [0, 1]; null when not known.")
    contribution: float | None
    stance: Literal["for", "against", "neutral", "unknown"]
    text: str = Field(description="The reason in a sentence, in the language of the answer.")


class Unknown(Answered):
    """A missing fact, and whom to ask for it."""

    factor: str
    whom: str = Field(description="mentee, mentor or association.")
    text: str
    ask: str


class Caution(Answered):
    """Something to keep in mind, or to look at before the first call."""

    code: str
    text: str
    practices: list[str] = Field(description="Identifiers of the practices it is about, if it is about some.")


class NeedTold(Answered):
    """What is said of a city on one need by itself."""

    need: int = Field(description="Which need, counted from 0 in the order of the request.")
    met: bool
    relevance: float
    experience: float | None = Field(description="In [0, 1]; null where nothing is on record.")
    for_: list[str] = Field(alias="for")
    against: list[str]
    also: list[str]
    unknowns: list[Unknown]


class Suggestion(Answered):
    rank: int
    band: Literal["strong", "good", "possible", "weak"] = Field(description="There are no percentages.")
    band_label: str = Field(description="The band in words, in the language of the answer.")
    utility: float = Field(description="What the order is made of, in [0, 1]; show rank and band to people.")
    coverage: float = Field(description="Weight of the factors that are known, of the weight of all, in [0, 1].")
    city: CityName
    practices: list[CitedPractice]
    reasons: list[Reason]
    unknowns: list[Unknown]
    cautions: list[Caution]
    needs: list[NeedTold] = Field(description="The same for each need by itself.")
    evidence_query: str = Field(description="A SPARQL query that shows what the suggestion rests on.")
    evidence_link: str = Field(description="Where the query page shows its answer, relative to the service.")


class NeedTheme(Answered):
    """A theme that was recognised in a need."""

    id: str
    label: str
    strength: float
    words: list[str] = Field(description="The words of the need that led there.")


class ReadNeed(Answered):
    """How a need was understood."""

    text: str
    language: str
    language_certain: bool
    themes: list[NeedTheme]


class ProfileName(Answered):
    """The constants that ranked, and which weights the request changed."""

    name: str
    version: str
    changed: list[str]
    weights: dict[str, float] = Field(default_factory=dict, description="Of those factors: what the request gave.")


class WeightChange(Answered):
    """The weight of a factor past which two cities swap, everything else as it is."""

    factor: str
    now: float
    swap_at: float
    direction: Literal["more", "less"]
    text: str


class FactChange(Answered):
    """A single fact that would swap two cities."""

    code: str
    about: str = Field(description="Identifier of the city that the fact is about, or `mentee`.")
    known: bool = Field(description="False where nothing is on record today, so that asking may settle it.")
    practice: str | None
    theme: str | None
    text: str


class Changes(Answered):
    """What would put the lower city before the upper one."""

    upper: CityName
    lower: CityName
    weights: list[WeightChange]
    facts: list[FactChange]


class SetBack(Answered):
    city: CityName
    rank: int = Field(description="The rank it would have without the wish.")
    band: Literal["strong", "good", "possible", "weak"]
    band_label: str


class Spread(Answered):
    """What a wish for several countries did to the list."""

    per_country: int
    set_back: list[SetBack] = Field(description="Cities that would be in the list without the wish.")
    text: str


class Suggestions(Answered):
    suggestions: list[Suggestion]
    changes: list[Changes] | None = Field(
        default=None, description="With `explain`: for each rank and the next, also that of the first city not listed."
    )
    needs: list[ReadNeed]
    revision: int = Field(description="Number of the ledger's row up to which records were seen.")
    model: str = Field(description="Identity of the embedding model.")
    profile: ProfileName
    mentee: CityName | None
    diversity: Spread | None = Field(default=None, description="Null where no such wish was said.")
    as_of: str = Field(description="The day from which ages were counted.")
    role_limits: str = Field(description="What mentors do and what they do not.")


class Named(Answered):
    """A theme, with its words."""

    id: str
    label: str


class FoundPractice(Answered):
    id: str
    title: str
    city: CityName | None
    themes: list[Named]
    evidence: list[str]
    passage: Passage
    similarity: float = Field(description="In [0, 1], no unit: for ordering, not a share of anything.")


class FacetValue(Answered):
    value: str
    label: str
    count: int
    chosen: bool = Field(description="Whether the request filters by it.")
    broader: list[str] | None = Field(description="Of a theme: those right above it; null for other facets.")


class FoundPractices(Answered):
    """Practices by similarity, with counts for narrowing down."""

    results: list[FoundPractice]
    facets: dict[str, list[FacetValue]] = Field(description="Counts of all practices that the filters let in.")
    next: str | None = Field(description="Cursor of the next page; null on the last.")
    language: str = Field(description="Language that the text was read as.")
    revision: int


class SimilarPractice(FoundPractice):
    shared_themes: list[Named] = Field(
        description="Themes of both; where there are none, those that both are narrower than."
    )
    why: str = Field(description="A sentence in the language of the answer.")


class SimilarPractices(Answered):
    """Practices by similarity to one of them."""

    results: list[SimilarPractice]
    practice: str


class CityId(Answered):
    id: str
    label: str


class Place(Answered):
    """Why a practice stands where it stands in the order by evidence."""

    evidence: str | None = Field(description="What the order counted; null where none is stated.")
    evidence_weight: float | None
    last_year: int | None = Field(description="The last year in which it is known to have run.")
    freshness: float | None = Field(description="Weight of its age in [0, 1]; null where no date is sure.")
    completeness: float = Field(description="Share of what a record is asked for, in [0, 1].")
    text: str = Field(description="The same in sentences, in the language of the answer.")


class CityExperience(Answered):
    """What a city's records show of a theme, narrower ones included."""

    theme: str
    label: str
    level: float | None = Field(description="As suggestions count it, in [0, 1]; null where nothing speaks of it.")
    stated: float | None = Field(description="The level that was stated, if one was.")
    practices: int


class Listed(Answered):
    id: str
    label: str


class ListedPractice(Listed):
    """Lists by state, for those who work on records, have identifier and label only."""

    city: CityId | None = None
    themes: list[str] = Field(default_factory=list)
    evidence: str | None = None
    start: int | None = Field(default=None, description="The first year it tells of.")
    languages: list[str] = Field(default_factory=list, description="Of its texts.")
    place: Place | None = Field(default=None, description="With `sort=evidence`: why it stands here.")


class ListedCity(Listed):
    """Lists by state, for those who work on records, have identifier and label only."""

    country: str | None = None
    country_label: str | None = None
    population: int | None = None
    foreign_born_share: float | None = None
    size: str | None = None
    languages: list[str] = Field(default_factory=list, description="Official ones.")
    offer: str | None = Field(default=None, description="`open` or `full`; null where no offer to mentor holds.")
    experience: list[CityExperience] = Field(
        default_factory=list, description="The themes it has most practices on, those asked for first."
    )
    similarity: float | None = Field(
        default=None, description="With `sort=nearest`, in [0, 1]; null where nothing can be compared."
    )
    coverage: float | None = Field(
        default=None, description="With `sort=nearest`: weight of what could be compared, of the weight of all."
    )


class Listing(Answered):
    """Records of one kind, by identifier unless another order was asked for."""

    results: list[Listed]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
    total: int | None = Field(description="How many there are in all; null where the caller sees only some of them.")
    facets: dict[str, list[FacetValue]] = Field(
        default_factory=dict,
        description="Counts by facet: each respects the other filters and not its own, so that a second value can be "
        "chosen. A theme counts its narrower ones; `unknown` is what the records do not say.",
    )
    revision: int | None = Field(default=None, description="Number of the ledger's row up to which was counted.")


class PracticeListing(Listing):
    results: list[ListedPractice]  # type: ignore[assignment]


class CityListing(Listing):
    results: list[ListedCity]  # type: ignore[assignment]


class Health(Answered):
    status: Literal["ok"]


class FaultEntry(BaseModel):
    field: str = Field(description="Dotted place of the fault; empty for the whole.")
    message: str
    severity: Literal["violation", "warning", "info"]
    value: str | None = None


class Problem(BaseModel):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = Field(description="What was wrong, where, and what would be right.")
    instance: str
    problems: list[FaultEntry] | None = None
    replaced_by: str | None = None
    current: int | None = Field(default=None, description="Of a record that has changed meanwhile: its revision now.")
    difference: dict[str, Any] | None = Field(
        default=None,
        description="What both sides changed: `theirs`, `yours`, the `collisions`, and a `proposal` without any.",
    )
    referring: list[dict[str, str]] | None = Field(default=None, description="Records that refer to this one.")
