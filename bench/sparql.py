"""Times SPARQL over HTTP beside `oxigraph serve` and rdflib-endpoint, in one run on the same data.

    python bench/sparql.py                         1,000 and 10,000 practices (ten minutes)
    python bench/sparql.py --sizes 1000            others
    python bench/sparql.py --large                 100,000 practices as well, without rdflib-endpoint

Each size gets one dump: synthetic cities and practices, the shipped themes and vocabularies. Every server reads that
dump and runs in a process of its own: the service as `mentorgraph serve` runs it, with its guard, deadline, caps and
disposable children; `oxigraph serve` on a disk store that `oxigraph load` and `oxigraph optimize` made; an rdflib
Dataset under rdflib-endpoint and uvicorn. One client on one open connection asks all of them the same question in turn, with
other constants each time, and reads the whole answer; answers are compared by their number of rows. "uvicorn alone" is
the floor under every service in Python: the same web server, set up the same way, around an application of ten lines that
reads the query and answers with an empty table.

A server that needs more than --seconds for one kind of question is asked it fewer times, three at least; the
table says how often.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import synthetic

from kg.catalogue import Catalogue, title_of
from kg.ledger import Change
from kg.records import to_graph, to_ntriples
from kg.vocabulary import DEFAULT_BASE
from ontology import path as shipped
from tests.engines import OxigraphServer, free_port

OURS, OXIGRAPH, RDFLIB = SERVERS = ("mentorgraph", "oxigraph serve", "rdflib-endpoint")
FLOOR = "uvicorn alone"

START_SECONDS = 900.0
TIMEOUT_SECONDS = 600.0
OPEN_SECONDS = 3.0
"""How long a connection may rest: uvicorn closes it after five, and opening one is not what is timed."""
LEAST_RUNS = 3

PREFIXES = """PREFIX mg: <https://w3id.org/mentorgraph/ontology#>
PREFIX theme: <https://w3id.org/mentorgraph/id/theme/>
PREFIX dcat: <http://www.w3.org/ns/dcat#>
PREFIX dcterms: <http://purl.org/dc/terms/>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX schema: <https://schema.org/>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
"""


@dataclass(frozen=True)
class Asked:
    """One kind of question. `text` has $practice, $city, $town, $theme, $broad and $country for constants."""

    family: str
    name: str
    text: str

    def with_constants(self, chosen: dict[str, str]) -> str:
        text = PREFIXES + self.text
        for name, value in chosen.items():
            text = text.replace(f"${name}", value)
        return text


QUESTIONS = [
    Asked("lookup", "one practice", "SELECT ?property ?value { $practice ?property ?value }"),
    Asked(
        "lookup",
        "a practice with its city",
        """SELECT ?title ?name ?country {
            $practice dcterms:title ?title ; mg:practisedIn ?city .
            ?city rdfs:label ?name ; schema:addressCountry ?country }""",
    ),
    Asked("lookup", "a city by its name", "SELECT ?city ?of { ?city rdfs:label $town ; schema:addressCountry ?of }"),
    Asked(
        "join",
        "practices of a theme in a country",
        """SELECT ?practice ?title ?name {
            ?practice dcterms:subject $theme ; mg:practisedIn ?city ; dcterms:title ?title .
            ?city schema:addressCountry $country ; rdfs:label ?name }""",
    ),
    Asked(
        "join",
        "cities with well-shown work on a theme",
        """SELECT DISTINCT ?city ?population {
            ?practice dcterms:subject $theme ; mg:practisedIn ?city ; mg:period/dcat:startDate ?start ;
                mg:evidenceType <https://w3id.org/mentorgraph/concept/evidence/independent-evaluation> .
            ?city mg:observation/mg:observedValue ?population .
            FILTER(STR(?start) >= "2010") }""",
    ),
    Asked(
        "path",
        "practices below a theme, by country",
        """SELECT ?country (COUNT(DISTINCT ?practice) AS ?practices) {
            ?theme skos:broader* $broad . ?practice dcterms:subject ?theme ; mg:practisedIn/schema:addressCountry ?country
        } GROUP BY ?country ORDER BY ?country""",
    ),
    Asked(
        "path",
        "practices below every theme",
        """SELECT ?above (COUNT(DISTINCT ?practice) AS ?practices) {
            ?practice dcterms:subject/skos:broader* ?above . ?practice mg:practisedIn/schema:addressCountry $country
        } GROUP BY ?above ORDER BY ?above""",
    ),
    Asked(
        "aggregate",
        "practices by country",
        """SELECT ?country (COUNT(?practice) AS ?practices) {
            ?practice mg:practisedIn/schema:addressCountry ?country FILTER(?country != $country)
        } GROUP BY ?country ORDER BY DESC(?practices) ?country""",
    ),
    Asked(
        "aggregate",
        "mean population by theme",
        """SELECT ?theme (AVG(xsd:decimal(?people)) AS ?mean) {
            ?practice dcterms:subject ?theme ; mg:practisedIn ?city . ?city mg:observation/mg:observedValue ?people .
            FILTER(?theme != $theme) } GROUP BY ?theme ORDER BY ?theme""",
    ),
    Asked(
        "aggregate",
        "latest practices",
        """SELECT ?practice ?title ?start {
            ?practice mg:period/dcat:startDate ?start ; dcterms:title ?title ; dcterms:subject ?theme .
            FILTER(?theme != $theme) } ORDER BY DESC(?start) ?practice ?title LIMIT 20""",
    ),
    Asked(
        "facets",
        "themes, countries, evidence of a country's practices",
        """SELECT ?facet ?value (COUNT(DISTINCT ?practice) AS ?practices) {
            ?practice mg:practisedIn/schema:addressCountry $country .
            { ?practice dcterms:subject ?value BIND("theme" AS ?facet) }
            UNION { ?practice mg:evidenceType ?value BIND("evidence" AS ?facet) }
            UNION { ?practice mg:period/dcat:startDate ?value BIND("start" AS ?facet) }
        } GROUP BY ?facet ?value ORDER BY ?facet DESC(?practices) ?value""",
    ),
    Asked("facets", "everything (competency question 34)", shipped("questions/34-counts.rq").read_text("utf-8")),
]


# ------------------------------------------------------------------------------------------- data


def towns_of(practices: int) -> int:
    """Cities there are among so many practices."""
    return max(50, practices // 20)


def fill(folder: Path, practices: int) -> Path:
    """Make a data folder without a search index, and a dump of its graph; returns the dump."""
    towns = towns_of(practices)
    with Catalogue.create(folder / "data") as catalogue:
        with catalogue.ledger.write() as transaction:
            for record in (*synthetic.cities(towns), *synthetic.practices(practices, towns)):
                payload = to_ntriples(to_graph(record, catalogue.base))
                transaction.append(
                    Change(
                        record["kind"], record["id"], "published", "public", payload, "bench", title=title_of(record)
                    )
                )
        catalogue.catch_up()
        catalogue.graph.dump(folder / "all.nq", "nquads")
    return folder / "all.nq"


class GraphAlone(Catalogue):
    """A catalogue that needs no model: nobody searches here."""

    def follow(self) -> None:
        self._graph_follower.start()


def constants(practices: int, seed: int) -> Iterator[dict[str, str]]:
    """Constants for one question after another, the same for each server."""
    random_, towns, themes = random.Random(seed), towns_of(practices), synthetic.themes()
    ids = [record["id"] for record in synthetic.practices(min(practices, 1_000), towns)]
    countries = sorted({record["country"] for record in islice(synthetic.cities(towns), 50)})
    while True:
        town, theme = random_.randrange(towns), random_.choice(themes)
        yield {
            "practice": f"<{DEFAULT_BASE}id/practice/{random_.choice(ids)}>",
            "town": f'"Town {town}"@en',
            "theme": f"theme:{theme}",
            "broad": f"theme:{theme.partition('-')[0]}",
            "country": f'"{random_.choice(countries)}"',
        }


# ------------------------------------------------------------------------------------------- servers


class Client:
    """One open connection to one server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        self._used = 0.0

    def ask(self, query: str) -> tuple[float, int]:
        """Milliseconds until the answer was read, and its number of rows."""
        headers = {"Content-Type": "application/sparql-query", "Accept": "application/sparql-results+json"}
        if time.monotonic() - self._used > OPEN_SECONDS:
            self._connection.close()
            self._connection.connect()
        begun = time.perf_counter()
        self._connection.request("POST", self._path, query.encode(), headers)
        answer = self._connection.getresponse()
        body = answer.read()
        taken = (time.perf_counter() - begun) * 1000
        self._used = time.monotonic()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {body[:500]!r}")
        return taken, len(json.loads(body)["results"]["bindings"])


