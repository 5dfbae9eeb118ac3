"""Imports: what becomes of each row, what stays as it is, and that a second run changes nothing."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from kg.accounts import Actor
from kg.catalogue import Catalogue
from kg.errors import BadRequest, KgError, NotAllowed, NotAuthenticated, UnreadableInput
from kg.exchange.mapping import read_mapping
from kg.exchange.spreadsheets import Sheet, write_csv, write_workbook, write_zip
from kg.exchange.tables import sheets
from kg.fields import declaration, json_ld_context
from kg.imports import ImportFile, ImportOptions, Imports, _Run
from kg.ledger import Change
from kg.records import to_graph, to_json_ld, to_ntriples
from ontology import path as shipped

ANNA, BORIS = Actor("anna", "curator"), Actor("boris", "contributor")
WATCH = Path(__file__).parents[3] / "shared/data/import/public_sector_tech_watch.csv"
GHENT = {"kind": "city", "id": "gent", "name": {"en": "Ghent", "fr": "Gand"}, "country": "BE"}
RIGA = {"kind": "city", "id": "riga", "name": {"en": "Riga"}, "country": "LV", "alt_names": ["Rīga"]}
BUDDIES = {
    "kind": "practice",
    "id": "gent--buddies",
    "title": {"en": "Buddies for newcomers"},
    "action": {"en": "Residents and newcomers meet every week."},
    "city": "gent",
    "themes": ["intercultural-buddy"],
    "language": "en",
    "outcomes": [{"id": "claim-1", "statement": {"en": "120 duos"}, "value": "120", "stated_in": ["source-1"]}],
    "sources": [{"id": "source-1", "url": "https://example.org/buddies"}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    with Catalogue.create(folder) as catalogue:
        assert catalogue.save([GHENT, RIGA, BUDDIES]).written
    return folder


@pytest.fixture
def catalogue(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "data", ignore=shutil.ignore_patterns("lock"))
    with Catalogue.open(folder) as opened:
        opened.curation.rights.second_person = False
        yield opened


@pytest.fixture
def imports(catalogue):
    return Imports(catalogue)


def file_of(tmp_path, name, content) -> list[ImportFile]:
    place = tmp_path / name
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [ImportFile.at(place)]


def jsonl(tmp_path, *records, name="records.jsonl"):
    return file_of(tmp_path, name, "".join(f"{json.dumps(one)}\n" for one in records))


def outcomes(report):
    return {row.id: row.outcome for row in report.rows}


def newest(catalogue, kind, id):
    head = catalogue.ledger.head(kind, id)
    return catalogue._read(catalogue.ledger.revision(head.number)), head


def problems(report):
    return [f"{problem.field}: {problem.message}" for row in report.rows for problem in row.problems]


# What becomes of rows


def test_each_row_is_new_changed_unchanged_or_refused_and_a_dry_run_writes_nothing(imports, catalogue, tmp_path):
    text = "id,name@en,name@fr,country\ngent,Ghent,Gand,BE\nriga,Riga,Riga (ville),LV\nturku,Turku,,FI\nx,X,,Finland\n"
    files = file_of(tmp_path, "cities.csv", text)
    before = catalogue.ledger.last_number()
    dry = imports.dry_run(files, ANNA)
    assert outcomes(dry) == {"gent": "unchanged", "riga": "changed", "turku": "new", "x": "refused"}
    assert catalogue.ledger.last_number() == before
    applied = imports.apply(files, ANNA)
    assert (outcomes(applied), applied.written) == (outcomes(dry), 2)
    assert [(d.path, d.before, d.after) for d in applied.rows[1].differences] == [("name@fr", None, "Riga (ville)")]
    assert "country" in problems(applied)[0]
    assert catalogue.ledger.head("city", "x") is None
    catalogue.verify()


def test_a_new_record_is_a_draft_with_what_it_needs_and_a_published_one_gets_a_draft_beside_it(
    imports, catalogue, tmp_path
):
    files = file_of(tmp_path, "practice.csv", "id,title@en,city\ngent--choir,A choir,gent\ngent--buddies,Pairs,\n")
    report = imports.apply(files, ANNA)
    assert {problem.field for problem in report.rows[0].missing} == {"themes", "language", "action", "sources"}
    _, choir = newest(catalogue, "practice", "gent--choir")
    assert (choir.state, choir.published, choir.visibility) == ("draft", None, "public")
    record, buddies = newest(catalogue, "practice", "gent--buddies")
    assert (buddies.state, record["title"], record["city"]) == ("draft", {"en": "Pairs"}, "gent")
    assert catalogue.get("practice", "gent--buddies")["title"] == BUDDIES["title"]
    assert catalogue.ledger.revision(buddies.number).author == "curator/anna"
    again = imports.apply(files, ANNA)
    assert (set(outcomes(again).values()), again.written) == ({"unchanged"}, 0)
    assert again.rows[0].missing == report.rows[0].missing


def test_publishing_is_done_only_when_told_and_refuses_what_is_not_complete(imports, catalogue, tmp_path):
    whole = {**BUDDIES, "id": "gent--pairs", "title": {"en": "Pairs who cook"}}
    files = jsonl(tmp_path, whole, {"kind": "practice", "id": "gent--half", "title": {"en": "Half of it"}})
    report = imports.apply(files, ANNA, ImportOptions(publish=True))
    assert outcomes(report) == {"gent--pairs": "new", "gent--half": "refused"}
    assert catalogue.get("practice", "gent--pairs")["title"] == whole["title"]
    drafts = imports.apply(files, ANNA)
    assert outcomes(drafts) == {"gent--pairs": "unchanged", "gent--half": "new"}
    assert imports.apply(files, ANNA, ImportOptions(publish=True)).counts["unchanged"] == 1


def test_a_draft_that_says_the_same_is_published_when_told(imports, catalogue, tmp_path):
    files = jsonl(tmp_path, {**BUDDIES, "id": "gent--pairs"})
    imports.apply(files, ANNA)
    report = imports.apply(files, ANNA, ImportOptions(publish=True))
    assert (outcomes(report), report.rows[0].differences) == ({"gent--pairs": "changed"}, ())
    assert catalogue.get("practice", "gent--pairs")


@pytest.mark.parametrize("state", ["submitted", "returned", "draft"])
def test_a_record_under_review_stays_where_it_is(imports, catalogue, tmp_path, state):
    with catalogue.ledger.write() as transaction:
        payload = to_ntriples(to_graph(RIGA, catalogue.base))
        transaction.append(Change("city", "turku", state, "team", payload.replace("/riga", "/turku"), "curator/x"))
    imports.apply(file_of(tmp_path, "city.csv", "id,name@fr\nturku,Turku\n"), ANNA)
    record, head = newest(catalogue, "city", "turku")
    assert (head.state, head.visibility, record["name"]) == (state, "team", {"en": "Riga", "fr": "Turku"})


def test_a_withdrawn_record_is_not_brought_back(imports, catalogue, tmp_path):
    head = catalogue.ledger.head("city", "riga")
    with catalogue.ledger.write() as transaction:
        payload = catalogue.ledger.revision(head.number).payload
        transaction.append(Change("city", "riga", "withdrawn", "public", payload, "curator/x", reason="a mistake"))
    report = imports.apply(jsonl(tmp_path, RIGA), ANNA)
    assert "was withdrawn: a mistake; an import does not bring it back" in problems(report)[0]


def test_visibility_is_taken_from_a_file_only_when_told(imports, catalogue, tmp_path):
    files = file_of(tmp_path, "city.csv", "id,record.visibility\nriga,team\n")
    report = imports.apply(files, ANNA)
    assert (outcomes(report), report.rows[0].notes[0].split(" is ")[0]) == (
        {"riga": "unchanged"},
        "record.visibility: team",
    )
    told = imports.apply(files, ANNA, ImportOptions(with_visibility=True))
    assert (outcomes(told), newest(catalogue, "city", "riga")[1].visibility) == ({"riga": "changed"}, "team")
    bad = file_of(tmp_path, "city.csv", "id,record.visibility\nriga,nobody\n")
    assert (
        "is none of public, programme, team"
        in problems(imports.apply(bad, ANNA, ImportOptions(with_visibility=True)))[0]
    )


def test_a_curator_edits_two_columns_in_a_spreadsheet_and_imports_only_these(imports, catalogue, tmp_path):
    """As LibreOffice writes it in French: BOM, semicolons, CRLF, a quoted line break, a decimal comma, Excel's days."""
    text = (
        "\ufeffid;title@fr;outcomes.claim-1.value;sources.source-1.accessed\r\n"
        'gent--buddies;"Binômes\r\nd\'accueil";120,0;44197\r\n'
    )
    report = imports.apply(file_of(tmp_path, "practices.csv", text), ANNA)
    assert [(d.path, d.after) for d in report.rows[0].differences] == [
        ("title@fr", "Binômes\nd'accueil"),
        ("sources.source-1.accessed", "2021-01-01"),
    ]
    record, _ = newest(catalogue, "practice", "gent--buddies")
    expected = {**BUDDIES, "title": {"en": "Buddies for newcomers", "fr": "Binômes\nd'accueil"}}
    expected["sources"] = [{**BUDDIES["sources"][0], "accessed": "2021-01-01"}]
    assert record == expected


