"""The processes that answer strangers' queries (`kg.graph.worker`), seen from the service's event loop.

A holder has the graph in memory and is told every change, or has nothing and its children open snapshots on disk; which of
them it is depends on the size of the graph. Children are made and answer one query after another; any of them may be
killed at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kg.errors import Busy, KgError
from kg.graph.store import OxigraphStore
from kg.graph.worker import HEAD, frame, receive

if TYPE_CHECKING:
    from kg.graph.remote import GraphStore

LOG_BYTES = 64_000_000
"""Changes kept for processes that have not seen them yet; beyond it they start anew from the whole graph."""

LAG = 200
"""Changes after which an idle child is given up: a new copy of the holder costs less than following."""

FRESH_SECONDS = 1.0
"""How old a snapshot may be when the graph has changed since; no two are made within that time."""

MEMORY_PER_BYTE = 1.5
"""How many bytes of memory a byte of the graph's files becomes: 1.0 measured at 1,000 and 10,000 practices, 1.7 once
the engine has compacted the files."""

SNAPSHOTS = ".snapshots-"
"""How the folders for snapshots are called, beside the graph's own."""

START_SECONDS = 600.0

_NOT_YET = {
    "en": "queries cannot be answered yet; send the same one again in a few seconds",
    "fr": "les requêtes ne peuvent pas encore recevoir de réponse ; renvoyez la même dans quelques secondes",
}


@dataclass(frozen=True)
class Limits:
    """What one query, one client and all together may take.

    `rows` counts triples for CONSTRUCT and DESCRIBE. `memory_bytes` is what a query may use beyond the graph.
    A client has at most one place fewer than there are, so that it cannot hold up everybody else.
    `graph_bytes` is the memory that the graph may take; a larger one, by the size of its files, is answered from
    snapshots on disk. One in memory, or on another engine, is always held in memory.
    """

    at_once: int = 4
    waiting: int = 50
    wait_seconds: float = 10.0
    deadline_seconds: float = 10.0
    query_bytes: int = 100_000
    rows: int = 100_000
    answer_bytes: int = 20_000_000
    memory_bytes: int = 500_000_000
    graph_bytes: int = 1_000_000_000


class ProcessGone(Exception):
    """The other side of a socket has ended."""


class Log:
    """Changes of the graph since the holder's copy was made, kept for those who have not seen them yet."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._told = told
        self._updates: list[bytes] = []
        self._bytes = 0
        self.last = 0
        """How many changes there were. One number, so that it can be read without the lock."""
        self.overflown = False

    def add(self, update: str) -> None:
        """Note a change; called by the writer, in any thread."""
        with self._lock:
            self._updates.append(update.encode())
            self.last += 1
            self._bytes += len(self._updates[-1])
            if self._bytes > LOG_BYTES:
                self.overflown = True
                self._forget(self.last)
        self._told()

    def since(self, seen: int) -> list[bytes]:
        """The changes after the first `seen` ones; raises ProcessGone when they are not all kept any more."""
        with self._lock:
            if seen < self._forgotten:
                raise ProcessGone
            return self._updates[seen - self._forgotten :]

    @property
    def _forgotten(self) -> int:
        return self.last - len(self._updates)

    def forget(self, seen: int) -> None:
        """Drop the first `seen` changes: everybody has them."""
        with self._lock:
            self._forget(seen)

    def _forget(self, seen: int) -> None:
        gone = max(0, seen - self._forgotten)
        self._bytes -= sum(map(len, self._updates[:gone]))
        del self._updates[:gone]


@dataclass(eq=False)
class Snapshot:
    """The graph as it was when the copy began, on disk; `state` tells it from others. Removed when nobody has it open."""

    folder: Path
    state: object
    begun: float
    users: int = 0


class Child(asyncio.Protocol):
    """One process that answers queries, seen from the service's event loop.

    What it has seen is a number of changes in the holder's log, or a snapshot.
    """

    def __init__(self, pid: int, channel: socket.socket, seen: int = 0, snapshot: Snapshot | None = None) -> None:
        self.pid, self.seen, self.snapshot = pid, seen, snapshot
        self.answers = 0
        self.buried = False
        self._channel = channel
        self._transport: asyncio.Transport | None = None
        self._handle = os.pidfd_open(pid)
        self._unread = bytearray()
        self.has_ended = False
        self._told: Callable[[], None] | None = None

    async def connect(self) -> Child:
        """Have the event loop read what the process says."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=self._channel)
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self.has_ended = True
        self._tell()

    def _tell(self) -> None:
        told, self._told = self._told, None
        if told is not None:
            told()

    def follow(self, log: Log) -> None:
        """Tell the process the changes that it has not seen; raises ProcessGone when they are not kept any more."""
        for update in log.since(self.seen):
            self.send({"do": "update"}, update)
            self.seen += 1

    def send(self, said: dict[str, Any], body: bytes = b"") -> None:
        """Say something to the process; nothing happens where it has ended, which `receive` tells."""
        if self._transport is not None and not self.has_ended:
            self._transport.write(frame(said, body))

    async def receive(self, cap: int) -> tuple[dict[str, Any], bytes]:
        """The child's next message. Raises EOFError where it has ended, and for a message that is none, or over every cap."""
        while (message := self.received(cap)) is None:
            more = asyncio.get_running_loop().create_future()
            self.when_more(partial(_settle, more))
            await more
        return message

    def when_more(self, told: Callable[[], None] | None) -> None:
        """Call `told` once, when there are more bytes from the child, or its end."""
        self._told = told

    def received(self, cap: int) -> tuple[dict[str, Any], bytes] | None:
        """The child's next message if all of it is here; raises EOFError as `receive` does."""
        if len(self._unread) >= HEAD.size:
            head_bytes, body_bytes = HEAD.unpack_from(self._unread)
            if head_bytes > cap + 1_000_000 or body_bytes > cap:
                raise EOFError
            begin = HEAD.size + head_bytes
            end = begin + body_bytes
            if len(self._unread) >= end:
                head, body = _said(self._unread[HEAD.size : begin]), bytes(self._unread[begin:end])
                del self._unread[:end]
                return head, body
        if self.has_ended:
            raise EOFError
        return None

    def kill(self) -> None:
        """End the process, if it has not ended; by its handle, because its number may be another's by now."""
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
            self._handle = -1
            if self._transport is not None:
                self._transport.abort()
            else:
                self._channel.close()


