"""Runs the shapes over one record and says every problem at once, in the reader's language.

pySHACL does the checking. A record is checked alone: what it refers to is looked up by the
caller (in the ledger, inside the write transaction) and only its existence and state come in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from rdflib import RDF, RDFS, SH, SKOS, BNode, Graph, Literal, URIRef
from rdflib.term import Node

from kg.errors import InvalidRecord, Problem, plain, quoted
from kg.fields import Declaration, Field, Kind, Structure, declaration, in_language, shapes_graph
from kg.vocabulary import MG, thing_iri

if TYPE_CHECKING:
    from pyshacl.shape import Shape
    from pyshacl.shapes_graph import ShapesGraph
    from pyshacl.validator import Validator as ShaclRun

SEVERITIES: dict[Node, str] = {SH.Violation: "violation", SH.Warning: "warning", SH.Info: "info"}
_RANK = {"violation": 0, "warning": 1, "info": 2}

WORDS = {
    "en": {
        "given": "given: {value}",
        "many": "takes one value, {count} are given",
        "long": "has {length} characters, {limit} at most",
        "language": "has more than one wording in one language",
        "choice": "is none of: {choices}",
        "small": "is too small, {limit} at least",
        "large": "is too large, {limit} at most",
        "missing record": "there is no {kind} '{id}' on record{near}",
        "near": "; did you mean {names}?",
        "itself": "a record does not refer to itself; name another {kind}, or leave it out",
        "unpublished": "{kind} '{id}' is not published ({state}); publish it first, or leave it out",
        "no node": "'{id}' is no {label} of this record; it has: {there}",
        "none there": "none",
        "below itself": "a theme cannot lie below itself: {trail}; choose another broader theme",
        "source of claim": (
            "say which source states this, or set 'source_not_separated' to true when the sources cannot be told apart"
        ),
    },
    "fr": {
        "given": "reçu : {value}",
        "many": "n'accepte qu'une valeur, {count} sont données",
        "long": "compte {length} caractères, {limit} au plus",
        "language": "a plus d'une formulation dans une même langue",
        "choice": "ne figure pas parmi : {choices}",
        "small": "est trop petit, {limit} au moins",
        "large": "est trop grand, {limit} au plus",
        "missing record": "aucune fiche « {kind} » ne porte l'identifiant « {id} »{near}",
        "near": " ; vouliez-vous dire {names} ?",
        "itself": "une fiche ne renvoie pas à elle-même ; nommez une autre fiche « {kind} », ou retirez le renvoi",
        "unpublished": "la fiche {kind} « {id} » n'est pas publiée ({state}) ; publiez-la d'abord ou retirez le renvoi",
        "no node": "« {id} » n'est pas un élément « {label} » de cette fiche ; elle a : {there}",
        "none there": "aucun",
        "below itself": "un thème ne peut pas dépendre de lui-même : {trail} ; choisissez un autre thème générique",
        "source of claim": (
            "indiquez la source qui l'affirme, ou mettez « source_not_separated » à true si les sources ne se distinguent pas"
        ),
    },
}


@dataclass(frozen=True)
class Referenced:
    """What the ledger says of a record that another one refers to: its state, None when there is none."""

    state: str | None
    near: tuple[str, ...] = ()


class Validation:
    """The shapes, ready to run; one per process, safe to use from several threads.

    pySHACL changes the shapes graph it works on, so each thread parses its own (about half a
    second, once).
    """

    def __init__(self, declared: Declaration | None = None) -> None:
        self.declared = declared or declaration()
        self._local = threading.local()

    def problems(
        self,
        graph: Graph,
        kind: Kind,
        id: str,
        base: str,
        known: Mapping[tuple[str, str], Referenced],
        *,
        language: str = "en",
    ) -> list[Problem]:
        """Every broken rule of one record, the gravest first, then in the order of the form.

        `known` tells about each record that `kg.records.references(graph, base)` names. A
        "violation" refuses any save, a "warning" refuses publication, "info" is advice.
        `language` is "en" or "fr"; any other gets English.

        >>> from kg.records import to_graph
        >>> base = "https://example.org/"
        >>> lonely = to_graph({"kind": "practice", "id": "x", "title": {"en": "Buddies"}}, base)
        >>> v = Validation()
        >>> [p.field for p in v.problems(lonely, v.declared.kind("practice"), "x", base, {}) if p.severity == "warning"]
        ['city', 'themes', 'language', 'action', 'sources']
        """
        words = WORDS.get(language, WORDS["en"])
        thing = thing_iri(base, kind.name, id)
        found = [
            self._problem(result, graph, kind, thing, words, language) for result in self._results(graph, kind, thing)
        ]
        found += self._reference_problems(graph, kind, thing, known, words, language)
        found += self._inner_reference_problems(graph, kind, thing, words, language)
        order = {field.key: position for position, field in enumerate(kind.fields)}
        unique = dict.fromkeys(found)
        return sorted(unique, key=lambda p: (_RANK[p.severity], order.get(p.field.partition(".")[0], 999), p.field))

    def _results(self, graph: Graph, kind: Kind, thing: URIRef) -> Iterator[_Result]:
        """pySHACL's results for the thing and each of its inner nodes.

        Each node is checked against the property shapes that can say anything about it: those on
        a path it has, and those that ask for presence. Going through `sh:node` and every shape
        gives the same results in eight times the time, and hides them under `sh:detail` with the
        outer node's severity.
        """
        from pyshacl.graph_abstraction import DataGraph  # a second of a start that may never validate

        run, shapes = self._shapes()
        executor, data = run.make_executor(), DataGraph.from_rdflib(graph)
        alike: dict[Structure, list[Any]] = {}
        for node, structure, _ in _nodes(graph, kind, thing):
            alike.setdefault(structure, []).append(node)
        for structure, nodes in alike.items():
            present = {node: set(graph.predicates(node)) for node in nodes}
            for path, presence, shape, constraints in self._rules(structure, shapes):
                concerned = nodes if presence else [node for node in nodes if path in present[node]]
                values = shape.value_nodes(data, concerned) if concerned else {}
                for constraint in constraints if concerned else ():
                    for report in constraint.evaluate(executor, data, values, [shape, constraint])[1]:
                        yield _result(report)

    def _shapes(self) -> tuple[ShaclRun, ShapesGraph]:
        """This thread's own parse of the shapes, without what only people and `_nodes` read."""
        if not hasattr(self._local, "run"):
            from pyshacl.graph_abstraction import DataGraph
            from pyshacl.validator import Validator as ShaclRun

            graph = shapes_graph()
            unread = (SH.name, SH.description, SH.order, SH.group, SH.node, RDFS.label, RDFS.comment, MG.refersTo)
            for unused in (*unread, SH["class"]):  # what a reference leads to is looked up in the ledger
                graph.remove((None, unused, None))
            run = ShaclRun(DataGraph.from_rdflib(Graph()), shacl_graph=graph)
            self._local.run, self._local.shapes, self._local.rules = run, run.shacl_graph, {}
            _ = self._local.shapes.shapes
        return self._local.run, self._local.shapes

    def _rules(self, structure: Structure, shapes: ShapesGraph) -> list[tuple[Node, bool, Shape, list[Any]]]:
        """Path, "asks for presence", shape and constraints of each property shape of a structure.

        `Shape.validate` makes the constraints anew for every node that it looks at, half of its time.
        """
        if structure.shape not in self._local.rules:
            nodes = list(shapes.graph.objects(structure.shape, SH.property))
            self._local.rules[structure.shape] = [
                (
                    shapes.graph.value(node, SH.path),
                    any((node, demand, None) in shapes.graph for demand in (SH.minCount, SH.hasValue)),
                    shape,
                    _constraints(shape, shapes),
                )
                for node in nodes
                if (shape := shapes.lookup_shape_from_node(node)) is not None
            ]
        return self._local.rules[structure.shape]

    def _problem(
        self, result: _Result, graph: Graph, kind: Kind, thing: Node, words: Mapping, language: str
    ) -> Problem:
        """One result in words: what the shape says to do, what is wrong, and the value."""
        where, structure = _place(graph, kind, thing, result.focus)
        field = structure.by_path.get(str(result.path))
        value = None if result.value is None else _shown(result.value, field)
        given = None if value is None else words["given"].format(value=quoted(value))
        why = (" ; " if language == "fr" else "; ").join(
            part for part in (_wrong(result, field, graph, words), given) if part
        )
        message = in_language(result.messages, language) + (f" ({why})" if why else "")
        key = field.key if field else str(result.path or "")
        told = None if value is None else plain(value)
        rule = str(result.shape).rpartition("#")[2]
        return Problem(where + key, message, SEVERITIES[result.severity], told, rule, str(result.component))

    def _reference_problems(
        self, graph: Graph, kind: Kind, thing: Node, known: Mapping, words: Mapping, language: str
    ) -> Iterator[Problem]:
        """References to the record itself, and to records that are not there, or not published yet."""
        for node, structure, where in _nodes(graph, kind, thing):
            for field in structure.fields:
                for term in graph.objects(node, field.path) if field.type == "ref" else ():
                    id = str(term).rpartition("/")[2]
                    name = in_language(self.declared.kinds[str(field.ref_kind)].label, language).lower()
                    found = known.get((str(field.ref_kind), id), Referenced(None))
                    if found.state == "published" or (term == thing and field is broader_field(kind)):
                        continue  # what lies below itself is told with its circle
                    if term == thing:
                        message = words["itself"].format(kind=name)
                    elif found.state is None:
                        near = words["near"].format(names=", ".join(found.near)) if found.near else ""
                        message = words["missing record"].format(kind=name, id=id, near=near)
                    else:
                        message = words["unpublished"].format(kind=name, id=id, state=found.state)
                    severity = "violation" if found.state is None else "warning"
                    yield Problem(
                        where + field.key, message, severity, id, "references", str(SH.ClassConstraintComponent)
                    )

    def _inner_reference_problems(
        self, graph: Graph, kind: Kind, thing: Node, words: Mapping, language: str
    ) -> Iterator[Problem]:
        """Claims must point to sources the record has, or say that sources are not separated."""
        nodes = list(_nodes(graph, kind, thing))
        for node, structure, where in nodes:
            for field in structure.fields:
                if field.type == "inner-ref":
                    yield from self._pointers(graph, node, field, nodes, where, words, language)
            if structure.cls == MG.OutcomeClaim:
                told = (node, MG.statedIn, None) in graph or (node, MG.sourceNotSeparated, None) in graph
                if not told:
                    either = str(SH.OrConstraintComponent)
                    yield Problem(
                        where + "stated_in", words["source of claim"], "warning", None, "source of claim", either
                    )

    def _pointers(
        self, graph: Graph, node: Node, field: Field, nodes: list, where: str, words: Mapping, language: str
    ) -> Iterator[Problem]:
        """Pointers to inner nodes of this record must find one of the right sort."""
        there = {str(other): s for other, s, _ in nodes if getattr(s, "id_prefix", None) == field.refers_to}
        for term in graph.objects(node, field.path):
            if str(term) not in there:
                names = ", ".join(sorted(iri.rpartition("#")[2] for iri in there)) or words["none there"]
                label = next((in_language(s.label, language) for s in there.values()), str(field.refers_to))
                message = words["no node"].format(id=str(term).rpartition("#")[2], label=label, there=names)
                of_class = str(SH.ClassConstraintComponent)
                yield Problem(
                    where + field.key, message, "violation", str(term).rpartition("#")[2], "own nodes", of_class
                )


