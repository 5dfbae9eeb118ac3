"""Mapping files: how the columns of a foreign table become the fields of records, written by a curator in YAML.

A mapping is data, not a program: it names columns, splits cells, replaces values, fills in constants, looks up themes
and cities by their names. What a row says and a mapping cannot take is told with the row, never dropped in silence and
never guessed. `docs/import.md` has the whole form; `ontology/mappings` holds the mappings that come with mentorgraph.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.city_facts import UNION_CODES
from kg.errors import BadRequest, NotFound, Problem, TooLarge, UnreadableInput, quoted
from kg.exchange.spreadsheets import Table, TableRow, restored
from kg.exchange.tables import Column, Edit, Unreadable, Wanted, value_of
from kg.fields import Field, Inner, Kind, Structure, declaration
from kg.records import LANGUAGE_TAG, SLUG
from kg.search.text import words

if TYPE_CHECKING:
    import yaml

LIMIT_CHARACTERS = 200_000
DEPTH_LIMIT = 20

Names = Callable[[str], Mapping[str, frozenset[tuple[str, str]]]]
"""For a kind, the records that have a name: folded name to (id, country); the country "" where a kind has none."""

_SPEC_KEYS = {
    "column", "template", "constant", "split", "map", "otherwise", "lookup", "country", "named", "unless", "language",
    "when", "shorten",
}  # fmt: skip
_NODE_KEYS = {"id", "each", "needs", "when"}
_TOP_KEYS = {"mapping", "title", "attribution", "kind", "id", "rows", "fields", "not used"}
_OTHERWISE = ("leave out", "nothing", "refuse", "keep")
"""What becomes of a value that is not in the map or does not fit: told and left out, left out without a word, the row
refused, or taken as it is."""
_SPLITS = ("addresses", "lines")


@dataclass(frozen=True)
class Spec:
    """Where a value comes from: a column, a template of columns or a constant, and what is done with it."""

    line: int
    column: str | None = None
    template: str | None = None
    constant: tuple[str, ...] = ()
    split: str | None = None
    map: Mapping[str, tuple[str, ...]] | None = None
    otherwise: str = "leave out"
    lookup: str | None = None
    country: Spec | None = None
    named: bool = False
    unless: tuple[str, ...] = ()
    language: Spec | None = None
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shorten: bool = False


@dataclass(frozen=True)
class Part:
    """A part with fields of its own: its identifier, its values, and what it must have to be kept."""

    line: int
    id: str
    fields: Mapping[str, tuple[Spec, ...]]
    each: Spec | None = None
    needs: tuple[str, ...] = ()
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class MappingFile:
    """A mapping as it was read and checked."""

    name: str
    title: str
    attribution: str
    kind: Kind
    id: Spec
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    fields: Mapping[str, tuple[Spec, ...]]
    parts: Mapping[str, tuple[Part, ...]]
    not_used: Mapping[str, str]

    @property
    def columns(self) -> frozenset[str]:
        """Every column the mapping reads."""
        found = {column for column, _ in self.rows}
        for spec in _specs(self):
            found |= _columns_of(spec)
        for parts in self.parts.values():
            found |= {column for part in parts for column in part.when}
        return frozenset(found)


@dataclass
class Mapped:
    """What a mapping made of a table: the records wanted with what was noted of each, the rows passed over with
    the reason, and the columns that nothing came of."""

    wanted: list[Wanted]
    notes: dict[str, list[str]]
    skipped: Counter[str]
    not_used: dict[str, str]


def _specs(mapping: MappingFile) -> Iterator[Spec]:
    yield mapping.id
    for specs in mapping.fields.values():
        yield from specs
    for parts in mapping.parts.values():
        for part in parts:
            yield from (spec for specs in part.fields.values() for spec in specs)
            if part.each is not None:
                yield part.each


def _columns_of(spec: Spec) -> set[str]:
    found = set(spec.when) | ({spec.column} if spec.column else set())
    found |= {name for name in _PLACE.findall(spec.template or "") if name != "each"}
    for inner in (spec.country, spec.language):
        found |= _columns_of(inner) if inner is not None else set()
    return found


_NAMED = "thenameitself"
"""Stands for a name while the words around it are folded."""

_PLACE = re.compile(r"\{([^{}]+)\}")


# Reading a mapping


def read_mapping(path: Path, name: str | None = None) -> MappingFile:
    """The mapping of a file.

    Raises UnreadableInput, with the line, for what is no mapping: wrong YAML, an unknown field or word, a missing
    part. Anchors and aliases, tags and several documents are not read.

    >>> from ontology import path
    >>> read_mapping(path("mappings/public-sector-tech-watch.yaml")).kind.name
    'practice'
    """
    name = name or path.name
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UnreadableInput(f"{name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UnreadableInput(
            {
                "en": f"{name}: byte {error.start + 1} is not UTF-8; save the file as UTF-8",
                "fr": f"{name} : l’octet {error.start + 1} n’est pas de l’UTF-8 ; enregistrez le fichier en UTF-8",
            }
        ) from None
    return parse_mapping(text, name)


def parse_mapping(text: str, name: str) -> MappingFile:
    """The mapping in a text; `name` is what messages call it.

    >>> parse_mapping("mapping: 1\\nkind: city\\nid: {column: code}\\nfields:\\n  naem@en: {column: n}", "m.yaml")
    Traceback (most recent call last):
    kg.errors.UnreadableInput: m.yaml line 5: 'naem@en' is no field of a city; did you mean 'name'?
    """
    import yaml

    if len(text) > LIMIT_CHARACTERS:
        raise TooLarge(f"{name}: a mapping may have {LIMIT_CHARACTERS:,} characters at most")
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise UnreadableInput(f"{name}{_line(event)}: anchors and aliases are not read; write the words out")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        raise UnreadableInput(f"{name}{where}: is not YAML: {problem}") from None
    except RecursionError:
        raise UnreadableInput(
            {"en": f"{name}: is nested too deeply", "fr": f"{name} : est imbriqué trop profondément"}
        ) from None
    return _Reader(name).mapping(root)


def _line(read: Any) -> str:
    """Where an event or a node of YAML stands."""
    return f" line {read.start_mark.line + 1}" if read is not None and read.start_mark is not None else ""


class _Reader:
    """Turns YAML nodes into a mapping. Scalars are texts as they are written: NO is Norway, not false."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fail(self, node: yaml.Node | None, message: str) -> UnreadableInput:
        return UnreadableInput(f"{self.name}{_line(node)}: {message}")

    def pairs(self, node: yaml.Node | None, what: str, known: set[str] | None = None) -> dict[str, yaml.Node]:
        """Keys and values of a block, each key once and known."""
        import yaml

        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{what} must be a block of names and values")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            word = self.word(key, "a name")
            if word in found:
                raise self.fail(key, f"{quoted(word)} stands twice")
            if known is not None and word not in known:
                raise self.fail(key, f"{quoted(word)} is not known in {what}; there are: {', '.join(sorted(known))}")
            found[word] = value
        return found

    def word(self, node: yaml.Node | None, what: str) -> str:
        import yaml

        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, f"{what} must be a word or a text")
        return str(node.value)

    def words(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        """One text or a list of texts; nothing at all for an empty value."""
        import yaml

        if isinstance(node, yaml.SequenceNode):
            return tuple(self.word(one, what) for one in node.value)
        word = self.word(node, what)
        return (word,) if word not in ("", "~") else ()

    def mapping(self, root: yaml.Node | None) -> MappingFile:
        if root is None:
            raise UnreadableInput({"en": f"{self.name}: is empty", "fr": f"{self.name} : est vide"})
        top = self.pairs(root, "a mapping", _TOP_KEYS)
        for key in ("mapping", "kind", "id", "fields"):
            if key not in top:
                raise self.fail(root, f"{quoted(key)} is missing")
        if self.word(top["mapping"], "'mapping'") != "1":
            raise self.fail(top["mapping"], "this is a mapping of another version; 'mapping: 1' is read")
        try:
            kind = declaration().kind(self.word(top["kind"], "'kind'"))
        except NotFound as error:
            raise self.fail(top["kind"], str(error)) from None
        fields, parts = self.fields(top["fields"], kind)
        return MappingFile(
            self.name,
            self.word(top["title"], "'title'") if "title" in top else self.name,
            self.word(top["attribution"], "'attribution'") if "attribution" in top else "",
            kind,
            self.spec(top["id"]),
            tuple((column, self.words(node, "a value")) for column, node in self.pairs(top["rows"], "'rows'").items())
            if "rows" in top
            else (),
            fields,
            parts,
            {column: self.word(node, "a reason") for column, node in self.pairs(top["not used"], "'not used'").items()}
            if "not used" in top
            else {},
        )

    def fields(self, node: yaml.Node, kind: Kind) -> tuple[dict[str, tuple[Spec, ...]], dict[str, tuple[Part, ...]]]:
        """The specs of plain fields and the parts of lists of parts."""
        fields: dict[str, tuple[Spec, ...]] = {}
        parts: dict[str, tuple[Part, ...]] = {}
        for name, value in self.pairs(node, "'fields'").items():
            declared = kind.by_key.get(name)
            if declared is not None and declared.inner is not None and declared.many:
                parts[name] = self.parts(value, declared.inner, name)
            else:
                structure, key = self.place(value, kind, name)
                fields[name] = self.specs(value, structure, key, f"a {kind.name}")
        return fields, parts

    def place(self, node: yaml.Node, kind: Kind, name: str) -> tuple[Structure, str]:
        """The structure a dotted name stands in, and the name there (`record.licence`)."""
        outer, dot, rest = name.partition(".")
        declared = kind.by_key.get(outer)
        if dot and declared is not None and declared.inner is not None and not declared.many:
            return declared.inner, rest
        return kind, name

    def specs(self, node: yaml.Node, structure: Structure, name: str, of: str) -> tuple[Spec, ...]:
        """Where a field's values come from: one spec or several, whose values are joined."""
        from difflib import get_close_matches

        import yaml

        key, at, language = name.partition("@")
        declared = structure.by_key.get(key)
        if declared is None or declared.type == "inner":
            near = get_close_matches(key, structure.by_key, n=1)
            hint = f"; did you mean {quoted(near[0])}?" if near else f"; there are: {', '.join(structure.by_key)}"
            raise self.fail(node, f"{quoted(name)} is no field of {of}{hint}")
        several = isinstance(node, yaml.SequenceNode) and any(isinstance(one, yaml.MappingNode) for one in node.value)
        found = tuple(self.spec(one) for one in node.value) if several else (self.spec(node),)
        if declared.type in ("text", "texts"):
            if at and not LANGUAGE_TAG.fullmatch(language):
                raise self.fail(node, f"{quoted(language)} is no language tag")
            if not at and any(spec.language is None for spec in found):
                raise self.fail(node, f"{quoted(name)} is a text: write {key}@en, or 'language' beside its column")
        elif at:
            raise self.fail(node, f"{quoted(key)} is no text and has no language")
        return found

    def parts(self, node: yaml.Node, inner: Inner, name: str) -> tuple[Part, ...]:
        import yaml

        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = []
        for one in nodes:
            pairs = self.pairs(one, f"a part of {quoted(name)}")
            if "id" not in pairs:
                raise self.fail(one, f"a part needs an 'id' that it keeps, such as {inner.id_prefix}-1")
            id = self.word(pairs["id"], "'id'")
            if not SLUG.fullmatch(id) or ("each" in pairs and not re.fullmatch(r".*-\d{1,4}", id)):
                raise self.fail(pairs["id"], f"{quoted(id)} is no identifier; write for example {inner.id_prefix}-1")
            fields = {
                key: self.specs(value, inner, key, f"{name!r}") for key, value in pairs.items() if key not in _NODE_KEYS
            }
            found.append(
                Part(
                    one.start_mark.line + 1,
                    id,
                    fields,
                    self.spec(pairs["each"]) if "each" in pairs else None,
                    self.words(pairs["needs"], "'needs'") if "needs" in pairs else (),
                    self.when(pairs["when"]) if "when" in pairs else {},
                )
            )
        return tuple(found)

    def when(self, node: yaml.Node) -> dict[str, tuple[str, ...]]:
        return {
            column: tuple(_plain(word) for word in self.words(value, "a value"))
            for column, value in self.pairs(node, "'when'").items()
        }

    def spec(self, node: yaml.Node) -> Spec:
        """A constant, or a block that says where the value comes from."""
        import yaml

        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            return Spec(line, constant=self.words(node, "a constant"))
        pairs = self.pairs(node, "where a value comes from", _SPEC_KEYS)
        origins = [key for key in ("column", "template", "constant") if key in pairs]
        if len(origins) != 1:
            raise self.fail(node, "say where the value comes from: one of 'column', 'template', 'constant'")

        def text(key: str) -> str | None:
            return self.word(pairs[key], quoted(key)) if key in pairs else None

        split, otherwise, lookup = text("split"), text("otherwise") or "leave out", text("lookup")
        if otherwise not in _OTHERWISE:
            raise self.fail(pairs["otherwise"], f"'otherwise' is one of: {', '.join(_OTHERWISE)}")
        if split is not None and len(split) > 3 and split not in _SPLITS:
            raise self.fail(pairs["split"], f"'split' is a separator such as '|', or one of: {', '.join(_SPLITS)}")
        if lookup is not None and lookup not in declaration().kinds:
            raise self.fail(pairs["lookup"], f"there is no kind {quoted(lookup)}; for example 'city' or 'theme'")
        return Spec(
            line,
            text("column"),
            text("template"),
            self.words(pairs["constant"], "'constant'") if "constant" in pairs else (),
            split,
            self.values(pairs["map"]) if "map" in pairs else None,
            otherwise,
            lookup,
            self.spec(pairs["country"]) if "country" in pairs else None,
            text("named") == "true",
            tuple(self.words(pairs["unless"], "'unless'")) if "unless" in pairs else (),
            self.spec(pairs["language"]) if "language" in pairs else None,
            self.when(pairs["when"]) if "when" in pairs else {},
            text("shorten") == "true",
        )

    def values(self, node: yaml.Node) -> dict[str, tuple[str, ...]]:
        """Value to value; an empty one leaves the value out on purpose."""
        return {_plain(value): self.words(to, "a value") for value, to in self.pairs(node, "'map'").items()}


def _plain(text: str) -> str:
    """A value as it is compared: without capitals and double blanks."""
    return " ".join(str(text).casefold().split())


# Applying a mapping


def apply_mapping(mapping: MappingFile, table: Table, names: Names) -> Mapped:
    """What the rows of a table say, by a mapping. `names` finds records by name.

    Raises BadRequest where the table lacks a column that the mapping reads.
    """
    missing = sorted(mapping.columns - set(table.columns))
    if missing:
        raise BadRequest(
            f"{table.file}: the mapping {mapping.name} reads the column {quoted(missing[0])}, which is not there; "
            f"there are: {', '.join(table.columns)}"
        )
    applied = _Applied(mapping, table, names)
    result = Mapped([], {}, Counter(), {})
    seen: dict[str, str] = {}
    for row in table.rows:
        reason = _passed_over(mapping, row)
        if reason is not None:
            result.skipped[reason] += 1
            continue
        wanted, notes = applied.row(row)
        if wanted.id in seen:
            message = f"{wanted.kind} {quoted(wanted.id)} stands twice, first at {seen[wanted.id]}"
            wanted.problems.append(Problem("id", message))
        seen.setdefault(wanted.id, wanted.place)
        result.wanted.append(wanted)
        if notes:
            result.notes[wanted.place] = notes
    for column in table.columns:
        if column not in mapping.columns:
            result.not_used[column] = mapping.not_used.get(column, "")
    return result


def _passed_over(mapping: MappingFile, row: TableRow) -> str | None:
    """Why a row is not taken; None when it is."""
    for column, values in mapping.rows:
        given = _text(row, column)
        if _plain(given) not in {_plain(value) for value in values}:
            return f"{column} is {quoted(given)}"
    return None


def _text(row: TableRow, column: str) -> str:
    """A cell as text."""
    cell = row.cells.get(column)
    if cell is None:
        return ""
    if isinstance(cell, str):
        return restored(cell).strip()
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)


