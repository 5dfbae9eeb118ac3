"""Generated queries get the same answer from the service, from `oxigraph serve` and from rdflib, over the starting data.

The first two share an engine: what differs there is ours (guard, rewriting, dataset, formats). rdflib shares nothing
with them: what differs there is somebody's reading of SPARQL. Where rdflib is wrong by the recommendation the fault is
named in FAULTS, with the smallest query that shows it, and the generator does not write such queries.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pyoxigraph as ox
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kg.catalogue import Catalogue
from kg.vocabulary import PREFIXES
from service.app import create_app
from service.settings import Settings
from tests.engines import OxigraphServer
from tests.service.conftest import Server, running

EXAMPLES = 60
"""Queries per run of the suite, always the same ones; 300 others were tried when this was written."""

MOST_ROWS = 2_000
"""Longer answers say nothing new and take rdflib seconds."""

DEADLINE_SECONDS = 2.0
"""Of the service; a query that is too slow for it is not compared."""

PATIENCE_SECONDS = 0.5
"""After which rdflib's answer is not waited for; the other two are compared all the same."""

XSD = "http://www.w3.org/2001/XMLSchema#"
NUMBERS = frozenset(XSD + name for name in ("integer", "decimal", "double", "float", "int", "long"))
HEAD = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in sorted(PREFIXES.items()))


# ------------------------------------------------------------------------------------------- what there is to ask


@dataclass(frozen=True)
class Edge:
    """A property that things of a class have: what its values are, and some of them as SPARQL terms."""

    predicate: str
    sort: str
    target: str | None
    samples: tuple[str, ...]


@dataclass
class Schema:
    """Classes with their things and properties, as the data has them."""

    things: dict[str, list[str]] = field(default_factory=dict)
    edges: dict[str, list[Edge]] = field(default_factory=dict)
    graphs: list[str] = field(default_factory=list)
    predicates: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, quads: list[ox.Quad]) -> Schema:
        records = [
            quad for quad in quads if isinstance(quad.graph_name, ox.NamedNode) and "/id/" in str(quad.graph_name)
        ]
        classes: dict[object, str] = {}
        for quad in records:
            if quad.predicate.value.endswith("#type"):
                classes.setdefault(quad.subject, str(quad.object))
        found: dict[tuple[str, str, str, str | None], list[str]] = defaultdict(list)
        for quad in records:
            target = classes.get(quad.object)
            found[classes[quad.subject], str(quad.predicate), sort_of(quad.object), target].append(str(quad.object))
        schema = cls(graphs=sorted({str(quad.graph_name) for quad in records}))
        for thing, name in classes.items():
            schema.things.setdefault(name, []).append(str(thing))
        for (name, predicate, sort, target), values in sorted(found.items(), key=str):
            if len(values) > 3 and not predicate.endswith("#type>"):
                schema.edges.setdefault(name, []).append(Edge(predicate, sort, target, tuple(sorted(set(values))[:9])))
        schema.things = {name: sorted(things) for name, things in sorted(schema.things.items()) if name in schema.edges}
        schema.predicates = sorted({edge.predicate for edges in schema.edges.values() for edge in edges})
        return schema


def sort_of(term: ox.NamedNode | ox.BlankNode | ox.Literal) -> str:
    """What can be asked of a value: "thing", "words" with a language, "text", or a datatype's name."""
    if not isinstance(term, ox.Literal):
        return "thing"
    if term.language:
        return "words"
    name = term.datatype.value.removeprefix(XSD)
    return "number" if term.datatype.value in NUMBERS else "text" if name in ("string", "anyURI") else name


# ------------------------------------------------------------------------------------------- the generator


@dataclass(frozen=True)
class Variable:
    name: str
    sort: str
    of: str | None = None


@dataclass(frozen=True)
class Asked:
    """A generated query; `key` is a variable by whose text it orders, `meets` the FAULTS it may run into."""

    text: str
    form: str
    key: str | None = None
    meets: frozenset[str] = frozenset()


