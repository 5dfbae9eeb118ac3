"""The command line: `mentorgraph init | load | import | check | status | suggest | needs | similar |
transferability | reciprocity | export | reindex | verify | model | evaluate | token | serve`.

Tables and texts go to standard output, progress and errors to standard error; `--json` prints one JSON document
in place of tables. What a person can get wrong is told in one line. Exit codes, for scripts:

    0    done; nothing is wrong
    1    refused, or a problem was found
    2    the command was used wrongly
    3    another process owns the data folder
    4    no data folder, or no model; the message names the command that makes one
    5    a mistake of the program itself
    130  stopped by Ctrl-C

Only light modules are imported here; each command loads what it needs, so that `--help` comes at once.
"""

from __future__ import annotations

import _thread
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

import typer

from service.token_commands import app as token_app

if TYPE_CHECKING:
    from kg.catalogue import Catalogue
    from kg.search.embedding import PreparedModel
    from service.remote import RunningService
    from service.settings import Settings

DONE, REFUSED, WRONG_USAGE, IN_USE, NOT_READY, OWN_MISTAKE = 0, 1, 2, 3, 4, 5

T = TypeVar("T")
Method = Literal["fused", "dense", "bm25"]

app = typer.Typer(
    name="mentorgraph",
    help="Suggests mentor cities for a city's needs, from what cities have done, with reasons.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
model_app = typer.Typer(help="Embedding models: prepare one before it is used.", no_args_is_help=True)
app.add_typer(model_app, name="model")
app.add_typer(token_app, name="token")

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder; MENTORGRAPH_DATA, else ./data.", show_default=False, metavar="FOLDER"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=50, help="How many at most.")]


state = {"debug": False, "language": "en"}
"""What `--debug` before the command sets, and the language of the command's answer, in which errors are told too."""


class Refused(Exception):
    """Something that a person can mend; the message says how. `code` is the exit code."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose, for a bug report.")] = False,
) -> None:
    """Options that stand before the command."""
    state["debug"] = debug


@app.command()
def init(
    data: Data = None,
    start_data: Annotated[
        bool,
        typer.Option("--start-data", help="Load the practices, cities and mentorships that come with mentorgraph."),
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="Base of the addresses of records, such as https://example.org/; fixed for good.")
    ] = None,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing where there is a ledger already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a data folder: an empty ledger, the bundled model prepared and, if wanted, the starting data."""
    from kg.folder import DataFolder
    from kg.search.embedding import current_model, prepare_model

    chosen = settings(data=data, base=base)
    if if_missing and is_complete(chosen):
        return
    from service.printing import print_json, progress_bar, progress_steps

    folder = DataFolder.create(chosen.data)
    if current_model(folder.models) is None:
        with progress_steps("Preparing the model") as step:
            prepare_model(models_folder=folder.models, progress=step)
    with progress_bar() as progress, started(chosen, start_data, progress) as catalogue:
        progress("indexing", 0, catalogue.status()["records"].get("practice", 0))
        _ = catalogue.search
        status = catalogue.status()
    if as_json:
        print_json(status)
    else:
        from kg.fields import declaration

        kinds = declaration().kinds
        records = ", ".join(
            f"{count} {kind if count == 1 else kinds[kind].path.replace('-', ' ')}"
            for kind, count in status["records"].items()
            if count
        )
        print(f"{chosen.data} is ready: {records or 'no records yet'}.")


@app.command()
def load(
    files: Annotated[
        list[Path] | None, typer.Argument(exists=True, dir_okay=False, help="JSON, JSON lines or RDF files.")
    ] = None,
    thesaurus: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="A SKOS thesaurus that bridges languages; repeatable."),
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A loaded thesaurus to take out; repeatable.")] = None,
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count; write nothing.")] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Keep the records as drafts; publish nothing.")] = False,
    author: Annotated[str, typer.Option(help="Account that the ledger names for the change.")] = "command line",
    as_json: AsJson = False,
) -> None:
    """Add or replace records from files. All problems are listed; a record that breaks rules is not written."""
    from service.printing import print_json, print_table, progress_bar

    if thesaurus or remove:
        if files or dry_run or draft:
            raise Refused("--thesaurus and --remove stand alone: load records in a command of their own", WRONG_USAGE)
        from service.needs_commands import change_vocabularies, print_vocabularies

        listed = change_vocabularies(settings(data=data).data, thesaurus or [], remove or [])
        if as_json:
            print_json({"vocabularies": listed})
        else:
            print_vocabularies(listed)
        return
    if not files:
        raise Refused("name the files to load, or a thesaurus with --thesaurus", WRONG_USAGE)
    with opened(data) as catalogue, progress_bar() as progress:
        report = catalogue.load(files, dry_run=dry_run, publish=not draft, author=author, progress=progress)
    told = report.as_json()
    if as_json:
        print_json(told)
    else:
        for refused in told["refused"]:
            for problem in refused["problems"]:
                place = (refused["place"], problem["field"], problem["message"])
                print(": ".join(part for part in place if part))
        for line in told["ignored"]:
            print(f"ignored: {line}")
        counts = (told["new"], told["changed"], told["unchanged"], len(told["refused"]))
        print_table(["new", "changed", "unchanged", "refused"], [counts])
        if told["refused"]:
            print("Nothing was written: a load is all or nothing.")
    raise typer.Exit(REFUSED if told["refused"] else DONE)


