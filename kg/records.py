"""Plain JSON to graph and back, by the fields; nothing is lost either way.

A record as JSON is a dict with `kind`, `id` and the fields of its kind. Its graph has one thing
(`{base}id/practice/x`), its inner nodes (`...x#claim-3`, minted once and kept) and no blank nodes.
The forms of values are listed in `ontology/README.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from unicodedata import category

from rdflib import RDF, Graph, Literal, URIRef
from rdflib.term import Node

from kg.errors import BadRequest, InvalidRecord, Problem, in_french, plain, quoted
from kg.fields import Declaration, Field, Kind, Structure, declaration
from kg.vocabulary import DEFAULT_BASE, parse_thing_iri, thing_iri

Record = dict[str, Any]

SLUG = re.compile(r"[a-z0-9]+(-{1,2}[a-z0-9]+)*")
LANGUAGE_TAG = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8}){0,3}")
SYSTEM_KEYS = ("state", "visibility", "revision", "modified")
"""What the ledger says of a record; shown under `record`, never part of its graph."""

_IRI_REFUSED = re.compile(r'[\x00-\x20<>"{}|\\^`\x7f-\x9f]')
_IRI_SCHEME = re.compile(r"(https?|mailto|urn|ftp|doi):.+", re.IGNORECASE)
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character: JSON can carry one, nothing can write it down."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


FORM = {
    "en": {
        "unknown": "there is no field called {value} here; there are: {known}",
        "list": "must be a list",
        "one": "takes one value, not a list",
        "object": "must be an object",
        "languages": 'must name the language of each wording, such as {"en": "..."}',
        "tag": "{value} is no language tag; write for example 'en', 'fr' or 'nl-BE'",
        "no text": "must be a text",
        "no texts": "must be a list of texts",
        "no id": "is no identifier; write for example '{prefix}-1'",
        "control": "has the control character {character} at position {position}; remove it",
        "twice": "the identifier stands twice in this record",
        "boolean": "must be true or false",
        "text": "must be written as a text in quotes",
        "blanks": "has blanks or a line break at its beginning or end; remove them",
        "node": "must name a node of this record, such as '{prefix}-1'",
        "address": "must be a full address such as https://example.org/x, without spaces",
        "whole": "must be a whole number",
        "large": "is too large a number; at most 10^15",
        "choice": "must be one of: {choices}",
        "reference": "must name a {kind} on record by its identifier",
        "surrogate": "has half of a character (a lone surrogate); save the text as UTF-8 again",
        "one thing": "a record's graph describes one thing below {base}id/ with its class; found: {found}",
        "nothing": "none",
        "one value": "takes one value, {count} are given",
        "language tag": "must be a text with a language tag",
        "one wording": "takes one wording per language",
        "own node": "must name a node of this record",
        "node address": "must be a node of this record (its address followed by # and an identifier)",
        "not an address": "must be a text, not an address",
        "no address": "is no usable address",
        "no part": "{property} is no part of this kind of record",
        "literal": "must be {wanted}",
        "wanted string": "a plain text without language tag",
        "wanted concept": "one of: {choices}",
        "wanted ref": "the address of a {kind}",
        "wanted year": "a year such as 2016, of type {type}",
        "wanted date": "a date such as 2017-09-01, of type {type}",
        "wanted": "of type {type}",
    },
    "fr": {
        "unknown": "il n'y a pas de champ {value} ici ; il y a : {known}",
        "list": "doit être une liste",
        "one": "n'accepte qu'une valeur, pas une liste",
        "object": "doit être un objet",
        "languages": 'doit nommer la langue de chaque texte, par exemple {"fr": "..."}',
        "tag": "{value} n'est pas un code de langue ; écrivez par exemple 'en', 'fr' ou 'nl-BE'",
        "no text": "doit être un texte",
        "no texts": "doit être une liste de textes",
        "no id": "n'est pas un identifiant ; écrivez par exemple '{prefix}-1'",
        "control": "contient le caractère de contrôle {character} à la position {position} ; retirez-le",
        "twice": "l'identifiant figure deux fois dans cette fiche",
        "boolean": "doit être true ou false",
        "text": "doit être écrit comme un texte entre guillemets",
        "blanks": "a des espaces ou un saut de ligne au début ou à la fin ; retirez-les",
        "node": "doit nommer un élément de cette fiche, par exemple '{prefix}-1'",
        "address": "doit être une adresse complète comme https://example.org/x, sans espace",
        "whole": "doit être un nombre entier",
        "large": "est un nombre trop grand ; au plus 10^15",
        "choice": "doit être parmi : {choices}",
        "reference": "doit nommer une fiche « {kind} » par son identifiant",
        "surrogate": "contient la moitié d'un caractère ; enregistrez le texte à nouveau en UTF-8",
        "one thing": "le graphe d'une fiche décrit une seule chose sous {base}id/, avec sa classe ; trouvé : {found}",
        "nothing": "rien",
        "one value": "n'accepte qu'une valeur, {count} sont données",
        "language tag": "doit être un texte avec un code de langue",
        "one wording": "n'accepte qu'un texte par langue",
        "own node": "doit nommer un élément de cette fiche",
        "node address": "doit être un élément de cette fiche (son adresse suivie de # et d'un identifiant)",
        "not an address": "doit être un texte, pas une adresse",
        "no address": "n'est pas une adresse utilisable",
        "no part": "{property} ne fait pas partie de cette sorte de fiche",
        "literal": "doit être {wanted}",
        "wanted string": "un texte simple sans code de langue",
        "wanted concept": "parmi : {choices}",
        "wanted ref": "l'adresse d'une fiche ({kind})",
        "wanted year": "une année comme 2016, du type {type}",
        "wanted date": "une date comme 2017-09-01, du type {type}",
        "wanted": "du type {type}",
    },
}
"""What is wrong with the form of a value."""


def check_id(kind: str, id: object) -> str:
    """A record's identifier as it may be used in addresses.

    Raises BadRequest for anything but lower-case letters, digits and hyphens, 120 at most.

    >>> check_id("city", "saint-jean-de-la-ruelle")
    'saint-jean-de-la-ruelle'
    >>> check_id("city", "../etc")
    Traceback (most recent call last):
    kg.errors.BadRequest: '../etc' is no identifier of a city: use lower-case letters, digits ...
    """
    if not isinstance(id, str) or len(id) > 120 or not SLUG.fullmatch(id):
        raise BadRequest(
            {
                "en": f"{quoted(id)} is no identifier of a {kind}: use lower-case letters, digits and single hyphens "
                "(two between city and practice), at most 120 characters, such as 'saint-jean-de-la-ruelle'",
                "fr": f"{quoted(id)} n’est pas un identifiant de fiche « {in_french(kind)} » : employez des minuscules sans "
                "accent, des chiffres et des traits d’union simples (deux entre ville et pratique), 120 caractères au plus, "
                "par exemple 'saint-jean-de-la-ruelle'",
            }
        )
    return id


def to_graph(
    record: Mapping[str, Any], base: str, declared: Declaration | None = None, *, language: str = "en"
) -> Graph:
    """The record's graph. `language` is that of the messages, "en" or "fr".

    Values are checked for their form only ("must be a list", "is no language tag", an unknown
    key); what they must mean is for the shapes. A blank text is no text: it is left out. Inner nodes
    without `id` get the next free one.

    Raises InvalidRecord with every problem of form, BadRequest for an unusable kind or id.

    >>> g = to_graph({"kind": "city", "id": "gent", "name": {"nl": "Gent"}}, "https://example.org/")
    >>> print(to_ntriples(g), end="")
    <https://example.org/id/city/gent> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://schema.org/City> .
    <https://example.org/id/city/gent> <http://www.w3.org/2000/01/rdf-schema#label> "Gent"@nl .
    """
    declared = declared or declaration()
    kind = declared.kind(str(record.get("kind")))
    id = check_id(kind.name, record.get("id"))
    writer = _Writer(thing_iri(base, kind.name, id), base, declared, language)
    writer.structure(kind, writer.thing, {k: v for k, v in record.items() if k not in ("kind", "id", "iri")}, "")
    if writer.problems:
        raise InvalidRecord(kind.name, id, writer.problems)
    return writer.graph


def readable_graph(
    record: Mapping[str, Any], base: str, *, language: str = "en"
) -> tuple[Graph | None, Graph, list[Problem]]:
    """The record's graph, None where its form is wrong; the graph of the fields whose form is right; what is wrong.

    So that all that is wrong with a record can be told at once, the rules are tried on what can be read of it. Raises
    BadRequest as `to_graph` does.

    >>> wrong = {"kind": "city", "id": "gent", "name": "Ghent", "country": "BE"}
    >>> graph, readable, problems = readable_graph(wrong, "https://example.org/")
    >>> graph, len(readable), [problem.field for problem in problems]
    (None, 2, ['name'])
    """
    try:
        graph = to_graph(record, base, language=language)
        return graph, graph, []
    except InvalidRecord as error:
        unread = {first_key(one.field) for one in error.problems}
        readable = {"kind", "id", "iri", *declaration().kind(str(record["kind"])).by_key} - unread
        rest = to_graph({key: value for key, value in record.items() if key in readable}, base)
        return None, rest, list(error.problems)


def with_meant_problems(form: Sequence[Problem], meant: Iterable[Problem]) -> list[Problem]:
    """Problems of form with those of meaning, without the latter where a field could not be read; the gravest first."""
    unread = {first_key(one.field) for one in form}
    told = [*form, *(one for one in meant if first_key(one.field) not in unread)]
    return sorted(told, key=lambda one: ("violation", "warning", "info").index(one.severity))


def first_key(place: str) -> str:
    """The field of a record that a problem's place lies in.

    >>> first_key("outcomes.claim-2.value"), first_key("title@fr")
    ('outcomes', 'title')
    """
    return place.partition(".")[0].partition("@")[0]


def completed(record: Record) -> Record:
    """A theme of ours stands in our scheme, whether or not somebody writes that down."""
    if record.get("kind") == "theme" and record.get("scheme") is None:
        return {**record, "scheme": f"{DEFAULT_BASE}themes"}
    return record


class _Writer:
    """Builds one record's graph and gathers every problem of form on the way."""

    def __init__(self, thing: URIRef, base: str, declared: Declaration, language: str) -> None:
        self.thing, self.base, self.words = thing, base, FORM.get(language, FORM["en"])
        self.declared, self.language = declared, language
        self.graph = Graph(bind_namespaces="none")
        self.problems: list[Problem] = []
        self.inner_ids: set[str] = set()

    def problem(self, field: str, message: str, value: object = None) -> Any:
        """Note a problem; gives None, which stands for "no term" in the caller's answer."""
        self.problems.append(Problem(field, message, value=None if value is None else plain(value)))

    def structure(self, structure: Structure, node: URIRef, values: Mapping[str, Any], where: str) -> None:
        self.graph.add((node, RDF.type, structure.cls))
        for key, value in values.items():
            field = structure.by_key.get(key)
            if field is None:
                known = ", ".join(structure.by_key)
                self.problem(where + str(key), self.words["unknown"].format(value=quoted(key), known=known), value)
            elif value is not None:
                for part in self.parts(field, value, where + key):
                    self.graph.add((node, field.path, part))

    def parts(self, field: Field, value: Any, where: str) -> Iterator[Node]:
        """The RDF terms of one field's value."""
        if field.type in ("text", "texts"):
            yield from self.texts(field, value, where)
        elif field.key == "record":
            yield from self.record_node(field, value, where)
        elif field.many and not isinstance(value, list):
            self.problem(where, self.words["list"], value)
        elif not field.many and isinstance(value, list):
            self.problem(where, self.words["one"], value)
        elif field.type == "inner":
            yield from self.inner(field, value if field.many else [value], where)
        else:
            for one in value if field.many else [value]:
                term = self.term(field, one, where)
                if term is not None:
                    yield term

    def record_node(self, field: Field, value: Any, where: str) -> Iterator[Node]:
        """What is said about the record itself has a node of a fixed name, which is also the graph's."""
        if not isinstance(value, dict) or field.inner is None:
            self.problem(where, self.words["object"], value)
            return
        said = {k: v for k, v in value.items() if k not in SYSTEM_KEYS and k != "id"}
        if said:
            node = URIRef(f"{self.thing}#record")
            self.structure(field.inner, node, said, where + ".")
            yield node

    def texts(self, field: Field, value: Any, where: str) -> Iterator[Node]:
        if not isinstance(value, dict):
            self.problem(where, self.words["languages"], value)
            return
        for tag, wording in value.items():
            if not isinstance(tag, str) or not LANGUAGE_TAG.fullmatch(tag):
                self.problem(where, self.words["tag"].format(value=quoted(tag)), tag)
            for one in wording if field.type == "texts" and isinstance(wording, list) else [wording]:
                if not isinstance(one, str):
                    self.problem(f"{where}@{tag}", self.words[f"no {field.type}"], one)
                elif self.readable(one, f"{where}@{tag}") and LANGUAGE_TAG.fullmatch(str(tag)) and not is_blank(one):
                    yield Literal(one, lang=tag)

    def inner(self, field: Field, values: list, where: str) -> Iterator[Node]:
        assert field.inner is not None
        taken = {
            one["id"] for one in values if isinstance(one, dict) and isinstance(one.get("id"), str)
        } | self.inner_ids
        for position, one in enumerate(values, start=1):
            if not isinstance(one, dict):
                self.problem(f"{where}.{position}", self.words["object"], one)
                continue
            id = one.get("id") or next_inner_id(field.inner.id_prefix, taken)
            if not isinstance(id, str) or not SLUG.fullmatch(id) or id == "record":
                self.problem(f"{where}.{position}.id", self.words["no id"].format(prefix=field.inner.id_prefix), id)
                continue
            if id in self.inner_ids:
                self.problem(f"{where}.{id}", self.words["twice"], id)
                continue
            taken.add(id)
            self.inner_ids.add(id)
            node = URIRef(f"{self.thing}#{id}")
            self.structure(field.inner, node, {k: v for k, v in one.items() if k != "id"}, f"{where}.{id}.")
            yield node

    def term(self, field: Field, value: Any, where: str) -> Node | None:
        """One value as an RDF term; None, with the problem noted, when its form is wrong."""
        if field.type == "integer":
            return self.number(value, where)
        if field.type == "boolean":
            if isinstance(value, bool):
                return Literal("true" if value else "false", datatype=field.datatype)
            return self.problem(where, self.words["boolean"], value)
        if not isinstance(value, str):
            return self.problem(where, self.words["text"], value)
        if not self.readable(value, where):
            return None
        if field.type == "string" and is_blank(value):
            return None
        if value != value.strip():  # patterns that end with $ would let a line break through
            return self.problem(where, self.words["blanks"], value)
        if field.type == "concept":
            return self.concept(field, value, where)
        if field.type == "ref":
            return self.reference(field, value, where)
        if field.type == "inner-ref":
            if SLUG.fullmatch(value):
                return URIRef(f"{self.thing}#{value}")
            return self.problem(where, self.words["node"].format(prefix=field.refers_to), value)
        if field.type == "iri":
            if is_iri(value):
                return URIRef(value)
            return self.problem(where, self.words["address"], value)
        return Literal(value) if field.type == "string" else Literal(value, datatype=field.datatype)

    def number(self, value: Any, where: str) -> Node | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return self.problem(where, self.words["whole"], value)
        if abs(value) > 10**15:
            return self.problem(where, self.words["large"], value)
        return Literal(str(value), datatype=URIRef("http://www.w3.org/2001/XMLSchema#integer"))

    def concept(self, field: Field, value: str, where: str) -> Node | None:
        choices = field.choices or {}
        iri = choices.get(value) or (URIRef(value) if value in field.notations else None)
        return iri or self.problem(where, self.words["choice"].format(choices=", ".join(choices)), value)

    def reference(self, field: Field, value: str, where: str) -> Node | None:
        assert field.ref_kind is not None
        if SLUG.fullmatch(value) and len(value) <= 120:
            return thing_iri(self.base, field.ref_kind, value)
        ours = parse_thing_iri(self.base, value)
        if ours and ours[0] == field.ref_kind and SLUG.fullmatch(ours[1]):
            return thing_iri(self.base, *ours)
        return self.problem(
            where, self.words["reference"].format(kind=self.declared.kind(field.ref_kind).called(self.language)), value
        )

    def readable(self, value: str, where: str) -> bool:
        """Whether a text can be written in RDF and shown: no control characters, no half of a surrogate pair."""
        found = _CONTROL.search(value)
        if found:
            self.problem(
                where, self.words["control"].format(character=repr(found[0]), position=found.start() + 1), value
            )
            return False
        if SURROGATE.search(value):
            self.problem(where, self.words["surrogate"], None)
            return False
        return True


