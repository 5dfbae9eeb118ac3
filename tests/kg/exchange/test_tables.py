"""Records as tables and back: nothing is lost, only what a row says changes, and values are read as programs write them."""

import io
import re
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import BadRequest, InvalidRecord
from kg.exchange.importing import read_records
from kg.exchange.spreadsheets import read_tables, write_csv, write_workbook, write_zip
from kg.exchange.tables import (
    Unreadable,
    cell_list,
    column_of,
    edited,
    list_cell,
    read_wanted,
    sheets,
    value_of,
)
from kg.fields import declaration, structures
from kg.records import to_graph, to_ntriples
from kg.vocabulary import DEFAULT_BASE
from ontology import path as shipped

START = [
    row.record
    for file in (shipped("themes.ttl"), *sorted(shipped("start").glob("*.jsonl")))
    for row in read_records(file, DEFAULT_BASE)
]
EXAMPLES = [
    row.record
    for file in sorted(shipped("examples/valid").glob("*.ttl"))
    for row in read_records(file, DEFAULT_BASE)
    if row.record
]


def ntriples(record):
    return to_ntriples(to_graph(record, DEFAULT_BASE))


def written(records, form, folder: Path) -> list[Path]:
    """Files of a form that hold the records."""
    if form == "flat":
        files = []
        for sheet in sheets(records, flat=True):
            files.append(folder / f"{sheet.name}.csv")
            with files[-1].open("wb") as out:
                write_csv(sheet, out)
        return files
    file = folder / ("all.zip" if form == "zip" else "all.xlsx")
    with file.open("wb") as out:
        (write_zip if form == "zip" else write_workbook)(sheets(records), out)
    return [file]


def wanted_in(files, **options):
    unknown: list[str] = []
    wanted = read_wanted([table for file in files for table in read_tables(file)], unknown=unknown, **options)
    assert unknown == []
    return wanted


def from_csv(tmp_path, name, text, **options):
    file = tmp_path / name
    file.write_bytes(text.encode())
    return read_wanted(read_tables(file), **options)


def field(kind, key, inner=None):
    found = declaration().kind(kind).by_key[key]
    return found.inner.by_key[inner] if inner else found


@pytest.mark.parametrize("form", ["zip", "flat", "xlsx"])
def test_every_record_comes_back_from_its_tables_as_it_was(tmp_path, form):
    records = [
        *START,
        *(one for one in EXAMPLES if (one["kind"], one["id"]) not in {(r["kind"], r["id"]) for r in START}),
    ]
    by_key = {(record["kind"], record["id"]): record for record in records}
    found = wanted_in(written(list(by_key.values()), form, tmp_path))
    assert {(one.kind, one.id) for one in found} == set(by_key)
    for one in found:
        assert one.problems == []
        record = by_key[one.kind, one.id]
        assert ntriples(edited({"kind": one.kind, "id": one.id}, one.edits)) == ntriples(record)
        assert edited(record, one.edits) == record


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(
    lambda text: text.strip()
)
NAME = TEXT.map(str.strip)


@given(
    names=st.dictionaries(
        st.sampled_from(["en", "fr", "nl-BE"]), st.one_of(TEXT, st.just("a\nb"), st.just("=1")), max_size=3
    ),
    alt_names=st.lists(NAME, max_size=4, unique=True),
    notes=st.lists(TEXT, max_size=3),
)
def test_any_text_comes_back_from_a_table(tmp_path_factory, names, alt_names, notes):
    record = {"kind": "city", "id": "gent", "country": "BE"}
    if names:
        record["name"] = names
    if alt_names:
        record["alt_names"] = alt_names
    if notes:
        record["observations"] = [
            {"id": f"observation-{place}", "observation_note": {"en": text}} for place, text in enumerate(notes, 1)
        ]
    (one,) = wanted_in(written([record], "zip", tmp_path_factory.mktemp("any")))
    back = edited({"kind": "city", "id": "gent"}, one.edits)
    assert ntriples(back) == ntriples(record)


@given(st.lists(st.text(min_size=1, max_size=8), max_size=5))
def test_a_list_in_one_cell_comes_back_whatever_its_values(values):
    assert cell_list(list_cell(values)) == values


