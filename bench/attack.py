"""Times suggestions and health alone and under each attack on /sparql, side by side, against a service of its own.

    python bench/attack.py                     every attack, a quarter of an hour
    python bench/attack.py --only paths --seconds 10

The service is `mentorgraph serve` with its default settings over the starting data, in a temporary folder. Attackers
are a process of their own with 8 clients (200 in one attack), each at an address of its own of the loopback, so that
no client's fair share protects the service; they give way to everybody else, because theirs would be other machines.
Before each attack the usual latency is taken anew; no need is asked twice, so no cache helps. Memory is that of the
service and all its query processes, shared pages counted once (PSS).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import httpx
import synthetic

from kg.catalogue import Catalogue
from kg.search.embedding import prepare_model

THREE = "?a1 ?b1 ?c1 . ?a2 ?b2 ?c2 . ?a3 ?b3 ?c3"
ENDLESS = f"SELECT (COUNT(*) AS ?n) {{ {THREE} . ?a4 ?b4 ?c4 }}"
ATTACKS = {
    "count": ("COUNT of everything times everything", ENDLESS),
    "select": ("SELECT of everything times everything", f"SELECT * {{ {THREE} }}"),
    "order": ("ORDER BY over it", f"SELECT * {{ {THREE} }} ORDER BY ?c3 ?c2 ?c1"),
    "distinct": ("DISTINCT over it", f"SELECT DISTINCT ?c1 ?c2 ?c3 {{ {THREE} }}"),
    "paths": ("paths of any property, any length", "SELECT * { ?a (!<urn:x>|^!<urn:x>)* ?b . ?b (!<urn:x>|^!<urn:x>)* ?c }"),
    "concat": ("GROUP_CONCAT of everything", f"SELECT (GROUP_CONCAT(?c1) AS ?all) {{ {THREE} }}"),
    "text": ("a query of 1 MB", "ASK { ?s ?p '" + "x" * 990_000 + "' }"),
    "groups": ("10,000 groups in each other", "ASK " + "{" * 10_000 + "}" * 10_000),
    "clients": ("200 clients at once", ENDLESS),
    "readers": ("50 clients that do not read", "SELECT * { ?s ?p ?o } LIMIT 20000"),
}  # fmt: skip
SIMPLE = "SELECT (COUNT(*) AS ?n) { ?s a schema:City }"
HEADING = """| attack | suggestion, ms (p95) | alone | ratio | health, ms (p95) | alone | ratio | memory, MB | statuses |
|---|---:|---:|---:|---:|---:|---:|---:|---|"""


# ------------------------------------------------------------------------------------------- the attackers


def attack(name: str, url: str, seconds: float) -> None:
    """Attack until the time is over, and print the statuses that came back."""
    os.nice(10)
    until, statuses = time.monotonic() + seconds, Counter[str]()
    work = slow_reader if name == "readers" else asker
    clients = {"clients": 200, "readers": 50}.get(name, 8)
    threads = [threading.Thread(target=work, args=(name, url, number, until, statuses)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(statuses))


def asker(name: str, url: str, number: int, until: float, statuses: Counter[str]) -> None:
    """One client: the same query again and again; of 200, three in four ask what is harmless."""
    query = SIMPLE if name == "clients" and number % 4 else ATTACKS[name][1]
    transport = httpx.HTTPTransport(local_address=f"127.0.1.{number + 1}", verify=False)  # no certificates to read
    with httpx.Client(timeout=60, transport=transport) as client:
        while time.monotonic() < until:
            try:
                answer = client.post(
                    f"{url}/sparql", content=query, headers={"Content-Type": "application/sparql-query"}
                )
                statuses[str(answer.status_code)] += 1
                if answer.status_code == 503:
                    time.sleep(0.5)
            except httpx.HTTPError as error:
                statuses[type(error).__name__] += 1


def slow_reader(name: str, url: str, number: int, until: float, statuses: Counter[str]) -> None:
    """Asks for a long answer and takes none of it."""
    host, port = url.removeprefix("http://").split(":")
    while time.monotonic() < until:
        with (
            suppress(OSError),
            socket.create_connection((host, int(port)), source_address=(f"127.0.1.{number + 1}", 0)) as plain,
        ):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.sendall(f"GET /sparql?{urlencode({'query': ATTACKS[name][1]})} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(max(0.0, min(5.0, until - time.monotonic())))
            statuses["unread"] += 1


# ------------------------------------------------------------------------------------------- the service


@contextmanager
def service() -> Iterator[tuple[str, int]]:
    """A service over the starting data: its address and process."""
    with tempfile.TemporaryDirectory(prefix="bench-") as tmp:
        folder, models = Path(tmp) / "data", Path(".cache") / "bench-models"
        models.mkdir(parents=True, exist_ok=True)
        prepare_model(models_folder=models)
        with Catalogue.create(folder, start_data=True, models=models) as catalogue:
            catalogue.reindex()
        shutil.copytree(models, folder / "models", dirs_exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"MENTORGRAPH_DATA": str(folder), "MENTORGRAPH_PORT": str(port), "MENTORGRAPH_HOST": "127.0.0.1"}
        command = [str(Path(sys.executable).with_name("mentorgraph")), "serve"]
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        url = f"http://127.0.0.1:{port}"
        try:
            while True:
                with suppress(httpx.HTTPError):
                    if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                        break
                if process.poll() is not None:
                    sys.exit("the service did not start")
                time.sleep(0.1)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait()


def memory(pid: int) -> float:
    """Megabytes of a process and all below it, shared pages counted once."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        with suppress(OSError, IndexError):  # it may end while it is looked at
            total += int(Path(f"/proc/{one}/smaps_rollup").read_text().split("\nPss:")[1].split()[0])
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return total / 1024


