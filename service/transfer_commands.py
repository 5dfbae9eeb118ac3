"""What the command line shows of complementary sets, of conditions of a practice, and of what a mentee could teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.padding import Padding
from rich.text import Text

from service.pages.texts import texts
from service.printing import out


def set_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request for suggestions as one for sets."""
    return {key: value for key, value in request.items() if key != "limit"}


def print_sets(answer: Mapping[str, Any], language: str) -> None:
    """The best set with who covers what, the needs that stay open, and the other sets in a line each."""
    _ = texts(language).gettext
    if answer["sets"]:
        out.print(Text(_("The smallest set of mentors"), style="bold"))
        for mentor in answer["sets"][0]["mentors"]:
            _print_mentor(mentor)
    _lines(_("Needs that stay open"), [one["text"] for one in answer["uncovered"]])
    others = [" + ".join(mentor["city"]["label"] for mentor in one["mentors"]) for one in answer["sets"][1:]]
    _lines(_("Other sets"), others)
    out.print()
    out.print(Text(_("What a mentor city does, and does not do"), style="bold"))
    out.print(Text(answer["role_limits"]))
    as_of = {"day": answer["as_of"], "revision": answer["revision"]}
    out.print()
    out.print(Text(_("As of %(day)s, record change %(revision)s.") % as_of, style="dim"))


def _print_mentor(mentor: Mapping[str, Any]) -> None:
    city = mentor["city"]
    head = Text(f"\n    {city['label']}", style="bold")
    if city["country_label"]:
        head.append(f", {city['country_label']}", style="not bold")
    out.print(head)
    out.print(Padding(Text(mentor["text"]), (0, 0, 0, 4), expand=False))
    for practice in mentor["practices"]:
        out.print(
            Padding(Text(f"{practice['need'] + 1}. {practice['title']}", style="dim"), (0, 0, 0, 6), expand=False)
        )


def _lines(title: str, lines: Sequence[str]) -> None:
    if lines:
        out.print()
        out.print(Text(title, style="bold"))
        for line in lines:
            out.print(Text(f"- {line}"))