def test_every_field_of_every_kind_has_a_column():
    for kind in declaration().kinds.values():
        for declared in kind.fields:
            for part in declared.inner.fields if declared.inner else [declared]:
                key = f"{part.key}@en" if part.type in ("text", "texts") else part.key
                node = "1." if declared.many else ""
                name = f"{declared.key}.{node}{key}" if declared.inner else key
                assert column_of(kind, name).field is part, name
    assert len(list(structures(declaration()))) > 20


# What a row changes

HERE = {
    "kind": "practice",
    "id": "gent--buddies",
    "title": {"en": "Buddies", "fr": "Binômes"},
    "themes": ["intercultural-buddy", "language-informal"],
    "outcomes": [
        {"id": "claim-1", "value": "1.50", "statement": {"en": "One and a half."}},
        {"id": "claim-2", "value": "7"},
    ],
    "record": {"confidence": "sourced"},
}


def after(tmp_path, text, name="practice.csv", record=HERE, **options):
    (one,) = from_csv(tmp_path, name, text, **options)
    assert one.problems == []
    return edited(record, one.edits)


def test_an_absent_column_and_an_empty_cell_leave_their_fields_alone(tmp_path):
    assert after(tmp_path, "id,title@en,title@nl,themes,evidence\ngent--buddies,,,,\n") == HERE
    changed = after(tmp_path, "id,title@en\ngent--buddies,Pairs\n")
    assert changed == {**HERE, "title": {"en": "Pairs", "fr": "Binômes"}}


def test_a_field_is_emptied_by_the_word_or_when_told_so(tmp_path):
    expected = {key: value for key, value in HERE.items() if key != "themes"} | {"title": {"en": "Buddies"}}
    assert after(tmp_path, "id,title@fr,themes\ngent--buddies,—clear—,—clear—\n") == expected
    assert after(tmp_path, "id,title@fr,themes\ngent--buddies,,\n", clear_empty=True) == expected
    assert after(tmp_path, "id,record.confidence\ngent--buddies,—clear—\n").get("record") is None
    assert after(tmp_path, "id,title@fr\ngent--buddies,'—clear—\n")["title"]["fr"] == "—clear—"


def test_parts_are_changed_added_and_taken_away_by_their_identifiers(tmp_path):
    text = "id,outcomes.claim-1.value,outcomes.claim-2.remove,outcomes.9.value\ngent--buddies,2,yes,5\n"
    assert after(tmp_path, text)["outcomes"] == [
        {"id": "claim-1", "value": "2", "statement": {"en": "One and a half."}},
        {"id": "claim-9", "value": "5"},
    ]
    rows = "record,id,value,remove\ngent--buddies,claim-2,,x\ngent--buddies,claim-1,3,\ngent--buddies,,8,\n"
    changed = after(tmp_path, rows, name="practice.outcomes.csv")
    assert [(part["id"], part["value"]) for part in changed["outcomes"]] == [("claim-1", "3"), ("claim-3", "8")]
    assert after(tmp_path, rows, name="practice.outcomes.csv", record=changed)["outcomes"][-1]["value"] == "8"


def test_a_part_without_identifier_is_added_once(tmp_path):
    rows = "record,id,value\ngent--buddies,,8\n"
    once = after(tmp_path, rows, name="practice.outcomes.csv")
    assert once["outcomes"][-1] == {"id": "claim-3", "value": "8"}
    assert after(tmp_path, rows, name="practice.outcomes.csv", record=once) == once


def test_numbers_are_compared_as_numbers_and_texts_without_their_line_ends(tmp_path):
    assert after(tmp_path, "id,outcomes.claim-1.value\ngent--buddies,1.5\n") == HERE
    windows = {**HERE, "action": {"en": "one\r\ntwo"}}
    assert after(tmp_path, 'id,action@en\ngent--buddies,"one\ntwo"\n', record=windows) == windows
    assert after(tmp_path, "id,themes\ngent--buddies,language-informal | intercultural-buddy\n") == HERE


