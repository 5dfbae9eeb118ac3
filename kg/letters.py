"""Suggestions as a text that an officer can forward, in English or French, as Markdown or plain text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kg.matching.facts import Names
from kg.matching.reasons import BAND_LABELS, opening, spaced, with_article

FORMS = ("markdown", "text")
PASSAGE_CHARS = 400
"""Length of a quoted passage; the deciding sentence always stands in it."""

CHANGES_TOLD = 3
"""Of what would swap two cities, the sentences a letter has at most; facts come first, people can settle them."""

_WORDS: Mapping[str, Names] = {
    "title": {"en": "Mentor cities to look at", "fr": "Villes mentores à envisager"},
    "none": {
        "en": "No city on record comes close. Try other words, or say what people should be able to do afterwards.",
        "fr": "Aucune ville documentée ne s’en approche. Essayez d’autres mots, ou dites ce que les gens devraient "
        "pouvoir faire ensuite.",
    },
    "need": {"en": "The need", "fr": "Le besoin"},
    "needs": {"en": "The needs", "fr": "Les besoins"},
    "mentee": {"en": "Asked for", "fr": "Demande pour"},
    "where": {
        "en": "This is where to look first, not a decision: people choose. Facts that are missing do not count against "
        "a city.",
        "fr": "C’est par où commencer, non une décision : ce sont les personnes qui choisissent. Les faits manquants ne "
        "comptent pas contre une ville.",
    },
    "practices": {"en": "What it did", "fr": "Ce qu’elle a fait"},
    "for_need": {"en": "need {}", "fr": "besoin {}"},
    "by_need": {"en": "Need {} – {}", "fr": "Besoin {} – {}"},
    "for": {"en": "What speaks for it", "fr": "Ce qui parle pour elle"},
    "against": {"en": "What speaks against it", "fr": "Ce qui parle contre elle"},
    "also": {"en": "Also on record", "fr": "Autres faits connus"},
    "cautions": {"en": "Keep in mind", "fr": "À garder à l’esprit"},
    "unknowns": {"en": "Not known: whom to ask", "fr": "Ce qu’on ne sait pas, et à qui le demander"},
    "lower_band": {
        "en": "{upper} stands above {lower} although its band is lower: ranks follow all that is known together, a band "
        "also asks how closely a city’s practices answer the need.",
        "fr": "{upper} est placée devant {lower} alors que sa mention est plus basse : le rang suit tout ce qui est connu "
        "à la fois, la mention demande aussi que les pratiques répondent de près au besoin.",
    },
    "changes": {"en": "What would put {lower} before {upper}:", "fr": "Ce qui placerait {lower} devant {upper} :"},
    "no_change": {"en": "no single fact or weight.", "fr": "aucun fait ni poids à lui seul."},
    "one_more": {"en": "One other change would do so too.", "fr": "Un autre changement y suffirait aussi."},
    "more": {
        "en": "{} other changes would do so too, each by itself.",
        "fr": "{} autres changements y suffiraient aussi, chacun à lui seul.",
    },
    "source": {"en": "Source", "fr": "Source"},
    "licence": {"en": "Licence of the record", "fr": "Licence de la fiche"},
    "no_licence": {"en": "none stated", "fr": "non indiquée"},
    "limits": {
        "en": "What a mentor city does, and does not do",
        "fr": "Ce que fait une ville mentore, et ce qu’elle ne fait pas",
    },
    "made": {
        "en": "Ranked with the profile {name}, version {version}{changed}, as of {day}, record change {revision}.",
        "fr": "Classement selon le profil {name}, version {version}{changed}, au {day}, modification {revision} des fiches.",
    },
    "changed": {"en": ", with other weights for {}", "fr": ", avec d’autres poids pour {}"},
}


@dataclass(frozen=True)
class Origin:
    """Where a practice's record comes from: the addresses of its sources, and its licence, None where none is stated."""

    sources: tuple[str, ...] = ()
    licence: str | None = None


