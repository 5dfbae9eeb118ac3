"""Finds claims that contradict each other, in one record or in several about the same thing, and keeps curators' answers.

Both claims stay on record (ontology/README.md: "Sources disagree? Keep both."). A flag says which two they are, what
differs and which sources say so. Its key rests on the two places alone, so an answer stays with it while other
fields are mended; its digest rests on what the two say, so an answer to other values is not taken for one to these.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import combinations, islice
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, insert, or_, select

from kg.errors import BadRequest, in_digits, quoted
from kg.fields import in_language
from kg.ledger import Ledger
from kg.search.text import fold

VERDICTS = ("explained", "mended", "wrong")
"""Both figures are right for a stated reason; a record was mended because of it; they do not contradict each other."""

NOTE_LIMIT_CHARACTERS = 4_000

ALIKE = 200
"""Of so many claims on one point, each pair is compared; of more, the first: 19,900 pairs take 0.1 s."""

ROUNDED = Decimal("0.01")
"""A round figure (87000) agrees with a precise one (86921) within half of its last digit, one per cent at most."""

SHOWN_CHARACTERS = 100

ABOUT = Decimal("0.1")
"""How far from "about 150" another figure may lie before the two contradict each other."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_TEXTS = {
    "en": {
        "outcome": "Two figures for the same outcome: {a} and {b}.",
        "period": "Two accounts of when it took place: {a} and {b}.",
        "cost": "Two figures for the same cost: {a} and {b}.",
        "funding": "Two figures for the same funding: {a} and {b}.",
        "observation": "Two figures of the city for the same year: {a} and {b}.",
        "transfer": "Two records tell the same transfer differently: {a} and {b}.",
        "named": "A curator has named these two as rivals: {a} and {b}.",
        "about": "about {0}",
        "over": "over {0}",
        "at-least": "at least {0}",
        "up-to": "up to {0}",
        "under": "under {0}",
        "span": "{0} to {1}",
        "since": "since {0}",
        "until": "until {0}",
    },
    "fr": {
        "outcome": "Deux chiffres pour le même résultat : {a} et {b}.",
        "period": "Deux indications sur les dates : {a} et {b}.",
        "cost": "Deux chiffres pour le même coût : {a} et {b}.",
        "funding": "Deux chiffres pour le même financement : {a} et {b}.",
        "observation": "Deux chiffres de la ville pour la même année : {a} et {b}.",
        "transfer": "Deux fiches racontent autrement le même transfert : {a} et {b}.",
        "named": "Un curateur a désigné ces deux affirmations comme rivales : {a} et {b}.",
        "about": "environ {0}",
        "over": "plus de {0}",
        "at-least": "au moins {0}",
        "up-to": "jusqu'à {0}",
        "under": "moins de {0}",
        "span": "{0} à {1}",
        "since": "depuis {0}",
        "until": "jusqu'en {0}",
    },
}


@dataclass(frozen=True)
class Side:
    """One of two claims: where it stands, what it says, and who says so.

    `node` is the identifier of the inner node, "" for the record as a whole. `values` are the stated values that
    were compared, by field. `sources` are addresses; none where the record does not tell its sources apart.
    """

    kind: str
    id: str
    node: str
    values: Mapping[str, str]
    words: Mapping[str, str]
    sources: tuple[str, ...]

    @property
    def place(self) -> str:
        """A name that stays while the claim is edited: `practice/x#claim-1`."""
        return f"{self.kind}/{self.id}" + (f"#{self.node}" if self.node else "")

    def shown(self, language: str = "en") -> str:
        """What it says, for a sentence.

        >>> Side("practice", "x", "claim-1", {"qualifier": "about", "value": "150"}, {}, ()).shown()
        'about 150'
        >>> Side("practice", "x", "period-1", {"start": "2017"}, {}, ()).shown("fr")
        'depuis 2017'
        """
        words = _TEXTS.get(language, _TEXTS["en"])
        start, end = self.values.get("start"), self.values.get("end")
        if start or end:
            form = "span" if start and end else "since" if start else "until"
            return words[form].format(*filter(None, (start, end)))
        told = " ".join(value for key, value in self.values.items() if key != "qualifier")
        if not told:
            return f"“{in_language(self.words, language)[:SHOWN_CHARACTERS]}”"
        return words.get(self.values.get("qualifier", ""), "{0}").format(told)

    def as_json(self, language: str) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "id": self.id,
            "node": self.node or None,
            "values": dict(self.values),
            "statement": in_language(self.words, language) or None,
            "sources": list(self.sources),
        }