class Child:
    """This file in a process of its own, as one of the servers."""

    def __init__(self, what: str, place: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/sparql"
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", what, str(place), str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                Client(self.url).ask("SELECT * { BIND(1 AS ?ready) }")
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{what} did not start") from error
                time.sleep(0.2)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def serve_ours(folder: str, port: int) -> None:
    """The service as `mentorgraph serve` runs it, but for its search; its deadline is so long that slow answers count."""
    from service.serving import listen, run
    from service.settings import Settings

    with GraphAlone.open(Path(folder)) as catalogue:
        run(Settings(sparql_deadline_seconds=TIMEOUT_SECONDS), catalogue, listen("127.0.0.1", port)[0], lambda: None)


def serve_rdflib(dump: str, port: int) -> None:
    """rdflib-endpoint over an rdflib Dataset in memory."""
    import uvicorn
    from rdflib import Dataset
    from rdflib_endpoint import SparqlEndpoint

    data = Dataset(default_union=True)
    data.parse(dump, format="nquads")
    uvicorn.run(SparqlEndpoint(graph=data, path="/sparql"), port=port, log_level="critical", access_log=False)


def serve_floor(_place: str, port: int) -> None:
    """The web server of the service, around an application that does nothing but answer."""
    import uvicorn

    from service.serving import configuration, listen

    empty = json.dumps({"head": {"vars": []}, "results": {"bindings": []}}).encode()

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        length = (b"content-length", str(len(empty)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": empty})

    configured = configuration(answer)
    configured.lifespan = "off"
    uvicorn.Server(configured).run(sockets=[listen("127.0.0.1", port)[0]])


def oxigraph(folder: Path, dump: Path) -> OxigraphServer:
    """`oxigraph serve` on a disk store of its own that has been compacted."""
    program = Path(sys.executable).parent / "oxigraph"
    place = folder / "oxigraph"
    for order in (["load", "--location", place, "--file", dump], ["optimize", "--location", place]):
        subprocess.run([program, *order], check=True, capture_output=True)
    return OxigraphServer(place)


# ------------------------------------------------------------------------------------------- measuring


@dataclass
class Times:
    """What one server took for one kind of question, in milliseconds."""

    runs: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def p95(self) -> float:
        return sorted(self.runs)[min(len(self.runs) - 1, int(0.95 * len(self.runs)))]

    def wants(self, rounds: int, seconds: float) -> bool:
        """Whether the server should be asked once more."""
        return len(self.runs) < LEAST_RUNS or (len(self.runs) < rounds and sum(self.runs) < seconds * 1000)


def measure(practices: int, servers: dict[str, Client], rounds: int, seconds: float) -> None:
    """Ask everybody everything in turn, and print a line for each kind of question."""
    for asked in QUESTIONS:
        times = {name: Times() for name in servers}
        warmed: set[str] = set()
        for chosen in constants(practices, seed=practices):
            turn = [name for name in servers if times[name].wants(rounds, seconds)]
            if not turn:
                break
            query = asked.with_constants(chosen)
            rows = {}
            for name in turn:
                if name not in warmed:
                    servers[name].ask(query)
                    warmed.add(name)
                taken, rows[name] = servers[name].ask(query)
                times[name].runs.append(taken)
            if len({found for name, found in rows.items() if name != FLOOR}) > 1:
                print(f"rows differ: {rows} for {query}", file=sys.stderr)
        print(row_of(practices, asked, times, rounds), flush=True)


def row_of(practices: int, asked: Asked, times: dict[str, Times], rounds: int) -> str:
    """One line of the table: median and p95 of each, and how many times as long the others took as we did."""
    cells = [_cell(times[name], rounds) if name in times else "–" for name in (*SERVERS, FLOOR)]
    ratios = [f"{times[name].median / times[OURS].median:,.1f}" if name in times else "–" for name in SERVERS[1:]]
    return f"| {practices:,} | {asked.family}: {asked.name} | " + " | ".join([*cells, *ratios]) + " |"


def _cell(times: Times, rounds: int) -> str:
    runs = "" if len(times.runs) >= rounds else f"; {len(times.runs)} runs"
    return f"{_shown(times.median)} ({_shown(times.p95)}{runs})"


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:,.0f}"


def run_size(practices: int, rounds: int, seconds: float, names: list[str]) -> None:
    """All lines of the table for one size."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        began = time.perf_counter()
        dump = fill(folder, practices)
        print(f"{practices:,} practices: {statements(dump):,} statements", file=sys.stderr)
        start = {
            OURS: lambda: Child(OURS, folder / "data"),
            OXIGRAPH: lambda: oxigraph(folder, dump),
            RDFLIB: lambda: Child(RDFLIB, dump),
            FLOOR: lambda: Child(FLOOR, folder),
        }
        servers = {name: Client(stack.enter_context(start[name]()).url) for name in (*names, FLOOR)}
        print(f"ready after {time.perf_counter() - began:.0f} s", file=sys.stderr)
        measure(practices, servers, rounds, seconds)


def statements(dump: Path) -> int:
    """Lines of a dump."""
    with dump.open("rb") as lines:
        return sum(1 for _ in lines)


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        what, place, port = sys.argv[2:]
        {OURS: serve_ours, RDFLIB: serve_rdflib, FLOOR: serve_floor}[what](place, int(port))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--large", action="store_true", help="100,000 practices too, without rdflib-endpoint")
    parser.add_argument("--rounds", type=int, default=40, help="how often each question is asked")
    parser.add_argument("--seconds", type=float, default=20.0, help="most time for a server and a kind of question")
    parser.add_argument("--without", nargs="*", default=[], choices=SERVERS[1:], help="servers to leave out")
    options = parser.parse_args()
    names = [name for name in SERVERS if name not in options.without]
    print("| practices | question | " + " | ".join(f"{name}, ms" for name in (*SERVERS, FLOOR)), end=" | ")
    print(" | ".join(f"{name} ÷ ours" for name in SERVERS[1:]), "|")
    print("|---:|---|" + "---:|" * 2 * len(SERVERS), flush=True)
    for size in options.sizes:
        run_size(size, options.rounds, options.seconds, names)
    if options.large:
        run_size(100_000, options.rounds, options.seconds, [name for name in names if name != RDFLIB])


if __name__ == "__main__":
    main()
