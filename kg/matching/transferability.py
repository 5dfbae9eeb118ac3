"""Whether a practice may be taken up by a city: each of its conditions against facts of the city, with the basis.

The method, and where it comes from (DOMAIN 2.1):

* ASTAIRE (Cambon et al. 2013) and PIET-T (Schloemer and Schröder-Bäck 2018): conditions are reported on the side of the
  practice, and judged for one new setting. They fall into population, intervention, environment and transfer.
* PIET-T: transferability can only be anticipated beforehand. So the answer is a list of conditions that are met, partly
  met, not met or unknown, each with its basis and a question; nothing here says that a practice will work.
* A figure for sorting lists, T = Σ w·v / Σ w over the known conditions (met 1, partly ½, not met 0), exists only together
  with its coverage κ = Σ w known / Σ w.
* A rule decides only where a fact decides: numbers, codes of countries and languages, names on record. Free text is shown
  beside the facts it is about, for people to judge; a city can say itself which conditions it meets.
* That nothing is known about a condition never counts as bad, and no condition is asked for that the practice has not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from kg.errors import figures
from kg.matching.factors import shared_languages, size_similarity
from kg.matching.facts import DeclaredExperience, Names
from kg.matching.profile import Profile
from kg.matching.reasons import (
    LANGUAGE_NAMES,
    LANGUAGES,
    in_language,
    inhabitants,
    listed,
    of,
    quoted_title,
    times,
    with_article,
)

Status = Literal["met", "partly", "not-met", "unknown"]
Group = Literal["population", "intervention", "environment", "transfer"]

METHOD, VERSION = "transferability", "1"

VALUES: Mapping[str, float] = {"met": 1.0, "partly": 0.5, "not-met": 0.0}
"""What a known status counts in T (DOMAIN 2.1)."""

STATED_WEIGHT, SETTING_WEIGHT = 1.0, 0.5
"""What the record itself asks for counts twice what only shows in how its setting differs."""

LIKE_SIZE, FAR_SIZE = 2 / 3, 1 / 3
"""Similarity of sizes from which on cities are alike, and below which far apart: ratios of 4.6 and 21.5. Of the real
IncluCities pairs one is alike, three are between."""

EU = frozenset(
    ("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
     "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK")
)  # fmt: skip
"""Countries of the European Union, whose funds they may use."""

REGIONS_WITH_LAWS: Mapping[str, int] = {"AT": 4, "BE": 3, "CH": 5, "DE": 3, "ES": 4, "GB": 3, "IT": 4}
"""Countries whose regions make laws of their own (all regions or most, members of CALRE, and Switzerland), with how many
characters of a NUTS code name such a region."""


@dataclass(frozen=True)
class Known:
    """A figure with where it is from and which year it is of, as far as that is on record."""

    value: float
    source: str | None = None
    year: str | None = None


@dataclass(frozen=True)
class Stated:
    """A condition in the words of the record. `aspect` is a notation of the ontology's scheme."""

    id: str
    aspect: str
    text: Names


@dataclass(frozen=True)
class Cost:
    """What the practice took: `resource` is money, staff, premises or time; `amount` in `currency` for money."""

    id: str
    resource: str
    amount: float | None = None
    currency: str | None = None
    year: str | None = None
    note: Names = field(default_factory=dict)


@dataclass(frozen=True)
class Body:
    """An organisation that took part or paid. `sort` is its type on record, `country` where it acts, if it is national."""

    name: str
    sort: str | None = None
    country: str | None = None
    european: bool = False


@dataclass(frozen=True)
class TakenUp:
    """A transfer on record: where to, and how far the practice was followed (copied, adapted, inspired or None)."""

    place: str
    country: str | None = None
    degree: str | None = None
    to_city: str | None = None


@dataclass(frozen=True)
class NeedOnRecord:
    """A public need of the city, with its themes (and all narrower ones), target groups and the address of its record."""

    text: Names
    themes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    record: str | None = None


@dataclass(frozen=True)
class Setting:
    """A city as a setting: on record, or as it describes itself. Everything may be unknown.

    `organisations` are bodies that have their seat there. `staff` is in full-time posts, `budget` in `currency`, `years` is
    how long it can plan for. `answers` are its own judgements of conditions, by their ids. `record` is the address of
    its record, None for a city that is not on record.
    """

    name: Names = field(default_factory=dict)
    record: str | None = None
    ids: frozenset[str] = frozenset()
    country: str | None = None
    country_name: Names = field(default_factory=dict)
    nuts: str | None = None
    languages: tuple[str, ...] = ()
    working_languages: tuple[str, ...] = ()
    population: Known | None = None
    needs: tuple[NeedOnRecord, ...] = ()
    experience: tuple[DeclaredExperience, ...] = ()
    practised: frozenset[str] = frozenset()
    organisations: tuple[Body, ...] = ()
    staff: Known | None = None
    budget: Known | None = None
    currency: str = "EUR"
    years: Known | None = None
    answers: Mapping[str, Status] = field(default_factory=dict)


