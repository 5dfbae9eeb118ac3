"""Imports over HTTP: upload and look at every row, then apply, stop, go on, read the report."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, File, Form, Path, Query, Request, UploadFile
from fastapi.responses import JSONResponse, Response

from kg import errors
from kg.accounts import Actor
from kg.errors import Busy, KgError, TooLarge, UnreadableInput, in_digits
from kg.exchange.importing import json_fault, parsed_json
from kg.exchange.reports import COLUMNS
from kg.import_jobs import ImportJobs, Job
from service.access import needs
from service.api.answers import ImportJob, ImportList, ImportRows, ImportStarted
from service.api.describing import problems_of
from service.negotiation import answer_language, answers_as
from service.problems import refusal_of
from service.turns import Turns

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

router = APIRouter(tags=["imports"])

JSON, CSV = "application/json", "text/csv"
WAITING_JOBS = 10
"""Imports that wait while another one is written; more are told to come back."""

_UNKEPT = {"Cache-Control": "no-store"}

Importer = Annotated[Actor, Depends(needs("import"))]
JobId = Annotated[str, Path(max_length=20, description="Number of the import.")]
KNOWN = (errors.NotAuthenticated, errors.NotAllowed, errors.NotFound, errors.Busy)


class ImportDesk:
    """The imports of one service: one is written at a time, in the background, and says how far it is."""

    def __init__(self, catalogue: Catalogue, wait_seconds: float) -> None:
        self.jobs = ImportJobs(catalogue)
        self.turns = Turns(1, wait_seconds)
        self._writer = ThreadPoolExecutor(1, "imports")
        self._progress: dict[str, tuple[str, int, int]] = {}
        self._failed: dict[str, KgError] = {}
        self._ending = False

    def apply(self, id: str, who: Actor) -> Job:
        """Begin to write a job, or go on with it. Raises Busy where it is under way, or too many are."""
        job = self.jobs.get(id, who)
        if id in self._progress:
            raise Busy(
                {
                    "en": f"import {id} is under way; ask for it to see how far it is",
                    "fr": f"l’import {id} est en cours ; demandez-le pour voir où il en est",
                }
            )
        if len(self._progress) >= WAITING_JOBS:
            raise Busy(
                {
                    "en": f"{WAITING_JOBS} imports are waiting already; come back when one is done",
                    "fr": f"{WAITING_JOBS} imports attendent déjà ; revenez quand l’un sera terminé",
                }
            )
        self._progress[id] = ("waiting", 0, 0)
        self._failed.pop(id, None)
        self._writer.submit(self._run, id, who)
        return job

    def _run(self, id: str, who: Actor) -> None:
        def note(what: str, done: int, total: int) -> None:
            self._progress[id] = (what, done, total)

        try:
            self.jobs.apply(id, who, progress=note, stop=lambda: self._ending)
        except KgError as error:
            self._failed[id] = error
        finally:
            self._progress.pop(id, None)

    def told(self, job: Job) -> dict[str, Any]:
        """A job with how far it is; `error` where it could not go on."""
        what, done, total = self._progress.get(job.id, ("", 0, 0))
        under_way = job.id in self._progress
        progress = {"doing": what, "done": done, "total": total} if under_way else None
        told = job.as_json() | {"state": "applying" if under_way else self._settled(job), "progress": progress}
        if job.id in self._failed:
            told["error"] = refusal_of(self._failed[job.id]).body(f"/api/imports/{job.id}")
        return told

    def _settled(self, job: Job) -> str:
        """A job that was being applied when the service ended was stopped: applying it again goes on."""
        return "stopped" if job.state == "applying" else job.state

    def close(self) -> None:
        """Stop what runs after the record at hand; it is gone on with by applying it again."""
        self._ending = True
        self._writer.shutdown(cancel_futures=True)


@contextmanager
def importing(app: FastAPI, catalogue: Catalogue, wait_seconds: float) -> Iterator[None]:
    """The desk of an application, for as long as it serves."""
    app.state.imports = desk = ImportDesk(catalogue, wait_seconds)
    try:
        yield
    finally:
        desk.close()


@router.post(
    "/api/imports",
    summary="Upload files and look at every row",
    dependencies=[Depends(answers_as(JSON))],
    status_code=201,
    responses={
        201: {
            "model": ImportStarted,
            "description": "The job, and what applying it would do, row by row. Nothing is written yet.",
        },
        **problems_of(*KNOWN, errors.UnreadableInput, errors.TooLarge, errors.BadRequest),
    },
)
def upload(
    request: Request,
    files: Annotated[list[UploadFile], File(description="CSV, TSV, XLSX, zip of CSV, JSON, JSON Lines, or RDF.")],
    who: Importer,
    language: Annotated[str, Depends(answer_language)],
    options: Annotated[
        str, Form(description='As JSON: {"kind": "practice", "publish": false, "clear_empty": false, …}.')
    ] = "{}",
    mapping: Annotated[
        str | None, Form(description="A mapping as YAML, or the name of one that comes with mentorgraph.")
    ] = None,
) -> Response:
    """A dry run: for each row whether it is new, changed (with the differences), unchanged, refused and why, or a likely duplicate."""
    desk: ImportDesk = request.app.state.imports
    try:
        chosen = parsed_json(options)
    except ValueError as error:
        raise UnreadableInput(
            {"en": f"options: not JSON: {error}", "fr": f"options : n’est pas du JSON : {json_fault(error)}"}
        ) from None
    if not isinstance(chosen, dict):
        raise UnreadableInput(
            {"en": "options: must be an object in braces", "fr": "options : il faut un objet entre accolades"}
        )
    chosen.setdefault("language", language)
    limit = request.app.state.settings.import_limit_bytes
    uploads = []
    for file in files:
        content = file.file.read(limit + 1)
        if len(content) > limit:
            raise TooLarge(
                {
                    "en": f"{file.filename!r}: an upload may have {limit:,} bytes at most; split the file",
                    "fr": f"{file.filename!r} : un envoi a {in_digits(limit)} octets au plus ; divisez le fichier",
                }
            )
        uploads.append((file.filename or "", content))
    with desk.turns.one():
        job, report = desk.jobs.start(uploads, who, chosen, mapping=mapping)
    headers = {**_UNKEPT, "Location": f"/api/imports/{job.id}"}
    return JSONResponse({"import": desk.told(job), "report": report.as_json()}, 201, headers)


@router.get(
    "/api/imports",
    summary="Imports",
    dependencies=[Depends(answers_as(JSON))],
    responses={200: {"model": ImportList, "description": "Jobs, the newest first."}, **problems_of(*KNOWN)},
)
def listed(request: Request, who: Importer) -> Response:
    """One's own; those who look after records see all."""
    desk: ImportDesk = request.app.state.imports
    return JSONResponse({"imports": [desk.told(job) for job in desk.jobs.jobs(who)]}, headers=_UNKEPT)


