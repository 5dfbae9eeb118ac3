"""How close a practice is to a need: signals, the constants that map them to [0, 1], and their weighted sum.

Pure. A similarity depends on the need, the practice and the profile, and on how many practices use a word; never on
which other practices are listed beside it.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import mul
from typing import Literal

from kg.search.text import terms, words

Situation = Literal["read", "bridged", "unbridged"]
"""How well the model reads a need: in a language it knows, through theme labels of another, or hardly."""

SIGNALS = ("dense", "bm25", "beginnings", "themes")
DECIMALS = 5

BEGINNING_LETTERS = 5


@dataclass(frozen=True)
class Filters:
    """Which practices may come up; an empty set or None asks for nothing.

    `themes` include their narrower ones. A practice of a city whose population is not on record meets neither
    `population_min` nor `population_max`. `exclude_cities` holds for the city that runs the practice. `practices`
    are the only ones asked about.
    """

    countries: frozenset[str] = frozenset()
    themes: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    population_min: int | None = None
    population_max: int | None = None
    exclude_cities: frozenset[str] = frozenset()
    exclude_practices: frozenset[str] = frozenset()
    practices: frozenset[str] = frozenset()
    collections: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Weights:
    """How much each signal counts, no unit; only their proportions matter."""

    dense: float
    bm25: float
    beginnings: float
    themes: float


@dataclass(frozen=True)
class Profile:
    """The constants of ranking, for one embedding model. Plain numbers, so it can be stored as JSON.

    `dense_floor` and `dense_ceiling` are the cosines that count as 0 and 1: unrelated texts of all-MiniLM-L6-v2 lie
    around .1, near copies above .9. BM25 has its usual k1 and b; `*_length` are the numbers of words, with their pairs,
    and of beginnings that count as normal, fixed so that a practice's vector does not change when others are added.
    `depth` is how many candidates each signal puts forward, `kept` how many practices get exact scores.
    `meant` is how near a theme lies, on the same scale as the cosines, that a need means (a cosine of .4 with the bundled
    model); `meant_share` is what that counts where no word names it, `sure` the strength from which words alone are
    enough. See `meant_themes`.

    The weights come from the development set of 412 needs over 1,814 practices and from our own graph, before BM25
    counted pairs. They are round numbers on a plateau, not a maximum. nDCG@10 there by weights of dense : BM25 : beginnings, for
    English needs (problem → practice, objective → project, across languages) and others (the first and the last):

        1:0:0       .57 .31 .24     .70 .15        .8:1:1      .79 .37 .27     .89 .30
        0:1:0       .77 .36 .20     .88 .27        .8:1.5:1.5  .80 .37 .28     .89 .33
        0:0:1       .73 .34 .39     .87 .44        .4:1:4      .79 .35 .38     .87 .42

    Choosing among 66 proportions by fivefold cross-validation, types weighing the same, gives beginnings most of the
    weight (all needs: .81 .35 .41; these weights: .81 .37 .39) and loses on objectives, whose words are those of
    administrations. On our own graph (79 practices, a practice's problem as need, practices that share its themes as
    relevant) English does best with dense and BM25 alike and beginnings half (.294; dense .287, BM25 .257), theme names
    in French, German and Italian with mostly beginnings (.38 .33 .37; dense .24 .21 .21). Weights of needs that theme
    labels bridge, and those of themes, are set by hand: the development set has no themes of ours.
    """

    version: str = "3"
    dense_floor: float = 0.1
    dense_ceiling: float = 0.9
    k1: float = 1.2
    b: float = 0.75
    words_length: float = 240.0
    beginnings_length: float = 100.0
    read: Weights = field(default_factory=lambda: Weights(dense=0.8, bm25=1.5, beginnings=1.5, themes=0.6))
    bridged: Weights = field(default_factory=lambda: Weights(dense=0.8, bm25=1.0, beginnings=2.0, themes=1.2))
    unbridged: Weights = field(default_factory=lambda: Weights(dense=0.4, bm25=1.0, beginnings=4.0, themes=1.2))
    meant: float = 0.375
    meant_share: float = 0.5
    sure: float = 0.4
    depth: int = 150
    kept: int = 200

    def weights(self, situation: Situation) -> Weights:
        """The weights for a need that is read in this way.

        >>> Profile().weights("read").dense
        0.8
        """
        return {"read": self.read, "bridged": self.bridged, "unbridged": self.unbridged}[situation]

    def dense(self, cosine: float) -> float:
        """A cosine mapped to [0, 1].

        >>> Profile().dense(0.1), round(Profile().dense(0.5), 6), Profile().dense(1.0)
        (0.0, 0.5, 1.0)
        """
        return _clip((cosine - self.dense_floor) / (self.dense_ceiling - self.dense_floor))

    def only(self, signal: str) -> Profile:
        """This profile with one signal alone, for comparison.

        >>> Profile().only("bm25").weights("bridged")
        Weights(dense=0.0, bm25=1.0, beginnings=0.0, themes=0.0)
        """
        alone = Weights(**{name: float(name == signal) for name in SIGNALS})
        return Profile(**{**self.__dict__, "read": alone, "bridged": alone, "unbridged": alone})


def profile_for(identity: str) -> Profile:
    """The profile for a model by its identity: the default one, with the floor of cosines that models differ in most.

    Models of the E5 family place all texts within cosines of about .7 to 1 (https://arxiv.org/abs/2212.03533,
    trained at a temperature of .01); without a floor their dense signal would be nearly constant.

    >>> profile_for("all-MiniLM-L6-v2 53aa51").dense_floor, profile_for("multilingual-e5-small 1f2e").dense_floor
    (0.1, 0.7)
    """
    name = identity.lower().replace("_", "-")
    return Profile(dense_floor=0.7, dense_ceiling=1.0) if "e5-" in name else Profile()


def situation_of(language: str, *, multilingual: bool, bridged: bool) -> Situation:
    """How well a need is read: `bridged` says whether labels of themes were found in it.

    >>> situation_of("en", multilingual=False, bridged=True), situation_of("lv", multilingual=False, bridged=True)
    ('read', 'bridged')
    >>> situation_of("lv", multilingual=True, bridged=False), situation_of("lv", multilingual=False, bridged=False)
    ('read', 'unbridged')
    """
    if multilingual or language.partition("-")[0].lower() == "en":
        return "read"
    return "bridged" if bridged else "unbridged"


# ------------------------------------------------------------------------------------------- words


def word_counts(texts: Iterable[tuple[str, str | None]], *, pairs: bool = True) -> Counter[int]:
    """How often each stem, and each pair of neighbouring stems, occurs in texts, each given with its language.

    Stems and pairs are numbered by a hash. On the development set the pairs raise nDCG@10 of objectives from .368 to
    .378 and across languages from .532 to .542. Without `pairs` for what is a list of labels and no running text.

    >>> counts = word_counts([("The schools of our city", "en"), ("a school", "en")])
    >>> sorted(counts.values())
    [1, 1, 2]
    """
    counts: Counter[int] = Counter()
    for text, language in texts:
        stems = terms(text, language)
        counts.update(_number("word", stem) for stem in stems)
        if pairs:
            counts.update(_number("pair", f"{first} {second}") for first, second in pairwise(stems))
    return counts


def beginning_counts(texts: Iterable[str]) -> Counter[int]:
    """How often each beginning of five letters occurs, of words that have at least five.

    The cheapest form of character n-grams, and on the development set the best across languages: European
    administrations share the beginnings of their words (participation, Partizipation, participación), and short
    words are those a language keeps for itself. nDCG@10 across languages alone: .43; all 3- to 5-grams, with ten
    times as many numbers, .18 over whole practices and .27 over passages; stems .25, whole words .09.

    >>> beginning_counts(["Participation of all"]) == beginning_counts(["Participación"])
    True
    """
    return Counter(
        _number("beginning", word[:BEGINNING_LETTERS])
        for text in texts
        for word in words(text)
        if len(word) >= BEGINNING_LETTERS
    )


def saturated(counts: Mapping[int, int], normal_length: float, profile: Profile) -> dict[int, float]:
    """What each word weighs in a practice, by BM25 without the rarity of words, scaled to lie below 1.

    >>> weights = saturated({1: 1, 2: 5}, 6.0, Profile())
    >>> [round(weights[word], 3) for word in (1, 2)]
    [0.455, 0.806]
    """
    length = sum(counts.values())
    slack = profile.k1 * (1 - profile.b + profile.b * length / normal_length)
    return {word: count / (count + slack) for word, count in counts.items()}


def rarity(total: int, using: int) -> float:
    """BM25's weight of a word that `using` of `total` practices use: above 0, more for rare words.

    >>> rarity(100, 1) > rarity(100, 50) > rarity(100, 100) > 0
    True
    """
    return math.log(1 + (total - using + 0.5) / (using + 0.5))


def asked(counts: Mapping[int, int], using: Mapping[int, int], total: int) -> dict[int, float]:
    """What each word of a need asks for, as shares of 1; words that no practice uses are left out.

    With `saturated` on the other side, their product is BM25 divided by its upper bound for this need.

    >>> asked({1: 1, 2: 1, 3: 1}, {1: 5, 2: 5}, 10)
    {1: 0.5, 2: 0.5}
    """
    wanted = {word: count * rarity(total, using[word]) for word, count in counts.items() if using.get(word)}
    whole = sum(wanted.values())
    return {word: value / whole for word, value in wanted.items()}


def _number(kind: str, term: str) -> int:
    """A term's number in a space of 32 bits, which is what the engine takes; the same on every machine."""
    return zlib.crc32(f"{kind}:{term}".encode())


