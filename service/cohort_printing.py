"""A cohort on the command line: the request from a file, the answer as tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kg.matching.reasons import decimal
from service.printing import Sentence, out, print_table

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "mentee": "mentee",
        "mentor": "mentor",
        "band": "suggestion",
        "practice": "because of",
        "regret": "would itself have chosen",
        "need": "need {}",
        "nothing": "nothing on record",
        "fixed": "settled before",
        "unmatched": "Without a mentor",
        "without": "{mentee}: {why}",
        "proved": "No pairing under these rules has a larger sum of utilities ({total}).",
        "unproved": "The time was over: a better pairing may have a sum up to {gap} higher than this one ({total}).",
        "alternatives": "The next best pairings",
        "loss": "{loss} less: {changes}",
        "nobody": "nobody",
        "fairest": "The pairing whose weakest pair is as good as can be",
        "same": "It is the same one.",
        "worst": "Weakest pair: {one} instead of {other}. {loss} less in all: {changes}",
        "blocking": "Pairs that would both rather have each other",
        "instead": "{mentee} and {mentor} (instead of {other})",
        "free": "{mentee} and {mentor} (which has a place left)",
        "but": "Against it: {rule}",
        "rules": "What rules cost",
        "gain": "{gain}: {rule}",
        "no_cost": "No rule costs anything.",
        "conflict": "These rules cannot hold together:",
        "give_up": "Without these all others can:",
        "limits": "What a mentor city does, and does not do",
        "seen": "As of {day}, record change {revision}.",
        "ranked": "Weighed with the profile {name}, version {version}.",
    },
    "fr": {
        "mentee": "ville accompagnée",
        "mentor": "ville mentore",
        "band": "suggestion",
        "practice": "en raison de",
        "regret": "aurait elle-même choisi",
        "need": "besoin {}",
        "nothing": "rien de documenté",
        "fixed": "fixé d’avance",
        "unmatched": "Sans ville mentore",
        "without": "{mentee} : {why}",
        "proved": "Aucune répartition selon ces règles n’a une somme d’utilités plus grande ({total}).",
        "unproved": "Le temps est écoulé : une répartition meilleure de {gap} au plus reste possible ({total} ici).",
        "alternatives": "Les meilleures répartitions suivantes",
        "loss": "{loss} de moins : {changes}",
        "nobody": "aucune",
        "fairest": "La répartition dont la paire la plus faible est la meilleure possible",
        "same": "C’est la même.",
        "worst": "Paire la plus faible : {one} au lieu de {other}. {loss} de moins en tout : {changes}",
        "blocking": "Paires qui se préféreraient l’une l’autre",
        "instead": "{mentee} et {mentor} (au lieu de {other})",
        "free": "{mentee} et {mentor} (qui a encore une place)",
        "but": "Contre : {rule}",
        "rules": "Ce que coûtent les règles",
        "gain": "{gain} : {rule}",
        "no_cost": "Aucune règle ne coûte quoi que ce soit.",
        "conflict": "Ces règles ne peuvent pas être suivies ensemble :",
        "give_up": "Sans celles-ci, toutes les autres peuvent l’être :",
        "limits": "Ce que fait une ville mentore, et ce qu’elle ne fait pas",
        "seen": "État au {day}, modification {revision}.",
        "ranked": "Évalué selon le profil {name}, version {version}.",
    },
}


def cohort_request(
    file: Path, alternatives: int | None, time_limit: float | None, profile: str | None
) -> dict[str, Any]:
    """The request of a file, with what the command line says otherwise, held to the same limits as over HTTP."""
    from pydantic import ValidationError

    from kg.cohorts import read_file
    from service.api.cohorts import CohortRequest
    from service.cli import Refused, state
    from service.problems import refusal_of_validation

    given = {"alternatives": alternatives, "time_limit_seconds": time_limit, "profile": profile}
    wanted = {**read_file(file), **{key: value for key, value in given.items() if value is not None}}
    try:
        return CohortRequest.model_validate(wanted).plain()
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise Refused(f"{file.name}: {refusal_of_validation(faults).told(str(state['language']))[0]}") from error


def print_cohort(answer: Mapping[str, Any], language: str) -> None:
    """The pairs as a table, then everything else in sentences."""
    words = WORDS["fr" if language == "fr" else "en"]
    if answer["feasible"]:
        _print_pairs(answer, words)
        _print_others(answer, words)
    else:
        _section(words["conflict"], [rule["text"] for rule in answer["conflict"]["rules"]])
        if answer["conflict"]["why"]:
            out.print(Sentence(answer["conflict"]["why"]))
        _section(words["give_up"], [rule["text"] for rule in answer["conflict"]["give_up"]])
    _section(words["limits"], [])
    out.print(Sentence(answer["role_limits"]))
    out.print()
    out.print(Sentence(words["seen"].format(day=answer["as_of"], revision=answer["revision"]), style="dim"))
    profile = answer["profile"]
    out.print(Sentence(words["ranked"].format(name=profile["name"], version=profile["version"]), style="dim"))


def _print_pairs(answer: Mapping[str, Any], words: Mapping[str, str]) -> None:
    rows = []
    for pair in answer["pairs"]:
        practices = pair["suggestion"]["practices"] if pair["suggestion"] else []
        regret = pair["regret"]
        band = pair["band_label"] or words["nothing"]
        rows.append(
            (
                _mentee(pair, words),
                pair["mentor"]["label"],
                f"{band}, {words['fixed']}" if pair["fixed"] else band,
                practices[0]["title"] if practices else "",
                regret["best"]["label"] if regret and regret["loss"] > 0 else "",
            )
        )
    print_table(
        [words[key] for key in ("mentee", "mentor", "band", "practice", "regret")], rows, answer["name"] or None
    )
    key = "proved" if answer["proved"] else "unproved"
    out.print(
        words[key].format(total=_figure(words, answer["total"]), gap=_figure(words, answer["bound"] - answer["total"]))
    )
    _section(
        words["unmatched"],
        [words["without"].format(mentee=_mentee(one, words), why=one["text"]) for one in answer["unmatched"]],
    )


def _print_others(answer: Mapping[str, Any], words: Mapping[str, str]) -> None:
    lines = [
        words["loss"].format(loss=_figure(words, one["loss"]), changes=_changes(one["changes"], words))
        for one in answer["alternatives"]
    ]
    _section(words["alternatives"], lines)
    if fairest := answer["fairest"]:
        _section(words["fairest"], [_fairest(fairest, words)])
    _section(words["blocking"], [_blocking(one, words) for one in answer["blocking"]])
    dear = [one for one in answer["rules"] if one["gain"]]
    costs = [words["gain"].format(gain=_figure(words, one["gain"]), rule=one["text"]) for one in dear]
    _section(words["rules"], costs or [words["no_cost"]])


def _fairest(fairest: Mapping[str, Any], words: Mapping[str, str]) -> str:
    if fairest["same"] or not fairest["worst"] or not fairest["worst_of_best"]:
        return words["same"] if fairest["same"] else _changes(fairest["changes"], words)
    return words["worst"].format(
        one=_figure(words, fairest["worst"]["utility"]),
        other=_figure(words, fairest["worst_of_best"]["utility"]),
        loss=_figure(words, fairest["loss"]),
        changes=_changes(fairest["changes"], words),
    )


def _figure(words: Mapping[str, str], number: float) -> str:
    return decimal(number, 3, "fr" if words is WORDS["fr"] else "en")


def _mentee(one: Mapping[str, Any], words: Mapping[str, str]) -> str:
    label = str(one["mentee"]["label"])
    return label if one["need"] is None else f"{label} ({words['need'].format(one['need'] + 1)})"


def _changes(changes: Sequence[Mapping[str, Any]], words: Mapping[str, str]) -> str:
    return (" ; " if words is WORDS["fr"] else "; ").join(
        f"{_mentee(one, words)} → {one['to']['label'] if one['to'] else words['nobody']}" for one in changes
    )


def _blocking(one: Mapping[str, Any], words: Mapping[str, str]) -> str:
    key = "instead" if one["instead_of"] else "free"
    other = one["instead_of"]["label"] if one["instead_of"] else ""
    said = words[key].format(mentee=_mentee(one, words), mentor=one["mentor"]["label"], other=other)
    return f"{said}. {words['but'].format(rule=one['breaks']['text'])}" if one["breaks"] else said


def _section(title: str, lines: Sequence[str]) -> None:
    """A heading with its lines, if there are some; a heading alone where a text follows."""
    if not lines and title not in (WORDS["en"]["limits"], WORDS["fr"]["limits"]):
        return
    out.print()
    out.print(Sentence(title, style="bold"))
    for line in lines:
        out.print(Sentence(f"- {line}"))
