"""What the commands `needs`, `status` and `load --thesaurus` do and print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.padding import Padding

from kg.errors import DataFolderUnusable, UnreadableInput, quoted
from kg.search.text import NEED_LIMIT_CHARACTERS
from service.pages.texts import language_name, texts
from service.printing import Sentence, out, print_table

SHOWN_THEMES = 5


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, or of standard input where the file is "-".

    Raises UnreadableInput for another encoding. Of a huge file no more is read than shows that it is too long.
    """
    limit = 4 * NEED_LIMIT_CHARACTERS + 10
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(limit).decode("utf-8-sig", "strict")
        with file.open("rb") as opened:
            return opened.read(limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start >= limit - 8:  # cut inside a character: the text is too long, and is refused for that
            return "x" * limit
        raise UnreadableInput(f"{quoted(file.name)} is not text in UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise UnreadableInput(f"{quoted(file.name)} cannot be read: {error.strerror or error}") from error


def print_needs(answer: Mapping[str, Any], language: str) -> None:
    """Each need with its themes, what led there, how many cities know them, and the open questions."""
    _ = texts(language).gettext
    for place, need in enumerate(answer["needs"], 1):
        out.print(Sentence(f"\n{place:>2}  {need['text']}", style="bold"))
        read = _("Your need was read as %(language)s.") % {"language": language_name(need["language"], language)}
        _say(f"{read} {need['understood']['text']}", "dim")
        for warning in need["understood"]["warnings"]:
            _say(f"! {warning['text']}", "yellow")
        for theme in need["themes"][:SHOWN_THEMES]:
            words = ", ".join(theme["words"]) or _("by meaning")
            cities = texts(language).ngettext("%(num)s city", "%(num)s cities", theme["cities"]) % {
                "num": theme["cities"]
            }
            _say(f"• {theme['label']} ({words}): {cities}")
            near = [f"{one['label']} ({one['cities']})" for one in (*theme["narrower"], *theme["neighbours"])[:4]]
            if near:
                _say("→ " + ", ".join(near), "dim", 8)
        for question in need["questions"]:
            _say(f"? {question['text']}")
        if not need["questions_checked"]:
            _say(_("All questions are asked: which words answer them is not known in this language."), "dim")
    if answer["context"]:
        out.print()
        out.print(Sentence(_("Read as background, not as a need"), style="bold"))
        for part in answer["context"]:
            _say(part)
    out.print()
    out.print(Sentence(_("What a mentor city does, and does not do"), style="bold"))
    out.print(Sentence(answer["role_limits"]))


def _say(line: str, style: str = "", indent: int = 4) -> None:
    out.print(Padding(Sentence(line, style=style), (0, 0, 0, indent), expand=False))


def change_vocabularies(folder: Path, files: Sequence[Path], removed: Sequence[str]) -> list[dict[str, Any]]:
    """Add and remove bridge vocabularies of a data folder that nobody else owns; returns those there are then.

    All files are read before anything is changed. Raises what `Vocabularies` does, DataFolderInUse and
    DataFolderUnusable.
    """
    from dataclasses import asdict

    from kg.folder import DataFolder
    from kg.search.embedding import current_model, load_embedder
    from kg.search.thesaurus import Thesaurus
    from kg.search.vocabularies import Vocabularies

    data = DataFolder.open(folder)
    if not data.ledger.parent.is_dir():
        raise DataFolderUnusable(f"there is no data folder {quoted(folder.name)}: make one with `mentorgraph init`")
    with data.own():
        vocabularies = Vocabularies(data.vocabularies)
        if len(files) + len(removed) > 1:
            for file in files:
                Thesaurus.from_skos(file)
        for name in removed:
            vocabularies.remove(name)
        for file in files:
            vocabularies.add(file)
        if files and current_model(data.models) is not None:
            # Half a minute for 5,000 labels: better now than at the first question.
            embedder = load_embedder(data.models)
            for one in vocabularies.read():
                vocabularies.vectors(one, embedder)
        return [asdict(one) for one in vocabularies.listed()]


def print_vocabularies(listed: Sequence[Mapping[str, Any]]) -> None:
    """The vocabularies there are, with the languages each has labels in."""
    rows = [(one["name"], one["concepts"], len(one["languages"]), " ".join(one["languages"])) for one in listed]
    if rows:
        print_table(["vocabulary", "concepts", "languages", ""], rows)
    else:
        out.print("No bridge vocabulary is loaded.")


def print_status(status: Mapping[str, Any]) -> None:
    """What the data folder holds."""
    print_table(["records", "count"], list(status["records"].items()))
    out.print(f"Revision {status['revision']}, model {status['model'] or 'none'}, addresses from {status['base']}")
    print_vocabularies(status["vocabularies"])
