"""Records as rows of tables and back, by the fields.

One row is one record. Its columns: `id`; a field's key (`city`); a text's key and language (`title@fr`);
a list in one cell (`a | b`, with `|` written `\\|` inside); what is said about the record (`record.confidence`).
Parts with fields of their own stand in a table of their own (`practice.outcomes`, with columns `record` and `id`)
or, where there is one file only, in columns that name the part (`outcomes.claim-1.value`).

Coming back, a row says what shall change: an absent column leaves its field alone, and so does an empty cell;
the word `—clear—` empties the field, and `remove` takes a part away. Values are read as spreadsheet programs write
them (decimal commas, dates as numbers), and a value that says the same as the one on record keeps its writing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from kg.errors import BadRequest, InvalidRecord, NotFound, Problem, in_french, quoted
from kg.exchange.spreadsheets import CLEAR, Cell, Sheet, Table, TableRow, restored
from kg.fields import Declaration, Field, Kind, Structure, declaration, in_language
from kg.records import LANGUAGE_TAG, SLUG, SYSTEM_KEYS, Record, next_inner_id

ID, KIND, RECORD, REMOVE = "id", "kind", "record", "remove"
_IGNORED = ("iri",)

_YES = {"true", "yes", "1", "x", "oui", "vrai", "wahr", "ja", "sí", "si", "verdadero", "vero", "sim", "prawda", "jā"}
_NO = {"false", "no", "0", "non", "faux", "falsch", "nein", "falso", "não", "nee", "nie", "nē"}

_EXCEL_EPOCH = date(1899, 12, 30)
_EXCEL_DAYS = range(1, 80_000)
"""Serial numbers of days that a practice can have: to the year 2119."""


@dataclass(frozen=True)
class Column:
    """What a column's name means: a field, its language, and the part of the record that has it."""

    name: str
    field: Field
    language: str | None = None
    outer: Field | None = None
    node: str | None = None


@dataclass(frozen=True)
class Edit:
    """One wanted change of a record: `value` None empties the field. `remove` takes the whole part away.

    `marked` says that the cell asks for it in a word of its own, `—clear—` or that of `remove`. `doubt` says why a value
    could mean two things: it is taken where it is on record in this writing, and refuses the row otherwise.
    """

    column: Column
    value: Any
    remove: bool = False
    marked: bool = False
    doubt: str = ""

    @property
    def unnamed(self) -> bool:
        """Whether it is about a part that has no identifier yet."""
        return str(self.column.node).startswith("?")


@dataclass
class Wanted:
    """What a file says of one record: its edits, what it says of state and visibility, and what cannot be read."""

    place: str
    kind: str
    id: str
    edits: list[Edit]
    said: Record
    problems: list[Problem]
    main: bool = False
    """Whether the record has a row of its own, not only rows of parts."""


# Columns


def column_of(kind: Structure, name: str, *, inner: Field | None = None) -> Column | None:
    """The meaning of a column's name; None where it has none.

    `inner` is the field whose parts the table holds, for a table of parts.

    >>> practice = declaration().kind("practice")
    >>> column_of(practice, "title@fr").language
    'fr'
    >>> column_of(practice, "outcomes.claim-2.value").node
    'claim-2'
    >>> column_of(practice, "title") is None
    True
    """
    if inner is not None:
        assert inner.inner is not None
        found = _plain(inner.inner, name)
        return None if found is None else Column(name, found.field, found.language, inner)
    found = _plain(kind, name)
    if found is not None:
        return found
    outer, _, rest = name.partition(".")
    holder = kind.by_key.get(outer)
    if holder is None or holder.inner is None or not rest:
        return None
    node = None
    if holder.many:
        node, _, rest = rest.partition(".")
        node = f"{holder.inner.id_prefix}-{node}" if node.isascii() and node.isdigit() else node
        if not SLUG.fullmatch(node):
            return None
    if rest == REMOVE:
        return Column(name, holder, None, holder, node)
    found = _plain(holder.inner, rest)
    return None if found is None else Column(name, found.field, found.language, holder, node)


def _plain(structure: Structure, name: str) -> Column | None:
    """A column of a field that stands in the structure itself."""
    key, at, language = name.partition("@")
    field = structure.by_key.get(key)
    if field is None or field.type == "inner" or (field.type in ("text", "texts")) != bool(at):
        return None
    if at and not LANGUAGE_TAG.fullmatch(language):
        return None
    return Column(name, field, language or None)