@app.command("import")
def import_files(
    files: Annotated[
        list[Path],
        typer.Argument(exists=True, dir_okay=False, help="CSV, TSV, XLSX, zip of CSV, JSON, JSON lines, RDF."),
    ],
    mapping: Annotated[
        str | None, typer.Option(help="A mapping for a foreign table: a YAML file, or public-sector-tech-watch.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="What the rows are, where their table does not say.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report row by row; write nothing.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the records; without it they are drafts.")
    ] = False,
    clear_empty: Annotated[bool, typer.Option("--clear-empty", help="An empty cell empties its field.")] = False,
    with_visibility: Annotated[
        bool, typer.Option("--with-visibility", help="The file decides who sees a record.")
    ] = False,
    encoding: Annotated[str | None, typer.Option(help="Of CSV whose encoding cannot be told, such as cp1257.")] = None,
    batch: Annotated[int, typer.Option(min=0, help="Records written at a time; 0 writes all in one step.")] = 500,
    report: Annotated[Path | None, typer.Option(help="Where to write the report: .csv or .json.")] = None,
    author: Annotated[str, typer.Option(help="Account that the ledger names for the change.")] = "command line",
    lang: Annotated[str | None, typer.Option(help="Language of the report: en or fr; English unless given.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add or change records from tables or records, row by row. Ctrl-C stops it; the same command goes on."""
    from service.import_commands import run

    language = answer_language(lang, "")
    with opened(data) as catalogue:
        told = run(
            catalogue,
            files,
            mapping,
            dry_run=dry_run,
            batch=batch,
            report=report,
            author=author,
            as_json=as_json,
            language=language,
            kind=kind,
            publish=publish,
            clear_empty=clear_empty,
            with_visibility=with_visibility,
            encoding=encoding,
        )
    raise typer.Exit(REFUSED if told.counts["refused"] or told.stopped else DONE)


@app.command()
def check(data: Data = None, as_json: AsJson = False) -> None:
    """Compare ledger, graph and search index record by record; exit code 1 where they differ."""
    from service.printing import print_json, progress_bar

    with opened(data) as catalogue, progress_bar() as progress:
        differences = catalogue.check(progress)
    if as_json:
        print_json({"ok": not differences, "differences": differences})
    else:
        for line in differences or ["Ledger, graph and search index agree."]:
            print(line)
    raise typer.Exit(REFUSED if differences else DONE)


@app.command()
def suggest(
    needs: Annotated[list[str], typer.Argument(metavar="NEED...", help="What the city needs, in any language.")],
    mentee: Annotated[str | None, typer.Option(help="The city that asks, such as jelgava.")] = None,
    limit: Limit = 5,
    country: Annotated[list[str] | None, typer.Option(help="Only mentors of this country (BE); repeatable.")] = None,
    theme: Annotated[list[str] | None, typer.Option(help="Only practices on this theme; repeatable.")] = None,
    weight: Annotated[list[str] | None, typer.Option(help="How much a factor counts (language=2); repeatable.")] = None,
    per_country: Annotated[int | None, typer.Option(min=1, max=50, help="Most mentors of one country.")] = None,
    as_set: Annotated[
        bool, typer.Option("--set", help="The smallest set of mentors that together covers all needs.")
    ] = False,
    profile: Annotated[str | None, typer.Option(help="Name of the constants that rank, such as peer-learning.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Tell what would swap neighbouring ranks.")] = False,
    why_not: Annotated[
        str | None, typer.Option("--why-not", metavar="CITY", help="Tell why this city is not suggested.")
    ] = None,
    prose: Annotated[bool, typer.Option("--prose", help="Print a text to forward, as Markdown.")] = False,
    lang: Annotated[
        str | None, typer.Option(help="Language of the reasons: en or fr; the need's if it is one.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Suggest mentor cities for one or more needs, with their practices, passages and reasons."""
    from service.printing import print_json, print_suggestions, print_why_not

    if sum((prose, why_not is not None, as_set)) > 1 or (prose and (as_json or explain)):
        raise Refused("--prose, --why-not and --set: choose one; a text has neither --json nor --explain", WRONG_USAGE)
    language = answer_language(lang, needs[0])
    request = suggestion_request(needs, mentee, limit, country, theme, weight, per_country)
    request |= {key: value for key, value in (("profile", profile), ("explain", explain)) if value}
    if as_set:
        from service.transfer_commands import print_sets, set_request

        together = set_request(request)
        sets = read(data, lambda source: source.mentor_sets(together, language=language))
        if as_json:
            print_json(sets)
        else:
            print_sets(sets, language)
        return
    if prose:
        print(read(data, lambda source: source.letter(request, language=language)), end="")
        return
    if why_not is not None:
        reasons = read(data, lambda source: source.why_not({**request, "city": why_not}, language=language))
        print_json(reasons) if as_json else print_why_not(reasons, language)
        return
    answer = read(data, lambda source: source.suggest_mentors(request, language=language))
    if as_json:
        print_json(answer)
    else:
        print_suggestions(answer, language)


@app.command()
def cohort(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The cohort, as YAML or JSON.")],
    alternatives: Annotated[int | None, typer.Option(min=0, max=10, help="How many next best pairings.")] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=1, max=40, help="Seconds at most; the file's, else 20.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Name of the constants that rank, such as peer-learning.")] = None,
    lang: Annotated[str | None, typer.Option(help="Language of the reasons: en or fr; English unless given.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Pair a cohort of mentees and mentors under rules; exit code 1 where the rules contradict each other."""
    from service.cohort_printing import cohort_request, print_cohort
    from service.printing import print_json

    language = answer_language(lang, "")
    request = cohort_request(file, alternatives, time_limit, profile)
    answer = read(data, lambda source: source.pair_cohort(request, language=language))
    if as_json:
        print_json(answer)
    else:
        print_cohort(answer, language)
    raise typer.Exit(DONE if answer["feasible"] else REFUSED)


@app.command()
def exposure(
    file: Annotated[
        Path | None,
        typer.Argument(help="Needs, one a line, in UTF-8; - reads standard input. None: the public needs on record."),
    ] = None,
    first: Annotated[int, typer.Option(min=1, max=50, help="How many places of each ranking count.")] = 10,
    weight: Annotated[list[str] | None, typer.Option(help="How much a factor counts (language=2); repeatable.")] = None,
    profile: Annotated[str | None, typer.Option(help="Name of the constants that rank, such as peer-learning.")] = None,
    lang: Annotated[str | None, typer.Option(help="Language of the answer: en or fr; English unless given.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Tell which cities are suggested again and again over many needs, and which never; Ctrl-C stops it."""
    from service.exposure_printing import exposure_request, print_exposure
    from service.printing import print_json, progress_bar

    language = answer_language(lang, "")
    request = exposure_request(file, first, dict(_weight(text) for text in weight or []), profile)
    with progress_bar() as progress:
        answer = read(data, lambda source: source.exposure(request, language=language, progress=progress))
    if as_json:
        print_json(answer)
    else:
        print_exposure(answer, language)


@app.command()
def needs(
    file: Annotated[Path, typer.Argument(help="A text in UTF-8, a page or so; - reads standard input.")],
    language: Annotated[str | None, typer.Option(help="Language of the text, where you know it.")] = None,
    lang: Annotated[str | None, typer.Option(help="Language of the answer: en or fr; the text's if it is one.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Take a text apart into separate needs, with themes, open questions and how many cities have experience."""
    from service.needs_commands import print_needs, read_text
    from service.printing import print_json

    text = read_text(file)
    chosen = answer_language(lang, text)
    answer = read(data, lambda source: source.analyse_needs(text, language=language, answer_in=chosen))
    if as_json:
        print_json(answer)
    else:
        print_needs(answer, chosen)


@app.command()
def status(data: Data = None, as_json: AsJson = False) -> None:
    """Tell what a data folder holds: records of each kind, revision, model, bridge vocabularies."""
    from service.needs_commands import print_status
    from service.printing import print_json

    found = read(data, lambda source: source.status())
    if as_json:
        print_json(found)
    else:
        print_status(found)


@app.command()
def similar(
    id: Annotated[str, typer.Argument(help="A practice, such as mechelen--samen-inburgeren.")],
    limit: Limit = 10,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the practices that are most like one of them."""
    from service.printing import print_json, print_table

    found = read(data, lambda source: source.similar_practices(id, limit=limit))
    if as_json:
        print_json(found)
    else:
        rows = [(one["title"], one["city"]["label"], one["similarity"], one["id"]) for one in found["results"]]
        print_table(["practice", "city", "similarity", "identifier"], rows)


@app.command()
def transferability(
    practice: Annotated[str, typer.Argument(help="A practice, such as schaerbeek--camim.")],
    city: Annotated[str, typer.Argument(help="The city that would take it up, such as jelgava.")],
    profile: Annotated[str | None, typer.Option(help="Name of the constants by which sizes are compared.")] = None,
    lang: Annotated[str | None, typer.Option(help="Language of the answer: en or fr; English unless given.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Hold the conditions of a practice against the facts of a city: met, partly, not met or unknown, and what to ask."""
    from service.printing import print_json
    from service.transfer_commands import print_transferability

    language = answer_language(lang, "")
    request = {"mentee": {"city": city}} | ({"profile": profile} if profile else {})
    answer = read(data, lambda source: source.transferability(practice, request, language=language))
    if as_json:
        print_json(answer)
    else:
        print_transferability(answer, language)


@app.command()
def reciprocity(
    mentee: Annotated[str, typer.Argument(help="The mentee city, such as levadia.")],
    mentor: Annotated[str, typer.Argument(help="The mentor city, such as fuenlabrada.")],
    profile: Annotated[str | None, typer.Option(help="Name of the constants by which experience is measured.")] = None,
    lang: Annotated[str | None, typer.Option(help="Language of the answer: en or fr; English unless given.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say what a mentee could teach its mentor: themes in which it is further, or on which the mentor has a need."""
    from service.printing import print_json
    from service.transfer_commands import print_in_return

    language = answer_language(lang, "")
    answer = read(data, lambda source: source.could_teach(mentee, mentor, language=language, profile=profile))
    if as_json:
        print_json(answer)
    else:
        print_in_return(answer, language)


@app.command()
def export(
    file: Annotated[
        Path,
        typer.Argument(
            help="Where to write; the ending tells the format: .jsonl, .nq, .trig, .csv, .zip, .xlsx, .ttl."
        ),
    ],
    kind: Annotated[list[str] | None, typer.Option(help="Only records of this kind; repeatable.")] = None,
    id: Annotated[list[str] | None, typer.Option(help="Only this record; repeatable.")] = None,
    theme: Annotated[list[str] | None, typer.Option(help="Only records that name this theme; repeatable.")] = None,
    city: Annotated[list[str] | None, typer.Option(help="Only records that name this city; repeatable.")] = None,
    country: Annotated[list[str] | None, typer.Option(help="Only records of this country (BE); repeatable.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="The newest versions in this state, such as draft; repeatable.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write what is published, or a selection, to one file. It appears whole or not at all."""
    from service.printing import print_json

    chosen = {"kinds": kind, "ids": id, "themes": theme, "cities": city, "countries": country, "states": state}
    conditions = {name: tuple(values) for name, values in chosen.items() if values}
    if conditions or file.suffix.lower() in (".csv", ".zip", ".xlsx", ".ttl", ".nt"):
        from service.import_commands import export_selected

        with opened(data) as catalogue:
            records = export_selected(catalogue, file, conditions)
    else:
        records = read(data, lambda source: source.export(file))
    if as_json:
        print_json({"file": str(file), "records": records, "bytes": file.stat().st_size})
    else:
        print(f"{file}: {records} records.")


@app.command()
def reindex(data: Data = None, as_json: AsJson = False) -> None:
    """Build graph and search index anew from the ledger, as after a change of model."""
    from service.printing import print_json, progress_bar

    with opened(data) as catalogue:
        with progress_bar() as progress:
            catalogue.reindex(progress)
        status = catalogue.status()
    if as_json:
        print_json(status)
    else:
        print(f"Indexed up to revision {status['revision']}.")


@app.command()
def verify(data: Data = None, as_json: AsJson = False) -> None:
    """Recompute the ledger's chain of hashes; exit code 1, with the first row that differs, where it is broken."""
    from service.printing import print_json

    with opened(data) as catalogue:
        rows = catalogue.verify()
    if as_json:
        print_json({"ok": True, "rows": rows})
    else:
        print(f"The ledger is whole: {rows} rows verified.")


@model_app.command()
def prepare(
    name: Annotated[
        str,
        typer.Argument(help="The bundled model, a folder with a sentence-transformers model, or a name on the hub."),
    ] = "all-MiniLM-L6-v2",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Prepare an embedding model, build its index beside the one in use, and switch to both. A service may run on."""
    from service.printing import print_json, progress_bar, progress_steps

    with progress_steps("Preparing the model") as step, progress_bar() as bar:
        prepared = changed_model(name, settings(data=data), step, lambda done, total: bar("indexing", done, total))
    facts = {"name": prepared.name, "identity": prepared.identity, "dimension": prepared.dimension}
    if as_json:
        print_json(facts)
    else:
        print(f"{prepared.name} is in use ({prepared.dimension} dimensions).")


def changed_model(
    name: str, chosen: Settings, step: Callable[[str], None], counting: Callable[[int, int], None]
) -> PreparedModel:
    """Prepare a model and switch to it; where there is no ledger yet, it is only made the current one."""
    from kg.errors import DataFolderUnusable
    from kg.folder import DataFolder
    from kg.ledger import Ledger
    from kg.records import from_ntriples
    from kg.search.switching import change_model

    folder = DataFolder(chosen.data)
    with ExitStack() as held:
        try:
            ledger = held.enter_context(Ledger.open(chosen.ledger or f"sqlite:///{folder.ledger}"))
            base = ledger.base
        except DataFolderUnusable:
            ledger, base = None, chosen.base
        return change_model(
            name,
            folder.models,
            folder.search,
            ledger,
            lambda revision: from_ntriples(revision.payload or "", base),
            indexes=chosen.indexes,
            progress=step,
            counting=counting,
        )


@app.command()
def evaluate(
    corpus: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Practices, one JSON object a line.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Queries with the answers expected.")
    ] = None,
    method: Annotated[Method, typer.Option(help="All signals fused, or one alone.")] = "fused",
    vocabulary: Annotated[
        list[Path] | None,
        typer.Option(exists=True, dir_okay=False, help="A SKOS thesaurus that bridges languages; repeatable."),
    ] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also ask without each part, and by each signal alone.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(min=2, max=100, help="Learn the weights on all folds but one, measure on that one."),
    ] = None,
    own_graph: Annotated[
        bool, typer.Option("--own-graph", help="Ask the records of the data folder too; alone, only them.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write a report with plots into this folder.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Measure search on questions with known answers, and suggestions on the records themselves."""
    from service.printing import print_json, print_measures, print_own_graph, progress_bar

    if (corpus is None) != (queries is None):
        raise Refused("--corpus and --queries belong together: practices, and what is asked of them", WRONG_USAGE)
    alone = next((name for name, given in (("--folds", folds), ("--vocabulary", vocabulary)) if given), None)
    if corpus is None and alone:
        raise Refused(f"{alone} is for needs with known answers: give --corpus and --queries", WRONG_USAGE)
    if report and find_spec("matplotlib") is None:
        raise Refused("plots need matplotlib: install mentorgraph[report]")
    measured: dict[str, Any] = {}
    with progress_bar() as progress:
        if corpus and queries:
            measured = _measured_by_files(corpus, queries, method, vocabulary or [], ablations, folds, data, progress)
        if own_graph or not measured:
            from kg.evaluation.own_graph import evaluate_own_graph

            with opened(data) as catalogue:
                catalogue.catch_up()
                measured["own_graph"] = evaluate_own_graph(catalogue, ablated=ablations, progress=progress)
    files = _written_report(measured, report) if report else []
    if as_json:
        print_json(measured)
    else:
        if "types" in measured:
            print_measures(measured)
        if "own_graph" in measured:
            print_own_graph(measured["own_graph"])
    for file in files[:1]:
        print(f"The report is in {file}", file=sys.stderr)


def _measured_by_files(
    corpus: Path,
    queries: Path,
    method: Method,
    vocabulary: list[Path],
    ablations: bool,
    folds: int | None,
    data: Path | None,
    progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Figures of needs with known answers, from files."""
    from kg.evaluation import evaluate as measure
    from kg.search.embedding import load_embedder
    from kg.search.thesaurus import Thesaurus
    from ontology import path as shipped

    return measure(
        corpus,
        queries,
        embedder=load_embedder(settings(data=data).data / "models"),
        method=method,
        vocabularies=[Thesaurus.from_skos(file) for file in (shipped("themes.ttl"), *vocabulary)],
        ablated=ablations,
        folds=folds,
        progress=progress,
    )


def _written_report(measured: dict[str, Any], folder: Path) -> list[Path]:
    """The files of a report."""
    from kg.evaluation.report import write_report

    try:
        return write_report(measured, folder)
    except OSError as error:
        raise Refused(f"the report cannot be written into {folder}: {error.strerror}") from error


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; MENTORGRAPH_HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="MENTORGRAPH_PORT, else 8000.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Run the service: the first page, the JSON interface and its documentation."""
    gc.disable()  # what a start makes stays; looking through it again and again took half a second of three
    from service.serving import PortTaken, listen, run

    chosen = settings(data=data, host=host, port=port)
    try:
        socket, url = listen(chosen.host, chosen.port)
    except PortTaken as error:
        raise Refused(str(error)) from error
    signal.signal(signal.SIGTERM, _stop)
    with socket, opened(data, url=url) as catalogue:
        run(chosen, catalogue, socket, lambda: _announce(url, as_json))


def _announce(url: str, as_json: bool) -> None:
    gc.freeze()
    gc.enable()
    print(f'{{"url": "{url}"}}' if as_json else f"mentorgraph listens on {url} (Ctrl-C stops it)", flush=True)


def _stop(signal_number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM is how a service is stopped: the folder is closed on the way out, and nothing is wrong."""
    raise SystemExit(DONE)


def ledger_rows(chosen: Settings) -> int | None:
    """How many rows the ledger has; None where there is none to be opened."""
    from kg.errors import DataFolderUnusable
    from kg.folder import DataFolder
    from kg.ledger import Ledger

    try:
        with Ledger.open(chosen.ledger or f"sqlite:///{DataFolder(chosen.data).ledger}") as ledger:
            return ledger.last_number()
    except DataFolderUnusable:
        return None


def is_complete(chosen: Settings) -> bool:
    """Whether an earlier `init` came to its end, told from what lies in the folder so that a second start is quick.

    The search index is made last, when the first records are in the ledger.
    """
    from kg.folder import DataFolder
    from kg.search.embedding import current_model

    folder = DataFolder(chosen.data)
    return folder.search.exists() and current_model(folder.models) is not None


@contextmanager
def started(chosen: Settings, start_data: bool, progress: Callable[[str, int, int], None]) -> Iterator[Catalogue]:
    """A new catalogue or, where an `init` was interrupted before the first record, that one, filled now."""
    from kg.catalogue import START_FILES, Catalogue
    from ontology import path as shipped

    if ledger_rows(chosen) != 0:
        with Catalogue.create(
            chosen.data,
            base=chosen.base,
            ledger_url=chosen.ledger,
            graph_url=chosen.graph_url,
            indexes=chosen.indexes,
            start_data=start_data,
            progress=progress,
        ) as catalogue:
            yield catalogue
        return
    with opened(chosen.data) as catalogue:
        names = START_FILES if start_data else START_FILES[:1]
        catalogue.load([shipped(name) for name in names], author="start data", progress=progress)
        yield catalogue


def settings(**given: Any) -> Settings:
    """The settings: options of the command, then the environment, then defaults."""
    from pydantic import ValidationError

    from service.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"MENTORGRAPH_{str(fault['loc'][0]).upper()}"
        raise Refused(f"{name} {fault['input']!r}: {fault['msg']}", WRONG_USAGE) from error


@contextmanager
def opened(data: Path | None, url: str | None = None) -> Iterator[Catalogue]:
    """The catalogue of the data folder, owned for the time of the command."""
    from kg.catalogue import Catalogue

    chosen = settings(data=data)
    with Catalogue.open(
        chosen.data,
        ledger_url=chosen.ledger,
        graph_url=chosen.graph_url,
        indexes=chosen.indexes,
        url=url,
        profiles=chosen.profiles,
    ) as catalogue:
        yield catalogue


def read(data: Path | None, question: Callable[[Catalogue | RunningService], T]) -> T:
    """Ask the data folder or, where a running service owns it, that service.

    The owner is looked up first: asking a service needs none of the modules that open a folder.
    """
    from kg.folder import DataFolder
    from service.remote import RunningService

    owner = DataFolder.open(settings(data=data).data).owner()
    if owner is not None and owner.url is not None:
        return question(RunningService(owner.url))
    with opened(data) as catalogue, _native_output_apart():
        return question(catalogue)


@contextmanager
def _native_output_apart() -> Iterator[None]:
    """While it lasts, what native code prints goes to standard error: standard output has answers alone.

    The solver of cohorts and sets prints a line in some solves ("HighsMipSolverData::transformNewIntegerFeasibleSolution
    tmpSolver.run();"), whatever it is told; it would stand before a JSON document, or within a table.
    """
    import ctypes

    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # the C library keeps what was printed until then
        os.dup2(kept, 1)
        os.close(kept)


def suggestion_request(
    needs: list[str],
    mentee: str | None,
    limit: int,
    countries: list[str] | None,
    themes: list[str] | None,
    weights: list[str] | None,
    per_country: int | None = None,
) -> dict[str, Any]:
    """The request as the catalogue reads it, held to the same limits as over HTTP."""
    from pydantic import ValidationError

    from service.api.models import SuggestionRequest
    from service.problems import refusal_of_validation

    wanted: dict[str, Any] = {"needs": [{"text": need} for need in needs], "limit": limit}
    if mentee:
        wanted["mentee"] = {"city": mentee}
    if countries or themes:
        wanted["filters"] = {"countries": countries or [], "themes": themes or []}
    if weights:
        wanted["weights"] = dict(_weight(text) for text in weights)
    if per_country:
        wanted["diversity"] = {"per_country": per_country}
    try:
        return SuggestionRequest.model_validate(wanted).plain()
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise Refused(refusal_of_validation(faults).told(str(state["language"]))[0]) from error


def _weight(text: str) -> tuple[str, float]:
    factor, _, number = text.partition("=")
    try:
        return factor, float(number)
    except ValueError as error:
        raise Refused(f"--weight {text!r}: write a factor, = and a number, such as language=2", WRONG_USAGE) from error


def answer_language(lang: str | None, need: str) -> str:
    """The language asked for, else that of the need if reasons are written in it, else English."""
    from kg.search.text import language_of
    from service.negotiation import LANGUAGES

    if lang is not None and lang not in LANGUAGES:
        raise Refused(f"--lang {lang!r}: reasons are written in {' and '.join(LANGUAGES)}", WRONG_USAGE)
    recognised, _ = language_of(need)
    state["language"] = lang or (recognised if recognised in LANGUAGES else "en")
    return str(state["language"])


def main() -> None:
    """Run the command line; every error that is not a mistake of ours is one line on standard error."""
    sys.unraisablehook = _interrupt_again
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        # An interrupt within a native module's loading comes out as that module's own ImportError.
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            sys.exit(130)
        if state["debug"]:
            raise
        message, code = explained(error)
        print(f"mentorgraph: {message}", file=sys.stderr)
        sys.exit(code)


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Interrupt once more where the first interrupt fell into native code, which tells of it and goes on."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    # A moment later: at once, it would be raised in this function and be lost again.
    threading.Timer(0.05, _thread.interrupt_main).start()


def explained(error: Exception) -> tuple[str, int]:
    """One line for a person, and the exit code."""
    from kg.errors import DataFolderInUse, DataFolderUnusable, KgError, ModelMissing
    from service.remote import ServiceRefused

    codes = {DataFolderInUse: IN_USE, DataFolderUnusable: NOT_READY, ModelMissing: NOT_READY}
    if isinstance(error, Refused):
        return str(error), error.code
    if isinstance(error, KgError):
        return error.told(str(state["language"])), codes.get(type(error), REFUSED)
    if isinstance(error, ServiceRefused):
        return str(error), REFUSED
    if isinstance(error, OSError):
        return f"{error.filename or 'the file system'}: {error.strerror or error}", REFUSED
    named = f"{type(error).__name__}: {error}".replace("\n", " ")
    return f"this is a mistake of the program ({named}); mentorgraph --debug … shows where", OWN_MISTAKE
