"""How the command line shows answers: suggestions as an officer reads them, the rest as tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.containers import Lines
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from kg.matching.reasons import decimal, spaced
from service.pages.texts import PARTS, language_name, marked_excerpt, texts

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)

PASSAGE_CHARS = 300


class Sentence(Text):
    """Prose in which spaces that must hold do hold: Rich breaks lines at them as at any other."""

    def __init__(self, text: str = "", style: str = "") -> None:
        super().__init__(spaced(text), style)

    def wrap(self, console: Console, width: int, **options: Any) -> Lines:
        """The lines of the sentence, see `rich.text.Text.wrap`."""
        held = self.copy()
        held.plain = self.plain.translate(_HELD)
        lines = Text.wrap(held, console, width, **options)
        for line in lines:
            line.plain = line.plain.translate(_HELD_BACK)
        return lines


_HELD = {0xA0: 0xE000, 0x202F: 0xE001}
_HELD_BACK = {stand_in: space for space, stand_in in _HELD.items()}
"""Spaces that hold, and letters for private use that stand in for them, as wide, while lines are broken."""


def print_json(value: Any) -> None:
    """One JSON document, readable by people and programs, never wrapped or coloured."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Rows under headings. Numbers stand right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    listed = [list(row) for row in rows]
    for place, column in enumerate(columns):
        number = bool(listed) and all(isinstance(row[place], int | float) for row in listed)
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(_cell(value)) for value in row))
    out.print(table)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_measures(measured: Mapping[str, Any]) -> None:
    """Figures of an evaluation, a row for each type and one for their mean, each with its 95 % interval."""
    names = ("ndcg10", "mrr10", "recall10", "city_mrr10")

    def row(title: str, count: int, figures: Mapping[str, Any]) -> list[object]:
        return [title, count, *(_measure(figures[name], figures["intervals"][name]) for name in names)]

    rows = [row(title, figures["n"], figures) for title, figures in measured["types"].items()]
    rows.append(row("mean over types", sum(figures["n"] for figures in measured["types"].values()), measured["macro"]))
    print_table(["type", "needs", *names], rows, f"{measured['method']}, {measured['model']}")
    languages = [row(language, figures["n"], figures) for language, figures in measured["languages"].items()]
    print_table(["language", "needs", *names], languages)
    if "ablations" in measured:
        types = list(measured["types"])
        others = [
            [name, *(_measure(of["ndcg10"], None) for of in [*(one["types"][t] for t in types), one["macro"]])]
            for name, one in measured["ablations"].items()
        ]
        print_table(["ndcg10", *types, "mean over types"], others)
    if "folds" in measured:
        _print_folds(measured["folds"])


def _print_folds(told: Mapping[str, Any]) -> None:
    """Weights learnt across folds: what they do out of fold beside the profile's, and the weights of each fold."""
    learnt, own, apart = told["learnt"], told["profile"], told["difference"]
    kinds = {**learnt["types"], "mean over types": learnt["macro"]}
    rows = []
    for title, figures in kinds.items():
        kind = title if title in learnt["types"] else "macro"
        shipped = own["types"].get(kind, own["macro"])
        rows.append(
            [
                title,
                *(_measure(of["ndcg10"], of["intervals"]["ndcg10"]) for of in (figures, shipped)),
                _measure(apart[kind]["ndcg10"], apart[kind]["interval"]),
            ]
        )
    print_table(["ndcg10", "learnt, out of fold", "weights that ship", "learnt less shipped"], rows)
    situations = list(told["spread"])
    taught = [*told["weights"], {"fold": "all needs", **told["everything"]}]
    print_table(
        ["learnt without fold", *situations],
        [[str(one["fold"]), *(_shares(one[situation]) for situation in situations)] for one in taught],
    )


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.2f}" for name, share in shares.items())