def next_inner_id(prefix: str, taken: Iterable[str]) -> str:
    """The next free identifier of an inner node: one above the highest ever seen, so that none is used again.

    >>> next_inner_id("claim", ["claim-1", "claim-7", "source-9"])
    'claim-8'
    """
    numbers = [int(id.rpartition("-")[2]) for id in taken if re.fullmatch(rf"{prefix}-\d{{1,9}}", id)]
    return f"{prefix}-{max(numbers, default=0) + 1}"


def is_blank(value: object) -> bool:
    """Whether a value is a text in which nothing can be read: empty, or of spaces and invisible signs.

    >>> is_blank(" \\u200b"), is_blank("0"), is_blank(None)
    (True, False, False)
    """
    return isinstance(value, str) and all(one.isspace() or category(one) == "Cf" for one in value)


def is_iri(value: str) -> bool:
    """Whether a text is an absolute address of a kind that records may hold.

    >>> is_iri("https://inclucities.eu/pair-1"), is_iri("not an address"), is_iri("javascript:alert(1)")
    (True, False, False)
    """
    return bool(_IRI_SCHEME.fullmatch(value)) and not _IRI_REFUSED.search(value)


def from_graph(graph: Graph, base: str, declared: Declaration | None = None, *, language: str = "en") -> Record:
    """The record that a graph holds, as plain JSON; keys in the order of the form. `language` is that of the messages.

    Raises InvalidRecord naming what cannot be part of a record: no thing or several, a property
    its kind does not have, a value of another form, nodes that hang nowhere.

    >>> g = to_graph({"kind": "city", "id": "gent", "name": {"nl": "Gent"}}, "https://example.org/")
    >>> from_graph(g, "https://example.org/")
    {'kind': 'city', 'id': 'gent', 'name': {'nl': 'Gent'}}
    """
    declared = declared or declaration()
    kind, id, thing = _thing_of(graph, base, declared, language)
    reader = _Reader(graph, base, thing, declared, language)
    values = reader.structure(kind, thing, "")
    reader.refuse_leftovers()
    if reader.problems:
        raise InvalidRecord(kind.name, id, reader.problems)
    return {"kind": kind.name, "id": id, **values}


