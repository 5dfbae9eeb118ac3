"""What can go wrong in kg, one class per thing that happened.

    KgError                    anything below; `service/problems.py` alone turns each into a status
    ├── InvalidRecord          a record breaks rules; carries every problem at once
    ├── UnreadableInput        a file or body is not what it claims to be (syntax, encoding, size)
    ├── DuplicateRecord        a record is to be added under an identifier that is taken
    ├── StaleRecord            the record changed since the caller read it
    ├── PreconditionMissing    a change that does not say which revision it was written on
    ├── WrongState             a step that the record's state does not allow
    ├── StillReferenced        a record is to go that others refer to; lists them
    ├── NotFound               no record of that kind and identifier
    ├── Gone                   the record was withdrawn or merged; says why, and where it went
    ├── BadQuery               the text is not a query, or a parameter of it is wrong
    ├── RefusedQuery           a query that is understood and not allowed
    ├── BadRequest             a need, filter, weight or cursor that cannot be used
    ├── NotAuthenticated       a token or session that is none, or no longer one
    ├── NotAllowed             who asks is known, and may not do this
    ├── ReadOnly               what is to be changed is changed by nobody, whatever their role
    ├── ProviderUnreachable    the login provider does not answer, or not as it should
    ├── TooLarge               an input over a stated limit
    ├── Busy                   no capacity now; try again later
    ├── TooSlow                the deadline passed
    ├── DataFolderInUse        another process owns the data folder
    ├── DataFolderUnusable     the folder holds no ledger, a newer one, or cannot be written
    ├── LedgerDamaged          the hash chain does not verify
    ├── ModelMissing           no usable embedding model is prepared
    └── IndexMismatch          an index was built with another model or layout; rebuild it

A message says what was wrong, where, and what would be right, with the value quoted. It never
shows paths outside the data folder, addresses or tokens. Refusals that people meet at work (who they are,
what they may, states, revisions, what is not there, what a request, body or query has wrong) are told in English and French.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import category

Words = str | Mapping[str, str]
"""A message: in English, or by language, {"en": …, "fr": …}."""


class KgError(Exception):
    """Base of all errors that kg raises on purpose; `str()` is the message for people, in English.

    >>> error = KgError({"en": "it is closed", "fr": "c'est fermé"})
    >>> str(error), error.texts()["fr"], KgError("English alone").texts()
    ('it is closed', "c'est fermé", {'en': 'English alone'})
    """

    def __init__(self, message: Words = "") -> None:
        super().__init__(message)

    def texts(self) -> Mapping[str, str]:
        """The message in every language it is told in; always in English."""
        message = self.args[0] if self.args else ""
        return message if isinstance(message, Mapping) else {"en": str(message)}

    def told(self, language: str) -> str:
        """The message in a language, in English where it is not told in it."""
        texts = self.texts()
        return texts.get(language, texts["en"])

    def __str__(self) -> str:
        return self.told("en")


@dataclass(frozen=True)
class Problem:
    """One broken rule of one record.

    `field` is the dotted key of the field ("outcomes.claim-2.value"), "" for the record as a
    whole. `severity` is "violation" (refuses any save), "warning" (refuses publication) or
    "info" (advice). `value` is the offending value as text, None where something is missing. `rule` is the shape that
    says so, or what we call a rule of our own; `component` the address of the sort of constraint, for SHACL reports.
    """

    field: str
    message: str
    severity: str = "violation"
    value: str | None = None
    rule: str = ""
    component: str = ""


def quoted(value: object, limit: int = 60) -> str:
    """Show a value inside a message: one line, at most `limit` characters, control characters escaped.

    What is no text of its own is shown as JSON has it.

    >>> quoted("a\\x00b")
    "'a\\\\x00b'"
    >>> quoted("x" * 100, limit=5)
    "'xxxxx…'"
    >>> print(quoted(None), quoted(["a", True]))
    'null' '["a", true]'
    """
    text = plain(value, limit) if value is None or isinstance(value, bool | list | dict) else str(value)
    return repr(text if len(text) <= limit else text[:limit] + "…")


def figures(number: int) -> tuple[str, str]:
    """A whole number as it is written in English and in French.

    >>> figures(20_000)
    ('20,000', '20\\u202f000')
    """
    return f"{number:,}", in_digits(number)


def in_digits(number: int) -> str:
    """A whole number as French writes it, with a narrow space between thousands.

    >>> in_digits(20000)
    '20\u202f000'
    """
    return f"{number:,}".replace(",", "\u202f")


def in_french(kind: str) -> str:
    """What a kind of record is called in French: the label that the shapes give it; another name as it stands.

    >>> in_french("city"), in_french("record")
    ('ville', 'fiche')
    """
    from kg.fields import declaration  # the declaration's own refusals are told by this module

    kinds = declaration().kinds
    return kinds[kind].called("fr") if kind in kinds else "fiche" if kind == "record" else kind


def plain(value: object, limit: int = 200) -> str:
    """A value as the `value` of a problem: a text as it stands, anything else as JSON.

    At most `limit` characters are shown; control characters are escaped as `quoted` does.

    >>> print(plain("l'été\\x00"), plain(["a", 1, None]), plain("x" * 100, limit=5))
    l'été\\x00 ["a", 1, null] xxxxx…
    """
    text = value if isinstance(value, str) else ""
    if not isinstance(value, str):
        for part in _JSON.iterencode(value):  # piece by piece: what is deep or long is not walked to its end
            text += part
            if len(text) > limit:
                break
    cut = text if len(text) <= limit else text[:limit] + "…"
    return "".join(one if one.isprintable() or category(one) == "Zs" else repr(one)[1:-1] for one in cut)


_JSON = json.JSONEncoder(ensure_ascii=False, default=str)


@dataclass
class InvalidRecord(KgError):
    """A record breaks rules. `problems` has every one, so that all can be mended in one go."""

    kind: str
    id: str
    problems: Sequence[Problem] = field(default_factory=tuple)

    def texts(self) -> Mapping[str, str]:
        """The problems in a row. They were found in one language, that of whoever asked: it stands for all."""
        english = "; ".join(f"{p.field}: {p.message}" if p.field else p.message for p in self.problems)
        french = " ; ".join(f"{p.field} : {p.message}" if p.field else p.message for p in self.problems)
        return {
            "en": f"{self.kind} {quoted(self.id)}: {english}",
            "fr": f"{in_french(self.kind)} {quoted(self.id)} : {french}",
        }


class UnreadableInput(KgError):
    """A file or body is not what it claims to be; the message names the line where known."""


class DuplicateRecord(KgError):
    """A record is to be added under an identifier that is taken."""


class StaleRecord(KgError):
    """The record changed since the caller read it; nothing was written.

    `current` is the number of its newest revision; `difference` what both sides changed, with a proposal where the
    changes do not touch, for callers who may see it.
    """

    def __init__(self, message: Words, current: int | None = None, difference: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.current, self.difference = current, difference


class PreconditionMissing(KgError):
    """A change does not say which revision of the record it was written on; nothing was written."""


class WrongState(KgError):
    """A step that the record's state does not allow, such as returning a record that nobody submitted."""