@dataclass(frozen=True)
class Answer:
    """What a curator says of a flag: `verdict` is one of VERDICTS, `digest` that of the values answered to."""

    key: str
    digest: str
    verdict: str
    note: str
    author: str
    time: datetime

    def as_json(self) -> dict[str, Any]:
        """The answer for those who work on the record; who gave it is told by role, as in public provenance."""
        return {
            "verdict": self.verdict,
            "note": self.note,
            "role": self.author.partition("/")[0],
            "time": self.time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }


@dataclass(frozen=True)
class Flag:
    """Two claims that contradict each other.

    `what` is "outcome", "period", "cost", "funding", "observation" or "transfer"; `differs` the fields whose values
    differ. `named` says that a curator has made them rivals, which flags them whatever they say.
    """

    what: str
    sides: tuple[Side, Side]
    differs: tuple[str, ...]
    named: bool = False
    answer: Answer | None = None

    @property
    def key(self) -> str:
        """The flag's name: the same as long as both claims are there, whatever their order and values."""
        return _digest(self.what, *(side.place for side in self.sides))

    @property
    def digest(self) -> str:
        """Changes when one of the two says something else."""
        said = ([side.place, *(sorted(side.values.items()) or sorted(side.words.items()))] for side in self.sides)
        return _digest(self.what, *said)

    @property
    def state(self) -> str:
        """ "open", "answered", or "reopened" where the answer was given to other values."""
        if self.answer is None:
            return "open"
        return "answered" if self.answer.digest == self.digest else "reopened"

    def reason(self, language: str) -> str:
        """One sentence, in English or French."""
        words = _TEXTS.get(language, _TEXTS["en"])
        a, b = (side.shown(language) for side in self.sides)
        return words["named" if self.named and not self.differs else self.what].format(a=a, b=b)

    def as_json(self, language: str = "en") -> dict[str, Any]:
        return {
            "key": self.key,
            "what": self.what,
            "reason": self.reason(language),
            "differs": list(self.differs),
            "named": self.named,
            "claims": [side.as_json(language) for side in self.sides],
            "state": self.state,
            "answer": self.answer.as_json() if self.answer else None,
        }


def contradictions(*records: Mapping[str, Any]) -> tuple[Flag, ...]:
    """The claims that contradict each other, by place; the order of records and claims makes no difference.

    One record is compared with itself. Several are taken to be about the same thing (two records of one practice
    before they are merged, transfers of one practice to one city): the caller says so by giving them together.

    Compared are outcomes of the same indicator, unit and period, spans of time that overlap, costs and fundings of the same
    kind, dated observations of a city for the same measure, year and boundary, and transfers of one practice to one
    city. Claims that name each other as rivals are flagged always. What is not stated does not contradict
    anything, and two figures of one and the same source are taken to be about two things.

    >>> claims = [{"id": "claim-1", "value": "81", "indicator": {"en": "people helped"}, "stated_in": ["source-1"]},
    ...           {"id": "claim-2", "value": "135", "indicator": {"en": "People helped"}, "stated_in": ["source-2"]}]
    >>> sources = [{"id": "source-1", "url": "https://a.example/"}, {"id": "source-2", "url": "https://b.example/"}]
    >>> [flag] = contradictions({"kind": "practice", "id": "x", "outcomes": claims, "sources": sources})
    >>> flag.reason("en")
    'Two figures for the same outcome: 81 and 135.'
    >>> [side.sources for side in flag.sides]
    [('https://a.example/',), ('https://b.example/',)]
    """
    found: dict[str, Flag] = {}
    groups: dict[tuple[Any, ...], list[_Claim]] = defaultdict(list)
    for claim in (claim for record in records for claim in _claims(record)):
        for point in claim.points:
            groups[claim.what, point].append(claim)
    for claims in groups.values():
        ordered = sorted(claims, key=lambda claim: claim.side.place)
        for a, b in combinations(islice(ordered, ALIKE), 2):
            differs = _differences(a, b)
            if differs:
                flag = Flag(a.what, (a.side, b.side), differs)
                found[flag.key] = flag
    for named in (flag for record in records for flag in _named(record)):
        before = found.get(named.key, named)
        found[named.key] = replace(before, named=True)
    return tuple(sorted(found.values(), key=lambda flag: [side.place for side in flag.sides]))


