"""A real OpenID Connect provider for tests: a process of Node.js with the package oidc-provider."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "oidc"
INSTALLED = Path(__file__).parents[1] / ".cache" / "oidc"


@dataclass(frozen=True)
class RunningProvider:
    """Its address, how to tell it where people come back to, and how to end it."""

    issuer: str
    returns_to: Callable[[str], None]
    stop: Callable[[], None]


@contextmanager
def running_provider() -> Iterator[RunningProvider]:
    """Start a provider on a free port of the loopback; it ends with the block, and with this process."""
    _install()
    process = subprocess.Popen(
        ["node", "provider.js"],
        cwd=INSTALLED,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )
    assert process.stdin
    assert process.stdout
    issuer, given, said = process.stdout.readline().strip(), process.stdin, process.stdout
    assert issuer.startswith("http://"), "the provider did not start"

    def returns_to(address: str) -> None:
        given.write(address + "\n")
        assert said.readline() == "ready\n"

    def stop() -> None:
        process.kill()
        process.wait()

    try:
        yield RunningProvider(issuer, returns_to, stop)
    finally:
        stop()
        with suppress(BrokenPipeError):
            given.close()
        said.close()


def _install() -> None:
    """Install the package once into .cache. Without Node.js the tests are skipped, never on CI."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        assert not os.environ.get("CI"), "Node.js is missing: `make login-provider` installs it"
        pytest.skip("Node.js is not installed: login is not tried against a real provider")
    wanted = (HERE / "package.json").read_text("utf-8")
    there = INSTALLED / "package.json"
    if not there.exists() or there.read_text("utf-8") != wanted:
        INSTALLED.parent.mkdir(exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="oidc-", dir=INSTALLED.parent))
        shutil.copy(HERE / "package.json", draft)
        options = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--silent")
        subprocess.run(["npm", "install", *options], cwd=draft, check=True)
        shutil.rmtree(INSTALLED, ignore_errors=True)
        draft.rename(INSTALLED)
    shutil.copy(HERE / "provider.js", INSTALLED)
