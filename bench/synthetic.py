"""Synthetic cities and practices: seeded, in eight languages, of realistic length. Nothing in them is true."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from rdflib import RDF, SKOS, Graph

from ontology import path

WORDS = {
    "en": "the city pairs newcomers with residents who practise language visit offices find housing work school health "
    "together every week volunteers train staff network district council plan budget advice families young people",
    "fr": "la ville associe nouveaux arrivants et habitants pour pratiquer langue logement travail école santé chaque "
    "semaine bénévoles forment agents réseau quartier conseil plan budget conseils familles jeunes rencontre accueil",
    "es": "la ciudad une recién llegados y vecinos para practicar idioma vivienda trabajo escuela salud cada semana "
    "voluntarios forman personal red barrio consejo plan presupuesto familias jóvenes acogida encuentro mediación",
    "it": "la città unisce nuovi arrivati e residenti per praticare lingua alloggio lavoro scuola salute ogni settimana "
    "volontari formano personale rete quartiere consiglio piano bilancio famiglie giovani accoglienza incontro",
    "de": "die Stadt verbindet Zugewanderte und Einwohner die Sprache üben Wohnung Arbeit Schule Gesundheit jede Woche "
    "Freiwillige schulen Personal Netzwerk Quartier Rat Plan Haushalt Beratung Familien Jugendliche Begegnung",
    "nl": "de stad koppelt nieuwkomers aan inwoners om taal te oefenen woning werk school gezondheid elke week "
    "vrijwilligers opleiding personeel netwerk wijk raad plan begroting advies gezinnen jongeren ontmoeting onthaal",
    "el": "η πόλη φέρνει κοντά νεοαφιχθέντες και κατοίκους για εξάσκηση γλώσσας στέγαση εργασία σχολείο υγεία κάθε "
    "εβδομάδα εθελοντές εκπαιδεύουν προσωπικό δίκτυο γειτονιά συμβούλιο σχέδιο οικογένειες νέοι υποδοχή συνάντηση",
    "lv": "pilsēta savieno jaunpienācējus un iedzīvotājus lai praktizētu valodu mājoklis darbs skola veselība katru "
    "nedēļu brīvprātīgie apmāca darbiniekus tīkls apkaime padome plāns budžets ģimenes jaunieši uzņemšana tikšanās",
}
COUNTRIES = ["AT", "BE", "DE", "DK", "ES", "FI", "FR", "GR", "IE", "IT", "LV", "NL", "PL", "PT", "SE"]
EVIDENCE = ["none-stated", "activity-counts", "outcome-counts", "label-or-award", "independent-evaluation"]
SENTENCES = 4_000
"""Different sentences per language group; passages are made of them, so that their vectors can be too."""


def themes() -> list[str]:
    """Identifiers of the shipped themes."""
    graph = Graph().parse(path("themes.ttl"), format="turtle")
    return sorted(str(theme).rpartition("/")[2] for theme in graph.subjects(RDF.type, SKOS.Concept))


def sentences(seed: int = 1) -> dict[str, list[str]]:
    """Sentences of 12 to 24 words by language, half of them English as on our own records."""
    random_ = random.Random(seed)
    found: dict[str, list[str]] = {}
    for language, words in WORDS.items():
        pool = words.split()
        count = SENTENCES // 2 if language == "en" else SENTENCES // 14
        found[language] = [
            " ".join(random_.choices(pool, k=random_.randint(12, 24))).capitalize() + "." for _ in range(count)
        ]
    return found


def cities(count: int) -> Iterator[dict[str, Any]]:
    """A city for every twenty practices or so."""
    random_ = random.Random(2)
    for number in range(count):
        population = int(10 ** random_.uniform(3.8, 6.3))
        yield {
            "kind": "city",
            "id": f"town-{number}",
            "name": {"en": f"Town {number}"},
            "country": random_.choice(COUNTRIES),
            "languages": [random_.choice(list(WORDS))],
            "observations": [
                {"id": "observation-1", "measure": "population", "observed": str(population), "observed_in": "2024"}
            ],
        }


def practices(count: int, towns: int, seed: int = 3) -> Iterator[dict[str, Any]]:
    """Practices of five passages: summary, problem, what was done, outcomes, lessons."""
    random_, known, pool = random.Random(seed), themes(), sentences()
    for number in range(count):
        language = "en" if random_.random() < 0.5 else random_.choice(list(WORDS))

        def text(least: int, most: int, language: str = language) -> dict[str, str]:
            return {language: " ".join(random_.choices(pool[language], k=random_.randint(least, most)))}

        town = random_.randrange(towns)
        start = random_.randint(1995, 2024)
        yield {
            "kind": "practice",
            "id": f"town-{town}--practice-{number}",
            "title": {language: random_.choice(pool[language])[:80]},
            "summary": text(2, 3),
            "problem": text(2, 4),
            "action": text(3, 6),
            "lessons": text(1, 3),
            "city": f"town-{town}",
            "tie": "own",
            "themes": random_.sample(known, 3),
            "language": language,
            "evidence": random_.choice(EVIDENCE),
            "periods": [{"id": "period-1", "start": str(start), "end": str(min(2026, start + random_.randint(1, 9)))}],
            "outcomes": [{"id": "claim-1", "statement": text(1, 2), "source_not_separated": True}],
            "sources": [{"id": "source-1", "url": f"https://example.org/{number}"}],
        }


def needs(count: int, seed: int = 4) -> list[tuple[str, str]]:
    """Needs of about forty words, each with its language."""
    random_ = random.Random(seed)
    found = []
    for _ in range(count):
        language = random_.choice(["en", "en", "fr", "de", "lv"])
        found.append((" ".join(random_.choices(WORDS[language].split(), k=40)), language))
    return found
