"""What changes between two forms of a record: patches, differences, three-way mergers, blame, unions.

Plain JSON records and canonical N-Triples in, values out. Everything follows the fields of the record's kind. One place
in a record is named by its *path*: "city", "title@fr", "outcomes.claim-2.value", "outcomes.claim-2.statement@en",
"record.licence"; a list has one path ("themes"), and so has an inner node as a whole ("outcomes.claim-2").

Records are compared in the form the ledger holds: order and repetition in lists mean nothing, empty values are absent,
language tags are the same in capitals and small letters, what the ledger itself says of a record (`record.state` ...) does
not count, and decimal numbers are compared as numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from kg.errors import BadRequest, InvalidRecord, Problem, TooLarge, in_digits, plain, quoted
from kg.fields import Field, Kind, Structure, declaration, in_language
from kg.records import FORM, SLUG, SYSTEM_KEYS, Record, in_order, is_blank, next_inner_id

PATCH_DEPTH = 12
"""How deep a patch may be nested; a text of an inner node is at depth 4."""

PATCH_PARTS = 100_000
"""How many objects, lists and single values a patch may have."""

JOINED_FROM = 2000
"""Where two records that are merged have different wordings, fields with room for that many characters take both."""

Path = str
Tree = dict[str, Any]
"""A record's values by key; texts by tag, lists without repetition in order, inner nodes by identifier."""

_ROLES = ("reader", "contributor", "curator", "manager", "administrator")
_SHOWN = 120
"""Characters of a value that a sentence quotes."""

_REMOVED = object()
"""Stands for null in a list that is patched as an object by identifier."""

_WORDS = {
    "en": {
        "added": "{label}: {after} added",
        "removed": "{label}: {before} removed",
        "changed": "{label}: {before} became {after}",
        "elements": "{label}: {parts}",
        "plus": "added {values}",
        "minus": "removed {values}",
        "quote": "“{text}”",
        "colon": ": ",
        "yes": "yes",
        "no": "no",
        "noted": "{label}: {kept} stays; {other} is kept in the notes on the record",
        "joined": "{label}: {other} was added below {kept}",
        "self": "{label}: {other} was left out, since the record would name itself",
        "lost": "{label}: {kept} stays; {other} remains in the history of the merged record only, the notes are full",
        "note": "From the merged record {id}: {label}: {value}",
    },
    "fr": {
        "added": "{label} : {after} ajouté",
        "removed": "{label} : {before} retiré",
        "changed": "{label} : {before} devient {after}",
        "elements": "{label} : {parts}",
        "plus": "ajout de {values}",
        "minus": "retrait de {values}",
        "quote": "« {text} »",
        "colon": " : ",
        "yes": "oui",
        "no": "non",
        "noted": "{label} : {kept} reste ; {other} est gardé dans les notes sur la fiche",
        "joined": "{label} : {other} a été ajouté sous {kept}",
        "self": "{label} : {other} n'a pas été repris, car la fiche se nommerait elle-même",
        "lost": "{label} : {kept} reste ; {other} ne subsiste que dans l'historique de la fiche fusionnée, "
        "les notes étant pleines",
        "note": "De la fiche fusionnée {id} : {label} : {value}",
    },
}

_PATCHED = {
    "en": {
        "patch": "a patch is an object with the fields to change",
        "stays": "stays {value}; leave it out of a patch",
        "step": "follows from steps such as submitting and publishing; leave it out of a patch",
        "nodes": "must be a list of objects, or an object by identifier",
        "other": "is the identifier of another part of this record",
        "bad id": "is no identifier; write for example 'claim-1', or leave it out",
        "again": "stands twice in this patch",
        "called": "must be {value}, as the element is called, or be left out",
    },
    "fr": {
        "patch": "une modification est un objet avec les champs à changer",
        "stays": "reste {value} ; ne l'indiquez pas dans une modification",
        "step": "découle d'étapes comme la soumission et la publication ; ne l'indiquez pas dans une modification",
        "nodes": "doit être une liste d'objets, ou un objet par identifiant",
        "other": "est l'identifiant d'un autre élément de cette fiche",
        "bad id": "n'est pas un identifiant ; écrivez par exemple 'claim-1', ou omettez-le",
        "again": "figure deux fois dans cette modification",
        "called": "doit être {value}, comme l'élément se nomme, ou être omis",
    },
}
"""What is wrong with a patch alone; the form of values has the words of `kg.records.FORM`."""


def role_of(author: str) -> str:
    """The role in which a ledger's row was written; its author is "role/account", older ones are the administrator's.

    >>> role_of("curator/ilze"), role_of("start data"), role_of("nobody/ilze")
    ('curator', 'administrator', 'administrator')
    """
    role, slash, account = author.partition("/")
    return role if slash and account and role in _ROLES else "administrator"


# --- patch -----------------------------------------------------------------------------------------------------------


def merge_patch(record: Mapping[str, Any], patch: object, *, taken: Iterable[str] = (), language: str = "en") -> Record:
    """The record with a JSON Merge Patch (RFC 7396) applied by field; `record` itself stays as it is.

    A field named in the patch is replaced, null removes it, others stay. Beyond the RFC: texts are patched by language
    tag, and inner nodes by their `id`. An element of such a list with the `id` of a node changes that node, any other
    adds one, nodes not listed stay; written as an object by `id`, null removes a node:
    `{"outcomes": {"claim-2": null, "claim-3": {"value": "7"}}}`. Other lists are replaced whole.

    `taken` holds every identifier that inner nodes of the record ever had. A new node without `id`, or with one that was
    used before, gets the next free one, and the patch's own references to it follow.

    Raises InvalidRecord with each place that cannot be patched (a field that is not there, a value of another form than
    an object or list where one is needed, another `kind` or `id`, what only steps such as publishing change) and TooLarge
    beyond PATCH_DEPTH or PATCH_PARTS. Whether the result is a record is for `kg.records.to_graph` and the shapes.

    >>> old = {"kind": "practice", "id": "x", "title": {"en": "Table"}, "outcomes": [{"id": "claim-1", "value": "7"}]}
    >>> new = merge_patch(old, {"title": {"fr": "Une table"}, "outcomes": [{"id": "claim-1", "unit": {"en": "duos"}}, {}]})
    >>> new["title"], new["outcomes"]
    ({'en': 'Table', 'fr': 'Une table'}, [{'id': 'claim-1', 'value': '7', 'unit': {'en': 'duos'}}, {'id': 'claim-2'}])
    >>> merge_patch(new, {"title": {"en": None}, "outcomes": {"claim-1": None, "claim-2": {"value": "8"}}})
    {'kind': 'practice', 'id': 'x', 'title': {'fr': 'Une table'}, 'outcomes': [{'id': 'claim-2', 'value': '8'}]}
    """
    merged, problems = patched(record, patch, taken=taken, language=language)
    if problems:
        raise InvalidRecord(str(record.get("kind")), str(record.get("id", "")), problems)
    return merged


