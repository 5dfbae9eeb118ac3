"""Answers strangers' queries in processes that can be killed, so that no query hurts anybody else.

The engine cannot be interrupted, and a query that is too much for memory or stack ends its process. So none runs
here: a holder (`kg.graph.worker`) has the published graph in memory and is told every change, and its children,
copies made in milliseconds, answer. Whoever takes too long, or whose client has gone away, is killed.

A graph that is too large for that is answered from the disk: the children open a snapshot of it, which shares its
files with the graph. A query gets a new snapshot when the graph has changed since the last one and that is older than a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from kg.errors import BadQuery, Busy, RefusedQuery, TooLarge, TooSlow, figures
from kg.graph.guard import Hit, Search
from kg.graph.processes import Child, Holder, InMemory, Limits, OnDisk, ProcessGone, started
from kg.graph.worker import GRAPHS, TABLES

if TYPE_CHECKING:
    from kg.graph.remote import GraphStore

__all__ = ["GRAPHS", "TABLES", "Answer", "Begun", "Limits", "NoFormat", "QueryService", "Question"]

SearchFunction = Callable[[Search], Sequence[Hit]]

ANSWERS_PER_CHILD = 1_000

TO_NARROW = (
    "begin with the narrowest pattern, name what you look for in VALUES, join every pattern with another by a "
    "variable, and ask for fewer columns or groups"
)
TO_NARROW_IN_FRENCH = (
    "commencez par le motif le plus étroit, nommez dans VALUES ce que vous cherchez, liez chaque motif à un autre par une "
    "variable, et demandez moins de colonnes ou de groupes"
)

_STARTING_AGAIN = {
    "en": "queries are being started again; send the same one in a few seconds",
    "fr": "le service des requêtes redémarre ; renvoyez la même requête dans quelques secondes",
}
_IN_LINE = {
    "en": "many queries are being answered just now; send the same one again in a few seconds",
    "fr": "beaucoup de requêtes sont en cours en ce moment ; renvoyez la même dans quelques secondes",
}
_STOPPING = {"en": "the service is stopping", "fr": "le service est en train de s’arrêter"}
_NO_SEARCH = {
    "en": "this service has no search: SERVICE mg:search cannot be answered",
    "fr": "ce service n’a pas de recherche : SERVICE mg:search ne peut pas recevoir de réponse",
}
_TOO_DEEP = {
    "en": "the query is nested too deeply to be read, or its patterns are too many; write a flatter one",
    "fr": "la requête est trop imbriquée pour être lue, ou ses motifs sont trop nombreux ; écrivez-en une plus simple",
}
_GIVEN_UP = {
    "en": "the query cannot be answered: the engine gave up on it; write it in another way",
    "fr": "la requête ne peut pas recevoir de réponse : le moteur y a renoncé ; écrivez-la autrement",
}


@dataclass(frozen=True)
class Question:
    """A query as it came, with the media types its asker takes and the graphs it names beside the text.

    `table` is one of TABLES, `graph` one of GRAPHS, None where the asker takes none of them. The graphs are None
    when the request names none; then FROM decides, and without FROM everything is asked.
    """

    query: str
    table: str | None = "application/sparql-results+json"
    graph: str | None = "text/turtle"
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """The engine's own bytes, and what they are."""

    media_type: str
    body: bytes


class NoFormat(Exception):
    """The query's form has an answer in none of the media types asked for. `form` is "table" or "graph"."""

    def __init__(self, form: Literal["table", "graph"]) -> None:
        super().__init__(form)
        self.form = form


class Begun:
    """A question that a process is answering while nobody waits. Made by `QueryService.begin`."""

    def __init__(self, question: Question, holder: Holder, child: Child, ticket: _Ticket) -> None:
        self.begun = asyncio.get_running_loop().time()
        self.question, self.holder, self.child, self.ticket = question, holder, child, ticket
        self.said: tuple[dict[str, Any], bytes] | None = None

    def when_more(self, told: Callable[[], None] | None) -> None:
        """Call `told` once, as soon as the process has said more, or has ended."""
        self.child.when_more(told)


