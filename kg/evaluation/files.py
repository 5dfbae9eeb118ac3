"""Files of practices and of needs with known answers, one JSON object a line, read strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kg.errors import UnreadableInput, quoted
from kg.search.text import UNDETERMINED

LINE_LIMIT_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Practice:
    """A practice of the corpus; `source` names the collection it comes from."""

    id: str
    city: str
    title: str
    text: str
    language: str
    source: str


@dataclass(frozen=True)
class JudgedNeed:
    """A need with the grades of relevant practices (1 on the subject, 2 an answer) and the cities of the answers.

    `pool` is the collection it is asked of, None for all; `language` that of its text, "und" where the file is silent.
    """

    id: str
    type: str
    text: str
    relevant: Mapping[str, int]
    cities: frozenset[str]
    pool: str | None
    language: str = UNDETERMINED


def read_corpus(path: Path) -> list[Practice]:
    """Practices from a file with one JSON object a line: id, city_id, title, text, lang, source.

    Raises UnreadableInput, naming the line, for anything else, and for an identifier given twice.
    """
    practices: dict[str, Practice] = {}
    for line, data in _lines(path):
        practice = Practice(
            id=_text(data, "id", path, line),
            city=_text(data, "city_id", path, line, empty=True),
            title=_text(data, "title", path, line, empty=True),
            text=_text(data, "text", path, line),
            language=_text(data, "lang", path, line),
            source=_text(data, "source", path, line, empty=True),
        )
        if practice.id in practices:
            raise UnreadableInput(f"{path.name}, line {line}: the id {quoted(practice.id)} stands in a line before")
        practices[practice.id] = practice
    return list(practices.values())


def read_needs(path: Path) -> list[JudgedNeed]:
    """Needs from a file with one JSON object a line: id, type, need_text, relevant, relevant_city_ids, pool, lang.

    Raises UnreadableInput, naming the line, for anything else.
    """
    return [_need(data, path, line) for line, data in _lines(path)]


def _need(data: Mapping[str, Any], path: Path, line: int) -> JudgedNeed:
    where = f"{path.name}, line {line}"
    relevant = data.get("relevant")
    if (
        not isinstance(relevant, Mapping)
        or not relevant
        or not all(type(grade) is int and 0 < grade <= 10 for grade in relevant.values())
    ):
        raise UnreadableInput(f'{where}: "relevant" is to map practices to grades such as 1 or 2')
    cities = data.get("relevant_city_ids", [])
    if not isinstance(cities, list) or not all(isinstance(city, str) for city in cities):
        raise UnreadableInput(f'{where}: "relevant_city_ids" is to be a list of texts')
    pool = data.get("pool")
    if pool is not None and not isinstance(pool, str):
        raise UnreadableInput(f'{where}: "pool" is to be a text or null')
    return JudgedNeed(
        id=_text(data, "id", path, line),
        type=_text(data, "type", path, line),
        text=_text(data, "need_text", path, line),
        relevant=dict(relevant),
        cities=frozenset(cities),
        pool=pool,
        language=_text(data, "lang", path, line) if "lang" in data else UNDETERMINED,
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with the numbers of their lines."""
    found = False
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(LINE_LIMIT_CHARACTERS + 1), b""), start=1):
                if len(raw) > LINE_LIMIT_CHARACTERS:
                    raise UnreadableInput(f"{path.name}, line {number}: more than {LINE_LIMIT_CHARACTERS:,} characters")
                if raw.strip():
                    found = True
                    yield number, _object(raw, path, number)
    except OSError as error:
        raise UnreadableInput(f"{path.name} cannot be read: {error.strerror}") from error
    if not found:
        raise UnreadableInput(f"{path.name} is empty; one JSON object a line is expected")


def _object(raw: bytes, path: Path, line: int) -> dict[str, Any]:
    try:
        data = json.loads(raw.decode("utf-8-sig" if line == 1 else "utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableInput(f"{path.name}, line {line}: not JSON in UTF-8: {quoted(error, 120)}") from error
    if not isinstance(data, dict):
        raise UnreadableInput(f"{path.name}, line {line}: a JSON object is expected, not {quoted(data)}")
    return data


def _text(data: Mapping[str, Any], key: str, path: Path, line: int, *, empty: bool = False) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not (value.strip() or empty):
        given = "missing" if value is None else f"{quoted(value)}"
        raise UnreadableInput(f'{path.name}, line {line}: "{key}" is to be a text, it is {given}')
    # A lone surrogate, which JSON may carry, cannot be written down anywhere.
    return value.encode("utf-8", "replace").decode()