def patched(
    record: Mapping[str, Any], patch: object, *, taken: Iterable[str] = (), language: str = "en"
) -> tuple[Record, list[Problem]]:
    """The record as `merge_patch` gives it, with what cannot be patched left as it was, and the problems of that.

    For callers who tell what is wrong with the rest in the same go. `language` is that of the messages.

    >>> patched({"kind": "city", "id": "x", "country": "BE"}, {"country": "LV", "nmae": 1})[0]["country"]
    'LV'
    """
    _check_size(patch)
    kind = declaration().kind(str(record.get("kind")))
    patcher = _Patcher(kind, record, taken, language)
    if isinstance(patch, Mapping):
        patcher.give_ids(kind, record, patch, "")
        merged = patcher.structure(kind, record, {k: v for k, v in patch.items() if patcher.is_change(k, v)}, "")
    else:
        merged = dict(record)
        patcher.problem("", patcher.words["patch"], patch)
    return merged, patcher.problems


def _check_size(value: object) -> None:
    """Refuse what is too deep or too long to walk through, without recursion."""
    level, parts = [value], 0
    for _ in range(PATCH_DEPTH + 1):
        parts += len(level)
        if parts > PATCH_PARTS:
            raise TooLarge(
                {
                    "en": f"a patch may have at most {PATCH_PARTS:,} values; send it in several",
                    "fr": f"une modification (patch) a {in_digits(PATCH_PARTS)} valeurs au plus ; envoyez-en plusieurs",
                }
            )
        level = [
            part
            for one in level
            if isinstance(one, (Mapping, list))
            for part in (one.values() if isinstance(one, Mapping) else one)
        ]
        if not level:
            return
    raise TooLarge(
        {
            "en": f"a patch may be nested at most {PATCH_DEPTH} levels deep; a record's values are at most 4 deep",
            "fr": f"une modification (patch) est imbriquée sur {PATCH_DEPTH} niveaux au plus ; les valeurs d’une fiche le sont sur 4 au plus",
        }
    )


class _Patcher:
    """Applies one patch and gathers every problem on the way."""

    def __init__(self, kind: Kind, record: Mapping[str, Any], taken: Iterable[str], language: str) -> None:
        self.record = record
        self.words = {**FORM.get(language, FORM["en"]), **_PATCHED.get(language, _PATCHED["en"])}
        self.problems: list[Problem] = []
        self.present = set(_inner_ids(kind, record))
        self.former = {*taken} - self.present
        self.taken = self.former | self.present
        self.renamed: dict[str, str] = {}

    def problem(self, where: str, message: str, value: object = None) -> None:
        self.problems.append(Problem(where, message, value=None if value is None else plain(value)))

    def is_change(self, key: object, value: object) -> bool:
        """Whether a member of the patch is a field to change, not the record's own name, which may be repeated."""
        if key not in ("kind", "id", "iri"):
            return True
        name = f"{self.record.get('kind')}/{self.record.get('id')}"
        fits = str(value).endswith(f"/id/{name}") if key == "iri" else value == self.record.get(str(key))
        if not fits:
            self.problem(str(key), self.words["stays"].format(value=quoted(self.record.get(str(key), name))), value)
        return False

    def give_ids(self, structure: Structure, values: Mapping[str, Any], patch: Mapping[str, Any], where: str) -> None:
        """Choose identifiers for the patch's new nodes that name one, before anything refers to them."""
        for key, change in patch.items():
            declared = structure.by_key.get(key)
            if declared is None or declared.inner is None or declared.key == "record":
                continue
            there = {one.get("id"): one for one in _nodes(values.get(key))}
            for id, part in _elements(declared, change):
                if isinstance(id, str) and isinstance(part, Mapping) and id != "record":
                    if id not in there and SLUG.fullmatch(id) and id in self.former:
                        self.renamed[id] = next_inner_id(
                            declared.inner.id_prefix, {*self.taken, *self.renamed.values()}
                        )
                    self.taken.add(self.renamed.get(id, id))
                    self.give_ids(declared.inner, there.get(id, {}), part, where)

    def structure(
        self, structure: Structure, values: Mapping[str, Any], patch: Mapping[str, Any], where: str
    ) -> Record:
        merged = dict(values)
        for key, change in patch.items():
            declared = structure.by_key.get(key)
            if declared is None:
                known = ", ".join(structure.by_key)
                self.problem(where + str(key)[:60], self.words["unknown"].format(value=quoted(key), known=known))
                continue
            value = self.value(declared, merged.get(key), change, where + key)
            if value is None or value == {} or value == []:
                merged.pop(key, None)
            else:
                merged[key] = value
        return merged

    def value(self, declared: Field, current: Any, change: Any, where: str) -> Any:
        """One field after the patch; None where it is no longer there."""
        if declared.key == "record":
            return self.record_part(declared, current or {}, change, where)
        if change is None:
            return None
        if declared.type in ("text", "texts"):
            return self.texts(current or {}, change, where)
        if declared.type == "inner":
            return self.inner(declared, current, change, where)
        if declared.type == "inner-ref":
            refs = change if isinstance(change, list) else [change]
            followed = [self.renamed.get(ref, ref) if isinstance(ref, str) else ref for ref in refs]
            return followed if isinstance(change, list) else followed[0]
        return change

    def record_part(self, declared: Field, current: Mapping[str, Any], change: Any, where: str) -> Record:
        """What is said about the record itself; the part that the ledger says may be repeated, not changed.

        Only who shall see it is the patch's to say; whether that is allowed, and a visibility, is seen on saving.
        """
        system = {key: current[key] for key in SYSTEM_KEYS if key in current}
        if change is None:
            return system
        if not isinstance(change, Mapping):
            self.problem(where, self.words["object"], change)
            return dict(current)
        current = dict(current)
        if change.get("visibility") is not None:
            current["visibility"] = system["visibility"] = change["visibility"]
        for key in SYSTEM_KEYS:
            if key in change and (key not in system or change[key] != system[key]):
                self.problem(f"{where}.{key}", self.words["step"], change[key])
        assert declared.inner is not None
        said = {k: v for k, v in change.items() if k not in (*SYSTEM_KEYS, "id")}
        return self.structure(declared.inner, current, said, where + ".")

    def texts(self, current: Mapping[str, Any], change: Any, where: str) -> Any:
        if not isinstance(change, Mapping):
            self.problem(where, self.words["languages"], change)
            return current
        merged = dict(current)
        for tag, wording in change.items():
            spelt = next((one for one in merged if one.lower() == str(tag).lower()), tag)
            if wording is None or wording == []:
                merged.pop(spelt, None)
            else:
                merged[spelt] = wording
        return merged

    def inner(self, declared: Field, current: Any, change: Any, where: str) -> Any:
        if not isinstance(change, (list, Mapping) if declared.many else Mapping):
            self.problem(where, self.words["nodes" if declared.many else "object"], change)
            return current
        nodes = {one["id"]: one for one in _nodes(current)}
        if not declared.many and isinstance(change, Mapping):
            change = {"id": next(iter(nodes), None), **change}
            nodes = {id: one for id, one in nodes.items() if id == change["id"]}
        seen: set[str] = set()
        for position, (id, part) in enumerate(_elements(declared, change), start=1):
            if not self.usable(id, part, seen, f"{where}.{str(id or position)[:60]}"):
                continue
            if part is _REMOVED:
                nodes.pop(id, None)
                continue
            assert declared.inner is not None
            here = self.renamed.get(id, id) or next_inner_id(declared.inner.id_prefix, self.taken)
            if here not in nodes and here in self.present:
                self.problem(f"{where}.{here}.id", self.words["other"], here)
                continue
            self.taken.add(here)
            said = {key: value for key, value in part.items() if key != "id"}
            nodes[here] = self.structure(declared.inner, nodes.get(here, {"id": here}), said, f"{where}.{here}.")
        return list(nodes.values()) if declared.many else next(iter(nodes.values()), None)

    def usable(self, id: Any, part: Any, seen: set[str], where: str) -> bool:
        """Whether one element of a patched list says what to do, with a problem noted otherwise."""
        before = len(self.problems)
        if part is not _REMOVED and not isinstance(part, Mapping):
            self.problem(where, self.words["object"], part)
        if id is not None and not (isinstance(id, str) and len(id) <= 120 and SLUG.fullmatch(id) and id != "record"):
            self.problem(f"{where}.id", self.words["bad id"], id)
        elif id in seen:
            self.problem(f"{where}.id", self.words["again"], id)
        elif isinstance(part, Mapping) and part.get("id", id) != id:
            self.problem(f"{where}.id", self.words["called"].format(value=quoted(id)), part["id"])
        seen.update([id] if isinstance(id, str) else [])
        return len(self.problems) == before