def _thing_of(graph: Graph, base: str, declared: Declaration, language: str) -> tuple[Kind, str, Node]:
    """The one thing a graph is about."""
    found = set()
    for subject, _, cls in graph.triples((None, RDF.type, None)):
        kind = declared.kind_of_class(str(cls))
        ours = parse_thing_iri(base, str(subject))
        if kind and ours and "#" not in str(subject) and ours[0] == kind.name:
            found.add((kind, ours[1], subject))
    if len(found) != 1:
        words = FORM.get(language, FORM["en"])
        names = ", ".join(sorted(quoted(id) for _, id, _ in found)) or words["nothing"]
        raise InvalidRecord("record", "", [Problem("", words["one thing"].format(base=base, found=names))])
    kind, id, subject = found.pop()
    check_id(kind.name, id)
    return kind, id, subject


class _Reader:
    """Reads one record's graph by the fields and remembers what it has not used."""

    def __init__(self, graph: Graph, base: str, thing: Node, declared: Declaration, language: str) -> None:
        self.graph, self.base, self.thing = graph, base, thing
        self.declared, self.language, self.words = declared, language, FORM.get(language, FORM["en"])
        self.problems: list[Problem] = []
        self.used: set[tuple] = set()

    def structure(self, structure: Structure, node: Node, where: str) -> Record:
        self.used.add((node, RDF.type, structure.cls))
        values: Record = {}
        for field in structure.fields:
            triples = [t for t in self.graph.triples((node, field.path, None)) if t[2] != structure.cls]
            self.used.update(triples)
            if triples:
                value = self.value(field, sorted((t[2] for t in triples), key=_term_key), where + field.key)
                if value not in (None, {}, []):
                    values[field.key] = value
        return values

    def value(self, field: Field, terms: list[Node], where: str) -> Any:
        if field.type in ("text", "texts"):
            return self.texts(field, terms, where)
        parts = [part for term in terms if (part := self.part(field, term, where)) is not None]
        if field.many:
            return in_order(field, parts)
        if len(parts) > 1:
            message = self.words["one value"].format(count=len(parts))
            self.problems.append(Problem(where, message, value=plain(parts)))
        return parts[0] if parts else None

    def texts(self, field: Field, terms: list[Node], where: str) -> Record:
        found: Record = {}
        for term in terms:
            if not isinstance(term, Literal) or not term.language:
                self.refuse(where, self.words["language tag"], term)
            elif field.type == "texts":
                found.setdefault(term.language, []).append(str(term))
            elif term.language in found:
                self.refuse(f"{where}@{term.language}", self.words["one wording"], term)
            else:
                found[term.language] = str(term)
        return found

    def part(self, field: Field, term: Node, where: str) -> Any:
        if field.type == "inner" and field.inner is not None:
            return self.inner(field, term, where)
        if isinstance(term, Literal):
            return self.literal(field, term, where)
        if field.type == "concept":
            choices = self.words["choice"].format(choices=", ".join(field.choices or ()))
            return field.notations.get(str(term)) or self.refuse(where, choices, term)
        if field.type == "ref":
            ours = parse_thing_iri(self.base, str(term))
            if ours and ours[0] == field.ref_kind and "#" not in str(term):
                return ours[1]
            kind = self.declared.kind(str(field.ref_kind)).called(self.language)
            return self.refuse(where, self.words["reference"].format(kind=kind), term)
        if field.type == "inner-ref":
            return self.own_node(term) or self.refuse(where, self.words["own node"], term)
        if field.type == "iri" and isinstance(term, URIRef) and is_iri(str(term)):
            return str(term)
        return self.refuse(where, self.words["not an address" if field.datatype else "no address"], term)

    def inner(self, field: Field, term: Node, where: str) -> Any:
        id = self.own_node(term)
        if id is None or field.inner is None:
            return self.refuse(where, self.words["node address"], term)
        values = self.structure(field.inner, term, f"{where}.{id}.")
        return values if field.key == "record" else {"id": id, **values}

    def own_node(self, term: Node) -> str | None:
        """The identifier of an inner node of this record."""
        head = f"{self.thing}#"
        return str(term)[len(head) :] if str(term).startswith(head) else None

    def literal(self, field: Field, term: Literal, where: str) -> Any:
        if field.datatype is None or str(term.datatype or "http://www.w3.org/2001/XMLSchema#string") != str(
            field.datatype
        ):
            return self.refuse(where, self.words["literal"].format(wanted=self.wanted(field)), term)
        text = str(term)
        if field.type == "integer":
            return (
                int(text)
                if re.fullmatch(r"-?(0|[1-9]\d{0,15})", text)
                else self.refuse(where, self.words["whole"], term)
            )
        if field.type == "boolean":
            return {"true": True, "false": False}.get(text, text)
        return text

    def wanted(self, field: Field) -> str:
        """What a literal of the field would be, in words."""
        words = self.words.get(f"wanted {field.type}", self.words["wanted"])
        kind = "" if field.ref_kind is None else self.declared.kind(field.ref_kind).called(self.language)
        type = str(field.datatype).replace("http://www.w3.org/2001/XMLSchema#", "xsd:")
        return words.format(choices=", ".join(field.choices or ()), kind=kind, type=type)

    def refuse(self, where: str, message: str, term: Node) -> Any:
        """Note a problem; gives None, which stands for "no value" in the caller's answer."""
        self.problems.append(Problem(where, message, value=plain(term)))

    def refuse_leftovers(self) -> None:
        """Nothing is dropped in silence: a triple that no field accounts for is a problem."""
        for subject, predicate, value in sorted(set(self.graph) - self.used, key=str):
            if not (str(subject) == f"{self.thing}#record" and str(predicate) in _SYSTEM_PROPERTIES):
                where = "" if subject == self.thing else str(subject).rpartition("#")[2]
                self.refuse(where, self.words["no part"].format(property=predicate), value)


