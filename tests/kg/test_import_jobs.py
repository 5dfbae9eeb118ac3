"""Import jobs: look, apply, stop, go on; uploads with hostile names; whose job it is."""

import json
import threading

import pytest

from kg.accounts import Actor
from kg.catalogue import Catalogue
from kg.errors import BadRequest, Busy, NotAllowed, NotAuthenticated, NotFound, TooLarge, UnreadableInput
from kg.import_jobs import FILES_LIMIT, ImportJobs, mapping_called

ANNA, BORIS = Actor("anna", "curator"), Actor("boris", "contributor")
CSV = b"id,name@en,country\ngent,Ghent,BE\nriga,Riga,LV\n"
MAPPING = "mapping: 1\nkind: city\nid: {column: code}\nfields: {name@en: {column: called}}\n"


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue.create(tmp_path / "data") as made:
        yield made


@pytest.fixture
def jobs(catalogue):
    return ImportJobs(catalogue)


def test_a_job_is_looked_at_applied_and_applied_again(jobs, catalogue):
    job, report = jobs.start([("cities.csv", CSV)], ANNA)
    assert (job.state, report.counts["new"], catalogue.ledger.count("city")) == ("checked", 2, 0)
    assert jobs.apply(job.id, ANNA).written == 2
    done = ImportJobs(catalogue).get(job.id, ANNA)
    assert (done.state, done.written, done.counts["new"]) == ("done", 2, 2)
    assert jobs.apply(job.id, ANNA).counts["unchanged"] == 2
    assert jobs.get(job.id, ANNA).written == 2
    assert [row["outcome"] for row in jobs.report(job.id, ANNA)["rows"]] == ["unchanged", "unchanged"]
    assert json.dumps(done.as_json())


def test_a_mapping_comes_as_text_or_by_name(jobs):
    job, report = jobs.start([("t.csv", b"code,called\nG 1,Ghent\n")], ANNA, mapping=MAPPING)
    assert report.rows[0].id == "g-1"
    assert jobs.apply(job.id, ANNA).written == 1
    assert mapping_called("public-sector-tech-watch").kind.name == "practice"
    with pytest.raises(UnreadableInput, match="the mapping"):
        jobs.start([("t.csv", b"a\n1\n")], ANNA, mapping="../../etc/passwd")


def test_a_job_is_stopped_goes_on_and_is_not_applied_twice_at_once(jobs):
    many = b"id,name@en\n" + b"".join(b"town-%d,Town\n" % n for n in range(30))
    job, _ = jobs.start([("cities.csv", many)], ANNA)
    running, go_on, caught = threading.Event(), threading.Event(), []

    def progress(what, done, total):
        if what == "checking" and done == 12:
            running.set()
            assert go_on.wait(30)

    thread = threading.Thread(target=lambda: caught.append(jobs.apply(job.id, ANNA, batch=5, progress=progress)))
    thread.start()
    assert running.wait(30)
    with pytest.raises(Busy, match="already"):
        jobs.apply(job.id, ANNA)
    with pytest.raises(Busy):
        jobs.discard(job.id, ANNA)
    assert jobs.get(job.id, ANNA).state == "applying"
    jobs.stop(job.id, ANNA)
    go_on.set()
    thread.join()
    assert (caught[0].stopped, caught[0].written, jobs.get(job.id, ANNA).state) == (True, 10, "stopped")
    assert jobs.apply(job.id, ANNA).written == 20
    assert (jobs.get(job.id, ANNA).state, jobs.get(job.id, ANNA).written) == ("done", 30)


def test_names_of_uploads_are_never_paths(jobs, catalogue):
    job, _ = jobs.start(
        [("../../../etc/x\x00\n<b>cities.csv", CSV.replace(b"id,", b"kind,id,").replace(b"\n", b"\ncity,", 2))], ANNA
    )
    assert "/" not in job.files[0]
    assert "<" not in job.files[0]
    assert {path.name for path in (catalogue.folder.path / "imports" / job.id).iterdir()} == {
        "file-0",
        "job.json",
        "report.json",
    }
    for id in ("../ledger", "1e3", "", "999"):
        with pytest.raises(NotFound):
            jobs.get(id, ANNA)


def test_a_job_belongs_to_who_sent_it_and_to_those_who_look_after_records(jobs):
    job, _ = jobs.start([("cities.csv", CSV)], BORIS)
    assert jobs.get(job.id, ANNA).author == "contributor/boris"
    with pytest.raises(NotFound):
        jobs.get(job.id, Actor("carla", "contributor"))
    assert [one.id for one in jobs.jobs(BORIS)] == [job.id]
    assert jobs.jobs(Actor("carla", "contributor")) == []
    jobs.discard(job.id, BORIS)
    assert jobs.jobs(ANNA) == []
    with pytest.raises(NotAuthenticated):
        jobs.start([("cities.csv", CSV)], Actor("guest", "reader"))
    with pytest.raises(NotAllowed):
        jobs.start([("cities.csv", CSV)], Actor("boris", "contributor", frozenset({"write"})))


def test_what_cannot_be_imported_leaves_no_job(jobs, catalogue, monkeypatch):
    for uploads, options, error in [
        ([], {}, BadRequest),
        ([("x.csv", CSV)] * (FILES_LIMIT + 1), {}, BadRequest),
        ([("x.exe", CSV)], {}, BadRequest),
        ([("cities.csv", CSV)], {"colour": "red"}, BadRequest),
        ([("cities.csv", CSV)], {"publish": "no"}, BadRequest),
        ([("cities.csv", CSV)], {"mapping": "x"}, BadRequest),
        ([("cities.csv", b"\xff\xfe\x00")], {}, UnreadableInput),
    ]:
        with pytest.raises(error):
            jobs.start(uploads, ANNA, options)
    monkeypatch.setattr("kg.import_jobs.FILE_LIMIT_BYTES", 3)
    with pytest.raises(TooLarge):
        jobs.start([("cities.csv", CSV)], ANNA)
    assert jobs.jobs(ANNA) == []
    assert not list((catalogue.folder.path / "imports").iterdir())


def test_old_finished_jobs_go(jobs, monkeypatch):
    monkeypatch.setattr("kg.import_jobs.JOBS_KEPT", 2)
    first, _ = jobs.start([("cities.csv", CSV)], ANNA)
    jobs.apply(first.id, ANNA)
    for _ in range(3):
        jobs.start([("cities.csv", CSV)], ANNA)
    assert first.id not in {job.id for job in jobs.jobs(ANNA)}
    assert len(jobs.jobs(ANNA)) == 3
