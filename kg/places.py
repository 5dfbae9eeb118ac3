"""Says whether a dotted place ("outcomes.claim-2.value") exists in a record, and what exists where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kg.errors import quoted
from kg.fields import Field, Structure, declaration
from kg.records import LANGUAGE_TAG

_LISTED = 20
"""So many parts of a list are named in a message; a practice of the starting data has eleven at most."""


def missing_place(record: Mapping[str, Any], place: str) -> dict[str, str] | None:
    """What a place of a record lacks, as one clause by language; None where the place exists.

    A field exists where the kind, or the sort of part, has it, whether or not it is filled in: "which country?" is
    asked where none stands. So does any language of a text (`title@fr`). A part exists while the record holds it.

    >>> record = {"kind": "practice", "id": "x", "outcomes": [{"id": "claim-2", "value": "7"}]}
    >>> missing_place(record, "outcomes.claim-2.method@fr"), missing_place(record, "record.notes")
    (None, None)
    >>> missing_place(record, "outcomes.claim-1.value")["en"]
    "outcomes has no part 'claim-1' now; there are: claim-2"
    >>> print(missing_place(record, "costs.cost-1")["fr"])
    costs n’a pas d’élément 'cost-1' à présent ; il n’y a rien
    >>> missing_place(record, "outcomes.claim-2.colour")["en"]
    "a part of outcomes has no field 'colour'; there are: statement, indicator, value, ..."
    """
    kind = declaration().kind(str(record["kind"]))
    structure: Structure = kind
    owner = {"en": f"a {kind.name}", "fr": f"une fiche « {kind.called('fr')} »"}
    values, steps = record, place.split(".")
    while steps:
        step = steps.pop(0)
        key, at, tag = step.partition("@")
        declared = structure.by_key.get(key)
        if declared is None:
            fields = ", ".join(structure.by_key)
            return {
                "en": f"{owner['en']} has no field {quoted(key)}; there are: {fields}",
                "fr": f"{owner['fr']} n’a pas de champ {quoted(key)} ; il y a : {fields}",
            }
        if at and not _may_name(declared, tag):
            return {
                "en": f"{key} has nothing at {quoted(step)}; name a field, or a language of a text as in 'title@fr'",
                "fr": f"{key} n’a rien à {quoted(step)} ; nommez un champ, ou la langue d’un texte comme dans 'title@fr'",
            }
        if declared.inner is None or not steps:
            rest = quoted(".".join(steps))
            too_much = {
                "en": f"{key} has no parts: remove {rest} after it",
                "fr": f"{key} n’a pas d’éléments : retirez {rest} à sa suite",
            }
            return too_much if steps else None
        if key == "record":
            structure, owner = declared.inner, {"en": key, "fr": key}
            continue
        held, wanted = _parts(values.get(key)), steps.pop(0)
        if wanted not in held:
            return _no_part(key, wanted, list(held))
        structure, values = declared.inner, held[wanted]
        owner = {"en": f"a part of {key}", "fr": f"un élément de {key}"}
    return None


def _no_part(key: str, wanted: str, held: list[str]) -> dict[str, str]:
    """A part that a list does not hold, with those it does."""
    names, more = ", ".join(held[:_LISTED]), len(held) - _LISTED
    there = {
        "en": f"there are: {names}" + (f" and {more} more" if more > 0 else "") if held else "it is empty",
        "fr": f"il y a : {names}" + (f" et {more} de plus" if more > 0 else "") if held else "il n’y a rien",
    }
    return {
        "en": f"{key} has no part {quoted(wanted)} now; {there['en']}",
        "fr": f"{key} n’a pas d’élément {quoted(wanted)} à présent ; {there['fr']}",
    }


def _may_name(declared: Field, tag: str) -> bool:
    """Whether a language may stand behind a field's key."""
    return declared.type in ("text", "texts") and bool(LANGUAGE_TAG.fullmatch(tag))


def _parts(value: Any) -> dict[str, Mapping[str, Any]]:
    """The inner nodes of a field by their identifiers, whether it holds one or a list."""
    nodes = value if isinstance(value, list) else [value] if isinstance(value, Mapping) else []
    return {str(one["id"]): one for one in nodes}