def print_own_graph(told: Mapping[str, Any]) -> None:
    """Figures of suggestions on the records themselves, and what they have more than other ways of ranking."""
    names = ("mrr10", "first1", "first5", "ndcg10")
    rows = [
        [
            kind,
            figures["n"],
            *(_measure(figures[name], figures["intervals"][name]) for name in names),
            told["chance"][kind],
        ]
        for kind, figures in told["types"].items()
    ]
    title = f"The records themselves: {told['practices']} practices, {told['cities']} cities, as of {told['as_of']}"
    print_table(["asked", "n", "mrr10", "first", "among five", "ndcg10", "mrr10 by chance"], rows, title)
    for kind, one in told["kinds"].items():
        for reason, number in one["left_out"].items():
            out.print(Sentence(f"{kind}: {number} left out because {reason}", style="dim"))
    kinds = list(told["types"])
    for what in ("voting", "ablations"):
        less = [
            [name, *(_measure(of["mrr10"], of["interval"]) for of in (one["difference"][kind] for kind in kinds))]
            for name, one in told.get(what, {}).items()
        ]
        if less:
            print_table([f"mrr10, suggestions less {what}", *kinds], less)
    rows = [
        [name, _measure(one["gini"], None), one["never"], _correlation(one["with_records"])]
        for name, one in told["attention"].items()
    ]
    print_table(["attention", "gini", "never suggested", "correlation with records"], rows)


def _correlation(known: Mapping[str, Any] | None) -> str:
    return "–" if known is None else _measure(known["value"], known["interval"])


def _measure(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f} ({interval[0]:.3f}–{interval[1]:.3f})" if interval else f"{value:.3f}"


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on stderr, where that is a terminal, one for each part of the work.

    Yields the function that moves them: what, done, total.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def move(what: str, done: int, total: int) -> None:
            task = tasks[what] if what in tasks else tasks.setdefault(what, progress.add_task(escape(what)))
            progress.update(task, completed=done, total=total)

        yield move


@contextmanager
def progress_steps(title: str) -> Iterator[Callable[[str], None]]:
    """Each step in words on stderr, where that is a terminal, while a long work goes on."""
    if not err.is_terminal:
        yield lambda step: None
        return
    with err.status(Text(title)) as status:
        yield lambda step: status.update(Text(f"{title}: {step}"))


def print_suggestions(answer: Mapping[str, Any], language: str) -> None:
    """Ranks, bands, practices with their passages, what speaks for and against, what is unknown, in `language`."""
    _ = texts(language).gettext
    for place, need in enumerate(answer["needs"], 1):
        themes = ", ".join(theme["label"] for theme in need["themes"])
        read = _("Your need was read as %(language)s.") % {"language": language_name(need["language"], language)}
        unsure = "" if need["language_certain"] else _("That is a guess: a longer text helps.")
        found = _("Themes: %(themes)s.") % {"themes": themes} if themes else ""
        number = f"{place}." if len(answer["needs"]) > 1 else ""
        out.print(Sentence(" ".join(filter(None, (number, read, unsure, found))), style="dim"))
        for warning in need["understood"]["warnings"]:
            out.print(Sentence(f"! {warning['text']}"))
    for one in answer["suggestions"]:
        _print_suggestion(one, language, several=len(answer["needs"]) > 1)
    if not answer["suggestions"]:
        out.print(
            _("No city on record comes close"),
            _("Try other words, or say what people should be able to do afterwards."),
            sep="\n",
        )
    if answer["diversity"]:
        out.print(Sentence(f"\n{answer['diversity']['text']}", style="dim"))
    for pair in answer.get("changes") or ():
        print_changes(pair, language)
    print_closing(answer, language)


def print_closing(answer: Mapping[str, Any], language: str) -> None:
    """What stands under every answer: the limits of the role, what ranked, and as of when."""
    _ = texts(language).gettext
    out.print()
    out.print(Sentence(_("What a mentor city does, and does not do"), style="bold"))
    out.print(Sentence(answer["role_limits"]))
    as_of = {"day": answer["as_of"], "revision": answer["revision"]}
    out.print()
    out.print(Sentence(_("As of %(day)s, record change %(revision)s.") % as_of, style="dim"))
    profile = answer["profile"]
    ranked = _("Ranked with the profile %(name)s, version %(version)s.") % profile
    out.print(Sentence(ranked, style="dim"))