class Writer:
    """Writes one query, drawing every choice."""

    def __init__(self, draw: st.DrawFn, schema: Schema) -> None:
        self.draw, self.schema, self.count = draw, schema, 0
        self.meets: set[str] = set()

    def one(self, choices):
        return self.draw(st.sampled_from(choices))

    def chance(self, of: int) -> bool:
        return self.draw(st.integers(1, of)) == 1

    def fresh(self, sort: str, of: str | None = None) -> Variable:
        self.count += 1
        return Variable(f"?v{self.count}", sort, of)

    # Patterns

    def query(self) -> Asked:
        return replace(self.written(), meets=frozenset(self.meets))

    def written(self) -> Asked:
        about = self.fresh("thing", self.one(list(self.schema.things)))
        text, known = self.group(about, 2)
        form = self.one(
            ["SELECT", "SELECT", "SELECT", "DISTINCT", "COUNT", "COUNT", "GROUP", "GROUP", "ASK", "CONSTRUCT"]
        )
        if form == "ASK":
            return Asked(f"ASK {text}", form)
        if form == "CONSTRUCT":
            return Asked(
                f"CONSTRUCT {{ {about.name} <urn:x> {self.one(known).name} . <urn:y> <urn:z> {about.name} }} WHERE {text}",
                form,
            )
        if form == "COUNT":
            return Asked(f"SELECT {self.aggregates(known)} WHERE {text}", form)
        if form == "GROUP":
            return Asked(f"SELECT {self.grouped(known, text)}", form)
        return self.rows(known, text, form)

    def rows(self, known: list[Variable], text: str, form: str) -> Asked:
        shown = self.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        names = " ".join(one.name for one in shown)
        distinct = "DISTINCT " if form == "DISTINCT" else ""
        if not self.chance(3):
            return Asked(f"SELECT {distinct}{self.one([names, names, '*'])} WHERE {text}", form)
        order = self.one(["{}", "DESC({})"]).format("?key")
        return Asked(
            f"SELECT {distinct}{names} (STR({shown[0].name}) AS ?key) WHERE {text} ORDER BY {order}", form, "key"
        )

    def grouped(self, known: list[Variable], text: str) -> str:
        by = self.draw(st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True))
        names = " ".join(one.name for one in by)
        having = (
            f" HAVING (COUNT(*) {self.one(['>', '<', '='])} {self.draw(st.integers(1, 5))})" if self.chance(2) else ""
        )
        self.meets.add("nothing is grouped into one group")
        return f"{names} {self.aggregates(known)} WHERE {text} GROUP BY {names}{having}"

    def aggregates(self, known: list[Variable]) -> str:
        name = self.one(known).name
        text = f"COALESCE(STR({name}), '')"  # always text: "an aggregate skips what it cannot compute"
        forms = [
            "COUNT(*)", f"COUNT({name})", f"COUNT(DISTINCT {name})", f"SUM(STRLEN({text}))", f"MIN({text})", f"MAX({text})",
            f"AVG(STRLEN({text}))", f"SUM(IF(BOUND({name}), 1, 0))", f"STRLEN(GROUP_CONCAT({text}; separator=', '))",
            f"STRLEN(GROUP_CONCAT(DISTINCT {text}))",
        ]  # fmt: skip
        chosen = self.draw(st.lists(st.sampled_from(forms), min_size=1, max_size=2, unique=True))
        return " ".join(f"({form} AS ?a{number})" for number, form in enumerate(chosen))

    def group(self, about: Variable, depth: int) -> tuple[str, list[Variable]]:
        """A group that binds `about`, and the variables in it."""
        first, known = self.anchor(about)
        parts = [first]
        for _ in range(self.draw(st.integers(0, 3))):
            part, added = self.part(known, depth)
            parts.append(part)
            known += [one for one in added if one not in known]
        return "{ " + " ".join(parts) + " }", known

    def anchor(self, about: Variable) -> tuple[str, list[Variable]]:
        assert about.of is not None
        if self.chance(3):
            return f"{about.name} a {about.of} .", [about]
        return self.triple(about)

    def triple(self, about: Variable) -> tuple[str, list[Variable]]:
        edge = self.one(self.schema.edges[about.of])
        if self.chance(6):
            return f"{about.name} {edge.predicate} {self.one(edge.samples)} .", [about]
        value = self.fresh(edge.sort, edge.target)
        return f"{about.name} {edge.predicate} {value.name} .", [about, value]

    def part(self, known: list[Variable], depth: int) -> tuple[str, list[Variable]]:
        things = [one for one in known if one.of in self.schema.edges]
        about = self.one(things)
        plain = [self.triple, self.optional, self.path, self.values]
        if depth and self.chance(2):
            return self.one([self.union, self.minus, self.sub_select, self.graph, self.nested])(about, depth - 1)
        choice = self.one([*plain, self.filter, self.filter, self.bind])
        return choice(known if choice in (self.filter, self.bind) else about)

    def optional(self, about: Variable) -> tuple[str, list[Variable]]:
        text, known = self.triple(about)
        test = self.filter(known)[0] if self.chance(2) else ""
        return f"OPTIONAL {{ {text} {test} }}", known

    def nested(self, about: Variable, depth: int) -> tuple[str, list[Variable]]:
        text, known = self.group(about, depth)
        return f"OPTIONAL {text}", known

    def union(self, about: Variable, depth: int) -> tuple[str, list[Variable]]:
        self.meets.add("a join forgets duplicates")
        (one, first), (other, second) = self.group(about, depth), self.group(about, depth)
        return f"{{ {one} UNION {other} }}", first + second

    def minus(self, about: Variable, depth: int) -> tuple[str, list[Variable]]:
        return f"MINUS {self.group(about, depth)[0]}", []

    def graph(self, about: Variable, depth: int) -> tuple[str, list[Variable]]:
        text, known = self.triple(about)
        if self.chance(3):
            return f"GRAPH {self.one(self.schema.graphs)} {{ {text} }}", known
        name = self.fresh("thing")
        return f"GRAPH {name.name} {{ {text} }}", [*known, name]

    def sub_select(self, about: Variable, depth: int) -> tuple[str, list[Variable]]:
        self.meets.add("a join forgets duplicates")
        text, known = self.group(about, depth)
        if self.chance(2):
            return f"{{ SELECT DISTINCT {about.name} WHERE {text} }}", [about]
        self.meets.add("nothing is grouped into one group")
        number = self.fresh("number")
        counted = f"COUNT({self.one(['', 'DISTINCT '])}{self.one(known).name})"
        return f"{{ SELECT {about.name} ({counted} AS {number.name}) WHERE {text} GROUP BY {about.name} }}", [
            about,
            number,
        ]

    def values(self, about: Variable) -> tuple[str, list[Variable]]:
        things = self.draw(st.lists(st.sampled_from(self.schema.things[about.of]), min_size=1, max_size=6, unique=True))
        return f"VALUES {about.name} {{ {' '.join(things)} }}", [about]

    def path(self, about: Variable) -> tuple[str, list[Variable]]:
        """A walk of one to three properties; what it ends at may be anything."""
        steps = [self.one(self.schema.edges[about.of]) for _ in range(self.draw(st.integers(1, 2)))]
        name = self.fresh("thing")
        first, *rest = (step.predicate for step in steps)
        second = rest[0] if rest else self.one(self.schema.predicates)
        shape = self.one(
            [
                "{0}/{1}",
                "({0}|{1})",
                "{0}?",
                "{0}*",
                "{0}+",
                "{0}/^{0}",
                "!({0}|{1})",
                "({0}/{1}?)",
                "({0}|^{1})+",
                "{0}/!^{1}",
            ]
        )
        return f"{about.name} {shape.format(first, second)} {name.name} .", [about, name]

    # Expressions

    def filter(self, known: list[Variable]) -> tuple[str, list[Variable]]:
        return f"FILTER({self.test(known, 2)})", []

    def test(self, known: list[Variable], depth: int) -> str:
        if depth and self.chance(3):
            one, other = self.test(known, depth - 1), self.test(known, depth - 1)
            return self.one(["({} && {})", "({} || {})", "(!({}) || {})"]).format(one, other)
        things = [one for one in known if one.of in self.schema.edges]
        if self.chance(5) and things:
            pattern = self.triple(self.one(things))[0]
            return f"{self.one(['EXISTS', 'NOT EXISTS'])} {{ {pattern} }}"
        about = self.one(known)
        return self.one(TESTS[about.sort] + TESTS["any"]).format(
            about.name,
            thing=self.one(self.schema.things[about.of]) if about.of in self.schema.things else "<urn:x>",
            other=self.one(known).name,
            number=self.draw(st.integers(-3, 90)),
            letter=self.one("aeinrst-/"),
        )  # fmt: skip

    def bind(self, known: list[Variable]) -> tuple[str, list[Variable]]:
        about = self.one(known)
        sort, form = self.one(BINDS + (BINDS_OF_NUMBERS if about.sort == "number" else []))
        made = self.fresh(sort)
        said = form.format(about.name, other=self.one(known).name, number=self.draw(st.integers(1, 9)))
        return f"BIND({said} AS {made.name})", [made]