class Prober:
    """An honest client: suggestions and health in turn, with how long each took and what failed."""

    def __init__(self, url: str, pid: int) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self._pid = pid
        self._needs = (f"{text} {number}" for number in count() for text, _ in synthetic.needs(500, seed=number))

    def measure(self, seconds: float) -> dict[str, object]:
        """Latencies in milliseconds, and the most memory that was seen."""
        suggestions, health, most, failed = [], [], 0.0, 0
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for times, path, body in (
                (suggestions, "/api/suggestions", {"needs": [{"text": next(self._needs)}]}),
                (health, "/health/live", None),
            ):
                begun = time.perf_counter()
                answer = self._client.post(path, json=body) if body else self._client.get(path)
                times.append((time.perf_counter() - begun) * 1000)
                failed += answer.status_code != 200
            most = max(most, memory(self._pid))
            time.sleep(0.05)
        return {"suggestions": suggestions, "health": health, "memory": most, "failed": failed}

    def is_as_before(self) -> bool:
        """Whether a plain query is answered rightly."""
        return (
            self._client.post("/sparql", data={"query": SIMPLE}).json()["results"]["bindings"][0]["n"]["value"] == "50"
        )


def line(name: str, alone: dict, under: dict, statuses: dict[str, int]) -> str:
    """One line of the table."""
    cells = [ATTACKS[name][0]]
    for what in ("suggestions", "health"):
        usual, now = statistics.median(alone[what]), statistics.median(under[what])
        p95 = [sorted(one[what])[int(0.95 * len(one[what]))] for one in (under, alone)]
        cells += [f"{now:.1f} ({p95[0]:.1f})", f"{usual:.1f} ({p95[1]:.1f})", f"{now / usual:.2f}"]
    told = ", ".join(f"{status} × {number:,}" for status, number in sorted(statuses.items()))
    return f"| {' | '.join(cells)} | {under['memory']:,.0f} | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--seconds", type=float, default=25, help="length of each attack")
    parser.add_argument("--attacker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.attacker:
        attack(*options.attacker, options.seconds)
        return
    with service() as (url, pid):
        prober = Prober(url, pid)
        prober.measure(5)
        print(f"memory before: {memory(pid):,.0f} MB\n\n{HEADING}", flush=True)
        failed = 0
        for name in options.only:
            alone = prober.measure(options.seconds / 2)
            command = [sys.executable, __file__, "--attacker", name, url, "--seconds", str(options.seconds + 2)]
            attacking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            time.sleep(2)
            under = prober.measure(options.seconds)
            statuses = json.loads(attacking.communicate()[0])
            assert prober.is_as_before(), f"after {name!r} the service answers otherwise"
            failed += alone["failed"] + under["failed"]
            print(line(name, alone, under, statuses), flush=True)
        time.sleep(2)
        after = prober.measure(10)
        print(
            f"\nafterwards: suggestion {statistics.median(after['suggestions']):.1f} ms, health "
            f"{statistics.median(after['health']):.1f} ms, memory {memory(pid):,.0f} MB; "
            f"{failed} of the honest client's requests failed"
        )


if __name__ == "__main__":
    main()
