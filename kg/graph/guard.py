"""Reads a stranger's query far enough to refuse what is not allowed, and finds the searches in it.

Nothing here runs a query or trusts one: the text is cut into SPARQL's own tokens, as the engine cuts it, so that
strings, comments, addresses and escapes hide nothing. The engine is more lenient than the grammar in two ways that
matter. It takes a keyword without a gap after it (`trueSERVICE<http://…>`, `SERVICEex:x`), so a name with the word
"service" in it is refused. And `<` can begin an address or mean "less than" (`?a<?b#>`), so an address that would
read differently as a comparison is refused or kept apart from what follows. This is the first of two locks: the
process that runs the query cannot open a file or a connection either.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NoReturn
from urllib.parse import urljoin

import pyoxigraph as ox
from rdflib import SDO

from kg.errors import BadQuery, RefusedQuery, figures, quoted
from kg.vocabulary import MG, PREFIXES

Form = Literal["SELECT", "ASK", "CONSTRUCT", "DESCRIBE"]

DEEPEST = 200
"""Brackets inside each other. The engine's parser dies at some thousand; people write ten."""

MOST_SEARCHES = 4
MOST_HITS = 100
USUAL_HITS = 20
LONGEST_TEXT_CHARS = 20_000

GOOD_USE = (
    'write SERVICE mg:search { ?practice mg:query "one desk for newcomers"@en ; mg:score ?score ; mg:limit 20 ; '
    "mg:passage ?text }, with variables of your own; add `a schema:City` to get cities; all but mg:query may be left out"
)
GOOD_USE_IN_FRENCH = (
    'écrivez SERVICE mg:search { ?practice mg:query "un guichet pour les nouveaux arrivants"@fr ; mg:score ?score ; '
    "mg:limit 20 ; mg:passage ?text }, avec vos propres variables ; ajoutez `a schema:City` pour obtenir des villes ; tout "
    "sauf mg:query peut être omis"
)