def describe_missing(kind: Structure, name: str, language: str = "en") -> str:
    """Why a column has no meaning, and what would have.

    >>> describe_missing(declaration().kind("city"), "name")
    "'name' is a text: write its language too, such as 'name@en'"
    """
    from difflib import get_close_matches

    field = kind.by_key.get(name.partition("@")[0])
    shown = quoted(name)
    if field is not None and field.type in ("text", "texts"):
        said = {
            "en": f"{shown} is a text: write its language too, such as '{field.key}@en'",
            "fr": f"{shown} est un texte : écrivez aussi sa langue, par exemple '{field.key}@fr'",
        }
    elif field is not None and field.type == "inner":
        said = {
            "en": f"{shown} has parts: write for example '{field.key}.{_example(field)}' or a table of its own",
            "fr": f"{shown} a des éléments : écrivez par exemple '{field.key}.{_example(field)}', ou un tableau à part",
        }
    else:
        near = next(iter(get_close_matches(name.partition("@")[0], kind.by_key, n=1)), None)
        said = {
            "en": f"{shown} is no field" + (f"; did you mean {quoted(near)}?" if near else ""),
            "fr": f"{shown} n’est pas un champ" + (f" ; vouliez-vous dire {quoted(near)} ?" if near else ""),
        }
    return in_language(said, language)


def _example(field: Field) -> str:
    assert field.inner is not None
    part = field.inner.fields[0]
    key = f"{part.key}@en" if part.type == "text" else part.key
    return f"{field.inner.id_prefix}-1.{key}" if field.many else key


# Cells


def list_cell(values: Iterable[str]) -> str:
    """Several values in one cell.

    >>> list_cell(["a", "b|c"])
    'a | b\\\\|c'
    """
    return " | ".join(_escaped(str(value)) for value in values)


def _escaped(value: str) -> str:
    text = value.replace("\\", "\\\\").replace("|", "\\|")
    lead, trail = len(text) - len(text.lstrip()), len(text) - len(text.rstrip())
    if not text.strip():
        return "".join(f"\\{blank}" for blank in text)
    if trail:
        text = text[:-trail] + "".join(f"\\{blank}" for blank in text[-trail:])
    return "".join(f"\\{blank}" for blank in text[:lead]) + text[lead:]


def cell_list(cell: str) -> list[str]:
    """The values of a list cell; blanks around them and empty ones are not meant.

    >>> cell_list("a | b\\\\|c|")
    ['a', 'b|c']
    """
    return [part for part in _split(cell) if part]


def _split(cell: str) -> Iterator[str]:
    """The parts between bars that are not escaped, unescaped, without the blanks around them."""
    part: list[tuple[str, bool]] = []
    escaped = False
    for character in [*cell, "|"]:
        if not escaped and character == "\\":
            escaped = True
        elif not escaped and character == "|":
            yield _without_blanks(part)
            part = []
        else:
            if escaped and character not in "\\|" and not character.isspace():
                part.append(("\\", True))
            part.append((character, escaped))
            escaped = False
    if escaped:
        yield _without_blanks([*part, ("\\", True)])


def _without_blanks(part: list[tuple[str, bool]]) -> str:
    """A part without the blanks around it; escaped ones are meant."""
    begin, end = 0, len(part)
    while begin < end and part[begin][0].isspace() and not part[begin][1]:
        begin += 1
    while end > begin and part[end - 1][0].isspace() and not part[end - 1][1]:
        end -= 1
    return "".join(character for character, _ in part[begin:end])


class Unreadable(ValueError):
    """A cell that could mean several things or nothing; the message says what would be right, by language."""

    def __init__(self, message: Mapping[str, str]) -> None:
        super().__init__(message["en"])
        self.message = message

    def told(self, language: str) -> str:
        return in_language(self.message, language)


class Doubtful(Unreadable):
    """A cell that could mean two things, one of them as it is written: `writing`."""

    def __init__(self, message: Mapping[str, str], writing: str) -> None:
        super().__init__(message)
        self.writing = writing


