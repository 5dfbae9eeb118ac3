"""Reads and writes tables as files: CSV and TSV in any of the usual encodings, XLSX, and zip files of CSV.

Reading gives cells as they stand, with their place, and decides nothing about records. What cannot be read
without guessing is refused with a sentence: an encoding that could be several, a workbook that unpacks to more
than it should, a formula without a value. Writing keeps a spreadsheet program from running what a record says:
a cell that begins like a formula gets an apostrophe in front, which reading takes off again.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from kg.errors import BadRequest, TooLarge, UnreadableInput, in_digits, quoted

FILE_LIMIT_BYTES = 100 * 1024 * 1024
UNPACKED_LIMIT_BYTES = 300 * 1024 * 1024
MEMBERS_LIMIT = 2_000
ROWS_LIMIT = 200_000
COLUMNS_LIMIT = 2_000
CELL_LIMIT_CHARACTERS = 100_000
"""A cell of a spreadsheet program holds 32,767 characters, a text of a record 20,000."""

SHEET_CELL_LIMIT_CHARACTERS = 32_767

ENDINGS = (".csv", ".tsv", ".xlsx", ".zip")

CLEAR = "—clear—"
"""What a curator writes into a cell to empty its field."""

Cell = str | int | float | bool | date | datetime | None

_GUARDED = re.compile("'*(?:[=+@\\-\t\r\n＝＋－＠]|" + re.escape(CLEAR) + ")")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class TableRow:
    """One row below the heading; `place` names file, sheet and line for people. Empty cells are left out."""

    place: str
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Table:
    """One table of a file.

    `name` is the file's name without ending, or the sheet's: it tells what the rows are. `decimal_comma` says
    that the file comes from a program that writes 1,5 (its columns are separated by semicolons).
    """

    file: str
    name: str
    columns: tuple[str, ...]
    rows: list[TableRow]
    decimal_comma: bool = False
    encoding: str = "UTF-8"
    values: bool = field(default=False)
    """Whether cells have types of their own (a workbook) or are all text (CSV)."""


def is_table(name: str) -> bool:
    """Whether a file's ending says that it holds tables.

    >>> is_table("Cases.XLSX"), is_table("cases.jsonl")
    (True, False)
    """
    return PurePosixPath(name).suffix.lower() in ENDINGS


def neutralised(text: str) -> str:
    """A cell's text as it is written: what a spreadsheet program would run as a formula begins with an apostrophe.

    Numbers stay as they are. `restored` takes exactly this apostrophe off again.

    >>> neutralised("=HYPERLINK(1)"), neutralised("-3.5"), neutralised("'s-Hertogenbosch"), neutralised("'=1")
    ("'=HYPERLINK(1)", '-3.5', "'s-Hertogenbosch", "''=1")
    """
    return f"'{text}" if _GUARDED.match(text) and not _NUMBER.fullmatch(text) else text


def restored(text: str) -> str:
    """A cell's text as it was meant: without the apostrophe that `neutralised` put there.

    >>> restored("'=1"), restored("''=1"), restored("'s-Hertogenbosch")
    ('=1', "'=1", "'s-Hertogenbosch")
    """
    return text[1:] if text.startswith("'") and _GUARDED.match(text[1:]) else text


def read_tables(path: Path, *, name: str | None = None, encoding: str | None = None) -> list[Table]:
    """Every table of a file, by its ending: one for CSV and TSV, one a sheet for XLSX, one a file for zip.

    `name` is what people call the file, its own name when None. `encoding` is that of CSV where it cannot be told
    from the bytes ("cp1257"). Sheets and files without any cell are left out.

    Raises UnreadableInput for what is not what its ending says, or cannot be read without guessing, and TooLarge
    above the limits of this module; both name the file and what to do.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp:
    ...     file = Path(tmp) / "city.csv"
    ...     _ = file.write_text("id;name@fr\\ngent;Gand\\n")
    ...     (table,) = read_tables(file)
    >>> table.name, table.columns, table.rows[0].cells
    ('city', ('id', 'name@fr'), {'id': 'gent', 'name@fr': 'Gand'})
    """
    name = name or path.name
    try:
        if path.stat().st_size > FILE_LIMIT_BYTES:
            raise TooLarge(
                _at(
                    name,
                    f"tables may have {FILE_LIMIT_BYTES // 1024**2} MB at most; split the file",
                    f"un tableau fait au plus {FILE_LIMIT_BYTES // 1024**2} Mo ; divisez le fichier",
                )
            )
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableInput(f"{name}: cannot be read ({error.strerror})") from None
    ending = PurePosixPath(name).suffix.lower()
    if ending == ".xlsx":
        return _workbook(name, content)
    if ending == ".zip":
        return _zipped(name, content, encoding)
    if ending in (".csv", ".tsv"):
        return [_csv(name, PurePosixPath(name).stem, content, encoding, tabs=ending == ".tsv")]
    raise UnreadableInput(
        _at(
            name,
            f"the ending tells the format; tables end in {', '.join(ENDINGS)}",
            f"la terminaison dit le format ; celle d’un tableau est {', '.join(ENDINGS)}",
        )
    )


def _at(place: str, english: str, french: str) -> dict[str, str]:
    """A message about a place, by language."""
    return {"en": f"{place}: {english}", "fr": f"{place} : {french}"}


# CSV


def decoded(name: str, content: bytes, encoding: str | None = None) -> tuple[str, str]:
    """The text of a file and the name of its encoding.

    A byte order mark decides; then UTF-16 is known by its zero bytes, then UTF-8 is tried strictly, then
    Windows-1252, but only where the bytes look like it and like no other 8-bit encoding: Latvian in Windows-1257
    is as valid in 1252, and comes out as garbage.

    Raises UnreadableInput, saying what to do, where the encoding cannot be told.

    >>> decoded("x.csv", "Λιβαδειά".encode("utf-16"))
    ('Λιβαδειά', 'UTF-16')
    >>> decoded("x.csv", "Les écoles sont ouvertes à tous les élèves, été comme hiver".encode("cp1252"))[1]
    'Windows-1252'
    """
    if encoding is not None:
        return _strictly(name, content, encoding), encoding
    for mark, codec, called in _MARKS:
        if content.startswith(mark):
            return _strictly(name, content, codec).removeprefix("\ufeff"), called
    if b"\x00" in content[:4096]:
        return _strictly(name, content, _order_of_bytes(name, content)), "UTF-16"
    try:
        return content.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        return _windows(name, content), "Windows-1252"


def _order_of_bytes(name: str, content: bytes) -> str:
    """Which UTF-16 a text without mark is: separators and line ends have their zero byte on one side, always."""
    first, second = content[0:4096:2].count(0), content[1:4096:2].count(0)
    least = min(len(content), 4096) // 20
    if (first == 0 and second >= least) or (second == 0 and first >= least):
        return "utf-16-le" if first == 0 else "utf-16-be"
    raise UnreadableInput(
        _at(
            name,
            "has bytes of value zero where a text has none; it is not a text file",
            "contient des octets nuls, qu’un texte n’a pas ; ce n’est pas un fichier de texte",
        )
    )


_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)

_WESTERN = {
    "Danish, Norwegian": "æøåéóòôüäö",
    "Dutch": "ëïéèöüáóíêçà",
    "Finnish, Swedish": "åäöéüà",
    "French": "àâçéèêëîïôùûüÿœæ",
    "German": "äöüßéèà",
    "Icelandic": "áéíóúýðþæö",
    "Irish": "áéíóú",
    "Italian": "àèéìíîòóùú",
    "Portuguese": "ãáàâçéêíóôõúü",
    "Spanish, Catalan, Basque": "áéíóúñüïçàèòºª·¿¡",
}
"""Letters beyond ASCII that a text in Windows-1252 may have, by language; a text uses those of one."""

_WESTERN_LANGUAGES = {
    "ca",
    "da",
    "de",
    "en",
    "es",
    "eu",
    "fi",
    "fr",
    "ga",
    "gl",
    "is",
    "it",
    "nb",
    "nl",
    "nn",
    "no",
    "pt",
    "sv",
}

_RIVALS = {
    "cp1250": (
        "ąćęłńóśźżéüöä",
        "áčďéěíňóřšťúůýžöüä",
        "áäčďéíĺľňóôŕšťúýž",
        "áéíóöőúüű",
        "čćđšž",
        "ăâîșşțţ",
    ),
    "cp1257": ("āčēģīķļņōŗšūž", "ąčęėįšųūž", "äöõüšž"),
    "cp1254": ("çğıiöşüâîû",),
    "cp1253": ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",),
    "cp1251": ("абвгдежзийклмнопрстуфхцчшщъыьэюяіїєґёђјљњћџ",),
}
"""Letters beyond ASCII in the encodings that the same bytes could be, by language."""

_MARKS_OF_WRITING = set("–—‘’‚“”„…«»‹›•€£°²³½¼¾©®™§¡¿ºª×±·\xa0\xad")
_INSIDE_A_WORD = re.compile(r"[^\W\d_][„“”‚‹›«»¡¿•§][^\W\d_]|[^\W\d_][„‚¡¿•§]|[°²³½¼¾£€][^\W\d_]")
"""A mark where a letter should stand: the text is of another encoding."""


def _strictly(name: str, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableInput(
            _at(
                name,
                f"byte {error.start + 1} is not {encoding.upper()}; save the file as UTF-8",
                f"l’octet {error.start + 1} n’est pas du {encoding.upper()} ; enregistrez le fichier en UTF-8",
            )
        ) from None
    except LookupError:
        raise UnreadableInput(
            _at(
                name,
                f"{quoted(encoding)} is no encoding; for example 'cp1252' or 'utf-8'",
                f"{quoted(encoding)} n’est pas un codage ; par exemple 'cp1252' ou 'utf-8'",
            )
        ) from None


def _windows(name: str, content: bytes) -> str:
    """Text of Windows-1252, where the bytes cannot well be anything else."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or not _is_western(content, text):
        raise UnreadableInput(
            _at(
                name,
                "is not UTF-8, and its encoding cannot be told for sure; save it as UTF-8 (in a spreadsheet program: CSV UTF-8), or say which encoding it has",
                "n’est pas en UTF-8, et son codage ne se reconnaît pas avec certitude ; enregistrez le fichier en UTF-8 (dans un tableur : CSV UTF-8), ou dites quel codage il a",
            )
        )
    return text