def test_a_file_as_libreoffice_writes_it_in_french(tmp_path):
    """BOM, semicolons, CRLF, a quoted line break, a decimal comma, days as Excel's numbers and as it shows them."""
    text = (
        "\ufeffid;name@fr;latitude;record.verified_on;record.review_due;alt_names\r\n"
        'gent;"Gand\r\nla fière";51,05;44197;01.03.2026;Gand | Ghent\r\n'
    )
    (one,) = from_csv(tmp_path, "villes.csv", text, kind="city")
    assert one.problems == []
    assert edited({"kind": "city", "id": "gent"}, one.edits) == {
        "kind": "city",
        "id": "gent",
        "name": {"fr": "Gand\nla fière"},
        "latitude": "51.05",
        "record": {"verified_on": "2021-01-01", "review_due": "2026-03-01"},
        "alt_names": ["Gand", "Ghent"],
    }


def test_a_workbook_of_a_curator_gives_days_numbers_and_truth(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.title = "availability"
    book.active.append(["id", "mentor", "quota", "until", "consent", "contact.mailbox"])
    book.active.append(["a-1", "gent", 2.0, datetime(2026, 3, 1), True, "x@gent.example"])
    parts = book.create_sheet("availability.sources")
    parts.append(["record", "id", "url", "accessed"])
    parts.append(["a-1", "source-1", "https://x.example/", date(2026, 3, 1)])
    out = io.BytesIO()
    book.save(out)
    (tmp_path / "x.xlsx").write_bytes(out.getvalue())
    (one,) = read_wanted(read_tables(tmp_path / "x.xlsx"))
    assert edited({"kind": "availability", "id": "a-1"}, one.edits) == {
        "kind": "availability",
        "id": "a-1",
        "mentor": "gent",
        "quota": 2,
        "until": "2026-03-01",
        "consent": True,
        "contact": {"mailbox": "x@gent.example"},
        "sources": [{"id": "source-1", "url": "https://x.example/", "accessed": "2026-03-01"}],
    }


@pytest.mark.parametrize(
    ("cell", "comma", "value"),
    [
        ("1.5", False, "1.5"),
        ("1,5", False, "1.5"),
        ("1,5", True, "1.5"),
        ("1,234", True, "1.234"),
        ("1,234,567", False, "1234567"),
        ("1,234.5", False, "1234.5"),
        ("1.234,5", False, "1234.5"),
        ("1.234.567", False, "1234567"),
        ("12 345,6", True, "12345.6"),
        ("12\u202f345", False, "12345"),
        ("1e3", False, "1000"),
        (0.1 + 0.2, False, "0.3"),
        (1e16, False, "10000000000000000"),
        ("about 5", False, "about 5"),
    ],
)
def test_numbers_are_read_as_they_are_written(cell, comma, value):
    assert value_of(field("practice", "outcomes", "value"), cell, decimal_comma=comma) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [("44197", "2021-01-01"), (44197.0, "2021-01-01"), ("31.12.2020", "2020-12-31"), ("13/2/2020", "2020-02-13"),
     ("2/13/2020", "2020-02-13"), ("3/3/2020", "2020-03-03"), ("2020-02-30", "2020-02-30"), ("soon", "soon")],
)  # fmt: skip
def test_days_are_read_as_they_are_written(cell, value):
    assert value_of(field("city", "sources", "accessed"), cell) == value


@pytest.mark.parametrize(
    ("declared", "cell", "message"),
    [
        (("practice", "outcomes", "value"), "1,234", "could be 1234 or 1.234"),
        (("city", "sources", "accessed"), "03/04/2021", "could be 2021-04-03 or 2021-03-04"),
        (("city", "sources", "accessed"), "31.2.2021", "is no day"),
        (("city", "sources", "accessed"), 44197.5, "is no day"),
        (("availability", "consent", None), "perhaps", "neither yes nor no"),
        (("practice", "outcomes", "value"), date(2021, 1, 1), "is a date"),
        (("practice", "outcomes", "value"), float("inf"), "is no number"),
    ],
)
def test_a_cell_that_could_mean_two_things_is_refused(declared, cell, message):
    with pytest.raises(Unreadable, match=message):
        value_of(field(*declared), cell)


def test_a_refused_cell_is_a_problem_of_its_row_with_its_place(tmp_path):
    (one,) = from_csv(tmp_path, "practice.csv", 'id,outcomes.2.value\ngent--buddies,"1,234"\n')
    assert [(p.field, p.value) for p in one.problems] == [("outcomes.claim-2.value", "1,234")]