def value_of(field: Field, cell: Cell, *, decimal_comma: bool = False) -> Any:
    """A cell as the value of a field, read as spreadsheet programs write it.

    Raises Unreadable for a cell that could mean two things: 03/04/2021 may be a day in April or in March.

    >>> observed = declaration().kind("city").by_key["observations"].inner.by_key
    >>> value_of(observed["observed"], "1,5", decimal_comma=True), value_of(observed["observed_in"], 2014.0)
    ('1.5', '2014')
    >>> accessed = declaration().kind("city").by_key["sources"].inner.by_key["accessed"]
    >>> value_of(accessed, "44197"), value_of(accessed, "1.3.2021")
    ('2021-01-01', '2021-03-01')
    """
    if field.many or field.type == "texts":
        text = restored(cell) if isinstance(cell, str) else _written(field, cell)
        return [_single(field, part, decimal_comma) for part in cell_list(text)]
    return _single(field, restored(cell) if isinstance(cell, str) else cell, decimal_comma)


def _single(field: Field, cell: Cell, decimal_comma: bool) -> Any:
    """One value of a field."""
    if field.type in ("text", "texts"):
        return cell if isinstance(cell, str) else _written(field, cell)
    text = cell.strip() if isinstance(cell, str) else cell
    if field.type == "boolean":
        return _truth(text)
    if field.type == "integer":
        number = _number(field, text, decimal_comma)
        return int(number) if re.fullmatch(r"-?\d{1,16}", number) else number
    if field.type == "date":
        return _day(text)
    if is_number(field):
        return _number(field, text, decimal_comma)
    if field.type == "concept" and isinstance(text, str):
        return _notation(field, text)
    return text if isinstance(text, str) else _written(field, text)


def _written(field: Field, cell: Cell) -> str:
    """A typed cell in a field of text: a whole number without its point, a day as a day."""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == cell.time().min else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float):
        return _decimal_text(cell)
    return ("true" if cell else "false") if isinstance(cell, bool) else str(cell)


def _decimal_text(number: float) -> str:
    """A number as a text, never in powers of ten.

    Spreadsheets keep 15 digits; what lies behind is noise of the binary form (0.1 + 0.2).
    """
    if number != number or number in (float("inf"), float("-inf")):
        raise Unreadable({"en": f"{number} is no number", "fr": f"{number} n’est pas un nombre"})
    return f"{Decimal(f'{number:.15g}').normalize():f}"


@cache
def is_number(field: Field) -> bool:
    """Whether a field's values are numbers, whatever their type: what its pattern takes says so.

    >>> is_number(declaration().kind("city").by_key["latitude"]), is_number(declaration().kind("city").by_key["lau"])
    (True, False)
    """
    if field.type in ("integer", "decimal"):
        return True
    pattern = field.pattern or ""
    return field.type == "string" and all(
        bool(re.search(pattern, text)) == meant
        for text, meant in (("1", True), ("1.5", True), ("a", False), ("", False))
    )


def _number(field: Field, cell: Cell, decimal_comma: bool) -> str:
    """A number with a decimal point; what is no number is left for the rules to refuse."""
    if isinstance(cell, bool):
        raise Unreadable({"en": f"{quoted(cell)} is no number", "fr": f"{quoted(cell)} n’est pas un nombre"})
    if isinstance(cell, date):
        raise Unreadable(
            {
                "en": f"{quoted(_written(field, cell))} is a date; mark the column as text or number",
                "fr": f"{quoted(_written(field, cell))} est une date ; formatez la colonne en texte ou en nombre",
            }
        )
    if not isinstance(cell, str):
        return _decimal_text(float(cell)) if isinstance(cell, float) else str(cell)
    text = re.sub(r"(?<=\d)[\s   '’](?=\d{3}(\D|$))", "", cell.strip())
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})*,\d+", text) and ("." in text or decimal_comma):
        return text.replace(".", "").replace(",", ".").lstrip("+")
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+\.\d+|[+-]?\d{1,3}(,\d{3}){2,}", text):
        return text.replace(",", "").lstrip("+")
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{3}){2,}", text):
        return text.replace(".", "").lstrip("+")
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        if decimal_comma or not re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
            return text.replace(",", ".").lstrip("+")
        whole, point = text.replace(",", ""), text.replace(",", ".")
        raise Unreadable(
            {
                "en": f"{quoted(cell)} could be {whole} or {point}; write one of these",
                "fr": f"{quoted(cell)} pourrait être {whole} ou {point} ; écrivez l’un des deux",
            }
        )
    if decimal_comma and re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text):
        whole, comma = text.replace(".", ""), text.replace(".", ",")
        raise Doubtful(
            {
                "en": f"{quoted(cell)} could be {whole} or {text}; write {whole} or {comma}",
                "fr": f"{quoted(cell)} pourrait être {whole} ou {text} ; écrivez {whole} ou {comma}",
            },
            text,
        )
    if re.fullmatch(r"[+-]?\d+(\.\d+)?[eE][+-]?\d{1,2}", text):
        return _decimal_text(float(text))
    return text.removeprefix("+") if re.fullmatch(r"\+\d+(\.\d+)?", text) else text