TESTS = defaultdict(
    list,
    {
        "any": [
            "BOUND({0})", "STRLEN(STR({0})) > {number}", "CONTAINS(LCASE(STR({0})), '{letter}')", "isIRI({0})",
            "isLITERAL({0})", "REGEX(STR({0}), '{letter}.*{letter}', 'i')", "STR({0}) < STR({other})",
            "COALESCE(STRLEN(STR({0})), 1) != {number}", "sameTerm({0}, {other})", "IF(BOUND({0}), STRLEN(STR({0})) > 20, true)",
            "STRENDS(STR({0}), '{letter}')", "DATATYPE({0}) = xsd:string",
        ],
        "thing": ["{0} = {thing}", "{0} IN ({thing}, <urn:x>)", "{0} NOT IN ({thing})", "{0} != {thing}"],
        "words": ["LANG({0}) = 'en'", "LANGMATCHES(LANG({0}), 'fr')", "LANGMATCHES(LANG({0}), '*')"],
        "number": ["{0} > {number}", "{0} * 2 <= {number}", "{0} = {number}", "{0} - {number} >= 0.5"],
        "gYear": ["STR({0}) >= '2015'", "{0} = '2018'^^xsd:gYear"],
        "date": ["{0} > '2021-06-01'^^xsd:date", "YEAR({0}) = 2022"],
        "dateTime": ["{0} > '2020-06-01T00:00:00Z'^^xsd:dateTime", "YEAR({0}) > {number}"],
        "boolean": ["{0}", "!{0}", "{0} = true"],
    },
)  # fmt: skip

