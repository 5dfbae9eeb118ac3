"""What the service publishes beside its answers: dumps, counts of the dataset, and which revision readers see."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from kg.descriptions import Size, measure
from kg.errors import Gone, NotFound, quoted
from kg.exchange.dumps import Dumps
from kg.fields import Kind, declaration
from kg.ledger import Revision
from kg.views import is_shown
from service.api.records import checked_id

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

ATTEMPTS = 3
"""How often the dataset is counted again when it changes meanwhile. Then a count of mixed age has to do."""


class Publication:
    """Dumps and counts of one catalogue, each made once per revision."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.dumps = Dumps(catalogue.folder.path / "dumps", catalogue.graph)
        self._measuring = Lock()
        self._measured: tuple[str, int, Size] | None = None

    def size(self) -> tuple[str, int, Size]:
        """Tag of the content, number of its revision, and its counts; counted when they are asked for after a change."""
        with self._measuring:
            for _ in range(ATTEMPTS):
                tag, revision = self.dumps.tag(), self._catalogue.graph.marker()
                if self._measured is not None and self._measured[0] == tag:
                    break
                self._measured = (tag, revision, measure(self._catalogue.graph.rows, self._catalogue.base))
            assert self._measured is not None
            return self._measured


def kind_named(name: str) -> Kind:
    """The kind whose name stands in addresses, singular. Raises NotFound, also for its plural.

    >>> kind_named("cities")
    Traceback (most recent call last):
    kg.errors.NotFound: there is nothing under 'cities'; addresses have the singular: /id/city/…
    """
    kind = declaration().kind(name)
    if kind.name != name:
        raise NotFound(f"there is nothing under {quoted(name)}; addresses have the singular: /id/{kind.name}/…")
    return kind


def shown_revision(catalogue: Catalogue, kind: str, id: str) -> Revision:
    """The revision of a record that readers see.

    Raises NotFound with the nearest identifiers, and Gone for a record that was withdrawn or merged after readers
    had seen it. One that was never public is not found: its withdrawal would tell that it was there.
    """
    kind = kind_named(kind).name
    revision = catalogue.ledger.published(kind, checked_id(kind, id))
    if revision is not None and is_shown(revision):
        return revision
    if not any(one.state == "published" and one.visibility == "public" for one in catalogue.ledger.history(kind, id)):
        raise _never_shown(catalogue, kind, id)
    catalogue.get(kind, id)
    raise NotFound(f"{kind} {quoted(id)} is no longer public")


def _never_shown(catalogue: Catalogue, kind: str, id: str) -> NotFound:
    """The error for a record that readers never saw, the same as for one that never was."""
    try:
        catalogue.get(kind, id)
    except NotFound as error:
        return error
    except Gone:
        pass
    return NotFound(f"there is no {kind} {quoted(id)} on record")


def successor(catalogue: Catalogue, error: Gone) -> str | None:
    """Where readers of a merged record are sent on to; None for one that was withdrawn."""
    head = catalogue.ledger.head(error.kind, error.id)
    return error.replaced_by if head is not None and head.state == "merged" else None