def _day(cell: Cell) -> Any:
    """A day as 2021-03-01, from what a spreadsheet makes of it."""
    if isinstance(cell, date):
        return cell.date().isoformat() if isinstance(cell, datetime) else cell.isoformat()
    if isinstance(cell, bool):
        raise Unreadable(
            {
                "en": f"{quoted(cell)} is no day; write for example 2021-03-01",
                "fr": f"{quoted(cell)} n’est pas un jour ; écrivez par exemple 2021-03-01",
            }
        )
    if isinstance(cell, int | float) or (isinstance(cell, str) and re.fullmatch(r"\d{4,5}([.,]0+)?", cell)):
        number = float(str(cell).replace(",", "."))
        if int(number) in _EXCEL_DAYS and number == int(number) and not (isinstance(cell, str) and number < 10_000):
            return (_EXCEL_EPOCH + timedelta(days=int(number))).isoformat()
        raise Unreadable(
            {
                "en": f"{quoted(cell)} is no day; write for example 2021-03-01",
                "fr": f"{quoted(cell)} n’est pas un jour ; écrivez par exemple 2021-03-01",
            }
        )
    found = re.fullmatch(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})", str(cell))
    if found is None:
        return cell
    first, second, year = int(found[1]), int(found[3]), int(found[4])
    if found[2] == "/" and first <= 12 and second <= 12 and first != second:
        one, other = f"{year:04}-{second:02}-{first:02}", f"{year:04}-{first:02}-{second:02}"
        raise Unreadable(
            {
                "en": f"{quoted(cell)} could be {one} or {other}; write one of these",
                "fr": f"{quoted(cell)} pourrait être {one} ou {other} ; écrivez l’un des deux",
            }
        )
    day, month = (first, second) if second <= 12 else (second, first)
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        raise Unreadable(
            {
                "en": f"{quoted(cell)} is no day; write for example 2021-03-01",
                "fr": f"{quoted(cell)} n’est pas un jour ; écrivez par exemple 2021-03-01",
            }
        ) from None


def _truth(cell: Cell) -> Any:
    if isinstance(cell, bool):
        return cell
    word = _decimal_text(cell) if isinstance(cell, float) else str(cell).casefold()
    if word in _YES | _NO:
        return word in _YES
    raise Unreadable(
        {
            "en": f"{quoted(cell)} is neither yes nor no; write true or false",
            "fr": f"{quoted(cell)} n’est ni oui ni non ; écrivez true ou false",
        }
    )


def _notation(field: Field, text: str) -> str:
    """A choice's short name, from that or from its label in any language; anything else is left for the rules."""
    if text in (field.choices or {}) or text in field.notations:
        return text
    return _labels(field).get(text.casefold(), text)


@cache
def _labels(field: Field) -> dict[str, str]:
    """Labels of a field's choices, in all languages, to their short names."""
    concepts = declaration().concepts
    return {
        label.casefold(): notation
        for notation, iri in (field.choices or {}).items()
        for label in concepts.get(str(iri), {}).values()
    }


# Rows to edits


def read_wanted(
    tables: Iterable[Table],
    *,
    kind: str | None = None,
    clear_empty: bool = False,
    unknown: list[str] | None = None,
    language: str = "en",
) -> list[Wanted]:
    """What tables say of each record, in the order of its first row.

    A table's kind is `kind`, else what its name says (`practices`, `practice.outcomes`), else its rows' column
    `kind`. With `clear_empty`, an empty cell empties its field. Columns without meaning are added to `unknown`.
    `language` is that of the messages.

    Raises BadRequest for a table whose kind cannot be told, or that has no column of identifiers.
    """
    found: dict[tuple[str, str], Wanted] = {}
    unknown = [] if unknown is None else unknown
    order = sorted(tables, key=lambda table: _parts_of(table.name) is not None)
    for table in order:
        for wanted in _of_table(table, kind, clear_empty, unknown, language):
            key = (wanted.kind, wanted.id)
            before = found.get(key) if wanted.id else None
            if before is None:
                found[key if wanted.id else (wanted.kind, wanted.place)] = wanted
            elif wanted.main and before.main:
                wanted.problems.append(twice(wanted.kind, wanted.id, before.place, language))
                found[(wanted.kind, wanted.place)] = wanted
            else:
                before.edits += wanted.edits
                before.problems += wanted.problems
    return list(found.values())