def _constraints(shape: Shape, shapes: ShapesGraph) -> list[Any]:
    """The constraints of one property shape, those of the W3C's core and any of its own."""
    from pyshacl.constraints import CONSTRAINT_PARAMETERS_MAP

    found = dict.fromkeys(CONSTRAINT_PARAMETERS_MAP.get(one) for one in shapes.graph.predicates(shape.node))
    own = [one.make_validator_for_shape(shape) for one in shape.find_custom_constraints()]  # type: ignore[no-untyped-call]
    return [*(component(shape) for component in found if component is not None), *own]


def validation_report(error: InvalidRecord, base: str) -> Graph:
    """What a record breaks as a SHACL validation report, https://www.w3.org/TR/shacl/#validation-report.

    Each result has the node, path, severity, message and, where there is one, the value; the shape where a shape
    refused it (references are checked in the ledger, and forms before there is a graph: these do not conform to the
    kind's shape as a whole, sh:NodeConstraintComponent).

    >>> report = validation_report(InvalidRecord("city", "gent", [Problem("country", "Say which.")]), "https://x.org/")
    >>> sorted(str(message) for message in report.objects(predicate=SH.resultMessage))
    ['Say which.']
    """
    graph, report = Graph(), BNode()
    graph.bind("sh", SH)
    graph.bind("mg", MG)
    graph.add((report, RDF.type, SH.ValidationReport))
    graph.add((report, SH.conforms, Literal(False)))
    kind = declaration().kinds.get(error.kind)
    severities = {name: iri for iri, name in SEVERITIES.items()}
    for problem in error.problems:
        result, thing = BNode(), thing_iri(base, error.kind, error.id)
        structure: Structure | None = kind
        keys = problem.field.split(".")
        while len(keys) > 2 and structure is not None:
            field = structure.by_key.get(keys[0])
            structure = field.inner if field else None
            thing, keys = URIRef(f"{thing.partition('#')[0]}#{keys[1]}"), keys[2:]
        field = structure.by_key.get(keys[0].partition("@")[0]) if structure is not None else None
        graph.add((report, SH.result, result))
        graph.add((result, RDF.type, SH.ValidationResult))
        graph.add((result, SH.focusNode, thing))
        graph.add((result, SH.resultSeverity, severities.get(problem.severity, SH.Violation)))
        graph.add((result, SH.resultMessage, Literal(problem.message)))
        component = URIRef(problem.component) if problem.component else SH.NodeConstraintComponent
        graph.add((result, SH.sourceConstraintComponent, component))
        if field is not None:
            graph.add((result, SH.resultPath, field.path))
        if problem.value is not None:
            graph.add((result, SH.value, Literal(problem.value)))
        if (shape := URIRef(f"{MG}{problem.rule}")) in _shape_names():
            graph.add((result, SH.sourceShape, shape))
    return graph


