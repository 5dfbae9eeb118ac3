"""What the service publishes beside its answers: dumps, counts of the dataset, and which revision readers see."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kg.descriptions import Size, measure
from kg.errors import Gone, NotFound, not_on_record, quoted
from kg.exchange.dumps import REST, Dumps
from kg.fields import Kind, declaration
from kg.ledger import Revision
from kg.rights import tombstone
from kg.validation import nearest
from kg.views import is_shown
from service.api.records import checked_id
from service.turns import Turns

if TYPE_CHECKING:
    from kg.catalogue import Catalogue


class Publication:
    """Dumps and counts of one catalogue, each made once per revision.

    `turns` bounds the work: one thing is made at a time, apart from the places that suggestions have, so that a
    crowd that asks for dumps keeps nobody from an answer. Counting rests as dumps do.
    """

    def __init__(self, catalogue: Catalogue, wait_seconds: float) -> None:
        self._catalogue = catalogue
        self.dumps = Dumps(catalogue.folder.path / "dumps", catalogue.graph)
        self.turns = Turns(1, wait_seconds)
        self._counted: _Counted | None = None

    def size(self) -> tuple[int, Size]:
        """Counts of the dataset, with the number of the revision that they are of. To be called in a turn."""
        tag, revision, began = self.dumps.tag(), self._catalogue.graph.marker(), time.monotonic()
        counted = self._counted
        if counted is None or (counted.tag != tag and began >= counted.rests_until):
            size = measure(self._catalogue.graph.rows, self._catalogue.base)
            now = time.monotonic()
            self._counted = counted = _Counted(tag, revision, size, now + REST * (now - began))
        return counted.revision, counted.size


@dataclass(frozen=True)
class _Counted:
    """Counts that are ready."""

    tag: str
    revision: int
    size: Size
    rests_until: float


NEAR_AMONG = 2000
"""Identifiers among which those like a mistyped one are looked for; more would make a mistake costly."""


def kind_named(name: str) -> Kind:
    """The kind whose name stands in addresses, singular. Raises NotFound, also for its plural.

    >>> kind_named("cities")
    Traceback (most recent call last):
    kg.errors.NotFound: there is nothing under 'cities'; addresses have the singular: /id/city/…
    """
    kind = declaration().kind(name)
    if kind.name != name:
        raise NotFound(
            {
                "en": f"there is nothing under {quoted(name)}; addresses have the singular: /id/{kind.name}/…",
                "fr": f"il n’y a rien sous {quoted(name)} ; les adresses ont le singulier : /id/{kind.name}/…",
            }
        )
    return kind


def shown_revision(catalogue: Catalogue, kind: str, id: str) -> Revision:
    """The revision of a record that readers see.

    Raises NotFound with the nearest identifiers, and Gone for a record that was withdrawn or merged after readers
    had seen it. One that was never public is not found: its withdrawal would tell that it was there.
    """
    kind = kind_named(kind).name
    ledger = catalogue.ledger
    revision = ledger.published(kind, checked_id(kind, id))
    if revision is not None and is_shown(revision):
        return revision
    head = ledger.head(kind, id)
    was_shown = any(one.state == "published" and one.visibility == "public" for one in ledger.history(kind, id))
    if was_shown and head is not None and head.state in ("withdrawn", "merged"):
        raise tombstone(head)
    near = nearest(id, [one.id for one in ledger.list(kind, limit=NEAR_AMONG, visibility="public", published=True)])
    raise not_on_record(kind, id, near)


def successor(catalogue: Catalogue, error: Gone) -> str | None:
    """Where readers of a merged record are sent on to; None for one that was withdrawn."""
    head = catalogue.ledger.head(error.kind, error.id)
    return error.replaced_by if head is not None and head.state == "merged" else None
