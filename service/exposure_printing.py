"""Exposure on the command line: the needs from a file, one a line, the answer as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service.needs_commands import read_text
from service.printing import Sentence, out, print_table

SHOWN = 20
"""Cities that the table of the most exposed shows; `--json` has up to a hundred."""

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "city": "city",
        "exposure": "exposure",
        "share": "share",
        "suggested": "needs",
        "records": "records",
        "per_record": "per record",
        "cities": "cities",
        "never": "never",
        "country": "country",
        "share_of_records": "share of records",
        "never_list": "Never among the first: {names}",
        "more": "and {number} more",
        "without": "Without a practice on record: {names}",
        "gini": "Gini of exposure {gini}, of numbers of records {gini_records}",
        "unknown": "not on record",
        "seen": "As of {day}, record change {revision}.",
        "ranked": "Ranked with the profile {name}, version {version}.",
    },
    "fr": {
        "city": "ville",
        "exposure": "exposition",
        "share": "part",
        "suggested": "besoins",
        "records": "fiches",
        "per_record": "par fiche",
        "cities": "villes",
        "never": "jamais",
        "country": "pays",
        "share_of_records": "part des fiches",
        "never_list": "Jamais parmi les premières : {names}",
        "more": "et {number} autres",
        "without": "Sans pratique documentée : {names}",
        "gini": "Gini de l’exposition {gini}, des nombres de fiches {gini_records}",
        "unknown": "non documenté",
        "seen": "État au {day}, modification {revision}.",
        "ranked": "Classement selon le profil {name}, version {version}.",
    },
}


def exposure_request(
    file: Path | None, first: int, weights: Mapping[str, float], profile: str | None = None
) -> dict[str, Any]:
    """The request of a file with one need a line, or of none for the needs on record, held to the limits of HTTP."""
    from pydantic import ValidationError

    from service.api.exposure import ExposureRequest
    from service.cli import Refused, state
    from service.problems import refusal_of_validation

    wanted: dict[str, Any] = {"first": first, "weights": dict(weights), "profile": profile}
    if file is not None:
        wanted["needs"] = [{"text": line.strip()} for line in read_text(file).splitlines() if line.strip()]
    try:
        return ExposureRequest.model_validate(wanted).plain()
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        place = f"{file.name}: " if file else ""
        raise Refused(f"{place}{refusal_of_validation(faults).told(str(state['language']))[0]}") from error


def print_exposure(answer: Mapping[str, Any], language: str) -> None:
    """The sentences, then who got how much, by city, number of records and country, and who nothing."""
    words = WORDS["fr" if language == "fr" else "en"]
    out.print(Sentence(answer["text"]))
    out.print(Sentence(words["gini"].format(gini=_told(answer["gini"]), gini_records=_told(answer["gini_records"]))))
    columns: Sequence[str] = ("exposure", "share", "suggested", "records", "per_record")
    print_table(
        [words["city"], *(words[key] for key in columns)],
        [
            [one["city"]["label"], *(one[key] for key in columns)]
            for one in answer["cities"][:SHOWN]
            if one["suggested"]
        ],
    )
    columns = ("cities", "never", "exposure", "per_record")
    print_table(
        [words["records"], *(words[key] for key in columns)],
        [[_group(one), *(one[key] for key in columns)] for one in answer["by_records"]],
    )
    columns = ("cities", "records", "share", "share_of_records")
    print_table(
        [words["country"], *(words[key] for key in columns)],
        [
            [one["country_label"] or words["unknown"], *(one[key] for key in columns)]
            for one in answer["by_country"][:SHOWN]
        ],
    )
    never = [one["city"]["label"] for one in answer["never"]]
    _names(words, "never_list", never, answer["never_total"])
    _names(words, "without", [one["label"] for one in answer["without_records"]], answer["without_records_total"])
    out.print(Sentence(words["seen"].format(day=answer["as_of"], revision=answer["revision"]), style="dim"))
    profile = answer["profile"]
    out.print(Sentence(words["ranked"].format(name=profile["name"], version=profile["version"]), style="dim"))


def _told(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _group(one: Mapping[str, Any]) -> str:
    return str(one["least"]) if one["most"] == one["least"] else f"≥ {one['least']}"


def _names(words: Mapping[str, str], key: str, names: Sequence[str], total: int) -> None:
    """A line of names, with how many more there are."""
    if names:
        rest = [words["more"].format(number=total - len(names))] if total > len(names) else []
        out.print(Sentence(words[key].format(names=", ".join([*names, *rest]))))
