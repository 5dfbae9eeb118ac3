"""One data folder has one owner, and whoever is second is told who and where."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from threading import Timer

import pytest

from kg.errors import DataFolderInUse, DataFolderUnusable
from kg.folder import DataFolder, Owner

OWNER = """
import sys, time
from pathlib import Path
from kg.folder import DataFolder
with DataFolder.open(Path(sys.argv[1])).own(url="http://127.0.0.1:8123"):
    print("owns", flush=True)
    sys.stdin.read()
"""

FORKING_OWNER = """
import os, sys, time
from pathlib import Path
from kg.folder import DataFolder
with DataFolder.open(Path(sys.argv[1])).own():
    if os.fork() == 0:
        os.close(1)
        time.sleep(30)
        os._exit(0)
    print("owns", flush=True)
    sys.stdin.read()
"""

OWNER_WITH_DEAD_CHILD = """
import os, sys
from pathlib import Path
from kg.folder import DataFolder
with DataFolder.open(Path(sys.argv[1])).own() as folder:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print("child ended", flush=True)
        sys.stdin.read()
    else:
        try:
            folder.set_url("http://x")
        except ValueError as error:
            print("child:", error, flush=True)
"""

UNPRIVILEGED = """
import os, sys
from pathlib import Path
from kg.errors import DataFolderUnusable
from kg.folder import DataFolder
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for make, name in (DataFolder.open, "data"), (DataFolder.create, "new"):
    try:
        make(Path(name))
    except DataFolderUnusable as error:
        print(error)
"""


@pytest.fixture
def folder(tmp_path):
    return DataFolder.create(tmp_path / "data")


@pytest.fixture
def stranger(folder):
    """A real second process that owns the folder until its input is closed."""
    command = [sys.executable, "-c", OWNER, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "owns\n"
        yield process
        process.kill()


def test_the_second_process_learns_who_owns_the_folder_and_where_to_ask(folder, stranger):
    with pytest.raises(DataFolderInUse) as caught, folder.own():
        pass
    assert (caught.value.pid, caught.value.url) == (stranger.pid, "http://127.0.0.1:8123")
    owner = folder.owner()
    assert (owner.pid, owner.url) == (stranger.pid, "http://127.0.0.1:8123")
    assert datetime.fromisoformat(owner.since).tzinfo is not None


def test_an_owner_that_was_killed_is_no_obstacle(folder, stranger):
    stranger.send_signal(signal.SIGKILL)
    stranger.wait()
    assert str(stranger.pid) in (folder.path / "lock").read_text()
    assert folder.owner() is None
    with folder.own(url="http://127.0.0.1:9000"):
        assert folder.owner().pid == os.getpid()


def test_an_owner_that_ends_leaves_the_folder_free_and_says_nothing_more(folder, stranger):
    stranger.communicate("")
    assert stranger.returncode == 0
    assert (folder.path / "lock").read_bytes() == b""
    with folder.own():
        pass


def test_one_process_owns_a_folder_once(folder):
    with folder.own():
        with pytest.raises(DataFolderInUse) as caught, DataFolder.open(folder.path).own():
            pass
        assert caught.value.pid == os.getpid()
        assert folder.owner() is not None
    assert folder.owner() is None


def test_an_error_in_the_block_frees_the_folder(folder):
    with pytest.raises(KeyError), folder.own():
        raise KeyError
    with folder.own():
        assert folder.owner().pid == os.getpid()


def test_the_address_can_be_told_later_and_replaces_the_longer_one_before(folder):
    with folder.own(url="http://127.0.0.1:8000/a-long-address"):
        folder.set_url("http://x")
        assert folder.owner().url == "http://x"
        folder.set_url(None)
        assert folder.owner().url is None
        assert folder.owner().pid == os.getpid()
    with pytest.raises(ValueError, match="only the owner"):
        folder.set_url("http://x")


def test_asking_for_the_owner_does_not_make_somebody_else_fail(folder):
    """`owner` locks for an instant; taking the folder at that instant has to wait, not to fail."""
    with (folder.path / "lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        Timer(0.01, fcntl.flock, (asking, fcntl.LOCK_UN)).start()
        with folder.own():
            assert folder.owner().pid == os.getpid()


def test_a_forked_child_does_not_keep_the_folder_when_its_parent_is_killed(folder):
    command = [sys.executable, "-c", FORKING_OWNER, str(folder.path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0)
    with process:
        assert process.stdout.readline() == "owns\n"
        assert folder.owner() is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            os.killpg(process.pid, 0)  # the child lives
            assert folder.owner() is None
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_forked_child_that_ends_does_not_free_its_parents_folder(folder):
    command = [sys.executable, "-c", OWNER_WITH_DEAD_CHILD, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "child: only the owner of a data folder sets its address\n"
        assert process.stdout.readline() == "child ended\n"
        assert folder.owner().pid == process.pid
        process.communicate("")
    assert folder.owner() is None


@pytest.mark.parametrize(
    "note",
    [b"", b"not json", b"[" * 9000, b"[1]", b"\xff\xfe", b'{"pid": "x", "url": 7, "since": []}', b'{"pid": true}'],
)
def test_a_note_that_makes_no_sense_tells_nothing_and_breaks_nothing(folder, note):
    with folder.own():
        (folder.path / "lock").write_bytes(note)
        assert folder.owner() == Owner()
        with pytest.raises(DataFolderInUse, match="another process"), DataFolder.open(folder.path).own():
            pass
    with folder.own():
        assert json.loads((folder.path / "lock").read_bytes())["pid"] == os.getpid()


def test_making_a_folder_that_is_there_keeps_what_is_in_it(folder):
    folder.ledger.write_text("rows")
    assert DataFolder.create(folder.path).ledger.read_text() == "rows"


def test_the_folder_is_for_its_owners_eyes(folder):
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "lock").stat().st_mode & 0o777 == 0o600


def test_everything_lies_inside(folder):
    assert {path.parent for path in (folder.ledger, folder.graph, folder.search, folder.models)} == {folder.path}


@pytest.mark.parametrize("make", [DataFolder.create, DataFolder.open])
def test_a_place_that_cannot_be_a_data_folder_is_refused_by_name_only(tmp_path, make):
    (tmp_path / "file").write_text("")
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "lock").mkdir()
    for place in "no/such/data", "file", "file/data", "busy":
        with pytest.raises(DataFolderUnusable) as caught:
            make(tmp_path / place)
        assert repr(Path(place).name) in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


def test_a_relative_name_is_taken_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with DataFolder.create(Path("data")).own():
        assert (tmp_path / "data" / "lock").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    """In a process that gives up its rights first: the superuser may write anywhere."""
    above = tmp_path / "above"
    above.mkdir()
    DataFolder.create(above / "data").path.chmod(0o555)
    above.chmod(0o555)
    command = [sys.executable, "-c", UNPRIVILEGED, str(above)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    above.chmod(0o755)
    assert said == [
        "the data folder 'data' cannot be written: Permission denied",
        "the data folder 'new' cannot be made: Permission denied",
    ]


def test_taking_a_folder_waits_no_longer_than_it_must(folder, stranger):
    begun = time.monotonic()
    with pytest.raises(DataFolderInUse), folder.own():
        pass
    assert time.monotonic() - begun < 5