class _Applied:
    """A mapping at work on one table."""

    def __init__(self, mapping: MappingFile, table: Table, names: Names) -> None:
        self.mapping, self.table = mapping, table
        self.names = cache(names)
        self.notes: list[str] = []

    def row(self, row: TableRow) -> tuple[Wanted, list[str]]:
        """The record that a row is, with what has to be told about it."""
        self.notes = []
        kind = self.mapping.kind
        ids = self.values(row, self.mapping.id)
        id = slug(ids[0]) if ids else ""
        wanted = Wanted(row.place, kind.name, id, [], {}, [], main=True)
        if not id:
            wanted.problems.append(Problem("id", "the row has no identifier in the column the mapping names"))
        for name, specs in self.mapping.fields.items():
            outer, dot, rest = name.partition(".")
            holder = kind.by_key[outer] if dot else None
            structure = holder.inner if holder is not None and holder.inner is not None else kind
            self.put(wanted, row, structure, rest or name, specs, holder, None, "")
        for key, parts in self.mapping.parts.items():
            for part in parts:
                self.part(wanted, row, kind.by_key[key], part)
        return wanted, self.notes

    def part(self, wanted: Wanted, row: TableRow, holder: Field, part: Part) -> None:
        """One part, or one for each value of a cell, numbered on from the first."""
        if not _holds(part.when, row):
            return
        head, _, number = part.id.rpartition("-")
        each = self.values(row, part.each) if part.each is not None else [""]
        for offset, value in enumerate(each):
            id = f"{head}-{int(number) + offset}" if part.each is not None else part.id
            scratch = Wanted(wanted.place, wanted.kind, wanted.id, [], {}, [])
            assert holder.inner is not None
            for name, specs in part.fields.items():
                self.put(scratch, row, holder.inner, name, specs, holder, id, value)
            filled = {edit.column.field.key for edit in scratch.edits}
            wanted.problems += scratch.problems
            if scratch.edits and filled.issuperset(part.needs):
                wanted.edits += scratch.edits

    def put(
        self,
        wanted: Wanted,
        row: TableRow,
        structure: Structure,
        name: str,
        specs: Sequence[Spec],
        holder: Field | None,
        node: str | None,
        each: str,
    ) -> None:
        """The edit of one field, if the row has a value for it."""
        key, _, tag = name.partition("@")
        declared = structure.by_key[key]
        gathered: dict[str | None, list[Any]] = {}
        for spec in specs:
            language = tag or None
            if spec.language is not None:
                language = next(iter(self.values(row, spec.language)), "")
                if not LANGUAGE_TAG.fullmatch(language):
                    self.note(f"{key}: the language {quoted(language)} is no language tag; left out")
                    continue
            for text in self.values(row, spec, each):
                value = self.fitting(declared, spec, text, wanted)
                if value is not None and value not in gathered.setdefault(language, []):
                    gathered[language].append(value)
        for language, values in gathered.items():
            if not values:
                continue
            column = Column(name, declared, language, holder, node)
            several = declared.many or declared.type == "texts"
            if not several and len(values) > 1:
                self.note(
                    f"{name}: takes one value, the row has {len(values)}: {', '.join(map(quoted, values))}; left out"
                )
            else:
                wanted.edits.append(Edit(column, values if several else values[0]))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def fitting(self, declared: Field, spec: Spec, text: str, wanted: Wanted) -> Any:
        """The text as the field's value; what does not fit is told and left out, or refuses the row."""
        try:
            single = _Single(declared)
            value = single.read(text, self.table.decimal_comma)
            if spec.shorten and isinstance(value, str) and declared.max_length and len(value) > declared.max_length:
                self.note(f"{declared.key}: {len(value)} characters, shortened to {declared.max_length}")
                value = value[: declared.max_length - 1].rstrip() + "…"
            reason = single.unfit(value)
        except Unreadable as error:
            value, reason = None, str(error)
        if reason is None:
            return value
        if spec.otherwise == "refuse":
            wanted.problems.append(Problem(declared.key, reason, value=text))
        else:
            self.note(f"{declared.key}: {reason}; left out")
        return None

    def values(self, row: TableRow, spec: Spec, each: str = "") -> list[str]:
        """The texts that a spec gives for a row."""
        if not _holds(spec.when, row):
            return []
        if spec.template is not None:
            text = _PLACE.sub(lambda found: each if found[1] == "each" else _text(row, found[1]), spec.template)
            found = [text.strip()] if text.strip() else []
        elif spec.column is not None:
            found = _parts(_text(row, spec.column), spec.split)
        else:
            found = list(spec.constant)
        if spec.map is not None:
            found = [to for text in found for to in self.mapped(spec, text)]
        if spec.lookup is not None:
            found = self.looked_up(row, spec, found)
        return found

    def mapped(self, spec: Spec, text: str) -> Sequence[str]:
        """What the value map makes of a text."""
        assert spec.map is not None
        to = spec.map.get(_plain(text))
        if to is not None:
            return to
        if spec.otherwise == "keep":
            return (text,)
        if spec.otherwise != "nothing":
            self.note(f"{spec.column}: {quoted(text)} is not in the mapping; left out")
        return ()

    def looked_up(self, row: TableRow, spec: Spec, texts: Sequence[str]) -> list[str]:
        """Identifiers of the records that the texts name."""
        assert spec.lookup is not None
        country = ""
        if spec.country is not None:
            given = next(iter(self.values(row, spec.country)), "")
            country = code_of_country(given)
            if given and not country:
                self.note(f"country: {quoted(given)} is not known as a country")
            if not country:
                return []
        found: list[str] = []
        for text in texts:
            ids = self.named(spec, text, country) if spec.named else self.called(spec, text, country)
            if len(ids) > 1:
                self.note(f"{spec.lookup}: {quoted(text)} names several: {', '.join(sorted(ids))}; left out")
            elif ids:
                found += ids
            elif not spec.named:
                self.note(f"{spec.lookup}: {quoted(text)} is not on record; left out")
        return found

    def called(self, spec: Spec, text: str, country: str) -> set[str]:
        """Records that have the text as one of their names."""
        index = self.names(str(spec.lookup))
        return {id for id, of in index.get(folded(text), ()) if not country or of == country}

    def named(self, spec: Spec, text: str, country: str) -> set[str]:
        """Records of the country whose name stands in the text as words of its own, unless the words around it say
        that another body is meant (`{name} Provincial Council`)."""
        mentioned = f" {folded(text)} "
        found: set[str] = set()
        for name, ids in self.names(str(spec.lookup)).items():
            place = f" {name} "
            here = {id for id, of in ids if not country or of == country}
            if here and place in mentioned and not self.is_another(spec, mentioned, name):
                found |= here
        return found

    def is_another(self, spec: Spec, mentioned: str, name: str) -> bool:
        """Whether every mention of the name is part of the name of another body."""
        left = mentioned
        for pattern in spec.unless:
            body = folded(pattern.replace("{name}", _NAMED)).replace(_NAMED, name)
            while f" {body} " in left:
                left = left.replace(f" {body} ", "  ")
        return f" {name} " not in left


