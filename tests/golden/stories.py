"""Golden needs: what should come up and what not, held against a ranking, and told as a story where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

NEEDS = Path(__file__).parent / "needs.yaml"
KEYS = {"city", "within", "below", "margin", "why", "known_failure"}

Suggested = Sequence[Mapping[str, Any]]
"""Suggestions as an answer has them, best first."""


@dataclass(frozen=True)
class Expectation:
    """One city that should, or should not, come up: among the first `within`, or `margin` below the city `below`."""

    city: str
    wanted: bool
    why: str
    within: int | None = None
    below: str | None = None
    margin: float = 0.0
    known_failure: str | None = None

    def holds(self, told: Suggested) -> bool:
        rank = rank_of(self.city, told)
        if self.within is not None:
            return (rank is not None and rank <= self.within) == self.wanted
        other = rank_of(self.below or "", told)
        if rank is None or other is None:
            return rank is None
        return utility(told, other) - utility(told, rank) >= self.margin

    def sentence(self) -> str:
        if self.within is None:
            return f"{self.city} should lie {self.margin} or more below {self.below}"
        return f"{self.city} should {'' if self.wanted else 'not '}be among the first {self.within}"


@dataclass(frozen=True)
class Golden:
    """A need, and what is expected of its answer."""

    id: str
    language: str
    need: str
    mentee: str | None
    expectations: tuple[Expectation, ...] = field(default=())


def read_needs(path: Path = NEEDS) -> list[Golden]:
    """All needs of the file, each with at least one city that should and one that should not come up."""
    found = []
    for one in yaml.safe_load(path.read_text(encoding="utf-8")):
        assert set(one) <= {"id", "language", "need", "mentee", "should", "should_not"}, one["id"]
        expectations = [_expectation(said, key == "should") for key in ("should", "should_not") for said in one[key]]
        found.append(Golden(one["id"], one["language"], one["need"], one.get("mentee"), tuple(expectations)))
    return found


def _expectation(said: Mapping[str, Any], wanted: bool) -> Expectation:
    assert set(said) <= KEYS, said
    assert ("within" in said) != ("below" in said and "margin" in said), said
    assert "within" in said or not wanted, said
    return Expectation(wanted=wanted, **said)


def rank_of(city: str, told: Suggested) -> int | None:
    return next((one["rank"] for one in told if one["city"]["id"] == city), None)


def utility(told: Suggested, rank: int) -> float:
    return float(told[rank - 1]["utility"])


def verdict(golden: Golden, answer: Mapping[str, Any]) -> str | None:
    """None where all is as the file says; else the story of every expectation that fails, or no longer fails."""
    told = answer["suggestions"]
    stories = []
    for one in golden.expectations:
        if one.holds(told) == (one.known_failure is None):
            continue
        if one.known_failure is not None:
            stories.append(f"{one.sentence()}, and now it is so. Take its known_failure out of needs.yaml.")
        else:
            stories.append(_story(one, told))
    return "\n\n".join([_opening(golden, answer), *stories]) if stories else None


def _opening(golden: Golden, answer: Mapping[str, Any]) -> str:
    read = answer["needs"][0]
    asker = golden.mentee or "A city"
    themes = ", ".join(f"{theme['id']} ({', '.join(theme['words'])})" for theme in read["themes"]) or "no theme"
    first = [f"  {one['rank']}. {_shown(one)}" for one in answer["suggestions"][:5]]
    return "\n".join(
        [
            f"{golden.id}: {asker} asked:",
            f"  {golden.need}",
            f"It was read as {read['language']}, with {themes}. Up came:",
            *first,
        ]
    )


def _shown(one: Mapping[str, Any]) -> str:
    practices = "; ".join(f"{practice['title']} {practice['similarity']:.2f}" for practice in one["practices"])
    return f"{one['city']['id']} ({one['band']}, {one['utility']:.3f}): {practices}"


def _story(one: Expectation, told: Suggested) -> str:
    """What was expected and why, where the city was, and which factor put it there."""
    lines = [f"But {one.sentence()}: {one.why}"]
    rank = rank_of(one.city, told)
    if rank is None:
        return "\n".join([*lines, f"  {one.city} did not come up at all."])
    lines.append(f"  {one.city} came at rank {rank}: {_shown(told[rank - 1])}")
    other = one.below or (told[0] if rank > 1 else told[1 % len(told)])["city"]["id"]
    beside = rank_of(other, told)
    if beside is None:
        return "\n".join([*lines, f"  {other} did not come up at all."])
    pulls = sorted(_pulls(told[rank - 1], told[beside - 1]), key=lambda pull: -abs(pull[1]))
    said = ", ".join(f"{factor} {difference:+.3f}" for factor, difference in pulls[:3] if difference)
    return "\n".join([*lines, f"  Beside {other} (rank {beside}) what counted: {said or 'nothing'}."])


def _pulls(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, float]]:
    """How much more each factor gave to the first than to the second."""
    theirs = {reason["factor"]: reason["contribution"] for reason in other["reasons"]}
    return [(reason["factor"], reason["contribution"] - theirs.get(reason["factor"], 0.0)) for reason in one["reasons"]]


def known_failures(needs: Sequence[Golden]) -> list[tuple[str, Expectation]]:
    return [(golden.id, one) for golden in needs for one in golden.expectations if one.known_failure]
