"""Mapping files: mistakes are told with their line, and rows give what they say and nothing else."""

import pytest

from kg.errors import BadRequest, TooLarge, UnreadableInput
from kg.exchange.mapping import apply_mapping, code_of_country, folded, parse_mapping, read_mapping, slug
from kg.exchange.spreadsheets import Table, TableRow
from kg.exchange.tables import edited
from ontology import path as shipped

HEAD = "mapping: 1\nkind: practice\nid: {column: id}\n"
CITIES = {
    "name": {
        "barcelona": {("barcelona", "ES")},
        "wroclaw": {("wroclaw", "PL")},
        "valencia": {("valencia", "ES"), ("valencia-ve", "VE")},
        "gent": {("ghent", "BE")},
        "mechelen": {("mechelen", "BE")},
        "housing": {("housing", "")},
        "logement": {("housing", "")},
        "youth": {("youth", ""), ("social-youth", "")},
    }
}


def names(kind):
    return {name: frozenset(ids) for name, ids in CITIES["name"].items()}


def mapped(fields, *rows, head=HEAD, columns=None):
    found = [TableRow(f"x.csv line {number}", {"id": f"R-{number}", **row}) for number, row in enumerate(rows, 2)]
    table = Table("x.csv", "x", columns or tuple(dict.fromkeys(key for row in found for key in row.cells)), found)
    return apply_mapping(parse_mapping(f"{head}fields:\n{fields}", "m.yaml"), table, names)


def records(result):
    return [edited({"kind": one.kind, "id": one.id}, one.edits) for one in result.wanted]


