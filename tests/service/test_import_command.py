"""`mentorgraph import` and `mentorgraph export` of tables, run as a person runs them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kg.catalogue import Catalogue

ROOT = Path(__file__).parents[2]


def run(folder, *words):
    return subprocess.run(
        [sys.executable, "-c", "from service.cli import main; main()", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path):
    with Catalogue.create(tmp_path / "data") as catalogue:
        catalogue.save([{"kind": "city", "id": "gent", "name": {"en": "Ghent"}, "country": "BE"}])
    return tmp_path


def test_a_table_is_looked_at_imported_and_written_back(folder):
    (folder / "cities.csv").write_text("id;name@en;name@fr;country\ngent;;Gand;\nriga;Riga;;LV\nx;X;;Utopia\n")
    dry = run(folder, "import", "cities.csv", "--dry-run", "--report", "report.csv")
    assert dry.returncode == 1, dry.stderr
    assert "Nothing was written" in dry.stdout
    assert "cities.csv line 4: refused: country" in dry.stdout
    assert "cities.csv line 2: gent: Name (fr): “Gand” added" in dry.stdout
    assert "cities.csv line 3: new: riga" in dry.stdout
    in_french = run(folder, "import", "cities.csv", "--dry-run", "--lang", "fr").stdout.replace("\u00a0", " ")
    assert "cities.csv line 4 : refusée : country : " in in_french
    assert "cities.csv line 2 : gent : Nom (fr) : « Gand » ajouté" in in_french
    assert "cities.csv line 3 : nouvelle : riga" in in_french
    assert "cities.csv : lu en UTF-8\u202f; lignes : 3" in in_french
    assert "Rien n’a été écrit" in in_french
    with (folder / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["changed", "new", "refused"]
    told = json.loads(run(folder, "import", "cities.csv", "--json", "--report", "report.json").stdout)
    assert (told["written"], told["new"], told["changed"]) == (2, 1, 1)
    assert json.loads((folder / "report.json").read_text())["written"] == 2
    assert json.loads(run(folder, "import", "cities.csv", "--json").stdout)["unchanged"] == 2
    written = run(folder, "export", "drafts.csv", "--kind", "city", "--state", "draft")
    assert "drafts.csv: 2 records." in written.stdout, written.stderr
    assert json.loads(run(folder, "import", "drafts.csv", "--kind", "city", "--json").stdout)["unchanged"] == 2


def test_what_a_person_gets_wrong_is_one_line(folder):
    (folder / "x.csv").write_bytes("id;name@en\nriga;Rīga\n".encode("cp1257"))
    for words, message in [
        (["import", "x.csv"], "x.csv: is not UTF-8, and its encoding cannot be told"),
        (["import", "x.csv", "--encoding", "cp1257"], "what are the rows of 'x'?"),
        (["import", "x.csv", "--report", "x.doc"], "use .csv or .json"),
        (["import", "x.csv", "--mapping", "gone.yaml"], "gone.yaml: cannot be read"),
        (["import", "x.csv", "--author", "a/b"], "--author"),
    ]:
        result = run(folder, *words)
        assert result.returncode == 1
        assert message in result.stderr
        assert result.stderr.count("\n") == 1, result.stderr
    done = run(folder, "import", "x.csv", "--encoding", "cp1257", "--kind", "city", "--publish")
    assert done.returncode == 1  # a city needs its country to be published
    assert "country" in done.stdout
