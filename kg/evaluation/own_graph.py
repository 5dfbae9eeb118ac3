"""How well mentors are suggested on the records themselves: practices taken out, mentorships and transfers on record.

Nobody judged answers by hand here: what happened is taken as right. So figures compare ways of ranking; they do not tell
how useful a suggestion is.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel import Locale
from babel.languages import get_official_languages

from kg.evaluation.asking import Ablation, Progress, ablations, stop_if
from kg.evaluation.figures import DEPTH, Figures, compared, ndcg, recall, reciprocal_rank, summary
from kg.matching import fairness
from kg.matching.aggregation import MODELS, Vote, vote
from kg.matching.experience import tie_weight
from kg.matching.facts import CityFacts, Mentee, NeedHits
from kg.matching.profile import Profile
from kg.matching.suggestions import rank_cities
from kg.records import from_ntriples
from kg.search.ranking import SIGNALS
from kg.search.view import SearchView
from kg.suggesting import Need
from kg.views import is_shown

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

CITY_METRICS = ("mrr10", "first1", "first5", "ndcg10")
"""Reciprocal rank of the answer, whether it is first, whether it is among five, and nDCG with the graded cities."""

LEFT_OUT, WITHOUT_PROBLEM = "practice left out", "problem left out"
NEED, THEME, TRANSFER = "mentorship: need", "mentorship: theme", "transfer"
KINDS: Mapping[str, str] = {
    LEFT_OUT: "the problem of a practice as need, the practice itself taken out; its city is to be found by its others",
    WITHOUT_PROBLEM: "the problem of a practice as need, no problem in the index; its city is to be found by what it did",
    NEED: "the needs of a mentee as recorded; its mentor is to be found",
    THEME: "the theme of a mentorship as sources name it, one after the other; its mentor is to be found",
    TRANSFER: "the problem that a transferred practice answered; the city it came from is to be found",
}
"""What is asked of the records, and what counts as found."""

MOST_PRACTICES = 2_000
"""Of more practices those with the smallest hashes are asked for, and no second index is made of so many."""

VOTERS_OF_A_NEED = 50
"""Practices that vote for a need: DOMAIN 2.3 advises the best 20 to 50."""

_RANKED = 50
_ANSWER, _SAME_THEME = 2, 1
_MASK = "…"
_SHORTEST_NAME = 3

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A need with the cities that are its answers (grade 2) or on its subject (1); `id` is the record it comes from.

    `mentee` is the city that asks, None for nobody; `without` are practices that may not speak for anybody.
    """

    kind: str
    id: str
    text: str
    language: str
    answers: Mapping[str, int]
    mentee: str | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Cases:
    """What is asked, and why other records are not: (kind, reason) with their number."""

    cases: tuple[Case, ...]
    left_out: Mapping[tuple[str, str], int] = field(default_factory=dict)


# --------------------------------------------------------------------------------------------- cases


class Places:
    """Names of places, to be masked: every city on record and every country, in the languages of the records.

    >>> places = Places([{"id": "riga", "name": {"en": "Riga", "lv": "Rīga"}, "country": "LV"}])
    >>> places.masked("In Riga, newcomers learn Latvian; Latvia pays.", "LV")
    'In …, newcomers learn …; … pays.'
    """

    def __init__(self, cities: Iterable[Record]) -> None:
        names = {name for city in cities for name in _names(city)}
        for tag in ("en", "fr", "es", "it", "de", "nl"):
            names |= {name for code, name in Locale(tag).territories.items() if len(code) == 2}
        self._names = _alternatives(names)
        self._languages: dict[str, re.Pattern[str]] = {}

    def masked(self, text: str, country: str | None) -> str:
        """The text with "…" for each name of a place, and for the languages of `country`, which tell it as well."""
        return self._language_names(country or "").sub(_MASK, self._names.sub(_MASK, text))

    def _language_names(self, country: str) -> re.Pattern[str]:
        if country not in self._languages:
            spoken = get_official_languages(country, regional=True, de_facto=True) if country else ()
            self._languages[country] = _alternatives(
                {str(Locale(tag).languages.get(one, "")) for tag in ("en", "fr") for one in spoken}
            )
        return self._languages[country]


