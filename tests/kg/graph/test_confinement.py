"""What a process that answers strangers' queries asks of the system while hostile ones run: no file and no address.

The guard is switched off here, so that the second lock is what is tried: the engine itself is told to call out and to
read files. `strace` sees every call; where it is not installed (`make browser` installs it) the same is shown by
the limits alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from kg.errors import KgError
from kg.graph import worker
from kg.graph.guard import Checked, check
from kg.graph.queries import Limits, QueryService, Question
from kg.graph.store import OxigraphStore

SECRET = "a line that no answer may hold"
FORMS = [
    "SELECT * {{ SERVICE <{url}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ SERVICE SILENT <{url}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ VALUES ?where {{ <{url}> }} SERVICE ?where {{ ?s ?p ?o }} }}",
    "SELECT * {{ {{ SELECT * {{ \\u0053ERVICE <{url}> {{ ?s ?p ?o }} }} }} }}",
    "ASK {{ FILTER EXISTS {{ SERVICE <{url}> {{ ?s ?p ?o }} }} }}",
    "ASK {{ FILTER NOT EXISTS {{ # SERVICE\nSERVICE <{url}> {{ ?s ?p ?o }} }} }}",
    "PREFIX x: <{url}> CONSTRUCT {{ ?s ?p ?o }} WHERE {{ OPTIONAL {{ SERVICE x: {{ ?s ?p ?o }} }} }}",
    "SELECT * FROM <{url}> {{ ?s ?p ?o }}",
    "SELECT * FROM NAMED <{url}> {{ GRAPH ?g {{ ?s ?p ?o }} }}",
    "SELECT * {{ GRAPH <{url}> {{ ?s ?p ?o }} }}",
    "DESCRIBE <{url}>",
    "LOAD <{url}>",
    "LOAD SILENT <{url}> INTO GRAPH <urn:g>",
    "BASE <{url}> ASK FROM <#a> {{ ?s ?p ?o }}",
]
"""Ways to name a file or an address, with `{url}` for it."""


@contextmanager
def listening() -> Iterator[tuple[int, list[object]]]:
    """A port of the loopback, and who connected to it."""
    calls: list[object] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, caller = listener.accept()
                calls.append(caller)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], calls


def hostile(port: int, file: Path) -> list[str]:
    """Every form with every address: of the listener, and of a file that is there."""
    urls = [f"http://127.0.0.1:{port}/a.ttl", f"file://{file}", f"file://localhost{file}", str(file.as_uri())]
    return [form.format(url=url) for form in FORMS for url in urls]


def ask_all(queries: list[str], traced: Path | None) -> list[str]:
    """What each query got; the processes that answer are traced into a file where there is one."""

    async def run() -> list[str]:
        graph = OxigraphStore(None, "https://x.org/")
        limits = Limits(deadline_seconds=60, wait_seconds=60)
        async with QueryService(graph, None, limits) as service:
            await service.ask(Question("ASK {}"), client="a")
            with tracing(service.processes(), traced) if traced else nullcontext():
                return [await one(service, query) for query in queries]

    return asyncio.run(run())


async def one(service: QueryService, query: str) -> str:
    try:
        return (await service.ask(Question(query), client="a")).body.decode()
    except KgError as error:
        return f"{type(error).__name__}: {error}"


@contextmanager
def tracing(pids: list[int], into: Path) -> Iterator[None]:
    """Have every call that names a file or an address written down, of these processes and all that they fork."""
    watched = ["-e", "trace=%file,%network,open_by_handle_at,execve", "-f", "-o", str(into)]
    command = ["strace", *watched, *(part for pid in pids for part in ("-p", str(pid)))]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    for _ in pids:
        assert "attached" in tracer.stderr.readline()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.communicate()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Something that could be loaded as RDF."""
    path = tmp_path / "secret.ttl"
    path.write_text(f'<urn:s> <urn:p> "{SECRET}" .')
    return path


def test_nothing_is_opened_or_connected_to(file: Path, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        if os.environ.get("CI"):
            pytest.fail("no strace is installed: `make browser` does it")
        pytest.skip("no strace is installed (Debian: apt-get install strace)")
    trace = tmp_path / "trace"
    with listening() as (port, calls):
        answers = ask_all([*hostile(port, file), "SELECT (1 AS ?done) {}"], trace)
    assert '"done"' in answers[-1]
    assert not [answer for answer in answers if SECRET in answer]
    assert not calls
    seen = trace.read_text()
    assert "sendto(" in seen or "recvfrom(" in seen, "nothing was traced"
    assert not re.findall(r"^.*\b(?:connect|bind|sendmsg)\(.*$", seen, re.MULTILINE)
    # What a new copy does before its first query: it looks at its own size.
    opened = set(re.findall(r'\b(?:open|openat|stat|access|execve|readlink)\w*\([^"\n]*"([^"]*)"', seen))
    assert opened <= {"/proc/self/statm"}, opened


def test_without_the_guard_the_second_lock_holds(file: Path) -> None:
    """In a copy made here, confined as they all are, the engine is handed each query as it stands."""
    with listening() as (port, calls):
        for query in hostile(port, file):
            assert SECRET not in confined(query)
        assert not calls


def confined(query: str) -> str:
    """What a child of this process gets that is confined like the service's and has no guard."""
    ours, theirs = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        said = b"died"
        with suppress(BaseException):
            worker._confine(parent, 500_000_000)
            said = _unguarded(query).encode()
        os.write(theirs, said)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text


def _unguarded(query: str) -> str:
    import pyoxigraph as ox

    store = ox.Store()
    try:
        if query.startswith("LOAD"):
            store.update(query)
            return str(list(store))
        results = store.query(query)
        return str(results) if isinstance(results, ox.QueryBoolean) else str([str(row) for row in results])
    except (SyntaxError, ValueError, OSError, RuntimeError) as error:
        return str(error)


@pytest.mark.parametrize("form", FORMS)
def test_the_guard_lets_no_form_of_it_to_the_engine(form: str, file: Path) -> None:
    """It is refused, or it names a graph that is looked up among those that are here."""
    try:
        passed: Checked = check(form.format(url=f"file://{file}"))
    except KgError:
        return
    assert "SERVICE" not in passed.text().upper()
    assert "LOAD" not in passed.text().upper()
