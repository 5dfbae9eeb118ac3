"""The data folder: where everything of one deployment lies, and who owns it now.

    ledger.sqlite    the ledger, unless it is a PostgreSQL database
    graph/           the graph view, made again from the ledger when it is removed
    search/          the search view, likewise; a folder for each model's index
    vocabularies/    thesauri that bridge languages
    models/          prepared embedding models
    session.key      signs the sessions of people who log in, where they do
    imports/         files sent for import, and what came of them
    dumps/           dumps for readers, made anew when the records have changed
    lock             the owner's process and address; locked while it runs

One process owns the folder at a time: SQLite would cope with two, graph and index would not. The lock is the
kernel's (flock), so an owner that was killed leaves none behind, whatever its file says. Unix only: there is
no flock on Windows, and on a network file system it is as good as that system's own.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from kg.errors import DataFolderInUse, DataFolderUnusable, quoted

ATTEMPTS = 10
"""How often a lock is tried, 20 ms apart: `owner` of another process holds it for an instant to find out."""

_PRIVATE = 0o700
"""Drafts and notes of teams lie here: for the owner's eyes."""

_NOTE_LIMIT_BYTES = 10_000

_held: set[int] = set()
"""Lock files of this process. A forked child has to let go of them, or it would keep the folder when its parent dies."""


@dataclass(frozen=True)
class Owner:
    """Who owns a data folder: process, address of its service when it serves, and since when (ISO 8601, UTC)."""

    pid: int | None = None
    url: str | None = None
    since: str | None = None


