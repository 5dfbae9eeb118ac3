"""Which language and which media type an answer gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Annotated, Any

from fastapi import Header, HTTPException, Query
from fastapi.responses import JSONResponse

PROBLEM = "application/problem+json"

LANGUAGES = ("en", "fr")
"""Languages that reasons and pages are written in. Needs and practices may be in any."""


def preferred(header: str | None) -> Iterator[str]:
    """The values of an Accept or Accept-Language header in lower case, best first; those with q=0 are left out.

    Nothing that a client sends makes this fail: what cannot be read is skipped.

    >>> list(preferred("da, en-gb;q=0.8, en;q=0.7, fr;q=0, x;q=much"))
    ['da', 'en-gb', 'en']
    """
    ranked = sorted((-quality, position, value) for value, quality, position in _weighed(header) if quality > 0)
    return (value for _, _, value in ranked)


def _weighed(header: str | None) -> Iterator[tuple[str, float, int]]:
    """Every value of a header in lower case, with its quality and its place."""
    for position, part in enumerate((header or "").split(",")[:50]):
        value, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if value:
            yield value, _quality(parameters), position


def _quality(parameters: Sequence[str]) -> float:
    given = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        quality = float(given)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def language_of_header(header: str | None) -> str | None:
    """The first of our LANGUAGES that an Accept-Language header asks for.

    >>> language_of_header("nl-BE, fr-BE;q=0.9, en;q=0.8")
    'fr'
    """
    bases = (tag.partition("-")[0] for tag in preferred(header))
    return next((base for base in bases if base in LANGUAGES), None)


async def answer_language(
    lang: Annotated[
        str | None,
        Query(
            pattern=f"^({'|'.join(LANGUAGES)})$",
            description="Language of reasons and labels: en or fr. Otherwise Accept-Language decides, else English.",
        ),
    ] = None,
    accept_language: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> str:
    """Dependency: the language to answer in."""
    return lang or language_of_header(accept_language) or "en"


def acceptable(header: str | None, offered: Sequence[str]) -> str | None:
    """The media type to answer with, None for 406.

    Each one offered has the quality of the most specific range that fits it (RFC 9110, 12.5.1), so that
    "text/turtle;q=0, */*" is anything but Turtle. Of equal ones the first asked for is taken, then the first offered.

    >>> acceptable("text/html, application/*;q=0.8", ["application/json"])
    'application/json'
    >>> acceptable("text/turtle;q=0, */*;q=0.1", ["text/turtle", "application/ld+json"])
    'application/ld+json'
    >>> acceptable("image/png", ["application/json"]) is None
    True
    """
    if not (header or "").strip():
        return offered[0]
    ranges: dict[str, tuple[float, int]] = {}
    for value, quality, position in _weighed(header):
        ranges.setdefault("*/*" if value == "*" else value, (quality, -position))
    fitting = []
    for place, media_type in enumerate(offered):
        for wanted in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
            if wanted in ranges:
                fitting.append((*ranges[wanted], -place, media_type))
                break
    quality, *_, best = max(fitting, default=(0.0, None))
    return best if quality > 0 else None


def most_wanted(header: str | None, offered: Sequence[str], *, only_by_name: Sequence[str] = ()) -> str | None:
    """The media type that an Accept header likes best, by the rules of RFC 9110 (12.5.1); None when it takes none.

    The most specific range that fits a type decides its quality, so that `*/*, text/csv;q=0` is everything
    but CSV. Among equals the order of `offered` decides. Types of `only_by_name` are for clients that name them.

    >>> most_wanted("text/csv;q=0.5, application/*", ["text/csv", "application/json"])
    'application/json'
    >>> most_wanted("*/*, text/csv;q=0", ["text/csv"]) is None
    True
    >>> most_wanted("text/html, */*;q=0.8", ["text/csv"], only_by_name=["text/html"])
    'text/html'
    """
    ranges = _ranges(header) if (header or "").strip() else {"*/*": 1.0}
    qualities = {
        media_type: next((ranges[one] for one in _ranges_for(media_type) if one in ranges), 0.0)
        for media_type in offered
    }
    qualities |= {media_type: ranges.get(media_type, 0.0) for media_type in only_by_name}
    best = max(qualities, key=lambda media_type: qualities[media_type], default=None)
    return best if best is not None and qualities[best] > 0 else None


def _ranges(header: str | None) -> dict[str, float]:
    """The ranges of a header, each with its quality; one that cannot be read counts as 0."""
    found: dict[str, float] = {}
    for part in (header or "").split(",")[:50]:
        value, *parameters = (piece.strip().lower() for piece in part.split(";"))
        found.setdefault("*/*" if value == "*" else value, _quality([p.replace(" ", "") for p in parameters]))
    return found


def _ranges_for(media_type: str) -> tuple[str, str, str]:
    return media_type, media_type.partition("/")[0] + "/*", "*/*"


def answers_as(*offered: str) -> Callable[..., Awaitable[str]]:
    """Dependency for a route that answers in these media types; refuses with 406 when none fits.

    A client that asks for problem documents alone still gets the JSON it evidently reads.
    """

    async def chosen(accept: Annotated[str | None, Header(include_in_schema=False)] = None) -> str:
        media_type = acceptable(accept, [*offered, PROBLEM])
        if media_type is None:
            raise HTTPException(406, [*offered])
        return offered[0] if media_type == PROBLEM else media_type

    return chosen


def in_language(found: Any, language: str, vary: str = "Accept-Language") -> JSONResponse:
    """A JSON answer whose sentences or labels are in one language, chosen by the request; `vary` names what else chose."""
    return JSONResponse(found, headers={"Content-Language": language, "Vary": vary})