BINDS = [
    ("number", "STRLEN(STR({0}))"), ("text", "UCASE(STR({0}))"), ("text", "CONCAT(STR({0}), ' ', STR({other}))"),
    ("text", "LANG({0})"), ("thing", "DATATYPE({0})"), ("number", "IF(BOUND({0}), {number}, 0)"), ("text", "SUBSTR(STR({0}), {number}, 4)"),
    ("text", "REPLACE(STR({0}), '[aeiou]', '_')"), ("text", "STRAFTER(STR({0}), 'e')"), ("text", "STRBEFORE(STR({0}), '/')"),
    ("text", "ENCODE_FOR_URI(STR({0}))"), ("text", "MD5(STR({0}))"), ("text", "SHA256(STR({0}))"), ("thing", "IRI(CONCAT('urn:', MD5(STR({0}))))"),
    ("text", "COALESCE({other}, {0}, 'neither')"), ("boolean", "STR({0}) = STR({other})"), ("number", "xsd:integer(SUBSTR(STR({0}), 1, 2))"),
]  # fmt: skip
BINDS_OF_NUMBERS = [
    ("number", "{0} + {number}"), ("number", "{0} * {0} - 1.5"), ("number", "ROUND({0} / {number})"), ("number", "ABS(-{0})"),
    ("number", "CEIL({0} / 7)"), ("number", "FLOOR({0} / -7)"), ("number", "xsd:double({0})"), ("text", "STR({0})"),
]  # fmt: skip


# ------------------------------------------------------------------------------------------- faults of rdflib


@dataclass(frozen=True)
class Fault:
    """Where rdflib is wrong: the smallest query, what is right (18.x of the recommendation) and what it says."""

    query: str
    right: list[dict[str, str]]
    wrong: list[dict[str, str]]