def _is_western(content: bytes, text: str) -> bool:
    """Whether bytes are Windows-1252: its letters are those of a Western language, and no other encoding makes as
    good a reading of them or, where one does, the language of the text is recognised and is a Western one."""
    letters = _letters(text)
    if _INSIDE_A_WORD.search(text) or not any(letters <= set(alphabet) for alphabet in _WESTERN.values()):
        return False
    telling = b"\n".join(line for line in content.split(b"\n") if not line.isascii())[:100_000]
    if not any(_reads_as(telling, codec, alphabets) for codec, alphabets in _RIVALS.items()):
        return True
    from kg.search.text import language_of  # loads a model of languages, for doubtful files alone

    language, certain = language_of(telling.decode("cp1252", errors="replace"))
    return certain and language in _WESTERN_LANGUAGES


def _letters(text: str) -> set[str]:
    """Letters and signs beyond ASCII, in lower case, without marks of writing."""
    return {character.lower() for character in set(text) if ord(character) > 127} - _MARKS_OF_WRITING


def _reads_as(telling: bytes, codec: str, alphabets: Sequence[str]) -> bool:
    """Whether the bytes read in another encoding give another text, with the letters of one language."""
    try:
        text = telling.decode(codec)
    except UnicodeDecodeError:
        return False
    if text == telling.decode("cp1252", errors="replace"):
        return False
    if codec in ("cp1253", "cp1251") and re.search(r"[a-zA-Z][^\x00-\x7f\W]|[^\x00-\x7f\W][a-zA-Z]", text):
        return False  # Latin and other letters in one word
    return any(_letters(text) <= set(alphabet) for alphabet in alphabets)


