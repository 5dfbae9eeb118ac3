"""The commands `mentorgraph import` and `mentorgraph export` of a selection: files in, with a report; records out."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from kg.accounts import READER, Actor
from kg.changes import describe
from kg.errors import BadRequest, UnreadableInput, quoted
from kg.exchange.mapping import MappingFile, read_mapping
from kg.exchange.reports import ImportReport, RowReport
from kg.imports import ImportFile, ImportOptions, Imports
from kg.matching.reasons import spaced
from kg.rights import Rights
from service.printing import print_json, print_table, progress_bar

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

SHOWN = 40
"""Rows that are printed one by one; the report has all."""

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "colon": ": ",
        "one new": "new",
        "one refused": "refused",
        "new": "new",
        "changed": "changed",
        "unchanged": "unchanged",
        "refused": "refused",
        "not ready": "not ready to publish",
        "duplicate": "{id} may be a duplicate of {other} ({reason})",
        "more": "… and {number} more; --report FILE.csv has all",
        "stopped": "Stopped after {number} records; the same command goes on from there.",
        "dry run": "Nothing was written: this was a dry run.",
    },
    "fr": {
        "colon": " : ",
        "one new": "nouvelle",
        "one refused": "refusée",
        "new": "nouvelles",
        "changed": "modifiées",
        "unchanged": "inchangées",
        "refused": "refusées",
        "not ready": "pas prêtes à être publiées",
        "duplicate": "{id} fait peut-être double emploi avec {other} ({reason})",
        "more": "… et {number} autres ; --report FICHIER.csv les a toutes",
        "stopped": "Arrêté après {number} fiches ; la même commande continue de là.",
        "dry run": "Rien n’a été écrit : c’était un essai.",
    },
}
"""The words of the report; outcomes are those of records."""


def run(
    catalogue: Catalogue,
    files: list[Path],
    mapping: str | None,
    *,
    dry_run: bool,
    batch: int,
    report: Path | None,
    author: str,
    as_json: bool,
    language: str = "en",
    **options: Any,
) -> ImportReport:
    """Import the files and print what came of it, in a language. Whoever has the folder may do everything, alone."""
    if report is not None and report.suffix.lower() not in (".csv", ".json"):
        raise BadRequest(f"--report {quoted(report.name)}: the ending tells the format; use .csv or .json")
    try:
        actor = Actor(author, "administrator")
    except ValueError as error:
        raise BadRequest(f"--author: {error}") from error
    rights = Rights(catalogue.ledger, catalogue._not_found)
    rights.second_person = False
    imports = Imports(catalogue, rights)
    chosen = ImportOptions(mapping=_mapping(mapping), language=language, **options)
    sources = [ImportFile.at(file) for file in files]
    with stopping() as stop, progress_bar() as progress:
        if dry_run:
            told = imports.dry_run(sources, actor, chosen, progress=progress, stop=stop)
        else:
            told = imports.apply(sources, actor, chosen, batch=batch or None, progress=progress, stop=stop)
    if report is not None:
        _write(told, report)
    if as_json:
        print_json(told.as_json())
    else:
        _print(told, language)
    return told


def export_selected(catalogue: Catalogue, file: Path, conditions: dict[str, tuple[str, ...]]) -> int:
    """Write a selection to a file; drafts and other states for whoever has the folder, else what readers may see."""
    from kg.exchange.selections import Selection, export_selection

    selection = Selection(**conditions)
    actor = Actor("command line", "administrator") if selection.states else READER
    return export_selection(catalogue, selection, file, actor)


def _mapping(name: str | None) -> MappingFile | None:
    """A mapping by the path of its file, or by the name of one that comes with mentorgraph."""
    if name is None:
        return None
    from kg.import_jobs import SHIPPED_MAPPINGS, mapping_called

    if name in SHIPPED_MAPPINGS:
        return mapping_called(name)
    return read_mapping(Path(name))


def _write(told: ImportReport, place: Path) -> None:
    try:
        with place.open("wb") as out:
            if place.suffix.lower() == ".json":
                out.write(json.dumps(told.as_json(), ensure_ascii=False, indent=1).encode())
            else:
                told.write_csv(out)
    except OSError as error:
        raise UnreadableInput(f"{place.name}: cannot be written ({error.strerror})") from None


def _print(told: ImportReport, language: str) -> None:
    """What a person wants to know: what was refused and doubtful, what a dry run would change, then the counts."""
    words = WORDS[language]
    lines = [line for row in told.rows for line in _told(row, words)]
    if told.dry_run:
        lines += [line for row in told.rows for line in _to_come(row, words, language)]
    shown = lines[:SHOWN]
    if len(lines) > SHOWN:
        shown.append(words["more"].format(number=len(lines) - SHOWN))
    for line in (*shown, *told.lines(language)):
        print(spaced(line) if language == "fr" else line)
    needing = sum(1 for row in told.rows if row.outcome != "refused" and row.missing)
    print_table([*(words[outcome] for outcome in told.counts), words["not ready"]], [(*told.counts.values(), needing)])
    if told.stopped:
        print(words["stopped"].format(number=told.written))
    elif told.dry_run:
        print(words["dry run"])


def _told(row: RowReport, words: Mapping[str, str]) -> Iterator[str]:
    colon = words["colon"]
    for problem in row.problems:
        yield colon.join(part for part in (row.place, words["one refused"], problem.field, problem.message) if part)
    for one in row.duplicates:
        yield f"{row.place}{colon}{words['duplicate'].format(id=row.id, other=one.id, reason=one.reason)}"
    for note in row.notes:
        yield f"{row.place}{colon}{note}"


def _to_come(row: RowReport, words: Mapping[str, str], language: str) -> Iterator[str]:
    colon = words["colon"]
    if row.outcome == "new":
        yield colon.join((row.place, words["one new"], row.id))
    for one in row.differences:
        yield colon.join((row.place, row.id, describe(one, language)))


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM has asked the import to stop; the batch at hand is given up, those before it stay."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