@dataclass
class StillReferenced(KgError):
    """A record is to be withdrawn that others refer to. `referring` has their kinds and identifiers."""

    kind: str
    id: str
    referring: Sequence[tuple[str, str]] = field(default_factory=tuple)

    def texts(self) -> Mapping[str, str]:
        """Who refers to it, the first ten, and what to do."""
        shown, rest = self.referring[:10], len(self.referring) - 10
        listed = ", ".join(f"{kind} {quoted(id)}" for kind, id in shown)
        french = ", ".join(f"{in_french(kind)} {quoted(id)}" for kind, id in shown)
        more, others = (f" and {rest} more", f" et {rest} autre{'s' * (rest > 1)}") if rest > 0 else ("", "")
        return {
            "en": f"{self.kind} {quoted(self.id)} is referred to by {listed}{more}: name the record that replaces it, "
            "or change these first",
            "fr": f"{in_french(self.kind)} {quoted(self.id)} : la fiche est citée par {french}{others} ; nommez la fiche "
            "qui la remplace, ou modifiez d’abord celles-ci",
        }


def did_you_mean(near: Sequence[str]) -> tuple[str, str]:
    """What to put behind a message where names lie near the one that was given, in English and French; else nothing.

    >>> did_you_mean(["riga", "rieti"])
    ('; did you mean riga, rieti?', ' ; vouliez-vous dire riga, rieti ?')
    """
    listed = ", ".join(near)
    return (f"; did you mean {listed}?", f" ; vouliez-vous dire {listed} ?") if near else ("", "")