def test_a_number_that_could_be_two_refuses_its_row_unless_it_is_on_record(imports, catalogue, tmp_path):
    whole = {**BUDDIES, "outcomes": [{**BUDDIES["outcomes"][0], "value": "1.234"}]}
    assert catalogue.save([whole]).written
    text = "id;outcomes.claim-1.value;title@fr\ngent--buddies;{};Duos\n"
    report = imports.apply(file_of(tmp_path, "practice.csv", text.format("1.235")), ANNA)
    assert outcomes(report) == {"gent--buddies": "refused"}
    assert problems(report) == ["outcomes.claim-1.value: '1.235' could be 1235 or 1.235; write 1235 or 1,235"]
    report = imports.apply(file_of(tmp_path, "practice.csv", text.format("1.234")), ANNA)
    assert [(d.path, d.after) for d in report.rows[0].differences] == [("title@fr", "Duos")]


def test_a_refused_row_has_every_problem_at_once_those_of_form_and_those_of_meaning(imports, tmp_path):
    table = "id;title@fr;city;themes;language;costs.1.amount\ndear;Été;gand;health|nope;klingon;1.234\n"
    report = imports.dry_run(file_of(tmp_path, "practice.csv", table), ANNA)
    assert sorted(problem.field for problem in report.rows[0].problems) == [
        "city",
        "costs.cost-1.amount",
        "language",
        "themes",
    ]
    record = {"kind": "practice", "id": "dear", "title": "Été", "city": "gand", "language": "klingon"}
    report = imports.dry_run(jsonl(tmp_path, record), ANNA)
    assert sorted(problem.field for problem in report.rows[0].problems) == ["city", "language", "title"]
    assert outcomes(report) == {"dear": "refused"}