def _holds(when: Mapping[str, tuple[str, ...]], row: TableRow) -> bool:
    return all(_plain(_text(row, column)) in values for column, values in when.items())


def _parts(text: str, split: str | None) -> list[str]:
    """The parts of a cell. "addresses" cuts before each http:// or https:// that follows a blank or a comma."""
    if split is None:
        parts = [text]
    elif split == "addresses":
        parts = [part.rstrip(",; \n") for part in re.split(r"[\s,;]+(?=https?://)", text)]
    elif split == "lines":
        parts = text.split("\n")
    else:
        parts = text.split(split)
    return [part.strip() for part in parts if part.strip()]


@dataclass(frozen=True)
class _Single:
    """A field taken for one value at a time, also where it holds a list."""

    field: Field

    def read(self, text: str, decimal_comma: bool) -> Any:
        values = (
            value_of(self.field, text.replace("\\", "\\\\").replace("|", "\\|"), decimal_comma=decimal_comma)
            if (self.field.many or self.field.type == "texts")
            else value_of(self.field, text, decimal_comma=decimal_comma)
        )
        return values[0] if isinstance(values, list) and values else None if isinstance(values, list) else values

    def unfit(self, value: Any) -> str | None:
        """Why the rules would refuse a value; None when they would not."""
        declared = self.field
        if not isinstance(value, str):
            return None
        if declared.max_length and len(value) > declared.max_length:
            return f"{quoted(value)} has {len(value):,} characters, {declared.max_length:,} at most"
        if declared.type == "concept" and value not in (declared.choices or {}):
            return f"{quoted(value)} is none of: {', '.join(declared.choices or ())}"
        if declared.pattern and not re.search(declared.pattern, value):
            return f"{quoted(value)} is not written as this field needs it"
        return None