FAULTS = {
    # 18.5: the cardinality of a join is the product of both; rdflib makes a set of the right side where the left one cannot be lazy.
    "a join forgets duplicates": Fault(
        "SELECT ?x { { SELECT DISTINCT ?x { VALUES ?x { 1 } } } { { VALUES ?x { 1 } } UNION { VALUES ?x { 1 } } } }",
        [{"x": "1"}] * 2,
        [{"x": "1"}],
    ),
    # 18.5.1: groups are made of the solutions there are; rdflib makes one of none, also with GROUP BY.
    "nothing is grouped into one group": Fault(
        "SELECT ?x (COUNT(?x) AS ?n) { ?x <urn:none> ?y } GROUP BY ?x", [], [{}]
    ),
    # 18.5.1.3: a sum with something unbound is an error, and has no value; rdflib sums the rest.
    "an aggregate skips what it cannot compute": Fault(
        "SELECT (SUM(?x) AS ?sum) { { VALUES ?x { 1 } } UNION {} }", [{}], [{"sum": "1"}]
    ),
}
"""By name. Queries that meet the first two are compared as far as the fault leaves something; the third is not written."""


def is_comparable(found: object, asked: Asked) -> bool:
    """Whether rdflib's answer can be right."""
    if "nothing is grouped into one group" in asked.meets and (asked.form != "GROUP" or not found):
        return False
    return "a join forgets duplicates" not in asked.meets or asked.form not in ("COUNT", "GROUP")


def kept(found: object, asked: Asked) -> object:
    """What has to be the same in rdflib's answer: the rows without their number where a join forgets it."""
    return set(found) if isinstance(found, Counter) and "a join forgets duplicates" in asked.meets else found


# ------------------------------------------------------------------------------------------- three engines


@dataclass(frozen=True)
class Engines:
    """The service, `oxigraph serve` and rdflib, all with the dump that the service gives out."""

    service: httpx.Client
    oxigraph: httpx.Client
    address: str
    reference: Reference
    schema: Schema

    def by_service(self, query: str, graph: bool = False) -> httpx.Response:
        return self.service.post("/sparql", content=query.encode(), headers=sent(graph))

    def by_oxigraph(self, query: str, graph: bool = False) -> httpx.Response:
        return self.oxigraph.post(self.address, content=query.encode(), headers=sent(graph))

    def by_rdflib(self, query: str, graph: bool = False) -> bytes | None:
        return self.reference.ask(query, graph)