_SYSTEM_PROPERTIES = {
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
    "http://xmlns.com/foaf/0.1/primaryTopic",
    "https://w3id.org/mentorgraph/ontology#state",
    "http://purl.org/dc/terms/modified",
    "http://www.w3.org/2002/07/owl#versionInfo",
    "http://www.w3.org/ns/prov#generatedAtTime",
    "http://www.w3.org/ns/prov#wasAttributedTo",
}
"""What the graph view adds to a published record's node; an exported graph may be read back."""


def in_order(field: Field, parts: list) -> list:
    """Lists in a stable order: inner nodes by `order` where they have one, then by number; other values as sorted.

    >>> claims = declaration().kinds["practice"].by_key["outcomes"]
    >>> [claim["id"] for claim in in_order(claims, [{"id": "claim-10"}, {"id": "claim-2"}])]
    ['claim-2', 'claim-10']
    """
    if field.type != "inner":
        return sorted(parts, key=str)
    return sorted(parts, key=lambda part: (part.get("order", 0), _natural(part["id"])))


def _natural(id: str) -> tuple:
    """claim-2 before claim-10."""
    head, _, tail = id.rpartition("-")
    return (head, int(tail), "") if tail.isascii() and tail.isdigit() else (id, 0, "")


def _term_key(term: Node) -> tuple:
    """An order of terms that does not depend on hashing: by language, then by text."""
    return (str(getattr(term, "language", "") or ""), str(term))