def _names(city: Record) -> Iterator[str]:
    """All that a city is called; of "Ville de Bruxelles / Stad Brussel" each side."""
    for name in (*city.get("name", {}).values(), *city.get("alt_names", ()), city.get("local_name", "")):
        text = name if isinstance(name, str) else next(iter(name.values()), "")
        yield from (part.strip() for part in text.split(" / "))


def _alternatives(names: Iterable[str]) -> re.Pattern[str]:
    """Any of the names as a whole word, longer ones first; nothing at all where there are none."""
    listed = sorted({name for name in names if len(name) >= _SHORTEST_NAME}, key=lambda name: (-len(name), name))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, listed))})\b" if listed else r"(?!)", re.IGNORECASE)


class Records:
    """The published, public records that cases are made of, by kind and identifier."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.of: dict[str, dict[str, Record]] = {
            kind: {} for kind in ("city", "practice", "need", "mentorship", "transfer", "theme")
        }
        for record in records:
            if record["kind"] in self.of:
                self.of[record["kind"]][record["id"]] = record
        self.places = Places(self.of["city"].values())
        self.runs: dict[str, set[str]] = {}
        for id, practice in self.of["practice"].items():
            self.runs.setdefault(practice["city"], set()).add(id)

    def cases(self, most: int = MOST_PRACTICES) -> Cases:
        """Everything that can be asked, in the order of kinds and identifiers; of practices at most `most`."""
        left_out: Counter[tuple[str, str]] = Counter()
        found = [
            case
            for make in (partial(self._practices, most), self._mentorships, self._transfers)
            for case in make(lambda kind, reason: left_out.update([(kind, reason)]))
        ]
        order = list(KINDS)
        found.sort(key=lambda case: (order.index(case.kind), case.id, case.language, case.text))
        return Cases(tuple(found), dict(sorted(left_out.items())))

    def _practices(self, most: int, passed_over: Callable[[str, str], None]) -> Iterator[Case]:
        practices = self.of["practice"]
        chosen = sorted(practices, key=lambda id: hashlib.sha256(id.encode()).digest())[:most]
        for id in chosen:
            text = self._problem(practices[id])
            if text is None:
                passed_over(LEFT_OUT, "no problem is stated")
                passed_over(WITHOUT_PROBLEM, "no problem is stated")
                continue
            city = practices[id]["city"]
            if len(practices) <= most:
                yield Case(WITHOUT_PROBLEM, id, *text, self._graded(id, city, frozenset()))
            else:
                passed_over(WITHOUT_PROBLEM, "there are too many practices for a second index")
            if len(self.runs[city]) > 1:
                yield Case(LEFT_OUT, id, *text, self._graded(id, city, frozenset([id])), without=frozenset([id]))
            else:
                passed_over(LEFT_OUT, "its city has no other practice to be found by")

    def _problem(self, practice: Record) -> tuple[str, str] | None:
        """A practice's problem in the language of its record, places masked, and that language."""
        texts = practice.get("problem", {})
        if not texts:
            return None
        language = practice.get("language") if practice.get("language") in texts else next(iter(texts))
        country = self.of["city"].get(practice["city"], {}).get("country")
        return self.places.masked(texts[language], country), str(language)

    def _graded(self, id: str, city: str, without: frozenset[str]) -> dict[str, int]:
        """The practice's own city, and those that have a practice on one of its narrow themes."""
        themes = {theme for theme in self.of["practice"][id].get("themes", ()) if self._is_narrow(theme)}
        others = {
            practice["city"]: _SAME_THEME
            for other, practice in self.of["practice"].items()
            if other not in without and themes.intersection(practice.get("themes", ()))
        }
        return others | {city: _ANSWER}

    def _is_narrow(self, theme: str) -> bool:
        return bool(self.of["theme"].get(theme, {}).get("broader"))

    def _mentorships(self, passed_over: Callable[[str, str], None]) -> Iterator[Case]:
        for id, mentorship in self.of["mentorship"].items():
            mentee, mentor = mentorship.get("mentee", ""), mentorship.get("mentor", "")
            if mentee not in self.of["city"] or not self.runs.get(mentor):
                for kind in (NEED, THEME):
                    passed_over(kind, "the mentee is not on record, or the mentor has no practice")
                continue
            said = {
                NEED: [self.of["need"].get(need, {}).get("need_text", {}) for need in mentorship.get("needs", ())],
                THEME: [naming.get("named_as", {}) for naming in mentorship.get("theme_namings", ())],
            }
            for kind, texts in said.items():
                wordings = sorted({(text, language) for named in texts for language, text in named.items()})
                if not wordings:
                    passed_over(kind, "no words are on record")
                for text, language in wordings:
                    country = self.of["city"][mentor].get("country")
                    yield Case(kind, id, self.places.masked(text, country), language, {mentor: _ANSWER}, mentee)

    def _transfers(self, passed_over: Callable[[str, str], None]) -> Iterator[Case]:
        for id, transfer in self.of["transfer"].items():
            origin, receiver = transfer.get("from_city", ""), transfer.get("to_city", "")
            result = self.of["practice"].get(transfer.get("resulting_practice", ""))
            if receiver not in self.of["city"] or result is None:
                passed_over(TRANSFER, "what came of it, or where, is not on record")
            elif not self.runs.get(origin):
                passed_over(TRANSFER, "the city of origin has no practice on record")
            elif (text := self._problem(result)) is None:
                passed_over(TRANSFER, "no problem is stated")
            else:
                yield Case(TRANSFER, id, *text, {origin: _ANSWER}, receiver, frozenset([result["id"]]))