def twice(kind: str, id: str, first: str, language: str) -> Problem:
    """The problem of a record that stands a second time; `first` is where it stood before."""
    said = {
        "en": f"{kind} {quoted(id)} stands twice, first at {first}",
        "fr": f"{in_french(kind)} {quoted(id)} figure deux fois, d’abord à {first}",
    }
    return Problem("id", in_language(said, language))


def _parts_of(name: str) -> tuple[Kind, Field | None] | None:
    """Kind and field of a table of parts, from its name."""
    head, dot, tail = name.partition(".")
    try:
        kind = declaration().kind(head)
    except NotFound:
        return None
    field = kind.by_key.get(tail) if dot else None
    return (kind, field) if field is not None and field.inner is not None else None


def _of_table(table: Table, kind: str | None, clear_empty: bool, unknown: list[str], language: str) -> Iterator[Wanted]:
    """The rows of one table."""
    parts = _parts_of(table.name)
    if parts is not None:
        yield from _part_rows(table, *parts, clear_empty, unknown, language)
        return
    named = _kind_named(table, kind)
    if ID not in table.columns:
        raise BadRequest(
            {
                "en": f"{table.file}: there is no column 'id', which tells the records apart; for a table of another form, "
                "give a mapping",
                "fr": f"{table.file} : il n’y a pas de colonne 'id', qui distingue les fiches ; pour un tableau d’une autre "
                "forme, donnez une correspondance (mapping)",
            }
        )
    columns: dict[str, dict[str, Column]] = {}
    for row in table.rows:
        of = declaration().kinds.get(str(row.cells.get(KIND, named.name if named else "")))
        if of is None:
            shown = quoted(row.cells.get(KIND, ""))
            said = {"en": f"{shown} is no kind of record", "fr": f"{shown} n’est pas une sorte de fiche"}
            problem = Problem(KIND, in_language(said, language))
            yield Wanted(row.place, "record", "", [], {}, [problem], main=True)
            continue
        if of.name not in columns:
            columns[of.name] = _columns(table, of, unknown, language)
        yield _main_row(table, row, of, columns[of.name], clear_empty, language)


def _kind_named(table: Table, kind: str | None) -> Kind | None:
    """The kind of a table's rows; None where each row says its own."""
    if kind is not None:
        return declaration().kind(kind)
    try:
        return declaration().kind(table.name)
    except NotFound:
        if KIND in table.columns:
            return None
        kinds = ", ".join(declaration().kinds)
        raise BadRequest(
            {
                "en": f"{table.file}: what are the rows of {quoted(table.name)}? Say the kind, or name the table after it: "
                f"{kinds}",
                "fr": f"{table.file} : que sont les lignes de {quoted(table.name)} ? Dites la sorte de fiche, ou donnez son "
                f"nom au tableau : {kinds}",
            }
        ) from None


def _columns(table: Table, kind: Kind, unknown: list[str], language: str) -> dict[str, Column]:
    """The columns that have a meaning."""
    found = {}
    for name in table.columns:
        if name in (ID, KIND, *_IGNORED) or name in _SYSTEM_COLUMNS:
            continue
        column = column_of(kind, name)
        if column is not None:
            found[name] = column
        else:
            message = f"{table.file}: {describe_missing(kind, name, language)}"
            if message not in unknown:
                unknown.append(message)
    return found


_SYSTEM_COLUMNS = {f"record.{key}": key for key in SYSTEM_KEYS}