@dataclass(frozen=True)
class Practice:
    """What a practice's record says that bears on its transfer. `setting` is its own city.

    `themes` are its themes; `theme_labels` and `group_labels` name themes and target groups. `years` is how long it ran, if
    it has ended. Texts that the record has not are empty.
    """

    id: str
    title: Names
    setting: Setting
    themes: frozenset[str] = frozenset()
    theme_labels: Mapping[str, Names] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    group_labels: Mapping[str, Names] = field(default_factory=dict)
    conditions: tuple[Stated, ...] = ()
    success_factors: Names = field(default_factory=dict)
    core_elements: Names = field(default_factory=dict)
    costs: tuple[Cost, ...] = ()
    funders: tuple[Body, ...] = ()
    partners: tuple[Body, ...] = ()
    years: int | None = None
    taken_up: tuple[TakenUp, ...] = ()


@dataclass(frozen=True)
class Fact:
    """A fact of the city that a judgement rests on, from where and as of when, as far as on record."""

    text: Names
    source: str | None = None
    year: str | None = None


@dataclass(frozen=True)
class Criterion:
    """One condition, judged. `basis` says who judged: "record" (a rule on facts) or "city" (its own word).

    `stated` says that the practice's record asks for it; otherwise it shows in how the settings compare. `condition` is
    what the practice has or asks for, `finding` how the city stands to it. `ask` is the question to the mentor and `look_up`
    what the city can find out at home, both only where the status is unknown or partly met.
    """

    id: str
    aspect: str
    group: Group
    stated: bool
    status: Status
    basis: str
    condition: Names
    finding: Names
    facts: tuple[Fact, ...] = ()
    ask: Names = field(default_factory=dict)
    look_up: Names = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """How much it counts in T and κ."""
        return STATED_WEIGHT if self.stated else SETTING_WEIGHT


@dataclass(frozen=True)
class Assessment:
    """All conditions of a practice for a city, unknown ones first, then not met, partly and met.

    `coverage` is κ; `for_sorting` is T, None where nothing is known. Neither is shown without the other.
    """

    criteria: tuple[Criterion, ...]
    coverage: float
    for_sorting: float | None

    def count(self, status: Status) -> int:
        """How many conditions have a status."""
        return sum(one.status == status for one in self.criteria)


ORDER: tuple[Status, ...] = ("unknown", "not-met", "partly", "met")


def assess(practice: Practice, city: Setting, profile: Profile) -> Assessment:
    """Judge every condition of a practice for a city.

    Pure: the answer depends on nothing but the arguments, and not on the order in which records list things. A
    fact more about the city changes only the conditions it is about: the number of met ones never falls by it. The
    city's own answer goes before what a rule finds.

    >>> gothenburg = Setting({"en": "Gothenburg"}, country="SE", languages=("sv",), population=Known(590_000))
    >>> guide = Practice("guide", {"en": "Guides"}, gothenburg, conditions=(
    ...     Stated("condition-1", "language", {"en": "Newcomers need some Swedish."}),))
    >>> turku = Setting({"en": "Turku"}, country="FI", languages=("fi", "sv"), population=Known(195_000))
    >>> found = assess(guide, turku, Profile())
    >>> [(one.id, one.status) for one in found.criteria]
    [('law', 'unknown'), ('condition-1', 'met'), ('size', 'met'), ('working-language', 'met')]
    >>> found.coverage, found.for_sorting
    (0.8, 1.0)
    """
    judged = [_answered(one, city) for judge in _JUDGES for one in judge(practice, city, profile)]
    judged.sort(key=lambda one: (ORDER.index(one.status), not one.stated, one.id))
    whole = math.fsum(one.weight for one in judged)
    known = [(one.weight, VALUES[one.status]) for one in judged if one.status != "unknown"]
    weight = math.fsum(share for share, _ in known)
    value = math.fsum(share * worth for share, worth in known) / weight if weight else None
    return Assessment(tuple(judged), weight / whole if whole else 0.0, value)


def _answered(one: Criterion, city: Setting) -> Criterion:
    """The city's own word, where it has given one."""
    answer = city.answers.get(one.id)
    if answer is None:
        return one
    said = say("{city} says so itself.", "{city} le dit elle-même.", city=_named(city))
    return replace(
        one, status=answer, basis="city", finding=said, ask=one.ask if answer == "unknown" else {}, look_up={}
    )


# Sentences

UNNAMED: Names = {"en": "the city", "fr": "la ville"}


def _named(city: Setting) -> dict[str, str]:
    """What sentences call a city."""
    return {language: with_article(in_language(city.name or UNNAMED, language), language) for language in LANGUAGES}


def say(en: str, fr: str, **holes: Names | str) -> Names:
    """A sentence in both languages; a hole is filled with a text or with its wording in the language.

    >>> say("In {city}.", "À {city}.", city={"en": "Ghent", "fr": "Gand"})["fr"]
    'À Gand.'
    """

    def filled(language: str, template: str) -> str:
        words = {key: hole if isinstance(hole, str) else in_language(hole, language) for key, hole in holes.items()}
        text = template.format(**words)
        return text[:1].upper() + text[1:]

    return {"en": filled("en", en), "fr": filled("fr", fr)}


