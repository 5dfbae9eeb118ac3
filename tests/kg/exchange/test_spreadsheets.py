"""Files of tables: encodings told or refused, separators, limits, bombs, formulas, and nothing a program would run."""

import io
import zipfile
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from kg.errors import BadRequest, TooLarge, UnreadableInput
from kg.exchange import spreadsheets
from kg.exchange.spreadsheets import (
    CLEAR,
    Sheet,
    neutralised,
    read_tables,
    restored,
    write_csv,
    write_workbook,
    write_zip,
)

TEXTS = {
    "French": "id;n\na;Les écoles sont ouvertes à tous les élèves, été comme hiver\n",
    "German": "id;n\na;Bürger und Geflüchtete üben Deutsch in München – „gemeinsam“\n",
    "Swedish": "id;n\na;Göteborg hjälper nyanlända att lära sig svenska på arbetsplatsen\n",
    "Portuguese": "id;n\na;Câmara Municipal de Lisboa: integração e habitação para crianças\n",
    "Italian": "id;n\na;La città aiuta i nuovi arrivati, perché è più facile così\n",
}
OTHERS = {
    "Latvian": ("id;n\na;Rīga\nb;Liepāja\n", "cp1257"),
    "Latvian, more": ("id;n\na;Rīgas pilsētas bērnudārzi palīdz jaunpienācējiem mācīties valodu\n", "cp1257"),
    "Lithuanian": ("id;n\na;Miestas padeda naujai atvykusiems, žmonės susitinka kiekvieną savaitę\n", "cp1257"),
    "Polish": ("id;n\na;Wrocław, Kraków, Łódź i Gdańsk pomagają uchodźcom w nauce języka\n", "cp1250"),
    "Czech": ("id;n\na;České Budějovice pomáhají nově příchozím učit se česky\n", "cp1250"),
    "Hungarian": ("id;n\na;A város segít az újonnan érkezőknek magyarul tanulni\n", "cp1250"),
    "Greek": ("id;n\na;Η Λιβαδειά βοηθά τους πρόσφυγες να μάθουν ελληνικά\n", "cp1253"),
    "Russian": ("id;n\na;Рига помогает новым жителям\n", "cp1251"),
    "Turkish": ("id;n\na;İstanbul göçmenlere yardım ediyor, çocuklar için şarkı\n", "cp1254"),
    "Macintosh": ("id;n\na;Les écoles sont ouvertes à tous les élèves, été comme hiver\n", "mac_roman"),
    "DOS": ("id;n\na;Göteborg, März, écoles\n", "cp850"),
}


def tables(tmp_path, name, content, **options):
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_tables(file, **options)


def cells(table):
    return [row.cells for row in table.rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("language", TEXTS)
def test_an_encoding_is_told_from_the_bytes(tmp_path, encoding, language):
    (table,) = tables(tmp_path, "x.csv", TEXTS[language].encode(encoding))
    assert cells(table)[0]["n"] == TEXTS[language].split(";")[-1].strip()


@pytest.mark.parametrize("language", OTHERS)
def test_another_encoding_is_refused_and_never_garbled(tmp_path, language):
    text, encoding = OTHERS[language]
    with pytest.raises(UnreadableInput, match=r"x\.csv: is not UTF-8.*save it as UTF-8"):
        tables(tmp_path, "x.csv", text.encode(encoding))
    (table,) = tables(tmp_path, "x.csv", text.encode(encoding), encoding=encoding)
    assert cells(table)[0]["n"] == text.split("\n")[1].partition(";")[2]


@given(st.text(max_size=60), st.sampled_from(["cp1250", "cp1257", "cp1252", "mac_roman", "cp1253"]))
def test_bytes_are_read_as_they_were_written_or_refused_or_are_western(text, encoding):
    """Of other encodings only what reads the same in Windows-1252, or uses its Western letters alone, gets through."""
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        return
    try:
        read, called = spreadsheets.decoded("x.csv", content)
    except UnreadableInput:
        return
    if called == "UTF-8":
        assert read.encode("utf-8") == content
    elif called == "Windows-1252":
        assert read.encode("cp1252") == content


@pytest.mark.parametrize(
    "content",
    [
        'id,n,m\r\na,"1;2",x\r\n',
        'id;n;m\na;"1;2";x\n',
        "id\tn\tm\na\t1;2\tx\n",
        "\ufeffid,n,m\na,1;2,x\n",
        "sep=|\nid|n|m\na|1;2|x\n",
        "\r\n\r\nid,n,m\ra,1;2,x\r\r",
    ],
)
def test_separators_line_ends_and_marks_are_recognised(tmp_path, content):
    (table,) = tables(tmp_path, "x.csv", content)
    assert cells(table) == [{"id": "a", "n": "1;2", "m": "x"}]


def test_a_cell_may_hold_lines_quotes_and_separators_and_rows_keep_their_place(tmp_path):
    (table,) = tables(tmp_path, "x.csv", 'id,n\r\na,"one\r\ntwo, ""three"""\r\n\r\nb,x\r\n')
    assert cells(table) == [{"id": "a", "n": 'one\ntwo, "three"'}, {"id": "b", "n": "x"}]
    assert [row.place for row in table.rows] == ["x.csv line 2", "x.csv line 5"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,n,n\na,1,2\n", "column 'n' stands twice"),
        ("id,\na,1\n", "column 2, which has no name"),
        ("id,n\na,1,2\n", "column 3, which has no name"),
        ('id,n\na,"1\n', "check its quotation marks"),
        ('id,n\na,"1"2\n', "check its quotation marks"),
        (b"id,n\na,\xff\xfe\x00\x01", "is not UTF-16"),
        (b"\x00\x00id,n\x00\x01\n", "not a text file"),
    ],
)
def test_what_would_be_read_by_guessing_is_refused_with_its_place(tmp_path, content, message):
    with pytest.raises(UnreadableInput, match=message) as caught:
        tables(tmp_path, "x.csv", content)
    assert str(caught.value).startswith("x.csv")
    assert str(tmp_path) not in str(caught.value)


