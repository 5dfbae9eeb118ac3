"""Imports over HTTP: look first, then write, stop, go on."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator

import httpx
import pytest

from kg.accounts import Accounts
from kg.catalogue import Catalogue
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import running

CITIES = b"id,name@en,name@fr,country\nalpha-town,Alpha,Alphe,BE\nbeta-town,Beta,,NL\nbad id,Bad,,BE\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    folder = tmp_path_factory.mktemp("imports") / "data"
    with Catalogue.create(folder, models=prepared_models()) as catalogue:
        catalogue.follow()
        app = create_app(Settings(data=folder, import_limit_bytes=200_000), catalogue)
        with running(app) as server, Accounts(catalogue.ledger) as accounts:
            found = {"nobody": httpx.Client(base_url=server.url, trust_env=False, timeout=60)}
            for name in ("contributor", "contributor-2", "curator"):
                token, _ = accounts.create_token(name, name.partition("-")[0], by="test")
                found[name] = httpx.Client(
                    base_url=server.url, trust_env=False, timeout=60, headers={"Authorization": f"Bearer {token}"}
                )
            yield found
            for client in found.values():
                client.close()


def send(client: httpx.Client, content: bytes, name: str = "cities.csv", **options: object) -> httpx.Response:
    return client.post(
        "/api/imports", files={"files": (name, content)}, data={"options": json.dumps({"kind": "city", **options})}
    )


def settled(client: httpx.Client, path: str) -> dict:
    """The job once it is no longer being written."""
    for _ in range(300):
        told = client.get(path).json()
        if told["state"] != "applying":
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def test_the_report_is_in_the_language_asked_for(people: dict[str, httpx.Client]) -> None:
    table = {"files": ("practices.csv", b"id\nx--empty\n")}
    for options, header, wanted in [
        ("{}", "fr", "Choisissez la ville"),
        ("{}", "en", "Choose the city"),
        ('{"language": "fr"}', "en", "Choisissez la ville"),
    ]:
        told = people["curator"].post(
            "/api/imports", files=table, data={"options": options}, headers={"Accept-Language": header}
        )
        assert wanted in told.text


@pytest.mark.parametrize(
    ("name", "content", "form", "status", "words"),
    [
        ("city.csv", "id;name@lv\nq;Pilsētas māc\n".encode("cp1257"), {}, 400, "son codage ne se reconnaît pas"),
        ("city.csv", b"name@en\nQ\n", {}, 422, "il n’y a pas de colonne 'id'"),
        ("city.csv", b"id,id\nq,q\n", {}, 400, "figure deux fois"),
        ("city.csv", b'id,name@en\nq,"Q\n', {}, 400, "vérifiez les guillemets"),
        ("city.xlsx", b"PK\x03\x04 no zip", {}, 400, "n’est pas un fichier zip"),
        ("table.csv", b"id\nq\n", {}, 422, "que sont les lignes de 'table' ?"),
        ("city.exe", b"id\nq\n", {}, 422, "la terminaison dit le format"),
        ("city.csv", b"id\nq\n", {"options": '{"publish": "yes"}'}, 422, "donnez true ou false"),
        ("city.csv", b"id\nq\n", {"options": '{"nope": 1}'}, 422, "il n’y a pas d’option 'nope'"),
        ("city.csv", b"id\nq\n", {"mapping": "public-sector"}, 404, "il y a : public-sector-tech-watch"),
    ],
)
def test_what_cannot_be_read_is_told_in_the_language_asked_for(
    people: dict[str, httpx.Client], name: str, content: bytes, form: dict[str, str], status: int, words: str
) -> None:
    headers = {"Accept-Language": "fr"}
    told = people["curator"].post("/api/imports", files={"files": (name, content)}, data=form, headers=headers)
    assert (told.status_code, told.headers["Content-Language"]) == (status, "fr")
    assert words in told.json()["detail"]


def test_an_upload_is_looked_at_row_by_row_and_writes_nothing(people: dict[str, httpx.Client]) -> None:
    curator = people["curator"]
    answer = send(curator, CITIES)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["import"]["state"] == "checked"
    assert [row["outcome"] for row in told["report"]["rows"]] == ["new", "new", "refused"]
    assert "bad id" in told["report"]["rows"][2]["problems"][0]["message"]
    assert curator.get("/api/cities?state=any").json()["total"] == 0
    path = answer.headers["Location"]
    table = curator.get(f"{path}/report", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert [row["outcome"] for row in rows] == ["new", "new", "refused"]
    assert curator.get(f"{path}/report?format=csv").content == table.content


def test_an_import_is_applied_and_twice_changes_nothing(people: dict[str, httpx.Client]) -> None:
    curator = people["curator"]
    path = send(curator, CITIES).headers["Location"]
    assert curator.post(f"{path}/apply").status_code == 202
    done = settled(curator, path)
    assert (done["state"], done["written"]) == ("done", 2)
    assert curator.get("/api/cities/alpha-town?version=newest").json()["record"]["state"] == "draft"
    assert curator.get("/api/cities/alpha-town").status_code == 404
    curator.post(f"{path}/apply")
    assert settled(curator, path)["written"] == 2
    report = curator.get(f"{path}/report").json()
    assert report["unchanged"] == 2
    assert curator.delete(path).status_code == 204
    assert curator.get(path).status_code == 404
    assert curator.get("/api/cities?state=draft").json()["total"] == 2


def test_people_see_their_own_imports_and_curators_all(people: dict[str, httpx.Client]) -> None:
    path = send(people["contributor"], CITIES).headers["Location"]
    assert people["contributor-2"].get(path).status_code == 404
    assert people["contributor-2"].post(f"{path}/apply").status_code == 404
    assert people["curator"].get(path).status_code == 200
    ids = [one["id"] for one in people["contributor"].get("/api/imports").json()["imports"]]
    assert path.rpartition("/")[2] in ids
    assert people["nobody"].get("/api/imports").status_code == 401
    assert send(people["nobody"], CITIES).status_code == 401


@pytest.mark.parametrize(
    ("name", "content", "options", "status"),
    [
        ("../../etc/passwd", CITIES, {}, 422),
        ("cities.csv", b"\x00\x01\x02\x03\xff\xfe\xff", {}, 400),
        ("cities.xlsx", b"PK\x03\x04 no zip", {}, 400),
        ("cities.csv", b"id\n" + b"x" * 300_000, {}, 413),
        ("cities.csv", CITIES, {"no_such_option": True}, 422),
        ("cities.csv", CITIES, {"publish": "yes"}, 422),
        ("cities.ttl", b"<<<", {}, 400),
    ],
)
def test_what_cannot_be_imported_is_told_why(
    people: dict[str, httpx.Client], name: str, content: bytes, options: dict, status: int
) -> None:
    answer = send(people["curator"], content, name, **options)
    assert answer.status_code == status, answer.text
    assert len(answer.json()["detail"]) > 20


def test_a_path_in_a_name_is_only_a_name(people: dict[str, httpx.Client]) -> None:
    told = send(people["curator"], CITIES, "..\\..\\secret/../cities.csv").json()
    assert told["import"]["files"] == ["cities.csv"]


def test_what_was_exported_comes_back_unchanged(people: dict[str, httpx.Client]) -> None:
    curator = people["curator"]
    path = send(curator, CITIES).headers["Location"]
    curator.post(f"{path}/apply")
    settled(curator, path)
    assert people["nobody"].get("/api/export?format=csv&kind=city&state=draft").status_code == 403
    for form in ("csv", "xlsx", "zip", "jsonl"):
        sheet = curator.get(f"/api/export?format={form}&kind=city&state=draft")
        assert sheet.status_code == 200, sheet.text
        assert sheet.headers["X-Records"] == "2"
        told = send(curator, sheet.content, f"back.{form}").json()["report"]
        assert (told["unchanged"], told["changed"], told["refused"]) == (2, 0, 0), (form, told)
    assert curator.get("/api/export?format=jsonl&kind=planet").status_code == 404