def _main_row(
    table: Table, row: TableRow, kind: Kind, columns: Mapping[str, Column], clear_empty: bool, language: str
) -> Wanted:
    """One row that is a record."""
    id = row.cells.get(ID, "")
    wanted = Wanted(row.place, kind.name, str(id).strip(), [], {}, [], main=True)
    if not wanted.id:
        said = {
            "en": "the row has no identifier; write one such as 'gent--table-for-two'",
            "fr": "la ligne n’a pas d’identifiant ; écrivez-en un, par exemple 'gent--table-for-two'",
        }
        wanted.problems.append(Problem(ID, in_language(said, language)))
    for name, key in _SYSTEM_COLUMNS.items():
        if name in row.cells:
            wanted.said[key] = row.cells[name]
    for name, column in columns.items():
        if name in row.cells or clear_empty:
            _read_cell(wanted, column, row.cells.get(name), table, language)
    return wanted


def _part_rows(
    table: Table, kind: Kind, outer: Field | None, clear_empty: bool, unknown: list[str], language: str
) -> Iterator[Wanted]:
    """Rows of a table of parts, gathered by record."""
    assert outer is not None
    assert outer.inner is not None
    if RECORD not in table.columns:
        raise BadRequest(
            {
                "en": f"{table.file}: there is no column 'record', which says whose part each row is",
                "fr": f"{table.file} : il n’y a pas de colonne 'record', qui dit de quelle fiche chaque ligne est un élément",
            }
        )
    columns = {}
    for name in table.columns:
        if name in (RECORD, ID, REMOVE):
            continue
        column = column_of(kind, name, inner=outer)
        if column is None:
            unknown.append(f"{table.file}: {describe_missing(outer.inner, name, language)}")
        else:
            columns[name] = column
    gathered: dict[str, Wanted] = {}
    for number, row in enumerate(table.rows):
        record = str(row.cells.get(RECORD, "")).strip()
        wanted = gathered.setdefault(record, Wanted(row.place, kind.name, record, [], {}, []))
        if not record:
            said = {
                "en": f"{row.place}: the row does not say whose part it is",
                "fr": f"{row.place} : la ligne ne dit pas à quelle fiche cet élément appartient",
            }
            wanted.problems.append(Problem(RECORD, in_language(said, language)))
            continue
        node = str(row.cells.get(ID, "")).strip() or f"?{number}"
        if row.cells.get(REMOVE):
            _read_cell(wanted, Column(REMOVE, outer, None, outer, node), row.cells[REMOVE], table, language)
            continue
        for name, column in columns.items():
            if name in row.cells or clear_empty:
                placed = Column(name, column.field, column.language, outer, node)
                _read_cell(wanted, placed, row.cells.get(name), table, language)
    yield from gathered.values()


def _read_cell(wanted: Wanted, column: Column, cell: Cell, table: Table, language: str) -> None:
    """Add the edit that a cell asks for, or the problem it has."""
    where = _where(column)
    try:
        if column.field.type == "inner":
            if cell is not None and _truth(cell):
                wanted.edits.append(Edit(column, None, remove=True, marked=True))
        elif cell is None or cell == CLEAR:
            wanted.edits.append(Edit(column, None, marked=cell is not None))
        else:
            value = value_of(column.field, cell, decimal_comma=table.decimal_comma)
            wanted.edits.append(Edit(column, value))
    except Unreadable as error:
        if isinstance(error, Doubtful) and not column.field.many:
            wanted.edits.append(Edit(column, error.writing, doubt=error.told(language)))
        else:
            wanted.problems.append(Problem(where, error.told(language), value=str(cell)))


def _where(column: Column) -> str:
    """The dotted place of a column in a record, as in problems of rules."""
    parts = [column.outer.key if column.outer else "", column.node or "", column.field.key]
    if column.field is column.outer:
        parts.pop()
    return ".".join(part for part in parts if part) + (f"@{column.language}" if column.language else "")


# Edits to records