def _elements(declared: Field, change: Any) -> list[tuple[Any, Any]]:
    """The elements of a patched list, given as a list or as an object by identifier, each as (identifier, part)."""
    if declared.many and isinstance(change, Mapping):
        return [(id, _REMOVED if part is None else part) for id, part in change.items()]
    listed = change if isinstance(change, list) else [change]
    return [(one.get("id") if isinstance(one, Mapping) else None, one) for one in listed]


def _nodes(value: Any) -> list[Any]:
    """The inner nodes of a field: a list, one alone or none."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _inner_ids(structure: Structure, values: Mapping[str, Any]) -> Iterator[str]:
    """The identifiers of all inner nodes that a record has now."""
    for declared in structure.fields:
        if declared.inner is not None and declared.key != "record":
            for one in _nodes(values.get(declared.key)):
                if isinstance(one, Mapping):
                    yield from [one["id"]] if isinstance(one.get("id"), str) else []
                    yield from _inner_ids(declared.inner, one)


# --- trees: records as they are compared -----------------------------------------------------------------------------


def _tree(structure: Structure, values: Mapping[str, Any], spelling: dict[str, str], taken: set[str]) -> Tree:
    """The values in the form that is compared; `spelling` gives each language tag one spelling for all trees."""
    tree: Tree = {}
    for declared in structure.fields:
        value = values.get(declared.key)
        if declared.key == "record" and declared.inner is not None:
            told = {k: v for k, v in (value or {}).items() if k not in (*SYSTEM_KEYS, "id")}
            value = _tree(declared.inner, told, spelling, taken)
        elif declared.type in ("text", "texts"):
            value = {
                spelling.setdefault(tag.lower(), tag): _once(words) if declared.type == "texts" else words
                for tag, said in (value or {}).items()
                if (words := _read(said)) is not None and words != []
            }
        elif declared.inner is not None:
            value = _inner_trees(declared, _nodes(value), spelling, taken)
        elif declared.many:
            value = _once([declared.notations.get(str(one), one) for one in _read(value or [])])
        elif declared.type == "concept" and value is not None:
            value = declared.notations.get(str(value), value)
        elif declared.type == "string":
            value = _read(value)
        if value is not None and value != {} and value != []:
            tree[declared.key] = value
    return tree


def _read(words: Any) -> Any:
    """A text, or the texts of a list, without those in which nothing can be read."""
    if isinstance(words, list):
        return [one for one in words if not is_blank(one)]
    return None if is_blank(words) else words


def _inner_trees(declared: Field, nodes: list[Any], spelling: dict[str, str], taken: set[str]) -> dict[str, Tree]:
    assert declared.inner is not None
    taken.update(one["id"] for one in nodes if one.get("id"))
    found = {}
    for one in nodes:
        id = one.get("id") or next_inner_id(declared.inner.id_prefix, taken)
        taken.add(id)
        found[id] = _tree(declared.inner, one, spelling, taken)
    return found


def _once(values: Any) -> list[Any]:
    """A list as a set: each value once, in a stable order."""
    listed = values if isinstance(values, list) else [values]
    return sorted({json.dumps(one, sort_keys=True): one for one in listed}.values(), key=str)


def _trees(*records: Mapping[str, Any] | None) -> tuple[Kind, list[Tree]]:
    """The kind that records share, and their trees; an absent record is an empty one.

    Raises ValueError for records of several kinds, or none at all.
    """
    names = {str(record.get("kind")) for record in records if record is not None}
    if len(names) != 1:
        raise ValueError(f"records to compare are of one kind, not of: {', '.join(sorted(names)) or 'none'}")
    kind, spelling = declaration().kind(names.pop()), dict[str, str]()
    return kind, [_tree(kind, record or {}, spelling, set()) for record in records]


def _values(structure: Structure, tree: Tree) -> Record:
    """A tree as plain JSON again, in the order that the ledger gives back."""
    values: Record = {}
    for declared in structure.fields:
        value = tree.get(declared.key)
        if value is None or value == {} or value == []:
            continue
        if declared.key == "record" and declared.inner is not None:
            value = _values(declared.inner, value)
        elif declared.type in ("text", "texts"):
            value = {tag: value[tag] for tag in sorted(value)}
        elif declared.inner is not None:
            nodes = in_order(declared, [{"id": id, **_values(declared.inner, part)} for id, part in value.items()])
            value = nodes if declared.many else nodes[0]
        values[declared.key] = value
    return values


def _identical(one: Any, other: Any) -> bool:
    """Whether two values are the same to the letter; true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _same(declared: Field, one: Any, other: Any) -> bool:
    """Whether two values of a field say the same."""
    if declared.type == "decimal" and isinstance(one, str) and isinstance(other, str) and one != other:
        return _decimal(one) is not None and _decimal(one) == _decimal(other)
    return _identical(one, other)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