@pytest.mark.parametrize("cell", ["1.234", "-12.500", "+123.456"])
def test_a_point_before_three_digits_is_refused_where_the_comma_is_decimal(cell):
    value = field("practice", "outcomes", "value")
    whole, comma = cell.replace(".", ""), cell.replace(".", ",")
    with pytest.raises(Unreadable, match=re.escape(f"could be {whole} or {cell}; write {whole} or {comma}")):
        value_of(value, cell, decimal_comma=True)
    assert value_of(value, cell) == cell.lstrip("+")
    assert value_of(value, comma, decimal_comma=True) == cell.lstrip("+")


@pytest.mark.parametrize("cell", ["0.234", "1.5", "1.2345", "1234.567", "12.34"])
def test_a_point_that_separates_no_thousands_is_decimal_where_the_comma_is_too(cell):
    assert value_of(field("practice", "outcomes", "value"), cell, decimal_comma=True) == cell


def test_a_doubtful_number_that_is_on_record_in_this_writing_stays(tmp_path):
    (one,) = from_csv(tmp_path, "city.csv", "id;latitude;name@fr\nriga;56.946;Riga\n")
    record = {"kind": "city", "id": "riga", "latitude": "56.946"}
    assert edited(record, one.edits) == {**record, "name": {"fr": "Riga"}}
    for other in ({**record, "latitude": "56.9"}, {"kind": "city", "id": "riga"}):
        with pytest.raises(InvalidRecord) as caught:
            edited(other, one.edits)
        assert [(p.field, p.value) for p in caught.value.problems] == [("latitude", "56.946")]
        assert "write 56946 or 56,946" in str(caught.value.problems[0].message)


def test_choices_are_known_by_their_labels_too():
    for language in ("en", "fr"):
        evidence = field("practice", "evidence")
        label = declaration().concept_label(str(evidence.choices["activity-counts"]), language)
        assert value_of(evidence, label.upper()) == "activity-counts"
    assert value_of(field("practice", "target_groups"), "Newcomers | pupils") == ["newcomers", "pupils"]


def test_columns_without_meaning_are_told_with_what_would_have_one(tmp_path):
    unknown: list[str] = []
    from_csv(tmp_path, "practice.csv", "id,title,citty,outcomes,zzz\nx,a,b,c,d\n", unknown=unknown)
    assert unknown == [
        "practice.csv: 'title' is a text: write its language too, such as 'title@en'",
        "practice.csv: 'citty' is no field; did you mean 'city'?",
        "practice.csv: 'outcomes' has parts: write for example 'outcomes.claim-1.statement@en' or a table of its own",
        "practice.csv: 'zzz' is no field",
    ]


def test_the_kind_is_told_by_name_option_or_column_and_otherwise_asked_for(tmp_path):
    assert from_csv(tmp_path, "cities.csv", "id\ngent\n")[0].kind == "city"
    assert from_csv(tmp_path, "x.csv", "id\ngent\n", kind="cities")[0].kind == "city"
    assert [one.kind for one in from_csv(tmp_path, "x.csv", "kind,id\ncity,a\ntheme,b\n")] == ["city", "theme"]
    with pytest.raises(BadRequest, match="what are the rows"):
        from_csv(tmp_path, "x.csv", "id\ngent\n")
    with pytest.raises(BadRequest, match="no column 'id'"):
        from_csv(tmp_path, "city.csv", "name@en\ngent\n")
    with pytest.raises(BadRequest, match="no column 'record'"):
        from_csv(tmp_path, "city.sources.csv", "id\ngent\n")


def test_a_row_without_identifier_of_an_unknown_kind_or_twice_is_a_problem_of_that_row(tmp_path):
    rows = from_csv(tmp_path, "x.csv", "kind,id,country\ncity,,BE\ntown,a,BE\ncity,b,BE\ncity,b,FR\n")
    assert [[p.message.split(";")[0] for p in one.problems] for one in rows] == [
        ["the row has no identifier"],
        ["'town' is no kind of record"],
        [],
        ["city 'b' stands twice, first at x.csv line 4"],
    ]