def test_limits_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(spreadsheets, "ROWS_LIMIT", 3)
    monkeypatch.setattr(spreadsheets, "COLUMNS_LIMIT", 5)
    monkeypatch.setattr(spreadsheets, "CELL_LIMIT_CHARACTERS", 10)
    with pytest.raises(TooLarge, match="3 rows"):
        tables(tmp_path, "x.csv", "id\n" + "a\n" * 4)
    with pytest.raises(TooLarge, match="5 columns"):
        tables(tmp_path, "x.csv", ",".join("abcdef"))
    with pytest.raises(TooLarge, match="11 characters"):
        tables(tmp_path, "x.csv", "id\n" + "a" * 11)
    monkeypatch.setattr(spreadsheets, "FILE_LIMIT_BYTES", 4)
    with pytest.raises(TooLarge, match="split the file"):
        tables(tmp_path, "x.csv", "id\na\n")
    monkeypatch.undo()
    with pytest.raises(TooLarge, match="quotation mark is not closed"):
        tables(tmp_path, "x.csv", 'id\n"' + "a\n" * 100_000)


# Workbooks


def book(fill) -> bytes:
    made = Workbook()
    fill(made)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def repacked(content: bytes, change) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
    return out.getvalue()


def one_sheet(rows, title="city"):
    def fill(made):
        made.active.title = title
        for row in rows:
            made.active.append(row)

    return book(fill)


def test_a_workbook_keeps_types_and_names_sheet_and_row(tmp_path):
    content = one_sheet(
        [["id", "number", "day", "yes"], ["a", 1.5, datetime(2021, 3, 1), True], [], ["b", 2, None, None]]
    )
    (table,) = tables(tmp_path, "x.xlsx", content)
    assert table.name == "city"
    assert cells(table) == [
        {"id": "a", "number": 1.5, "day": datetime(2021, 3, 1), "yes": True},
        {"id": "b", "number": 2},
    ]
    assert table.rows[1].place == "x.xlsx sheet 'city' row 4"


def test_a_formula_is_read_as_its_stored_value_or_refused(tmp_path):
    content = one_sheet([["id", "n"], ["a", "=1+1"]])
    with pytest.raises(UnreadableInput, match=r"the formula '=1\+1' has no stored value"):
        tables(tmp_path, "x.xlsx", content)
    stored = repacked(
        content,
        lambda name, part: part.replace(b"<f>1+1</f><v/>", b"<f>1+1</f><v>2</v>").replace(
            b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>"
        ),
    )
    (table,) = tables(tmp_path, "x.xlsx", stored)
    assert cells(table) == [{"id": "a", "n": 2}]