def with_answers(flags: Iterable[Flag], answers: Mapping[str, Answer]) -> tuple[Flag, ...]:
    """The flags, each with the newest answer to it.

    >>> with_answers([], {})
    ()
    """
    return tuple(replace(flag, answer=answers.get(flag.key)) for flag in flags)


# --------------------------------------------------------------------------------------------- answers

_tables = MetaData()
_answers = Table(
    "flag_answers",
    _tables,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False, index=True),
    Column("record", String(250), nullable=False, index=True),
    Column("other", String(250), nullable=False, index=True),
    Column("digest", String(64), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("note", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("time", String(40), nullable=False),
)


class FlagAnswers:
    """Curators' answers to flags, kept beside the ledger; none is ever overwritten, the newest counts.

    >>> from tempfile import TemporaryDirectory
    >>> claims = [{"id": f"claim-{n}", "value": v, "indicator": {"en": "people"}} for n, v in ((1, "81"), (2, "135"))]
    >>> [flag] = contradictions({"kind": "practice", "id": "x", "outcomes": claims})
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     answers = FlagAnswers(ledger)
    ...     _ = answers.answer_flag(flag, "explained", author="curator/ilze", note="81 of them still live there.")
    ...     [answered] = with_answers([flag], answers.answers_of("practice", "x"))
    >>> answered.state, answered.answer.verdict
    ('answered', 'explained')
    """

    def __init__(self, ledger: Ledger) -> None:
        self._beside = ledger.beside(_tables)

    def answer_flag(self, flag: Flag, verdict: str, *, author: str, note: str = "") -> Answer:
        """Keep an answer to a flag as it now stands, and return it.

        Raises BadRequest for a verdict that is none, for "explained" without a note, and for a note that cannot be
        stored or is longer than NOTE_LIMIT_CHARACTERS.
        """
        if verdict not in VERDICTS:
            raise BadRequest(
                {
                    "en": f"verdict: {quoted(verdict)} is none of {', '.join(VERDICTS)}",
                    "fr": f"verdict : {quoted(verdict)} n’est aucun de : {', '.join(VERDICTS)}",
                }
            )
        note = _note(note)
        if verdict == "explained" and not note:
            raise BadRequest(
                {
                    "en": "note: say in a sentence why both figures are right",
                    "fr": "note : dites en une phrase pourquoi les deux chiffres sont justes",
                }
            )
        if not author:
            raise ValueError("an answer needs an author")
        answer = Answer(flag.key, flag.digest, verdict, note, author, datetime.now(UTC))
        first, second = (f"{side.kind}/{side.id}" for side in flag.sides)
        with self._beside.writing() as connection:
            connection.execute(
                insert(_answers).values(
                    key=answer.key,
                    record=first,
                    other=second,
                    digest=answer.digest,
                    verdict=verdict,
                    note=note,
                    author=author,
                    time=answer.time.isoformat(),
                )
            )
        return answer

    def answers_of(self, kind: str, id: str) -> dict[str, Answer]:
        """The newest answer to each flag of a record, by the flag's key."""
        return {answer.key: answer for answer in self.history_of(kind, id)}

    def history_of(self, kind: str, id: str) -> list[Answer]:
        """Every answer to flags of a record, oldest first."""
        name = f"{kind}/{id}"
        wanted = select(_answers).where(or_(_answers.c.record == name, _answers.c.other == name))
        with self._beside.reading() as connection:
            rows = connection.execute(wanted.order_by(_answers.c.number)).all()
        return [Answer(r.key, r.digest, r.verdict, r.note, r.author, datetime.fromisoformat(r.time)) for r in rows]


def _note(note: object) -> str:
    """A note as it may be stored."""
    if not isinstance(note, str):
        raise BadRequest(
            {"en": f"note: must be a text, not {quoted(note)}", "fr": f"note : il faut un texte, non {quoted(note)}"}
        )
    if len(note) > NOTE_LIMIT_CHARACTERS:
        raise BadRequest(
            {
                "en": f"note: has {len(note):,} characters, {NOTE_LIMIT_CHARACTERS:,} at most",
                "fr": f"note : a {in_digits(len(note))} caractères, {in_digits(NOTE_LIMIT_CHARACTERS)} au plus",
            }
        )
    if _CONTROL.search(note) or any("\ud800" <= character <= "\udfff" for character in note):
        raise BadRequest(
            {
                "en": "note: holds a control character or half of a character; remove it",
                "fr": "note : contient un caractère de commande ou la moitié d’un caractère ; supprimez-le",
            }
        )
    return note.strip()


# ---------------------------------------------------------------------------------- claims of a record


@dataclass(frozen=True)
class _Claim:
    """A claim, and the points it is about: claims that share a point are compared."""

    what: str
    points: tuple[tuple[Any, ...], ...]
    side: Side
    said: Mapping[str, Any]


@dataclass(frozen=True)
class _Sort:
    """One sort of claim: what flags call it, the values compared, the words shown, and the points it is about."""

    what: str
    values: tuple[str, ...]
    words: str
    points: Callable[[Mapping[str, Any]], Iterable[tuple[Any, ...]]]


def _of_outcome(one: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    if one.get("value"):
        yield from ((*name, one.get("claim_period")) for name in _names(one.get("indicator")))


def _of_cost(one: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    if one.get("amount"):
        for note in _names(one.get("cost_note")) or [("", "")]:
            yield one.get("resource"), one.get("currency"), one.get("price_year"), note


def _of_funding(one: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    payer = one.get("funder") or fold(str(one.get("stated_name", "")))
    if one.get("amount") and payer:
        for note in _names(one.get("funding_note")) or [("", "")]:
            yield payer, one.get("currency"), note


def _of_observation(one: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Undated figures are of different years, for all we know; "other" measures are told apart by their note only."""
    if one.get("observed") and one.get("observed_in") and one.get("measure") != "other":
        boundary = None if one.get("boundary") == "unknown" else one.get("boundary")
        yield one.get("measure"), one["observed_in"], boundary


_SORTS = {
    "outcomes": _Sort("outcome", ("qualifier", "value"), "statement", _of_outcome),
    "periods": _Sort("period", ("start", "end"), "status_note", lambda one: [()]),
    "costs": _Sort("cost", ("amount", "currency"), "cost_note", _of_cost),
    "funding": _Sort("funding", ("amount", "currency"), "funding_note", _of_funding),
    "observations": _Sort("observation", ("observed",), "observation_note", _of_observation),
}
_TRANSFER = _Sort("transfer", ("year", "degree"), "what_changed", lambda one: [])
"""A transfer is a record of its own, which is compared with other records as a whole."""


def _claims(record: Mapping[str, Any]) -> Iterator[_Claim]:
    """All claims of a record that can be compared."""
    for field, sort in _SORTS.items():
        for one in record.get(field, ()):
            if points := tuple(sort.points(one)):
                yield _Claim(sort.what, points, _side(record, one, sort), one)
    if record.get("kind") == "transfer" and record.get("practice") and record.get("to_city"):
        whole = {**record, "id": "", "stated_in": [source.get("id") for source in record.get("sources", ())]}
        yield _Claim("transfer", ((record["practice"], record["to_city"]),), _side(record, whole, _TRANSFER), whole)


def _side(record: Mapping[str, Any], one: Mapping[str, Any], sort: _Sort) -> Side:
    """A claim as one side of a flag. A year that was inferred is no source's claim."""
    urls = {source.get("id"): str(source.get("url", "")) for source in record.get("sources", ())}
    stated = {urls.get(name, "") for name in one.get("stated_in", ())} | {str(one.get("observation_source", ""))}
    inferred = one.get("precision") == "inferred"
    values = {
        key: str(one[key])
        for key in sort.values
        if one.get(key) not in (None, "") and not (inferred and key == "start")
    }
    return Side(
        kind=str(record.get("kind")),
        id=str(record.get("id")),
        node=str(one.get("id", "")),
        values=values,
        words=one.get(sort.words) or {},
        sources=tuple(sorted(stated - {""})),
    )


def _names(texts: Any) -> list[tuple[str, str]]:
    """A text in each of its languages, in the form that is compared."""
    return [(tag.lower(), fold(text)) for tag, text in (texts or {}).items() if fold(text)]


def _named(record: Mapping[str, Any]) -> Iterator[Flag]:
    """Claims of which one names the other as its rival."""
    outcomes = record.get("outcomes", ())
    sides = {str(one.get("id")): _side(record, one, _SORTS["outcomes"]) for one in outcomes}
    for one in outcomes:
        for rival in one.get("rivals", ()):
            if rival in sides and rival != one.get("id"):
                a, b = sorted((sides[str(one.get("id"))], sides[rival]), key=lambda side: side.place)
                yield Flag("outcome", (a, b), ())


# ------------------------------------------------------------------------------------------- comparing


def _differences(a: _Claim, b: _Claim) -> tuple[str, ...]:
    """The fields on which two claims about one point contradict each other; none when they agree or cannot be told."""
    if a.side.place == b.side.place or (a.side.sources and a.side.sources == b.side.sources and a.what != "transfer"):
        return ()
    if a.what == "period":
        return _period_differences(a, b)
    if a.what == "transfer":
        both = a.side.values.keys() & b.side.values.keys()
        return tuple(sorted(key for key in both if a.side.values[key] != b.side.values[key]))
    if a.what == "outcome" and not _same_unit(a.said.get("unit"), b.said.get("unit")):
        return ()
    key = {"outcome": "value", "observation": "observed"}.get(a.what, "amount")
    agree = _agree((a.side.values[key], a.said.get("qualifier")), (b.side.values[key], b.said.get("qualifier")))
    return () if agree else (key,)


def _period_differences(a: _Claim, b: _Claim) -> tuple[str, ...]:
    """Starts and ends that differ although the two spans overlap; spans that follow each other are phases."""
    first, second = (_span(one.side.values) for one in (a, b))
    if first[0] > second[1] or second[0] > first[1]:
        return ()
    both = a.side.values.keys() & b.side.values.keys()
    return tuple(key for key in ("start", "end") if key in both and a.side.values[key] != b.side.values[key])


def _span(values: Mapping[str, str]) -> tuple[str, str]:
    """First and last year for comparison, open where they are not stated."""
    return values.get("start", ""), values.get("end", "9999")


def _same_unit(a: Any, b: Any) -> bool:
    """Whether two units may be the same: no language they share says otherwise."""
    one, other = dict(_names(a)), dict(_names(b))
    return all(one[tag] == other[tag] for tag in one.keys() & other.keys())


def _agree(a: tuple[str, str | None], b: tuple[str, str | None]) -> bool:
    """Whether two figures, each with its qualifier, can both be true.

    >>> _agree(("150", "about"), ("160", None)), _agree(("1000", "over"), ("1800", None)), _agree(("12", None), ("28", None))
    (True, True, False)
    >>> _agree(("87000", None), ("86921", None)), _agree(("high", None), ("High", None))
    (True, True)
    """
    one, other = _range(*a), _range(*b)
    if one is None or other is None:
        return fold(a[0]) == fold(b[0])
    return one[0] <= other[1] and other[0] <= one[1]


def _range(value: str, qualifier: str | None) -> tuple[Decimal, Decimal] | None:
    """Smallest and largest number that a figure may mean; None for what is no number."""
    try:
        number = Decimal(value.strip().replace(" ", ""))
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return None
    largest = Decimal("1e60")
    if qualifier in ("over", "at-least"):
        return number, largest
    if qualifier in ("up-to", "under"):
        return -largest, number
    spread = abs(number) * ABOUT if qualifier == "about" else _rounding(number)
    return number - spread, number + spread


def _rounding(number: Decimal) -> Decimal:
    """How far a figure may have been rounded: half of its last digit that is not 0, and one per cent at most.

    >>> _rounding(Decimal("87000")), _rounding(Decimal("12")), _rounding(Decimal("10"))
    (Decimal('500'), Decimal('0'), Decimal('0.10'))
    """
    if number == 0 or number != number.to_integral_value():
        return Decimal(0)
    digits = str(abs(int(number)))
    zeros = len(digits) - len(digits.rstrip("0"))
    return min(Decimal(5) * 10 ** (zeros - 1), abs(number) * ROUNDED) if zeros else Decimal(0)


def _digest(*parts: Any) -> str:
    """A short name made from values; 20 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, default=str).encode()).hexdigest()[:20]