# ------------------------------------------------------------------------------------------ themes

MOST_BY_MEANING = 4
"""Themes that no word of a need names, and that it means."""

LEAST_MEANT = 0.1
"""Below this a theme that words led to is not what the need is about, and is not told."""


def meant_themes(
    named: Mapping[str, float], nearness: Mapping[str, float], profile: Profile, *, chosen: bool = False
) -> dict[str, float]:
    """The themes of a need that the model reads, with their strength, strongest first.

    A theme that words led to (`named`, with its strength) counts as far as the whole need means it: wholly where it lies
    `profile.meant` near, else in proportion. "Schools" in a need on rumours leads to education, which the need as a
    whole is far from. Where no theme reaches `profile.sure` so, and nobody has `chosen` any, up to four themes
    count that the need means without naming them, by `profile.meant_share` of their nearness.

    `nearness` tells how near the need lies to each theme in meaning, in [0, 1] (`Profile.dense`). A theme that it leaves
    out has no English label to be compared by, and keeps its strength: unknown is not far.

    Equal strengths are ordered by nearness, then by identifier.

    >>> near = {"education": 0.075, "rumours": 0.6, "racism": 0.45}
    >>> meant_themes({"education": 1.0}, near, Profile())
    {'rumours': 0.3, 'racism': 0.225, 'education': 0.2}
    >>> meant_themes({"education": 1.0, "racism": 1.0}, near, Profile())
    {'racism': 1.0, 'education': 0.2}
    """
    strengths = {
        theme: strength * min(1.0, nearness.get(theme, profile.meant) / profile.meant)
        for theme, strength in named.items()
    }
    if not chosen and max(strengths.values(), default=0.0) < profile.sure:
        meant = [theme for theme, near in nearness.items() if near >= profile.meant and theme not in named]
        nearest = sorted(meant, key=lambda theme: (-nearness[theme], theme))[:MOST_BY_MEANING]
        strengths.update((theme, profile.meant_share * nearness[theme]) for theme in nearest)
    kept = {theme: round(strength, DECIMALS) for theme, strength in strengths.items() if strength >= LEAST_MEANT}
    return dict(sorted(kept.items(), key=lambda one: (-one[1], -nearness.get(one[0], 0.0), one[0])))


