"""Single values that come from outside, each checked once and refused with what would be right."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from datetime import date
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

NEED_LIMIT_CHARS = 20_000
NEEDS_LIMIT = 20
LISTED_LIMIT = 100
"""Longest list of countries, themes, languages or cities in one filter."""

ID = re.compile(r"[a-z0-9]+(-{1,2}[a-z0-9]+)*")
IRI = re.compile(r"https?://[^\s<>\"{}|\\^`\x00-\x20\x7f]+")
TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}")


def checked_text(text: str) -> str:
    """The text, if people can have meant it: not blank, no control characters but tab and line ends.

    Right-to-left scripts, combining characters and emoji are text like any other.

    >>> checked_text("Besoin d\\u2019aide\\nבעברית")
    'Besoin d’aide\\nבעברית'
    """
    if not text.strip():
        raise PydanticCustomError("text_empty", "it is empty; say in a sentence or two what is needed")
    if len(text) > NEED_LIMIT_CHARS:
        raise PydanticCustomError(
            "text_too_long",
            "it has {length} characters; {limit} are allowed: give the gist, or split it into several needs",
            {"length": f"{len(text):,}", "limit": f"{NEED_LIMIT_CHARS:,}"},
        )
    refuse_control_characters(text)
    return text


def refuse_control_characters(text: str) -> str:
    """The text itself; refuses control characters (NUL, escape, delete ...) and halves of surrogate pairs."""
    for position, character in enumerate(text):
        if character in "\t\n\r" or unicodedata.category(character) not in ("Cc", "Cs"):
            continue
        raise PydanticCustomError(
            "text_control",
            "character {position} is the control character {code}; remove it",
            {"position": position + 1, "code": f"U+{ord(character):04X}"},
        )
    return text


def checked_tag(tag: str) -> str:
    """A BCP 47 language tag whose language exists.

    >>> checked_tag("fr-BE")
    'fr-BE'
    """
    if not TAG.fullmatch(tag) or tag.partition("-")[0].lower() not in _languages():
        raise PydanticCustomError(
            "language_tag", "this is no language tag; write a BCP 47 tag such as 'en', 'fr' or 'el'"
        )
    return tag


@cache
def _languages() -> Collection[str]:
    """Codes of the languages that CLDR, the Unicode consortium's list, has an English name for."""
    from babel import Locale

    return frozenset(Locale("en").languages)


def checked_country(code: Any) -> Any:
    """An ISO 3166 country code of two letters, in capitals; EL and UK are Greece and the United Kingdom.

    >>> checked_country("el")
    'GR'
    """
    from kg.city_facts import country_code

    if not isinstance(code, str):
        return code
    if (known := country_code(code)) is None:
        raise PydanticCustomError("country_code", "this is no country code; write two letters, such as 'BE' or 'LV'")
    return known


def checked_reference(value: str) -> str:
    """A short identifier ("jelgava") or the full address of a record; whether it exists is asked later."""
    if len(value) <= 500 and (ID.fullmatch(value) or IRI.fullmatch(value)):
        return value
    raise PydanticCustomError(
        "reference",
        "this is neither a short identifier (small letters, digits and hyphens, such as 'jelgava') "
        "nor the address of a record (https://…)",
    )


def checked_date(value: Any) -> Any:
    """A day as YYYY-MM-DD; a number is not taken for a time stamp."""
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    if isinstance(value, date) or value is None:
        return value
    raise PydanticCustomError("day", "this is no day; write it as YYYY-MM-DD, such as '2026-03-31'")


NeedText = Annotated[
    str,
    AfterValidator(checked_text),
    Field(
        description=f"A need in free words, in any language, 1 to {NEED_LIMIT_CHARS:,} characters.",
        json_schema_extra={"minLength": 1, "maxLength": NEED_LIMIT_CHARS},
        examples=["We want newcomers to find their way to every municipal service at one desk."],
    ),
]
Name = Annotated[str, AfterValidator(refuse_control_characters), Field(max_length=300)]
Language = Annotated[str, AfterValidator(checked_tag), Field(description="A BCP 47 language tag.", examples=["fr"])]
Country = Annotated[
    str, BeforeValidator(checked_country), Field(description="ISO 3166 country code of two letters.", examples=["LV"])
]
Reference = Annotated[
    str,
    AfterValidator(checked_reference),
    Field(description="A record's short identifier or its address.", examples=["jelgava"]),
]
Theme = Annotated[
    str,
    AfterValidator(checked_reference),
    Field(description="A theme's short identifier or its address.", examples=["reception-onestop"]),
]
Day = Annotated[date, BeforeValidator(checked_date), Field(description="A day, YYYY-MM-DD.", examples=["2026-03-31"])]
Population = Annotated[int, Field(ge=0, le=50_000_000, description="Inhabitants.", examples=[56000])]