def _said(head: bytes | bytearray) -> dict[str, Any]:
    try:
        said = json.loads(head)
    except ValueError as error:
        raise EOFError from error
    if not isinstance(said, dict):
        raise EOFError
    return said


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Holder(ABC):
    """The process that forks children, seen from the service. Its socket is used by one thread at a time."""

    def __init__(self) -> None:
        """Start the process; it has nothing in it yet."""
        self.idle: list[Child] = []
        self.children: set[Child] = set()
        self._turn = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kg.graph.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                # An interrupt from the keyboard is for the service, which ends this process in its own time.
                start_new_session=True,
            )

    def is_usable(self) -> bool:
        """Whether queries can go on being answered with this process."""
        return self.process.poll() is None

    @abstractmethod
    def has_one_ready(self) -> bool:
        """Whether the child that is asked next is here and has seen every change."""

    @abstractmethod
    def bring_up(self, child: Child) -> None:
        """Tell a child what it has to know before it answers."""

    async def fork(self, limits: Limits) -> Child:
        """A new child that sees what there is now."""
        child = await asyncio.to_thread(self._forked, limits)
        try:
            return await child.connect()
        except BaseException:
            child.kill()
            self.children.discard(child)
            raise

    @abstractmethod
    def _forked(self, limits: Limits) -> Child:
        """A new child, made in a thread; it is not connected yet."""

    def _born(self, limits: Limits, seen: int = 0, snapshot: Snapshot | None = None) -> Child:
        """Have the process fork; for who holds the turn."""
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise ProcessGone from error
        with theirs:
            ours.setblocking(False)
            try:
                order = {"do": "fork", "snapshot": str(snapshot.folder) if snapshot else None, **asdict(limits)}
                pid = int(self._ordered(order, theirs)["pid"])
                child = Child(pid, ours, seen, snapshot)
            except (ProcessGone, OSError) as error:
                ours.close()
                raise ProcessGone from error
        # Known before anybody may forget changes that it has not seen.
        self.children.add(child)
        return child

    def outdated(self) -> list[Child]:
        """Take out the idle children that are too far behind."""
        outdated = [child for child in self.idle if self._is_outdated(child)]
        self.idle = [child for child in self.idle if child not in outdated]
        return outdated

    @abstractmethod
    def _is_outdated(self, child: Child) -> bool:
        """Whether a child is too far behind to be asked again."""

    async def gone(self, child: Child) -> int:
        """Which signal ended a child; ends it first if it has not."""
        child.kill()
        self.children.discard(child)
        return await asyncio.to_thread(self._gone, child)

    def _gone(self, child: Child) -> int:
        with self._turn:
            return int(self._ordered({"do": "gone", "pid": child.pid})["signal"])

    def end(self) -> None:
        """End the process; its children end with it."""
        self.process.kill()
        self.process.wait()
        self._control.close()

    def _ordered(self, said: dict[str, Any], passed: socket.socket | None = None) -> dict[str, Any]:
        order = frame(said)
        try:
            if passed is None:
                self._control.sendall(order)
            else:
                socket.send_fds(self._control, [order[:1]], [passed.fileno()])
                self._control.sendall(order[1:])
            reply = receive(self._control)
        except OSError as error:
            raise ProcessGone from error
        if reply is None:
            raise ProcessGone
        return reply[0]

    def _send(self, order: bytes) -> None:
        try:
            self._control.sendall(order)
        except OSError as error:
            raise ProcessGone from error


