"""Says how good a record is, in a few numbers that each come with their reasons: what is there, and what to mend first.

What nobody knows is None and said to be unknown; it never counts as bad. Adding a source, or evidence, lowers no number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from kg.fields import Declaration, Kind, declaration, in_language
from kg.matching.profile import Profile

WEIGHTS: Mapping[str, float] = {"save": 3.0, "publish": 3.0, "advised": 1.0}
"""What a field counts in completeness. One that publication needs counts as much as three that are advised: a practice
that may be published and has none of the seven advised fields reaches 18/25. Fields that nothing asks for count nothing."""

DEAD, ALIVE, UNSURE, REFUSED = "dead", "alive", "unsure", "refused"
"""What a look at a source said: gone for good; there; no clear answer this time; an address we do not ask."""

_TEXTS = {
    "en": {
        "complete": "All fields that are asked for are filled in.",
        "missing": "Missing: {fields}.",
        "strongest": "The strongest evidence is: {type}.",
        "no evidence": "No evidence is stated.",
        "claims": "Claims that name their source: {sourced} of {all}.",
        "no claims": "There are no claims that could name a source.",
        "verified": "Last verified on {day}; full months until {as_of}: {months}.",
        "never verified": "Nobody has noted when this record was last verified.",
        "archived": "Sources with an archived copy: {archived} of {all}.",
        "dead": "A source is gone: {url}.",
        "checked": "Sources that were looked up with a clear answer: {checked} of {all}.",
        "not checked": "No source has been looked up with a clear answer yet, so it is unknown whether they are still there.",
        "no sources": "There are no sources.",
    },
    "fr": {
        "complete": "Tous les champs demandés sont remplis.",
        "missing": "Manque : {fields}.",
        "strongest": "La preuve la plus solide : {type}.",
        "no evidence": "Aucune preuve n'est indiquée.",
        "claims": "Affirmations qui nomment leur source : {sourced} sur {all}.",
        "no claims": "Il n'y a pas d'affirmation qui pourrait nommer une source.",
        "verified": "Vérifiée en dernier le {day} ; mois entiers jusqu'au {as_of} : {months}.",
        "never verified": "Personne n'a noté quand cette fiche a été vérifiée en dernier.",
        "archived": "Sources avec une copie archivée : {archived} sur {all}.",
        "dead": "Une source a disparu : {url}.",
        "checked": "Sources consultées avec une réponse claire : {checked} sur {all}.",
        "not checked": "Aucune source n'a encore été consultée avec une réponse claire : on ne sait pas si elles existent toujours.",
        "no sources": "Il n'y a pas de source.",
    },
}

_CLAIMS = ("outcomes", "periods", "costs", "funding")
"""Parts of a record whose entries are claims and may name their source."""


@dataclass(frozen=True)
class Reason:
    """A sentence in the making: its name and what goes into it; labels are by language."""

    name: str
    parts: Mapping[str, Any]

    def text(self, language: str) -> str:
        """The sentence, in English or French."""
        words = _TEXTS.get(language, _TEXTS["en"])
        return words[self.name].format(**{key: _shown(value, language) for key, value in self.parts.items()})


@dataclass(frozen=True)
class Measure:
    """One number with its reasons. `value` is None where it is unknown; `unit` is "share" (in [0, 1]), "months" or "count"."""

    name: str
    value: float | None
    unit: str
    reasons: tuple[Reason, ...]

    def as_json(self, language: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "known": self.value is not None,
            "reasons": [reason.text(language) for reason in self.reasons],
        }


@dataclass(frozen=True)
class Quality:
    """The quality of one record. `missing` are the keys of fields asked for and absent, the most needed first."""

    kind: str
    id: str
    missing: tuple[str, ...]
    completeness: Measure
    evidence: Measure
    sourced: Measure
    age: Measure
    archived: Measure
    dead: Measure

    @property
    def measures(self) -> tuple[Measure, ...]:
        return self.completeness, self.evidence, self.sourced, self.age, self.archived, self.dead

    def as_json(self, language: str = "en") -> dict[str, Any]:
        return {
            "kind": self.kind,
            "id": self.id,
            "missing": list(self.missing),
            "measures": [measure.as_json(language) for measure in self.measures],
        }


def quality(
    record: Mapping[str, Any],
    *,
    as_of: date,
    looked_up: Mapping[str, str] | None = None,
    profile: Profile | None = None,
    declared: Declaration | None = None,
) -> Quality:
    """Completeness, evidence, share of claims with a source, months since verified, archived and dead sources.

    `looked_up` says of addresses what a look at them said: DEAD, ALIVE, UNSURE or REFUSED; others were never looked
    up. `profile` has the scale of evidence that suggestions use.

    >>> record = {"kind": "practice", "id": "x", "title": {"en": "Duos"}, "evidence": "outcome-counts",
    ...           "outcomes": [{"id": "claim-1", "stated_in": ["source-1"]}, {"id": "claim-2"}],
    ...           "sources": [{"id": "source-1", "url": "https://a.example/"}], "record": {"verified_on": "2025-01-31"}}
    >>> found = quality(record, as_of=date(2026, 3, 1))
    >>> [(measure.name, measure.value) for measure in found.measures]
    [('completeness', 0.28), ('evidence', 0.7), ('sourced', 0.5), ('age', 13.0), ('archived', 0.0), ('dead', None)]
    >>> found.sourced.reasons[0].text("fr")
    'Affirmations qui nomment leur source : 1 sur 2.'
    """
    kind = (declared or declaration()).kind(str(record.get("kind")))
    missing = missing_fields(record.keys() - _empty(record), kind)
    sources = [str(one.get("url")) for one in record.get("sources", ()) if one.get("url")]
    return Quality(
        kind=kind.name,
        id=str(record.get("id", "")),
        missing=missing,
        completeness=_completeness(kind, missing),
        evidence=_evidence(record, profile or Profile(), declared or declaration()),
        sourced=_sourced(record),
        age=_age(record, as_of),
        archived=_archived(record),
        dead=_dead(sources, looked_up or {}),
    )


def missing_fields(present: set[str], kind: Kind) -> tuple[str, ...]:
    """Keys of the fields that a kind asks for and that are not present, the most needed first, then as in the form.

    >>> missing_fields({"name"}, declaration().kind("city"))
    ('country',)
    """
    asked = [field for field in kind.fields if field.needed and field.key not in present]
    return tuple(field.key for field in sorted(asked, key=lambda field: -WEIGHTS[str(field.needed)]))


def completeness_of(missing: Sequence[str], kind: Kind) -> float:
    """The weight of the fields that are there by the weight of all that a kind asks for, in [0, 1].

    >>> completeness_of((), declaration().kind("practice"))
    1.0
    """
    weights = {field.key: WEIGHTS[field.needed] for field in kind.fields if field.needed}
    whole = sum(weights.values())
    return round(1 - sum(weights[key] for key in missing) / whole, 3) if whole else 1.0


def months_between(earlier: date, later: date) -> int:
    """Whole months from one day to another; 0 when it lies ahead.

    >>> months_between(date(2024, 1, 31), date(2026, 1, 30)), months_between(date(2024, 1, 31), date(2026, 1, 31))
    (23, 24)
    """
    months = (later.year - earlier.year) * 12 + later.month - earlier.month - (later.day < earlier.day)
    return max(0, months)


def verified_on(record: Mapping[str, Any]) -> date | None:
    """The day on which somebody last compared the record with its sources; None where it is not noted.

    >>> verified_on({"record": {"verified_on": "2025-01-31"}})
    datetime.date(2025, 1, 31)
    """
    try:
        return date.fromisoformat(str((record.get("record") or {}).get("verified_on", "")))
    except ValueError:
        return None


def _empty(record: Mapping[str, Any]) -> set[str]:
    return {key for key, value in record.items() if value in (None, "", [], {})}


def _completeness(kind: Kind, missing: tuple[str, ...]) -> Measure:
    labels = [kind.by_key[key].label for key in missing]
    reason = Reason("missing", {"fields": labels}) if labels else Reason("complete", {})
    return Measure("completeness", completeness_of(missing, kind), "share", (reason,))


def _evidence(record: Mapping[str, Any], profile: Profile, declared: Declaration) -> Measure:
    """The strongest type of evidence stated for the record or one of its claims."""
    stated = [record.get("evidence"), *(claim.get("evidence") for claim in record.get("outcomes", ()))]
    known = [one for one in stated if one in profile.evidence]
    if not known:
        return Measure("evidence", None, "share", (Reason("no evidence", {}),))
    best = max(known, key=lambda one: (profile.evidence[one], one))
    choices = declared.kind("practice").by_key["evidence"].choices or {}
    label = declared.concepts.get(str(choices.get(best)), {"en": best})
    return Measure("evidence", profile.evidence[best], "share", (Reason("strongest", {"type": label}),))


def _sourced(record: Mapping[str, Any]) -> Measure:
    """The share of claims that name their source; "not told apart" names none."""
    claims = [one for key in _CLAIMS for one in record.get(key, ())]
    if not claims:
        return Measure("sourced", None, "share", (Reason("no claims", {}),))
    sourced = sum(bool(one.get("stated_in")) for one in claims)
    reason = Reason("claims", {"sourced": sourced, "all": len(claims)})
    return Measure("sourced", round(sourced / len(claims), 3), "share", (reason,))


def _age(record: Mapping[str, Any], as_of: date) -> Measure:
    day = verified_on(record)
    if day is None:
        return Measure("age", None, "months", (Reason("never verified", {}),))
    months = months_between(day, as_of)
    parts = {"day": day.isoformat(), "months": months, "as_of": as_of.isoformat()}
    return Measure("age", float(months), "months", (Reason("verified", parts),))


def _archived(record: Mapping[str, Any]) -> Measure:
    """How many sources have an archived copy: a count, since a share would fall when a source is added."""
    sources = record.get("sources", ())
    if not sources:
        return Measure("archived", None, "count", (Reason("no sources", {}),))
    archived = sum(bool(one.get("archived")) for one in sources)
    reason = Reason("archived", {"archived": archived, "all": len(sources)})
    return Measure("archived", float(archived), "count", (reason,))


def _dead(urls: Sequence[str], looked_up: Mapping[str, str]) -> Measure:
    """How many sources are gone, as far as anybody looked."""
    if not urls:
        return Measure("dead", None, "count", (Reason("no sources", {}),))
    answers = {url: looked_up[url] for url in dict.fromkeys(urls) if looked_up.get(url) in (DEAD, ALIVE)}
    if not answers:
        return Measure("dead", None, "count", (Reason("not checked", {}),))
    dead = sorted(url for url, said in answers.items() if said == DEAD)
    reasons = [Reason("dead", {"url": url}) for url in dead]
    reasons.append(Reason("checked", {"checked": len(answers), "all": len(set(urls))}))
    return Measure("dead", float(len(dead)), "count", tuple(reasons))


def _shown(value: Any, language: str) -> str:
    if isinstance(value, Mapping):
        return in_language(value, language)
    if isinstance(value, list):
        return ", ".join(in_language(one, language) for one in value)
    return str(value)
