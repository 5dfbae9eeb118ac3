"""Says whether a dotted place ("outcomes.claim-2.value") exists in a record, and what exists where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kg.errors import quoted
from kg.fields import Field, Structure, declaration
from kg.records import LANGUAGE_TAG

_LISTED = 20
"""So many parts of a list are named in a message; a practice of the starting data has eleven at most."""


def missing_place(record: Mapping[str, Any], place: str) -> str | None:
    """What a place of a record lacks, as one clause; None where the place exists.

    A field exists where the kind, or the sort of part, has it, whether or not it is filled in: "which country?" is
    asked where none stands. So does any language of a text (`title@fr`). A part exists while the record holds it.

    >>> record = {"kind": "practice", "id": "x", "outcomes": [{"id": "claim-2", "value": "7"}]}
    >>> missing_place(record, "outcomes.claim-2.method@fr"), missing_place(record, "record.notes")
    (None, None)
    >>> missing_place(record, "outcomes.claim-1.value")
    "outcomes has no part 'claim-1' now; there are: claim-2"
    >>> missing_place(record, "costs.cost-1")
    "costs has no part 'cost-1' now; it is empty"
    >>> missing_place(record, "outcomes.claim-2.colour")
    "a part of outcomes has no field 'colour'; there are: statement, indicator, value, ..."
    """
    kind = declaration().kind(str(record["kind"]))
    structure: Structure = kind
    owner, values, steps = f"a {kind.name}", record, place.split(".")
    while steps:
        step = steps.pop(0)
        key, at, tag = step.partition("@")
        declared = structure.by_key.get(key)
        if declared is None:
            return f"{owner} has no field {quoted(key)}; there are: {', '.join(structure.by_key)}"
        if at and not _may_name(declared, tag):
            return f"{key} has nothing at {quoted(step)}; name a field, or a language of a text as in 'title@fr'"
        if declared.inner is None or not steps:
            return f"{key} has no parts: remove {quoted('.'.join(steps))} after it" if steps else None
        if key == "record":
            structure, owner = declared.inner, key
            continue
        held, wanted = _parts(values.get(key)), steps.pop(0)
        if wanted not in held:
            more = f" and {len(held) - _LISTED} more" if len(held) > _LISTED else ""
            there = f"there are: {', '.join(list(held)[:_LISTED])}{more}" if held else "it is empty"
            return f"{key} has no part {quoted(wanted)} now; {there}"
        structure, owner, values = declared.inner, f"a part of {key}", held[wanted]
    return None


def _may_name(declared: Field, tag: str) -> bool:
    """Whether a language may stand behind a field's key."""
    return declared.type in ("text", "texts") and bool(LANGUAGE_TAG.fullmatch(tag))


def _parts(value: Any) -> dict[str, Mapping[str, Any]]:
    """The inner nodes of a field by their identifiers, whether it holds one or a list."""
    nodes = value if isinstance(value, list) else [value] if isinstance(value, Mapping) else []
    return {str(one["id"]): one for one in nodes}