# --- differences -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One place in which two forms of a record of `kind` differ.

    `label` names the place for people. `before` and `after` are the values as in JSON, None where there is none; where an
    inner node was added or removed as a whole, the node without its `id`.

    >>> Difference("practice", "themes", "Themes", ["heat", "work"], ["heat", "youth"]).added
    ['youth']
    """

    kind: str
    path: Path
    label: str
    before: Any
    after: Any

    @property
    def added(self) -> list[Any]:
        """Of a list, what is new in it."""
        return _beyond(self.after, self.before)

    @property
    def removed(self) -> list[Any]:
        """Of a list, what is no longer in it."""
        return _beyond(self.before, self.after)


def _beyond(values: Any, others: Any) -> list[Any]:
    """Elements of one list that another has not; nothing for values that are not lists."""
    return [one for one in values if one not in (others or [])] if isinstance(values, list) else []


def differences(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, language: str = "en"
) -> list[Difference]:
    """How two forms of a record differ, place by place in the order of the form; None stands for no record.

    Labels are in `language`. Both are records by their form (`kg.records.to_graph` takes them).

    Raises ValueError when they are of two kinds.

    >>> old = {"kind": "practice", "id": "x", "title": {"en": "Table"}, "themes": ["work", "heat"]}
    >>> new = {"kind": "practice", "id": "x", "title": {"en": "Table", "fr": "Une table"}, "themes": ["heat", "youth"]}
    >>> [(d.path, d.label, d.before, d.after) for d in differences(old, new)]
    [('title@fr', 'Title (fr)', None, 'Une table'), ('themes', 'Themes', ['heat', 'work'], ['heat', 'youth'])]
    """
    kind, (old, new) = _trees(before, after)
    return list(_compared(kind, old, new, kind, "", language))


def _compared(
    structure: Structure, old: Tree, new: Tree, kind: Kind, where: str, language: str
) -> Iterator[Difference]:
    for declared in structure.fields:
        before, after, path = old.get(declared.key), new.get(declared.key), where + declared.key
        if declared.key == "record" and declared.inner is not None:
            yield from _compared(declared.inner, before or {}, after or {}, kind, f"{path}.", language)
        elif declared.inner is not None:
            yield from _compared_nodes(declared, before or {}, after or {}, kind, path, language)
        else:
            several = declared.type in ("text", "texts")
            places = sorted({*(before or {}), *(after or {})}) if several else [None]
            for tag in places:
                one = (before or {}).get(tag) if several else before
                other = (after or {}).get(tag) if several else after
                if not _same(declared, one, other):
                    place = path if tag is None else f"{path}@{tag}"
                    yield Difference(kind.name, place, label_of(kind.name, place, language), one, other)


def _compared_nodes(
    declared: Field, old: Tree, new: Tree, kind: Kind, where: str, language: str
) -> Iterator[Difference]:
    assert declared.inner is not None
    for id in sorted({*old, *new}, key=_natural):
        path = f"{where}.{id}"
        if id in old and id in new:
            yield from _compared(declared.inner, old[id], new[id], kind, f"{path}.", language)
        else:
            parts = [_values(declared.inner, tree[id]) if id in tree else None for tree in (old, new)]
            yield Difference(kind.name, path, label_of(kind.name, path, language), *parts)


def _natural(id: str) -> tuple[str, int, str]:
    """claim-2 before claim-10."""
    head, _, tail = id.rpartition("-")
    return (head, int(tail), "") if tail.isascii() and tail.isdigit() and len(tail) < 10 else (id, 0, "")


def label_of(kind: str, path: Path, language: str = "en") -> str:
    """What people call a place in records of a kind; the path itself where the kind has no such place.

    >>> label_of("practice", "outcomes.claim-2.statement@en"), label_of("practice", "title@fr", "fr")
    ('Outcomes, claim-2: Statement (en)', 'Titre (fr)')
    """
    structure: Structure | None = declaration().kind(kind)
    words, parts = "", path.split(".")
    while parts:
        key, _, tag = parts.pop(0).partition("@")
        declared = structure.by_key.get(key) if structure is not None else None
        if declared is None:
            return path
        structure = declared.inner
        words += in_language(declared.label, language) + (f" ({tag})" if tag else "")
        if structure is not None and key != "record" and parts:
            words += f", {parts.pop(0)}"
        words += _said(language)["colon"] if parts else ""
    return words


def _said(language: str) -> dict[str, str]:
    return _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])


def describe(difference: Difference, language: str = "en") -> str:
    """A difference as one line for people.

    >>> change = Difference("practice", "outcomes.claim-2.value", "", "7", "12")
    >>> describe(change)
    'Outcomes, claim-2: Value: “7” became “12”'
    >>> print(describe(Difference("practice", "themes", "", ["heat"], ["work"]), "fr"))
    Thèmes : ajout de « work », retrait de « heat »
    """
    said, label = _said(language), label_of(difference.kind, difference.path, language)
    declared = _field_at(difference.kind, difference.path)
    if isinstance(difference.before, list) or isinstance(difference.after, list):
        parts = [
            said[word].format(values=", ".join(_shown(one, declared, language) for one in values))
            for word, values in (("plus", difference.added), ("minus", difference.removed))
            if values
        ]
        return said["elements"].format(label=label, parts=", ".join(parts))
    texts = [difference.before, difference.after]
    start = _first_seen(*texts)
    before, after = (None if one is None else _shown(one, declared, language, start) for one in texts)
    word = "added" if before is None else "removed" if after is None else "changed"
    return said[word].format(label=label, before=before, after=after)


def _first_seen(before: Any, after: Any) -> int:
    """Where to begin quoting two long texts so that both quotations show what differs."""
    if not isinstance(before, str) or not isinstance(after, str) or max(len(before), len(after)) <= _SHOWN:
        return 0
    alike = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), _SHOWN)
    return max(0, alike - 30)


def _field_at(kind: str, path: Path) -> Field | None:
    """The field that a path leads to; None for a whole inner node."""
    structure: Structure | None = declaration().kind(kind)
    found, parts = None, path.split(".")
    while parts and structure is not None:
        key = parts.pop(0).partition("@")[0]
        found = structure.by_key.get(key)
        structure = found.inner if found is not None else None
        if structure is not None and key != "record" and parts:
            parts.pop(0)
            found = None if not parts else found
    return found


def _shown(value: Any, declared: Field | None, language: str, start: int = 0) -> str:
    """A value as people read it: a choice by its label, a text quoted and cut, a node by what it says first."""
    said = _said(language)
    if isinstance(value, Mapping):
        texts = [text for part in value.values() for text in _wordings(part)]
        return _shown(texts[0] if texts else "…", None, language)
    if isinstance(value, bool):
        return said["yes" if value else "no"]
    if declared is not None and declared.type == "concept" and value in (declared.choices or {}):
        value = declaration().concept_label(str((declared.choices or {})[value]), language)
    text = " ".join(str(value)[start:].split())
    cut = ("…" if start else "") + text[:_SHOWN] + ("…" if len(text) > _SHOWN else "")
    return said["quote"].format(text=cut) if isinstance(value, str) else cut


def _wordings(part: Any) -> list[str]:
    """The texts inside a value, in its order."""
    if isinstance(part, Mapping):
        return [text for one in part.values() for text in _wordings(one)]
    if isinstance(part, list):
        return [text for one in part for text in _wordings(one)]
    return [str(part)]


# --- three ways ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ThreeWay:
    """What two people made of one record.

    `theirs` and `yours` are the differences from the record that both began with. `collisions` are the paths that both
    changed, each in another way, in the order of the form. `merged` has all changes of both, None where they collide.
    `renumbered` tells which of your new inner nodes got other identifiers in `merged`, for theirs has used them.
    """

    theirs: list[Difference]
    yours: list[Difference]
    collisions: list[Path]
    merged: Record | None
    renumbered: Mapping[str, str] = field(default_factory=dict)


def three_way(
    base: Mapping[str, Any], theirs: Mapping[str, Any], yours: Mapping[str, Any], language: str = "en"
) -> ThreeWay:
    """Both sides' differences from `base`, and a proposal that has all of them where none collide.

    Nobody's change is dropped: a value that one side changed is taken from it, lists get what either added and lose what
    either removed. New inner nodes of both sides stay apart: where both were given the same identifier, yours gets the
    next free one. One side's removal of a node collides with the other's change of it, or its new reference to it.

    Raises ValueError when the records are of several kinds.

    >>> base = {"kind": "city", "id": "riga", "name": {"lv": "Rīga"}, "languages": ["lv"]}
    >>> both = three_way(base, base | {"name": {"lv": "Rīga", "en": "Riga"}}, base | {"languages": ["lv", "ru"]})
    >>> both.collisions, both.merged["name"], both.merged["languages"]
    ([], {'en': 'Riga', 'lv': 'Rīga'}, ['lv', 'ru'])
    >>> three_way(base, base | {"country": "LV"}, base | {"country": "LT"}).collisions
    ['country']
    """
    kind, trees = _trees(base, theirs, yours)
    ours, renumbered = _apart(kind, *trees)
    joiner = _Joiner()
    tree = joiner.structure(kind, trees[0], trees[1], ours, "")
    dangling = _dangling(kind, tree) - _dangling(kind, trees[1]) - _dangling(kind, ours)
    where = {id: place for old in trees for id, place in _places(kind, old)}
    collisions = joiner.collisions + sorted(where[id] for id in dangling if where.get(id, "") not in joiner.collisions)
    named = {key: yours[key] for key in ("kind", "id") if key in yours}
    return ThreeWay(
        differences(base, theirs, language),
        differences(base, yours, language),
        collisions,
        None if collisions else {**named, **_values(kind, tree)},
        renumbered,
    )


class _Joiner:
    """Joins two trees that come from one, and notes where they collide."""

    def __init__(self) -> None:
        self.collisions: list[Path] = []

    def structure(self, structure: Structure, base: Tree, theirs: Tree, yours: Tree, where: str) -> Tree:
        joined: Tree = {}
        for declared in structure.fields:
            parts, path = [tree.get(declared.key) for tree in (base, theirs, yours)], where + declared.key
            if declared.key == "record" and declared.inner is not None:
                base, theirs, yours = (part or {} for part in parts)
                value: Any = self.structure(declared.inner, base, theirs, yours, f"{path}.")
            elif declared.inner is not None:
                value = self.nodes(declared, [part or {} for part in parts], path)
            elif declared.type in ("text", "texts"):
                tags = sorted({tag for part in parts for tag in part or {}})
                found = {tag: self.pick(declared, [(p or {}).get(tag) for p in parts], f"{path}@{tag}") for tag in tags}
                value = {tag: words for tag, words in found.items() if words}
            else:
                value = self.pick(declared, parts, path)
            if value is not None and value != {} and value != []:
                joined[declared.key] = value
        return joined

    def pick(self, declared: Field, parts: list[Any], path: Path) -> Any:
        """One value out of three: that of the side which changed it, the smaller spelling where both say the same."""
        base, theirs, yours = parts
        if any(isinstance(part, list) for part in parts):
            base, theirs, yours = (part or [] for part in parts)
            return _once([one for one in [*theirs, *yours] if one not in base or (one in theirs and one in yours)])
        for same in (_identical, partial(_same, declared)):
            if same(theirs, yours):
                return theirs if theirs is None or isinstance(theirs, bool) else min(theirs, yours)
            if same(theirs, base) or same(yours, base):
                return yours if same(theirs, base) else theirs
        self.collisions.append(path)
        return None

    def nodes(self, declared: Field, parts: list[Tree], path: Path) -> Tree:
        base, theirs, yours = parts
        assert declared.inner is not None
        joined: Tree = {}
        for id in sorted({*base, *theirs, *yours}, key=_natural):
            old, one, other = (part.get(id) for part in parts)
            if one == other or other == old:
                kept = one
            elif one == old:
                kept = other
            elif one is None or other is None:
                self.collisions.append(f"{path}.{id}")
                continue
            else:
                kept = self.structure(declared.inner, old or {}, one, other, f"{path}.{id}.")
            if kept is not None:
                joined[id] = kept
        if not declared.many and len(joined) > 1:
            self.collisions.append(path)
        return joined


def _places(structure: Structure, tree: Tree, where: str = "") -> Iterator[tuple[str, Path]]:
    """Every inner node's identifier and path."""
    for declared in structure.fields:
        if declared.inner is not None and declared.key != "record":
            for id, part in tree.get(declared.key, {}).items():
                yield id, f"{where}{declared.key}.{id}"
                yield from _places(declared.inner, part, f"{where}{declared.key}.{id}.")