# --------------------------------------------------------------------------------------------- asking


@dataclass(frozen=True)
class Asked:
    """A case with what search found for it and the facts of the cities found; the practice left out is in neither."""

    case: Case
    need: NeedHits
    cities: Mapping[str, CityFacts]
    mentee: CityFacts | None

    def suggested(self, profile: Profile, as_of: date) -> list[str]:
        """Cities as they are suggested, best first."""
        mentee = Mentee.on_record(self.mentee) if self.mentee else None
        ranked = rank_cities([self.need], self.cities, mentee=mentee, profile=profile, as_of=as_of, limit=_RANKED)
        return [one.case.city.id for one in ranked]

    def voted(self, model: str, profile: Profile, records: Mapping[str, int]) -> list[str]:
        """Cities by a voting model over the best practices, nothing else known of them, best first."""
        best = sorted({(-hit.similarity, hit.practice) for hit in self.need.hits})[:VOTERS_OF_A_NEED]
        voting = {practice for _, practice in best}
        votes = [
            Vote(hit.practice, hit.city, hit.similarity * tie_weight(of[hit.practice].tie, profile))
            for hit in self.need.hits
            if hit.practice in voting
            and hit.similarity >= profile.lowest_similarity
            and hit.city in self.cities
            and hit.practice in (of := self.cities[hit.city].practice)
        ]
        known = {**{one.city: 1 for one in votes}, **records}  # a partner may have no record of its own
        return list(vote(votes, model, records=known)) if votes else []