def test_a_row_with_a_value_that_cannot_be_read_is_refused_also_where_the_rest_says_what_is_on_record(
    imports, catalogue, tmp_path
):
    before = catalogue.ledger.last_number()
    table = "id;city;outcomes.claim-1.value\ngent--buddies;gent;1.234\n"
    report = imports.apply(file_of(tmp_path, "practice.csv", table), ANNA, ImportOptions(publish=True))
    assert outcomes(report) == {"gent--buddies": "refused"}
    assert catalogue.ledger.last_number() == before


def test_a_report_is_in_the_language_asked_for(imports, tmp_path):
    french = ImportOptions(language="fr")
    table = "id;title@fr;zz;outcomes.claim-1.value\ngent--buddies;Duos;1;1.234\ngent--buddies;Duos;;\nBAD ID;Duos;;\n"
    report = imports.dry_run(file_of(tmp_path, "practice.csv", table), ANNA, french)
    told = " ".join([*problems(report), *report.unknown])
    for words in ("pourrait être 1234 ou 1.234", "figure deux fois", "n’est pas un identifiant", "n’est pas un champ"):
        assert words in told
    new = {**BUDDIES, "id": "gent--duos"}
    report = imports.dry_run(jsonl(tmp_path, new), ANNA, french)
    assert report.rows[0].duplicates[0].reason == "titres semblables dans la même ville"


def test_a_theme_of_ours_need_not_name_our_scheme(imports, catalogue, tmp_path):
    report = imports.apply(file_of(tmp_path, "theme.csv", "id,label@en,broader\nhealth-heat,Heat,health\n"), ANNA)
    assert outcomes(report) == {"health-heat": "new"}
    assert newest(catalogue, "theme", "health-heat")[0]["scheme"] == "https://w3id.org/mentorgraph/themes"


# A newer draft beside the published version

ENDINGS = ["csv", "jsonl", "ttl", "zip", "xlsx"]


def exported(catalogue, tmp_path, record, ending):
    """The record as an export writes it."""
    out = io.BytesIO()
    if ending == "csv":
        write_csv(sheets([record], flat=True)[0], out)
    elif ending == "zip":
        write_zip(sheets([record]), out)
    elif ending == "xlsx":
        write_workbook(sheets([record]), out)
    elif ending == "jsonl":
        out.write(json.dumps(record).encode())
    else:
        out.write(to_graph(record, catalogue.base).serialize(format="turtle").encode())
    return file_of(tmp_path, f"practice.{ending}", out.getvalue())