@cache
def _shape_names() -> frozenset[Node]:
    return frozenset(shapes_graph().subjects(RDF.type, SH.PropertyShape))


@dataclass(frozen=True)
class _Result:
    """One validation result, as pySHACL reports it."""

    focus: Node
    path: Node | None
    value: Node | None
    shape: Node
    severity: Node
    component: Node
    messages: Mapping[str, str]


def _result(report: tuple) -> _Result:
    """One result from pySHACL's own form: its text, its node and its triples (values as pairs of graph and node)."""
    said: dict[Node, Node] = {}
    messages: dict[str, str] = {}
    for _, predicate, value in report[2]:
        node = value[1] if isinstance(value, tuple) else value
        if predicate == SH.resultMessage:
            messages[node.language or "en"] = str(node)
        else:
            said[predicate] = node
    return _Result(
        focus=said[SH.focusNode],
        path=said.get(SH.resultPath),
        value=said.get(SH.value),
        shape=said[SH.sourceShape],
        severity=said[SH.resultSeverity],
        component=said[SH.sourceConstraintComponent],
        messages=messages,
    )


def _nodes(graph: Graph, structure: Structure, node: Node, where: str = "") -> Iterator[tuple[Node, Structure, str]]:
    """The thing and its inner nodes, each with its structure and the dotted place it has in the record."""
    yield node, structure, where
    for field in structure.fields:
        for inner in graph.objects(node, field.path) if field.inner else ():
            name = "" if field.key == "record" else f"{str(inner).rpartition('#')[2]}."
            yield from _nodes(graph, field.inner, inner, f"{where}{field.key}.{name}")  # type: ignore[arg-type]


