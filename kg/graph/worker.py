"""The process that holds the published graph and forks children that answer strangers' queries. Start it with `-m`.

`python -m kg.graph.worker FD` reads orders from the socket FD, one frame each: `load` a file of quads, `update`,
`fork` a child that answers on the socket sent along, and `gone` to learn how a child ended. It has one thread, so
that forking is safe, and ends when the socket does. A child has the graph as its parent had it in memory, or opens a
snapshot on disk that the order names. Then it can open nothing more: no descriptors are left to it, or, with a snapshot, whose
files open as they are needed, no connections. It has a limit on memory and ends with its parent. Dying is how it
refuses what is too much; whoever asked sees that and says why.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import platform
import re
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from typing import Any

import pyoxigraph as ox

from kg.errors import BadQuery, KgError, RefusedQuery, figures, quoted
from kg.graph.guard import Checked, Hit, check, explained
from kg.vocabulary import PREFIXES

TABLES = {
    "application/sparql-results+json": ox.QueryResultsFormat.JSON,
    "application/sparql-results+xml": ox.QueryResultsFormat.XML,
    "text/csv": ox.QueryResultsFormat.CSV,
    "text/tab-separated-values": ox.QueryResultsFormat.TSV,
}
"""Media types for the answers to SELECT and ASK."""

GRAPHS = {
    "text/turtle": ox.RdfFormat.TURTLE,
    "application/n-triples": ox.RdfFormat.N_TRIPLES,
    "application/ld+json": ox.RdfFormat.JSON_LD,
    "application/rdf+xml": ox.RdfFormat.RDF_XML,
    "application/trig": ox.RdfFormat.TRIG,
    "application/n-quads": ox.RdfFormat.N_QUADS,
}
"""Media types for the answers to CONSTRUCT and DESCRIBE."""

HEAD = struct.Struct(">II")
"""Lengths of a frame's two parts: JSON that says what it is, then bytes."""

NICENESS = 10
"""Children give way to the service itself: what strangers compute comes after suggestions and health."""

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2

MADV_COLLAPSE = 25
HUGE_PAGE_BYTES = 1 << 21
MOST_REFUSED = 5
"""Huge pages that the system may refuse before no more are asked for: it has none, or would have to make room first."""

STEP_QUADS = 1_000
"""How many statements a child that nobody asks looks at before it sees whether somebody does: less than a millisecond."""

SOCKETS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""By machine: what the system calls it (AUDIT_ARCH), and the number of the call that makes a socket."""


def frame(said: Mapping[str, Any], body: bytes = b"") -> bytes:
    """One message between service, holder and child.

    >>> frame({"do": "update"}, b"DROP ALL")[8:]
    b'{"do": "update"}DROP ALL'
    """
    head = json.dumps(said).encode()
    return HEAD.pack(len(head), len(body)) + head + body


def receive(channel: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """The next message; None when the other side is gone."""
    sizes = _exactly(channel, HEAD.size)
    if sizes is None:
        return None
    head_bytes, body_bytes = HEAD.unpack(sizes)
    whole = _exactly(channel, head_bytes + body_bytes)
    return None if whole is None else (json.loads(whole[:head_bytes]), whole[head_bytes:])


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


# ------------------------------------------------------------------------------------------- the holder


def hold(control: socket.socket) -> None:
    """Obey orders until the service goes away."""
    store = ox.Store()
    while (order := _order(control)) is not None:
        said, body, passed = order
        if said["do"] == "load":
            store.load(path=said["path"], format=ox.RdfFormat.N_QUADS)
            gc.collect()
            gc.freeze()
            control.sendall(frame({"loaded": True}))
        elif said["do"] == "update":
            store.update(body.decode())
        elif said["do"] == "fork":
            control.sendall(frame({"pid": _fork(store, control, passed, said)}))
        elif said["do"] == "gone":
            control.sendall(frame({"signal": _ending(said["pid"])}))


def _order(control: socket.socket) -> tuple[dict[str, Any], bytes, int] | None:
    """The next order, with the descriptor that came along with its first byte, -1 for none."""
    first, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not first:
        return None
    rest = _exactly(control, HEAD.size - 1)
    if rest is None:
        return None
    head_bytes, body_bytes = HEAD.unpack(first + rest)
    whole = _exactly(control, head_bytes + body_bytes)
    if whole is None:
        return None
    return json.loads(whole[:head_bytes]), whole[head_bytes:], descriptors[0] if descriptors else -1


def _fork(store: ox.Store, control: socket.socket, passed: int, order: Mapping[str, Any]) -> int:
    holder = os.getpid()
    pid = os.fork()
    if pid:
        os.close(passed)
        return pid
    status = 1
    try:
        control.close()
        _tie_to(holder)
        if order["snapshot"] is not None:
            store = _snapshot(order["snapshot"])
        regions = _regions() if order["snapshot"] is None else []
        _limit_memory(order["memory_bytes"])
        if order["snapshot"] is None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        with socket.socket(fileno=passed) as channel:
            _Child(store, channel, order, regions).serve()
        status = 0
    finally:
        os._exit(status)


def _ending(pid: int) -> int:
    """The signal that ended a child, 0 for none. Until this is asked its number belongs to nobody else."""
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _tie_to(holder: int) -> None:
    """End with the parent, and give way to the service."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != holder:
        os._exit(1)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory(more_bytes: int) -> None:
    with open("/proc/self/statm", "rb") as sizes:
        in_use = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + more_bytes,) * 2)