@pytest.fixture
def draft(catalogue):
    """A colleague's draft beside the published practice: a field, a text, a list and parts differ."""
    record = {
        **BUDDIES,
        "title": {**BUDDIES["title"], "fr": "Duos"},
        "themes": ["intercultural-buddy", "language-informal"],
        "lessons": {"en": "Begin small"},
        "outcomes": [
            {**BUDDIES["outcomes"][0], "value": "121"},
            {"id": "claim-2", "statement": {"en": "Another"}, "value": "1.50", "stated_in": ["source-1"]},
        ],
    }
    with catalogue.ledger.write() as transaction:
        payload = to_ntriples(to_graph(record, catalogue.base))
        transaction.append(Change("practice", "gent--buddies", "draft", "public", payload, "curator/colleague"))
    return record


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_unedited_export_of_the_published_version_leaves_a_newer_draft_alone(
    imports, catalogue, draft, tmp_path, ending
):
    head = catalogue.ledger.head("practice", "gent--buddies")
    files = exported(catalogue, tmp_path, catalogue.get("practice", "gent--buddies"), ending)
    report = imports.apply(files, ANNA)
    assert (outcomes(report), report.written) == ({"gent--buddies": "unchanged"}, 0)
    (note,) = report.rows[0].notes
    assert note.startswith(f"there is a newer draft beside the published version (revision {head.number}); left as")
    assert {"Themes", "Outcomes, claim-1: Value"} <= {
        label for label in ("Themes", "Outcomes, claim-1: Value") if label in note
    }
    assert "colleague" not in note
    french = imports.dry_run(files, ANNA, ImportOptions(language="fr")).rows[0].notes[0]
    assert french.startswith(f"il y a un brouillon plus récent à côté de la version publiée (révision {head.number})")
    assert report.as_json()["rows"][0]["notes"] == [note]
    table = io.BytesIO()
    report.write_csv(table)
    assert note in table.getvalue().decode("utf-8-sig")
    told = imports.apply(files, ANNA, ImportOptions(publish=True))  # nothing to publish: the draft is not the file's
    assert (outcomes(told), told.written) == ({"gent--buddies": "unchanged"}, 0)
    assert newest(catalogue, "practice", "gent--buddies")[1].number == head.number


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_export_of_the_draft_itself_changes_nothing_and_has_no_note(imports, catalogue, draft, tmp_path, ending):
    report = imports.apply(exported(catalogue, tmp_path, draft, ending), ANNA)
    assert (outcomes(report), report.rows[0].notes) == ({"gent--buddies": "unchanged"}, ())


@pytest.mark.parametrize("ending", ENDINGS)
def test_only_what_differs_from_the_published_version_is_applied_to_the_draft(
    imports, catalogue, draft, tmp_path, ending
):
    edited = {
        **BUDDIES,
        "title": {"en": "Pairs for newcomers"},
        "themes": ["intercultural-buddy", "housing"],
        "outcomes": [{**BUDDIES["outcomes"][0], "statement": {"en": "120 pairs"}}],
    }
    files = exported(catalogue, tmp_path, edited, ending)
    report = imports.apply(files, ANNA)
    assert [d.path for d in report.rows[0].differences] == ["title@en", "themes", "outcomes.claim-1.statement@en"]
    record, head = newest(catalogue, "practice", "gent--buddies")
    assert record == {
        **draft,
        "title": {"en": "Pairs for newcomers", "fr": "Duos"},
        "themes": ["housing", "intercultural-buddy", "language-informal"],
        "outcomes": [{**draft["outcomes"][0], "statement": {"en": "120 pairs"}}, draft["outcomes"][1]],
    }
    assert (head.state, catalogue.get("practice", "gent--buddies")["title"]) == ("draft", BUDDIES["title"])
    assert imports.apply(files, ANNA).counts["unchanged"] == 1
    refused = imports.apply(files, ANNA, ImportOptions(publish=True))
    assert "is a draft with other changes, which would be published too: " in problems(refused)[0]


def test_what_both_changed_is_as_the_file_says_and_marks_take_away_what_only_the_draft_has(
    imports, catalogue, draft, tmp_path
):
    text = (
        "id,title@fr,lessons@en,outcomes.1.value,outcomes.2.value,outcomes.2.remove\n"
        "gent--buddies,Binômes,—clear—,122,1.5,yes\n"
    )
    imports.apply(file_of(tmp_path, "practice.csv", text), ANNA)
    record, _ = newest(catalogue, "practice", "gent--buddies")
    expected = {**draft, "title": {**BUDDIES["title"], "fr": "Binômes"}}
    expected["outcomes"] = [{**draft["outcomes"][0], "value": "122"}]
    del expected["lessons"]
    assert record == expected


def test_a_part_that_the_draft_has_lost_stays_away_unless_the_file_changes_it(imports, catalogue, tmp_path):
    with catalogue.ledger.write() as transaction:
        lost = {key: value for key, value in BUDDIES.items() if key != "outcomes"}
        payload = to_ntriples(to_graph(lost, catalogue.base))
        transaction.append(Change("practice", "gent--buddies", "draft", "public", payload, "curator/colleague"))
    assert imports.apply(jsonl(tmp_path, BUDDIES), ANNA).counts["unchanged"] == 1
    imports.apply(file_of(tmp_path, "practice.csv", "id,outcomes.1.value\ngent--buddies,130\n"), ANNA)
    assert newest(catalogue, "practice", "gent--buddies")[0]["outcomes"] == [{**BUDDIES["outcomes"][0], "value": "130"}]


