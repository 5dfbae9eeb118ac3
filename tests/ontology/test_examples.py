"""Every example file is checked with pySHACL itself, by the shapes as they are shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import rdflib
from pyshacl.graph_abstraction import DataGraph
from pyshacl.validator import Validator
from rdflib import RDF, SH, Graph, URIRef
from rdflib.term import Node

import ontology
from kg.records import to_graph
from kg.vocabulary import DEFAULT_BASE

MG = "https://w3id.org/mentorgraph/ontology#"
THING = re.compile(r"https://w3id\.org/mentorgraph/id/([a-z]+)/[a-z0-9-]+")
FIRST_LINE = re.compile(r"# rule: mg:(\w+Shape-[\w-]+) \((violation|warning|info)\)")

CONSTRAINTS = {
    SH.datatype, SH["in"], SH["class"], SH.nodeKind, SH.maxCount, SH.minCount, SH.uniqueLang, SH.maxLength,
    SH.pattern, SH.minInclusive, SH.maxInclusive, SH.hasValue,
}  # fmt: skip
"""Those that say something about a value. What sh:node refuses is reported by the rules of the inner shape."""

VALID = sorted(ontology.path("examples/valid").glob("*.ttl"))
INVALID = sorted(ontology.path("examples/invalid").glob("*.ttl"))


class Broken(NamedTuple):
    """One broken rule: the property shape's local name, its severity and the constraint of SHACL."""

    rule: str
    severity: str
    constraint: str


@pytest.fixture(scope="module")
def shapes() -> Graph:
    return Graph().parse(ontology.path("shapes.ttl"))


@pytest.fixture(scope="module")
def broken(shapes: Graph) -> dict[str, set[Broken]]:
    """Broken rules of every example, by the file's name."""
    return {file.stem: broken_rules(file, shapes) for file in VALID + INVALID}


def broken_rules(file: Path, shapes: Graph) -> set[Broken]:
    """What pySHACL finds in one record, with the records it refers to taken as present."""
    graph = parsed_as_written(file)
    stand_ins = {
        iri: cls
        for iri in set(graph.objects()) - set(graph.subjects())
        if (found := THING.fullmatch(str(iri))) and (cls := class_of_kind(shapes, found[1]))
    }
    for iri, cls in stand_ins.items():
        graph.add((iri, RDF.type, cls))
    # Not pyshacl.validate: it switches rdflib's rewriting of literals on for everything that runs after it.
    _, report, _ = Validator(DataGraph.from_rdflib(graph), shacl_graph=shapes).run()
    nested = set(report.objects(None, SH.detail))
    tops = [node for node in report.subjects(RDF.type, SH.ValidationResult) if node not in nested]
    return {
        broken for top in tops if report.value(top, SH.focusNode) not in stand_ins for broken in leaves(report, top)
    }