class ThemeMatching:
    """The themes of one need, to be compared with those of many practices.

    What each theme of a practice is worth to the need is worked out once: the practices that meet a need share themes.
    """

    def __init__(self, wanted: Mapping[str, float], closeness: Callable[[str, str], float]) -> None:
        """`wanted` gives each theme's strength in the need, `closeness` how near two themes are, in [0, 1]."""
        self._wanted, self._closeness = wanted, closeness
        self._strengths = tuple(wanted.values())
        self._whole = sum(self._strengths)
        self._squares: dict[str, tuple[float, ...]] = {}

    def match(self, carried: Sequence[str]) -> float | None:
        """How well a practice's themes meet those of the need, in [0, 1]; None where either has none.

        Each theme of the need counts by its strength, with the closeness of the nearest theme that the practice
        carries, squared: another theme below the same broader one says little.

        >>> tree = {("a", "a"): 1.0, ("b", "a"): 0.5}
        >>> ThemeMatching({"a": 1.0, "b": 1.0}, lambda x, y: tree.get((x, y), 0.0)).match(["a"])
        0.625
        >>> ThemeMatching({}, lambda x, y: 1.0).match(["a"]) is None
        True
        """
        if not carried or self._whole <= 0:
            return None
        squares = [self._squares.get(theme) or self._squared(theme) for theme in carried]
        nearest = squares[0] if len(squares) == 1 else map(max, *squares)
        return _clip(sum(map(mul, self._strengths, nearest)) / self._whole)

    def _squared(self, theme: str) -> tuple[float, ...]:
        self._squares[theme] = tuple(self._closeness(other, theme) ** 2 for other in self._wanted)
        return self._squares[theme]