def test_parts_without_identifier_are_told_from_those_of_both_versions(imports, catalogue, draft, tmp_path):
    bare = [{key: value for key, value in BUDDIES["outcomes"][0].items() if key != "id"}]
    new = {"statement": {"en": "A third"}, "value": "3"}
    imports.apply(jsonl(tmp_path, {**BUDDIES, "outcomes": [*bare, new]}), ANNA)
    record, _ = newest(catalogue, "practice", "gent--buddies")
    assert record["outcomes"] == [*draft["outcomes"], {"id": "claim-3", **new}]
    table = "record,id,statement@en,value\ngent--buddies,,A fourth,4\n"
    for outcome in ("changed", "unchanged"):
        report = imports.apply(file_of(tmp_path, "practice.outcomes.csv", table), ANNA)
        assert outcomes(report) == {"gent--buddies": outcome}
    assert [one["id"] for one in newest(catalogue, "practice", "gent--buddies")[0]["outcomes"]][-1] == "claim-4"


def test_rows_may_refer_to_rows_below_them_and_a_refusal_reaches_those_that_need_it(imports, catalogue, tmp_path):
    practice = {**BUDDIES, "id": "turku--buddies", "city": "turku"}
    lost = {**BUDDIES, "id": "nowhere--buddies", "city": "nowhere"}
    files = jsonl(
        tmp_path,
        practice,
        lost,
        {"kind": "organisation", "id": "a", "name": {"en": "A"}, "type": "city-network", "member_of": ["b"]},
        {"kind": "organisation", "id": "b", "name": {"en": "B"}, "type": "city-network", "member_of": ["a"]},
        {"kind": "city", "id": "turku", "name": {"en": "Turku"}, "country": "FI"},
        {"kind": "city", "id": "nowhere", "name": {"en": "Nowhere"}, "country": "Utopia"},
    )
    report = imports.apply(files, ANNA, ImportOptions(publish=True), batch=1)
    assert outcomes(report) == {
        "turku--buddies": "new", "nowhere--buddies": "refused", "a": "new", "b": "new", "turku": "new", "nowhere": "refused",
    }  # fmt: skip
    assert [row.id for row in report.rows][:2] == ["turku--buddies", "nowhere--buddies"]
    assert any("there is no city 'nowhere'" in message for message in problems(report))
    assert catalogue.get("practice", "turku--buddies")["city"] == "turku"


def test_themes_that_would_lie_below_themselves_are_refused_with_the_circle(imports, tmp_path):
    scheme = "https://w3id.org/mentorgraph/themes"
    files = jsonl(
        tmp_path,
        {"kind": "theme", "id": "a", "label": {"en": "A"}, "scheme": scheme, "broader": "b"},
        {"kind": "theme", "id": "b", "label": {"en": "B"}, "scheme": scheme, "broader": "a"},
        {"kind": "theme", "id": "c", "label": {"en": "C"}, "scheme": scheme, "broader": "housing"},
    )
    report = imports.apply(files, ANNA)
    assert outcomes(report) == {"a": "refused", "b": "refused", "c": "new"}
    assert any("a → b → a" in message for message in problems(report))
    edit = file_of(tmp_path, "theme.csv", "id,broader\nhousing,c\n")
    assert "housing → c → housing" in problems(imports.apply(edit, ANNA))[0]


def test_probable_duplicates_are_named_with_the_reason_on_record_or_in_the_file(imports, tmp_path):
    text = (
        "id,title@en,city\nx-1,Buddies for the newcomers,gent\nx-2,Buddies for the newcomers,riga\n"
        "x-3,A choir of neighbours in Riga,riga\nx-4,The choir of neighbours in Riga,riga\n"
    )
    report = imports.dry_run(file_of(tmp_path, "practice.csv", text), ANNA)
    assert [[one.id for one in row.duplicates] for row in report.rows] == [["gent--buddies"], [], [], ["x-3"]]
    assert report.rows[0].duplicates[0].reason == "alike titles in the same city"


def test_a_record_twice_a_part_without_its_record_and_a_hostile_identifier_are_refused_alone(imports, tmp_path):
    files = jsonl(tmp_path, RIGA, RIGA, {**RIGA, "id": "../etc"}, {"kind": "town", "id": "x"}, [1])
    parts = file_of(tmp_path, "practice.outcomes.csv", "record,id,value\ngent--nothing,claim-1,3\n")
    report = imports.apply([*files, *parts], ANNA)
    assert [row.outcome for row in report.rows] == ["unchanged", *["refused"] * 5]
    assert [message.partition(": ")[2][:22] for message in problems(report)] == [
        "city 'riga' stands twi", "'../etc' is no identif", "there is no kind of re", "records.jsonl line 5: ", "there is no practice '",
    ]  # fmt: skip


