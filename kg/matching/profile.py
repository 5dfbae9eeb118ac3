"""The constants of matching, in one documented and versioned profile that every answer names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from kg.errors import BadRequest, quoted

HIGHEST_WEIGHT = 1000.0
"""Above it a weight says nothing that a smaller one would not; the limit keeps sums finite."""


def _constants(**values: float) -> Mapping[str, float]:
    """A mapping that nobody can change by accident; underscores become hyphens, as in notations."""
    return MappingProxyType({name.replace("_", "-"): value for name, value in values.items()})


@dataclass(frozen=True)
class Band:
    """A named class of suggestions: those that reach both this utility and this relevance."""

    name: str
    utility: float
    relevance: float


@dataclass(frozen=True)
class Profile:
    """Weights, half-life and thresholds of a ranking. DESIGN section 6 and DOMAIN 2.3, 2.4 are their source.

    `weights`: how much each factor counts, any unit, 0 or more. Evidence and freshness act through
    experience; at weight 0 they are shown and do not count twice, and a request may raise them. Transferability
    is at 0 because few records tell it (3 of the 79 that start the graph name conditions).
    `ties`: how far a practice is a city's own, in [0, 1]. A tie that is not stated counts as own: the
    record names the city as the place of practice, and unknown never counts as bad.
    `evidence`: how far a kind of evidence is relied on, in [0, 1]. `bases`: the same for a statement of
    experience that has no practice behind it: assessed by others as an evaluation, derived from records
    as counts of outcomes, declared by the city as counts of activities.
    `usual_evidence`, `usual_freshness`: stand in where a record does not say: the means of the known
    ones over the starting data in 2026. `experience.usual_values` measures them on other data.
    `half_life_years`: the age at which a practice counts half.
    `best` and `discount`: m and γ of the discounted sum over a city's best practices.
    `theme_power`: how steeply experience with a theme counts less the less surely the need means it beside its surest
    theme; 0 counts every theme whole. From 1.5 to 3 the starting data say the same (docs/methods.md has the trials).
    `least_sure`: how surely a need must mean a theme, in [0, 1], for the mentee's own records on it to tell its level.
    A theme that the words name has 1; those found by accident in needs of the starting data ("who arrived last year" led
    to reception) have .25 to .4. A judgement, not learnt.
    `full_gap`: the difference of levels from which on a larger gap adds nothing, in (0, 1].
    `best_gap`: the difference of levels that is best, in [0, 1], where cities are to learn from each other as peers;
    a gap that lies `full_gap` from it counts 0. None: the larger the better, as mentoring wants it.
    `size_ratio`: ratio of populations from which on two cities count as wholly different in size.
    `share_range`: the same as a difference of foreign-born shares.
    `context`: weights of the parts of context.
    `lowest_similarity`: a practice less close to a need is not cited for it; a city that has none closer
    is never suggested.
    `least_meaning`: a need that no practice comes this close to by meaning alone is met by single words; who is
    suggested for such needs alone is "weak". Of 47 made-up texts outside the field, such as a poem about love, 29 lie
    below, of 17 needs of a city one, which no record meets either (`bench/far_needs.py`).
    `candidates`: how many of the most relevant cities are weighed in full.
    `bands`: best first; a suggestion that reaches none of them is "weak". Set on the starting data, with
    theme names in four languages and the problems of practices as needs (391 first places, `bench/bands.py`): of those
    called strong 91 % were of a city with such a practice, of good 92 %, of possible 84 %, of weak 65 %.
    `changed`: names of the weights that a request has set.
    `label`: what the profile is for, in English and French.
    """

    name: str = "mentoring"
    version: str = "2"
    label: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType(
            {
                "en": "A city with clearly more experience accompanies one that begins.",
                "fr": "Une ville nettement plus expérimentée accompagne une ville qui débute.",
            }
        )
    )
    weights: Mapping[str, float] = field(
        default_factory=lambda: _constants(
            relevance=0.50,
            experience=0.15,
            gap=0.10,
            context=0.10,
            language=0.05,
            capacity=0.05,
            trust=0.05,
            evidence=0.0,
            freshness=0.0,
            transferability=0.0,
        )
    )
    ties: Mapping[str, float] = field(default_factory=lambda: _constants(own=1.0, partner=0.6, located=0.4))
    evidence: Mapping[str, float] = field(
        default_factory=lambda: _constants(
            independent_evaluation=0.9, outcome_counts=0.7, label_or_award=0.6, activity_counts=0.5, none=0.3
        )
    )
    bases: Mapping[str, float] = field(default_factory=lambda: _constants(assessed=0.9, derived=0.7, declared=0.5))
    usual_evidence: float = 0.59
    usual_freshness: float = 0.42
    half_life_years: float = 6.0
    best: int = 3
    discount: float = 0.5
    theme_power: float = 2.0
    least_sure: float = 0.4
    full_gap: float = 0.5
    best_gap: float | None = None
    size_ratio: float = 100.0
    share_range: float = 0.5
    context: Mapping[str, float] = field(default_factory=lambda: _constants(size=0.6, country=0.2, migration=0.2))
    lowest_similarity: float = 0.1
    least_meaning: float = 0.2
    candidates: int = 100
    bands: tuple[Band, ...] = (Band("strong", 0.42, 0.38), Band("good", 0.32, 0.28), Band("possible", 0.22, 0.16))
    changed: tuple[str, ...] = ()

    def with_weights(self, overrides: Mapping[str, object]) -> Profile:
        """The same profile with some weights set by a request.

        Raises BadRequest for a name that is no factor, for a weight that is not a number from 0 to
        1000, and for relevance 0, which would leave the need out of the answer.

        >>> profile = Profile().with_weights({"language": 0.2})
        >>> profile.weights["language"], profile.weights["gap"], profile.changed
        (0.2, 0.1, ('language',))
        >>> Profile().with_weights({"distance": 1})
        Traceback (most recent call last):
        kg.errors.BadRequest: weight 'distance': no such factor; there are relevance, experience, gap,
            context, language, capacity, trust, evidence, freshness, transferability
        """
        checked = {name: self._checked(name, weight) for name, weight in overrides.items()}
        changed = {name for name, weight in checked.items() if weight != self.weights[name]}
        weights = MappingProxyType({**self.weights, **checked})
        return replace(self, weights=weights, changed=tuple(sorted(changed.union(self.changed))))

    def _checked(self, name: str, weight: object) -> float:
        if name not in self.weights:
            raise BadRequest(
                {
                    "en": f"weight {quoted(name)}: no such factor; there are {', '.join(self.weights)}",
                    "fr": f"poids {quoted(name)} : ce facteur n’existe pas ; il y a {', '.join(self.weights)}",
                }
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise BadRequest(
                {
                    "en": f"weight {quoted(name)}: {quoted(weight)} is not a number",
                    "fr": f"poids {quoted(name)} : {quoted(weight)} n’est pas un nombre",
                }
            )
        if not 0 <= weight <= HIGHEST_WEIGHT:
            raise BadRequest(
                {
                    "en": f"weight {quoted(name)}: {quoted(weight)} is not between 0 and {HIGHEST_WEIGHT:.0f}",
                    "fr": f"poids {quoted(name)} : {quoted(weight)} n’est pas compris entre 0 et {HIGHEST_WEIGHT:.0f}",
                }
            )
        if name == "relevance" and weight == 0:
            raise BadRequest(
                {
                    "en": "weight 'relevance': it must be above 0, or the answer would not depend on the need",
                    "fr": "poids 'relevance' : il doit être supérieur à 0, sinon la réponse ne dépendrait pas du besoin",
                }
            )
        return float(weight)

    def hears(self, nearest: float | None) -> bool:
        """Whether a need is met by more than single words; `nearest` as `NeedHits` has it.

        >>> Profile().hears(0.2), Profile().hears(0.1), Profile().hears(None)
        (True, False, True)
        """
        return nearest is None or nearest >= self.least_meaning

    def band(self, utility: float, relevance: float, *, guessed: bool = False) -> str:
        """The name of the first band whose two thresholds are reached; "weak" when none is. Words that only look alike
        reach the last of them at best (`guessed`).

        >>> Profile().band(0.35, 0.45), Profile().band(0.7, 0.05)
        ('good', 'weak')
        >>> Profile().band(0.7, 0.7), Profile().band(0.7, 0.7, guessed=True)
        ('strong', 'possible')
        """
        open_bands = self.bands[-1:] if guessed else self.bands
        reached = (band.name for band in open_bands if utility >= band.utility and relevance >= band.relevance)
        return next(reached, "weak")

    @cached_property
    def highest_sum(self) -> float:
        """The discounted sum of a city whose best practices all score 1; divides sums into [0, 1].

        >>> Profile().highest_sum
        1.75
        """
        return math.fsum(self.discount**place for place in range(self.best))