class Reference:
    """rdflib in a process of its own, which gives each query a copy of itself and a time."""

    def __init__(self, dump: bytes, folder: Path) -> None:
        path = folder / "dump.nq"
        path.write_bytes(dump)
        command = [sys.executable, "-c", REFERENCE, str(path), str(PATIENCE_SECONDS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, query: str, graph: bool = False) -> bytes | None:
        """The answer; None when it takes too long: rdflib evaluates in Python, and some joins are beyond it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([query, graph]) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return None if said is None else said.encode()

    def close(self) -> None:
        self._process.communicate()


REFERENCE = """
import json, os, signal, sys
import rdflib
rdflib.NORMALIZE_LITERALS = False  # "007" is not 7
data = rdflib.Dataset(default_union=True)
data.parse(sys.argv[1], format="nquads")
rdflib.NORMALIZE_LITERALS = True
for line in sys.stdin:
    query, graph = json.loads(line)
    child = os.fork()
    if not child:
        signal.setitimer(signal.ITIMER_VIRTUAL, float(sys.argv[2]))  # of its own time, however busy the machine is
        try:
            answer = data.query(query).serialize(format="nt" if graph else "json", encoding="utf-8").decode()
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        sys.stdout.write(json.dumps(answer) + "\\n")
        sys.stdout.flush()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.stdout.write("null\\n")
        sys.stdout.flush()
"""
"""Reads a query a line, writes an answer a line: null where the alarm has ended the copy."""


def sent(graph: bool) -> dict[str, str]:
    accept = "application/n-triples" if graph else "application/sparql-results+json"
    return {"Content-Type": "application/sparql-query", "Accept": accept}


@pytest.fixture(scope="module")
def engines(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    with running(create_app(Settings(sparql_deadline_seconds=DEADLINE_SECONDS), catalogue)) as server:
        yield from engines_beside(server, tmp_path_factory)


def engines_beside(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """The other two, filled from the first one's dump."""
    dump = gzip.decompress(server.client.get("/dumps/latest.nq.gz").content)
    reference = Reference(dump, tmp_path_factory.mktemp("reference"))
    schema = Schema.of(list(ox.parse(dump, ox.RdfFormat.N_QUADS)))
    with OxigraphServer() as other, httpx.Client(timeout=60, trust_env=False) as client:
        client.post(
            other.url.replace("query", "store"), content=dump, headers={"Content-Type": "application/n-quads"}
        ).raise_for_status()
        yield Engines(server.client, client, other.url, reference, schema)
    reference.close()


def answer(body: bytes, asked: Asked) -> object:
    """An answer in a form that can be compared: a verdict, a set of triples or a multiset of rows."""
    if asked.form == "CONSTRUCT":
        return {tuple(map(canonical, quad.triple)) for quad in ox.parse(body, ox.RdfFormat.N_TRIPLES)}
    results = json.loads(body)
    if "boolean" in results:
        return results["boolean"]
    return Counter(
        frozenset((name, canonical(term)) for name, term in row.items()) for row in results["results"]["bindings"]
    )


def canonical(term: object) -> tuple[str, ...]:
    """A term of any answer: numbers by value to nine digits, times in UTC, tags in small letters.

    >>> canonical({"type": "literal", "value": "1.50", "datatype": XSD + "decimal"}) == canonical(ox.Literal(1.5))
    True
    """
    if not isinstance(term, dict):
        return canonical(json_of(term))
    kind, value = term["type"], term["value"]
    if kind != "literal" and kind != "typed-literal":
        return (kind,) if kind == "bnode" else (kind, value)
    if "xml:lang" in term:
        return "words", value, term["xml:lang"].lower()
    name = term.get("datatype", XSD + "string")
    if name in NUMBERS:
        return "number", f"{float(value):.9g}"
    if name == XSD + "dateTime":
        return "time", datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return name, value


def json_of(term: object) -> dict[str, str]:
    """A pyoxigraph term as the JSON results write it."""
    if isinstance(term, ox.NamedNode):
        return {"type": "uri", "value": term.value}
    if isinstance(term, ox.BlankNode):
        return {"type": "bnode", "value": term.value}
    assert isinstance(term, ox.Literal)
    said = {"xml:lang": term.language} if term.language else {"datatype": term.datatype.value}
    return {"type": "literal", "value": term.value} | said


def keys(body: bytes, asked: Asked) -> list[str]:
    """What a query ordered by, in the order of the rows; a row without it counts as the empty text, which sorts alike."""
    return [row.get("key", {"value": ""})["value"] for row in json.loads(body)["results"]["bindings"]]


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_three_engines_give_the_same_answer(engines: Engines, data: st.DataObject) -> None:
    asked = Writer(data.draw, engines.schema).query()
    query, graph = HEAD + asked.text, asked.form == "CONSTRUCT"
    ours = engines.by_service(query, graph)
    assume(ours.status_code not in (403, 504))
    assert ours.status_code == 200, f"{ours.text}\n{asked.text}"
    found = answer(ours.content, asked)
    assume(not isinstance(found, Counter) or found.total() <= MOST_ROWS)
    theirs = engines.by_oxigraph(query, graph).content
    assert found == answer(theirs, asked), asked.text
    reference = engines.by_rdflib(query, graph) if is_comparable(found, asked) else None
    if reference is not None:
        assert kept(found, asked) == kept(answer(reference, asked), asked), f"rdflib answers otherwise: {asked.text}"
    if asked.key:
        for body in filter(None, (ours.content, theirs, reference)):
            ordered = keys(body, asked) if "DESC" not in asked.text else keys(body, asked)[::-1]
            assert all(one <= other for one, other in pairwise(ordered)), asked.text


@pytest.mark.parametrize("name", FAULTS)
def test_the_faults_of_rdflib_are_still_there(engines: Engines, name: str) -> None:
    """When one is mended this fails, and the fault can go from the list."""
    fault = FAULTS[name]
    reference = engines.by_rdflib(fault.query)
    assert reference is not None
    for body, expected in (
        (engines.by_service(fault.query).content, fault.right),
        (engines.by_oxigraph(fault.query).content, fault.right),
        (reference, fault.wrong),
    ):
        rows = json.loads(body)["results"]["bindings"]
        assert [{name: term["value"] for name, term in row.items()} for row in rows] == expected