# Records of other forms


def test_blank_nodes_of_rdf_are_given_addresses_and_a_second_run_changes_nothing(imports, catalogue, tmp_path):
    base = catalogue.base
    text = f"""@prefix mg: <https://w3id.org/mentorgraph/ontology#> . @prefix dcterms: <http://purl.org/dc/terms/> .
@prefix schema: <https://schema.org/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
<{base}id/practice/gent--blank> a mg:Practice ; dcterms:title "Blank"@en ;
  mg:outcome [ a mg:OutcomeClaim ; mg:value "1" ; mg:statedIn _:s ], [ a mg:OutcomeClaim ; mg:value "2" ], <{base}id/practice/gent--blank#claim-7> ;
  dcterms:source _:s .
<{base}id/practice/gent--blank#claim-7> a mg:OutcomeClaim ; mg:value "7" .
_:s a mg:Source ; schema:url "https://example.org/"^^xsd:anyURI .
"""
    first = imports.apply(file_of(tmp_path, "x.ttl", text), ANNA)
    assert outcomes(first) == {"gent--blank": "new"}
    record, _ = newest(catalogue, "practice", "gent--blank")
    claims = {claim["value"]: claim for claim in record["outcomes"]}
    assert {claim["id"] for claim in record["outcomes"]} == {"claim-7", "claim-8", "claim-9"}
    assert (claims["7"]["id"], claims["1"]["stated_in"]) == ("claim-7", ["source-1"])
    shuffled = (
        text.replace("_:s", "_:other")
        .replace('[ a mg:OutcomeClaim ; mg:value "2" ], ', "")
        .replace("  dcterms:source", '  mg:outcome [ mg:value "2" ; a mg:OutcomeClaim ] ;\n  dcterms:source')
    )
    assert outcomes(imports.apply(file_of(tmp_path, "y.ttl", shuffled), ANNA)) == {"gent--blank": "unchanged"}


def test_parts_without_identifier_get_that_of_the_part_that_says_the_same(imports, catalogue, tmp_path):
    bare = {**BUDDIES, "sources": [{"url": "https://new.example/"}, {"url": "https://example.org/buddies"}]}
    imports.apply(jsonl(tmp_path, bare), ANNA)
    record, _ = newest(catalogue, "practice", "gent--buddies")
    assert [(one["id"], one["url"]) for one in record["sources"]] == [
        ("source-1", "https://example.org/buddies"),
        ("source-2", "https://new.example/"),
    ]
    assert imports.apply(jsonl(tmp_path, bare), ANNA).counts["unchanged"] == 1


@pytest.mark.parametrize("ending", ["jsonl", "json", "jsonld", "ttl", "nt", "nq", "trig", "rdf", "csv", "zip"])
def test_every_format_says_the_same_of_a_record(imports, catalogue, tmp_path, ending):
    record = {**BUDDIES, "id": "gent--same"}
    graph = to_graph(record, catalogue.base)
    if ending in ("jsonl", "json"):
        content = json.dumps(record).encode()
    elif ending == "jsonld":
        content = json.dumps(to_json_ld(record, catalogue.base, json_ld_context(declaration())["@context"])).encode()
    elif ending in ("csv", "zip"):
        out = io.BytesIO()
        if ending == "csv":
            write_csv(sheets([record], flat=True)[0], out)
        else:
            write_zip(sheets([record]), out)
        content = out.getvalue()
    else:
        content = graph.serialize(
            format={"ttl": "turtle", "nq": "nt", "trig": "turtle", "rdf": "xml"}.get(ending, ending)
        ).encode()
    report = imports.apply(file_of(tmp_path, f"practice.{ending}", content), ANNA)
    assert outcomes(report) == {"gent--same": "new"}
    assert to_ntriples(to_graph(newest(catalogue, "practice", "gent--same")[0], catalogue.base)) == to_ntriples(graph)


def test_a_file_that_cannot_be_read_stops_everything_before_anything_is_written(imports, catalogue, tmp_path):
    before = catalogue.ledger.last_number()
    good = jsonl(tmp_path, {**RIGA, "id": "turku"})
    for bad in (
        file_of(tmp_path, "x.ttl", "<a> <b"),
        file_of(tmp_path, "x.doc", "a"),
        file_of(tmp_path, "x.csv", "a\n1\n"),
    ):
        with pytest.raises((UnreadableInput, BadRequest)):
            imports.apply([*good, *bad], ANNA)
    with pytest.raises(BadRequest, match="a mapping reads tables"):
        imports.apply(
            good, ANNA, ImportOptions(mapping=read_mapping(shipped("mappings/public-sector-tech-watch.yaml")))
        )
    assert catalogue.ledger.last_number() == before