def slug(text: str) -> str:
    """An identifier made of a text: lower-case letters and digits, hyphens between words.

    >>> slug("PSTW-4"), slug("Kraków & Łódź")
    ('pstw-4', 'krakow-lodz')
    """
    return re.sub(r"[^a-z0-9]+", "-", folded(text).encode("ascii", "ignore").decode()).strip("-")[:120].strip("-")


def folded(text: str) -> str:
    """A name as names are compared: small letters without marks or strokes, words parted by one blank.

    >>> folded("Wrocław,  KRAKÓW"), folded("Λιβαδειά")
    ('wroclaw krakow', 'λιβαδεια')
    """
    return " ".join(words(text))


@cache
def _countries() -> dict[str, str]:
    """Names of countries in the languages of Europe, folded, to their codes."""
    from babel import Locale

    found: dict[str, str] = {}
    for tag in (
        "en",
        "fr",
        "de",
        "nl",
        "es",
        "it",
        "pt",
        "pl",
        "sv",
        "da",
        "nb",
        "fi",
        "el",
        "lv",
        "lt",
        "et",
        "cs",
        "ro",
    ):
        for code, label in Locale(tag).territories.items():
            if re.fullmatch(r"[A-Z]{2}", code):
                found.setdefault(folded(label), code)
    found |= {"turkey": "TR", "czech republic": "CZ", "uk": "GB", "great britain": "GB", "the netherlands": "NL"}
    return found


def code_of_country(text: str) -> str:
    """The two letters of a country, from its name in a language of Europe, or from codes as the Union writes them.

    >>> code_of_country("United Kingdom"), code_of_country("EL"), code_of_country("Türkiye"), code_of_country("Atlantis")
    ('GB', 'GR', 'TR', '')
    """
    given = text.strip()
    if re.fullmatch(r"[A-Z]{2}", given):
        return UNION_CODES.get(given, given)
    return _countries().get(folded(given), "")
