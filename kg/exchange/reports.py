"""What an import did, or would do, row by row: for people as lines, for scripts as JSON, for curators as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from kg.errors import Problem
from kg.exchange.spreadsheets import Sheet, write_csv

if TYPE_CHECKING:
    from kg.changes import Difference

OUTCOMES = ("new", "changed", "unchanged", "refused")

COLUMNS = (
    *("place", "kind", "id", "title", "outcome", "state"),
    *("differences", "problems", "missing", "duplicates", "notes"),
)
"""Of the report as a table."""


@dataclass(frozen=True)
class Duplicate:
    """A record that may be the same thing: its identifier and title, how alike the titles are (0 to 100), and why."""

    id: str
    title: str
    likeness: int
    reason: str


@dataclass
class RowReport:
    """What becomes of one record of a file.

    `place` says where it stands. `outcome` is one of OUTCOMES. `problems` are why it was refused, `missing` what it
    still needs to be published, `notes` what the file says that was not taken.
    """

    place: str
    kind: str
    id: str
    title: str = ""
    outcome: str = "refused"
    state: str = ""
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()
    missing: tuple[Problem, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "place": self.place,
            "kind": self.kind,
            "id": self.id,
            "title": self.title,
            "outcome": self.outcome,
            "state": self.state,
            "differences": [
                {"field": one.path, "label": one.label, "before": one.before, "after": one.after}
                for one in self.differences
            ],
            "problems": [_problem(one) for one in self.problems],
            "missing": [_problem(one) for one in self.missing],
            "duplicates": [
                {"id": one.id, "title": one.title, "likeness": one.likeness, "reason": one.reason}
                for one in self.duplicates
            ],
            "notes": list(self.notes),
        }


def _problem(one: Problem) -> dict[str, Any]:
    return {"field": one.field, "message": one.message, "severity": one.severity, "value": one.value}


@dataclass
class ImportReport:
    """All rows of an import, and what is to be told of its files.

    `skipped` counts rows that a mapping passes over, by reason. `not_used` names columns that nothing came of, with
    the mapping's reason where it has one; `unknown` columns that have no meaning; `ignored` RDF about other things.
    `stopped` says that somebody stopped it: what was written stays, the same import again does the rest.
    """

    rows: list[RowReport] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    not_used: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    attribution: str = ""
    dry_run: bool = False
    stopped: bool = False
    written: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many rows had each outcome.

        >>> ImportReport([RowReport("x.csv line 2", "city", "gent", outcome="new")]).counts
        {'new': 1, 'changed': 0, 'unchanged': 0, 'refused': 0}
        """
        found = Counter(row.outcome for row in self.rows)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    def as_json(self) -> dict[str, Any]:
        """The whole report."""
        return {
            **self.counts,
            "skipped": dict(self.skipped),
            "not_used": self.not_used,
            "unknown_columns": self.unknown,
            "ignored": self.ignored,
            "files": self.files,
            "attribution": self.attribution,
            "dry_run": self.dry_run,
            "stopped": self.stopped,
            "written": self.written,
            "rows": [row.as_json() for row in self.rows],
        }

    def sheet(self) -> Sheet:
        """One line for each row, as a table."""
        return Sheet("report", COLUMNS, [_cells(row) for row in self.rows])

    def write_csv(self, out: BinaryIO) -> None:
        """The table as CSV, for a spreadsheet program."""
        write_csv(self.sheet(), out)

    def lines(self, language: str = "en") -> Iterator[str]:
        """What is to be told beside the counts, in sentences. A mapping's own reasons stand as it gives them.

        >>> list(ImportReport(files=[{"name": "x.csv", "rows": 2, "encoding": "UTF-8"}]).lines("fr"))
        ['x.csv : lu en UTF-8 ; lignes : 2']
        """
        said = _SAID.get(language, _SAID["en"])
        for file in self.files:
            yield said["file"].format(**file)
        for message in self.unknown:
            yield said["not read"].format(what=message)
        for column, reason in self.not_used.items():
            yield said["not used"].format(what=column) + (f" ({reason})" if reason else "")
        for reason, count in self.skipped.most_common():
            yield said["passed over"].format(count=count, reason=reason)
        for thing in self.ignored:
            yield said["ignored"].format(what=thing)
        if self.attribution:
            yield said["source"].format(what=self.attribution)


_SAID: Mapping[str, Mapping[str, str]] = {
    "en": {
        "file": "{name}: read as {encoding}; rows: {rows}",
        "not read": "not read: {what}",
        "not used": "column not used: {what}",
        "passed over": "passed over: {reason}; rows: {count}",
        "ignored": "ignored: {what}",
        "source": "source: {what}",
    },
    "fr": {
        "file": "{name} : lu en {encoding} ; lignes : {rows}",
        "not read": "non lu : {what}",
        "not used": "colonne non utilisée : {what}",
        "passed over": "laissé de côté : {reason} ; lignes : {count}",
        "ignored": "ignoré : {what}",
        "source": "source : {what}",
    },
}


def _cells(row: RowReport) -> dict[str, Any]:
    """A row of the report's table."""
    from kg.changes import describe

    return {
        "place": row.place,
        "kind": row.kind,
        "id": row.id,
        "title": row.title,
        "outcome": row.outcome,
        "state": row.state,
        "differences": "\n".join(describe(one) for one in row.differences),
        "problems": "\n".join(f"{one.field}: {one.message}" for one in row.problems),
        "missing": "\n".join(f"{one.field}: {one.message}" for one in row.missing),
        "duplicates": "\n".join(f"{one.id} ({one.title}): {one.reason}" for one in row.duplicates),
        "notes": "\n".join(row.notes),
    }