# People


def test_who_may_import_what(imports, catalogue, tmp_path):
    files = jsonl(tmp_path, {**RIGA, "id": "turku"})
    with pytest.raises(NotAuthenticated):
        imports.dry_run(files, Actor("guest", "reader"))
    with pytest.raises(NotAllowed, match="may not import"):
        imports.dry_run(files, Actor("anna", "curator", frozenset({"write"})))
    assert outcomes(imports.apply(files, BORIS)) == {"turku": "new"}
    assert "a contributor may not publish" in problems(imports.apply(files, BORIS, ImportOptions(publish=True)))[0]
    other = Actor("carla", "contributor")
    refused = imports.apply(jsonl(tmp_path, {**RIGA, "id": "turku", "country": "FI"}), other)
    assert outcomes(refused) == {"turku": "refused"}
    catalogue.curation.rights.second_person = True
    assert "a second person publishes" in problems(imports.apply(files, ANNA, ImportOptions(publish=True)))[0]


# Batches


def many(count):
    return [{"kind": "city", "id": f"town-{n}", "name": {"en": f"Town {n}"}, "country": "BE"} for n in range(count)]


def test_batches_write_what_one_transaction_writes_and_progress_is_told(imports, catalogue, tmp_path):
    seen = []
    report = imports.apply(
        jsonl(tmp_path, *many(25)), ANNA, batch=10, progress=lambda what, done, total: seen.append((what, done, total))
    )
    assert (report.written, report.counts["new"]) == (25, 25)
    assert ("checking", 25, 25) in seen
    assert catalogue.ledger.count("city") == 27


def test_the_first_batch_is_a_small_one_unless_all_are_to_be_one(imports, tmp_path, monkeypatch):
    written, write = [], _Run._write

    def watched(run, prepared):
        written.append(write(run, prepared))
        return written[-1]

    monkeypatch.setattr(_Run, "_write", watched)
    for batch, prefix, sizes in ((500, "a", [50, 10]), (20, "b", [20, 20, 20]), (None, "c", [60])):
        written.clear()
        records = [{**GHENT, "id": f"{prefix}-{number}"} for number in range(60)]
        imports.apply(jsonl(tmp_path, *records), ANNA, batch=batch)
        assert written == sizes


def test_a_stopped_import_keeps_its_batches_and_the_next_run_does_the_rest(imports, catalogue, tmp_path):
    asked = []
    files = jsonl(tmp_path, *many(25))
    report = imports.apply(files, ANNA, batch=5, stop=lambda: asked.append(1) or len(asked) > 24)
    assert report.stopped
    assert 0 < report.written < 25
    assert report.written == catalogue.ledger.count("city") - 2 == len(report.rows)
    rest = imports.apply(files, ANNA)
    assert (rest.written, rest.counts) == (
        25 - report.written,
        {"new": 25 - report.written, "changed": 0, "unchanged": report.written, "refused": 0},
    )


def test_a_record_changed_meanwhile_is_looked_at_again(imports, catalogue, tmp_path):
    """Somebody saves Riga between the look at it and the write; her change stays and the import's is made on it."""
    files = file_of(tmp_path, "city.csv", "id,name@fr\nriga,Riga (ville)\n")
    interrupted = []

    def meanwhile(what, done, total):
        if what == "checking" and not interrupted:
            interrupted.append(1)
            catalogue.save([{**RIGA, "local_name": "Rīga"}])

    imports.apply(files, ANNA, progress=meanwhile)
    record, _ = newest(catalogue, "city", "riga")
    assert (record["local_name"], record["name"]["fr"]) == ("Rīga", "Riga (ville)")


# Reports


def test_the_report_is_told_as_json_and_as_a_table(imports, tmp_path):
    report = imports.dry_run(file_of(tmp_path, "city.csv", "id,name@fr,zzz\nriga,=1+1,x\n,x,\n"), ANNA)
    told = json.loads(json.dumps(report.as_json()))
    assert (told["changed"], told["refused"], told["dry_run"]) == (1, 1, True)
    assert told["rows"][0]["differences"][0]["after"] == "=1+1"
    assert told["unknown_columns"] == ["city.csv: 'zzz' is no field"]
    out = io.BytesIO()
    report.write_csv(out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode("utf-8-sig"), newline="")))
    assert [(row["id"], row["outcome"]) for row in rows] == [("riga", "changed"), ("", "refused")]
    assert "=1+1" in rows[0]["differences"]
    assert "read as UTF-8" in next(iter(report.lines()))


# Public Sector Tech Watch