def edited(record: Mapping[str, Any], edits: Sequence[Edit]) -> Record:
    """The record after the edits; the given one is left as it is.

    A value that says the same as the one there (1.50 and 1.5, other line ends) keeps its writing. A part that is
    not there yet is added; one without identifier is the part that says the same, else it is given the next free one.

    Raises InvalidRecord for values that could mean two things and are not on record in this writing.

    >>> practice = declaration().kind("practice")
    >>> edited({"kind": "practice", "id": "x", "title": {"en": "Buddies"}},
    ...        [Edit(column_of(practice, "title@fr"), "Binômes"), Edit(column_of(practice, "outcomes.1.value"), "12")])
    {'kind': 'practice', 'id': 'x', 'title': {'en': 'Buddies', 'fr': 'Binômes'}, 'outcomes': [{'id': 'claim-1', 'value': '12'}]}
    """
    if doubted := doubts(record, edits):
        raise InvalidRecord(str(record["kind"]), str(record["id"]), doubted)
    edits = [one for one in edits if not one.doubt]
    changed: Record = deepcopy(dict(record))
    unnamed: dict[tuple[str, str], Record] = {}
    for edit in edits:
        outer = edit.column.outer
        if outer is None:
            _set(changed, edit)
        elif not outer.many:
            part = changed.setdefault(outer.key, {})
            if edit.remove:
                part.clear()
            else:
                _set(part, edit)
            if not part or (outer.key != RECORD and set(part) == {"id"}):
                changed.pop(outer.key, None)
        elif edit.unnamed:
            _set(unnamed.setdefault((outer.key, str(edit.column.node)), {}), edit)
        else:
            _edit_part(changed, edit)
    for (key, _), part in unnamed.items():
        _add_unnamed(changed, key, part, [str(one.get("id")) for one in record.get(key, [])])
    return changed


def doubts(record: Mapping[str, Any], edits: Iterable[Edit]) -> list[Problem]:
    """The problems of edits whose value could mean two things, and is not on record in this writing."""
    return [Problem(_where(one.column), one.doubt, value=one.value) for one in edits if one.doubt and asks(record, one)]


def asks(record: Mapping[str, Any], edit: Edit) -> bool:
    """Whether an edit would change a record: not where the record says the same.

    >>> title = column_of(declaration().kind("practice"), "title@fr")
    >>> [asks({"kind": "practice", "title": {"fr": "Binômes"}}, Edit(title, text)) for text in ("Binômes", "Duos", None)]
    [False, True, True]
    """
    column = edit.column
    part: Mapping[str, Any] | None = record
    if column.outer is not None:
        value = record.get(column.outer.key)
        part = next((one for one in value or [] if one.get("id") == column.node), None) if column.outer.many else value
    if edit.remove:
        return bool(part)
    there = (part or {}).get(column.field.key)
    if column.language is not None:
        there = (there or {}).get(column.language)
    if edit.value in (None, {}, []):
        return there is not None
    return there != edit.value if edit.doubt else not _same(column.field, there, edit.value)


def _edit_part(record: Record, edit: Edit) -> None:
    """Change, add or remove one part of a list."""
    outer, node = edit.column.outer, edit.column.node
    assert outer is not None
    parts = record.get(outer.key, [])
    found = next((part for part in parts if part.get("id") == node), None)
    if edit.remove:
        parts = [part for part in parts if part is not found]
    else:
        if found is None:
            if edit.value is None:
                return
            found = {"id": node}
            parts = [*parts, found]
        _set(found, edit)
    record[outer.key] = parts
    if not parts:
        del record[outer.key]


def _add_unnamed(record: Record, key: str, part: Record, before: Sequence[str]) -> None:
    """A part without identifier: the one that says the same, else a new one; the number of one taken away stays free."""
    parts = record.setdefault(key, [])
    if part and not any({k: v for k, v in one.items() if k != "id"} == part for one in parts):
        field = declaration().kind(record["kind"]).by_key[key]
        assert field.inner is not None
        parts.append(
            {"id": next_inner_id(field.inner.id_prefix, [*before, *(str(one.get("id")) for one in parts)]), **part}
        )
    if not parts:
        del record[key]


def _set(part: Record, edit: Edit) -> None:
    """Put one value into a record or a part of it."""
    field, language, value = edit.column.field, edit.column.language, edit.value
    if language is not None:
        texts = dict(part.get(field.key) or {})
        if value is None or value == []:
            texts.pop(language, None)
        elif not _same(field, texts.get(language), value):
            texts[language] = value
        value = texts
    elif _same(field, part.get(field.key), value):
        return
    if value in (None, {}, []):
        part.pop(field.key, None)
    else:
        part[field.key] = value


def _same(field: Field, before: Any, after: Any) -> bool:
    """Whether two values of a field say the same."""
    if before == after:
        return True
    if isinstance(before, list) and isinstance(after, list):
        return sorted(map(str, before)) == sorted(map(str, after))
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    if is_number(field):
        try:
            return Decimal(before) == Decimal(after)
        except InvalidOperation:
            return False
    return before.replace("\r\n", "\n").replace("\r", "\n").strip() == after.replace("\r", "\n").strip()