# --------------------------------------------------------------------------------------------- sum


def similarity(signals: Mapping[str, float | None], weights: Weights) -> float:
    """The weighted mean of the signals that are known, in [0, 1], rounded to five places.

    A signal that is None is unknown and counts neither for nor against.

    >>> similarity({"dense": 0.5, "bm25": 0.25, "themes": None}, Weights(1, 1, 1, 1))
    0.375
    """
    known = [(getattr(weights, name), value) for name, value in signals.items() if value is not None]
    whole = sum(weight for weight, _ in known)
    return round(_clip(sum(weight * value for weight, value in known) / whole), DECIMALS) if whole > 0 else 0.0


def weighing(weights: Weights) -> Callable[[float, float, float, float | None], float]:
    """`similarity` for many practices of one need, whose signals but the themes are known; the same numbers.

    >>> weighing(Weights(1, 1, 1, 1))(0.5, 0.25, 0.0, None)
    0.25
    """
    dense_weight, bm25_weight, beginnings_weight, themes_weight = (getattr(weights, name) for name in SIGNALS)
    without_themes = dense_weight + bm25_weight + beginnings_weight
    whole = without_themes + themes_weight

    def weigh(dense: float, bm25: float, beginnings: float, themes: float | None) -> float:
        met = dense_weight * dense + bm25_weight * bm25 + beginnings_weight * beginnings
        if themes is None:
            return round(_clip(met / without_themes), DECIMALS) if without_themes > 0 else 0.0
        return round(_clip((met + themes_weight * themes) / whole), DECIMALS) if whole > 0 else 0.0

    return weigh


def shortlist(
    found: Mapping[int, Mapping[str, float]],
    bounds: Mapping[str, float],
    profile: Profile,
    situation: Situation,
    kept: int,
) -> list[int]:
    """The candidates that may still come out first, at most `kept`, best first.

    `found` has each candidate's cosine ("dense") and its shares of the need's "words" and "beginnings" as far as they
    are known; one that is missing is at most its value in `bounds`, the last one that its list still showed, and 0
    where the list was complete. Themes may meet the need wholly.

    >>> shortlist({7: {"dense": 0.2}, 8: {"dense": 0.9}}, {"words": 0.1}, Profile(), "read", kept=1)
    [8]
    """
    weights, mapped = profile.weights(situation), profile.dense
    dense_weight, words_weight, beginnings_weight = weights.dense, weights.bm25, weights.beginnings
    least = mapped(bounds["dense"]) if "dense" in bounds else 0.0
    words, beginnings = bounds.get("words", 0.0), bounds.get("beginnings", 0.0)
    ordered = []
    for key, signals in found.items():
        cosine = signals.get("dense")
        met = (
            dense_weight * (least if cosine is None else mapped(cosine))
            + words_weight * signals.get("words", words)
            + beginnings_weight * signals.get("beginnings", beginnings)
        )
        ordered.append((-(met + weights.themes), key))
    return [key for _, key in sorted(ordered)[:kept]]


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