class DataFolder:
    """A data folder that is there. `create` makes one, `open` takes one that was made.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp:
    ...     folder = DataFolder.create(Path(tmp, "data"))
    ...     with folder.own(url="http://127.0.0.1:8000"):
    ...         print(folder.owner().url)
    ...     print(folder.owner(), folder.ledger.name, folder.graph.name)
    http://127.0.0.1:8000
    None ledger.sqlite graph
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._owner = Owner()

    @classmethod
    def create(cls, path: Path) -> DataFolder:
        """Make the folder, unless it is there, and try that it can be written. Its parent has to be there.

        Raises DataFolderUnusable when it cannot be made or written.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp:
        ...     DataFolder.create(Path(tmp, "no", "data"))
        Traceback (most recent call last):
        kg.errors.DataFolderUnusable: the data folder 'data' cannot be made: the folder it is to be in is not there
        """
        try:
            path.mkdir(mode=_PRIVATE, exist_ok=True)
        except FileNotFoundError as error:
            raise DataFolderUnusable(
                f"the data folder {quoted(path.name)} cannot be made: the folder it is to be in is not there"
            ) from error
        except OSError as error:
            raise _unusable(path, "cannot be made", error) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> DataFolder:
        """Take a folder that is there, and try that it can be written.

        Raises DataFolderUnusable when it is not there, is no folder, or cannot be written.

        >>> DataFolder.open(Path("no-such-folder"))
        Traceback (most recent call last):
        kg.errors.DataFolderUnusable: there is no data folder 'no-such-folder': make one with `mentorgraph init`
        """
        folder = cls(path)
        os.close(folder._opened())
        return folder

    @property
    def ledger(self) -> Path:
        """The SQLite file of the ledger."""
        return self.path / "ledger.sqlite"

    @property
    def graph(self) -> Path:
        """Folder of the graph view."""
        return self.path / "graph"

    @property
    def search(self) -> Path:
        """Folder of the search view."""
        return self.path / "search"

    @property
    def lists(self) -> Path:
        """The SQLite file of the view behind lists."""
        return self.path / "lists.sqlite"

    @property
    def vocabularies(self) -> Path:
        """Folder of the bridge vocabularies that were loaded."""
        return self.path / "vocabularies"

    @property
    def models(self) -> Path:
        """Folder of prepared embedding models."""
        return self.path / "models"

    @contextmanager
    def own(self, url: str | None = None) -> Iterator[DataFolder]:
        """Own the folder while the block runs; `url` tells other processes where to ask meanwhile.

        Raises DataFolderInUse, with the owner's process and address, when somebody owns it, this process
        included; DataFolderUnusable when the folder cannot be written or its file system knows no locks.

        >>> from tempfile import TemporaryDirectory
        >>> import re
        >>> with TemporaryDirectory() as tmp:
        ...     folder = DataFolder.create(Path(tmp, "data"))
        ...     with folder.own(url="http://127.0.0.1:8000"):
        ...         try:
        ...             with DataFolder.open(folder.path).own():
        ...                 pass
        ...         except DataFolderInUse as error:
        ...             print(re.sub("[0-9]+[.] It", "17. It", str(error)))
        the data folder is in use by process 17. It serves at http://127.0.0.1:8000; ask it there, or stop it first.
        """
        lock = self._taken()
        try:
            self._owner = Owner(os.getpid(), url, datetime.now(UTC).isoformat(timespec="seconds"))
            self._lock = lock
            self._write()
            yield self
        finally:
            self._lock = None
            _release(lock)

    def set_url(self, url: str | None) -> None:
        """Change the address that others are told; a service knows its port when it listens. Only for the owner.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, DataFolder.create(Path(tmp, "data")).own() as folder:
        ...     folder.set_url("http://127.0.0.1:41234")
        ...     folder.owner().url
        'http://127.0.0.1:41234'
        """
        if self._lock not in _held:
            raise ValueError("only the owner of a data folder sets its address")
        self._owner = Owner(self._owner.pid, url, self._owner.since)
        self._write()

    def owner(self) -> Owner | None:
        """Who owns the folder now; None when nobody does. What a killed owner left in the file does not count.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as tmp, DataFolder.create(Path(tmp, "data")).own() as folder:
        ...     folder.owner().pid == os.getpid()
        True
        """
        lock = self._opened()
        try:
            return None if _locked(lock, fcntl.LOCK_SH) else _read_owner(lock)
        except OSError as error:
            raise _unusable(self.path, "cannot be locked", error) from error
        finally:
            os.close(lock)

    def _opened(self) -> int:
        """The lock file, which also tells whether the folder can be written. Programs we start do not inherit it."""
        try:
            return os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError as error:
            raise DataFolderUnusable(
                f"there is no data folder {quoted(self.path.name)}: make one with `mentorgraph init`"
            ) from error
        except OSError as error:
            raise _unusable(self.path, "cannot be written", error) from error

    def _taken(self) -> int:
        """The lock file, opened and locked."""
        lock = self._opened()
        _held.add(lock)
        try:
            for attempt in range(ATTEMPTS):
                if _locked(lock, fcntl.LOCK_EX):
                    return lock
                if attempt < ATTEMPTS - 1:
                    time.sleep(0.02)
            owner = _read_owner(lock)
        except OSError as error:
            _close(lock)
            raise _unusable(self.path, "cannot be locked", error) from error
        _close(lock)
        raise DataFolderInUse(owner.pid, owner.url)

    def _write(self) -> None:
        """Say who we are in the lock file."""
        assert self._lock is not None
        note = json.dumps(asdict(self._owner)).encode()
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, note, 0)
        except OSError as error:
            raise _unusable(self.path, "cannot be written", error) from error


def _locked(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_owner(lock: int) -> Owner:
    """What the lock file says; nothing where it is half written or not ours."""
    try:
        note = json.loads(os.pread(lock, _NOTE_LIMIT_BYTES, 0))
    except (ValueError, RecursionError):
        return Owner()
    if not isinstance(note, dict):
        return Owner()
    pid, url, since = (note.get(key) for key in ("pid", "url", "since"))
    return Owner(
        pid if type(pid) is int else None,
        url if isinstance(url, str) else None,
        since if isinstance(since, str) else None,
    )


def _release(lock: int) -> None:
    """Forget who owned the folder, then unlock it. A forked child has let go before and changes nothing."""
    if lock in _held:
        with suppress(OSError):
            os.ftruncate(lock, 0)
        _close(lock)


def _close(lock: int) -> None:
    _held.discard(lock)
    os.close(lock)


def _unusable(path: Path, what: str, error: OSError) -> DataFolderUnusable:
    return DataFolderUnusable(f"the data folder {quoted(path.name)} {what}: {error.strerror}")


def _let_go() -> None:
    """In a forked child: close the parent's locks, which does not unlock them for the parent."""
    for lock in _held:
        with suppress(OSError):
            os.close(lock)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