def evaluate_own_graph(
    catalogue: Catalogue,
    *,
    ablated: bool = False,
    as_of: date | None = None,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Ask a catalogue's own records, published and public, and say how well the cities expected came up.

    Trust is left out everywhere, because the mentorships themselves are on record. A mentee's own practices speak for
    nobody. Wordings of one theme count together as one mentorship. `as_of` is the day for which ages are judged, today
    unless given.

    Returns {"kinds": {kind: {"asks", "left_out": {reason: n}}}, "types" and "macro": figures as `summary` has them, by
    kind, of suggestions as they are made, "languages", "chance": {kind: mean reciprocal rank of cities in random
    order}, "voting": {model: figures, and "difference": what suggestions have more}, "attention": {way: how unevenly
    the cities come up}, "cities", "practices", "revision", "model", "profile", "as_of"}; with `ablated` also
    "ablations" of search, as suggestions change by them.

    Raises ModelMissing without a model, and InterruptedError soon after `stopped()` is true.
    """
    tell = progress or (lambda doing, done, total: None)
    day = as_of or datetime.now(UTC).date()
    revisions = [one for one in catalogue.ledger.published_revisions() if is_shown(one)]
    records = Records(from_ntriples(one.payload or "", catalogue.base) for one in revisions)
    made = records.cases()
    profile = catalogue.profile.with_weights({"trust": 0})
    numbers = {city: len(run) for city, run in records.runs.items() if city}

    with tempfile.TemporaryDirectory(prefix="mentorgraph-evaluation-") as folder:
        bare = catalogue.search.beside(Path(folder) / "index", lambda one: _without_problem(one, catalogue.base))
        with contextlib.closing(bare):
            tell("indexing without problems", 0, 1)
            if any(case.kind == WITHOUT_PROBLEM for case in made.cases):
                bare.apply(revisions, len(revisions))
            tell("indexing without problems", 1, 1)
            views = (catalogue.search, bare)
            asked = list(ask_cases(catalogue, made.cases, views, "asking the records", tell, stopped))
            others = {
                one.name: [
                    ask.suggested(profile, day)
                    for ask in ask_cases(
                        catalogue, made.cases, [_otherwise(view, one) for view in views], one.name, tell, stopped
                    )
                ]
                for one in (_ablations(catalogue.search) if ablated else [])
            }
    suggested = [ask.suggested(profile, day) for ask in asked]
    voted = {model: [ask.voted(model, profile, numbers) for ask in asked] for model in MODELS}
    popular = sorted(numbers, key=lambda city: (-numbers[city], city))
    voted["most records"] = [[city for city in popular if city != case.mentee] for case in made.cases]
    whole = _by_record(made.cases, suggested)
    kinds = [case.kind for case in whole]
    return {
        "kinds": _told(made),
        **summary(list(zip(kinds, whole.values(), strict=True)), CITY_METRICS),
        "languages": summary(
            [(case.language, one) for case, one in _by_record(made.cases, suggested, True).items()], CITY_METRICS
        )["types"],
        "chance": _chance(made.cases, numbers),
        "voting": _beside(made.cases, whole, voted),
        "attention": _attention(made.cases, {"suggestions": suggested, **voted}, numbers),
        **({"ablations": _beside(made.cases, whole, others)} if ablated else {}),
        "cities": len(numbers),
        "practices": len(records.of["practice"]),
        "revision": catalogue.ledger.last_number(),
        "model": catalogue.search.embedder.identity,
        "profile": {"name": profile.name, "version": profile.version},
        "as_of": day.isoformat(),
    }


def _without_problem(revision: Any, base: str) -> Record:
    return {key: value for key, value in from_ntriples(revision.payload or "", base).items() if key != "problem"}


def _ablations(view: SearchView) -> list[Ablation]:
    """Search without each part, and by each signal alone; the bridge is our own themes and every vocabulary loaded."""
    return ablations(view.profile, [view.thesaurus], SIGNALS)


def _otherwise(view: SearchView, ablation: Ablation) -> SearchView:
    return view.asked_otherwise(profile=ablation.profile, bridging=bool(ablation.vocabularies))


def ask_cases(
    catalogue: Catalogue,
    cases: Sequence[Case],
    views: Sequence[SearchView],
    doing: str,
    tell: Progress = lambda doing, done, total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Asked]:
    """Every case with what search finds: in the first view, or in the second, which knows no problems."""
    for done, case in enumerate(cases):
        stop_if(stopped)
        tell(doing, done, len(cases))
        view = views[case.kind == WITHOUT_PROBLEM]
        (need, _), *_ = catalogue.hits_of([Need(case.text, language=case.language)], view=view)
        known = catalogue.city_facts({hit.city for hit in need.hits} | ({case.mentee} if case.mentee else set()))
        mentee = known.pop(case.mentee or "", None)
        silent = case.without | (mentee.practice.keys() if mentee else frozenset())
        cities = {id: _less(city, case.without) for id, city in known.items()}
        hits = tuple(hit for hit in need.hits if hit.practice not in silent)
        yield Asked(case, replace(need, hits=hits), cities, mentee)
    tell(doing, len(cases), len(cases))


def _less(city: CityFacts, without: frozenset[str]) -> CityFacts:
    """A city as if it had not run these practices."""
    if without.isdisjoint(city.practice):
        return city
    return replace(city, practices=tuple(one for one in city.practices if one.id not in without))


# -------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True)
class _One:
    """What counts once: a record asked in one way; in one language where languages are told apart."""

    kind: str
    id: str
    language: str = ""


def _by_record(cases: Sequence[Case], rankings: Sequence[Sequence[str]], apart: bool = False) -> dict[_One, Figures]:
    """Figures of each record, the mean over its wordings."""
    found: dict[_One, list[Figures]] = {}
    for case, ranked in zip(cases, rankings, strict=True):
        one = _One(case.kind, case.id, case.language if apart else "")
        found.setdefault(one, []).append(city_figures(ranked, case.answers))
    return {
        one: {name: math.fsum(some[name] or 0.0 for some in known) / len(known) for name in CITY_METRICS}
        for one, known in found.items()
    }


def city_figures(ranked: Sequence[str], answers: Mapping[str, int]) -> Figures:
    """How well cities were ranked: by the rank of the answer (grade 2), and by all graded ones.

    >>> city_figures(["gent", "riga"], {"riga": 2, "gent": 1})
    {'mrr10': 0.5, 'first1': 0.0, 'first5': 1.0, 'ndcg10': 0.7967075809905066}
    """
    right = frozenset(city for city, grade in answers.items() if grade == _ANSWER)
    return {
        "mrr10": reciprocal_rank(ranked, right),
        "first1": recall(ranked, right, 1),
        "first5": recall(ranked, right, 5),
        "ndcg10": ndcg(ranked, answers),
    }


def _beside(
    cases: Sequence[Case], whole: Mapping[_One, Figures], others: Mapping[str, Sequence[Sequence[str]]]
) -> dict[str, Any]:
    """Other ways of ranking, each with what suggestions have more, in reciprocal rank per record."""
    kinds = [one.kind for one in whole]
    return {
        name: compared(
            kinds, list(whole.values()), list(_by_record(cases, rankings).values()), by="mrr10", metrics=CITY_METRICS
        )
        for name, rankings in others.items()
    }


def _chance(cases: Sequence[Case], numbers: Mapping[str, int]) -> dict[str, float]:
    """Expected reciprocal rank, among the first ten, of one city in a random order of those that could come up."""
    found: dict[str, list[float]] = {}
    for case in cases:
        there = max(1, len(numbers.keys() - {case.mentee}))
        found.setdefault(case.kind, []).append(sum(1 / rank for rank in range(1, min(DEPTH, there) + 1)) / there)
    return {kind: round(math.fsum(values) / len(values), 4) for kind, values in found.items()}


def _attention(
    cases: Sequence[Case], ways: Mapping[str, Sequence[Sequence[str]]], numbers: Mapping[str, int]
) -> dict[str, Any]:
    """How unevenly cities come up over the problems of all practices, by each way of ranking."""
    told = {}
    for name, rankings in ways.items():
        some = [ranked for case, ranked in zip(cases, rankings, strict=True) if case.kind == WITHOUT_PROBLEM]
        found = fairness.exposure(some, numbers, numbers)
        known = found.correlation
        told[name] = {
            "needs": found.needs,
            "first": found.first,
            "gini": None if found.gini is None else round(found.gini, 4),
            "never": len(found.never),
            "with_records": None
            if known is None
            else {"value": round(known.value, 4), "interval": [round(known.low, 4), round(known.high, 4)]},
        }
    return told


def _told(made: Cases) -> dict[str, Any]:
    asked = Counter(kind for kind, _ in {(case.kind, case.id) for case in made.cases})
    return {
        kind: {
            "n": asked[kind],
            "asks": asks,
            "left_out": {reason: n for (of, reason), n in made.left_out.items() if of == kind},
        }
        for kind, asks in KINDS.items()
    }