def _place(graph: Graph, kind: Kind, thing: Node, focus: Node) -> tuple[str, Structure]:
    """Where in the record a focus node stands."""
    return next(((where, s) for node, s, where in _nodes(graph, kind, thing) if node == focus), ("", kind))


def _wrong(result: _Result, field: Field | None, graph: Graph, words: Mapping) -> str:
    """What is wrong, per sort of constraint; "" where the shape's own message says it all."""
    component = str(result.component).rpartition("#")[2].removesuffix("ConstraintComponent")
    if component == "MaxCount":
        return words["many"].format(count=len(list(graph.objects(result.focus, result.path))))
    if component == "MaxLength" and field:
        return words["long"].format(length=len(str(result.value)), limit=field.max_length)
    if component == "In" and field and field.choices:
        return words["choice"].format(choices=", ".join(field.choices))
    if component == "MinInclusive" and field:
        return words["small"].format(limit=field.minimum)
    if component == "MaxInclusive" and field:
        return words["large"].format(limit=field.maximum)
    return words["language"] if component == "UniqueLang" else ""


def _shown(value: Node, field: Field | None) -> str:
    """A value as the curator wrote it."""
    return field.notations.get(str(value), str(value)) if field else str(value)


def broader_field(kind: Kind) -> Field | None:
    """The field by which records of a kind lie below one another: a theme's broader theme."""
    return next((one for one in kind.fields if one.path == SKOS.broader and one.ref_kind == kind.name), None)