def to_ntriples(graph: Graph) -> str:
    """The graph as N-Triples, one line a triple, sorted: the form the ledger keeps and hashes.

    There are no blank nodes, so sorted lines are the same for the same graph.
    """
    lines = sorted(line for line in graph.serialize(format="nt", encoding="utf-8").decode().split("\n") if line)
    return "".join(f"{line}\n" for line in lines)


def graph_from_ntriples(text: str) -> Graph:
    """The graph of N-Triples that the ledger holds.

    >>> len(graph_from_ntriples('<urn:a> <urn:b> "007"@en .\\n'))
    1
    """
    return Graph(bind_namespaces="none").parse(data=text, format="nt")


def from_ntriples(text: str, base: str) -> Record:
    """The plain record of a ledger row's N-Triples.

    >>> g = to_graph({"kind": "city", "id": "gent", "name": {"nl": "Gent"}}, "https://example.org/")
    >>> from_ntriples(to_ntriples(g), "https://example.org/")["name"]
    {'nl': 'Gent'}
    """
    return from_graph(graph_from_ntriples(text), base)


def references(graph: Graph, base: str) -> set[tuple[str, str]]:
    """Every other record that a record's graph refers to, as (kind, id)."""
    subjects = {parse_thing_iri(base, str(subject)) for subject in graph.subjects()}
    found = {parse_thing_iri(base, str(value)) for value in graph.objects() if isinstance(value, URIRef)}
    return {one for one in found if one is not None} - {one for one in subjects if one is not None}