def _number(value: float) -> Names:
    return {language: inhabitants(round(value), language) for language in ("en", "fr")}


def _whole(value: float) -> Names:
    in_english, in_french = figures(round(value))
    return {"en": in_english, "fr": in_french}


def _languages(codes: Sequence[str]) -> Names:
    tags = sorted({code.partition("-")[0].lower() for code in codes})
    return {
        language: listed([LANGUAGE_NAMES.get(tag, {}).get(language, tag) for tag in tags], language)
        for language in ("en", "fr")
    }


def _labels(keys: Iterable[str], labels: Mapping[str, Names]) -> Names:
    return {
        language: listed(sorted(in_language(labels.get(key, {"en": key}), language) for key in keys), language)
        for language in ("en", "fr")
    }


def _population_fact(city: Setting) -> tuple[Fact, ...]:
    known = city.population
    if known is None:
        return ()
    text = say("{n} inhabitants", "{n} habitants", n=_whole(known.value))
    return (Fact(text, known.source or city.record, known.year),)


def _languages_fact(city: Setting) -> tuple[Fact, ...]:
    spoken = (*city.languages, *city.working_languages)
    return (Fact(say("languages: {l}", "langues : {l}", l=_languages(spoken)), city.record),) if spoken else ()


def _country_fact(city: Setting) -> tuple[Fact, ...]:
    return (
        (Fact(say("country: {c}", "pays : {c}", c=city.country_name or city.country), city.record),)
        if city.country
        else ()
    )


# What the record states

ASPECTS: Mapping[str, tuple[Group, Names, Names]] = {
    # aspect: its part in PIET-T, the question to the mentor, what to look up at home
    "size": (
        "population",
        {"en": "How many people does it take for this to work?", "fr": "Combien d’habitants faut-il pour que cela marche ?"},
        {"en": "Your number of inhabitants.", "fr": "Le nombre de vos habitants."},
    ),
    "competence": (
        "environment",
        {"en": "Which powers of the municipality does it rest on?", "fr": "Sur quelles compétences communales repose-t-elle ?"},
        {"en": "Whether your municipality has these powers; your association knows.", "fr": "Si votre commune a ces compétences ; votre association le sait."},
    ),
    "staff": (
        "intervention",
        {"en": "Who does the work, with which skills, for how many hours?", "fr": "Qui fait le travail, avec quelles qualifications et combien d’heures ?"},
        {"en": "Whom you could charge with it.", "fr": "Qui vous pourriez en charger."},
    ),
    "budget": (
        "intervention",
        {"en": "What does it cost a year, and what for?", "fr": "Combien coûte-t-elle par an, et pour quoi ?"},
        {"en": "What you could spend on it, and for how long.", "fr": "Ce que vous pourriez y consacrer, et combien de temps."},
    ),
    "partners": (
        "environment",
        {"en": "Which partners are indispensable, and how were they won?", "fr": "Quels partenaires sont indispensables, et comment ont-ils été gagnés ?"},
        {"en": "Which organisations near you could take that part.", "fr": "Quelles organisations proches pourraient tenir ce rôle."},
    ),
    "housing-market": (
        "environment",
        {"en": "How tight was the housing market when it worked?", "fr": "Le marché du logement était-il tendu quand cela marchait ?"},
        {"en": "How tight yours is.", "fr": "L’état de votre marché du logement."},
    ),
    "legal": (
        "environment",
        {"en": "Which rules allow it or stand in its way?", "fr": "Quelles règles la permettent ou la gênent ?"},
        {"en": "What your national and regional rules say; your association knows.", "fr": "Ce que disent vos règles nationales et régionales ; votre association le sait."},
    ),
    "political": (
        "environment",
        {"en": "Whose backing did it need, and how was it won?", "fr": "De quel soutien a-t-elle eu besoin, et comment l’a-t-elle gagné ?"},
        {"en": "Who would stand behind it in your city.", "fr": "Qui la soutiendrait dans votre ville."},
    ),
    "language": (
        "population",
        {"en": "Which languages must people and staff speak?", "fr": "Quelles langues les habitants et le personnel doivent-ils parler ?"},
        {"en": "Which languages are spoken with you.", "fr": "Quelles langues se parlent chez vous."},
    ),
    "other": (
        "environment",
        {"en": "How important was this, and could something else take its place?", "fr": "Était-ce important, et autre chose pourrait-il le remplacer ?"},
        {"en": "Whether it holds in your city.", "fr": "Si c’est le cas dans votre ville."},
    ),
}  # fmt: skip

_TO_JUDGE = say(
    "People have to judge this; what is on record about {city} does not decide it.",
    "C’est aux personnes d’en juger ; ce qui est documenté sur {city} ne suffit pas.",
    city="{city}",
)


def _open(city: Setting) -> Names:
    return say(_TO_JUDGE["en"], _TO_JUDGE["fr"], city=_named(city))