def below_itself(id: str, field: Field, above: Callable[[str], str | None], language: str = "en") -> list[Problem]:
    """The problem of a record that lies below itself by way of broader ones; mostly none.

    `above` gives the identifier of what lies directly above one, None for nothing. A circle higher up, which the
    record is no part of, is another's problem.

    >>> field = broader_field(declaration().kind("theme"))
    >>> below_itself("heat", field, {"heat": "climate", "climate": "heat"}.get)[0].message
    'a theme cannot lie below itself: heat → climate → heat; choose another broader theme'
    >>> below_itself("heat", field, {"heat": "climate", "climate": "planet", "planet": "climate"}.get)
    []
    """
    trail = [id]
    while (one := above(trail[-1])) is not None:
        if one in trail[1:]:
            return []
        trail.append(one)
        if one == id:
            told = " → ".join(trail if len(trail) <= 12 else [*trail[:6], "…", *trail[-5:]])
            words = WORDS.get(language, WORDS["en"])
            return [Problem(field.key, words["below itself"].format(trail=told), value=trail[1])]
    return []


def nearest(id: str, ids: list[str]) -> tuple[str, ...]:
    """Identifiers that look like a mistyped one, best first, three at most.

    >>> nearest("jelgawa", ["jelgava", "riga", "ghent"])
    ('jelgava',)
    """
    return tuple(get_close_matches(id, ids, n=3, cutoff=0.6))


def refusing(problems: list[Problem], *, publish: bool) -> list[Problem]:
    """The problems that stand in the way of saving, or of publishing.

    >>> refusing([Problem("title", "…", "warning"), Problem("costs", "…", "info")], publish=False)
    []
    """
    severities = ("violation", "warning") if publish else ("violation",)
    return [problem for problem in problems if problem.severity in severities]