def to_json_ld(record: Record, base: str, context: object, declared: Declaration | None = None) -> dict[str, Any]:
    """The record as JSON-LD: the same short keys, with classes, full addresses and a context.

    `context` is the address of the published context, or the context itself.

    >>> linked = to_json_ld({"kind": "city", "id": "gent", "name": {"nl": "Gent"}}, "https://example.org/", "ctx")
    >>> linked["id"], linked["kind"], linked["name"]
    ('https://example.org/id/city/gent', 'City', {'nl': 'Gent'})
    """
    kind = (declared or declaration()).kind(record["kind"])
    thing = str(thing_iri(base, kind.name, record["id"]))
    body = {k: v for k, v in record.items() if k not in ("kind", "id", "iri")}
    said = {k: v for k, v in body.pop("record", {}).items() if k not in SYSTEM_KEYS}
    linked = {"id": thing, "kind": kind.name.capitalize(), **_linked(kind, body, base)}
    if said:
        linked["record"] = {"id": "#record", "@type": "http://www.w3.org/ns/dcat#CatalogRecord", **said}
    return {"@context": [context, {"@base": thing}], **linked}


def _linked(structure: Structure, values: Mapping[str, Any], base: str) -> Record:
    """Inner nodes with their classes; short names as the addresses they stand for."""
    linked: Record = {}
    for key, value in values.items():
        field = structure.by_key[key]
        if field.type == "inner" and field.inner:
            nodes = [
                {"id": f"#{one['id']}", "@type": str(field.inner.cls)}
                | _linked(field.inner, {k: v for k, v in one.items() if k != "id"}, base)
                for one in (value if field.many else [value])
            ]
            linked[key] = nodes if field.many else nodes[0]
        elif field.type in ("inner-ref", "ref", "concept"):
            addresses = [_address(field, one, base) for one in (value if field.many else [value])]
            linked[key] = addresses if field.many else addresses[0]
        else:
            linked[key] = value
    return linked


def _address(field: Field, value: str, base: str) -> str:
    """The address that a short name in a field stands for; nodes of the record itself relative to the thing's."""
    if field.type == "inner-ref":
        return f"#{value}"
    if field.type == "concept":
        return str((field.choices or {})[value])
    return str(thing_iri(base, str(field.ref_kind), value))
