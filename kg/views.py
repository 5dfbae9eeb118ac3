"""Views follow the ledger: each takes its rows in order, remembers how far it is, and can be made again from it.

A view shows what readers may see: of every record the published, public revision, or nothing. Two
followers never share a view, and a view never writes to the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Condition, Event, RLock, Thread
from typing import TYPE_CHECKING, Protocol, TypeVar

from kg.errors import Busy

if TYPE_CHECKING:
    from kg.ledger import Ledger, Revision

Key = tuple[str, str]
"""Kind and identifier of a record."""

Progress = Callable[[int, int], None]
"""Called with (number of the last row that is in the view, number of the ledger's last row)."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class View(Protocol):
    """What a follower asks of a view. `name` is for messages and thread names."""

    name: str

    def marker(self) -> int:
        """Number of the last ledger row that is in the view for good; 0 for an empty view."""

    def apply(self, revisions: Sequence[Revision], marker: int) -> None:
        """Take over at most one deciding revision (`decides`) per record, then remember `marker`.

        A shown revision (`is_shown`) replaces what the view holds of its record, any other removes it.
        Applying rows twice, or rows of a record the view never held, changes nothing more.
        """

    def held(self) -> dict[Key, int]:
        """The records in the view, each with the number of the revision it shows."""

    def clear(self) -> None:
        """Forget all records; the marker is 0 from the first step on, so that a kill in between is seen."""

    def close(self) -> None:
        """Release files and locks; what was applied stays."""


def decides(revision: Revision) -> bool:
    """Whether a revision changes what readers see of its record.

    Drafts and what is under review do not: the published version beside them stays.

    >>> from types import SimpleNamespace
    >>> [decides(SimpleNamespace(state=state)) for state in ("draft", "returned", "published", "withdrawn")]
    [False, False, True, True]
    """
    return revision.state in ("published", "withdrawn", "merged")


def is_shown(revision: Revision) -> bool:
    """Whether readers may see a revision: published, public, and its content not erased by law.

    >>> from types import SimpleNamespace
    >>> is_shown(SimpleNamespace(state="published", visibility="public", payload=""))
    True
    >>> is_shown(SimpleNamespace(state="published", visibility="team", payload=""))
    False
    """
    return revision.state == "published" and revision.visibility == "public" and revision.payload is not None


def newest_decisions(revisions: Iterable[Revision]) -> list[Revision]:
    """Of rows in ledger order, the last deciding one of each record, in the same order.

    A practice saved forty times is written once to a view that catches up.

    >>> from types import SimpleNamespace
    >>> def row(number, id, state): return SimpleNamespace(number=number, kind="city", id=id, state=state)
    >>> rows = [row(1, "riga", "published"), row(2, "lyon", "published"), row(3, "riga", "withdrawn"),
    ...         row(4, "lyon", "draft")]
    >>> [(r.number, r.id) for r in newest_decisions(rows)]
    [(2, 'lyon'), (3, 'riga')]
    """
    newest = {(revision.kind, revision.id): revision for revision in revisions if decides(revision)}
    return sorted(newest.values(), key=lambda revision: revision.number)


class Follower:
    """Keeps one view up to date with one ledger, by call or in a background thread.

    Any thread may call any method; one at a time writes to the view. The thread wakes on `notify` and
    looks by itself every `poll_seconds`, because another process may write to the same ledger. After an
    error it waits `retry_seconds[0]`, then twice as long each time up to `retry_seconds[1]`; `error` has the
    last exception until the view has caught up again.

    >>> from tempfile import TemporaryDirectory
    >>> from kg.graph.store import OxigraphStore
    >>> from kg.ledger import Change, Ledger
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     follower = Follower(ledger, OxigraphStore(None, ledger.base))
    ...     follower.start()
    ...     with ledger.write() as tx:
    ...         saved = tx.append(Change("city", "riga", "published", "public", "", "ilze"))
    ...     follower.notify()
    ...     print(follower.wait_for(saved.number, timeout_seconds=30), follower.lag(), follower.error)
    ...     follower.stop()
    True 0 None
    """

    def __init__(
        self,
        ledger: Ledger,
        view: View,
        *,
        batch: int = 500,
        poll_seconds: float = 1.0,
        retry_seconds: tuple[float, float] = (0.1, 30.0),
    ) -> None:
        self.ledger = ledger
        self.view = view
        self.error: Exception | None = None
        self._batch = batch
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._working = RLock()
        self._moved = Condition()
        self._wake = Event()
        self._stopping = Event()
        self._thread: Thread | None = None
        self._reached = 0
        try:
            marker = view.marker()
        except Busy as error:  # its engine is away: whoever follows finds out when it is back
            self.error = error
        else:
            self._reached = marker if marker <= ledger.last_number() else 0

    @property
    def reached(self) -> int:
        """Number of the last ledger row that is in the view: what an answer says it has seen."""
        return self._reached

    def lag(self) -> int:
        """How many ledger rows the view has yet to take; 0 when it is up to date.

        >>> from tempfile import TemporaryDirectory
        >>> from kg.graph.store import OxigraphStore
        >>> from kg.ledger import Change, Ledger
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/l.db", "https://x.org/") as ledger:
        ...     follower = Follower(ledger, OxigraphStore(None, ledger.base))
        ...     with ledger.write() as tx:
        ...         _ = tx.append(Change("city", "riga", "draft", "public", "", "ilze"))
        ...     follower.lag(), follower.catch_up(), follower.lag()
        (1, 1, 0)
        """
        return max(0, self.ledger.last_number() - self._reached)

    def catch_up(self, progress: Progress | None = None, stop: Event | None = None) -> int:
        """Take every ledger row there is, batch by batch, and return the number of the last one taken.

        A view that is empty, or ahead of its ledger because the ledger was restored from an older backup,
        is made anew (`rebuild`). When `stop` is set, the batch in hand is finished and the rest left for later.

        Raises what the view or the ledger raises; the batches before stay applied.

        >>> from tempfile import TemporaryDirectory
        >>> from kg.graph.store import OxigraphStore
        >>> from kg.ledger import Change, Ledger
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/l.db", "https://x.org/") as ledger:
        ...     view = OxigraphStore(None, ledger.base)
        ...     with ledger.write() as tx:
        ...         for state in "published", "draft":
        ...             _ = tx.append(Change("city", "riga", state, "public", "", "ilze"))
        ...     Follower(ledger, view).catch_up(), view.held()
        (2, {('city', 'riga'): 1})
        """
        with self._working:
            last, marker = self.ledger.last_number(), self.view.marker()
            if marker > last or marker == 0 < last:
                return self.rebuild(progress, stop)
            self._reach(marker)
            return self._take_since(marker, last, progress, stop)

    def rebuild(self, progress: Progress | None = None, stop: Event | None = None) -> int:
        """Clear the view and make it again from what is published now; returns as `catch_up` does.

        The marker moves along, so that a rebuild that was stopped or killed is continued by the next `catch_up`.

        >>> from tempfile import TemporaryDirectory
        >>> from kg.graph.store import OxigraphStore
        >>> from kg.ledger import Change, Ledger
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/l.db", "https://x.org/") as ledger:
        ...     with ledger.write() as tx:
        ...         for name in "riga", "lyon":
        ...             _ = tx.append(Change("city", name, "published", "public", "", "ilze"))
        ...     Follower(ledger, OxigraphStore(None, ledger.base)).rebuild(progress=lambda done, last: print(done, last))
        2 2
        2
        """
        with self._working:
            last = self.ledger.last_number()
            self.view.clear()
            self._reach(0)
            for revisions in _batches(self.ledger.published_revisions(self._batch), self._batch):
                # Rows after `last` may have replaced rows already read; only replay in order brings those.
                self._apply(revisions, min(revisions[-1].number, last), last, progress)
                if stop is not None and stop.is_set():
                    return self._reached
            if self._reached < last:
                self._apply([], last, last, progress)
            return self._take_since(last, last, progress, stop)

    def start(self) -> None:
        """Begin to follow in a daemon thread, at once; starting twice changes nothing.

        >>> from tempfile import TemporaryDirectory
        >>> from kg.graph.store import OxigraphStore
        >>> from kg.ledger import Ledger
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/l.db", "https://x.org/") as ledger:
        ...     follower = Follower(ledger, OxigraphStore(None, ledger.base))
        ...     follower.start()
        ...     follower.stop()
        """
        if self._thread is None:
            self._stopping.clear()
            self._thread = Thread(target=self._follow, name=f"follow-{self.view.name}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the batch in hand and wait for it. `start` goes on from there."""
        if self._thread is not None:
            self._stopping.set()
            self._wake.set()
            self._thread.join()
            self._thread = None

    def notify(self) -> None:
        """Tell the thread that the ledger has new rows; returns at once."""
        self._wake.set()

    def wait_for(self, number: int, timeout_seconds: float) -> bool:
        """Wait until ledger row `number` is in the view; False when it is not within `timeout_seconds`.

        It only waits: somebody has to follow, the thread or a caller of `catch_up`.

        >>> from tempfile import TemporaryDirectory
        >>> from kg.graph.store import OxigraphStore
        >>> from kg.ledger import Ledger
        >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/l.db", "https://x.org/") as ledger:
        ...     follower = Follower(ledger, OxigraphStore(None, ledger.base))
        ...     follower.wait_for(0, timeout_seconds=0), follower.wait_for(1, timeout_seconds=0)
        (True, False)
        """
        with self._moved:
            return self._moved.wait_for(lambda: self._reached >= number, timeout_seconds)

    def _take_since(self, marker: int, last: int, progress: Progress | None, stop: Event | None) -> int:
        """Replay the rows after `marker` in order."""
        while not (stop is not None and stop.is_set()) and (rows := self.ledger.since(marker, self._batch)):
            marker = rows[-1].number
            self._apply(newest_decisions(rows), marker, max(last, marker), progress)
        return marker

    def _apply(self, revisions: Sequence[Revision], marker: int, last: int, progress: Progress | None) -> None:
        self.view.apply(revisions, marker)
        self._reach(marker)
        if progress is not None:
            progress(marker, last)

    def _reach(self, marker: int) -> None:
        with self._moved:
            self._reached = marker
            self._moved.notify_all()

    def _follow(self) -> None:
        """The thread: catch up, sleep, again; after an error sleep longer each time."""
        first, longest = self._retry_seconds
        pause = first
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.catch_up(stop=self._stopping)
            except Exception as error:  # noqa: BLE001 (outermost edge of a thread: nobody above could hear of it)
                self._report(error, pause)
                self._stopping.wait(pause)
                pause = min(2 * pause, longest)
            else:
                self.error, pause = None, first
                self._wake.wait(self._poll_seconds)

    def _report(self, error: Exception, pause: float) -> None:
        """Log an error once, not at every retry."""
        if str(error) != str(self.error):
            _log.error(
                "the %s view cannot follow the ledger; retrying in %.1f s", self.view.name, pause, exc_info=error
            )
        self.error = error


@dataclass(frozen=True)
class Difference:
    """A record of which ledger and view do not show the same revision; None where one shows nothing.

    >>> print(Difference("city", "riga", ledger=7, view=None))
    city 'riga': the ledger shows revision 7, the view none
    """

    kind: str
    id: str
    ledger: int | None
    view: int | None

    def __str__(self) -> str:
        shown = f"revision {self.ledger}" if self.ledger else "none"
        return f"{self.kind} {self.id!r}: the ledger shows {shown}, the view {self.view or 'none'}"


def agreement(ledger: Ledger, view: View, kinds: Collection[str] | None = None) -> list[Difference]:
    """Compare the published, public records of the ledger with what a view holds; an empty list says they agree.

    `kinds` are those the view keeps, None for all. Ask when the view has caught up: rows it has yet to take
    are differences too. Ordered by kind and identifier.

    >>> from tempfile import TemporaryDirectory
    >>> from kg.graph.store import OxigraphStore
    >>> from kg.ledger import Change, Ledger
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/l.db", "https://x.org/") as ledger:
    ...     view = OxigraphStore(None, ledger.base)
    ...     with ledger.write() as tx:
    ...         _ = tx.append(Change("city", "riga", "published", "public", "", "ilze"))
    ...     print(*agreement(ledger, view))
    ...     Follower(ledger, view).catch_up(), agreement(ledger, view)
    city 'riga': the ledger shows revision 1, the view none
    (1, [])
    """
    published = {(r.kind, r.id): r.number for r in ledger.published_revisions() if is_shown(r)}
    wanted = {key: number for key, number in published.items() if kinds is None or key[0] in kinds}
    held = view.held()
    return [
        Difference(*key, ledger=wanted.get(key), view=held.get(key))
        for key in sorted(wanted.keys() | held.keys())
        if wanted.get(key) != held.get(key)
    ]


def _batches(rows: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most `size`; itertools.batched came with Python 3.12."""
    left = iter(rows)
    while batch := list(islice(left, size)):
        yield batch