# Records to sheets


def sheets(
    records: Iterable[Mapping[str, Any]], *, flat: bool = False, declared: Declaration | None = None
) -> list[Sheet]:
    """Tables of records: for each kind one of the records and one for each of its lists of parts, or with `flat`
    one alone, with a column for each part.

    Only columns that some record fills are there. Read back, they change nothing.

    >>> [sheet.name for sheet in sheets([{"kind": "city", "id": "gent", "name": {"nl": "Gent"},
    ...     "sources": [{"id": "source-1", "url": "https://example.org/"}]}])]
    ['city', 'city.sources']
    """
    declared = declared or declaration()
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_kind.setdefault(record["kind"], []).append(record)
    found = []
    for name, of_kind in sorted(by_kind.items()):
        found += _sheets_of(declared.kind(name), of_kind, flat)
    return found


def _sheets_of(kind: Kind, records: Sequence[Mapping[str, Any]], flat: bool) -> list[Sheet]:
    """The tables of one kind's records."""
    main = _Sheet(kind.name)
    parts: dict[str, _Sheet] = {}
    for record in records:
        row = main.row({ID: record["id"]})
        for field in kind.fields:
            value = record.get(field.key)
            if value is None:
                continue
            if field.inner is None:
                main.put(row, field, value, field.key, field.order)
            elif not field.many:
                _put_part(main, row, field, value, field.key)
            elif flat:
                for part in value:
                    _put_part(main, row, field, part, f"{field.key}.{part['id']}")
            else:
                sheet = parts.setdefault(field.key, _Sheet(f"{kind.name}.{field.key}"))
                for part in value:
                    below = sheet.row({RECORD: record["id"], ID: part["id"]})
                    for inner in field.inner.fields:
                        if part.get(inner.key) is not None:
                            sheet.put(below, inner, part[inner.key], inner.key, inner.order)
    return [main.finished(), *(parts[field.key].finished() for field in kind.fields if field.key in parts)]


def _put_part(sheet: _Sheet, row: dict[str, Cell], field: Field, part: Mapping[str, Any], where: str) -> None:
    """The cells of a part that stands in its record's row."""
    assert field.inner is not None
    for inner in field.inner.fields:
        if part.get(inner.key) is not None:
            sheet.put(row, inner, part[inner.key], f"{where}.{inner.key}", field.order, inner.order, where)
    for key in SYSTEM_KEYS if field.key == RECORD else ():
        if part.get(key) is not None:
            sheet.cell(row, f"{where}.{key}", part[key], (field.order, where, 1000.0, key))


class _Sheet:
    """A table on its way: rows, and columns in the order of the form."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.first: list[str] = []
        self.order: dict[str, tuple] = {}
        self.rows: list[dict[str, Cell]] = []

    def row(self, first: dict[str, Cell]) -> dict[str, Cell]:
        self.first = list(first)
        self.rows.append(first)
        return first

    def cell(self, row: dict[str, Cell], column: str, value: Cell, order: tuple) -> None:
        row[column] = value
        self.order[column] = order

    def put(
        self, row: dict[str, Cell], field: Field, value: Any, name: str, order: float, inner: float = 0, where: str = ""
    ) -> None:
        """The cells of one field."""
        if field.type in ("text", "texts"):
            for language, wording in value.items():
                cell = list_cell(wording) if isinstance(wording, list) else wording
                self.cell(row, f"{name}@{language}", cell, (order, _natural(where), inner, name, language))
        else:
            cell = list_cell(value) if field.many else value
            self.cell(row, name, cell, (order, _natural(where), inner, name))

    def finished(self) -> Sheet:
        columns = sorted(self.order, key=lambda name: tuple(map(_sortable, self.order[name])))
        return Sheet(self.name, (*self.first, *columns), self.rows)


def _natural(where: str) -> tuple:
    """claim-2 before claim-10."""
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in re.split(r"(\d+)", where))


def _sortable(part: Any) -> tuple:
    """Numbers, texts and tuples of both in one order."""
    if isinstance(part, tuple):
        return (1, tuple((0, one, "") if isinstance(one, int) else (1, 0, one) for one in part))
    return (0, float(part)) if isinstance(part, int | float) else (2, str(part))
