"""Reads the profiles that a deployment describes in a file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from kg.errors import TooLarge, UnreadableInput
from kg.matching.profile import Profile
from kg.matching.profiles import read_profiles

FILE_LIMIT_BYTES = 200_000


def profiles_of(path: Path) -> tuple[dict[str, Profile], str]:
    """All profiles, built in and of a TOML file, by name, and the name of the default one.

    Raises UnreadableInput for a file that is not there, is no TOML or describes what is no profile, naming the line or
    the place; TooLarge over 200 kB.
    """
    try:
        with path.open("rb") as opened:
            body = opened.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise UnreadableInput(f"profiles: {path.name} cannot be read ({error.strerror or error})") from error
    if len(body) > FILE_LIMIT_BYTES:
        raise TooLarge(f"profiles: {path.name} has more than {FILE_LIMIT_BYTES:,} bytes")
    try:
        data = tomllib.loads(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UnreadableInput(f"{path.name}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "tables lie too deep within each other"
        raise UnreadableInput(f"{path.name}: this is not TOML: {said}") from error
    return read_profiles(data, path.name)
