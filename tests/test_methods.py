"""The page on methods says what the code does: every constant with its value, every voting model, the golden rankings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from kg.matching.aggregation import MODELS
from kg.matching.factors import FACTORS
from kg.matching.profile import Profile
from kg.matching.profiles import BUILT_IN
from kg.search import ranking
from tests.golden.stories import known_failures, read_needs

PAGE = (Path(__file__).resolve().parents[1] / "docs/methods.md").read_text(encoding="utf-8")


def table(first_column: str) -> list[list[str]]:
    """The rows of the table whose first heading is this, heading included, cells without backticks."""
    found = re.search(rf"(?m)^\| {first_column} \|.*\n\|[-:| ]+\|\n(?:\|.*\n)+", PAGE)
    assert found, first_column
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in found[0].splitlines()]
    return [rows[0], *rows[2:]]


def constants(profile: Profile) -> dict[str, str]:
    """The constants of a profile as the page writes them, by dotted names."""
    told: dict[str, str] = {}
    for field in fields(profile):
        value = getattr(profile, field.name)
        if field.name in ("name", "version", "label", "changed"):
            continue
        if field.name == "bands":
            told |= {f"bands.{band.name}": f"{band.utility:g} / {band.relevance:g}" for band in value}
        elif isinstance(value, Mapping):
            told |= {f"{field.name}.{key}": f"{one:g}" for key, one in value.items()}
        else:
            told[field.name] = "–" if value is None else f"{value:g}"
    return told


def test_every_constant_of_matching_stands_there_with_its_value() -> None:
    heading, *rows = table("constant")
    assert heading[1:] == list(BUILT_IN)
    for place, profile in enumerate(BUILT_IN.values(), start=1):
        assert {row[0]: row[place] for row in rows} == constants(profile)


def test_every_constant_of_search_stands_there_with_its_value() -> None:
    _, *rows = table("search constant")
    told: dict[str, str] = {}
    for key, value in asdict(ranking.Profile()).items():
        if isinstance(value, dict):
            told |= {f"{key}.{name}": f"{one:g}" for name, one in value.items()}
        elif key != "version":
            told[key] = f"{value:g}"
    assert dict(rows) == told


def test_every_factor_signal_and_voting_model_is_named() -> None:
    assert [row[0] for row in table("factor")[1:]] == list(FACTORS)
    assert [row[0] for row in table("signal")[1:]] == list(ranking.SIGNALS)
    assert all(f"`{model}`" in PAGE for model in MODELS)


def test_the_golden_rankings_are_counted_as_they_are() -> None:
    needs = read_needs()
    language = {golden.id: golden.language for golden in needs}
    asked = Counter(golden.language for golden in needs)
    wanted = Counter(golden.language for golden in needs for one in golden.expectations if one.wanted)
    failing = Counter(language[id] for id, _ in known_failures(needs))
    _, *rows = table("language")
    assert {row[0]: tuple(map(int, row[1:])) for row in rows} == {
        code: (asked[code], wanted[code], failing[code]) for code in asked
    }
    assert all(one.wanted for _, one in known_failures(needs))
    unwanted = sum(not one.wanted for golden in needs for one in golden.expectations)
    assert f"All {unwanted}\nexpectations of what should not come up hold." in PAGE
    assert f"Of {wanted.total()} of what should, {wanted.total() - failing.total()} hold;" in PAGE