def _stated(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """The conditions for transfer in the record's own words."""
    for one in practice.conditions:
        aspect = one.aspect if one.aspect in ASPECTS else "other"
        group, ask, look_up = ASPECTS[aspect]
        rule = _BY_ASPECT.get(aspect)
        status, finding = rule(one.text, practice, city) if rule else ("unknown", _open(city))
        facts = _FACTS[aspect](city) if aspect in _FACTS else ()
        settled = status in ("met", "not-met")
        yield Criterion(
            one.id,
            aspect,
            group,
            True,
            status,
            "record",
            one.text,
            finding,
            facts,
            {} if settled else ask,
            {} if settled else look_up,
        )


_NUMBER = re.compile(r"\d{1,3}(?:[ .,\u00a0\u202f]\d{3})+|\d{4,}")
_AT_LEAST = re.compile(r"\b(at least|more than|over|from|minimum|au moins|plus de|à partir de)\b", re.IGNORECASE)
_AT_MOST = re.compile(r"\b(at most|less than|fewer than|under|up to|maximum|au plus|moins de|jusqu.à)\b", re.IGNORECASE)


def size_bound(text: str) -> tuple[float, float] | None:
    """Least and most inhabitants that a sentence asks for, None where it does not say so in plain words.

    >>> size_bound("Best from 30,000 inhabitants on."), size_bound("Pour moins de 20 000 habitants")
    ((30000.0, inf), (0.0, 20000.0))
    >>> size_bound("Needs a dense town.") is None
    True
    """
    numbers = _NUMBER.findall(text)
    least, most = bool(_AT_LEAST.search(text)), bool(_AT_MOST.search(text))
    if len(numbers) != 1 or least == most:
        return None
    number = float(re.sub(r"\D", "", numbers[0]))
    return (number, math.inf) if least else (0.0, number)


def _of_size(text: Names, practice: Practice, city: Setting) -> tuple[Status, Names]:
    bound = next((found for said in text.values() if (found := size_bound(said))), None)
    if bound is None or city.population is None:
        return "unknown", _open(city)
    least, most = bound
    people = city.population.value
    said = say("{city} has {n} inhabitants.", "{city} compte {n} habitants.", city=_named(city), n=_whole(people))
    if least <= people <= most:
        return "met", said
    return "partly" if 0.8 * least <= people <= 1.25 * most else "not-met", said


def _of_language(text: Names, practice: Practice, city: Setting) -> tuple[Status, Names]:
    """Met where a language that the condition names is spoken officially; else its own language may take the place."""
    words = {word for said in text.values() for word in re.findall(r"[^\W\d_]+", said.lower())}
    named = {code for code, names in LANGUAGE_NAMES.items() if words & {names["en"].lower(), names["fr"].lower()}}
    shared = shared_languages(named, (*city.languages, *city.working_languages))
    if not shared:
        return "unknown", _open(city)
    return "met", say("{l} is spoken in {city}.", "On parle {l} à {city}.", l=_languages(shared), city=_named(city))


def _of_law(text: Names, practice: Practice, city: Setting) -> tuple[Status, Names]:
    return _law(practice.setting, city)


_Rule = Callable[[Names, Practice, Setting], tuple[Status, Names]]
_BY_ASPECT: Mapping[str, _Rule] = {"size": _of_size, "language": _of_language, "legal": _of_law, "competence": _of_law}
_FACTS: Mapping[str, Callable[[Setting], tuple[Fact, ...]]] = {
    "size": _population_fact,
    "language": _languages_fact,
    "legal": _country_fact,
    "competence": _country_fact,
}


def _texts(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """What made it work and what must be kept: told in words, for people to judge."""
    asked = (
        (
            "success-factors",
            practice.success_factors,
            {"en": "Which of these mattered most, and what did you do where one was missing?", "fr": "Lesquels ont le plus compté, et qu’avez-vous fait là où l’un manquait ?"},
            {"en": "Which of these you have.", "fr": "Lesquels sont réunis chez vous."},
        ),
        (
            "core-elements",
            practice.core_elements,
            {"en": "What breaks when one of these is left out?", "fr": "Que perd-on si l’on omet l’un de ces éléments ?"},
            {"en": "Whether you can keep all of these.", "fr": "Si vous pouvez tous les garder."},
        ),
    )  # fmt: skip
    for id, text, ask, look_up in asked:
        if text:
            yield Criterion(id, id, "intervention", True, "unknown", "record", text, _open(city), (), ask, look_up)


# What it took


def _resources(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """Money, staff, premises and time that the record names, one condition for each sort."""
    for resource in ("money", "staff", "premises", "time"):
        costs = sorted((one for one in practice.costs if one.resource == resource), key=lambda one: one.id)
        if not costs:
            continue
        status, finding, facts = _MEASURED.get(resource, _unmeasured)(practice, costs, city)
        _, ask, look_up = ASPECTS["staff" if resource == "staff" else "budget" if resource == "money" else "other"]
        settled = status == "met"
        yield Criterion(
            resource,
            resource,
            "intervention",
            True,
            status,
            "record",
            _cost_text(costs),
            finding,
            facts,
            {} if settled else ask,
            {} if settled else look_up,
        )


def _cost_text(costs: Sequence[Cost]) -> Names:
    def one(cost: Cost, language: str) -> str:
        amount = _whole(cost.amount)[language] if cost.amount is not None else ""
        named = " ".join(filter(None, (amount, cost.currency or "", f"({cost.year})" if cost.year and amount else "")))
        note = in_language(cost.note, language)
        return ": ".join(filter(None, (named, note))) if cost.resource == "money" or not note else note

    return {language: "; ".join(one(cost, language) for cost in costs) for language in ("en", "fr")}


_Measure = tuple[Status, Names, tuple[Fact, ...]]


def _unmeasured(practice: Practice, costs: Sequence[Cost], city: Setting) -> _Measure:
    return "unknown", _open(city), ()


def _of_money(practice: Practice, costs: Sequence[Cost], city: Setting) -> _Measure:
    """The dearest sum stated against the city's own money; a smaller city may need less, in proportion."""
    sums = [cost.amount for cost in costs if cost.amount is not None and cost.currency == city.currency]
    if not sums:
        return "unknown", _open(city), ()
    needed, own, there = max(sums), city.population, practice.setting.population
    share = needed * own.value / there.value if own and there and there.value > 0 else None
    scaled = (
        say(
            "In proportion to inhabitants that would be about {n} {c} in {city}.",
            "En proportion des habitants, ce serait environ {n} {c} pour {city}.",
            n=_number(share),
            c=city.currency,
            city=_named(city),
        )
        if share is not None
        else {}
    )
    if city.budget is None:
        return "unknown", scaled or _open(city), _population_fact(city) if scaled else ()
    has = city.budget.value
    fact = Fact(say("{n} {c} to spend", "{n} {c} à dépenser", n=_whole(has), c=city.currency), city.budget.source)
    status: Status = "met" if has >= needed else "partly" if share is not None and has >= share else "not-met"
    said = say(
        "{city} has {n} {c}, against {m}.",
        "{city} dispose de {n} {c}, contre {m}.",
        city=_named(city),
        n=_whole(has),
        m=_whole(needed),
        c=city.currency,
    )
    return status, {key: " ".join(filter(None, (said[key], scaled.get(key)))) for key in said}, (fact,)


def _of_staff(practice: Practice, costs: Sequence[Cost], city: Setting) -> _Measure:
    numbers = [cost.amount for cost in costs if cost.amount is not None]
    if not numbers or city.staff is None:
        return "unknown", _open(city), ()
    needed, has = max(numbers), city.staff.value
    said = say(
        "{city} has {n} posts, against {m}.",
        "{city} dispose de {n} postes, contre {m}.",
        city=_named(city),
        n=_whole(has),
        m=_whole(needed),
    )
    fact = Fact(say("{n} posts", "{n} postes", n=_whole(has)), city.staff.source)
    return ("met" if has >= needed else "partly" if 2 * has >= needed else "not-met"), said, (fact,)


_MEASURED: Mapping[str, Callable[[Practice, Sequence[Cost], Setting], _Measure]] = {
    "money": _of_money,
    "staff": _of_staff,
}


def _duration(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """How long it ran, where it has ended: what the city can plan for is its own to say."""
    if practice.years is None:
        return
    plural = "" if practice.years == 1 else "s"
    condition = say(
        f"It ran for about {practice.years} year{plural}.", f"Elle a duré environ {practice.years} an{plural}."
    )
    status: Status = "unknown"
    facts: tuple[Fact, ...] = ()
    if city.years is not None:
        has = city.years.value
        status = "met" if has >= practice.years else "partly" if 2 * has >= practice.years else "not-met"
        facts = (Fact(say("can plan for {n} years", "peut prévoir {n} ans", n=_whole(has)), city.years.source),)
    yield Criterion(
        "duration",
        "duration",
        "intervention",
        False,
        status,
        "record",
        condition,
        facts[0].text if facts else _open(city),
        facts,
        {} if status == "met" else {"en": "How long until it worked, and what has remained since it ended?", "fr": "Combien de temps avant que cela marche, et qu’en reste-t-il depuis la fin ?"},
        {} if status == "met" else {"en": "How many years you can plan for.", "fr": "Combien d’années vous pouvez prévoir."},
    )  # fmt: skip


def _funding(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """Whether those who paid could pay in the city's country too. Whether they would is theirs to say: at best partly."""
    if not practice.funders:
        return
    names = sorted({body.name for body in practice.funders})
    condition = say("Paid by {n}.", "Financée par {n}.", n={key: listed(names, key) for key in ("en", "fr")})
    near = [
        b for b in practice.funders if (b.european and city.country in EU) or (b.country and b.country == city.country)
    ]
    far = [b for b in practice.funders if b.country and b.country != city.country and not b.european]
    if city.country and near:
        named = sorted({body.name for body in near})
        status: Status = "partly"
        finding = say(
            "{n} may pay in {c} too; whether it would now has to be asked.",
            "{n} : un financement est possible aussi dans ce pays ({c}) ; reste à savoir si c’est le cas aujourd’hui.",
            n={key: listed(named, key) for key in ("en", "fr")},
            c=city.country_name or city.country,
        )
    elif city.country and len(far) == len(practice.funders):
        status, finding = "not-met", say(
            "None of those who paid acts in {c}.", "Aucun de ces financeurs n’intervient dans ce pays ({c}).",
            c=city.country_name or city.country,
        )  # fmt: skip
    else:
        status, finding = "unknown", _open(city)
    yield Criterion(
        "funding", "funding", "intervention", True, status, "record", condition, finding, _country_fact(city),
        {"en": "Who pays for it now, and what happened when project money ended?", "fr": "Qui la paie aujourd’hui, et que s’est-il passé à la fin des subventions ?"},
        {"en": "Which funds are open to you now.", "fr": "Quels fonds vous sont ouverts aujourd’hui."},
    )  # fmt: skip


# How the settings compare


def _size(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """Sizes alike, somewhat different or far apart, by the similarity that suggestions use (DOMAIN 2.4)."""
    there = practice.setting.population
    if there is None or there.value <= 0:
        return
    condition = say(
        "{there} has {n} inhabitants.",
        "{there} compte {n} habitants.",
        there=_named(practice.setting),
        n=_number(there.value),
    )
    group, ask, look_up = ASPECTS["size"]
    if city.population is None or city.population.value <= 0:
        yield Criterion("size", "size", group, False, "unknown", "record", condition, _open(city), (), ask, look_up)
        return
    alike = size_similarity(city.population.value, there.value, profile.size_ratio)
    status: Status = "met" if alike >= LIKE_SIZE else "partly" if alike >= FAR_SIZE else "not-met"
    ratio = max(there.value, city.population.value) / min(there.value, city.population.value)
    factor = {language: times(ratio, language) for language in ("en", "fr")}
    finding = say(
        "{city} has {n}: a ratio of {r}.", "{city} en compte {n} : un rapport de {r}.",
        city=_named(city), n=_number(city.population.value), r=factor,
    )  # fmt: skip
    settled = status == "met"
    yield Criterion(
        "size", "size", group, False, status, "record", condition, finding, _population_fact(city),
        {} if settled else {"en": "What would be different in a city of our size?", "fr": "Qu’est-ce qui changerait dans une ville de notre taille ?"},
    )  # fmt: skip


def _law(there: Setting, city: Setting) -> tuple[Status, Names]:
    """Same rules, partly the same, or not known: that a country differs does not say that its rules forbid."""
    if not there.country or not city.country:
        return "unknown", say(
            "In which country each of them is, is not on record.", "Le pays de l’une des deux n’est pas documenté."
        )
    name = city.country_name or city.country
    if there.country != city.country:
        return "unknown", say(
            "{city} is in another country ({c}): whether its rules and powers allow the same is not on record.",
            "{city} est dans un autre pays ({c}) : on ne sait pas si ses règles et compétences permettent la même chose.",
            city=_named(city),
            c=name,
        )
    digits = REGIONS_WITH_LAWS.get(city.country)
    if digits is None or (there.nuts and city.nuts and there.nuts[:digits] == city.nuts[:digits]):
        return "met", say("Both follow the same laws ({c}).", "Les deux suivent les mêmes lois ({c}).", c=name)
    return "partly", say(
        "Both are in one country ({c}), whose regions make laws of their own.",
        "Les deux sont dans un même pays ({c}), dont les régions ont leurs propres lois.",
        c=name,
    )


def _frame(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """The country's rules and the powers of municipalities, unless the record names conditions of law itself."""
    there = practice.setting
    if not there.country or any(one.aspect in ("legal", "competence") for one in practice.conditions):
        return
    condition = say(
        "It works under the rules of {c}.",
        "Elle suit les règles de ce pays : {c}.",
        c=there.country_name or there.country,
    )
    status, finding = _law(there, city)
    up = [one for one in practice.taken_up if one.country and one.country == city.country != there.country]
    if status == "unknown" and up:
        status, finding = "partly", say(
            "It was taken up in the same country: {p}.", "Elle a été reprise dans le même pays : {p}.",
            p=", ".join(sorted({one.place for one in up})),
        )  # fmt: skip
    group, ask, look_up = ASPECTS["competence"]
    settled = status == "met"
    yield Criterion(
        "law", "legal", group, False, status, "record", condition, finding, _country_fact(city),
        {} if settled else ask, {} if settled else look_up,
    )  # fmt: skip


def _working_language(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """A language in which both can work: the way by which a practice travels (Dolowitz and Marsh's constraint)."""
    there = practice.setting
    own = (*there.working_languages, *there.languages)
    if not own:
        return
    name = _named(there)
    condition = say(
        "{there} works in {l}.", "Langues {there} : {l}.",
        there={**name, "fr": of(name["fr"])}, l=_languages(own),
    )  # fmt: skip
    shared = shared_languages(own, (*city.working_languages, *city.languages))
    status: Status = "unknown"
    if shared:
        status, finding = "met", say("Both share {l}.", "Langue commune : {l}.", l=_languages(shared))
    elif there.working_languages and city.working_languages:
        status, finding = (
            "not-met",
            say("No shared working language is stated.", "Aucune langue de travail commune n’est indiquée."),
        )
    else:
        finding = say(
            "No common language is on record; a third one may do.",
            "Aucune langue commune n’est documentée ; une langue tierce reste possible.",
        )
    yield Criterion(
        "working-language", "language", "transfer", False, status, "record", condition, finding, _languages_fact(city),
        {} if status == "met" else {"en": "In which languages can your team work, and which papers are there in them?", "fr": "Dans quelles langues votre équipe peut-elle travailler, et quels documents existent ?"},
        {} if status == "met" else {"en": "In which languages your team can work.", "fr": "Dans quelles langues votre équipe peut travailler."},
    )  # fmt: skip


def _people(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """Whom it is for: met where needs of the city name all of these groups, partly where they name some."""
    if not practice.groups:
        return
    condition = say("It is for {g}.", "Elle s’adresse à : {g}.", g=_labels(practice.groups, practice.group_labels))
    naming = [need for need in city.needs if need.groups & practice.groups]
    shared = practice.groups & frozenset().union(*(need.groups for need in naming))
    holes: dict[str, Names | str] = {
        "city": _named(city),
        "g": _labels(shared, practice.group_labels),
        "others": _labels(practice.groups - shared, practice.group_labels),
    }
    status: Status = "unknown" if not shared else "met" if shared == practice.groups else "partly"
    if status == "met":
        finding = say("Needs of {city} name {g}.", "Les besoins exprimés par {city} nomment : {g}.", **holes)
    elif status == "partly":
        finding = say(
            "Needs of {city} name {g}; they do not name {others}.",
            "Les besoins exprimés par {city} nomment : {g} ; ils ne nomment pas : {others}.",
            **holes,
        )
    else:
        finding = say(
            "Whether {city} has these people in view is not on record.", "On ne sait pas si {city} vise ces publics.",
            **holes,
        )  # fmt: skip
    yield Criterion(
        "target-groups", "target-groups", "population", False, status, "record", condition, finding,
        _needs_naming(naming, practice),
        {} if status == "met" else {"en": "Whom do you reach, and whom not?", "fr": "Qui touchez-vous, et qui non ?"},
        {} if status == "met" else {"en": "How many people of these groups live with you.", "fr": "Combien de personnes de ces publics vivent chez vous."},
    )  # fmt: skip


def _needs_naming(needs: Iterable[NeedOnRecord], practice: Practice) -> tuple[Fact, ...]:
    """Needs in their words with the address of the record; one without words is what the request itself names."""
    facts = []
    for need in needs:
        named = _labels(need.groups & practice.groups, practice.group_labels)
        said = say("named in the request: {g}", "nommés dans la demande : {g}", g=named)
        facts.append(Fact(need.text or said, need.record))
    return _in_order(facts)


def _in_order(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(sorted(facts, key=lambda fact: (fact.source or "", sorted(fact.text.items()))))


def _need(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """The problem is the city's too: met where a need of the city has a theme of the practice, or a wider one."""
    if not practice.themes:
        return
    condition = say("It is about {t}.", "Elle porte sur : {t}.", t=_labels(practice.themes, practice.theme_labels))
    fitting = [need for need in city.needs if need.themes & practice.themes]
    status: Status = "met" if fitting else "unknown"
    if fitting:
        shared = _labels(frozenset().union(*(need.themes for need in fitting)) & practice.themes, practice.theme_labels)
        finding = say(
            "{city} has stated a need on {t}.",
            "{city} a exprimé un besoin sur : {t}.",
            city=_named(city),
            t=shared,
        )
    else:
        finding = say(
            "No need of {city} on this is on record.", "Aucun besoin {city} sur ce sujet n’est documenté.",
            city={"en": _named(city)["en"], "fr": of(_named(city)["fr"]) if city.name else "de la ville"},
        )  # fmt: skip
    facts = _in_order(Fact(need.text, need.record) for need in fitting if need.text)
    yield Criterion(
        "need", "need", "population", False, status, "record", condition, finding, facts,
        {} if fitting else {"en": "What was it like before, and how did you know that it was needed?", "fr": "Comment était-ce avant, et comment avez-vous su qu’il le fallait ?"},
        {} if fitting else {"en": "Whether your problem is the same; say it as a need.", "fr": "Si votre problème est le même ; dites-le comme besoin."},
    )  # fmt: skip


def _own_experience(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """What the city itself has done or says it can on these themes; nothing on record is unknown, not none."""
    if not practice.themes:
        return
    condition = say(
        "It is easier with some experience on {t}.", "Un peu d’expérience aide, sur : {t}.",
        t=_labels(practice.themes, practice.theme_labels),
    )  # fmt: skip
    level = max((one.level for one in city.experience if one.theme in practice.themes), default=None)
    practised = practice.themes & city.practised
    if practised:
        status: Status = "met"
        finding = say(
            "{city} has practices of its own on {t}.", "{city} a ses propres pratiques sur : {t}.",
            city=_named(city), t=_labels(practised, practice.theme_labels),
        )  # fmt: skip
    elif level is not None:
        status = "met" if level >= 0.5 else "partly" if level > 0 else "not-met"
        words = {
            "met": ("experience", "de l’expérience"),
            "partly": ("little experience yet", "encore peu d’expérience"),
            "not-met": ("no experience yet", "pas encore d’expérience"),
        }[status]
        finding = say("{city} states {e}.", "{city} déclare : {f}.", city=_named(city), e=words[0], f=words[1])
    else:
        status, finding = (
            "unknown",
            say("Its own experience is not on record.", "Son expérience propre n’est pas documentée."),
        )
    settled = status == "met"
    yield Criterion(
        "experience", "experience", "transfer", False, status, "record", condition, finding, (),
        {} if settled else {"en": "What should a beginner do first?", "fr": "Par quoi un débutant doit-il commencer ?"},
        {} if settled else {"en": "What you have tried already.", "fr": "Ce que vous avez déjà essayé."},
    )  # fmt: skip


SORTS: Mapping[str, Names] = {
    "civil-society-organisation": {"en": "civil society", "fr": "société civile"},
    "university": {"en": "a university", "fr": "une université"},
    "public-body": {"en": "another public body", "fr": "un autre organisme public"},
    "company": {"en": "a company", "fr": "une entreprise"},
}
"""Sorts of partners that a city may or may not have; associations, networks and funders are reached from anywhere."""


def _partnership(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """Partners of the same sort that have their seat in the city: met for all sorts, partly for some."""
    sorts = {body.sort for body in practice.partners if body.sort in SORTS}
    if not sorts:
        return
    condition = say("It was done with {s}.", "Elle a été menée avec : {s}.", s=_labels(filter(None, sorts), SORTS))
    here = [body for body in city.organisations if body.sort in sorts]
    status: Status = "unknown" if not here else "met" if {body.sort for body in here} >= sorts else "partly"
    names = sorted({body.name for body in here})
    group, ask, look_up = ASPECTS["partners"]
    finding = (
        say("On record in {city}: {n}.", "Documenté à {city} : {n}.", city=_named(city), n={key: listed(names, key) for key in ("en", "fr")})
        if here
        else say("Which such partners {city} has is not on record.", "Les partenaires de ce genre à {city} ne sont pas documentés.", city=_named(city))
    )  # fmt: skip
    settled = status == "met"
    yield Criterion(
        "partners", "partners", group, False, status, "record", condition, finding, (),
        {} if settled else ask, {} if settled else look_up,
    )  # fmt: skip


def _history(practice: Practice, city: Setting, profile: Profile) -> Iterable[Criterion]:
    """Whether it has been taken up elsewhere: met where copied or adapted, partly where that is not said.

    This is what the record states of transferability itself. Where nothing is on record there is no condition to meet.
    """
    if not practice.taken_up:
        return
    degrees = {one.degree for one in practice.taken_up}
    status: Status = "met" if degrees & {"copied", "adapted"} else "partly"
    places = sorted({one.place for one in practice.taken_up})
    own = [one for one in practice.taken_up if one.to_city in city.ids]
    finding = say("Taken up by {p}.", "Reprise par {p}.", p={key: listed(places[:8], key) for key in ("en", "fr")})
    if own:
        more = say("{city} itself is among them.", "{city} en fait partie.", city=_named(city))
        finding = {key: f"{finding[key]} {more[key]}" for key in finding}
    condition = say(
        "A practice that has travelled can travel again.", "Une pratique qui a déjà été reprise peut l’être encore."
    )
    yield Criterion(
        "taken-up", "taken-up", "transfer", True, status, "record", condition, finding, (),
        {} if status == "met" else {"en": "What did the others change, and what came of it?", "fr": "Qu’ont changé les autres, et qu’en est-il advenu ?"},
    )  # fmt: skip


_JUDGES: tuple[Callable[[Practice, Setting, Profile], Iterable[Criterion]], ...] = (
    _stated,
    _texts,
    _resources,
    _duration,
    _funding,
    _size,
    _frame,
    _working_language,
    _people,
    _need,
    _own_experience,
    _partnership,
    _history,
)

SUMMARY: Names = {
    "en": "{title} for {city}: {unknown} unknown, {not_met} not met, {partly} partly met, {met} met. Unknown is not "
    "against it; it can only be anticipated, and what counts is found out by asking.",
    "fr": "{title} pour {city} : inconnues {unknown}, non remplies {not_met}, en partie {partly}, remplies {met}. "
    "L’inconnu ne compte pas contre elle ; on ne peut qu’anticiper, et l’essentiel s’apprend en demandant.",
}


def summary(practice: Practice, city: Setting, found: Assessment) -> Names:
    """The counts per status in a sentence, unknown first."""
    return {
        language: SUMMARY[language].format(
            title=quoted_title(practice.title, language),
            city=_named(city)[language],
            unknown=found.count("unknown"),
            not_met=found.count("not-met"),
            partly=found.count("partly"),
            met=found.count("met"),
        )
        for language in ("en", "fr")
    }