def print_changes(pair: Mapping[str, Any], language: str) -> None:
    """What would put one city before another."""
    _ = texts(language).gettext
    names = {"lower": pair["lower"]["label"], "upper": pair["upper"]["label"]}
    out.print()
    out.print(Sentence(_("What would put %(lower)s before %(upper)s") % names, style="bold"))
    sentences = [one["text"] for one in (*pair["facts"], *pair["weights"])]
    _print_list("·", sentences or [_("No single fact or weight.")])


def print_why_not(answer: Mapping[str, Any], language: str) -> None:
    """Why a city is not suggested: the verdict, what is nearest, how it compares, and what would change that."""
    _ = texts(language).gettext
    out.print(Sentence(answer["text"], style="bold"))
    _print_list("·", [one["text"] for one in answer["filters"]])
    if answer["nearest"]:
        print_table(
            [_("What it did"), _("The need"), _("Similarity")],
            [(one["title"], one["need"] + 1, decimal(one["similarity"], 3, language)) for one in answer["nearest"]],
        )
    for one in answer["differences"]:
        out.print(
            Sentence(f"{one['label']}  {decimal(one['contribution'], 3, language, signed=True)}", style="bold dim")
        )
        out.print(Padding(Sentence(one["text"]), (0, 0, 0, 4), expand=False))
    if answer["changes"]:
        print_changes(answer["changes"], language)
    print_closing(answer, language)


def _print_suggestion(one: Mapping[str, Any], language: str, several: bool) -> None:
    _ = texts(language).gettext
    city = one["city"]
    head = Sentence(f"\n{one['rank']:>2}  ", style="bold")
    head.append(city["label"])
    if city["country_label"]:
        head.append(f", {city['country_label']}", style="not bold")
    head.append(f"  [{one['band_label']}]", style="cyan")
    out.print(head)
    for practice in one["practices"]:
        _print_practice(practice, language, several)
    # Evidence and freshness act through experience, whose sentence tells them; without weight they would only repeat it.
    reasons = [reason for reason in one["reasons"] if reason["weight"] > 0]
    for title, mark, listed in (
        (_("What speaks for it"), "+", [r["text"] for r in reasons if r["stance"] == "for"]),
        (_("What speaks against it"), "−", [r["text"] for r in reasons if r["stance"] == "against"]),
        (_("Also on record"), "·", [r["text"] for r in reasons if r["stance"] == "neutral"]),
        (_("Keep in mind"), "!", [caution["text"] for caution in one["cautions"]]),
        (_("Not known: whom to ask"), "?", [f"{u['text']} {u['ask']}" for u in one["unknowns"]]),
    ):
        if listed:
            out.print(Padding(Sentence(title, style="bold dim"), (0, 0, 0, 4), expand=False))
            _print_list(mark, listed)


def _print_practice(practice: Mapping[str, Any], language: str, several: bool) -> None:
    _ = texts(language).gettext
    title = Sentence(practice["title"], style="bold")
    if several:
        number = _("need %(number)s") % {"number": practice["need"] + 1}
        title.append(f" ({number})", "not bold dim")
    out.print(Padding(title, (0, 0, 0, 4), expand=False))
    out.print(Padding(Text(practice["id"], style="dim"), (0, 0, 0, 4), expand=False))
    passage = practice["passage"]
    if passage:
        part = PARTS.get(passage["part"]) or passage["part"]
        before, marked, after = marked_excerpt(passage["text"], passage.get("sentence"), PASSAGE_CHARS)
        quoted = Text.assemble("“", before, (marked, "bold"), after, "”")
        quoted.append(f" ({_(part)}, {language_name(passage['language'], language)})", style="dim")
        out.print(Padding(quoted, (0, 0, 0, 6), expand=False))


def _print_list(mark: str, sentences: Iterable[str]) -> None:
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row(Text(mark), Sentence(sentence))
    out.print(Padding(grid, (0, 0, 0, 4), expand=False))
