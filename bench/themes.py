"""How well the themes found in a text are those that a curator gave: the problem of each practice beside its record's themes.

No ranking was chosen by it. Run over a folder of the starting data that no service owns:

    python bench/themes.py data

Labels and notes of themes are all that is read; the practices' own texts lead to no theme.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

from kg.catalogue import Catalogue
from kg.evaluation.own_graph import WITHOUT_PROBLEM, Records
from kg.records import from_ntriples
from kg.suggesting import Need
from kg.views import is_shown

FIGURES = (
    "closeness, weighted by strength²",
    "strongest is the record's",
    "strongest is of its branch",
    "found of the record's",
)


def main(folder: Path) -> None:
    with Catalogue.open(folder) as catalogue:
        shown = [one for one in catalogue.ledger.published_revisions() if is_shown(one)]
        records = Records(from_ntriples(one.payload or "", catalogue.base) for one in shown)
        cases = [case for case in records.cases().cases if case.kind == WITHOUT_PROBLEM]
        closeness = catalogue.search.thesaurus.closeness
        rows = []
        for case in cases:
            ((need, _),) = catalogue.hits_of([Need(case.text, language=case.language)])
            wanted = records.of["practice"][case.id]["themes"]
            rows.append(figures({theme: need.strengths[theme] for theme in need.themes}, wanted, closeness))
    means = [fmean(row[place] for row in rows) for place in range(len(FIGURES))]
    print(f"{len(rows)} problems")
    for name, mean in zip(FIGURES, means, strict=True):
        print(f"  {name}: {mean:.3f}")


def figures(found, wanted, closeness) -> tuple[float, ...]:
    """The figures of one text; all 0 where no theme was found."""
    if not found:
        return 0.0, 0.0, 0.0, 0.0
    near = {theme: max(closeness(theme, one) ** 2 for one in wanted) for theme in found}
    weights = {theme: strength**2 for theme, strength in found.items()}
    first = max(found, key=lambda theme: (found[theme], theme))
    return (
        sum(weights[theme] * near[theme] for theme in found) / sum(weights.values()),
        float(first in wanted),
        float(near[first] > 0),
        len(found.keys() & set(wanted)) / len(wanted),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
