"""What was measured as a report in Markdown with plots, the same bytes for the same figures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kg.evaluation.asking import COMPARED
from kg.evaluation.own_graph import KINDS, WITHOUT_PROBLEM

REPORT = "report.md"

_LONGEST_LABEL = 60

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Four of Okabe and Ito's colours, told apart with every kind of colour vision (https://jfly.uni-koeln.de/color/)."""

MARKS = ("o", "s", "^", "D")
"""One for each colour: a series is known by its mark too."""

Measured = Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """A figure in a plot, with its interval where there is one; points of one series look alike."""

    label: str
    value: float
    interval: Sequence[float] | None = None
    series: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot to be drawn: `name` of its file, what its axis says, and a line (where nothing differs, or chance)."""

    name: str
    title: str
    axis: str
    points: tuple[Point, ...]
    line: float | None = None

    @property
    def told(self) -> str:
        """The plot in words, for whoever does not see it.

        >>> Plot("p", "By type", "nDCG@10", (Point("heat", 0.5, [0.4, 0.6]),)).told
        'By type; nDCG@10: heat .500 (.400 to .600).'
        """
        points = (f"{one.label}{f', {one.series},' if one.series else ''} {_with(one)}" for one in self.points)
        return f"{self.title}; {self.axis}: {'; '.join(points)}."


def write_report(measured: Measured, folder: Path) -> list[Path]:
    """Write `report.md` and its plots into a folder, which is made where it is missing; earlier ones are replaced.

    `measured` is what `kg.evaluation.evaluate` returns, with "own_graph" where `evaluate_own_graph` was asked, or that
    alone. The report has no time of day in it: the same figures give the same files.

    Returns the files written, the report first. Raises OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sections = [*_of_corpus(measured), *_of_folds(measured), *_of_own_graph(measured)]
    plots = [part for part in sections if isinstance(part, Plot)]
    text = "\n\n".join(_shown(part) if isinstance(part, Plot) else part for part in ("# How good it is", *sections))
    files = [folder / REPORT, *(folder / f"{plot.name}.svg" for plot in plots)]
    files[0].write_text(text + "\n", encoding="utf-8")
    for plot, file in zip(plots, files[1:], strict=True):
        draw(plot, file)
    return files