_UPDATES = frozenset({"INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "COPY", "MOVE", "ADD"})
_CHANGES = _UPDATES | {"WITH"}
_FORMS: dict[str, Form] = {"SELECT": "SELECT", "ASK": "ASK", "CONSTRUCT": "CONSTRUCT", "DESCRIBE": "DESCRIBE"}
_BRACKETS = {"}": "{", ")": "(", "]": "["}

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\n]++)
    | (?P<comment>\#[^\r\n]*+)
    | (?P<string>'''(?:'{0,2}(?:[^'\\]|\\[\s\S]))*+'''|\"\"\"(?:"{0,2}(?:[^"\\]|\\[\s\S]))*+\"\"\"
                |'(?:[^'\\\r\n]|\\[^\r\n])++'|"(?:[^"\\\r\n]|\\[^\r\n])++"|''(?!')|""(?!"))
    | (?P<iri><[^<>"{}|^`\\\x00-\x20]*+>)
    | (?P<variable>[?$]\w[\w·‿⁀]*+)
    | (?P<blank>_:\w(?:[\w.\-·]*[\w\-·])?)
    | (?P<name>(?:[^\W\d_](?:[\w.\-·]*[\w\-·])?)?:
               (?:(?:[\w:]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%])
                  (?:(?:[\w:.\-·]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%])*
                     (?:[\w:\-·]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%]))?)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*+)
    | (?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*+)
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<mark>[{}()\[\];,.=!<>&|+\-*/^?~])
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Z_]\w*+")
_BEGINNING = re.compile(
    r"""(?: [ \t\r\n]++ | \#[^\r\n]*+
          | (?:BASE | PREFIX[ \t\r\n]++[\w.\-]*+:) [ \t\r\n]*+ <[^<>"{}|^`\\\x00-\x20]*+> )*+
        (SELECT|ASK|CONSTRUCT|DESCRIBE)\b""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:\\|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))")
_ECHAR = re.compile(r"\\(.)", re.DOTALL)
_ECHARS = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_CALLS_OUT = re.compile(r"\).*SERVICE")
_OPERANDS = frozenset({"variable", "string", "iri", "name", "number", "language", "word"})
_KINDS = {str(MG.Practice): "practice", str(SDO.City): "city"}


@dataclass(frozen=True)
class Search:
    """One `SERVICE mg:search { … }` of a query: what to look for, and the variables its hits go into."""

    subject: str
    text: str
    language: str | None = None
    of: Literal["practice", "city"] = "practice"
    limit: int = USUAL_HITS
    score: str | None = None
    passage: str | None = None
    lines: int = 0

    def values(self, hits: Sequence[Hit]) -> str:
        """The hits as a VALUES block with as many line breaks as the search had, so that places in messages stay true.

        >>> Search("?p", "shade", score="?how_close").values([Hit("https://x.org/id/practice/a", 0.5, "Trees", "en")])
        'VALUES (?p ?how_close) { (<https://x.org/id/practice/a> 0.5) }'
        """
        names = [name for name in (self.subject, self.score, self.passage) if name]
        rows = " ".join(f"({' '.join(self._row(hit))})" for hit in hits)
        return f"VALUES ({' '.join(names)}) {{ {rows} }}" + "\n" * self.lines

    def _row(self, hit: Hit) -> list[str]:
        row = [str(ox.NamedNode(hit.iri))]
        if self.score:
            row.append(f"{Decimal(str(round(hit.score, 5))):f}")
        if self.passage:
            row.append(str(ox.Literal(hit.passage, language=hit.language)))
        return row


@dataclass(frozen=True)
class Hit:
    """One thing a search found: its address, how close it is in [0, 1], and the passage that says so."""

    iri: str
    score: float
    passage: str
    language: str


@dataclass(frozen=True)
class Checked:
    """A query that may run, once its searches are answered.

    `default_graphs` and `named_graphs` are what FROM and FROM NAMED name, None when the query has neither: then
    it asks everything there is.
    """

    form: Form
    pieces: tuple[str | Search, ...]
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None

    @property
    def searches(self) -> tuple[Search, ...]:
        """The searches in the order in which they stand in the query."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Search))

    def text(self, hits: Sequence[Sequence[Hit]] = ()) -> str:
        """What the engine is given: each search replaced by its hits."""
        found = iter(hits)
        return "".join(piece if isinstance(piece, str) else piece.values(next(found)) for piece in self.pieces)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def upper(self) -> str:
        return self.text.upper()


def check(query: str) -> Checked:
    """Refuse a query that calls out, changes anything or is no query; return the others ready to run.

    The prefixes of `kg.vocabulary` are known without being declared.

    Raises RefusedQuery for SERVICE other than mg:search and for updates, BadQuery for what cannot be read, with
    line and column, or uses mg:search wrongly. What is accepted here may still be no SPARQL: the engine says so.

    >>> check("SELECT ?name FROM <urn:g> { ?city rdfs:label ?name } # SERVICE <http://x.org/>").default_graphs
    ('urn:g',)
    >>> check("ASK { ?s ?p 'SERVICE' FILTER EXISTS { \\\\u0053ERVICE <http://x.org/> {} } }")
    Traceback (most recent call last):
    kg.errors.RefusedQuery: line 1, column 39: SERVICE is refused: queries here never call other addresses. ...
    >>> check('SELECT * { SERVICE mg:search { ?p mg:query "shade" } }').searches
    (Search(subject='?p', text='shade', language=None, of='practice', limit=20, ...),)
    """
    return _plain(query) or _Reader(_unescaped(query)).read()


def _plain(query: str) -> Checked | None:
    """A query in which none of the words to look for stands anywhere, not even in a string: it may run as it is.

    Most queries are so, and reading one took longer than answering it. None for all others, and for what looks like a mistake,
    which the reader explains better than the engine does.
    """
    capitals = query.upper()
    if not query.isascii() or "\\" in query or "SERVICE" in capitals or "FROM" in capitals:
        return None
    if any(word in capitals for word in _CHANGES) and not _CHANGES.isdisjoint(_WORD.findall(capitals)):
        return None
    opened = [query.count(bracket) for bracket in _BRACKETS.values()]
    if sum(opened) > DEEPEST or opened != [query.count(bracket) for bracket in _BRACKETS]:
        return None
    if query.count('"') % 2 or query.count("'") % 2:
        return None
    beginning = _BEGINNING.match(query)
    return Checked(_FORMS[beginning[1].upper()], (query,)) if beginning else None


def _unescaped(query: str) -> str:
    r"""Put characters in place of \u escapes, as SPARQL 1.1 (19.2) does before anything is parsed.

    >>> _unescaped("S\\u0045LECT")
    'SELECT'
    >>> _unescaped(r'"\\u0041"')
    '"\\\\u0041"'
    """

    def character(match: re.Match[str]) -> str:
        digits = match[1] or match[2]
        if digits is None:
            return match[0]
        number = int(digits, 16)
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF or number in (0, 0x5C):
            _bad(
                query,
                match.start(),
                f"{match[0]} cannot stand here; write a backslash as \\\\",
                f"{match[0]} n’a pas sa place ici ; écrivez une barre oblique inverse \\\\",
            )
        return chr(number)

    return _ESCAPE.sub(character, query)


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


def _told(text: str, position: int, english: str, french: str) -> dict[str, str]:
    """A message in both languages, with the line and column that it is about in front."""
    place = _place(text, position)
    return {
        "en": f"{place}: {english}",
        "fr": f"{place.replace('line', 'ligne').replace('column', 'colonne')} : {french}",
    }


def _bad(text: str, position: int, english: str, french: str) -> NoReturn:
    raise BadQuery(_told(text, position, english, french))


def _refuse(text: str, position: int, english: str, french: str) -> NoReturn:
    raise RefusedQuery(_told(text, position, english, french))


_ENGINES = re.compile(r"error at (\d+):(\d+): expected (?:one of )?(.*)", re.DOTALL)
_WANTED = re.compile(r'"((?:[^"\\]|\\.)*+)"|\b([A-Z][A-Z ]+)\b')
LONGEST_SIGN_CHARS = 2
_NOT_SPARQL = frozenset({"LATERAL", "SERVICE"})
"""What the engine would read, and what nobody should write here."""
SHOWN_BEFORE_CHARS = 30


def explained(query: str, error: SyntaxError) -> dict[str, str]:
    """Why the engine cannot read a query, in English and French, with line and column.

    The engine lists all that it could have read there, characters of names too; of that the words and signs are told, and
    what stands before. A prefix that is not declared is told at its own place.

    >>> explained("ASK { ?s foo:x 3 }", SyntaxError("error at 1:15: expected one of Prefix not found, ['%']"))["en"]
    "line 1, column 10: the prefix 'foo:' is not declared; begin with PREFIX foo: <…>"
    >>> explained("ASK { ?s ?p }", SyntaxError("error at 1:14: expected one of LATERAL, SERVICE, [_]"))["fr"]
    "ligne 1, colonne 14 : la requête ne se lit pas plus loin, après 'ASK { ?s ?p }'"
    >>> explained("ASK { ?s ", SyntaxError('error at 1:10: expected one of "$", OPTIONAL, [_]'))["en"]
    "line 1, column 10: expected one of $, OPTIONAL, after 'ASK { ?s '"
    """
    found = _ENGINES.match(str(error))
    if found is None:
        return {"en": f"the query cannot be read: {error}", "fr": f"la requête est illisible : {error}"}
    position = _position(query, int(found[1]), int(found[2]))
    english, french = _reason(found[3])
    name = re.search(r"([\w.\-]*):[\w.\-]*$", query[:position])
    if "Prefix not found" in found[3] and name is not None:
        position, prefix = name.start(), f"{name[1]}:"
        english = f"the prefix {quoted(prefix)} is not declared; begin with PREFIX {prefix} <…>"
        french = f"le préfixe {quoted(prefix)} n’est pas déclaré ; commencez par PREFIX {prefix} <…>"
    else:
        before = quoted(query[max(0, position - SHOWN_BEFORE_CHARS) : position])
        english, french = f"{english}, after {before}", f"{french}, après {before}"
    return _told(query, position, english, french)


def _position(text: str, line: int, column: int) -> int:
    """Where a line and column are, both counted from 1."""
    begin = 0
    for _ in range(line - 1):
        begin = text.find("\n", begin) + 1
    return begin + column - 1


_REASONS = {
    "variable that is unbound": (
        "a variable of SELECT is neither in GROUP BY nor inside COUNT, SAMPLE or the like",
        "une variable de SELECT n’est ni dans GROUP BY ni dans COUNT, SAMPLE ou autre agrégat",
    ),
    "overrides an existing variable": (
        "the variable after AS has a value already; choose another name",
        "la variable après AS a déjà une valeur ; prenez un autre nom",
    ),
    "IRI parsing failed": ("the address is not a full one", "l’adresse n’est pas complète"),
}
"""By words of the engine's."""


def _reason(said: str) -> tuple[str, str]:
    """What the engine says, in English and French."""
    for words, told in _REASONS.items():
        if words in said:
            return told
    found = _WANTED.findall(re.sub(r"\[[^\]]*\]", "", said))
    signs_and_words = [(_ECHAR.sub(r"\1", sign), word) for sign, word in found if word not in _NOT_SPARQL]
    wanted = [word or sign for sign, word in signs_and_words if len(sign) <= LONGEST_SIGN_CHARS]
    if not wanted:
        return "the query cannot be read further", "la requête ne se lit pas plus loin"
    listed = ", ".join(wanted)
    return (
        (f"expected one of {listed}", f"attendu : l’un de {listed}")
        if len(wanted) > 1
        else (f"expected {listed}", f"attendu : {listed}")
    )


class _Reader:
    """Goes through one query's tokens once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._cut()
        self._at = 0
        self._prefixes: dict[str, str] = dict(PREFIXES)
        self._base = ""
        self._pieces: list[str | Search] = []
        self._open: list[str] = []
        self._default: list[str] = []
        self._named: list[str] = []

    def read(self) -> Checked:
        self._read_prologue()
        form = self._form()
        while (token := self._peek()) is not None:
            if token.kind == "word" and token.upper == "SERVICE":
                self._read_service()
            elif token.kind == "word" and token.upper == "FROM":
                self._read_from()
            else:
                self._check(token)
                self._keep()
        dataset = bool(self._default or self._named)
        return Checked(
            form,
            tuple(self._pieces),
            tuple(self._default) if dataset else None,
            tuple(self._named) if dataset else None,
        )

    def _cut(self) -> list[_Token]:
        tokens, position = [], 0
        while position < len(self._text):
            match = _TOKEN.match(self._text, position)
            if match is None:
                character = self._text[position]
                if character in "'\"":
                    _bad(self._text, position, "a string that does not end", "une chaîne qui ne se termine pas")
                english, french = f"{quoted(character)} cannot stand here", f"{quoted(character)} n’a pas sa place ici"
                _bad(self._text, position, english, french)
            tokens.append(_Token(match.lastgroup or "", match[0], position))
            position = match.end()
        return tokens

    # Walking

    def _skip(self) -> None:
        """Copy white space, leave comments out; a line break after a comment stays."""
        while self._at < len(self._tokens) and self._tokens[self._at].kind in ("space", "comment"):
            if self._tokens[self._at].kind == "space":
                self._pieces.append(self._tokens[self._at].text)
            self._at += 1

    def _peek(self) -> _Token | None:
        self._skip()
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _keep(self) -> _Token:
        token = self._next()
        self._pieces.append(token.text)
        if token.kind == "iri" and "#" in token.text and self._may_compare(self._at - 1):
            self._pieces.append("\n")
        return token

    def _next(self) -> _Token:
        token = self._peek()
        if token is None:
            _bad(self._text, len(self._text), "the query ends too early", "la requête se termine trop tôt")
        self._at += 1
        return token

    # The beginning

    def _read_prologue(self) -> None:
        while (token := self._peek()) is not None and token.upper in ("BASE", "PREFIX"):
            self._keep()
            if token.upper == "BASE":
                self._base = urljoin(self._base, self._expect("iri").text[1:-1])
                continue
            label = self._expect("name")
            if not label.text.endswith(":") or label.text.count(":") > 1:
                _bad(
                    self._text,
                    label.start,
                    f"{quoted(label.text)} is no prefix; write one like mg:",
                    f"{quoted(label.text)} n’est pas un préfixe ; un préfixe s’écrit comme mg:",
                )
            self._check_prefix(label)
            self._prefixes[label.text[:-1]] = urljoin(self._base, self._expect("iri").text[1:-1])

    def _expect(self, kind: str) -> _Token:
        token = self._keep()
        if token.kind != kind:
            _bad(
                self._text,
                token.start,
                f"after BASE or PREFIX, {quoted(token.text)} cannot stand here",
                f"après BASE ou PREFIX, {quoted(token.text)} n’a pas sa place ici",
            )
        return token

    def _form(self) -> Form:
        token = self._peek()
        if token is None:
            raise BadQuery(
                {
                    "en": "the query is empty; it begins with SELECT, ASK, CONSTRUCT or DESCRIBE",
                    "fr": "la requête est vide ; elle commence par SELECT, ASK, CONSTRUCT ou DESCRIBE",
                }
            )
        if token.kind == "word" and token.upper in _CHANGES:
            self._refuse_update(token)
        if token.kind != "word" or token.upper not in _FORMS:
            _bad(
                self._text,
                token.start,
                f"{quoted(token.text)} begins no query; SELECT, ASK, CONSTRUCT or DESCRIBE do",
                f"aucune requête ne commence par {quoted(token.text)}, mais par SELECT, ASK, CONSTRUCT ou DESCRIBE",
            )
        self._keep()
        return _FORMS[token.upper]

    # What is refused

    def _check(self, token: _Token) -> None:
        if token.kind == "word":
            self._check_word(token)
        elif token.kind == "name":
            self._check_prefix(token)
        elif token.kind == "iri":
            self._check_comparison(token)
        elif token.kind == "mark":
            self._check_brackets(token)

    def _check_word(self, token: _Token) -> None:
        if "SERVICE" in token.upper:
            _bad(
                self._text,
                token.start,
                f"{quoted(token.text)} is no word of SPARQL; put a space around SERVICE",
                f"{quoted(token.text)} n’est pas un mot de SPARQL ; mettez une espace avant et après SERVICE",
            )
        if token.upper in _UPDATES:
            self._refuse_update(token)

    def _refuse_update(self, token: _Token) -> NoReturn:
        _refuse(
            self._text,
            token.start,
            f"{token.upper} is refused: queries here change nothing. "
            "Records are added and changed by curators, one at a time.",
            f"{token.upper} est refusé : ici, les requêtes ne modifient rien. "
            "Les curateurs ajoutent et modifient les fiches, une par une.",
        )

    def _check_prefix(self, token: _Token) -> None:
        prefix = token.text.partition(":")[0]
        if "SERVICE" in prefix.upper():
            _refuse(
                self._text,
                token.start,
                f"the prefix {quoted(prefix + ':')} is refused, because the engine would read SERVICE in it; choose another.",
                f"le préfixe {quoted(prefix + ':')} est refusé, car le moteur y lirait SERVICE ; choisissez-en un autre.",
            )
        if not self._open and prefix.upper().startswith("FROM"):
            _bad(
                self._text,
                token.start,
                f"put a space after FROM, or choose another prefix than {quoted(prefix)}",
                f"mettez une espace après FROM, ou choisissez un autre préfixe que {quoted(prefix)}",
            )

    def _check_comparison(self, token: _Token) -> None:
        """Where an operator may stand, `<` may be "less than", and what follows it anything."""
        if self._may_compare(self._at) and _CALLS_OUT.search(token.upper):
            _bad(
                self._text,
                token.start,
                "put a space after <, or write the brackets of an address as %28 and %29",
                "mettez une espace après <, ou écrivez les parenthèses d’une adresse %28 et %29",
            )

    def _may_compare(self, place: int) -> bool:
        """Whether a token stands behind a value, inside round brackets."""
        place -= 1
        while place >= 0 and self._tokens[place].kind in ("space", "comment"):
            place -= 1
        before = self._tokens[place]
        return self._open[-1:] == ["("] and (before.kind in _OPERANDS or before.text in (")", "*", "?"))

    def _check_brackets(self, token: _Token) -> None:
        if token.text in _BRACKETS.values():
            self._open.append(token.text)
            if len(self._open) > DEEPEST:
                _bad(
                    self._text,
                    token.start,
                    f"brackets are nested more than {DEEPEST} deep; write a flatter query",
                    f"les parenthèses sont imbriquées sur plus de {DEEPEST} niveaux ; écrivez une requête moins imbriquée",
                )
        elif token.text in _BRACKETS and (not self._open or self._open.pop() != _BRACKETS[token.text]):
            _bad(
                self._text,
                token.start,
                f"{quoted(token.text)} closes nothing that is open",
                f"{quoted(token.text)} ne ferme rien d’ouvert",
            )

    # FROM

    def _read_from(self) -> None:
        begin, token, graphs = self._keep(), self._keep(), self._default
        if token.kind == "word" and token.upper == "NAMED":
            token, graphs = self._keep(), self._named
        if self._open or token.kind not in ("iri", "name"):
            _bad(
                self._text,
                begin.start,
                "FROM stands before WHERE and names a graph, such as FROM <https://…#record>",
                "FROM se place avant WHERE et nomme un graphe, comme FROM <https://…#record>",
            )
        graph = self._known(token)
        if not graph:
            _bad(
                self._text,
                token.start,
                f"the prefix of {quoted(token.text)} is not declared",
                f"le préfixe de {quoted(token.text)} n’est pas déclaré",
            )
        graphs.append(graph)

    def _known(self, token: _Token) -> str:
        """The address that a token means; "" for what is none, or has a prefix that is not declared."""
        if token.kind == "iri":
            return urljoin(self._base, token.text[1:-1])
        prefix, colon, local = token.text.partition(":")
        if token.kind != "name" or not colon or prefix not in self._prefixes:
            return ""
        return self._prefixes[prefix] + _ECHAR.sub(r"\1", local)

    # SERVICE

    def _read_service(self) -> None:
        begin = self._next()
        target = self._next()
        if target.kind == "word" and target.upper == "SILENT":
            target = self._next()
        if self._known(target) != str(MG.search):
            english, french = self._mg_elsewhere(target) or _elsewhere(target)
            _refuse(
                self._text,
                begin.start,
                f"SERVICE is refused: queries here never call other addresses{english}",
                f"SERVICE est refusé : ici, les requêtes n’appellent aucune autre adresse{french}",
            )
        opening = self._next()
        if opening.text != "{":
            self._misused(opening)
        search = self._read_search(begin)
        if len([piece for piece in self._pieces if isinstance(piece, Search)]) == MOST_SEARCHES:
            _bad(
                self._text,
                begin.start,
                f"a query may search {MOST_SEARCHES} times at most",
                f"une requête peut chercher {MOST_SEARCHES} fois au plus",
            )
        self._pieces.append(search)

    def _mg_elsewhere(self, token: _Token) -> tuple[str, str] | None:
        """Tells, in English and French, that mg: stands for something else here; None where it does not, or the token
        is of another prefix."""
        prefix, namespace = token.text.partition(":")[0], self._prefixes["mg"]
        if token.kind != "name" or prefix != "mg" or namespace == str(MG):
            return None
        return (
            f"; the prefix mg: is bound to {quoted(namespace)} here; leave that line out, or write PREFIX mg: <{MG}>.",
            f" ; le préfixe mg: est lié ici à {quoted(namespace)} ; retirez cette ligne, ou écrivez PREFIX mg: <{MG}>.",
        )

    def _read_search(self, begin: _Token) -> Search:
        found: dict[str, Any] = {}
        token = self._search_token()
        while token.text != "}":
            if token.kind != "variable" or found.setdefault("subject", token.text) != token.text:
                self._misused(token)
            token = self._read_pairs(found)
        if "text" not in found:
            self._misused(token)
        variables = [found[key] for key in ("subject", "score", "passage") if key in found]
        if len({name[1:] for name in variables}) < len(variables):
            self._misused(token)
        return Search(**found, lines=self._text.count("\n", begin.start, token.start))

    def _read_pairs(self, found: dict[str, Any]) -> _Token:
        """Predicates and objects of one subject; returns the token after them."""
        token = self._search_token()
        while True:
            pair = self._pair(token)
            if not found.keys().isdisjoint(pair):
                self._misused(token)
            found |= pair
            token = self._search_token()
            if token.text == ";":
                while token.text == ";":
                    token = self._search_token()
                if token.text not in (".", "}"):
                    continue
            return self._search_token() if token.text == "." else token

    def _pair(self, verb: _Token) -> dict[str, Any]:
        said = "type" if verb.text == "a" else self._known(verb)
        value = self._search_token()
        if said == str(MG.query) and value.kind == "string":
            return self._query_text(value)
        if said == str(MG.limit) and value.text.isascii() and value.text.isdigit():
            if not 1 <= int(value.text[:9]) <= MOST_HITS:
                _bad(
                    self._text,
                    value.start,
                    f"mg:limit is a number from 1 to {MOST_HITS}; {GOOD_USE}",
                    f"mg:limit est un nombre de 1 à {MOST_HITS} ; {GOOD_USE_IN_FRENCH}",
                )
            return {"limit": int(value.text[:9])}
        if said in (str(MG.score), str(MG.passage)) and value.kind == "variable":
            return {said.rpartition("#")[2]: value.text}
        if said == "type" and self._known(value) in _KINDS:
            return {"of": _KINDS[self._known(value)]}
        self._misused(verb)

    def _query_text(self, token: _Token) -> dict[str, Any]:
        quotes = 3 if token.text[:3] in ("'''", '"""') else 1
        text = _ECHAR.sub(lambda match: _ECHARS.get(match[1], match[0]), token.text[quotes:-quotes])
        if not text.strip() or len(text) > LONGEST_TEXT_CHARS:
            most, most_in_french = figures(LONGEST_TEXT_CHARS)
            _bad(
                self._text,
                token.start,
                f"the text of mg:query has 1 to {most} characters, not only white space; {GOOD_USE}",
                f"le texte de mg:query compte de 1 à {most_in_french} caractères, pas seulement des espaces ; "
                f"{GOOD_USE_IN_FRENCH}",
            )
        following = self._peek()
        if following is not None and following.kind == "language":
            return {"text": text, "language": self._next().text[1:].lower()}
        return {"text": text}

    def _search_token(self) -> _Token:
        """The next token inside a search; nothing of it goes into the text."""
        while self._at < len(self._tokens) and self._tokens[self._at].kind in ("space", "comment"):
            self._at += 1
        return self._next()

    def _misused(self, token: _Token) -> NoReturn:
        english, french = self._mg_elsewhere(token) or (f"; {GOOD_USE}", f" ; {GOOD_USE_IN_FRENCH}")
        _bad(
            self._text,
            token.start,
            f"{quoted(token.text)} does not fit into a search{english}",
            f"{quoted(token.text)} n’a pas sa place dans une recherche{french}",
        )


def _elsewhere(target: _Token) -> tuple[str, str]:
    """What to do in place of a call to an address, in English and French."""
    shown = quoted(target.text)
    if target.kind == "variable":
        english = (
            f"The variable {shown} cannot name an address here: ask each one yourself and put its answer in VALUES"
        )
        french = (
            f"La variable {shown} ne peut pas nommer d’adresse ici : interrogez chacune vous-même et mettez sa réponse "
            "dans VALUES"
        )
    elif target.kind in ("iri", "name"):
        english = f"Ask {shown} yourself and put its answer in VALUES"
        french = f"Interrogez {shown} vous-même et mettez sa réponse dans VALUES"
    else:
        english, french = f"{shown} names none", f"{shown} n’en nomme aucune"
    return (
        f". {english}. Only SERVICE mg:search is known.",
        f". {french}. Seul SERVICE mg:search est connu.",
    )