def test_a_workbook_that_unpacks_to_too_much_is_refused_whatever_it_says_of_itself(tmp_path, monkeypatch):
    content = one_sheet([["id"], ["a" * 3000]])
    monkeypatch.setattr(spreadsheets, "UNPACKED_LIMIT_BYTES", 2000)
    with pytest.raises(TooLarge, match="unpacks to more"):
        tables(tmp_path, "x.xlsx", content)
    size = len(zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml"))
    lying = content.replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != content
    with pytest.raises((TooLarge, UnreadableInput)):
        tables(tmp_path, "x.xlsx", lying)


@pytest.mark.parametrize(
    "head",
    [b'<!DOCTYPE x [<!ENTITY a "aaaa">]>', b'<!DOCTYPE x SYSTEM "file:///etc/passwd">'],
)
def test_document_types_and_entities_in_a_workbook_are_refused(tmp_path, head):
    def change(name, part):
        if name != "xl/worksheets/sheet1.xml":
            return part
        start, end, rest = part.partition(b"?>") if part.startswith(b"<?xml") else (b"", b"", part)
        return start + end + head + rest

    with pytest.raises(UnreadableInput, match="document types and entities"):
        tables(tmp_path, "x.xlsx", repacked(one_sheet([["id"], ["a"]]), change))


def test_a_sheet_that_claims_endless_rows_or_columns_is_refused_quickly(tmp_path, monkeypatch):
    monkeypatch.setattr(spreadsheets, "ROWS_LIMIT", 50)
    monkeypatch.setattr(spreadsheets, "COLUMNS_LIMIT", 50)
    content = one_sheet([["id"], ["a"]])

    def far(row):
        return lambda name, part: part.replace(b'r="2"', row).replace(b'r="A2"', b'r="A999999999"')

    with pytest.raises(TooLarge, match="rows at most"):
        tables(tmp_path, "x.xlsx", repacked(content, far(b'r="999999999"')))
    with pytest.raises((TooLarge, UnreadableInput)):
        tables(
            tmp_path,
            "x.xlsx",
            repacked(content, lambda name, part: part.replace(b'r="A2"', b'r="XFD2"')),
        )


def test_error_values_passwords_and_broken_files_are_refused(tmp_path):
    with pytest.raises(UnreadableInput, match="the error #REF!"):
        tables(tmp_path, "x.xlsx", one_sheet([["id", "n"], ["a", "#REF!"]]))
    with pytest.raises(UnreadableInput, match="no zip file"):
        tables(tmp_path, "x.xlsx", b"PK not really")
    broken = repacked(one_sheet([["id"]]), lambda name, part: part[: len(part) // 2] if "sheet1" in name else part)
    with pytest.raises(UnreadableInput, match="no readable XLSX"):
        tables(tmp_path, "x.xlsx", broken)
    with pytest.raises(UnreadableInput, match="no readable XLSX"):
        tables(tmp_path, "x.xlsx", repacked(b"PK\x05\x06" + bytes(18), lambda name, part: part))


def test_a_zip_file_holds_tables_only_and_its_folders_mean_nothing(tmp_path):
    def packed(**files):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            for name, text in files.items():
                made.writestr(name.replace("__", "/"), text)
        return out.getvalue()

    (table,) = tables(tmp_path, "x.zip", packed(**{"..__..__etc__city.csv": "id\na\n"}))
    assert (table.name, table.file) == ("city", "x.zip/city.csv")
    with pytest.raises(UnreadableInput, match="no table"):
        tables(tmp_path, "x.zip", packed(**{"run.sh": "id"}))


# Writing


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
def test_a_cell_comes_back_and_never_begins_like_a_formula(text):
    shown = neutralised(text)
    assert restored(shown) == text
    assert shown[:1] not in tuple("=+@\t\r＝＋－＠")
    assert shown[:1] != "-" or shown.lstrip("-").replace(".", "").isdigit()
    assert shown != CLEAR


HOSTILE = ['=HYPERLINK("http://x")', "+1-2", "-2+3", "@SUM(1)", "\t=1", "'=1", "-5.25", "'s", CLEAR, 'a"b,c;d\ne']


def test_formulas_are_neutralised_on_the_way_out_and_come_back_as_they_were(tmp_path):
    sheet = Sheet("city", ("id", "n"), [{"id": f"r{place}", "n": text} for place, text in enumerate(HOSTILE)])
    for name, write in (
        ("x.csv", write_csv),
        ("x.zip", lambda s, o: write_zip([s], o)),
        ("x.xlsx", lambda s, o: write_workbook([s], o)),
    ):
        out = io.BytesIO()
        write(sheet, out)
        (table,) = tables(tmp_path, name, out.getvalue())
        assert [restored(str(row.cells["n"])) for row in table.rows] == HOSTILE, name
        assert b"<f>" not in out.getvalue()
    assert "\n" in out.getvalue().decode("latin-1")
    from openpyxl import load_workbook

    page = load_workbook(io.BytesIO(out.getvalue()))["city"]
    assert {cell.data_type for row in page.iter_rows() for cell in row} == {"s"}


def test_a_text_too_long_for_a_workbook_is_refused_not_cut(tmp_path):
    with pytest.raises(BadRequest, match="use CSV"):
        write_workbook([Sheet("city", ("id",), [{"id": "a" * 40_000}])], io.BytesIO())


def test_dates_of_a_workbook_are_days(tmp_path):
    (table,) = tables(tmp_path, "x.xlsx", one_sheet([["id", "d"], ["a", date(2021, 3, 1)]]))
    assert table.rows[0].cells["d"] in (date(2021, 3, 1), datetime(2021, 3, 1))