@pytest.mark.slow
@pytest.mark.skipif(not WATCH.exists(), reason="shared/ is not here: the foreign table is not in the repository")
def test_all_820_local_and_regional_cases_of_public_sector_tech_watch_become_drafts(tmp_path):
    with WATCH.open(encoding="utf-8-sig", newline="") as file:
        cases = {case["id"].lower(): case for case in csv.DictReader(file)}
    local = {id: case for id, case in cases.items() if case["extent"] in ("Local", "Regional")}
    assert len(local) == 820
    with Catalogue.create(tmp_path / "data", start_data=True) as catalogue:
        mapping = read_mapping(shipped("mappings/public-sector-tech-watch.yaml"))
        report = Imports(catalogue).apply([ImportFile.at(WATCH)], ANNA, ImportOptions(mapping=mapping))
        records = {row.id: newest(catalogue, "practice", row.id) for row in report.rows}
        names = Imports(catalogue).names("city")
        again = Imports(catalogue).dry_run([ImportFile.at(WATCH)], ANNA, ImportOptions(mapping=mapping))
    assert report.counts == {"new": 820, "changed": 0, "unchanged": 0, "refused": 0}
    assert again.counts["unchanged"] == 820
    assert set(records) == set(local)
    assert sum(report.skipped.values()) == len(cases) - 820
    assert set(report.not_used) == {"cofog2", "process", "application", "benefits", "ai_keywords"}
    assert "CC BY 4.0" in report.attribution
    for row in report.rows:
        (record, head), case = records[row.id], local[row.id]
        assert (head.state, head.published) == ("draft", None)
        assert record["title"] == {"en": case["title"]}
        assert record["action"] == {"en": case["description"].replace("\r\n", "\n")}
        assert record["periods"][0]["start"] == case["start"]
        assert record["partners"][0]["stated_name"] == case["organisation"]
        assert case["website"] in record["record"]["notes"]["en"]
        assert all(source["url"] in case["website"] for source in record["sources"][1:])
        assert set(record) <= {
            "kind",
            "id",
            "title",
            "action",
            "language",
            "city",
            "themes",
            "partners",
            "periods",
            "sources",
            "record",
        }
        assert {problem.field for problem in row.missing} == {"city", "themes"} - set(record)
        if "city" in record:
            assert any(
                record["city"] in {id for id, _ in names[name]}
                for name in names
                if name in words_of(case["organisation"])
            )
    cities = {id: record.get("city") for id, (record, _) in records.items()}
    assert cities["pstw-72"] == "amsterdam"
    assert cities["pstw-1615"] == "vienna"  # "City of Wien"
    assert cities["pstw-404"] == "wroclaw"  # written without its stroke
    assert cities["pstw-2168"] is cities["pstw-2614"] is None  # the province of Barcelona
    assert cities["pstw-433"] is None  # four German states
    assert cities["pstw-356"] is None  # Amsterdam and Utrecht
    assert sum(city is not None for city in cities.values()) > 100
    themed = {id for id, (record, _) in records.items() if "themes" in record}
    assert themed == {"pstw-689", "pstw-1654", "pstw-2472"}  # "Office of Integration" (pstw-1003) is about disability
    noted = {row.id for row in report.rows if row.notes}
    assert noted == {"pstw-356", "pstw-809", "pstw-2612"}


def words_of(text):
    from kg.exchange.mapping import folded

    found = folded(text).split()
    return {" ".join(found[start:end]) for start in range(len(found)) for end in range(start + 1, len(found) + 1)}


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", b"\xff\xfea"), ("x.xlsx", b"PK"), ("x.zip", b""), ("x.jsonl", b"\xff"), ("x.nq", b"<")],
)
def test_a_broken_file_is_refused_without_naming_its_folder(imports, tmp_path, name, content):
    with pytest.raises(KgError, match=rf"^{name}") as caught:
        imports.dry_run(file_of(tmp_path, name, content), ANNA, ImportOptions(kind="city"))
    assert str(tmp_path) not in str(caught.value)


def test_an_empty_table_is_an_import_of_nothing(imports, tmp_path):
    assert imports.apply(file_of(tmp_path, "city.csv", "id,name@en\n"), ANNA).rows == []


def test_titles_that_begin_like_formulas_are_harmless_in_the_report(imports, tmp_path):
    out = io.BytesIO()
    write_csv(Sheet("practice", ("id", "title@en"), [{"id": "x-1", "title@en": "=cmd|' /C calc'!A0"}]), out)
    report = imports.dry_run(file_of(tmp_path, "practice.csv", out.getvalue()), ANNA)
    assert report.rows[0].title == "=cmd|' /C calc'!A0"
    table = io.BytesIO()
    report.write_csv(table)
    assert b",'=cmd" in table.getvalue()
