"""What every request passes through: the limit on bodies, and headers that keep browsers careful."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.negotiation import preferred

DISCARD_BYTES = 64_000_000
DISCARD_SECONDS = 10.0
"""How much of a refused body is read and thrown away, and for how long, before the refusal is sent.

A server that closes on a client which is still sending makes the network drop the answer too, and
the client sees "connection reset" in place of the reason.
"""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Pages load nothing but our own style sheet and run no script. A need in the address bar is not told to other sites."""

_SECURITY_LINES = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class BodyLimit:
    """Refuses a body over `limit_bytes` with 413, as declared or, when it comes in chunks, as it arrives.

    `others` has the paths with a limit of their own.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int, others: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.limit_bytes = limit_bytes
        self.others = others or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = _declared_length(scope)
        limit_bytes = self.others.get(scope["path"], self.limit_bytes)
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if max(seen, declared) > limit_bytes:
                if message.get("more_body"):
                    await discard(receive)
                raise HTTPException(413, f"{limit_bytes:,}")
            return message

        await self.app(scope, limited, send)


def _declared_length(scope: Scope) -> int:
    """The Content-Length, 0 where there is none or it is no number (the server has refused such requests)."""
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0


async def discard(receive: Receive) -> None:
    """Read the rest of a refused body, within bounds."""
    left = DISCARD_BYTES
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return


class SecurityHeaders:
    """Adds SECURITY_HEADERS to every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                own = {name.lower() for name, _ in headers}
                message["headers"] = [*headers, *(line for line in _SECURITY_LINES if line[0] not in own)]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


LISTS = frozenset(
    b"accept accept-encoding accept-language access-control-request-headers if-match if-none-match".split()
)
"""Request headers that are lists, as far as anything here reads them."""


class JoinedHeaders:
    """Makes the lines of a list header one, in their order: they mean the same (RFC 9110, 5.3), and readers take the first."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = [name for name, _ in scope["headers"] if name in LISTS]
            if len(set(named)) < len(named):
                lines: dict[bytes, list[bytes]] = {}
                for name, value in scope["headers"]:
                    if name in LISTS:
                        lines.setdefault(name, []).append(value)
                others = [(name, value) for name, value in scope["headers"] if name not in LISTS]
                joined = [(name, b", ".join(values)) for name, values in lines.items()]
                scope = {**scope, "headers": [*others, *joined]}
        await self.app(scope, receive, send)


PACKED_FROM_BYTES = 1000
"""Length of a body from which on it is packed for who takes that."""

PACKED = '-gzip"'
"""How the tag of a packed body ends."""


class PackedTags:
    """Gives packed bodies an ETag of their own, and takes it wherever that of the plain body is taken.

    A strong tag names one row of bytes (RFC 9110, 8.8.1), and a body packed with gzip is another one: `"17"` is
    `"17-gzip"` then. It stands outside what packs; that one takes `gzip;q=0` for consent, so it is told plainly.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held = b", ".join(value for name, value in scope["headers"] if name == b"if-none-match").decode("latin-1")
        packs = any(
            coding in ("gzip", "x-gzip")
            for name, value in scope["headers"]
            if name == b"accept-encoding"
            for coding in preferred(value.decode("latin-1"))
        )

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_packed = "Content-Encoding" in headers
                if message["status"] == 304:
                    headers.add_vary_header("Accept-Encoding")
                    is_packed = packs and headers.get("ETag", "") not in held
                if is_packed and "ETag" in headers:
                    headers["ETag"] = headers["ETag"].removesuffix('"') + PACKED
            await send(message)

        await self.app({**scope, "headers": list(_unpacked(scope["headers"], packs))}, receive, tagged)


def _unpacked(headers: Iterable[tuple[bytes, bytes]], packs: bool) -> Iterator[tuple[bytes, bytes]]:
    """Request headers with the tags of plain bodies, and with an Accept-Encoding only where a packed body is welcome."""
    for name, value in headers:
        if name in (b"if-match", b"if-none-match"):
            yield name, value.replace(PACKED.encode(), b'"')
        elif name != b"accept-encoding" or packs:
            yield name, value


class HeadAsGet:
    """Answers HEAD wherever GET is answered; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)