def _dangling(structure: Structure, tree: Tree) -> set[str]:
    """Identifiers of inner nodes that are referred to and not there."""
    return set(_inner_references(structure, tree)) - {id for id, _ in _places(structure, tree)}


def _inner_references(structure: Structure, tree: Tree) -> Iterator[str]:
    for declared in structure.fields:
        value = tree.get(declared.key)
        if declared.type == "inner-ref":
            yield from value if isinstance(value, list) else [] if value is None else [value]
        elif declared.inner is not None and declared.key != "record":
            for part in (value or {}).values():
                yield from _inner_references(declared.inner, part)


def _apart(kind: Kind, base: Tree, theirs: Tree, yours: Tree) -> tuple[Tree, dict[str, str]]:
    """Your tree with new inner nodes renumbered that have the identifier of another new node of theirs.

    Renumbering a source changes the claims that name it, so it is looked at again until nothing moves.
    """
    old = {id for id, _ in _places(kind, base)}
    prefixes = {f.key: f.inner.id_prefix for f in kind.fields if f.inner is not None and f.many}
    renumbered: dict[str, str] = {}
    while True:
        held, ours = dict(_placed(theirs, prefixes)), dict(_placed(yours, prefixes))
        clashing = [id for id in ours if id in held and id not in old and held[id] != ours[id]]
        if not clashing:
            return yours, renumbered
        taken = {*old, *held, *ours, *(id for id, _ in _places(kind, yours)), *(id for id, _ in _places(kind, theirs))}
        moves: dict[str, str] = {}
        for id in sorted(clashing, key=_natural):
            moves[id] = next_inner_id(prefixes[ours[id][0]], taken)
            taken.add(moves[id])
        yours = _renamed(kind, yours, moves)
        renumbered |= moves


