"""The pages' wording in each language, from gettext catalogues, and the templates that use it.

The `.po` files are read as they are, so that a translator's edit needs no build step.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kg.matching.reasons import spaced

HERE = Path(__file__).parent

EXCERPT_CHARS = 500
"""Length of a shown passage; the whole of it is in the record."""


def _(text: str) -> str:
    """Marks a text for the translators; it is translated where it is shown."""
    return text


PARTS = {
    "summary": _("Summary"),
    "problem": _("The problem"),
    "action": _("What was done"),
    "outcomes": _("Outcomes"),
    "lessons": _("Lessons"),
}
"""Parts of a practice that a passage comes from."""


@cache
def texts(language: str) -> NullTranslations:
    """The catalogue of a language. English is the language of the sources and needs none."""
    file = HERE / "locales" / f"{language}.po"
    if not file.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language, abort_invalid=True))
    compiled.seek(0)
    return Translations(compiled)


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(texts(language), newstyle=True)  # type: ignore[attr-defined]
    environment.filters |= {
        "excerpt": excerpt,
        "marked_excerpt": marked_excerpt,
        "language_name": lambda tag: language_name(tag, language),
        "part_name": lambda part: texts(language).gettext(PARTS.get(part) or part),
    }
    return environment


def excerpt(text: str, limit: int = EXCERPT_CHARS) -> str:
    """The beginning of a text, cut between words where it is longer than `limit` characters.

    >>> excerpt("One desk for every service", limit=12)
    'One desk …'
    """
    if len(text) <= limit:
        return text
    return text[:limit].rsplit(None, 1)[0].rstrip(" ,;:") + " …"


def marked_excerpt(text: str, place: Mapping[str, int] | None, limit: int = EXCERPT_CHARS) -> tuple[str, str, str]:
    """What stands before the deciding sentence of a passage, that sentence, and what stands after it.

    `place` has where it `start`s and `end`s; None: nothing is marked, and all of it stands before. A text longer than
    `limit` characters is cut between words, around the sentence.

    >>> marked_excerpt("They meet. They cook together.", {"start": 11, "end": 30})
    ('They meet. ', 'They cook together.', '')
    >>> marked_excerpt("They meet every week. They cook.", {"start": 22, "end": 32}, limit=30)
    ('… week. ', 'They cook.', '')
    """
    if place is None:
        return excerpt(text, limit), "", ""
    before, marked, after = text[: place["start"]], text[place["start"] : place["end"]], text[place["end"] :]
    if len(text) <= limit:
        return before, marked, after
    room = max(0, limit - len(marked))
    if len(before) > room // 2:
        before = "… " + before[len(before) - room // 2 :].partition(" ")[2]
    left = max(0, room - len(before))
    return before, marked, after if len(after) <= left else " " + excerpt(after.strip(), left)


def language_name(tag: str, language: str) -> str:
    """What a language is called in `language`; its tag where CLDR has no name.

    >>> language_name("lv", "fr")
    'letton'
    """
    base = tag.replace("_", "-").partition("-")[0].lower()
    return str(Locale(language).languages.get(base, tag))


def alphabetical(text: str) -> str:
    """A key to sort names by, in which an accent does not send a word behind z.

    >>> sorted(["Zagreb", "Évora", "Ghent"], key=alphabetical)
    ['Évora', 'Ghent', 'Zagreb']
    """
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().casefold() or text


def page(template: str, language: str, shown: dict[str, Any]) -> str:
    """The HTML of a page. Everything in `shown` is escaped, whoever wrote it."""
    text: str = _environment(language).get_template(template).render(language=language, **shown)
    return _spaced(text) if language == "fr" else text


_LEFT_ALONE = re.compile(r"(<(textarea|pre|code|script|style)\b.*?</\2\s*>|<[^>]*>)", re.DOTALL)
"""What is not prose in HTML: tags, and what people or programs take as it stands."""


def _spaced(html: str) -> str:
    """A page in French with spaces that hold where a line must not break.

    >>> _spaced('<p title="a ; b">Vu ; <code>?s ?p ?o ; ?q ?r</code> quoi ?</p>')
    '<p title="a ; b">Vu\u202f; <code>?s ?p ?o ; ?q ?r</code> quoi\u202f?</p>'
    """
    # By turns prose, what is left alone, and the name of its tag.
    parts = _LEFT_ALONE.split(html)
    return "".join(
        part if place % 3 == 1 else spaced(part) for place, part in enumerate(parts) if place % 3 != 2 and part
    )
