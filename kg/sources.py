"""Looks whether the sources of records still answer, where a deployment allows going out, and keeps what it saw.

Addresses come from records, so from anybody: only http and https to public addresses are asked. A name is resolved once
and the connection goes to the address that was checked, so a name that changes its mind leads nowhere; each redirect is
checked again. Nothing of a page is read but its status.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, select
from sqlalchemy.dialects import postgresql, sqlite

from kg.errors import BadRequest
from kg.ledger import Ledger
from kg.quality import ALIVE, DEAD, REFUSED, UNSURE

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 10.0
"""Longest wait for one look at one address, redirects included."""

AT_ONCE = 8
MOST = 200
"""Addresses looked up in one call; ask again for more."""

REDIRECTS = 5
URL_LIMIT_CHARACTERS = 2_000

_GONE = frozenset({404, 410})
_NOT_WITH_HEAD = frozenset({400, 403, 404, 405, 410, 500, 501, 503})
"""Some servers answer HEAD so although the page is there; then GET decides."""

_UNKNOWN_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


@dataclass(frozen=True)
class Look:
    """What was seen at an address: DEAD (404, 410, or no such host), ALIVE, UNSURE (no answer in time, an error of the
    server, a refusal) or REFUSED (not asked). `status` is the last HTTP status, `detail` a word on why."""

    url: str
    said: str
    status: int | None
    detail: str
    time: datetime

    def as_json(self) -> dict[str, Any]:
        time = self.time.isoformat(timespec="seconds").replace("+00:00", "Z")
        return {"url": self.url, "said": self.said, "status": self.status, "detail": self.detail, "time": time}


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host and port."""

_tables = MetaData()
_looks = Table(
    "source_looks",
    _tables,
    Column("url", Text, primary_key=True),
    Column("said", String(20), nullable=False),
    Column("status", Integer),
    Column("detail", Text, nullable=False),
    Column("time", String(40), nullable=False),
)


class SourceLooks:
    """The last look at each source, kept beside the ledger; looks only where `allowed`.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as tmp, Ledger.create(f"sqlite:///{tmp}/ledger.db", "https://x.org/") as ledger:
    ...     looks = SourceLooks(ledger, allowed=True)
    ...     [seen] = looks.look(["http://127.0.0.1/admin"])
    ...     looks.said(["http://127.0.0.1/admin", "https://never.example/"])
    {'http://127.0.0.1/admin': 'refused'}
    """

    def __init__(self, ledger: Ledger, *, allowed: bool = False, loopback: bool = False) -> None:
        """`allowed` is the setting MENTORGRAPH_CHECK_SOURCES; `loopback` lets addresses of this machine pass, for tests."""
        self._beside = ledger.beside(_tables)
        self._allowed, self._loopback = allowed, loopback

    def said(self, urls: Iterable[str]) -> dict[str, str]:
        """What the last look at each address said; those never looked up are left out. For `quality`."""
        return {look.url: look.said for look in self.seen(urls)}

    def seen(self, urls: Iterable[str]) -> list[Look]:
        """The last look at each address, by address."""
        wanted = sorted({url for url in urls if _storable(url)})
        with self._beside.reading() as connection:
            rows = [
                row
                for first in range(0, len(wanted), 500)
                for row in connection.execute(select(_looks).where(_looks.c.url.in_(wanted[first : first + 500])))
            ]
        return [Look(row.url, row.said, row.status, row.detail, datetime.fromisoformat(row.time)) for row in rows]

    def due(self, urls: Iterable[str], *, days: int = 30, limit: int = MOST) -> list[str]:
        """Addresses never looked up, then those whose last look is older than `days`, oldest first, at most `limit`."""
        wanted = sorted({url for url in urls if _storable(url)})
        times = {look.url: look.time for look in self.seen(wanted)}
        before = datetime.now(UTC) - timedelta(days=days)
        never = [url for url in wanted if url not in times]
        old = sorted((url for url, time in times.items() if time < before), key=lambda url: (times[url], url))
        return [*never, *old][:limit]

    def look(self, urls: Iterable[str]) -> list[Look]:
        """Ask each address whether it is still there, at most MOST, and keep what it said.

        Raises BadRequest where going out is not allowed, and for more than MOST addresses.
        """
        if not self._allowed:
            raise BadRequest(
                {
                    "en": "looking up sources is switched off: MENTORGRAPH_CHECK_SOURCES switches it on",
                    "fr": "la consultation des sources est désactivée : MENTORGRAPH_CHECK_SOURCES l’active",
                }
            )
        wanted = sorted({url for url in urls if _storable(url)})
        if len(wanted) > MOST:
            raise BadRequest(
                {
                    "en": f"{len(wanted)} addresses are given, {MOST} at most in one go",
                    "fr": f"{len(wanted)} adresses sont données, {MOST} au plus en une fois",
                }
            )
        found = asyncio.run(look_up(wanted, loopback=self._loopback)) if wanted else []
        self._keep(found)
        return found

    def _keep(self, found: Sequence[Look]) -> None:
        with self._beside.writing() as connection:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            for look in found:
                row = {"url": look.url, "said": look.said, "status": look.status, "detail": look.detail}
                new = dialect.insert(_looks).values(**row, time=look.time.isoformat())
                rest = {column.name: new.excluded[column.name] for column in _looks.c if not column.primary_key}
                connection.execute(new.on_conflict_do_update(index_elements=[_looks.c.url], set_=rest))


