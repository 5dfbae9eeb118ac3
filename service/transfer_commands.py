"""What the command line shows of complementary sets, of conditions of a practice, and of what a mentee could teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.padding import Padding

from service.pages.texts import texts
from service.printing import Sentence, out


def set_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request for suggestions as one for sets."""
    return {key: value for key, value in request.items() if key not in ("limit", "explain")}


def print_sets(answer: Mapping[str, Any], language: str) -> None:
    """The best set with who covers what, the needs that stay open, and the other sets in a line each."""
    _ = texts(language).gettext
    if answer["sets"]:
        out.print(Sentence(_("The smallest set of mentors"), style="bold"))
        for mentor in answer["sets"][0]["mentors"]:
            _print_mentor(mentor)
    _lines(_("Needs that stay open"), [one["text"] for one in answer["uncovered"]])
    others = [" + ".join(mentor["city"]["label"] for mentor in one["mentors"]) for one in answer["sets"][1:]]
    _lines(_("Other sets"), others)
    out.print()
    out.print(Sentence(_("What a mentor city does, and does not do"), style="bold"))
    out.print(Sentence(answer["role_limits"]))
    as_of = {"day": answer["as_of"], "revision": answer["revision"]}
    out.print()
    out.print(Sentence(_("As of %(day)s, record change %(revision)s.") % as_of, style="dim"))


def _print_mentor(mentor: Mapping[str, Any]) -> None:
    city = mentor["city"]
    head = Sentence(f"\n    {city['label']}", style="bold")
    if city["country_label"]:
        head.append(f", {city['country_label']}", style="not bold")
    out.print(head)
    out.print(Padding(Sentence(mentor["text"]), (0, 0, 0, 4), expand=False))
    for practice in mentor["practices"]:
        out.print(
            Padding(Sentence(f"{practice['need'] + 1}. {practice['title']}", style="dim"), (0, 0, 0, 6), expand=False)
        )


def _lines(title: str, lines: Sequence[str]) -> None:
    if lines:
        out.print()
        out.print(Sentence(title, style="bold"))
        for line in lines:
            out.print(Sentence(f"- {line}"))


STATUS_MARKS = {"unknown": "?", "not-met": "−", "partly": "~", "met": "+"}


def print_transferability(answer: Mapping[str, Any], language: str) -> None:
    """The conditions by status, unknown first, each with its basis; then what to ask, and whom."""
    _ = texts(language).gettext
    titles = {
        "unknown": _("Not known"),
        "not-met": _("Not met"),
        "partly": _("Partly met"),
        "met": _("Met"),
    }
    out.print(Sentence(answer["summary"]["text"], style="bold"))
    for status, title in titles.items():
        listed = [one for one in answer["criteria"] if one["status"] == status]
        if listed:
            out.print(Sentence(f"\n{title}", style="bold dim"))
        for one in listed:
            out.print(Sentence(f"{STATUS_MARKS[status]} {one['condition']} {one['finding']}"))
            for fact in one["facts"]:
                basis = ", ".join(filter(None, (fact["text"], fact["as_of"], fact["source"])))
                out.print(Padding(Sentence(basis, style="dim"), (0, 0, 0, 2), expand=False))
    questions = answer["questions"]
    if questions["mentor"]:
        _lines(_("What to ask the mentor"), [questions["whom"], *_once(questions["mentor"])])
    _lines(_("What to find out at home"), _once(questions["city"]))
    out.print()
    out.print(Sentence(_("What a mentor city does, and does not do"), style="bold"))
    out.print(Sentence(answer["role_limits"]))
    as_of = {"day": answer["as_of"], "revision": answer["revision"]}
    out.print()
    out.print(Sentence(_("As of %(day)s, record change %(revision)s.") % as_of, style="dim"))
    compared = _("Sizes compared with the profile %(name)s, version %(version)s.") % answer["profile"]
    out.print(Sentence(compared, style="dim"))


def _once(questions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The questions, each once, in their order."""
    return list(dict.fromkeys(question["text"] for question in questions))


def print_in_return(answer: Mapping[str, Any], language: str) -> None:
    """What the mentee could teach the mentor, a sentence for each theme."""
    _ = texts(language).gettext
    names = {"mentee": answer["mentee"]["label"], "mentor": answer["mentor"]["label"]}
    out.print(Sentence(_("What %(mentee)s could teach %(mentor)s") % names, style="bold"))
    for offer in answer["offers"]:
        out.print(Sentence(f"{'?' if offer['basis'] == 'unknown' else '+'} {offer['text']}"))
    if answer["text"]:
        out.print(Sentence(answer["text"]))
    as_of = {"day": answer["as_of"], "revision": answer["revision"]}
    out.print()
    out.print(Sentence(_("As of %(day)s, record change %(revision)s.") % as_of, style="dim"))
    measured = _("Experience measured with the profile %(name)s, version %(version)s.") % answer["profile"]
    out.print(Sentence(measured, style="dim"))
