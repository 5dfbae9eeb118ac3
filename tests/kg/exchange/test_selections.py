"""Exports of a selection: which records are in it, who may see them, and that reading it back changes nothing."""

import io
import json

import pytest

from kg.accounts import READER, Actor
from kg.catalogue import Catalogue
from kg.errors import BadRequest, NotAllowed, NotFound
from kg.exchange.selections import FORMS, Selection, export_selection, selected, write_selection
from kg.imports import ImportFile, ImportOptions, Imports

ANNA = Actor("anna", "curator")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    with Catalogue.create(tmp_path_factory.mktemp("selections") / "data", start_data=True) as made:
        made.save([{"kind": "city", "id": "turku-draft", "name": {"en": "Turku"}}], publish=False)
        need = {"kind": "need", "id": "for-the-team", "mentee": "riga", "need_text": {"en": "Friends for newcomers"}}
        assert made.save([need]).written
        yield made


def ids(catalogue, actor=READER, **conditions):
    return [record["id"] for record, _ in selected(catalogue, Selection(**conditions), actor)]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "csv"])
def test_what_is_exported_changes_nothing_when_it_is_imported(catalogue, tmp_path, form):
    """Every starting record, of every kind, those for teams too, in every form."""
    file = tmp_path / f"all.{form}"
    count = export_selection(catalogue, Selection(), file, ANNA)
    assert count == catalogue.ledger.count(published=True)
    before = catalogue.ledger.last_number()
    for options in (ImportOptions(), ImportOptions(with_visibility=True, clear_empty=form in ("zip", "xlsx"))):
        report = Imports(catalogue).apply([ImportFile.at(file)], ANNA, options)
        assert report.counts == {"new": 0, "changed": 0, "unchanged": count, "refused": 0}
        assert report.unknown == []
    assert catalogue.ledger.last_number() == before


@pytest.mark.parametrize("kind", ["practice", "city", "organisation", "theme", "visit"])
def test_one_kind_in_one_csv_file_changes_nothing_when_it_is_imported(catalogue, tmp_path, kind):
    file = tmp_path / f"{kind}.csv"
    count = export_selection(catalogue, Selection((kind,)), file, ANNA)
    report = Imports(catalogue).dry_run([ImportFile.at(file)], ANNA)
    assert (report.counts["unchanged"], len(report.rows)) == (count, count)
    assert count > 1


def test_conditions_on_what_a_record_names(catalogue):
    ghent = ids(catalogue, kinds=("practice",), cities=("ghent",))
    assert ghent
    assert all(
        catalogue.get("practice", id)["city"] == "ghent" or "ghent" in str(catalogue.get("practice", id))
        for id in ghent
    )
    belgian = ids(catalogue, kinds=("practice",), countries=("BE",))
    assert set(ghent) < set(belgian)
    themed = ids(catalogue, kinds=("practice",), themes=("intercultural-buddy",))
    assert themed
    assert all("intercultural-buddy" in catalogue.get("practice", id)["themes"] for id in themed)
    assert ids(catalogue, kinds=("cities",), ids=("riga", "ghent", "nowhere")) == ["ghent", "riga"]
    assert ids(catalogue, kinds=("practice",), themes=("intercultural-buddy",), countries=("IS",)) == []


def test_readers_get_what_is_published_for_all_and_only_people_at_work_get_drafts(catalogue):
    assert "turku-draft" not in ids(catalogue, kinds=("city",))
    assert "for-the-team" not in ids(catalogue, kinds=("need",))
    assert "for-the-team" in ids(catalogue, ANNA, kinds=("need",))
    assert ids(catalogue, ANNA, kinds=("city",), states=("draft",)) == ["turku-draft"]
    assert ids(catalogue, Actor("boris", "contributor"), kinds=("city",), states=("draft",)) == []
    with pytest.raises(NotAllowed):
        ids(catalogue, states=("draft",))


def test_what_cannot_be_selected_or_written_is_told(catalogue, tmp_path):
    with pytest.raises(NotFound):
        ids(catalogue, kinds=("town",))
    with pytest.raises(BadRequest, match="is not a state"):
        Selection(states=("lost",))
    with pytest.raises(BadRequest):
        Selection(ids=("../x",))
    with pytest.raises(BadRequest, match="one kind"):
        write_selection(catalogue, Selection(("city", "theme")), "csv", io.BytesIO())
    with pytest.raises(BadRequest, match="no form"):
        export_selection(catalogue, Selection(), tmp_path / "x.doc")
    assert list(tmp_path.iterdir()) == []


def test_json_lines_hold_the_records_with_their_state(catalogue):
    out = io.BytesIO()
    assert write_selection(catalogue, Selection(("city",), ids=("riga",)), "jsonl", out) == 1
    assert json.loads(out.getvalue())["record"]["state"] == "published"