def parsed_as_written(file: Path) -> Graph:
    """The file's graph, with "007" kept from becoming 7; whoever has switched rewriting on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rdflib, "NORMALIZE_LITERALS", False)
        return Graph().parse(file)


def class_of_kind(shapes: Graph, kind: str) -> Node | None:
    shape = shapes.value(predicate=URIRef(MG + "kind"), object=rdflib.Literal(kind))
    return None if shape is None else shapes.value(shape, SH.targetClass)


def leaves(report: Graph, result: Node) -> Iterator[Broken]:
    """A result, or those it hides: a broken rule inside a nested node is reported under sh:detail."""
    details = list(report.objects(result, SH.detail))
    for detail in details:
        yield from leaves(report, detail)
    if not details:
        yield Broken(
            str(report.value(result, SH.sourceShape)).removeprefix(MG),
            str(report.value(result, SH.resultSeverity)).removeprefix(str(SH)).lower(),
            str(report.value(result, SH.sourceConstraintComponent)).removeprefix(str(SH)),
        )


def announced(file: Path) -> tuple[str, str]:
    """The rule and the severity that an invalid example names in its first line."""
    line = file.read_text(encoding="utf-8").splitlines()[0]
    found = FIRST_LINE.fullmatch(line)
    assert found, f"{file.name} must open with '# rule: mg:<Shape>-<key> (<severity>)'; it opens with {line!r}"
    return found[1], found[2]


@pytest.mark.parametrize("name", [file.stem for file in VALID])
def test_a_valid_example_breaks_no_rule(name: str, broken: dict[str, set[Broken]]) -> None:
    refused = {"violation"} if name.startswith("incomplete-") else {"violation", "warning"}
    assert {rule for rule in broken[name] if rule.severity in refused} == set()


def test_the_full_practice_leaves_no_advice_open(broken: dict[str, set[Broken]]) -> None:
    assert broken["practice"] == set()


def test_an_incomplete_practice_is_refused_publication_for_each_thing_it_lacks(broken: dict[str, set[Broken]]) -> None:
    lacking = {rule.rule for rule in broken["incomplete-practice"] if rule.severity == "warning"}
    assert lacking == {
        *(f"PracticeShape-{key}-needed" for key in ("title", "city", "themes", "language", "action", "sources")),
        "OutcomeClaimShape-statement-needed",
    }


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_an_invalid_example_breaks_the_rule_it_names_and_no_other(file: Path, broken: dict[str, set[Broken]]) -> None:
    rule, severity = announced(file)
    counted = {"violation", "warning", "info"} if severity == "info" else {"violation", "warning"}
    found = {(each.rule, each.severity) for each in broken[file.stem] if each.severity in counted}
    assert found == {(rule, severity)}


def test_the_record_in_the_readme_is_the_same_in_json_and_turtle(tmp_path: Path, shapes: Graph) -> None:
    readme = ontology.path("README.md").read_text(encoding="utf-8")
    as_json, as_turtle = (re.search(rf"```{form}\n(.*?)```", readme, re.DOTALL)[1] for form in ("json", "turtle"))
    (tmp_path / "record.ttl").write_text(as_turtle, encoding="utf-8")
    assert set(to_graph(json.loads(as_json), DEFAULT_BASE)) == set(parsed_as_written(tmp_path / "record.ttl"))
    assert {rule.severity for rule in broken_rules(tmp_path / "record.ttl", shapes)} == {"info"}


def test_the_readme_lists_every_kind_and_who_sees_it(shapes: Graph) -> None:
    readme = ontology.path("README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \|.*\| (public|programme|team) \|$", readme, re.MULTILINE))
    seen_by = shapes.subject_objects(URIRef(MG + "defaultVisibility"))
    assert listed == {str(shapes.value(shape, URIRef(MG + "kind"))): str(seen) for shape, seen in seen_by}


def test_every_kind_and_every_inner_shape_has_an_example_of_each_sort(shapes: Graph) -> None:
    kinds = {str(shape).removeprefix(MG) for shape in shapes.subjects(SH.targetClass)}
    inner = {str(shape).removeprefix(MG) for shape in shapes.subjects(URIRef(MG + "innerClass"))}
    assert {announced(file)[0].partition("-")[0] for file in INVALID} == kinds | inner

    classes = {cls for file in VALID for cls in Graph().parse(file).objects(None, RDF.type)}
    used = {*shapes.objects(None, SH.targetClass), *shapes.objects(None, URIRef(MG + "innerClass"))}
    assert used - classes == set()


def test_every_constraint_that_shapes_use_is_broken_by_some_example(
    shapes: Graph, broken: dict[str, set[Broken]]
) -> None:
    used = {str(predicate).removeprefix(str(SH)) for predicate in shapes.predicates() if predicate in CONSTRAINTS}
    found = {rule.constraint for file in INVALID for rule in broken[file.stem]}
    assert {f"{name[0].upper()}{name[1:]}ConstraintComponent" for name in used} - found == set()