@router.get(
    "/api/imports/{id}",
    summary="How far an import is",
    dependencies=[Depends(answers_as(JSON))],
    responses={200: {"model": ImportJob, "description": "The job with its state and progress."}, **problems_of(*KNOWN)},
)
def one(request: Request, id: JobId, who: Importer) -> Response:
    """`checked` after the dry run, `applying`, `stopped` (apply it again to go on), or `done`."""
    desk: ImportDesk = request.app.state.imports
    return JSONResponse(desk.told(desk.jobs.get(id, who)), headers=_UNKEPT)


@router.get(
    "/api/imports/{id}/report",
    summary="What became of each row",
    responses={
        200: {
            "model": ImportRows,
            "description": "The last report, as JSON or as a table.",
            "content": {CSV: {"schema": {"type": "string"}}},
        },
        **problems_of(*KNOWN),
    },
)
def report(
    request: Request,
    id: JobId,
    who: Importer,
    media_type: Annotated[str, Depends(answers_as(JSON, CSV))],
    format: Annotated[str | None, Query(pattern="^(json|csv)$")] = None,
) -> Response:
    """By `Accept`, or `?format=csv` for a link."""
    found = request.app.state.imports.jobs.report(id, who)
    if (format or ("csv" if media_type == CSV else "json")) == "json":
        return JSONResponse(found, headers={**_UNKEPT, "Vary": "Accept"})
    headers = {"Content-Disposition": f'attachment; filename="import-{id}.csv"', "Vary": "Accept"}
    return Response(_as_table(found), headers=_UNKEPT | headers, media_type=f"{CSV}; charset=utf-8")


def _as_table(found: dict[str, Any]) -> bytes:
    """A stored report as CSV, one line for each row."""
    from kg.exchange.spreadsheets import Sheet, write_csv

    rows = [{column: _cell(row.get(column)) for column in COLUMNS} for row in found["rows"]]
    out = io.BytesIO()
    write_csv(Sheet("report", COLUMNS, rows), out)
    return out.getvalue()


def _cell(value: Any) -> str:
    """A report's value in one cell."""
    if not isinstance(value, list):
        return "" if value is None else str(value)
    return "\n".join(one if isinstance(one, str) else _in_words(one) for one in value)


def _in_words(one: dict[str, Any]) -> str:
    if "message" in one:
        return f"{one['field']}: {one['message']}"
    if "before" in one:
        before, after = (json.dumps(one[key], ensure_ascii=False) for key in ("before", "after"))
        return f"{one['field']}: {before} → {after}"
    return f"{one['id']}: {one['reason']}"


@router.post(
    "/api/imports/{id}/apply",
    summary="Write what an import says",
    dependencies=[Depends(answers_as(JSON))],
    status_code=202,
    responses={
        202: {"model": ImportJob, "description": "It is being written; ask for it to see how far."},
        **problems_of(*KNOWN),
    },
)
def apply(request: Request, id: JobId, who: Importer) -> Response:
    """In batches, in the background. After a stop, or a loss of power, the same request goes on; twice changes nothing."""
    desk: ImportDesk = request.app.state.imports
    job = desk.apply(id, who)
    return JSONResponse(desk.told(job), 202, {**_UNKEPT, "Location": f"/api/imports/{id}"})


@router.post(
    "/api/imports/{id}/stop",
    summary="Stop an import",
    dependencies=[Depends(answers_as(JSON))],
    status_code=202,
    responses={
        202: {"model": ImportJob, "description": "It stops after the record at hand; what is written stays."},
        **problems_of(*KNOWN),
    },
)
def stop(request: Request, id: JobId, who: Importer) -> Response:
    """Stopping what does not run changes nothing."""
    desk: ImportDesk = request.app.state.imports
    return JSONResponse(desk.told(desk.jobs.stop(id, who)), 202, _UNKEPT)


@router.delete(
    "/api/imports/{id}",
    summary="Forget an import",
    status_code=204,
    responses={204: {"description": "Its files and report are gone; what it wrote stays."}, **problems_of(*KNOWN)},
)
def forget(request: Request, id: JobId, who: Importer) -> Response:
    """Refused while it runs."""
    request.app.state.imports.jobs.discard(id, who)
    return Response(None, 204, _UNKEPT)
