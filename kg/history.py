"""The history of a record: its revisions, what changed between two of them, and which one each field comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kg.accounts import Actor
from kg.changes import Difference, ThreeWay, blame, describe, differences, role_of
from kg.fields import declaration
from kg.ledger import Head, Ledger, Revision
from kg.records import Record, check_id
from kg.rights import GONE, Rights, was_for_all


@dataclass(frozen=True)
class Entry:
    """One revision in a record's history. `author` is the account, or only its role for readers from outside."""

    number: int
    state: str
    visibility: str
    author: str
    time: datetime
    note: str
    reason: str
    replaced_by: str | None


class History:
    """Everything a record has been. Those who work on it see all of it; readers what was published for everybody.

    `version` finds one revision that an actor may see (`Curation.version`), `read` gives its record.
    """

    def __init__(
        self,
        ledger: Ledger,
        rights: Rights,
        version: Callable[[str, str, Actor, str | int], Revision],
        read: Callable[[Revision], Record],
    ) -> None:
        self._ledger, self._rights, self._version, self._read = ledger, rights, version, read

    def entries(self, kind: str, id: str, actor: Actor) -> list[Entry]:
        """The revisions of a record that an actor may know of, newest first.

        Readers from outside get the published ones and the withdrawal, each with the role of its author.
        """
        head = self._visible_or_gone(kind, id, actor)
        insider = self._rights.may_see(actor, head)
        return [
            Entry(
                one.number,
                one.state,
                one.visibility,
                one.author if insider else role_of(one.author),
                one.time,
                one.note if insider else "",
                one.reason,
                one.replaced_by,
            )
            for one in reversed(self._ledger.history(head.kind, head.id))
            if insider or was_for_all(one) or (one.state in GONE and one.visibility == "public")
        ]

    def _visible_or_gone(self, kind: str, id: str, actor: Actor) -> Head:
        kind = declaration().kind(kind).name
        head = self._ledger.head(kind, check_id(kind, id))
        if head is None:
            raise self._rights.not_found(kind, id)
        if (
            self._rights.may_see(actor, head)
            or head.published_visibility == "public"
            or any(map(was_for_all, self._ledger.history(kind, id)))
        ):
            return head
        raise self._rights.not_found(kind, id)

    def compare(self, kind: str, id: str, before: int, after: int, actor: Actor) -> tuple[Revision, Revision]:
        """Two revisions of a record that the actor may see, for a difference in words or as RDF."""
        return self._version(kind, id, actor, before), self._version(kind, id, actor, after)

    def difference(
        self, kind: str, id: str, before: int, after: int, actor: Actor, *, language: str = "en"
    ) -> list[dict[str, Any]]:
        """What changed between two revisions, field by field, with a sentence for each."""
        kind = declaration().kind(kind).name
        first, second = self.compare(kind, id, before, after, actor)
        found = differences(self._read(first), self._read(second), language=language)
        return [told_difference(one, language) for one in found]

    def blame(self, kind: str, id: str, actor: Actor) -> dict[str, Entry]:
        """For each field of the newest version an actor may see: the revision that last changed it."""
        entries = {entry.number: entry for entry in self.entries(kind, id, actor)}
        kind = declaration().kind(kind).name
        if not self._rights.may_see(actor, self._visible_or_gone(kind, id, actor)):
            self._version(kind, id, actor, "published")  # what is no longer public is not told of
        versions = [
            (one.number, self._read(one))
            for one in self._ledger.history(kind, id)
            if one.number in entries and one.payload is not None and one.state not in GONE
        ]
        return {path: entries[int(number)] for path, number in blame(versions).items()}


def told_difference(one: Difference, language: str) -> dict[str, Any]:
    """One difference for scripts and for people."""
    return {
        "field": one.path,
        "label": one.label,
        "before": one.before,
        "after": one.after,
        "text": describe(one, language),
    }


def told_three_way(found: ThreeWay, language: str) -> dict[str, Any]:
    """What both sides changed, where they collide, and the proposal that keeps both where they do not."""
    return {
        "theirs": [told_difference(one, language) for one in found.theirs],
        "yours": [told_difference(one, language) for one in found.yours],
        "collisions": list(found.collisions),
        "proposal": found.merged,
    }
