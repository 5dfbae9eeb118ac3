"""What matching knows about needs, cities and practices: plain values, read from records by the caller.

Unknown is None, an empty tuple or an empty mapping, never 0 or "". Texts in several languages are
mappings from language tag to text. Years that a record only infers are left out by the caller: they
are not sure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Protocol

Names = Mapping[str, str]
"""One text per language tag, such as {"en": "Germany", "fr": "Allemagne"}."""


class Passage(Protocol):
    """The part of a practice that is closest to a need, as the search view found it."""

    @property
    def part(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class Hit:
    """One practice that answers one need, seen from one city that took part in it.

    `similarity` is how close its best passage is to the need, in [0, 1], no unit. A practice of
    several cities is one hit per city.
    """

    practice: str
    city: str
    similarity: float
    passage: Passage | None = None


@dataclass(frozen=True)
class NeedHits:
    """A need with its themes and the practices that search found for it, in any order.

    `themes` are those named or recognised; `narrower` and `broader` are all below and above them.
    `weight` is how much the need counts beside the request's others: above 0, 1 unless the mentee says.
    `strengths` say how surely the need means a theme or one narrower, in (0, 1]; 1 for those that it leaves out, as
    for themes that somebody chose.
    `nearest` is how close the closest practice is by meaning alone, in [0, 1]; None where the model does not read the
    need's language, and where somebody chose its themes.
    `guessed`: nothing but words that look alike led to the practices, because neither the model nor any label reads the
    need.
    """

    hits: tuple[Hit, ...]
    themes: frozenset[str] = frozenset()
    narrower: frozenset[str] = frozenset()
    broader: frozenset[str] = frozenset()
    weight: float = 1.0
    text: str = ""
    strengths: Mapping[str, float] = field(default_factory=dict, hash=False)
    nearest: float | None = None
    guessed: bool = False

    @cached_property
    def covered(self) -> frozenset[str]:
        """Themes a practice on this need may carry: those of the need and all narrower ones."""
        return self.themes | self.narrower

    @cached_property
    def sureness(self) -> Mapping[str, float]:
        """How surely each covered theme is meant beside the surest one, in (0, 1].

        >>> need = NeedHits((), themes=frozenset({"housing", "gender"}), strengths={"housing": 0.5, "gender": 0.25})
        >>> need.sureness["housing"], need.sureness["gender"]
        (1.0, 0.5)
        """
        told = {theme: self.strengths.get(theme, 1.0) for theme in self.covered}
        surest = max(told.values(), default=1.0)
        return {theme: strength / surest for theme, strength in told.items()}


@dataclass(frozen=True)
class PracticeFacts:
    """A practice as one city's: the same practice is told once per city, with that city's `tie`.

    `tie`, `evidence` and `status` are notations of the ontology's schemes; one that the profile does
    not list counts as not stated. `status_as_of` is the year the status was known to hold.
    `confidence` is the record's ("sourced", "sourced-partial", "recalled"); `rival_claims` says that
    some of its claims contradict each other. `told_for_transfer` has the fields of the record that speak of
    transfer ("core_elements", "adaptable_parts", "success_factors", "conditions"), `taken_up` counts the
    transfers on record.
    """

    id: str
    title: Names
    themes: frozenset[str] = frozenset()
    tie: str | None = None
    evidence: str | None = None
    start: int | None = None
    end: int | None = None
    status: str | None = None
    status_as_of: int | None = None
    confidence: str | None = None
    rival_claims: bool = False
    told_for_transfer: frozenset[str] = frozenset()
    taken_up: int = 0


@dataclass(frozen=True)
class DeclaredExperience:
    """An experience assertion: a city's level in a theme, in [0, 1], with its basis and date.

    `basis` is "declared" (by the city), "assessed" (by others) or "derived" (from records).
    """

    theme: str
    level: float
    basis: str | None = None
    stated_on: date | None = None


@dataclass(frozen=True)
class Availability:
    """What a city says about mentoring others. `taken` counts mentorships it runs now, as mentor.

    `consent` is True only where it is recorded; a statement without it is not used. Empty `themes`
    means any theme. `contact_role` names a role, never a person.
    """

    consent: bool
    quota: int | None = None
    taken: int = 0
    until: date | None = None
    themes: frozenset[str] = frozenset()
    working_languages: tuple[str, ...] = ()
    contact_role: Names = field(default_factory=dict)


@dataclass(frozen=True)
class CityFacts:
    """What is on record about a city that may mentor or be mentored.

    `languages` are its official ones (BCP 47); `population` counts inhabitants of the municipality;
    `foreign_born_share` is a fraction in [0, 1]. `programmes` and `networks` map ids to names.
    `mentored` maps ids of cities it has mentored to the mentorship's state. `association` is the name
    of its association of municipalities. `other_ids` are ids that mean the same city (merged records).
    """

    id: str
    name: Names
    alternative_names: tuple[str, ...] = ()
    other_ids: frozenset[str] = frozenset()
    country: str | None = None
    country_name: Names = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    population: int | None = None
    foreign_born_share: float | None = None
    practices: tuple[PracticeFacts, ...] = ()
    experience: tuple[DeclaredExperience, ...] = ()
    availability: Availability | None = None
    programmes: Names = field(default_factory=dict)
    networks: Names = field(default_factory=dict)
    mentored: Names = field(default_factory=dict)
    association: str | None = None

    @cached_property
    def practice(self) -> dict[str, PracticeFacts]:
        """Its practices by id."""
        return {practice.id: practice for practice in self.practices}

    @cached_property
    def practices_on(self) -> dict[str, tuple[PracticeFacts, ...]]:
        """Its practices by theme, so that a large city is not read whole for every need."""
        return practices_by_theme(self.practices)

    @cached_property
    def remembered(self) -> dict[str, Any]:
        """What matching has worked out of these facts, which never change, to use it for other needs."""
        return {}

    @cached_property
    def all_names(self) -> frozenset[str]:
        """Every name it is known by, folded for comparison."""
        return frozenset(fold_name(name) for name in (*self.name.values(), *self.alternative_names))

    @cached_property
    def ids(self) -> frozenset[str]:
        """Every id that means this city."""
        return self.other_ids | {self.id}


@dataclass(frozen=True)
class Mentee:
    """The city that asks: one on record (`Mentee.on_record`), or a profile it fills in itself.

    A profile may leave everything out. `working_languages` are those its people can work in;
    `languages` its official ones. `experience` is its own statement of levels per theme.
    """

    name: Names = field(default_factory=dict)
    ids: frozenset[str] = frozenset()
    alternative_names: tuple[str, ...] = ()
    country: str | None = None
    country_name: Names = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    working_languages: tuple[str, ...] = ()
    population: int | None = None
    foreign_born_share: float | None = None
    practices: tuple[PracticeFacts, ...] = ()
    experience: tuple[DeclaredExperience, ...] = ()
    programmes: Names = field(default_factory=dict)
    networks: Names = field(default_factory=dict)

    @classmethod
    def on_record(cls, city: CityFacts) -> Mentee:
        """The mentee as the records know it; its offer to mentor tells its working languages.

        >>> Mentee.on_record(CityFacts("jelgava", {"en": "Jelgava"}, country="LV")).ids
        frozenset({'jelgava'})
        """
        offer = city.availability
        return cls(
            name=city.name,
            ids=city.ids,
            alternative_names=city.alternative_names,
            country=city.country,
            country_name=city.country_name,
            languages=city.languages,
            working_languages=offer.working_languages if offer and offer.consent else (),
            population=city.population,
            foreign_born_share=city.foreign_born_share,
            practices=city.practices,
            experience=city.experience,
            programmes=city.programmes,
            networks=city.networks,
        )

    @cached_property
    def practices_on(self) -> dict[str, tuple[PracticeFacts, ...]]:
        """Its practices by theme."""
        return practices_by_theme(self.practices)

    @cached_property
    def remembered(self) -> dict[str, Any]:
        """What matching has worked out of these facts, which never change, to use it for other needs."""
        return {}

    @cached_property
    def all_names(self) -> frozenset[str]:
        """Every name it is known by, folded for comparison."""
        return frozenset(fold_name(name) for name in (*self.name.values(), *self.alternative_names))

    def is_city(self, city: CityFacts) -> bool:
        """Whether a city is the mentee itself: by id, or, for a profile without one, by name.

        Two towns of one name in different countries are different cities.

        >>> levadia = CityFacts("levadia", {"en": "Levadia"}, ("Λιβαδειά",), country="GR")
        >>> Mentee({"el": "ΛΙΒΑΔΕΙΑ"}).is_city(levadia)
        True
        >>> Mentee({"en": "Levadia"}, country="CY").is_city(levadia)
        False
        """
        if self.ids:
            return not self.ids.isdisjoint(city.ids)
        same_country = self.country is None or city.country is None or self.country == city.country
        return same_country and not self.all_names.isdisjoint(city.all_names)


def practices_by_theme(practices: Iterable[PracticeFacts]) -> dict[str, tuple[PracticeFacts, ...]]:
    """Practices by each theme they carry.

    >>> trees = PracticeFacts("trees", {}, frozenset({"heat"}))
    >>> [practice.id for practice in practices_by_theme([trees])["heat"]]
    ['trees']
    """
    found: dict[str, list[PracticeFacts]] = {}
    for practice in practices:
        for theme in practice.themes:
            found.setdefault(theme, []).append(practice)
    return {theme: tuple(carrying) for theme, carrying in found.items()}


def fold_name(name: str) -> str:
    """A name without case, diacritics or outer blanks, so that spellings of one name compare equal.

    >>> fold_name(" Málaga") == fold_name("MALAGA")
    True
    """
    decomposed = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@dataclass(frozen=True)
class Cited:
    """A practice that speaks for a city on one need.

    `score` is its share in the city's relevance before discount: similarity × weight of the tie.
    """

    practice: str
    title: Names
    similarity: float
    score: float
    tie: str | None
    passage: Passage | None


@dataclass(frozen=True)
class NeedAnswer:
    """What a city has for one need: `need` is its place in the request, counted from 0.

    `relevance` and `experience` are in [0, 1]; `experience` is None where nothing is on record.
    `practices` are its best ones, best first, none where the need is not met; `experienced` has the ids of those that
    the experience rests on, cited or not.
    """

    need: int
    relevance: float
    experience: float | None
    practices: tuple[Cited, ...]
    experienced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One factor of a suggestion, with the sentence that explains it in English and French.

    `value` is in [0, 1], None when unknown. `contribution` is its share of the utility (0 when
    unknown); contributions of all reasons add up to the utility. `stance` is "for", "against",
    "neutral" or "unknown".
    """

    factor: str
    label: Names
    known: bool
    value: float | None
    weight: float
    contribution: float
    stance: str
    text: Names


@dataclass(frozen=True)
class Unknown:
    """A fact that is missing: what it is, and whom to ask. Missing facts never count as bad.

    `whom` is "mentee", "mentor" or "association"; `ask` says it as a sentence.
    """

    factor: str
    whom: str
    text: Names
    ask: Names


@dataclass(frozen=True)
class Caution:
    """Something to keep in mind about a suggestion. `code` is stable; `practices` are those it is about, if any."""

    code: str
    text: Names
    practices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """A city put forward as mentor, with everything that led there.

    `rank` counts from 1. `band` is a stable name, `band_label` its words: neither is a percentage.
    `utility` and `coverage` (weight of the known factors ÷ weight of all) are in [0, 1]; show rank and
    band to people, and coverage beside any use of the utility. `reasons` has every factor, largest
    contribution first; `against` the sentences of those that speak against.
    """

    city: str
    rank: int
    band: str
    band_label: Names
    utility: float
    coverage: float
    needs: tuple[NeedAnswer, ...]
    reasons: tuple[Reason, ...]
    against: tuple[Names, ...]
    unknowns: tuple[Unknown, ...]
    cautions: tuple[Caution, ...]
