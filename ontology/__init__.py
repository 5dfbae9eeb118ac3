"""The declaration of what mentorgraph's records are: vocabulary, shapes, themes and starting data, as files."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def path(name: str) -> Path:
    """Where a shipped file or folder lies, by its name below this package.

    Raises FileNotFoundError, naming the file, when nothing of that name is shipped.

    >>> path("shapes.ttl").name
    'shapes.ttl'
    """
    found = Path(str(files(__name__).joinpath(name)))
    if not found.exists():
        raise FileNotFoundError(f"mentorgraph ships no {name!r}; its files are listed in ontology/README.md")
    return found


def text(name: str) -> str:
    """The text of a shipped file.

    >>> text("shapes.ttl").startswith("# What a record of each kind has")
    True
    """
    return path(name).read_text(encoding="utf-8")