def _placed(tree: Tree, prefixes: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, Tree]]]:
    """Every listed inner node of a record, with the field it stands in and what it says."""
    for key in prefixes:
        for id, part in tree.get(key, {}).items():
            yield id, (key, part)


def _renamed(structure: Structure, tree: Tree, moves: Mapping[str, str]) -> Tree:
    """The tree with inner nodes under other identifiers, and all references to them following."""
    changed: Tree = {}
    for declared in structure.fields:
        value = tree.get(declared.key)
        if value is None:
            continue
        if declared.type == "inner-ref":
            value = _once([moves.get(one, one) for one in value]) if declared.many else moves.get(value, value)
        elif declared.inner is not None and declared.key != "record":
            value = {moves.get(id, id): _renamed(declared.inner, part, moves) for id, part in value.items()}
        changed[declared.key] = value
    return changed


# --- RDF patch and blame ---------------------------------------------------------------------------------------------


def rdf_patch(
    before: str | None, after: str | None, graph_iri: str, *, id: str | None = None, previous: str | None = None
) -> str:
    """The change from one payload of canonical N-Triples to another as an RDF Patch on the record's graph.

    The format is https://afs.github.io/rdf-delta/rdf-patch.html: header lines, one transaction, deletions before
    additions, each sorted. `id` and `previous` are the addresses of this patch and the one it follows.

    Raises ValueError for an address that cannot stand between angle brackets.

    >>> print(rdf_patch('<urn:a> <urn:b> "1" .', '<urn:a> <urn:b> "2" .', "urn:g", id="urn:revision:2"), end="")
    H id <urn:revision:2> .
    TX .
    D <urn:a> <urn:b> "1" <urn:g> .
    A <urn:a> <urn:b> "2" <urn:g> .
    TC .
    """
    old, new = ({line.strip() for line in (text or "").split("\n") if line.strip()} for text in (before, after))
    graph = _bracketed(graph_iri)
    header = [f"H {word} {_bracketed(iri)} ." for word, iri in (("id", id), ("prev", previous)) if iri is not None]
    changes = [
        f"{operation} {line.removesuffix('.').rstrip()} {graph} ."
        for operation, lines in (("D", old - new), ("A", new - old))
        for line in sorted(lines)
    ]
    return "".join(f"{line}\n" for line in [*header, "TX .", *changes, "TC ."])


def _bracketed(iri: str) -> str:
    if not iri or re.search(r'[\x00-\x20<>"{}|\\^`]', iri):
        raise ValueError(f"{quoted(iri)} is no address")
    return f"<{iri}>"


def blame(versions: Sequence[tuple[int, Mapping[str, Any] | None]]) -> dict[Path, int]:
    """Which version last changed each place of the newest record, in the order of the form.

    `versions` has the record's revisions, oldest first, by number; None for one whose content was erased, whose changes
    then count as those of the next. An inner node's own path tells which version added it.

    >>> one = {"kind": "city", "id": "riga", "name": {"lv": "Rīga"}, "languages": ["lv"]}
    >>> blame([(3, one), (8, one | {"name": {"lv": "Rīga", "en": "Riga"}})])
    {'name@en': 8, 'name@lv': 3, 'languages': 3}
    """
    known = [(number, record) for number, record in versions if record is not None]
    if not known:
        return {}
    kind, trees = _trees(*(record for _, record in reversed(known)))
    blamed: dict[Path, int] = {}
    before: dict[Path, tuple[Field, Any]] = {}
    for (number, _), tree in zip(known, reversed(trees), strict=True):
        leaves = {path: (declared, value) for path, declared, value in _leaves(kind, tree, "")}
        blamed = {
            path: blamed[path] if path in before and _same(declared, before[path][1], value) else number
            for path, (declared, value) in leaves.items()
        }
        before = leaves
    return blamed