def only(result):
    (record,) = records(result)
    return {key: value for key, value in record.items() if key not in ("kind", "id")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("- a", "line 1: a mapping must be a block"),
        ("mapping: 2\nkind: city\nid: {column: a}\nfields: {}", "line 1: this is a mapping of another version"),
        ("mapping: 1\nkind: town\nid: {column: a}\nfields: {}", "line 2: there is no kind of record called 'town'"),
        ("mapping: 1\nkind: city\nfields: {}", "'id' is missing"),
        (HEAD + "feilds: {}", "line 4: 'feilds' is not known"),
        (
            HEAD + "fields:\n  titel@en: {column: a}",
            "line 5: 'titel@en' is no field of a practice; did you mean 'title'",
        ),
        (HEAD + "fields:\n  title: {column: a}", "line 5: 'title' is a text: write title@en"),
        (HEAD + "fields:\n  city@en: {column: a}", "line 5: 'city' is no text"),
        (HEAD + "fields:\n  city: {column: a, template: b}", "line 5: say where the value comes from"),
        (HEAD + "fields:\n  city: {colum: a}", "line 5: 'colum' is not known"),
        (HEAD + "fields:\n  city: {column: a, otherwise: guess}", "line 5: 'otherwise' is one of"),
        (HEAD + "fields:\n  city: {column: a, lookup: town}", "line 5: there is no kind 'town'"),
        (HEAD + "fields:\n  city: {column: a}\n  city: {column: b}", "line 6: 'city' stands twice"),
        (HEAD + "fields:\n  sources:\n    - url: x", "line 6: a part needs an 'id'"),
        (
            HEAD + "fields:\n  sources:\n    - {id: source, each: {column: a}, url: b}",
            "line 6: 'source' is no identifier",
        ),
        (HEAD + "fields:\n  sources:\n    - {id: source-1, ulr: b}", "line 6: 'ulr' is no field of 'sources'"),
        (HEAD + "fields: {city: &a {column: a}}", "line 4: anchors and aliases are not read"),
        (HEAD + "fields: {city: [", "is not YAML"),
        (HEAD + "fields: !!python/object/apply:os.system [ls]", "must be a block"),
        ("[" * 5000, "nested too deeply|is not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_would_be_right(text, message):
    with pytest.raises(UnreadableInput, match=message) as caught:
        parse_mapping(text, "m.yaml")
    assert str(caught.value).startswith("m.yaml")


def test_a_mapping_has_a_limit_and_a_name_without_its_folder(tmp_path):
    with pytest.raises(TooLarge):
        parse_mapping("#" * 300_000, "m.yaml")
    with pytest.raises(UnreadableInput, match=r"^gone\.yaml: cannot be read"):
        read_mapping(tmp_path / "gone.yaml")


def test_columns_constants_templates_and_languages():
    fields = """
  title@en: {column: name}
  language: en
  summary: {column: text, language: {column: lang}}
  record.notes@en: {template: "From {id}: {name}"}
"""
    record = only(mapped(fields, {"name": "Buddies", "text": "Des binômes", "lang": "fr"}))
    assert record == {
        "title": {"en": "Buddies"},
        "language": "en",
        "summary": {"fr": "Des binômes"},
        "record": {"notes": {"en": "From R-2: Buddies"}},
    }


def test_no_is_norway_or_norwegian_and_never_false():
    result = mapped("  language: {column: land, map: {Norway: no, on: y}}\n", {"land": "Norway"}, {"land": "NORWAY"})
    assert [record["language"] for record in records(result)] == ["no", "no"]
    assert code_of_country("NO") == "NO"


def test_values_are_mapped_split_and_what_is_not_known_is_told():
    fields = """
  target_groups: {column: who, split: ";", map: {Pupils: pupils, Everyone: [women, mothers], other: ~}}
"""
    result = mapped(fields, {"who": "PUPILS; everyone ;other; Martians"})
    assert only(result) == {"target_groups": ["pupils", "women", "mothers"]}
    assert result.notes == {"x.csv line 2": ["who: 'Martians' is not in the mapping; left out"]}


def test_what_does_not_fit_is_left_out_and_told_or_refuses_the_row():
    fields = """
  language: {column: a}
  title@en: {column: b, shorten: true}
  evidence: {column: c, otherwise: refuse}
"""
    result = mapped(fields, {"a": "English!", "b": "x" * 400, "c": "strong"})
    assert only(result) == {"title": {"en": "x" * 299 + "…"}}
    assert [note.split(":")[0] for note in result.notes["x.csv line 2"]] == ["language", "title"]
    assert [problem.field for problem in result.wanted[0].problems] == ["evidence"]


def test_a_city_is_found_by_any_name_in_its_country_only():
    fields = "  city: {column: place, lookup: city, country: {column: land}}\n"
    rows = [
        ("Wrocław", "Poland"),
        ("Valencia", "Spanien"),
        ("Barcelona", "FR"),
        ("Gent", "Belgique"),
        ("Gent", "Atlantis"),
    ]
    result = mapped(fields, *({"place": place, "land": land} for place, land in rows))
    assert [record.get("city") for record in records(result)] == ["wroclaw", "valencia", None, "ghent", None]
    assert "city: 'Barcelona' is not on record; left out" in result.notes["x.csv line 4"]
    assert "country: 'Atlantis' is not known as a country" in result.notes["x.csv line 6"]


def test_a_city_named_within_a_name_is_not_the_province_called_after_it():
    fields = """
  city:
    {column: body, lookup: city, named: true, country: {column: land}, unless: ["{name} Provincial Council", "Diputació de {name}"]}
"""
    bodies = [
        "City of Barcelona",
        "Barcelona Provincial Council",
        "Diputació de Barcelona",
        "Barcelona Provincial Council and Barcelona",
        "Barcelonas",
        "Gent and Mechelen",
    ]
    result = mapped(fields, *({"body": body, "land": "BE" if "Gent" in body else "Spain"} for body in bodies))
    assert [record.get("city") for record in records(result)] == ["barcelona", None, None, "barcelona", None, None]
    assert result.notes == {"x.csv line 7": ["city: 'Gent and Mechelen' names several: ghent, mechelen; left out"]}


def test_themes_are_found_by_label_in_any_language_and_two_that_share_one_are_left_out():
    result = mapped("  themes: {column: t, split: '|', lookup: theme}\n", {"t": "Logement|Youth|housing|Roads"})
    assert only(result) == {"themes": ["housing"]}
    assert result.notes["x.csv line 2"] == [
        "theme: 'Youth' names several: social-youth, youth; left out",
        "theme: 'Roads' is not on record; left out",
    ]


def test_parts_keep_their_identifiers_and_addresses_are_parted():
    fields = """
  sources:
    - {id: source-1, url: "https://list.example/", source_title@en: {template: "Row {id}"}}
    - {id: source-2, each: {column: web, split: addresses}, needs: url, url: {template: "{each}"}}
  periods:
    - {id: period-1, needs: start, start: {column: from}, precision: year}
"""
    web = "https://a.example/x, http://b.example/y https://c.example/with space"
    result = mapped(fields, {"web": web, "from": ""}, {"web": "", "from": 2014.0})
    first, second = records(result)
    assert [(one["id"], one["url"]) for one in first["sources"]] == [
        ("source-1", "https://list.example/"),
        ("source-2", "https://a.example/x"),
        ("source-3", "http://b.example/y"),
    ]
    assert "with space" in result.notes["x.csv line 2"][0]
    assert "periods" not in first
    assert second["periods"] == [{"id": "period-1", "start": "2014", "precision": "year"}]
    assert [one["id"] for one in second["sources"]] == ["source-1"]


def test_rows_passed_over_columns_not_used_and_rows_twice_are_told():
    head = HEAD + "rows: {level: [Local]}\nnot used: {phone: private}\n"
    rows = [{"level": "local", "name": "a", "phone": "1", "more": "x"}, {"level": "State"}, {"level": "State"}]
    result = mapped("  title@en: {column: name}\n", *rows, {"level": "Local", "id": "r 2"}, head=head)
    assert result.skipped == {"level is 'State'": 2}
    assert result.not_used == {"phone": "private", "more": ""}
    assert [len(one.problems) for one in result.wanted] == [0, 1]
    with pytest.raises(BadRequest, match="reads the column 'name', which is not there"):
        mapped("  title@en: {column: name}\n", {"level": "Local"}, columns=("id", "level"), head=head)


def test_the_shipped_mapping_says_whose_table_it_reads():
    mapping = read_mapping(shipped("mappings/public-sector-tech-watch.yaml"))
    assert "Joint Research Centre" in mapping.attribution
    assert "CC BY 4.0" in mapping.attribution


def test_names_and_identifiers():
    assert folded("  ÅBO–Turku ") == "abo turku"
    assert slug("../../Etc") == "etc"
    assert len(slug("x y " * 100)) <= 120