def write_letter(answer: Mapping[str, Any], origins: Mapping[str, Origin], language: str, form: str) -> str:
    """An answer to a request for suggestions as running text; its sentences are those of the answer.

    `answer` is in `language`; `origins` are by identifier of the practices cited. `form` is "markdown" or "text". Texts
    of records are quoted as they stand: what Markdown would read as a mark is escaped, a line stays a line.

    >>> answer = {"suggestions": [], "needs": [{"text": "Cool *streets*", "understood": {"text": "", "warnings": []}}],
    ...     "mentee": None, "role_limits": "It accompanies.", "as_of": "2026-01-01", "revision": 7,
    ...     "profile": {"name": "mentoring", "version": "1", "changed": []}}
    >>> print(write_letter(answer, {}, "en", "markdown").splitlines()[4])
    > Cool \\*streets\\*
    """
    page = _Page(language, form == "markdown")
    page.heading(1, page.word("title"))
    _opening(page, answer)
    several = len(answer["needs"]) > 1
    changes = {pair["upper"]["id"]: pair for pair in answer.get("changes") or ()}
    for place, one in enumerate(answer["suggestions"]):
        _suggestion(page, one, answer["suggestions"][place + 1 : place + 2], origins, several)
        if one["city"]["id"] in changes:
            _changes(page, changes[one["city"]["id"]])
    if not answer["suggestions"]:
        page.paragraph(page.word("none"))
    if answer.get("diversity"):
        page.paragraph(answer["diversity"]["text"])
    page.heading(2, page.word("limits"))
    page.paragraph(answer["role_limits"])
    profile = answer["profile"]
    changed = page.word("changed").format(", ".join(profile["changed"])) if profile["changed"] else ""
    page.paragraph(
        page.word("made").format(
            name=profile["name"],
            version=profile["version"],
            changed=changed,
            day=answer["as_of"],
            revision=answer["revision"],
        )
    )
    return page.text()


class _Page:
    """Lines in one of the two forms."""

    def __init__(self, language: str, markdown: bool) -> None:
        self.language, self.markdown = language, markdown
        self._lines: list[str] = []

    def word(self, name: str) -> str:
        return _WORDS[name][self.language]

    def said(self, text: str) -> str:
        """Somebody's words on one line, with nothing in them that Markdown would read."""
        line = re.sub(r"[^\S\u00a0\u202f]+", " ", text).strip()  # the spaces of « » and of numbers stay
        if not self.markdown:
            return line
        line = re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", line)
        return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-+=])", r"\\\1", line))

    def told(self, text: str) -> str:
        """The same of a sentence of ours, with the spaces of its language."""
        return spaced(self.said(text)) if self.language == "fr" else self.said(text)

    def heading(self, level: int, text: str) -> None:
        line = self.told(text)
        under = {1: "=", 2: "-"}.get(level)
        marked = [f"{'#' * level} {line}"] if self.markdown else [line, *([under * len(line)] if under else [])]
        self._lines += [*marked, ""]

    def paragraph(self, text: str) -> None:
        self._lines += [self.told(text), ""]

    def label(self, text: str) -> None:
        self._lines += [f"**{self.told(text)}**" if self.markdown else f"{self.told(text)}", ""]

    def quote(self, parts: Iterable[tuple[str, bool]]) -> None:
        """Parts of a quotation, each with whether it is marked."""
        marks = ("**", "**") if self.markdown else ("[", "]")
        text = " ".join(
            f"{marks[0]}{said}{marks[1]}" if mark else said for part, mark in parts if (said := self.said(part))
        )
        self._lines += [f"> {text}" if self.markdown else f"    {text}", ""]

    def points(self, sentences: Sequence[str]) -> None:
        self._lines += [f"- {self.told(sentence)}" for sentence in sentences]
        self._lines.append("")

    def address(self, label: str, url: str) -> None:
        stop = "\u00a0:" if self.language == "fr" else ":"
        is_link = self.markdown and re.fullmatch(r"https?://[^\s<>]+", url)
        self._lines += [f"{label}{stop} {f'<{url}>' if is_link else self.said(url)}", ""]

    def text(self) -> str:
        return "\n".join(self._lines).rstrip() + "\n"


def _opening(page: _Page, answer: Mapping[str, Any]) -> None:
    """What was asked, by whom, and how it was read."""
    page.label(page.word("needs" if len(answer["needs"]) > 1 else "need"))
    for need in answer["needs"]:
        page.quote([(need["text"], False)])
        said = [need["understood"]["text"], *(warning["text"] for warning in need["understood"]["warnings"])]
        if any(said):
            page.paragraph(" ".join(filter(None, said)))
    if answer["mentee"]:
        page.paragraph(f"{page.word('mentee')} {with_article(answer['mentee']['label'], page.language)}.")
    if answer["suggestions"]:
        page.paragraph(page.word("where"))