class InMemory(Holder):
    """A holder that has the graph, and is told its changes."""

    def __init__(self, graph: GraphStore, told: Callable[[], None]) -> None:
        """Returns when the process has the graph."""
        super().__init__()
        self.log = Log(told)
        self._graph = graph
        self._seen = 0
        self._control.settimeout(START_SECONDS)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "graph.nq")
            try:
                graph.hand_over(path, self.log.add)
                self._ordered({"do": "load", "path": str(path)})
            except BaseException:
                self.end()
                raise

    def is_usable(self) -> bool:
        return super().is_usable() and not self.log.overflown

    def has_one_ready(self) -> bool:
        child = self.idle[-1] if self.idle else None
        return child is not None and not child.has_ended and child.seen == self.log.last and not self.log.overflown

    def bring_up(self, child: Child) -> None:
        child.follow(self.log)

    def _forked(self, limits: Limits) -> Child:
        with self._turn:
            self._follow()
            return self._born(limits, seen=self._seen)

    def follow(self) -> None:
        """Tell the process what has changed, and forget what everybody knows."""
        with self._turn:
            self._follow()
            self.log.forget(min([self._seen, *(child.seen for child in list(self.children))]))

    def _follow(self) -> None:
        for update in self.log.since(self._seen):
            self._send(frame({"do": "update"}, update))
            self._seen += 1

    def _is_outdated(self, child: Child) -> bool:
        return self.log.last - child.seen > LAG

    def end(self) -> None:
        self._graph.stop_telling(self.log.add)
        super().end()


class OnDisk(Holder):
    """A holder that has nothing; its children open snapshots, which lie beside the graph in a folder of our own."""

    def __init__(self, graph: OxigraphStore, beside: Path) -> None:
        super().__init__()
        self._graph = graph
        self._current: Snapshot | None = None
        self._renewing: asyncio.Future[None] | None = None
        self._made = 0
        try:
            self._folder, self._lock = _snapshots_folder(beside)
        except BaseException:
            super().end()
            raise

    def is_fresh(self) -> bool:
        """Whether the newest snapshot has every change that it has to have for a query that begins now."""
        newest = self._current
        return newest is not None and (
            time.monotonic() - newest.begun < FRESH_SECONDS or newest.state == _state(self._graph)
        )

    def has_one_ready(self) -> bool:
        child = self.idle[-1] if self.idle else None
        return child is not None and not child.has_ended and child.snapshot is self._current and self.is_fresh()

    def bring_up(self, child: Child) -> None:
        """Its snapshot is all that it has to know."""

    async def renewed(self) -> None:
        """Make a snapshot, one at a time; who waits for it may leave."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.ensure_future(asyncio.to_thread(self._renew))
        await asyncio.shield(self._renewing)

    def _renew(self) -> None:
        self._made += 1
        made = Snapshot(self._folder / str(self._made), _state(self._graph), time.monotonic())
        try:
            self._graph.snapshot(made.folder)
        except BaseException:
            shutil.rmtree(made.folder, ignore_errors=True)
            raise
        with self._turn:
            before, self._current = self._current, made
            if before is not None:
                self._remove_unused(before)

    def _forked(self, limits: Limits) -> Child:
        with self._turn:
            snapshot = self._current
            assert snapshot is not None
            child = self._born(limits, snapshot=snapshot)
            snapshot.users += 1
            return child

    def _is_outdated(self, child: Child) -> bool:
        return child.snapshot is not self._current

    def _gone(self, child: Child) -> int:
        try:
            return super()._gone(child)
        finally:
            with self._turn:
                if child.snapshot is not None:
                    child.snapshot.users -= 1
                    self._remove_unused(child.snapshot)

    def _remove_unused(self, snapshot: Snapshot) -> None:
        if snapshot.users == 0 and snapshot is not self._current:
            shutil.rmtree(snapshot.folder, ignore_errors=True)

    def end(self) -> None:
        super().end()
        with self._turn:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)


def started(graph: GraphStore, limits: Limits, told: Callable[[], None]) -> Holder:
    """The sort of holder that the size of the graph asks for."""
    try:
        if isinstance(graph, OxigraphStore) and graph.folder is not None:
            in_files = sum(map(_size, graph.folder.iterdir()))
            if in_files * MEMORY_PER_BYTE > limits.graph_bytes:
                return OnDisk(graph, graph.folder.parent)
        return InMemory(graph, told)
    except (OSError, ProcessGone, KgError) as error:
        raise Busy(_NOT_YET) from error


def _state(graph: OxigraphStore) -> object:
    """Something that is another after every change."""
    return graph.marker(), graph.vocabularies()


def _snapshots_folder(beside: Path) -> tuple[Path, int]:
    """A new folder, and the lock that says that it is in use. What ended processes have left is removed."""
    for left in beside.glob(f"{SNAPSHOTS}*"):
        with contextlib.suppress(OSError):
            lock = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
    folder = Path(tempfile.mkdtemp(prefix=SNAPSHOTS, dir=beside))
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return folder, lock


def _size(file: Path) -> int:
    """Bytes of a file; 0 for one that the engine has cleared away meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_size
    return 0
