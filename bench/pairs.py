"""Where the real mentor of each IncluCities pair comes up, with the pair's theme as need. Shown as it is, not tuned.

    python bench/pairs.py [DATA_FOLDER]

Trust is left out (weight 0): the shared programme and the mentorship itself are on record and would
tell the answer. Practices of the mentee's own, which came out of the mentorship, are not cited to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kg.catalogue import Catalogue

PAIRS = [
    (
        "capaci",
        "mechelen",
        "How to build a vision of a city for all?",
        "Comment construire la vision d'une ville pour tous ?",
    ),
    (
        "saint-jean-de-la-ruelle",
        "brussels",
        "Strategic assessment of the needs of migrant residents, with a gender-sensitive approach",
        "Évaluation stratégique des besoins des habitants migrants, avec une approche sensible au genre",
    ),
    (
        "levadia",
        "fuenlabrada",
        "Mobilising citizens to develop tools for decent employment and entrepreneurship for migrants and refugees",
        "Mobiliser les habitants pour développer l'emploi décent et l'entrepreneuriat des migrants et des réfugiés",
    ),
    (
        "levadia",
        "fuenlabrada",
        "Building inclusive cities with migrants",
        "Construire des villes inclusives avec les migrants",
    ),
    (
        "jelgava",
        "schaerbeek",
        "Improving formal and informal opportunities for language learning",
        "Améliorer les possibilités formelles et informelles d'apprendre la langue",
    ),
]


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "data")
    with Catalogue.open(folder) as catalogue:
        print("| mentee ← mentor | need | rank, English | rank, French | cities listed |")
        print("|---|---|---:|---:|---:|")
        for mentee, mentor, english, french in PAIRS:
            found = [ranks(catalogue, mentee, mentor, need) for need in (english, french)]
            shown = [str(rank) if rank else "not found" for rank, _ in found]
            print(f"| {mentee} ← {mentor} | {english} | {shown[0]} | {shown[1]} | {found[0][1]}, {found[1][1]} |")


def ranks(catalogue: Catalogue, mentee: str, mentor: str, need: str) -> tuple[int | None, int]:
    """The mentor's rank and how many cities are listed."""
    answer = catalogue.suggest_mentors(
        {"needs": [{"text": need}], "mentee": {"city": mentee}, "weights": {"trust": 0}, "limit": 50}
    )
    listed = [one["city"]["id"] for one in answer["suggestions"]]
    return (listed.index(mentor) + 1 if mentor in listed else None), len(listed)


if __name__ == "__main__":
    main()