class QueryService:
    """Strangers' queries over one graph view. Lives in one event loop; `graph` may change in any thread.

    Processes start with the first query, or with `start`. `search` answers SERVICE mg:search; it is called in
    a thread and may raise any KgError.

    >>> from kg.graph.store import OxigraphStore
    >>> async def name():
    ...     graph = OxigraphStore(None)
    ...     async with QueryService(graph) as service:
    ...         return await service.ask(Question("SELECT (1 + 1 AS ?two) {}", table="text/csv"), client="me")
    >>> asyncio.run(name())
    Answer(media_type='text/csv', body=b'two\\r\\n2\\r\\n')
    """

    def __init__(self, graph: GraphStore, search: SearchFunction | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._graph, self._search = graph, search
        self._line = _Line(self.limits)
        self._holder: Holder | None = None
        self._starting: asyncio.Future[Holder] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._following = False
        self._closed = False

    async def __aenter__(self) -> QueryService:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bring the processes up, with one that waits for the first query; `ask` does so by itself where this was not done."""
        holder = await self._ready()
        self._keep(holder, await self._child(holder))

    def start_soon(self) -> None:
        """Bring the processes up while other things are done; what fails is tried again with the first query."""
        self._later(self.start())

    async def stop(self) -> None:
        """End all processes, running queries with them."""
        self._closed = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await self._end_holder()
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def status(self) -> dict[str, int]:
        """How many queries run and wait, and how many processes are there to answer them."""
        processes = len(self._holder.children) if self._holder else 0
        return {"running": self._line.running, "waiting": self._line.waiting, "processes": processes}

    def processes(self) -> list[int]:
        """The numbers of the processes: the one that holds the graph first, then its children."""
        holder = self._holder
        return [holder.process.pid, *(child.pid for child in holder.children)] if holder else []

    def begin(self, question: Question, client: str) -> Begun | None:
        """Have a query run, if that takes no waiting at all: a process is at hand that has seen everything, and a place.

        None where it does, and for what `ask` refuses. What has begun is ended by `finished`, `ask` or `give_up`: one of
        them must follow.
        """
        holder = self._holder
        if self._closed or holder is None or not holder.has_one_ready() or not self._line.has_place(client):
            return None
        try:
            self._refuse(question)
        except (BadQuery, TooLarge):
            return None
        begun = Begun(question, holder, holder.idle.pop(), self._line.place_now(client))
        self._put(begun.child, question)
        return begun

    def finished(self, begun: Begun, most_bytes: int) -> Answer | None:
        """The answer, if it is here, an answer and no longer than that; what else the process has said is kept for `ask`."""
        try:
            if begun.said is None:
                begun.said = begun.child.received(self.limits.answer_bytes)
        except EOFError:
            return None
        said, body = begun.said or ({}, b"")
        # A process could have been taken over: what it says goes into a header.
        media_type = said.get("media_type")
        if (
            media_type is None
            or media_type not in (begun.question.table, begun.question.graph)
            or len(body) > most_bytes
        ):
            return None
        self._give_back(begun.holder, begun.child, self._is_healthy(said))
        self._line.leave(begun.ticket)
        return Answer(media_type, body)

    def give_up(self, begun: Begun) -> None:
        """Stop what has begun; nobody wants the answer any more."""
        begun.when_more(None)
        self._give_back(begun.holder, begun.child, healthy=False)
        self._line.leave(begun.ticket)

    async def ask(self, question: Question, *, client: str, begun: Begun | None = None) -> Answer:
        """Run one query and return its answer, which has seen every change committed before the call.

        Over snapshots, every change that was committed a second before the query got its place.

        `client` tells askers apart for their fair share. Cancelling the call kills the query. `begun` is the same question
        where a process is at it already.

        Raises BadQuery and RefusedQuery as `kg.graph.guard.check` does, RefusedQuery also for an answer over the
        caps, TooLarge for a query too long, Busy when no place comes free, TooSlow when the deadline or the memory
        is not enough, NoFormat, and what `search` raises.
        """
        if begun is None:
            self._refuse(question)
        async with self._line.place(client, begun.ticket if begun else None):
            for retry in (True, False):
                try:
                    return await self._answered(question, begun)
                except ProcessGone:
                    begun = None
                    if not retry or self._closed:
                        raise Busy(_STARTING_AGAIN) from None
        raise AssertionError

    def _refuse(self, question: Question) -> None:
        """Raise for a query that is too long, or no text."""
        length = len(question.query.encode("utf-8", "replace"))
        if length > self.limits.query_bytes:
            (long, long_in_french), (most, most_in_french) = figures(length), figures(self.limits.query_bytes)
            raise TooLarge(
                {
                    "en": f"the query has {long} bytes; {most} are allowed",
                    "fr": f"la requête compte {long_in_french} octets ; {most_in_french} sont admis",
                }
            )
        if question.query.encode("utf-8", "ignore") != question.query.encode("utf-8", "replace"):
            raise BadQuery(
                {
                    "en": "the query has characters that are no text (halves of surrogate pairs)",
                    "fr": "la requête contient des caractères qui ne sont pas du texte (moitiés de paires de substitution)",
                }
            )

    async def _answered(self, question: Question, begun: Begun | None) -> Answer:
        if begun is None:
            holder = await self._ready()
            child = await self._child(holder)
            since = asyncio.get_running_loop().time()
        else:
            holder, child, since = begun.holder, begun.child, begun.begun
        healthy = False
        try:
            async with asyncio.timeout_at(since + self.limits.deadline_seconds):
                said, body = await self._asked(holder, child, question, begun)
            healthy = self._is_healthy(said)
        except TimeoutError:
            raise self._too_much_time() from None
        except EOFError:
            await self._explain(holder, child)
        finally:
            self._give_back(holder, child, healthy)
        return self._read(said, body)

    async def _asked(
        self, holder: Holder, child: Child, question: Question, begun: Begun | None
    ) -> tuple[dict[str, Any], bytes]:
        """Send changes and question to a child, unless it has them; answer its searches until it has the result."""
        if begun is None:
            holder.bring_up(child)
            self._put(child, question)
        said, body = begun.said if begun and begun.said else await child.receive(self.limits.answer_bytes)
        while "search" in said:
            child.send(await self._found(Search(**said["search"])))
            said, body = await child.receive(self.limits.answer_bytes)
        return said, body

    @staticmethod
    def _put(child: Child, question: Question) -> None:
        formats = {"table": question.table, "graph": question.graph}
        graphs = {"default_graphs": question.default_graphs, "named_graphs": question.named_graphs}
        child.send({"do": "query", **formats, **graphs}, question.query.encode())

    def _is_healthy(self, said: dict[str, Any]) -> bool:
        """Whether a child may answer more queries after this answer."""
        grown = said.get("grown_bytes", 0)
        return isinstance(grown, int) and grown < self.limits.memory_bytes // 4

    async def _found(self, search: Search) -> dict[str, Any]:
        if self._search is None:
            return {"error": _NO_SEARCH}
        return {"hits": [asdict(hit) for hit in await asyncio.to_thread(self._search, search)]}

    def _read(self, said: dict[str, Any], body: bytes) -> Answer:
        if "error" in said:
            if said["error"] == "MemoryError":
                raise self._too_much_memory()
            raise {"BadQuery": BadQuery, "RefusedQuery": RefusedQuery}[said["error"]](said["message"])
        if said["media_type"] is None:
            raise NoFormat("table" if body == b"table" else "graph")
        return Answer(said["media_type"], body)

    def _too_much_time(self) -> TooSlow:
        seconds = f"{self.limits.deadline_seconds:g}"
        return TooSlow(
            {
                "en": f"the query did not finish within {seconds} seconds and was stopped; {TO_NARROW}",
                "fr": f"la requête n’était pas finie au bout de {seconds.replace('.', ',')} secondes et a été arrêtée ; "
                f"{TO_NARROW_IN_FRENCH}",
            }
        )

    def _too_much_memory(self) -> TooSlow:
        most, most_in_french = figures(self.limits.memory_bytes // 1_000_000)
        return TooSlow(
            {
                "en": f"the query needs more than {most} MB of memory and was stopped; {TO_NARROW}",
                "fr": f"la requête demande plus de {most_in_french} Mo de mémoire et a été arrêtée ; {TO_NARROW_IN_FRENCH}",
            }
        )

    async def _explain(self, holder: Holder, child: Child) -> NoReturn:
        """A child has died on a query: say of what."""
        child.buried = True
        ended_by = await holder.gone(child)
        if ended_by == signal.SIGABRT:
            raise self._too_much_memory()
        if ended_by == signal.SIGSEGV:
            raise BadQuery(_TOO_DEEP)
        if ended_by == signal.SIGKILL:
            raise ProcessGone
        raise BadQuery(_GIVEN_UP)

    # Processes

    async def _ready(self) -> Holder:
        """A holder whose children see every change, or can be told. Who waits for a start may leave it."""
        if self._closed:
            raise Busy(_STOPPING)
        holder = self._holder
        if holder is not None and holder.is_usable():
            return holder
        if self._starting is None or self._starting.done():
            self._starting = asyncio.ensure_future(self._started())
        return await asyncio.shield(self._starting)

    async def _started(self) -> Holder:
        await self._end_holder()
        told = partial(_call_in, asyncio.get_running_loop(), self._follow_soon)
        self._holder = await asyncio.to_thread(started, self._graph, self.limits, told)
        return self._holder

    async def _end_holder(self) -> None:
        holder, self._holder = self._holder, None
        if holder is not None:
            for child in holder.idle:
                child.kill()
            holder.idle.clear()
            await asyncio.to_thread(holder.end)

    def _follow_soon(self) -> None:
        """The graph has changed: tell the holder, unless somebody is at it."""
        if not self._following and not self._closed:
            self._following = True
            self._later(self._follow())

    async def _follow(self) -> None:
        try:
            holder = self._holder
            if isinstance(holder, InMemory):
                await asyncio.to_thread(holder.follow)
                self._give_up(holder)
        finally:
            self._following = False

    async def _child(self, holder: Holder) -> Child:
        if isinstance(holder, OnDisk):
            if not holder.is_fresh():
                await holder.renewed()
            self._give_up(holder)
        while holder.idle:
            child = holder.idle.pop()
            if not child.has_ended:
                return child
            self._give_back(holder, child, healthy=False)
        forking = asyncio.ensure_future(holder.fork(self.limits))
        try:
            return await asyncio.shield(forking)
        except asyncio.CancelledError:
            self._later(self._unwanted(holder, forking))
            raise

    async def _unwanted(self, holder: Holder, forking: asyncio.Future[Child]) -> None:
        with contextlib.suppress(ProcessGone):
            self._keep(holder, await forking)

    def _keep(self, holder: Holder, child: Child) -> None:
        """Have a child wait for the next query, unless its holder has been ended meanwhile."""
        if holder is self._holder:
            holder.idle.append(child)
        else:
            child.kill()

    def _give_back(self, holder: Holder, child: Child, healthy: bool) -> None:
        child.answers += 1
        if healthy and child.answers < ANSWERS_PER_CHILD and holder is self._holder:
            holder.idle.append(child)
        elif not child.buried:
            child.kill()
            self._later(holder.gone(child))
            if healthy and holder is self._holder:
                # It has only grown old: the next query should not have to wait for another.
                self._later(self.start())

    def _give_up(self, holder: Holder) -> None:
        """Have no children waiting that cannot see what there is now."""
        for child in holder.outdated():
            self._give_back(holder, child, healthy=False)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _quietly(work: Any) -> None:
    with contextlib.suppress(ProcessGone, Busy):
        await work


def _call_in(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    """Have the loop do something, from another thread; nothing when it has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(work)


# ------------------------------------------------------------------------------------------- waiting


@dataclass(eq=False)
class _Ticket:
    client: str
    called: asyncio.Future[None]


class _Line:
    """Places for queries and a bounded line before them, shared fairly between clients.

    Whoever has fewest queries running goes first. When the line is full, a client that has less in it than the
    one with most takes the place of that one's newest.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._share = max(1, limits.at_once - 1)
        self._running: Counter[str] = Counter()
        self._waiting: list[_Ticket] = []

    @property
    def running(self) -> int:
        """Queries that have a place."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """Queries that wait for one."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def place(self, client: str, ticket: _Ticket | None = None) -> AsyncIterator[None]:
        """Hold a place while the block runs; raises Busy when none comes free in time. `ticket` has one already."""
        if ticket is None:
            ticket = _Ticket(client, asyncio.get_running_loop().create_future())
            self._enter(ticket)
        try:
            if not ticket.called.done():
                async with asyncio.timeout(self._limits.wait_seconds):
                    await ticket.called
            ticket.called.result()
        except TimeoutError:
            self.leave(ticket)
            raise Busy(_IN_LINE) from None
        except BaseException:
            self.leave(ticket)
            raise
        try:
            yield
        finally:
            self.leave(ticket)

    def has_place(self, client: str) -> bool:
        """Whether nobody waits and there is a place for this client."""
        return not self._waiting and self.running < self._limits.at_once and self._running[client] < self._share

    def place_now(self, client: str) -> _Ticket:
        """The place that `has_place` has promised; to be given back with `leave`."""
        ticket = _Ticket(client, asyncio.get_running_loop().create_future())
        self._admit(ticket)
        return ticket

    def _admit(self, ticket: _Ticket) -> None:
        self._running[ticket.client] += 1
        ticket.called.set_result(None)

    def _enter(self, ticket: _Ticket) -> None:
        self._waiting.append(ticket)
        self._call()
        if len(self._waiting) > self._limits.waiting and not ticket.called.done():
            in_line = Counter(one.client for one in self._waiting)
            greediest, most = in_line.most_common(1)[0]
            given_up = ticket if in_line[ticket.client] == most else self._newest(greediest)
            self._waiting.remove(given_up)
            given_up.called.set_exception(Busy(_IN_LINE))

    def _newest(self, client: str) -> _Ticket:
        return next(one for one in reversed(self._waiting) if one.client == client)

    def leave(self, ticket: _Ticket) -> None:
        """Give a place back, or stand in line no longer."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        elif ticket.called.done() and not ticket.called.cancelled() and ticket.called.exception() is None:
            self._running[ticket.client] -= 1
            if not self._running[ticket.client]:
                del self._running[ticket.client]
        if self._waiting:
            self._call()

    def _call(self) -> None:
        while self._running.total() < self._limits.at_once:
            ready = [one for one in self._waiting if self._running[one.client] < self._share]
            if not ready:
                return
            first = min(ready, key=lambda one: self._running[one.client])
            self._waiting.remove(first)
            if not first.called.done():
                self._admit(first)