def _leaves(structure: Structure, tree: Tree, where: str) -> Iterator[tuple[Path, Field, Any]]:
    """Every place that has a value of its own; an inner node's has none, its presence counts."""
    for declared in structure.fields:
        value, path = tree.get(declared.key), where + declared.key
        if value is None:
            continue
        if declared.key == "record" and declared.inner is not None:
            yield from _leaves(declared.inner, value, f"{path}.")
        elif declared.inner is not None:
            for id in sorted(value, key=_natural):
                yield f"{path}.{id}", declared, None
                yield from _leaves(declared.inner, value[id], f"{path}.{id}.")
        elif declared.type in ("text", "texts"):
            for tag in sorted(value):
                yield f"{path}@{tag}", declared, value[tag]
        else:
            yield path, declared, value


# --- two records into one --------------------------------------------------------------------------------------------


def replace_reference(record: Mapping[str, Any], kind: str, old_id: str, new_id: str) -> Record:
    """The record with every reference to `kind`/`old_id` made one to `new_id`; each stands once in a list.

    >>> needs = {"kind": "need", "id": "n", "mentee": "gent", "themes": ["heat", "summer-heat"]}
    >>> replace_reference(needs, "theme", "summer-heat", "heat")
    {'kind': 'need', 'id': 'n', 'mentee': 'gent', 'themes': ['heat']}
    """
    return _referring(declaration().kind(str(record.get("kind"))), record, kind, old_id, new_id)


def _referring(structure: Structure, values: Mapping[str, Any], kind: str, old_id: str, new_id: str) -> Record:
    changed = dict(values)
    for declared in structure.fields:
        value = values.get(declared.key)
        if value is None:
            continue
        if declared.type == "ref" and declared.ref_kind == kind:
            if isinstance(value, list):
                value = list(dict.fromkeys(new_id if one == old_id else one for one in value))
            changed[declared.key] = new_id if value == old_id else value
        elif declared.inner is not None:
            parts = [_referring(declared.inner, one, kind, old_id, new_id) for one in _nodes(value)]
            changed[declared.key] = parts if isinstance(value, list) else parts[0]
    return changed


@dataclass(frozen=True)
class Decision:
    """What became of a value when two records were merged, where it could not simply be carried over.

    `how` is "joined" (both wordings stand, the kept record's first), "noted" (kept in the notes on the record, `record.notes`),
    "self" (a reference that would lead to the record itself, left out) or "lost" (no room in the notes; the history of
    the merged record has it). `words` says it for people.
    """

    path: Path
    how: str
    kept: Any
    other: Any
    words: str


def merge_records(
    kept: Mapping[str, Any], other: Mapping[str, Any], language: str = "en", *, taken: Iterable[str] = ()
) -> tuple[Record, list[Decision]]:
    """`kept` with all that `other`, of the same kind, says beyond it, and what had to be decided.

    Inner nodes are appended under new identifiers, those that say the same as one that is there only once, and what they
    refer to inside the record follows; so figures of both stand as claims with their sources, side by side. Lists and
    languages are united. Where both have a value and there is place for one, that of `kept` stays: the other's wording
    follows below it where the field is meant for long texts, and else, as every other value, it is written into the
    notes on the record in `language`. `taken` holds every identifier that inner nodes of `kept` ever had. What `other`
    says of a part that it does not have (`stated_in` a source that is gone) is left out: it must not become said of a
    part of `kept`.

    Raises BadRequest for records of two kinds or a record and itself.

    >>> one = {"kind": "city", "id": "malines", "name": {"fr": "Malines"}, "country": "BE", "nuts": "BE212"}
    >>> two = {"kind": "city", "id": "mechelen", "name": {"nl": "Mechelen"}, "country": "BE", "nuts": "BE211"}
    >>> merged, decisions = merge_records(two, one)
    >>> merged["name"], merged["nuts"], [(decision.path, decision.how) for decision in decisions]
    ({'fr': 'Malines', 'nl': 'Mechelen'}, 'BE211', [('nuts', 'noted')])
    >>> merged["record"]["notes"]
    {'en': 'From the merged record malines: NUTS 3 code: BE212'}
    """
    if kept.get("kind") != other.get("kind"):
        raise BadRequest(
            f"a {kept.get('kind')} and a {other.get('kind')} cannot be merged; both records must be of one kind"
        )
    if kept.get("id") == other.get("id"):
        raise BadRequest(
            {
                "en": f"{quoted(kept.get('id'))} cannot be merged into itself; name another record",
                "fr": f"{quoted(kept.get('id'))} ne peut être fusionné avec lui-même ; nommez une autre fiche",
            }
        )
    kind, (mine, theirs) = _trees(kept, other)
    union = _Union(kind, str(kept.get("id")), str(other.get("id")), language)
    mine, theirs = (union.without_itself(kind, tree, "") for tree in (mine, theirs))
    theirs = _grounded(kind, theirs, {id for id, _ in _places(kind, theirs)})
    theirs = _renamed(kind, theirs, union.new_ids(mine, theirs, taken))
    tree = union.structure(kind, mine, theirs, "")
    union.write_notes(tree)
    named = {key: kept[key] for key in ("kind", "id") if key in kept}
    return {**named, **_values(kind, tree)}, union.decisions


