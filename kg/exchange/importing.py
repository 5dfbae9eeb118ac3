"""Reads files of records: JSON Lines, JSON, JSON-LD, Turtle, TriG, N-Triples, N-Quads, RDF/XML.

Each may be packed with gzip (".nq.gz"), as dumps are; the limit of size is that of what is unpacked.
Reading says for each record where it stood, and what was unreadable; nothing is decided here.
Statements about things that are no records (the head of a concept scheme, say) are told, not
dropped in silence. Remote JSON-LD contexts are never fetched. Parts of records that have no address (blank nodes) are
given one, the same each time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax import SAXParseException

from rdflib import RDF, BNode, Dataset, Graph, URIRef
from rdflib.graph import DATASET_DEFAULT_GRAPH_ID
from rdflib.plugins.parsers.notation3 import BadSyntax
from rdflib.term import Node

from kg.errors import InvalidRecord, KgError, TooLarge, UnreadableInput, in_digits, quoted
from kg.fields import Field, declaration, json_ld_context
from kg.records import SURROGATE, SYSTEM_KEYS, Record, from_graph, next_inner_id
from kg.vocabulary import CONCEPTS, DEFAULT_BASE, MG, parse_thing_iri, record_iri

Triple = tuple[Node, Node, Node]
Quad = tuple[Node, Node, Node, Node | None]

FORMATS = {
    ".jsonl": "jsonl",
    ".json": "json",
    ".jsonld": "json-ld",
    ".ttl": "turtle",
    ".trig": "trig",
    ".nt": "nt",
    ".nq": "nquads",
    ".rdf": "xml",
}
PUBLISHED = URIRef(f"{CONCEPTS}record-state/published")
FILE_LIMIT_BYTES = 200 * 1024 * 1024
LINE_LIMIT_CHARACTERS = 2_000_000


@dataclass(frozen=True)
class Row:
    """One record as it was read, or the reason why it could not be.

    `place` names file and line or subject. `said` holds what the file says about state and
    visibility, which is not part of the record's graph.
    """

    place: str
    record: Record | None = None
    said: Record = field(default_factory=dict)
    error: KgError | None = None


@dataclass(frozen=True)
class Standing:
    """A record on file that statements are to be added to: its address, and every name that a part of it has or had.

    `statements` are its own as it stands: what is added need not say again of what class it is and whose parts are meant.
    """

    thing: str
    names: Collection[str] = ()
    statements: Collection[Triple] = ()

    def understood(self, added: Collection[Triple]) -> list[Triple]:
        """Of its statements the class and the links that lead to the parts that `added` speaks of."""
        spoken_of = {s for s, _, _ in added if isinstance(s, URIRef)}
        if not any(str(s).partition("#")[0] == self.thing for s in spoken_of):
            return []
        found = [(s, p, o) for s, p, o in self.statements if p == RDF.type and str(s) == self.thing]
        links = {o: (s, p, o) for s, p, o in self.statements if str(o).startswith(f"{self.thing}#")}
        wanted: list[Node] = [s for s in spoken_of if s in links]
        while wanted:
            link = links.pop(wanted.pop(), None)
            if link is not None:
                found.append(link)
                wanted.append(link[0])
        return found


def read_records(
    path: Path, base: str, *, ignored: list[str] | None = None, name: str | None = None, language: str = "en"
) -> Iterator[Row]:
    """Every record of a file, in the file's order (RDF: by identifier).

    Addresses below the default base are taken as the ledger's own, so that shipped files fit any
    ledger. Subjects that are no records are added to `ignored`. `name` is what people call the file, its own name
    when None; its ending tells the format. `language` is that of the messages about records that RDF does not describe.

    Raises UnreadableInput for a file that cannot be read at all, TooLarge above 200 MB (unpacked).

    >>> from ontology import path
    >>> rows = list(read_records(path("examples/valid/city.ttl"), DEFAULT_BASE))
    >>> [row.record["kind"] for row in rows]
    ['city']
    """
    name = name or path.name
    endings = [ending.lower() for ending in Path(name).suffixes]
    packed = endings[-1:] == [".gz"]
    format = FORMATS.get("".join(endings[:-1][-1:] if packed else endings[-1:]))
    if format is None:
        raise UnreadableInput(
            {
                "en": (f"{name}: the ending tells the format; use one of {', '.join(FORMATS)}, or one of them and .gz"),
                "fr": f"{name} : la terminaison dit le format ; prenez l’une de {', '.join(FORMATS)}, ou l’une d’elles et .gz",
            }
        )
    text = _text_of(path, name, packed)
    if format == "jsonl":
        yield from _lines(name, text)
    elif format == "json" and not _is_json_ld(text):
        yield from _json(name, text)
    else:
        yield from rdf_rows(name, text, "json-ld" if format == "json" else format, base, ignored, language=language)


def _text_of(path: Path, name: str, packed: bool) -> str:
    """The file as text; UTF-8, with or without byte order mark. No more is read than a file may have."""
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
        if len(content) > FILE_LIMIT_BYTES:
            raise TooLarge(
                {
                    "en": f"{name}: files may have {FILE_LIMIT_BYTES // 1024 // 1024} MB at most; split it",
                    "fr": f"{name} : un fichier fait au plus {FILE_LIMIT_BYTES // 1024 // 1024} Mo ; divisez-le",
                }
            )
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise UnreadableInput(
            {
                "en": f"{name}: byte {error.start + 1} is not UTF-8; save the file as UTF-8",
                "fr": f"{name} : l’octet {error.start + 1} n’est pas de l’UTF-8 ; enregistrez le fichier en UTF-8",
            }
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableInput(
            {
                "en": f"{name}: is not packed with gzip, or is cut off ({error})",
                "fr": f"{name} : n’est pas comprimé avec gzip, ou est tronqué ({error})",
            }
        ) from None
    except OSError as error:
        raise UnreadableInput(
            {"en": f"{name}: cannot be read ({error.strerror})", "fr": f"{name} : ne peut être lu ({error.strerror})"}
        ) from None


def _lines(name: str, text: str) -> Iterator[Row]:
    """JSON Lines: one record a line, empty lines allowed."""
    for number, line in enumerate(text.split("\n"), start=1):
        place = f"{name} line {number}"
        if len(line) > LINE_LIMIT_CHARACTERS:
            yield Row(
                place,
                error=TooLarge(
                    {
                        "en": f"{place}: a record may have {LINE_LIMIT_CHARACTERS:,} characters at most",
                        "fr": f"{place} : une fiche a {in_digits(LINE_LIMIT_CHARACTERS)} caractères au plus",
                    }
                ),
            )
        elif line.strip():
            try:
                yield _row(place, parsed_json(line))
            except ValueError as error:
                yield Row(
                    place,
                    error=UnreadableInput(
                        {
                            "en": f"{place}: is not JSON: {error}",
                            "fr": f"{place} : n’est pas du JSON : {json_fault(error)}",
                        }
                    ),
                )


def _json(name: str, text: str) -> Iterator[Row]:
    """One record, or a list of records."""
    try:
        value = parsed_json(text)
    except ValueError as error:
        raise UnreadableInput(
            {"en": f"{name}: is not JSON: {error}", "fr": f"{name} : n’est pas du JSON : {json_fault(error)}"}
        ) from None
    for number, one in enumerate(value if isinstance(value, list) else [value], start=1):
        yield _row(f"{name} record {number}", one)


def parsed_json(text: str) -> Any:
    """JSON without its extensions: no NaN, and no key twice (the second would silently win).

    Raises ValueError, saying where, for anything else; `json_fault` tells it in French.

    >>> parsed_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    kg.exchange.importing.NotJson: the key 'a' stands twice
    """

    def refuse(constant: str) -> None:
        raise NotJson(f"{constant} is no JSON value", f"{constant} n’est pas une valeur JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if any(SURROGATE.search(key) for key in found):
            raise NotJson(
                "a key has half of a character (a lone surrogate)",
                "une clé contient la moitié d’un caractère (surrogate isolé)",
            )
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise NotJson(f"the key {quoted(twice)} stands twice", f"la clé {quoted(twice)} y est deux fois")
        return found

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    except RecursionError:
        raise NotJson("it is nested too deeply", "il est imbriqué trop profondément") from None


class NotJson(ValueError):
    """JSON that is refused for more than its syntax; `french` is the message in French."""

    def __init__(self, english: str, french: str) -> None:
        super().__init__(english)
        self.french = french


def json_fault(error: ValueError) -> str:
    """What `parsed_json` found wrong, in French; the syntax in the parser's words, with their place in French.

    >>> try:
    ...     parsed_json("{")
    ... except ValueError as error:
    ...     print(json_fault(error))
    ligne 1, colonne 2 (Expecting property name enclosed in double quotes)
    """
    if isinstance(error, json.JSONDecodeError):
        return f"ligne {error.lineno}, colonne {error.colno} ({error.msg})"
    return error.french if isinstance(error, NotJson) else str(error)


def _row(place: str, value: Any) -> Row:
    """A row from one JSON value."""
    if not isinstance(value, dict):
        return Row(
            place,
            error=UnreadableInput(
                {
                    "en": f"{place}: a record is an object in braces, not {quoted(value)}",
                    "fr": f"{place} : une fiche est un objet entre accolades, non {quoted(value)}",
                }
            ),
        )
    try:
        halved = SURROGATE.search(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return Row(
            place,
            error=UnreadableInput(
                {"en": f"{place}: is nested too deeply", "fr": f"{place} : est imbriqué trop profondément"}
            ),
        )
    if halved:
        wrong = {
            "en": f"{place}: has half of a character (a lone surrogate); save the text as UTF-8 again",
            "fr": f"{place} : contient la moitié d’un caractère (surrogate isolé) ; réenregistrez le texte en UTF-8",
        }
        return Row(place, error=UnreadableInput(wrong))
    said = value.get("record")
    system = {key: said[key] for key in SYSTEM_KEYS if key in said} if isinstance(said, dict) else {}
    return Row(place, value, system)


def _is_json_ld(text: str) -> bool:
    """Whether a JSON file is linked data rather than plain records."""
    return '"@context"' in text or '"@id"' in text


def rdf_rows(
    name: str,
    text: str,
    format: str,
    base: str,
    ignored: list[str] | None = None,
    *,
    onto: Standing | None = None,
    in_own_graphs: bool = False,
    language: str = "en",
) -> Iterator[Row]:
    """Records out of RDF: statements are gathered by the record their subject belongs to, whatever graph they stand in.

    With `in_own_graphs` a statement may stand in its record's graph or in none: UnreadableInput names another.
    `format` is one of those in FORMATS; `name` stands in messages. What is added to a record on file (`onto`) gives
    its new parts names that are free there. A record that is said to be published was for all to see: RDF of others is
    never given out. Raises UnreadableInput for what is not that.
    """
    quads = [
        (_rebased(s, base), _rebased(p, base), _rebased(o, base), _rebased(graph, base) if graph else None)
        for s, p, o, graph in _quads(name, text, format)
    ]
    if in_own_graphs:
        _refuse_other_graphs(name, quads, base)
    added = list(dict.fromkeys((s, p, o) for s, p, o, _ in quads))
    triples = _named([*added, *(onto.understood(added) if onto is not None else ())], onto)
    graphs: dict[tuple[str, str], Graph] = {}
    others: set[str] = set()
    for s, p, o in triples:
        key = parse_thing_iri(base, str(s)) if isinstance(s, URIRef) else None
        if key is None:
            others.add("nodes without an address" if isinstance(s, BNode) else str(s))
        else:
            graphs.setdefault(key, Graph(bind_namespaces="none")).add((s, p, o))
    if ignored is not None:
        ignored.extend(sorted(others))
    for kind, id in sorted(graphs):
        place = f"{name} {kind} {id}"
        try:
            if any(isinstance(value, BNode) for value in graphs[kind, id].objects()):
                raise UnreadableInput(
                    {
                        "en": (
                            f"{place}: has a node without an address (a blank node), and nobody could point to it later; "
                            "give it one such as …/x#claim-1"
                        ),
                        "fr": (
                            f"{place} : a un nœud sans adresse (un nœud anonyme), que personne ne pourrait citer plus tard ; "
                            "donnez-lui-en une telle que …/x#claim-1"
                        ),
                    }
                )
            published = (record_iri(base, kind, id), MG.state, PUBLISHED) in graphs[kind, id]
            said = {"visibility": "public"} if published else {}
            yield Row(place, from_graph(graphs[kind, id], base, language=language), said)
        except InvalidRecord as error:
            yield Row(place, error=InvalidRecord(kind, id, error.problems))
        except KgError as error:
            yield Row(place, error=error)


def _refuse_other_graphs(name: str, quads: Iterable[Quad], base: str) -> None:
    """A blank node has no record yet; the statement that leads to it has."""
    for s, _, _, graph in quads:
        key = parse_thing_iri(base, str(s)) if isinstance(s, URIRef) else None
        if graph is not None and key is not None and graph != record_iri(base, *key):
            own = record_iri(base, *key)
            raise UnreadableInput(
                {
                    "en": f"{name}: a statement about {quoted(s, 200)} stands in the graph {quoted(graph, 200)}, and would "
                    f"be stored in {quoted(own, 200)}: name that one, or none",
                    "fr": f"{name} : un énoncé sur {quoted(s, 200)} se trouve dans le graphe {quoted(graph, 200)} et serait "
                    f"enregistré dans {quoted(own, 200)} : nommez celui-ci, ou aucun",
                }
            )


def _named(triples: list[Triple], onto: Standing | None) -> list[Triple]:
    """The statements with addresses for the blank nodes that are parts of a record.

    A part is numbered on from those that have an address, here or in the record on file that this is added to, in an
    order made from what the parts say, so that reading a file twice gives the same addresses whatever labels or order
    its writer chose. Blank nodes in other places, or in two records at once, are left as they are.
    """
    blank = [(s, p, o) for s, p, o in triples if isinstance(o, BNode)]
    if not blank:
        return triples
    classes = {s: o for s, p, o in triples if p == RDF.type and isinstance(s, URIRef)}
    owners: dict[BNode, set[tuple[URIRef, Field]]] = {}
    for s, p, o in blank:
        kind = declaration().kind_of_class(str(classes.get(s))) if isinstance(s, URIRef) else None
        field = kind.by_path.get(str(p)) if kind is not None else None
        if isinstance(s, URIRef) and isinstance(o, BNode) and field is not None and field.inner is not None:
            owners.setdefault(o, set()).add((s, field))
    colours = _colours(triples)
    taken: dict[URIRef, set[str]] = {}
    for s in {one for one, _, _ in triples if isinstance(one, URIRef) and "#" in one}:
        thing, _, node = str(s).partition("#")
        taken.setdefault(URIRef(thing), set()).add(node)
    for thing, _ in (owner for of in owners.values() for owner in of):
        if onto is not None and str(thing) == onto.thing:
            taken.setdefault(thing, set()).update(onto.names)
    names: dict[Node, URIRef] = {}
    mine = sorted((b for b, of in owners.items() if len(of) == 1), key=lambda b: colours[b])
    for node in mine:
        ((thing, field),) = owners[node]
        assert field.inner is not None
        id = "record" if field.key == "record" else next_inner_id(field.inner.id_prefix, taken.get(thing, ()))
        taken.setdefault(thing, set()).add(id)
        names[node] = URIRef(f"{thing}#{id}")
    return [(names.get(s, s), p, names.get(o, o)) for s, p, o in triples]


def _colours(triples: list[Triple]) -> dict[BNode, str]:
    """A digest of what is said of each blank node and by it, through four steps.

    Nodes that still look alike then say the same, and it does not matter which comes first.
    """
    nodes = {term for s, _, o in triples for term in (s, o) if isinstance(term, BNode)}
    about: dict[Node, list[Triple]] = {node: [] for node in nodes}
    for triple in triples:
        for node in {triple[0], triple[2]}:
            if node in about:
                about[node].append(triple)
    colours = dict.fromkeys(nodes, "")
    for _ in range(4):
        colours = {
            node: hashlib.sha256(
                "\n".join(sorted(_told(t, node, colours) for t in about[node])).encode(errors="surrogatepass")
            ).hexdigest()
            for node in nodes
        }
    return colours


def _told(triple: Triple, node: BNode, colours: dict[BNode, str]) -> str:
    """A statement as one line in which blank nodes go by what is known of them; addresses may be none."""
    return " ".join(
        "it"
        if term == node
        else f"_:{colours[term]}"
        if isinstance(term, BNode)
        else f"<{term}>"
        if isinstance(term, URIRef)
        else term.n3()
        for term in triple
    )


def _quads(name: str, text: str, format: str) -> list[Quad]:
    """All statements of an RDF text, each with the address of the graph that it stands in, None where it has none."""
    dataset = Dataset()
    if format == "xml" and "<!DOCTYPE" in text:
        raise UnreadableInput(
            {
                "en": f"{name}: document types (<!DOCTYPE) and entities are not read; write the addresses out",
                "fr": f"{name} : les types de document (<!DOCTYPE) et les entités ne sont pas lus ; écrivez les adresses en entier",
            }
        )
    try:
        dataset.parse(data=_with_own_context(name, text) if format == "json-ld" else text, format=format)
    except (KgError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  rdflib's readers raise all sorts on broken text, Exception itself too
        english, french = _first_line(error)
        raise UnreadableInput(
            {
                "en": f"{name}: is not readable as {format}: {english}",
                "fr": f"{name} : n’est pas lisible comme {format} : {french}",
            }
        ) from None
    found: list[Quad] = [
        (s, p, o, graph if isinstance(graph, URIRef) and graph != DATASET_DEFAULT_GRAPH_ID else None)
        for s, p, o, graph in dataset.quads()
    ]
    if any(isinstance(p, BNode) for _, p, _, _ in found):
        raise UnreadableInput(
            {
                "en": f"{name}: a property is a blank node; properties have addresses",
                "fr": f"{name} : une propriété est un nœud anonyme ; les propriétés ont des adresses",
            }
        )
    return found


def _first_line(error: Exception) -> tuple[str, str]:
    """Where and what, in English and French, without the reader's quotation of the whole text; its words stay English."""
    if isinstance(error, BadSyntax):
        return f"line {error.lines + 1}: {error._why}", f"ligne {error.lines + 1} : {error._why}"
    if isinstance(error, SAXParseException):
        line, said = error.getLineNumber(), error.getMessage()
        return f"line {line}: {said}", f"ligne {line} : {said}"
    said = str(error).strip().split("\n")[0][:200] or type(error).__name__
    return said, json_fault(error) if isinstance(error, NotJson | json.JSONDecodeError) else said