def _suggestion(
    page: _Page,
    one: Mapping[str, Any],
    following: Sequence[Mapping[str, Any]],
    origins: Mapping[str, Origin],
    several: bool,
) -> None:
    """One city; `following` has the next one, if there is one."""
    city = one["city"]
    named = ", ".join(filter(None, (city["label"], city["country_label"])))
    page.heading(2, f"{one['rank']}. {named} – {one['band_label']}")
    for lower in following:
        _lower_band(page, one, lower)
    page.label(page.word("practices"))
    told: set[str] = set()
    for practice in one["practices"]:
        _practice(page, practice, origins.get(practice["id"], Origin()), several, practice["id"] in told)
        told.add(practice["id"])
    # What is unknown of the mentee itself is said once, at the end; of the city's practices need by need.
    general_unknowns = [_asked(unknown) for unknown in one["unknowns"]]
    of_mentee = {_asked(unknown) for unknown in one["unknowns"] if unknown["whom"] == "mentee"}
    if several:
        for need in one["needs"]:
            told_here = _need(page, need, of_mentee)
            general_unknowns = [said for said in general_unknowns if said not in told_here]
    weighty = [reason for reason in one["reasons"] if reason["weight"] > 0]
    # Need by need these three were told already where there are several needs.
    general = [r for r in weighty if not several or r["factor"] not in ("relevance", "experience", "gap")]
    for name, stance in (("for", "for"), ("against", "against"), ("also", "neutral")):
        _points(page, name, [reason["text"] for reason in general if reason["stance"] == stance])
    _points(page, "cautions", [caution["text"] for caution in one["cautions"]])
    _points(page, "unknowns", general_unknowns)


def _asked(unknown: Mapping[str, Any]) -> str:
    return f"{unknown['text']} {unknown['ask']}"


def _points(page: _Page, name: str, sentences: Sequence[str], need: int | None = None) -> None:
    """A list under its label, which names the need (its place, from 0) where it is about one of several."""
    if sentences:
        page.label(page.word(name) if need is None else page.word("by_need").format(need + 1, page.word(name)))
        page.points(sentences)


def _lower_band(page: _Page, upper: Mapping[str, Any], lower: Mapping[str, Any]) -> None:
    """Why a city stands above one of a better band; a wish for several countries has its own sentence at the end."""
    best_first = list(BAND_LABELS)
    is_lower = best_first.index(upper["band"]) > best_first.index(lower["band"])
    if is_lower and upper["utility"] >= lower["utility"]:
        names = {
            name: with_article(one["city"]["label"], page.language)
            for name, one in (("upper", upper), ("lower", lower))
        }
        page.paragraph(opening(page.word("lower_band").format(**names)))


def _changes(page: _Page, pair: Mapping[str, Any]) -> None:
    """What would put the next city before one, as one paragraph."""
    names = {name: with_article(pair[name]["label"], page.language) for name in ("lower", "upper")}
    said = [change["text"] for change in (*pair["facts"], *pair["weights"])]
    left = len(said) - CHANGES_TOLD
    more = [] if left < 1 else [page.word("one_more") if left == 1 else page.word("more").format(left)]
    told = said[:CHANGES_TOLD] or [page.word("no_change")]
    page.paragraph(" ".join((page.word("changes").format(**names), *told, *more)))


def _practice(page: _Page, practice: Mapping[str, Any], origin: Origin, several: bool, again: bool) -> None:
    """A practice with its passage and where its record comes from; the latter once for each practice."""
    number = f" ({page.word('for_need').format(practice['need'] + 1)})" if several else ""
    page.label(f"{practice['title']}{number}")
    if practice["passage"]:
        page.quote(_excerpt(practice["passage"]))
    if not again:
        for url in origin.sources:
            page.address(page.word("source"), url)
        page.address(page.word("licence"), origin.licence or page.word("no_licence"))


def _need(page: _Page, need: Mapping[str, Any], told_once: Collection[str]) -> list[str]:
    """What is said on one of several needs; returns what it told as unknown, which leaves out what is `told_once`."""
    for name in ("for", "against", "also"):
        _points(page, name, need.get(name, ()), need["need"])
    unknowns = [said for said in map(_asked, need.get("unknowns", ())) if said not in told_once]
    _points(page, "unknowns", unknowns, need["need"])
    return unknowns


def _excerpt(passage: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The parts of a passage, cut to its limit around the deciding sentence."""
    text, place = passage["text"], passage.get("sentence")
    start, end = (place["start"], place["end"]) if place else (0, 0)
    room = max(0, PASSAGE_CHARS - (end - start))
    before, after = text[:start].strip(), text[end:].strip()
    if before:
        yield (before if len(before) <= room // 2 else "… " + before[-(room // 2) :].partition(" ")[2]), False
    if place:
        yield text[start:end], True
    if after:
        left = room - min(len(before), room // 2)
        yield (after if len(after) <= left else after[:left].rpartition(" ")[0] + " …"), False