async def resolved(host: str, port: int) -> list[str]:
    """All addresses of a host, as the system's resolver gives them. Raises socket.gaierror for none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def look_up(
    urls: Sequence[str],
    *,
    loopback: bool = False,
    seconds: float = TIMEOUT_SECONDS,
    resolve: Resolve = resolved,
) -> list[Look]:
    """Look at each address, AT_ONCE at a time, `seconds` each at most; in the order given."""
    import httpx  # a tenth of a second of every start that never goes out

    places = asyncio.Semaphore(AT_ONCE)
    # A proxy from the environment would resolve names itself, unchecked.
    async with httpx.AsyncClient(timeout=seconds, trust_env=False, follow_redirects=False) as client:

        async def one(url: str) -> Look:
            async with places:
                said, status, detail = UNSURE, None, "no answer in time"
                try:
                    async with asyncio.timeout(seconds):
                        said, status, detail = await _asked(client, url, _Door(resolve, loopback))
                except (TimeoutError, httpx.HTTPError, OSError) as error:
                    detail = detail if isinstance(error, (TimeoutError, httpx.TimeoutException)) else "no connection"
                except _NotPublic as error:
                    said, detail = REFUSED, str(error)
                except _NoSuchHost:
                    said, detail = DEAD, "no such host"
                return Look(url, said, status, detail, datetime.now(UTC))

        return list(await asyncio.gather(*map(one, urls)))


class _NotPublic(Exception):
    """An address that is not asked, with the reason."""


class _NoSuchHost(Exception):
    """The name server knows no such name."""


@dataclass(frozen=True)
class _Door:
    """Decides where a connection may go."""

    resolve: Resolve
    loopback: bool

    async def public_address(self, host: str, port: int) -> str:
        """An address of the host, when all its addresses are public; else refused."""
        try:
            addresses = await self.resolve(host, port)
        except socket.gaierror as error:
            if error.errno in _UNKNOWN_NAME:
                raise _NoSuchHost from error
            raise
        except UnicodeError as error:
            raise _NotPublic("no usable name of a host") from error
        if not addresses or not all(is_public(address, loopback=self.loopback) for address in addresses):
            raise _NotPublic("not an address of the public internet")
        return addresses[0]


async def _asked(client: httpx.AsyncClient, url: str, door: _Door) -> tuple[str, int | None, str]:
    """What an address says, after its redirects."""
    for _ in range(REDIRECTS + 1):
        status, location = await _answer(client, "HEAD", url, door)
        if status in _NOT_WITH_HEAD:
            status, location = await _answer(client, "GET", url, door)
        if location is None:
            said = DEAD if status in _GONE else ALIVE if status < 400 else UNSURE
            return said, status, f"status {status}"
        url = location
    return UNSURE, None, "too many redirects"


async def _answer(client: httpx.AsyncClient, method: str, url: str, door: _Door) -> tuple[int, str | None]:
    """Status and, for a redirect, where it leads; the body is not read."""
    import httpx

    try:
        asked = httpx.URL(url)
        request = client.build_request(
            method, asked, headers={"Accept": "*/*", "User-Agent": "mentorgraph source check"}
        )
    except (httpx.InvalidURL, ValueError, TypeError):
        raise _NotPublic("no usable web address") from None
    if asked.scheme not in ("http", "https") or not asked.host:
        raise _NotPublic("not an address of http or https")
    if asked.userinfo:
        raise _NotPublic("an address with a password in it")
    address = await door.public_address(asked.host, asked.port or (443 if asked.scheme == "https" else 80))
    # The connection goes to the checked address; the name stays in the Host header and in the certificate's check.
    request.url = asked.copy_with(host=address)
    request.extensions["sni_hostname"] = asked.raw_host.decode("ascii")
    answer = await client.send(request, stream=True)
    try:
        location = answer.headers.get("location") if answer.is_redirect else None
        return answer.status_code, None if location is None else str(asked.join(location[:URL_LIMIT_CHARACTERS]))
    except httpx.InvalidURL:
        return answer.status_code, None
    finally:
        await answer.aclose()


def is_public(address: str, *, loopback: bool = False) -> bool:
    """Whether an IP address is one of the public internet; IPv4 inside IPv6 is judged as what it leads to.

    >>> [is_public(a) for a in ("93.184.216.34", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fd00::1")]
    [True, False, False, False, False]
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inside = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inside is not None:
            return is_public(str(inside), loopback=loopback)
    if ip.is_loopback:
        return loopback
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _storable(url: object) -> bool:
    """Whether an address can be kept and looked up at all."""
    return isinstance(url, str) and 0 < len(url) <= URL_LIMIT_CHARACTERS and url.isprintable() and " " not in url