class _Union:
    """Unites the trees of two records and keeps account of what had to be decided."""

    def __init__(self, kind: Kind, kept_id: str, other_id: str, language: str) -> None:
        self.kind, self.kept_id, self.other_id, self.language = kind, kept_id, other_id, language
        self.decisions: list[Decision] = []
        self.notes: list[tuple[Path, Any, Any]] = []

    def decide(self, path: Path, how: str, kept: Any, other: Any) -> None:
        shown = [_shown(value, _field_at(self.kind.name, path), self.language) for value in (kept, other)]
        words = _said(self.language)[how].format(
            label=label_of(self.kind.name, path, self.language), kept=shown[0], other=shown[1]
        )
        self.decisions.append(Decision(path, how, kept, other, words))

    def new_ids(self, mine: Tree, theirs: Tree, taken: Iterable[str]) -> dict[str, str]:
        """The identifier that each inner node of the other record gets: its twin's, or the next free one."""
        used = {*taken, *(id for id, _ in _places(self.kind, mine))}
        moves: dict[str, str] = {}
        for declared in self.kind.fields:
            if declared.inner is None or declared.key == "record":
                continue
            inner = declared.inner
            twins: dict[str, list[str]] = {}
            for id, part in mine.get(declared.key, {}).items():
                twins.setdefault(_signature(self.kind, inner, part, mine), []).append(id)
            for id in sorted(theirs.get(declared.key, {}), key=_natural):
                same = twins.get(_signature(self.kind, inner, theirs[declared.key][id], theirs))
                moves[id] = same.pop(0) if same else next_inner_id(inner.id_prefix, used)
                used.add(moves[id])
        return moves

    def structure(self, structure: Structure, mine: Tree, theirs: Tree, where: str) -> Tree:
        united: Tree = {}
        for declared in structure.fields:
            one, other, path = mine.get(declared.key), theirs.get(declared.key), where + declared.key
            if one is None or other is None:
                value: Any = other if one is None else one
            elif declared.key == "record" and declared.inner is not None:
                value = self.structure(declared.inner, one, other, f"{path}.")
            elif declared.inner is not None:
                value = self.nodes(declared, one, other, path)
            elif declared.type in ("text", "texts"):
                tags = [*one, *(tag for tag in other if tag not in one)]
                value = {tag: self.single(declared, one.get(tag), other.get(tag), f"{path}@{tag}") for tag in tags}
            else:
                value = self.single(declared, one, other, path)
            if value is not None:
                united[declared.key] = value
        return united

    def nodes(self, declared: Field, mine: Tree, theirs: Tree, path: Path) -> Tree:
        """Both records' nodes; of twins one, with the references of both."""
        assert declared.inner is not None
        united = dict(mine)
        for id, part in theirs.items():
            if id in united:
                united[id] = self.structure(declared.inner, united[id], part, f"{path}.{id}.")
            elif declared.many:
                united[id] = part
            else:
                self.note_leaves(declared.inner, part, mine, path)
        return united

    def note_leaves(self, inner: Structure, part: Tree, mine: Tree, path: Path) -> None:
        """A second node where there is place for one goes into the notes, value by value."""
        (id, held), *_ = mine.items()
        own = {place: value for place, _, value in _leaves(inner, held, "")}
        for place, _, value in _leaves(inner, part, ""):
            if own.get(place) != value:
                self.notes.append((f"{path}.{id}.{place}", own.get(place), value))

    def single(self, declared: Field, one: Any, other: Any, path: Path) -> Any:
        if one is None or other is None:
            return other if one is None else one
        if isinstance(one, list):
            return _once([*one, *other])
        if _same(declared, one, other):
            return one
        if declared.type == "text" and (declared.max_length or 0) >= JOINED_FROM:
            if other in one:
                return one
            if len(one) + len(other) + 2 <= (declared.max_length or 0):
                self.decide(path, "joined", one, other)
                return f"{one}\n\n{other}"
        self.notes.append((path, one, other))
        return one

    def without_itself(self, structure: Structure, tree: Tree, where: str) -> Tree:
        """The tree without references that would lead to the record itself."""
        changed: Tree = {}
        both = {self.kept_id, self.other_id}
        for declared in structure.fields:
            value, path = tree.get(declared.key), where + declared.key
            if value is None:
                continue
            if declared.type == "ref" and declared.ref_kind == self.kind.name:
                for one in [one for one in _nodes(value) if one in both]:
                    self.decide(path, "self", None, one)
                left = [one for one in _nodes(value) if one not in both]
                value = left if declared.many else next(iter(left), None)
            elif declared.inner is not None and declared.key != "record":
                value = {id: self.without_itself(declared.inner, part, f"{path}.{id}.") for id, part in value.items()}
            if value is not None and value != []:
                changed[declared.key] = value
        return changed

    def write_notes(self, tree: Tree) -> None:
        """Append what found no place to the notes on the record, as long as there is room."""
        if not self.notes:
            return
        about = self.kind.by_key["record"].inner
        assert about is not None
        limit = about.by_key["notes"].max_length or JOINED_FROM
        held = tree.setdefault("record", {}).setdefault("notes", {})
        language = next((tag for tag in held if tag.lower() == self.language.lower()), self.language)
        for path, one, other in self.notes:
            label = label_of(self.kind.name, path, self.language)
            value = ", ".join(_wordings(other))
            note = _said(self.language)["note"].format(id=self.other_id, label=label, value=value)
            text = f"{held[language]}\n{note}" if language in held else note
            if len(text) <= limit:
                held[language] = text
            self.decide(path, "noted" if len(text) <= limit else "lost", one, other)
        if not held:
            del tree["record"]["notes"]


def _grounded(structure: Structure, tree: Tree, there: set[str]) -> Tree:
    """The tree without references to inner nodes that are not there."""
    changed: Tree = {}
    for declared in structure.fields:
        value = tree.get(declared.key)
        if declared.type == "inner-ref" and value is not None:
            value = [one for one in _nodes(value) if one in there]
            value = value if declared.many else next(iter(value), None)
        elif declared.inner is not None and declared.key != "record":
            value = {id: _grounded(declared.inner, part, there) for id, part in (value or {}).items()}
        if value is not None and value != [] and value != {}:
            changed[declared.key] = value
    return changed


def _signature(kind: Kind, inner: Structure, part: Tree, tree: Tree) -> str:
    """What a node says, with what its references say in place of their identifiers, which differ between records."""
    told = dict(part)
    for declared in inner.fields:
        if declared.type == "inner-ref" and declared.key in part:
            told[declared.key] = sorted({_told(kind, tree, id) for id in _nodes(part[declared.key])})
    return json.dumps(told, sort_keys=True)


def _told(kind: Kind, tree: Tree, id: str) -> str:
    """What the record's inner node of that identifier says by itself, without its own references."""
    for declared in kind.fields:
        if declared.inner is not None and declared.key != "record" and id in tree.get(declared.key, {}):
            refs = {one.key for one in declared.inner.fields if one.type == "inner-ref"}
            return json.dumps({k: v for k, v in tree[declared.key][id].items() if k not in refs}, sort_keys=True)
    return id