def _regions() -> list[int]:
    """Addresses of the parts of this process's own memory that could each be one huge page."""
    found: list[int] = []
    with open("/proc/self/maps", encoding="utf-8") as lines:
        for line in lines:
            span, rights, _, _, inode, *name = line.split()
            if rights.startswith("rw") and inode == "0" and name in ([], ["[heap]"]):
                begin, end = (int(address, 16) for address in span.split("-"))
                found += range(
                    -(-begin // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES, end - HUGE_PAGE_BYTES + 1, HUGE_PAGE_BYTES
                )
    return found


def _snapshot(folder: str) -> ox.Store:
    """The graph as it is on disk. Who asked takes SIGKILL for "try again", and a later snapshot then."""
    try:
        _refuse_sockets()
        return ox.Store.read_only(folder)
    except OSError:
        os.kill(os.getpid(), signal.SIGKILL)
        raise


def _refuse_sockets() -> None:
    """Have the system refuse to make a socket, for this process and its threads to come (seccomp(2)).

    Raises OSError on a machine that is not in SOCKETS, or that cannot do this: without the second lock nobody's
    query runs.
    """
    if platform.machine() not in SOCKETS:
        raise OSError(f"the system calls of {platform.machine()} are not known")
    machine, number = SOCKETS[platform.machine()]
    load, jump_if_equal, jump_if_at_least, end = 0x20, 0x15, 0x35, 0x06
    refuse, kill, allow = 0x00050000 | errno.EPERM, 0x80000000, 0x7FFF0000
    steps = [
        (load, 0, 0, 4),
        (jump_if_equal, 1, 0, machine),
        (end, 0, 0, kill),
        (load, 0, 0, 0),
        (jump_if_equal, 1, 0, number),
        (jump_if_at_least, 0, 1, 0x40000000),  # the other numbering of the same calls on x86-64
        (end, 0, 0, refuse),
        (end, 0, 0, allow),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    whole = _Program(len(steps), ctypes.addressof(program))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(whole), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the system does not refuse sockets")


class _Program(ctypes.Structure):
    """struct sock_fprog: how many steps a filter has, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


# ------------------------------------------------------------------------------------------- one child


class _TooMuch(Exception):
    """An answer over its cap: how many of what are the most, in English and French."""

    def __init__(self, cap: int, what: tuple[str, str]) -> None:
        super().__init__(cap, what)
        most, most_in_french = figures(cap)
        self.texts = {
            "en": f"the answer has more than {most} {what[0]}, which is the most that is given; "
            "add LIMIT, or ask for less",
            "fr": f"la réponse compte plus de {most_in_french} {what[1]}, le maximum qui est donné ; "
            "ajoutez LIMIT, ou demandez moins",
        }


class _Child:
    """Answers one query after another from its own copy of the graph."""

    def __init__(
        self, store: ox.Store, channel: socket.socket, limits: Mapping[str, Any], regions: Sequence[int] = ()
    ) -> None:
        self._store, self._channel = store, channel
        self._rows, self._bytes = limits["rows"], limits["answer_bytes"]
        self._at_first = _most_memory()
        self._idle_work: Iterator[bool] | None = self._own_memory(regions) if limits["snapshot"] is None else None

    def serve(self) -> None:
        while (message := self._next()) is not None:
            said, body = message
            if said["do"] == "update":
                self._store.update(body.decode())
            else:
                self._channel.sendall(self._answer(said, body))

    def _next(self) -> tuple[dict[str, Any], bytes] | None:
        """The next message. Until it comes, this child gets its memory in order, step by step."""
        while self._idle_work is not None and not self._is_asked():
            if not next(self._idle_work, False):
                self._idle_work = None
        return receive(self._channel)

    def _own_memory(self, regions: Sequence[int]) -> Iterator[bool]:
        """Get the memory of the statements for this process alone, in huge pages where the system can (Linux 6.1).

        Reading counts references, which is writing: the first reading of each page copies it. Of a new child's joins
        among 10,000 practices that was half of the time or more (3.0 and 2.1 ms, 1.0 afterwards), for 0.4 s of idling.
        Huge pages then spare the processor looking up where a page is: a tenth off what reads much of the graph, for 0.4 s.
        """
        quads = iter(self._store)
        while next(islice(quads, STEP_QUADS - 1, None), None) is not None:
            yield True
        madvise = ctypes.CDLL(None).madvise
        refused = 0
        for begin in regions:
            refused += madvise(ctypes.c_void_p(begin), ctypes.c_size_t(HUGE_PAGE_BYTES), MADV_COLLAPSE) != 0
            if refused > MOST_REFUSED:
                return
            yield True

    def _is_asked(self) -> bool:
        try:
            self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def _answer(self, said: Mapping[str, Any], query: bytes) -> bytes:
        try:
            media_type, answer = self._run(said, query.decode())
        except KgError as error:
            return frame({"error": type(error).__name__, "message": dict(error.texts())})
        except MemoryError:
            return frame({"error": "MemoryError", "message": ""})
        except _TooMuch as error:
            return frame({"error": "RefusedQuery", "message": error.texts})
        return frame({"media_type": media_type, "grown_bytes": _most_memory() - self._at_first}, answer)

    def _run(self, said: Mapping[str, Any], query: str) -> tuple[str | None, bytes]:
        checked = check(query)
        is_table = checked.form in ("SELECT", "ASK")
        media_type = said["table"] if is_table else said["graph"]
        dataset = self._dataset(said, checked)
        if media_type is None:
            return None, b"table" if is_table else b"graph"
        text = checked.text([self._hits(search.__dict__) for search in checked.searches])
        try:
            results = self._store.query(text, prefixes=PREFIXES, **dataset)
            if isinstance(results, ox.QueryTriples):
                return media_type, self._graph(results, media_type)
            return media_type, self._table(results, media_type)
        except SyntaxError as error:
            raise BadQuery(explained(text, error)) from error
        except (OSError, ValueError, RuntimeError) as error:
            raise BadQuery(
                {
                    "en": f"the query cannot be answered: {error}",
                    "fr": f"la requête ne peut pas recevoir de réponse ; le moteur dit : « {error} »",
                }
            ) from error

    def _dataset(self, said: Mapping[str, Any], checked: Checked) -> dict[str, Any]:
        """What the query sees: the graphs that the request names, else those that FROM names, else all."""
        default, named = said["default_graphs"], said["named_graphs"]
        if default is None and named is None:
            default, named = checked.default_graphs, checked.named_graphs
        if default is None and named is None:
            return {"use_default_graph_as_union": True}
        return {
            "default_graph": [self._known(iri) for iri in default or ()],
            "named_graphs": [self._known(iri) for iri in named or ()],
        }

    def _known(self, iri: str) -> ox.NamedNode:
        try:
            name = ox.NamedNode(iri)
        except ValueError as error:
            raise BadQuery(
                {
                    "en": f"{quoted(iri)} is no address of a graph: {error}",
                    "fr": f"{quoted(iri)} n’est pas l’adresse d’un graphe ; le moteur dit : « {error} »",
                }
            ) from error
        if not self._store.contains_named_graph(name):
            raise RefusedQuery(
                {
                    "en": f"there is no graph {quoted(iri, 200)} here, and none is fetched from elsewhere. "
                    "SELECT ?graph { GRAPH ?graph { } } lists those there are.",
                    "fr": f"il n’y a pas de graphe {quoted(iri, 200)} ici, et aucun n’est cherché ailleurs. "
                    "SELECT ?graph { GRAPH ?graph { } } donne la liste de ceux qu’il y a.",
                }
            )
        return name

    def _hits(self, search: Mapping[str, Any]) -> list[Hit]:
        self._channel.sendall(frame({"search": search}))
        message = receive(self._channel)
        if message is None:
            os._exit(0)
        said, _ = message
        if "error" in said:
            raise BadQuery(said["error"])
        return [Hit(**hit) for hit in said["hits"]]

    def _table(self, results: ox.QuerySolutions | ox.QueryBoolean, media_type: str) -> bytes:
        written = _Bounded(self._bytes)
        results.serialize(written, format=TABLES[media_type])
        answer = written.getvalue()
        if isinstance(results, ox.QuerySolutions) and not _fits(answer, media_type, self._rows):
            raise _TooMuch(self._rows, ("rows", "lignes"))
        return answer

    def _graph(self, results: ox.QueryTriples, media_type: str) -> bytes:
        written = _Bounded(self._bytes)
        prefixes = PREFIXES if media_type in ("text/turtle", "application/trig", "application/rdf+xml") else None
        triples = _at_most(results, self._rows)
        ox.serialize(triples, written, format=GRAPHS[media_type], prefixes=prefixes)
        return written.getvalue()


def _most_memory() -> int:
    """The most bytes this process has had in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Bounded(BytesIO):
    """Bytes in memory, up to a cap."""

    def __init__(self, cap: int) -> None:
        super().__init__()
        self._cap = cap

    def write(self, part: Any) -> int:
        if self.tell() + len(part) > self._cap:
            raise _TooMuch(self._cap, ("bytes", "octets"))
        return super().write(part)


def _at_most(triples: Iterator[ox.Triple], cap: int) -> Iterator[ox.Triple]:
    yield from islice(triples, cap)
    if next(triples, None) is not None:
        raise _TooMuch(cap, ("triples", "triplets"))


def _fits(answer: bytes, media_type: str, cap: int) -> bool:
    """Whether a table has at most `cap` rows. The engine does not say how many it wrote.

    What can stand inside a value is counted as well first, which is quick; only then are values taken out.

    >>> _fits(b'a\\n"x\\ny"\\nz\\n', "text/csv", 2), _fits(b'a\\n"x\\ny"\\nz\\n', "text/csv", 1)
    (True, False)
    """
    end_of_row, beyond, value = _ROWS[media_type]
    if answer.count(end_of_row) - beyond <= cap:
        return True
    return value is not None and value.sub(b"", answer).count(end_of_row) - beyond <= cap


_ROWS: Mapping[str, tuple[bytes, int, re.Pattern[bytes] | None]] = {
    "application/sparql-results+json": (b"},{", -1, re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)),
    "application/sparql-results+xml": (b"<result>", 0, None),
    "text/csv": (b"\n", 1, re.compile(rb'"[^"]*+"')),
    "text/tab-separated-values": (b"\n", 1, None),
}
"""What ends or parts rows, how many more of it than rows there are, and what a value that may hold it looks like."""


if __name__ == "__main__":
    hold(socket.socket(fileno=int(sys.argv[1])))