def _with_own_context(name: str, text: str) -> str:
    """The JSON-LD text with our own context written out, and any other remote context refused."""
    own = json_ld_context(declaration())["@context"]

    def local(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: context(part) if key == "@context" else local(part) for key, part in value.items()}
        return [local(part) for part in value] if isinstance(value, list) else value

    def context(value: Any) -> Any:
        if isinstance(value, list):
            return [context(part) for part in value]
        if isinstance(value, dict) and "@import" not in value:
            return {key: context(part) if key == "@context" else local(part) for key, part in value.items()}
        if isinstance(value, str | dict):
            if isinstance(value, dict) or not value.endswith("/context.jsonld"):
                raise UnreadableInput(
                    {
                        "en": (
                            f"{name}: the context {quoted(value)} is not fetched; write it out in the file, "
                            f"or use {DEFAULT_BASE}context.jsonld"
                        ),
                        "fr": (
                            f"{name} : le contexte {quoted(value)} n’est pas téléchargé ; écrivez-le dans le fichier, "
                            f"ou prenez {DEFAULT_BASE}context.jsonld"
                        ),
                    }
                )
            return own
        if value is None:
            return None
        raise UnreadableInput(
            {
                "en": f"{name}: {quoted(value)} is no JSON-LD context",
                "fr": f"{name} : {quoted(value)} n’est pas un contexte JSON-LD",
            }
        )

    said = parsed_json(text)
    if not isinstance(said, dict | list):
        raise UnreadableInput(
            {
                "en": f"{name}: JSON-LD is an object in braces, or a list of them, not {quoted(said)}",
                "fr": f"{name} : du JSON-LD est un objet entre accolades, ou une liste de tels objets, non {quoted(said)}",
            }
        )
    return json.dumps(local(said))


def _rebased(term: Node, base: str) -> Node:
    """Addresses of records below the default base become the ledger's own."""
    if isinstance(term, URIRef) and base != DEFAULT_BASE and term.startswith(f"{DEFAULT_BASE}id/"):
        return URIRef(base + term[len(DEFAULT_BASE) :])
    return term
