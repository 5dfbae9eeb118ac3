"""How often the first city of a suggestion has done what was asked for, by the band that it is shown with.

    python bench/bands.py [DATA_FOLDER]

Needs are the names of all themes that a practice has, in four languages, and the problems of all practices, in the language of
the record. The first city is right where a practice of its own has the theme or a narrower one; for a problem, where it has
one of the themes of the practice that answered it. Problems find their own practices easily, so the figures tell bands
apart; they do not tell how useful a suggestion is.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kg.catalogue import Catalogue
from kg.records import from_ntriples
from kg.views import is_shown

LANGUAGES = ("en", "fr", "es", "de")
BANDS = ("strong", "good", "possible", "weak")


def main() -> None:
    with Catalogue.open(Path(sys.argv[1] if len(sys.argv) > 1 else "data")) as catalogue:
        shown = [one for one in catalogue.ledger.published_revisions() if is_shown(one)]
        records = [from_ntriples(one.payload or "", catalogue.base) for one in shown]
        practices = [one for one in records if one["kind"] == "practice"]
        themes = {one["id"]: one for one in records if one["kind"] == "theme"}
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for sort, text, language, right in needs(practices, themes):
            answer = catalogue.suggest_mentors({"needs": [{"text": text, "language": language}], "limit": 1})
            for first in answer["suggestions"]:
                counts[sort][first["band"]] += 1
                counts[sort][f"{first['band']} right"] += first["city"]["id"] in right
            counts[sort]["nobody"] += not answer["suggestions"]
    print("| needs | n | nobody | " + " | ".join(f"{band}: right" for band in BANDS) + " |")
    print("|---|---:|---:|" + "---:|" * len(BANDS))
    for sort, found in {**counts, "all": sum(counts.values(), Counter())}.items():
        cells = [shown_share(found[f"{band} right"], found[band]) for band in BANDS]
        asked = sum(found[band] for band in BANDS) + found["nobody"]
        print(f"| {sort} | {asked} | {found['nobody']} | " + " | ".join(cells) + " |")


def needs(
    practices: list[Mapping[str, Any]], themes: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, str, set[str]]]:
    """Each need: its sort, text and language, and the cities that have done it."""
    cities: dict[str, set[str]] = defaultdict(set)
    for practice in practices:
        for theme in practice.get("themes", ()):
            for covered in {theme, *above(theme, themes)}:
                cities[covered].add(practice.get("city", ""))
    for theme in sorted(cities.keys() & themes.keys()):
        for language in LANGUAGES:
            if language in themes[theme]["label"]:
                yield "names of themes", themes[theme]["label"][language], language, cities[theme]
    for practice in practices:
        for language, text in list(practice.get("problem", {}).items())[:1]:
            same = set().union(*(cities[theme] for theme in practice.get("themes", ())))
            yield "problems of practices", text, language, same


def above(theme: str, themes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The themes that a theme is a narrower one of."""
    while theme := themes.get(theme, {}).get("broader", ""):
        yield theme


def shown_share(right: int, of: int) -> str:
    return f"{right} of {of} ({right / of:.0%})" if of else "–"


if __name__ == "__main__":
    main()