def not_on_record(kind: str, id: str, near: Sequence[str] = ()) -> NotFound:
    """There is no such record; the nearest identifiers are named.

    >>> str(not_on_record("city", "rigga", ["riga"])), not_on_record("city", "rigga").told("fr")
    ("there is no city 'rigga' on record; did you mean riga?", "ville : aucune fiche 'rigga'")
    """
    english, french = did_you_mean(near)
    return NotFound(
        {
            "en": f"there is no {kind} {quoted(id)} on record{english}",
            "fr": f"{in_french(kind)} : aucune fiche {quoted(id)}{french}",
        }
    )


class NotFound(KgError):
    """No record of that kind and identifier; the message offers the nearest ones."""


@dataclass
class Gone(KgError):
    """The record was withdrawn or merged. `replaced_by` is the identifier that took its place, if any.

    `reason` is in the words of whoever withdrew it, or in ours by language. `revision` is the number of the withdrawal,
    on which a change that brings the record back is written.
    """

    kind: str
    id: str
    reason: Words = ""
    replaced_by: str | None = None
    revision: int | None = None

    def reason_in(self, language: str) -> str:
        """Why it went; "" where no reason is recorded."""
        return self.reason if isinstance(self.reason, str) else self.reason[language]

    def texts(self) -> Mapping[str, str]:
        """Why it went, and what took its place."""
        moved = quoted(self.replaced_by) if self.replaced_by else ""
        english, french = self.reason_in("en"), self.reason_in("fr")
        return {
            "en": f"{self.kind} {quoted(self.id)} was withdrawn: {english or 'no reason is recorded'}."
            + (f" It was replaced by {moved}." if moved else ""),
            "fr": f"{in_french(self.kind)} {quoted(self.id)} : la fiche a été retirée. "
            f"Motif : {french or 'non indiqué'}." + (f" Elle est remplacée par {moved}." if moved else ""),
        }


class BadQuery(KgError):
    """The text is not a SPARQL query; the message quotes line and column."""


class RefusedQuery(KgError):
    """A query that is understood and not allowed; the message says which part and why."""


class BadRequest(KgError):
    """A need, filter, weight, limit or cursor that cannot be used."""


class NotAuthenticated(KgError):
    """A token or session that is none, or no longer one; without any, a caller is a reader."""


class NotAllowed(KgError):
    """Who asks is known, and may not do this; the message names the role or scope that may."""


class ReadOnly(KgError):
    """What is to be changed is changed by nobody, whatever their role; the message says where it comes from."""


class ProviderUnreachable(KgError):
    """The login provider does not answer, or not as it should; tokens are taken meanwhile."""


class TooLarge(KgError):
    """An input over a stated limit; the message names the limit."""


class Busy(KgError):
    """No capacity now; the same request may be sent again later."""


class TooSlow(KgError):
    """The deadline passed; the message says how to narrow the request."""


@dataclass
class DataFolderInUse(KgError):
    """Another process owns the data folder. `url` is its service's address, when it serves."""

    pid: int | None = None
    url: str | None = None

    def texts(self) -> Mapping[str, str]:
        """Who has it, and what to do: for people at the machine, so in English alone."""
        who = f"process {self.pid}" if self.pid else "another process"
        hint = (
            f"It serves at {self.url}; ask it there, or stop it first."
            if self.url
            else "Wait until it has finished, or stop it first."
        )
        return {"en": f"the data folder is in use by {who}. {hint}"}


class DataFolderUnusable(KgError):
    """The folder holds no ledger, one of a newer version, or cannot be written; says what to do."""


class LedgerDamaged(KgError):
    """The ledger's hash chain does not verify; the message names the first row that differs."""


class ModelMissing(KgError):
    """No usable embedding model is prepared; the message names the command that prepares one."""


class IndexMismatch(KgError):
    """An index was built with another model or layout, or is damaged; it has to be rebuilt."""