def _csv(name: str, stem: str, content: bytes, encoding: str | None, tabs: bool) -> Table:
    """One table of separated values."""
    text, called = decoded(name, content, encoding)
    if "\x00" in text:
        raise UnreadableInput(
            _at(
                name,
                "has characters of value zero; it is not a text file",
                "contient des caractères nuls ; ce n’est pas un fichier de texte",
            )
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    declared = re.match(r"sep=(.)\n", text)
    offset = 0
    if declared:
        text, offset = text[declared.end() :], 1
    separator = declared[1] if declared else "\t" if tabs else _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return _table(
            name,
            stem,
            ((f"{name} line {line + offset}", cells) for line, cells in _numbered(reader)),
            decimal_comma=separator == ";",
            encoding=called,
        )
    except csv.Error as error:
        message, place = str(error), f"{name} line {reader.line_num + offset}"
        if "field larger" in message:
            raise TooLarge(
                _at(
                    place,
                    f"a cell may have {CELL_LIMIT_CHARACTERS:,} characters at most; or a quotation mark is not closed",
                    f"une cellule fait au plus {CELL_LIMIT_CHARACTERS} caractères ; ou un guillemet n’est pas fermé",
                )
            ) from None
        raise UnreadableInput(
            _at(place, f"{message}; check its quotation marks", f"{message} ; vérifiez les guillemets")
        ) from None


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line they begin on; a quoted cell may hold lines of its own."""
    line = 1
    for cells in reader:
        yield line, cells
        line = reader.line_num + 1


def _separator(text: str) -> str:
    """The separator that cuts the heading into most columns; the heading is read with its quotes respected."""

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(text[:CELL_LIMIT_CHARACTERS], newline=""), delimiter=separator), []))
        except csv.Error:
            return 0

    return max((",", ";", "\t"), key=columns)


# Any table


def _table(
    file: str,
    name: str,
    rows: Iterable[tuple[str, Sequence[Cell]]],
    *,
    decimal_comma: bool = False,
    encoding: str = "UTF-8",
    values: bool = False,
) -> Table:
    """Heading and rows, within the limits; empty rows are passed over."""
    heading: list[str] = []
    found: list[TableRow] = []
    for number, (place, cells) in enumerate(rows):
        if number > ROWS_LIMIT:
            raise TooLarge(
                _at(
                    file,
                    f"a table may have {ROWS_LIMIT:,} rows at most; split it",
                    f"un tableau a au plus {ROWS_LIMIT} lignes ; divisez-le",
                )
            )
        if len(cells) > COLUMNS_LIMIT:
            raise TooLarge(
                _at(
                    place,
                    f"a table may have {COLUMNS_LIMIT:,} columns at most",
                    f"un tableau a au plus {COLUMNS_LIMIT} colonnes",
                )
            )
        if not heading:
            if any(_given(cell) for cell in cells):
                heading = _heading(place, cells)
            continue
        row = _row(place, heading, cells)
        if row:
            found.append(TableRow(place, row))
    used = tuple(column for column in heading if column)
    return Table(file, name, used, found, decimal_comma, encoding, values)


def _given(cell: Cell) -> bool:
    return cell is not None and cell != ""


def _heading(place: str, cells: Sequence[Cell]) -> list[str]:
    """The columns' names. Raises UnreadableInput when one stands twice: which one is meant?"""
    names = [str(cell).strip() if _given(cell) else "" for cell in cells]
    twice = {name for name in names if name and names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise UnreadableInput(
            _at(
                place,
                f"the column {quoted(min(twice))} stands twice; keep one of them",
                f"la colonne {quoted(min(twice))} figure deux fois ; gardez-en une",
            )
        )
    return names


def _row(place: str, heading: Sequence[str], cells: Sequence[Cell]) -> dict[str, Cell]:
    """The row's cells by column."""
    row: dict[str, Cell] = {}
    for position, cell in enumerate(cells):
        if not _given(cell):
            continue
        if position >= len(heading) or not heading[position]:
            raise UnreadableInput(
                _at(
                    place,
                    f"{quoted(cell)} stands in column {position + 1}, which has no name in the first row",
                    f"{quoted(cell)} figure dans la colonne {position + 1}, qui n’a pas de nom dans la première ligne",
                )
            )
        if isinstance(cell, str):
            if len(cell) > CELL_LIMIT_CHARACTERS:
                raise TooLarge(
                    _at(
                        place,
                        f"{quoted(heading[position])} has {len(cell):,} characters; a cell may have {CELL_LIMIT_CHARACTERS:,} at most",
                        f"{quoted(heading[position])} compte {len(cell)} caractères ; une cellule en a au plus {CELL_LIMIT_CHARACTERS}",
                    )
                )
            cell = cell.replace("\r\n", "\n")
        row[heading[position]] = cell
    return row


# Workbooks and zip files


def _members(name: str, content: bytes) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """The members of a zip file, after their number and unpacked size were looked at."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnreadableInput(
            _at(
                name,
                f"is no zip file, or is damaged ({error})",
                f"n’est pas un fichier zip, ou est endommagé ({error})",
            )
        ) from None
    members = [info for info in packed.infolist() if not info.is_dir()]
    if len(members) > MEMBERS_LIMIT:
        raise TooLarge(
            _at(
                name,
                f"holds {len(members):,} files; {MEMBERS_LIMIT:,} at most",
                f"contient {len(members)} fichiers ; {MEMBERS_LIMIT} au plus",
            )
        )
    if sum(info.file_size for info in members) > UNPACKED_LIMIT_BYTES:
        raise TooLarge(
            _at(
                name,
                f"unpacks to more than {UNPACKED_LIMIT_BYTES // 1024**2} MB; split it",
                f"dépasse {UNPACKED_LIMIT_BYTES // 1024**2} Mo une fois décompressé ; divisez-le",
            )
        )
    if any(info.flag_bits & 1 for info in members):
        raise UnreadableInput(
            _at(
                name,
                "is protected by a password; save it without one",
                "est protégé par un mot de passe ; enregistrez-le sans",
            )
        )
    return packed, members


_READ_ERRORS = (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError, RuntimeError)


def _unpacked(name: str, packed: zipfile.ZipFile, info: zipfile.ZipInfo, left: int) -> bytes:
    """One member; never more than `left` bytes, whatever its header says."""
    import zlib

    try:
        with packed.open(info) as member:
            content = member.read(left + 1)
    except (*_READ_ERRORS, zlib.error) as error:
        raise UnreadableInput(
            _at(
                name,
                f"{quoted(info.filename)} is damaged ({error})",
                f"{quoted(info.filename)} est endommagé ({error})",
            )
        ) from None
    if len(content) > left:
        raise TooLarge(
            _at(
                name,
                f"unpacks to more than {UNPACKED_LIMIT_BYTES // 1024**2} MB; split it",
                f"dépasse {UNPACKED_LIMIT_BYTES // 1024**2} Mo une fois décompressé ; divisez-le",
            )
        )
    return content


def _zipped(name: str, content: bytes, encoding: str | None) -> list[Table]:
    """The CSV files of a zip file; their folders do not matter, nothing is written to disk."""
    packed, members = _members(name, content)
    tables, left = [], UNPACKED_LIMIT_BYTES
    with packed:
        for info in members:
            inside = PurePosixPath(info.filename.replace("\\", "/"))
            if inside.suffix.lower() not in (".csv", ".tsv") or inside.name.startswith("."):
                raise UnreadableInput(
                    _at(
                        name,
                        f"{quoted(info.filename)} is no table; a zip file may hold CSV and TSV files only",
                        f"{quoted(info.filename)} n’est pas un tableau ; un fichier zip ne contient que des fichiers CSV et TSV",
                    )
                )
            text = _unpacked(name, packed, info, left)
            left -= len(text)
            tables.append(
                _csv(f"{name}/{inside.name}", inside.stem, text, encoding, tabs=inside.suffix.lower() == ".tsv")
            )
    return [table for table in tables if table.columns]


def _workbook(name: str, content: bytes) -> list[Table]:
    """The sheets of an XLSX file, formulas as the values that were stored with them."""
    formulas = _refuse_bombs(name, content)
    from openpyxl import load_workbook  # a fifth of a second, for workbooks alone
    from openpyxl.utils.exceptions import InvalidFileException

    broken = (InvalidFileException, KeyError, ValueError, TypeError, IndexError, AttributeError, *_READ_ERRORS)
    try:
        # the file's own sizes are ignored and the rows bounded: a sheet may claim a thousand million empty rows
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        written = load_workbook(io.BytesIO(content), read_only=True, keep_links=False) if formulas else None
        tables = []
        for sheet in book.worksheets:
            rows = _sheet(name, sheet, written[sheet.title] if written else None)
            tables.append(_table(name, sheet.title, rows, values=True, encoding="XLSX"))
    except (SyntaxError, *broken) as error:  # SyntaxError is what ElementTree calls broken XML
        raise UnreadableInput(
            _at(
                name,
                f"is no readable XLSX workbook ({type(error).__name__}: {error})",
                f"n’est pas un classeur XLSX lisible ({type(error).__name__} : {error})",
            )
        ) from None
    return [table for table in tables if table.columns]


def _refuse_bombs(name: str, content: bytes) -> bool:
    """Look at every part before it is parsed: sizes, document types and entities. Whether there are formulas."""
    packed, members = _members(name, content)
    left, formulas = UNPACKED_LIMIT_BYTES, False
    with packed:
        for info in members:
            part = _unpacked(name, packed, info, left)
            left -= len(part)
            if info.filename.endswith((".xml", ".rels", ".vml")):
                if part.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\x00" in part[:64]:
                    raise UnreadableInput(
                        _at(
                            name,
                            f"{quoted(info.filename)} is not written in UTF-8",
                            f"{quoted(info.filename)} n’est pas écrit en UTF-8",
                        )
                    )
                if b"<!DOCTYPE" in part or b"<!ENTITY" in part:
                    raise UnreadableInput(
                        _at(
                            name,
                            "document types and entities have no place in a workbook",
                            "un classeur ne contient ni type de document ni entités",
                        )
                    )
                columns = set(re.findall(rb'\sr="([A-Za-z]{1,3})\d', part)) if b"<sheetData" in part else set()
                if any(_number_of(letters) > COLUMNS_LIMIT for letters in columns):
                    raise TooLarge(
                        _at(
                            name,
                            f"a sheet may have {COLUMNS_LIMIT:,} columns at most",
                            f"une feuille a au plus {COLUMNS_LIMIT} colonnes",
                        )
                    )
                formulas = formulas or re.search(rb"<(\w+:)?f[\s>/]", part) is not None
    return formulas


def _number_of(letters: bytes) -> int:
    """The number of a column: A is 1, AA 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _sheet(name: str, sheet: Any, written: Any) -> Iterator[tuple[str, list[Cell]]]:
    """Rows of a sheet with their places. `written` is the same sheet with formulas in place of values."""

    def cells(of: Any) -> Iterator[tuple]:
        of.reset_dimensions()
        return of.iter_rows(max_row=ROWS_LIMIT + 2, max_col=COLUMNS_LIMIT + 1, values_only=True)

    formulas = cells(written) if written is not None else None
    for number, values in enumerate(cells(sheet), start=1):
        place = f"{name} sheet {quoted(sheet.title)} row {number}"
        behind = next(formulas, ()) if formulas is not None else ()
        for value, formula in zip(values, behind, strict=False):
            if value is None and isinstance(formula, str) and formula.startswith("="):
                raise UnreadableInput(
                    _at(
                        place,
                        f"the formula {quoted(formula)} has no stored value; open the file in a spreadsheet program, save it, and import it again",
                        f"la formule {quoted(formula)} n’a pas de valeur enregistrée ; ouvrez le fichier dans un tableur, enregistrez-le et importez-le à nouveau",
                    )
                )
        yield place, _trimmed([_cell(place, value) for value in values])


def _trimmed(cells: list[Cell]) -> list[Cell]:
    """Without the empty cells at the end: a formatted sheet is as wide as its widest row."""
    while cells and not _given(cells[-1]):
        cells.pop()
    return cells


def _cell(place: str, value: object) -> Cell:
    """A workbook's value as one of ours; errors such as #REF! are refused, they stand for nothing."""
    if isinstance(value, str):
        if value in ("#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#N/A"):
            raise UnreadableInput(
                _at(
                    place,
                    f"a cell holds the error {value}; mend its formula or empty it",
                    f"une cellule contient l’erreur {value} ; corrigez sa formule ou videz-la",
                )
            )
        return value
    if value is None or isinstance(value, bool | int | float | date | datetime):
        return value
    if isinstance(value, time):
        return value.isoformat()
    return str(value)


# Writing


@dataclass(frozen=True)
class Sheet:
    """A table to be written: its name, its columns, and rows of texts, whole numbers and truth values."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Cell]]


def written(cell: Cell) -> str:
    """A cell as CSV shows it, guarded against being run."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return "" if cell is None else neutralised(str(cell))


def write_csv(sheet: Sheet, out: BinaryIO) -> None:
    """One table as CSV: UTF-8 with byte order mark (spreadsheet programs ask for it), commas, CRLF (RFC 4180).

    >>> out = io.BytesIO()
    >>> write_csv(Sheet("city", ("id", "name@el"), [{"id": "levadia", "name@el": "=Λ"}]), out)
    >>> out.getvalue().decode("utf-8-sig")
    "id,name@el\\r\\nlevadia,'=Λ\\r\\n"
    """
    text = io.TextIOWrapper(out, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(sheet.columns)
    writer.writerows([[written(row.get(column)) for column in sheet.columns] for row in sheet.rows])
    text.detach()


def write_zip(sheets: Iterable[Sheet], out: BinaryIO) -> None:
    """Each table as a CSV file of a zip file; the same tables give the same bytes."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for sheet in sheets:
            body = io.BytesIO()
            write_csv(sheet, body)
            packed.writestr(zipfile.ZipInfo(f"{sheet.name}.csv", (1980, 1, 1, 0, 0, 0)), body.getvalue())


def write_workbook(sheets: Iterable[Sheet], out: BinaryIO) -> None:
    """Each table as a sheet of an XLSX workbook, every text marked as text: no cell is a formula.

    Raises BadRequest for a text longer than a cell can hold.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    found = list(sheets)
    for text in (value for sheet in found for row in sheet.rows for value in row.values()):
        if isinstance(text, str) and len(text) >= SHEET_CELL_LIMIT_CHARACTERS:
            raise BadRequest(
                {
                    "en": (
                        f"{quoted(text)} has {len(text):,} characters; a workbook's cell holds "
                        f"{SHEET_CELL_LIMIT_CHARACTERS:,} at most; use CSV"
                    ),
                    "fr": (
                        f"{quoted(text)} a {in_digits(len(text))} caractères ; une cellule de classeur en tient "
                        f"{in_digits(SHEET_CELL_LIMIT_CHARACTERS)} au plus ; prenez CSV"
                    ),
                }
            )
    book = Workbook(write_only=True)
    for sheet in found:
        page = book.create_sheet(sheet.name)
        page.freeze_panes = "B2"

        def cell(value: Cell, page: Any = page) -> Any:
            if not isinstance(value, str):
                return value
            made = WriteOnlyCell(page, value=neutralised(value))
            made.data_type = "s"
            return made

        page.append([cell(column) for column in sheet.columns])
        for row in sheet.rows:
            page.append([cell(row.get(column)) for column in sheet.columns])
    if not book.sheetnames:
        book.create_sheet("empty")
    book.save(out)
