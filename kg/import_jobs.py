"""Imports in steps, for people at a distance: upload and look, then apply, stop, go on, read the report.

A job is a folder of the data folder, `imports/<number>`: the files as they were sent (under names of our own), the
options, and what came of it. The ledger decides what is done, not the job: applying one again writes what is missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kg.accounts import Actor
from kg.errors import BadRequest, Busy, NotFound, TooLarge, quoted
from kg.exchange.importing import FORMATS
from kg.exchange.mapping import MappingFile, parse_mapping
from kg.exchange.reports import ImportReport
from kg.exchange.spreadsheets import ENDINGS, FILE_LIMIT_BYTES
from kg.imports import BATCH, ImportFile, ImportOptions, Imports, Progress

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

FILES_LIMIT = 20
JOBS_KEPT = 100
"""The oldest jobs that are finished go when there are more."""

STATES = ("checked", "applying", "stopped", "done")
SHIPPED_MAPPINGS = ("public-sector-tech-watch",)
"""Mappings that come with mentorgraph, by the name of their file."""


def _quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Job:
    """One import: what was sent and by whom, how it is to be done, and how far it is.

    `state` is "checked" after the dry run, "applying" (also after a kill: apply it again), "stopped" or "done".
    `counts` are those of the last report.
    """

    id: str
    author: str
    created: str
    files: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    mapping: str | None = None
    state: str = "checked"
    counts: Mapping[str, int] = field(default_factory=dict)
    written: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class ImportJobs:
    """The import jobs of one catalogue; one object a process, safe to use from several threads.

    >>> from tempfile import TemporaryDirectory
    >>> from kg.catalogue import Catalogue
    >>> with TemporaryDirectory() as tmp, Catalogue.create(Path(tmp) / "data") as catalogue:
    ...     jobs, anna = ImportJobs(catalogue), Actor("anna", "curator")
    ...     job, report = jobs.start([("cities.csv", b"id,name@en\\ngent,Ghent\\n")], anna)
    ...     report.counts["new"], jobs.apply(job.id, anna).written, jobs.get(job.id, anna).state
    (1, 1, 'done')
    """

    def __init__(self, catalogue: Catalogue, imports: Imports | None = None) -> None:
        self._imports = imports or Imports(catalogue)
        self._folder = catalogue.folder.path / "imports"
        self._running: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def start(
        self,
        uploads: Sequence[tuple[str, bytes]],
        actor: Actor,
        options: Mapping[str, Any] | None = None,
        *,
        mapping: str | None = None,
        progress: Progress = _quiet,
    ) -> tuple[Job, ImportReport]:
        """Keep the files, look at every row, and write nothing yet.

        `options` are those of `ImportOptions` by name. `mapping` is the text of a mapping, or the name of one that
        comes with mentorgraph. Names of uploads are shown, and their endings tell the format; as paths they are never used.

        Raises BadRequest for an option that is none, what `Imports.dry_run` raises, TooLarge for too much.
        """
        self._imports.rights.require_account(actor)
        names = _names(uploads)
        job = Job("", actor.author, _now(), names, dict(options or {}), mapping)
        job_options = _options(job)
        job = replace(job, id=self._fresh_place())
        place = self._place(job.id)
        try:
            for number, (_, content) in enumerate(uploads):
                (place / f"file-{number}").write_bytes(content)
            report = self._imports.dry_run(self._files(job), actor, job_options, progress=progress)
            job = self._keep(replace(job, counts=report.counts), report)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._forget_old()
        return job, report

    def apply(
        self,
        id: str,
        actor: Actor,
        *,
        batch: int | None = BATCH,
        progress: Progress = _quiet,
        stop: Callable[[], bool] | None = None,
    ) -> ImportReport:
        """Write what a job's files say, from where it was stopped if it was; again, it changes nothing.

        Raises Busy while it is being applied already, NotFound for no such job, and what `Imports.apply` raises.
        """
        job = self.get(id, actor)
        stopped = threading.Event()
        with self._lock:
            if id in self._running:
                raise Busy(
                    {
                        "en": f"import {id} is being applied already; stop it, or wait for its end",
                        "fr": f"l’import {id} est déjà en cours d’écriture ; arrêtez-le, ou attendez sa fin",
                    }
                )
            self._running[id] = stopped
        try:
            job = self._keep(replace(job, state="applying"))
            asked = stop or (lambda: False)
            report = self._imports.apply(
                self._files(job),
                actor,
                _options(job),
                batch=batch,
                progress=progress,
                stop=lambda: stopped.is_set() or asked(),
            )
            state = "stopped" if report.stopped else "done"
            self._keep(replace(job, state=state, counts=report.counts, written=job.written + report.written), report)
            return report
        finally:
            with self._lock:
                del self._running[id]

    def stop(self, id: str, actor: Actor) -> Job:
        """Ask a running job to stop after the record at hand; what is written stays."""
        job = self.get(id, actor)
        with self._lock:
            if id in self._running:
                self._running[id].set()
        return job

    def get(self, id: str, actor: Actor) -> Job:
        """A job of this actor's, or any for those who look after records. Raises NotFound otherwise."""
        job = self._read(id)
        mine = job is not None and (job.author == actor.author or actor.role in ("curator", "manager", "administrator"))
        if job is None or not mine:
            raise NotFound({"en": f"there is no import {quoted(id)}", "fr": f"il n’y a pas d’import {quoted(id)}"})
        return job

    def report(self, id: str, actor: Actor) -> dict[str, Any]:
        """The last report of a job, as JSON."""
        self.get(id, actor)
        return json.loads((self._place(id) / "report.json").read_text("utf-8"))

    def jobs(self, actor: Actor) -> list[Job]:
        """The jobs this actor may see, newest first."""
        found = []
        for id in sorted(self._ids(), reverse=True):
            job = self._read(id)
            if job is not None and (
                job.author == actor.author or actor.role in ("curator", "manager", "administrator")
            ):
                found.append(job)
        return found

    def discard(self, id: str, actor: Actor) -> None:
        """Forget a job and its files; what it wrote stays. Raises Busy while it runs."""
        self.get(id, actor)
        with self._lock:
            if id in self._running:
                raise Busy(
                    {
                        "en": f"import {id} is being applied; stop it first",
                        "fr": f"l’import {id} est en cours d’écriture ; arrêtez-le d’abord",
                    }
                )
        shutil.rmtree(self._place(id), ignore_errors=True)

    # Files

    def _place(self, id: str) -> Path:
        if not re.fullmatch(r"\d{1,9}", id):
            raise NotFound({"en": f"there is no import {quoted(id)}", "fr": f"il n’y a pas d’import {quoted(id)}"})
        return self._folder / id

    def _ids(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._folder) if re.fullmatch(r"\d{1,9}", name)]
        except FileNotFoundError:
            return []

    def _fresh_place(self) -> str:
        """The number of a new job, with its folder."""
        with self._lock:
            id = f"{max(map(int, self._ids()), default=0) + 1:06d}"
            self._place(id).mkdir(mode=0o700, parents=True)
            return id

    def _files(self, job: Job) -> list[ImportFile]:
        return [ImportFile(self._place(job.id) / f"file-{number}", name) for number, name in enumerate(job.files)]

    def _read(self, id: str) -> Job | None:
        try:
            told = json.loads((self._place(id) / "job.json").read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Job(**{**told, "files": tuple(told["files"])})

    def _keep(self, job: Job, report: ImportReport | None = None) -> Job:
        """Write a job down; each file is whole or as it was before."""
        if report is not None:
            _write(self._place(job.id) / "report.json", report.as_json())
        _write(self._place(job.id) / "job.json", job.as_json())
        return job

    def _forget_old(self) -> None:
        """Finished jobs beyond the number that is kept."""
        jobs = [job for id in sorted(self._ids(), reverse=True) if (job := self._read(id)) is not None]
        for job in jobs[JOBS_KEPT:]:
            if job.state == "done":
                shutil.rmtree(self._place(job.id), ignore_errors=True)


def _write(path: Path, value: Any) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    fresh.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _names(uploads: Sequence[tuple[str, bytes]]) -> tuple[str, ...]:
    """What the uploads are called: the last part of their names, in plain characters."""
    if not 1 <= len(uploads) <= FILES_LIMIT:
        raise BadRequest(
            {
                "en": f"an import has 1 to {FILES_LIMIT} files, not {len(uploads)}",
                "fr": f"un import a de 1 à {FILES_LIMIT} fichiers, non {len(uploads)}",
            }
        )
    names = []
    for name, content in uploads:
        if len(content) > FILE_LIMIT_BYTES:
            raise TooLarge(
                {
                    "en": f"{quoted(name)}: files may have {FILE_LIMIT_BYTES // 1024**2} MB at most; split it",
                    "fr": f"{quoted(name)} : un fichier fait au plus {FILE_LIMIT_BYTES // 1024**2} Mo ; divisez-le",
                }
            )
        plain = re.sub(r"[^\w.() -]", "_", PurePosixPath(name.replace("\\", "/")).name)[-120:]
        if not plain.lower().removesuffix(".gz").endswith((*ENDINGS, *FORMATS)):
            endings = ", ".join((*ENDINGS, *FORMATS))
            raise BadRequest(
                {
                    "en": f"{quoted(name)}: the ending tells the format; use one of {endings}",
                    "fr": f"{quoted(name)} : la terminaison dit le format ; employez l’une de celles-ci : {endings}",
                }
            )
        names.append(plain)
    return tuple(names)


_KINDS: dict[str, Any] = dict.fromkeys(("publish", "clear_empty", "with_visibility", "duplicates"), bool)


def _options(job: Job) -> ImportOptions:
    """A job's options as an import takes them."""
    known = set(ImportOptions.__dataclass_fields__) - {"mapping"}
    unknown = sorted(set(job.options) - known)
    if unknown:
        raise BadRequest(
            {
                "en": f"there is no option {quoted(unknown[0])}; there are: {', '.join(sorted(known))}",
                "fr": f"il n’y a pas d’option {quoted(unknown[0])} ; il y a : {', '.join(sorted(known))}",
            }
        )
    for name, value in job.options.items():
        if not isinstance(value, _KINDS.get(name, str | None)):
            raise BadRequest(
                {
                    "en": f"{name}: {quoted(value)} cannot be; give {'true or false' if name in _KINDS else 'a text'}",
                    "fr": f"{name} : {quoted(value)} ne convient pas ; donnez {'true ou false' if name in _KINDS else 'un texte'}",
                }
            )
    options = ImportOptions(**job.options)
    return replace(options, mapping=mapping_called(job.mapping)) if job.mapping is not None else options


def mapping_called(text: str) -> MappingFile:
    """The mapping that comes with mentorgraph under this name, else the one that the text is.

    >>> mapping_called("public-sector-tech-watch").kind.name
    'practice'
    """
    from ontology import path as shipped

    if re.fullmatch(r"[\w-]{1,100}", text) and text not in SHIPPED_MAPPINGS:
        raise NotFound(
            {
                "en": f"no mapping called {quoted(text)} comes with mentorgraph; there are: {', '.join(SHIPPED_MAPPINGS)}",
                "fr": f"aucune correspondance nommée {quoted(text)} n’est fournie ; il y a : {', '.join(SHIPPED_MAPPINGS)}",
            }
        )
    if text in SHIPPED_MAPPINGS:
        name = f"{text}.yaml"
        return parse_mapping(shipped(f"mappings/{name}").read_text("utf-8"), name)
    return parse_mapping(text, "the mapping")