def draw(plot: Plot, file: Path) -> None:
    """Draw a plot as SVG: a row for each label, a mark for each series, intervals as lines."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    labels = list(dict.fromkeys(point.label for point in plot.points))
    series = list(dict.fromkeys(point.series for point in plot.points))
    # Labels come from files: a "$" in one is no formula. Letters that the font lacks are the viewer's to find.
    settings: Any = {
        "svg.hashsalt": plot.name,
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.size": 9,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.3 * len(labels) * len(series) ** 0.5))
        for place, name in enumerate(series):
            some = [point for point in plot.points if point.series == name]
            rows = [labels.index(point.label) + (place - (len(series) - 1) / 2) * 0.6 / len(series) for point in some]
            colour, mark = COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]
            for row, point in zip(rows, some, strict=True):
                axes.plot(point.interval or [point.value] * 2, [row, row], color=colour, linewidth=1.5)
            values = [point.value for point in some]
            axes.plot(values, rows, linestyle="", color=colour, marker=mark, markersize=5, label=name)
        if plot.line is not None:
            axes.axvline(plot.line, color="#555555", linewidth=1, linestyle="--")
        axes.set_yticks(range(len(labels)), [_shortened(label) for label in labels])
        axes.invert_yaxis()
        axes.set_xlabel(plot.axis)
        axes.set_title(plot.title, loc="left")
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        if len(series) > 1:
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        told = {"Date": None, "Creator": None, "Title": plot.title, "Description": _plain(plot.told)}
        figure.savefig(file, format="svg", bbox_inches="tight", metadata=told)
        pyplot.close(figure)


def _shortened(label: str) -> str:
    text = _plain(label)
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _plain(text: str) -> str:
    """Text without what XML has no place for."""
    return "".join(character if character.isprintable() else " " for character in text)


# ------------------------------------------------------------------------------------------- sections


def _of_corpus(measured: Measured) -> Iterator[str | Plot]:
    if "types" not in measured:
        return
    yield "## Needs with known answers"
    yield (
        f"{measured['queries']:,} needs over {measured['practices']:,} practices, model {measured['model']}, ranked by "
        f"{'all signals' if measured['method'] == 'fused' else measured['method'] + ' alone'}. Each figure stands with "
        "its 95 % interval (bootstrap over needs, 1,000 resamples). The mean over types counts every type alike, "
        "however few its needs: read the lines."
    )
    names = ("ndcg10", "mrr10", "recall10", "city_mrr10")
    rows = [*_rows(measured["types"], names), _row("mean over types", measured["macro"], names)]
    yield _table(["type", "needs", "nDCG@10", "MRR@10", "recall@10", "MRR@10 of the city"], rows)
    yield Plot("types", "Needs with known answers, by type", "nDCG@10", _points(measured["types"], "ndcg10"))
    yield "By language of the need, all types together:"
    yield _table(["language", "needs", "nDCG@10", "MRR@10"], _rows(measured["languages"], ("ndcg10", "mrr10")))
    yield Plot("languages", "By language of the need", "nDCG@10", _points(measured["languages"], "ndcg10"))
    if "ablations" in measured:
        yield from _ablations(
            measured["ablations"], "ndcg10", "nDCG@10", "ablations", [*measured["types"], "macro"], "macro"
        )


def _ablations(
    others: Measured, by: str, axis: str, name: str, kinds: Sequence[str], drawn: str
) -> Iterator[str | Plot]:
    """What is lost without each part, as a table of all kinds and a plot of one."""
    yield "### Without one part, and by one signal alone"
    yield (
        f"What the whole has more than each, in {axis} per need: above 0 the part helps. Intervals are of the paired "
        "difference, so that hard needs cancel out."
    )
    rows = [
        [
            other,
            *(_figure(one["difference"][kind][by], one["difference"][kind]["interval"], sign=True) for kind in kinds),
        ]
        for other, one in others.items()
    ]
    titles = ["mean over types" if kind == "macro" else kind for kind in kinds]
    yield _table(["asked", *titles], rows)
    points = tuple(
        Point(other, one["difference"][drawn][by], one["difference"][drawn]["interval"])
        for other, one in others.items()
    )
    where = "mean over types" if drawn == "macro" else drawn
    yield Plot(name, f"What the whole has more ({where})", f"difference in {axis}", points, 0.0)


def _of_folds(measured: Measured) -> Iterator[str | Plot]:
    told = measured.get("folds")
    if not told:
        return
    yield "## Weights learnt across folds"
    yield (
        f"Needs are spread over {told['folds']} folds by type and by how they are read; which need comes where is told "
        "by a hash of its identifier. The weights of the signals are learnt on all folds but one and measured on that "
        "one: no figure is of a need that was learnt from. Beside them the weights that ship; whoever chose those had "
        "seen this set. Of the proportions no more than one standard error behind the best, those nearest to the weights "
        "that ship are taken."
    )
    rows = [
        [kind, told["learnt"]["types"][kind]["n"], *_beside(told, told["learnt"]["types"][kind], kind)]
        for kind in told["learnt"]["types"]
    ]
    everything = sum(one["n"] for one in told["learnt"]["types"].values())
    rows.append(["mean over types", everything, *_beside(told, told["learnt"]["macro"], "macro")])
    yield _table(["type", "needs", "learnt, out of fold", "weights that ship", "learnt less shipped"], rows)
    points = [
        Point(kind, of["ndcg10"], of["intervals"]["ndcg10"], name)
        for name, figures in (("learnt, out of fold", told["learnt"]), ("weights that ship", told["profile"]))
        for kind, of in figures["types"].items()
    ]
    yield Plot("folds", "Weights learnt across folds", "nDCG@10", tuple(points))
    yield f"Shares of {', '.join(COMPARED)} as each fold's others teach them, and as all needs together do:"
    situations = list(told["spread"])
    shares = [
        [one["fold"], one["n"], *(_shares(one[situation]) for situation in situations)] for one in told["weights"]
    ]
    shares.append(["all", everything, *(_shares(told["everything"][situation]) for situation in situations)])
    yield _table(["fold", "needs", *situations], shares)
    yield Plot(
        "weights",
        "What the folds teach",
        "share of the weight, least to most over folds",
        tuple(
            Point(situation, told["everything"][situation][name], told["spread"][situation][name], name)
            for name in COMPARED
            for situation in situations
        ),
    )


def _beside(told: Measured, learnt: Measured, kind: str) -> list[str]:
    own = told["profile"]["macro"] if kind == "macro" else told["profile"]["types"][kind]
    apart = told["difference"][kind]
    return [
        _figure(learnt["ndcg10"], learnt["intervals"]["ndcg10"]),
        _figure(own["ndcg10"], own["intervals"]["ndcg10"]),
        _figure(apart["ndcg10"], apart["interval"], sign=True),
    ]


def _shares(shares: Mapping[str, float]) -> str:
    return " : ".join(_number(shares[name], 2) for name in COMPARED)


def _of_own_graph(measured: Measured) -> Iterator[str | Plot]:
    told = measured.get("own_graph")
    if not told:
        return
    yield "## The records themselves"
    yield (
        f"{told['practices']:,} practices of {told['cities']:,} cities, record change {told['revision']:,}, model "
        f"{told['model']}, profile {told['profile']['name']} {told['profile']['version']} without trust, as of "
        f"{told['as_of']}. Names of places are masked in every need. What happened is taken as right, though another "
        "city may be as good an answer: the figures compare ways of ranking."
    )
    names = ("mrr10", "first1", "first5", "ndcg10")
    asked = [kind for kind in KINDS if kind in told["types"]]
    types = {kind: told["types"][kind] for kind in asked}
    rows = [[*row, _number(told["chance"][kind])] for kind, row in zip(asked, _rows(types, names), strict=True)]
    yield _table(["asked", "n", "MRR@10", "first", "among five", "nDCG@10", "MRR@10 by chance"], rows)
    yield "\n".join(
        f"* *{kind}*: {one['asks']}." + (f" Left out: {_reasons(one['left_out'])}." if one["left_out"] else "")
        for kind, one in told["kinds"].items()
    )
    yield Plot("own-graph", "The records themselves, asked", "MRR@10 of the city", _points(types, "mrr10"))
    yield "### Other ways from practices to cities"
    yield (
        "Voting models (Macdonald and Ounis 2006) over the best fifty practices, and cities by number of records. What "
        'suggestions have more, in reciprocal rank per need; "top-m" is the discounted sum that suggestions use, '
        "without what else is known of a city."
    )
    yield from _voting(told["voting"], asked)
    yield _attention(told["attention"])
    if "ablations" in told:
        yield from _ablations(told["ablations"], "mrr10", "MRR@10", "own-graph-ablations", asked, WITHOUT_PROBLEM)


def _voting(others: Measured, kinds: Sequence[str]) -> Iterator[str | Plot]:
    rows = [
        [
            name,
            *(
                _figure(one["difference"][kind]["mrr10"], one["difference"][kind]["interval"], sign=True)
                for kind in kinds
            ),
        ]
        for name, one in others.items()
    ]
    yield _table(["way", *kinds], rows)
    drawn = [kind for kind in list(KINDS)[:2] if kind in kinds]
    points = [
        Point(name, one["difference"][kind]["mrr10"], one["difference"][kind]["interval"], kind)
        for kind in drawn
        for name, one in others.items()
    ]
    if points:
        yield Plot("voting", "What suggestions have more", "difference in MRR@10 of the city", tuple(points), 0.0)


def _attention(ways: Measured) -> str:
    """How unevenly cities come up by each way of ranking."""
    first = next(iter(ways.values()))
    rows = [
        [
            name,
            "–" if one["gini"] is None else _number(one["gini"]),
            one["never"],
            "–" if (known := one["with_records"]) is None else _figure(known["value"], known["interval"], sign=True),
        ]
        for name, one in ways.items()
    ]
    table = _table(["way", "Gini", "cities never suggested", "rank correlation with number of records"], rows)
    return (
        "### Who gets the attention\n\n"
        f"Over {first['needs']:,} needs, the problems of all practices, the first {first['first']} places each, a place "
        "worth 1/log2(rank + 1). A correlation with the number of records means that curators' attention is "
        f"rewarded.\n\n{table}"
    )


def _reasons(left_out: Mapping[str, int]) -> str:
    return "; ".join(f"{n:,} because {reason}" for reason, n in left_out.items())


# --------------------------------------------------------------------------------------- pieces of text


def _rows(kinds: Measured, names: Sequence[str]) -> list[list[object]]:
    return [_row(kind, figures, names) for kind, figures in kinds.items()]


def _row(title: str, figures: Measured, names: Sequence[str]) -> list[object]:
    return [title, figures.get("n", ""), *(_figure(figures[name], figures["intervals"].get(name)) for name in names)]


def _points(kinds: Measured, name: str) -> tuple[Point, ...]:
    return tuple(
        Point(f"{kind} (n = {of['n']})", of[name], of["intervals"][name])
        for kind, of in kinds.items()
        if of[name] is not None
    )


def _with(point: Point) -> str:
    return _number(point.value) + (
        f" ({_number(point.interval[0])} to {_number(point.interval[1])})" if point.interval else ""
    )


def _figure(value: float | None, interval: Sequence[float] | None, *, sign: bool = False) -> str:
    """A figure with its interval.

    >>> _figure(0.5, [0.4, 0.61]), _figure(-0.02, [-0.1, 0.3], sign=True), _figure(None, None)
    ('.500 (.400 to .610)', '−.020 (−.100 to +.300)', '–')
    """
    if value is None:
        return "–"
    bounds = f" ({_number(interval[0], sign=sign)} to {_number(interval[1], sign=sign)})" if interval else ""
    return _number(value, sign=sign) + bounds


def _number(value: float, places: int = 3, *, sign: bool = False) -> str:
    """A figure without the zero before the point.

    >>> _number(0.0), _number(1.0), _number(-0.25), _number(0.25, sign=True)
    ('.000', '1.000', '−.250', '+.250')
    """
    text = f"{abs(value):.{places}f}".removeprefix("0")
    nothing = not text.strip(".0")
    return text if nothing else ("−" if value < 0 else "+" if sign else "") + text


def _table(titles: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; all columns but the first stand right.

    >>> print(_table(["type", "n"], [["a | b", 3]]))
    | type | n |
    |---|---:|
    | a \\| b | 3 |
    """
    lines = [titles, *rows]
    told = ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]
    return "\n".join([told[0], "|---" + "|---:" * (len(titles) - 1) + "|", *told[1:]])


def _cell(value: object) -> str:
    """A value that cannot break out of its cell: types and languages come from files of others."""
    return " ".join(str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _shown(plot: Plot) -> str:
    """The plot as an image with its figures as alternative text."""
    told = _cell(plot.told).replace("[", "\\[").replace("]", "\\]")
    return f"![{told}]({plot.name}.svg)"
