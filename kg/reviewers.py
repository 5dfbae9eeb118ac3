"""Hints on accounts that are asked to review a record: who is not known here, and who could not publish it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from kg.accounts import ROLES, Actor, Token
from kg.fields import Kind, in_language
from kg.rights import keeps, name_of

_WORDS = {
    "unknown": {
        "en": "no token has this name{near}; the record waits until somebody comes under it",
        "fr": "aucun jeton ne porte ce nom{near} ; la fiche attendra que quelqu’un vienne sous ce nom",
    },
    "near": {"en": "; did you mean {names}?", "fr": " ; vouliez-vous dire {names} ?"},
    "role": {
        "en": "has tokens as {roles} only, which do not publish a {kind}",
        "fr": "n’a de jetons que comme {roles}, ce qui ne permet pas de publier une fiche « {kind} »",
    },
    "writer": {
        "en": "wrote the newest wording, which a second person publishes",
        "fr": "a écrit la dernière version, qu’une seconde personne doit publier",
    },
}


def account_named(text: str) -> str:
    """The account that somebody means: composed characters, no blanks around, no role before it.

    >>> account_named(" curator/anna ")
    'anna'
    """
    return name_of(unicodedata.normalize("NFC", text.strip())).strip()


def reviewer_hints(
    accounts: Iterable[str], tokens: Sequence[Token], kind: Kind, writer: str | None, *, logins: bool, language: str
) -> Iterator[tuple[str, str]]:
    """What is odd about each account that is asked to review a record of a kind: pairs of account and sentence.

    `writer` wrote the newest wording and may not publish it; None where one person is enough. With `logins` people come
    by a login provider too: who has no token may be known there, and another role than that of a token be theirs, so
    that only names close to one with a token are told of.

    >>> from datetime import UTC, datetime
    >>> from kg.fields import declaration
    >>> at = datetime(2026, 11, 30, tzinfo=UTC)
    >>> tokens = [Token(name, name, role, frozenset(), at, "x", None, None, None, None)
    ...     for name, role in (("karel", "curator"), ("bob", "contributor"), ("anna", "curator"))]
    >>> practice = declaration().kind("practice")
    >>> for hint in reviewer_hints(["karl", "bob", "anna", "karel"], tokens, practice, "anna", logins=False, language="en"):
    ...     print(*hint, sep=": ")
    karl: no token has this name; did you mean karel?; the record waits until somebody comes under it
    bob: has tokens as contributor only, which do not publish a practice
    anna: wrote the newest wording, which a second person publishes
    """
    roles: dict[str, set[str]] = {}
    for token in tokens:
        roles.setdefault(token.name, set())
        if token.revoked is None:
            roles[token.name].add(token.role)
    for account in accounts:
        said = None
        if account == writer:
            said = in_language(_WORDS["writer"], language)
        elif not roles.get(account):
            names = get_close_matches(account, [name for name, held in roles.items() if held], n=3, cutoff=0.7)
            near = in_language(_WORDS["near"], language).format(names=", ".join(names)) if names else ""
            said = in_language(_WORDS["unknown"], language).format(near=near) if near or not logins else None
        elif not logins and not any(keeps(Actor(account, role), kind.name) for role in roles[account]):
            held = ", ".join(role for role in ROLES if role in roles[account])
            said = in_language(_WORDS["role"], language).format(roles=held, kind=kind.called(language))
        if said is not None:
            yield account, said
