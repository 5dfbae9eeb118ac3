"""The starting data: whole, contradictory where sources are, unknown where nobody said, and publishable as it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from rdflib import SKOS, Graph

from kg.exchange.importing import read_records
from kg.fields import declaration
from kg.records import from_graph, to_graph
from kg.validation import Referenced, Validation
from kg.vocabulary import DEFAULT_BASE, parse_thing_iri
from ontology import path as shipped

RECORDS = {
    (record["kind"], record["id"]): record
    for file in sorted(shipped("start").glob("*.jsonl"))
    for record in map(json.loads, file.read_text(encoding="utf-8").splitlines())
}
PRACTICES = {id: record for (kind, id), record in RECORDS.items() if kind == "practice"}
CITIES = {id: record for (kind, id), record in RECORDS.items() if kind == "city"}

FIGURES = {
    "mechelen--samen-inburgeren": "150 257",
    "brussels--bapa-bxl": "2000 1200",
    "schaerbeek--via": "1000 1800 2000",
    "schaerbeek--camim": "3",
    "levadia--estia-city-centre": "1500",
    "fuenlabrada--milma": "500 170 77",
    "fuenlabrada--mesa-convivencia": "31 36",
    "jelgava--ici-zemgale": "199 2514",
    "antwerp--curant": "81 77 135",
    "utrecht--plan-einstein": "38 400",
    "vienna--core": "20 51",
    "vienna--startwien": "24 26 200 150",
    "bologna--salus-space": "80",
    "athens--curing-the-limbo": "376 116 298 103 33 64",
    "athens--accmr": "92",
    "barcelona--anti-rumours": "500",
    "barcelona--saier": "19000 90",
    "altena--from-refugee-to-citizen": "100",
    "gdansk--immigrant-integration-model": "300 8 11",
    "gdansk--immigrants-council": "16 13",
    "berlin--stadtteilmutter": "8000 70 12 28",
    "gothenburg--flyktingguide": "3600",
    "lisbon--lisboa-acolhe": "151",
    "amadora--do-not-feed-the-rumour": "5",
    "leipzig--decentralised-accommodation": "40",
    "leipzig--kontaktstelle-wohnen": "1000 300 800",
    "amsterdam--status-holders": "600",
    "tampere--mainio": "3000",
    "ghent--neighbourhood-stewards": "15",
    "milan--msna-centre": "1200",
    "palermo--consulta-delle-culture": "26",
    "riga--ngo-house": "5",
    "toulouse--espace-diversites-laicite": "65000 220 230",
    "grenoble--solidarity-platform": "350 30",
    "thessaloniki--react": "2950 949",
    "paris--mobilisation-plan": "100",
    "paris--humanitarian-centre": "5000 8",
    "groningen--welcoming-international-talent": "6",
}
"""Every figure that sources state as an outcome, per practice, in the order of the claims."""

AMOUNTS = {
    "levadia--must-a-lab": ["131064.30"],
    "fuenlabrada--milma": ["3593340.92", "4491676.15"],
    "antwerp--curant": ["6117879.15"],
    "bologna--salus-space": ["5000000", "6250000"],
    "athens--curing-the-limbo": ["4999748.80"],
    "ghent--neighbourhood-stewards": ["750000"],
    "coventry--mifriendly-cities": ["4280639.20"],
    "paris--maison-des-refugies": ["3437662.24"],
}
"""Every sum of money, in euros: funding first, then costs."""

RIVAL_CLAIMS = {
    "mechelen--samen-inburgeren": ("150", "257"),
    "antwerp--curant": ("81", "135"),
    "berlin--stadtteilmutter": ("12", "28"),
}
RIVAL_YEARS = {
    "bologna--salus-space": [("2016", "2020"), ("2017", None)],
    "nantes--cnce": [("2003", None), ("2004", None)],
    "fuenlabrada--milma": [("2018", "2021"), ("2018", "2023")],
}
SUCCESSIVE_CLAIMS = {
    "fuenlabrada--mesa-convivencia": {"31": "2024", "36": "2025"},
    "gdansk--immigrants-council": {"16": None, "13": "2019"},
}
GOLDEN_NOTES = {
    "mechelen--samen-inburgeren": "Conflicting counts between sources: keep both as separate claims.",
    "jelgava--ici-zemgale": "NGO/national practice located in the city, not run by the municipality.",
    "leipzig--decentralised-accommodation": "Good example of a record with negative lessons.",
    "nicosia--new-channels": "Carries an explicit sustainability failure lesson.",
    "coventry--mifriendly-cities": "Start year inferred from award in October 2017 and three-year length.",
}


def inner_nodes(value: object) -> Iterator[dict]:
    """Every nested object of a record, the record itself first."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from inner_nodes(part)
    elif isinstance(value, list):
        for part in value:
            yield from inner_nodes(part)


@pytest.fixture(scope="module")
def theme_ids() -> set[str]:
    graph = Graph().parse(shipped("themes.ttl"), format="turtle")
    named = (parse_thing_iri(DEFAULT_BASE, str(theme)) for theme in graph.subjects(SKOS.prefLabel))
    return {name[1] for name in named if name and name[0] == "theme"}


@pytest.fixture(scope="module")
def validation() -> Validation:
    return Validation()


def test_all_of_it_is_under_one_licence_so_that_the_catalogue_can_name_it() -> None:
    files = [shipped("themes.ttl"), *sorted(shipped("start").glob("*.jsonl"))]
    rows = [row for file in files for row in read_records(file, DEFAULT_BASE)]
    licences = Counter((row.record or {}).get("record", {}).get("licence") for row in rows)
    assert licences == {"https://creativecommons.org/licenses/by/4.0/": len(rows)}


def test_nothing_of_what_was_gathered_is_missing():
    kinds = Counter(kind for kind, _ in RECORDS)
    addresses = {source["url"] for practice in PRACTICES.values() for source in practice["sources"]}
    assert (kinds["practice"], kinds["city"], kinds["need"], kinds["mentorship"]) == (79, 50, 6, 6)
    assert len(addresses) == 171
    assert len({practice["city"] for practice in PRACTICES.values()}) == 49
    assert Counter(practice["record"]["confidence"] for practice in PRACTICES.values()) == {
        "sourced": 65,
        "sourced-partial": 14,
    }


def test_what_sources_do_not_say_stays_unknown():
    practices = PRACTICES.values()
    starts = [[period["start"] for period in p.get("periods", []) if "start" in period] for p in practices]
    assert Counter(p["evidence"] for p in practices)["none-stated"] == 42
    assert sum("outcomes" not in p for p in practices) == 28
    assert sum("funding" not in p for p in practices) == 39
    assert sum(not years for years in starts) == 13
    for record in RECORDS.values():
        for node in inner_nodes(record):
            empty = [key for key, value in node.items() if value in ("", "0", 0, [], {}, None) and value is not False]
            assert not empty, f"{record['id']}: {empty} should be left out"


def test_every_figure_is_a_claim_of_its_own():
    found = {id: " ".join(c["value"] for c in p.get("outcomes", []) if "value" in c) for id, p in PRACTICES.items()}
    assert {id: figures for id, figures in found.items() if figures} == FIGURES


def test_every_sum_of_money_is_kept_with_its_currency():
    found = {
        id: [part["amount"] for part in p.get("funding", []) + p.get("costs", []) if part.get("currency") == "EUR"]
        for id, p in PRACTICES.items()
    }
    assert {id: amounts for id, amounts in found.items() if amounts} == AMOUNTS


@pytest.mark.parametrize("id", RIVAL_CLAIMS)
def test_contradicting_figures_stand_side_by_side(id):
    first, second = (next(c for c in PRACTICES[id]["outcomes"] if c.get("value") == v) for v in RIVAL_CLAIMS[id])
    assert first["rivals"] == [second["id"]]
    assert second["rivals"] == [first["id"]]


def test_no_other_claims_are_called_rivals():
    rivals = {id for id, p in PRACTICES.items() if any("rivals" in claim for claim in p.get("outcomes", []))}
    assert rivals == set(RIVAL_CLAIMS)


@pytest.mark.parametrize("id", RIVAL_YEARS)
def test_contradicting_years_stand_side_by_side(id):
    assert [(period.get("start"), period.get("end")) for period in PRACTICES[id]["periods"]] == RIVAL_YEARS[id]


@pytest.mark.parametrize("id", SUCCESSIVE_CLAIMS)
def test_figures_of_different_years_are_no_rivals(id):
    claims = {c["value"]: c for c in PRACTICES[id]["outcomes"] if "value" in c}
    assert {value: claim.get("claim_period") for value, claim in claims.items()} == SUCCESSIVE_CLAIMS[id]
    assert not any("rivals" in claim for claim in claims.values())


def test_a_source_is_named_per_claim_where_the_text_tells_it():
    samen = PRACTICES["mechelen--samen-inburgeren"]
    press, foundation, replicated = samen["outcomes"]
    addresses = {source["id"]: source["url"] for source in samen["sources"]}
    assert "www.gva.be" in addresses[press["stated_in"][0]]
    assert "www.bertelsmann-stiftung.de" in addresses[foundation["stated_in"][0]]
    assert replicated["source_not_separated"] is True
    for id, practice in PRACTICES.items():
        for claim in practice.get("outcomes", []):
            assert ("stated_in" in claim) != claim.get("source_not_separated", False), f"{id} {claim['id']}"


def test_inferred_start_years_say_so():
    inferred = {
        id for id, p in PRACTICES.items() for part in p.get("periods", []) if part.get("precision") == "inferred"
    }
    assert inferred == {"coventry--mifriendly-cities", "turku--international-house", "gdansk--immigrants-council"}


@pytest.mark.parametrize("id", GOLDEN_NOTES)
def test_confidence_and_notes_survive_the_graph(id):
    read = from_graph(to_graph(PRACTICES[id], DEFAULT_BASE), DEFAULT_BASE)
    assert read["record"]["notes"]["en"] == GOLDEN_NOTES[id]
    assert read["record"]["confidence"] == PRACTICES[id]["record"]["confidence"]


def test_lessons_that_hurt_are_told():
    told = {id for id, practice in PRACTICES.items() if "difficulties" in practice or "lessons" in practice}
    assert told == {
        "barcelona--nausica",
        "berlin--stadtteilmutter",
        "gothenburg--flyktingguide",
        "leipzig--decentralised-accommodation",
        "leipzig--kontaktstelle-wohnen",
        "nicosia--new-channels",
        "palermo--consulta-delle-culture",
    }
    assert "reduced funds for the original" in PRACTICES["nicosia--new-channels"]["lessons"]["en"]


def test_practices_of_other_bodies_are_located_in_the_city_not_its_own():
    located = {id for id, practice in PRACTICES.items() if practice.get("tie") == "located"}
    assert located == {
        "fuenlabrada--community-mediation",
        "jelgava--ici-zemgale",
        "leipzig--kontaktstelle-wohnen",
        "lisbon--cnaim",
        "potsdam--staudenhof",
    }


def test_the_levadia_theme_stands_under_both_names_with_their_sources():
    mentorship = RECORDS["mentorship", "levadia--fuenlabrada"]
    addresses = {source["id"]: source["url"] for source in mentorship["sources"]}
    named = {
        (naming["named_as"]["en"], addresses[source])
        for naming in mentorship["theme_namings"]
        for source in naming.get("stated_in", [])
    }
    academy = "https://inclucities.eu/8-news/185-inclucities-training-academy-in-madrid&Itemid=107"
    decent = "Mobilising citizens to develop tools for decent employment and entrepreneurship"
    assert ("Building inclusive cities with migrants", academy) in named
    assert (f"{decent} challenges for migrants and refugees", "https://inclucities.eu/pair-3") in named


@pytest.mark.parametrize(
    ("id", "teams"),
    [
        ("capaci--mechelen", {"aiccre": "mentee", "vvsg": "mentor"}),
        ("saint-jean-de-la-ruelle--brussels", {"afccre": "mentee", "brulocalis": "mentor"}),
        ("levadia--fuenlabrada", {"kede": "mentee", "femp": "mentor"}),
        ("jelgava--schaerbeek", {"lalrg": "mentee", "brulocalis": "mentor"}),
    ],
)
def test_an_inclucities_team_joins_municipality_and_association(id, teams):
    mentorship = RECORDS["mentorship", id]
    members = {member["organisation"]: member["side"] for member in mentorship["team"] if "organisation" in member}
    for association, side in teams.items():
        assert members[association] == side
        assert RECORDS["organisation", association]["type"] == "association-of-municipalities"
        assert members[f"{mentorship[side]}-municipality"] == side


def test_places_off_the_record_keep_their_names_in_transfers():
    places = {
        record["to_place"] for (kind, _), record in RECORDS.items() if kind == "transfer" and "to_place" in record
    }
    assert {"Alba Iulia", "Cardiff", "Hamburg-Altona", "Messina", "Warsaw"} <= places
    assert {"Siracusa", "Santa Pola", "Brighton & Hove", "Espoo", "Dubrovnik"} <= places
    assert {"Zlín", "Magdeburg", "Parma", "Bielsko-Biała", "Leuven", "Debrecen"} <= places


def test_a_degree_of_transfer_is_given_only_where_it_is_stated():
    degrees = {id: record.get("degree") for (kind, id), record in RECORDS.items() if kind == "transfer"}
    assert {id: degree for id, degree in degrees.items() if degree} == {
        "schaerbeek--camim--jelgava": "adapted",
        "fuenlabrada--mesa-convivencia--levadia": "inspired",
        "lisbon--cnaim--porto": "copied",
        "lisbon--cnaim--faro": "copied",
        "nicosia--new-channels--cyprus": "copied",
    }


def test_the_populations_of_pages_and_of_geonames_are_kept_apart():
    observations = [
        part for city in CITIES.values() for part in city["observations"] if part["measure"] == "population"
    ]
    geonames = [part for part in observations if "geonames.org" in part["observation_source"]]
    assert len(geonames) == 49
    assert all(part["boundary"] in ("unknown", "urban-area") and "observed_in" not in part for part in geonames)
    assert len(observations) - len(geonames) == 16  # fifteen cities; two pages disagree about Fuenlabrada
    assert "geonames" not in CITIES["brussels"], "GeoNames counts the region under that name"
    assert {part["boundary"] for part in CITIES["copenhagen"]["observations"]} == {"urban-area"}


@pytest.mark.parametrize("id", CITIES)
def test_each_city_has_its_own_municipality(id):
    municipality = RECORDS["organisation", f"{id}-municipality"]
    assert (municipality["governs"], municipality["type"]) == (id, "municipality")
    assert municipality["country"] == CITIES[id]["country"]


def test_every_theme_used_is_on_the_list(theme_ids):
    used = {theme for record in RECORDS.values() for node in inner_nodes(record) for theme in node.get("themes", [])}
    assert used
    assert used <= theme_ids


def test_what_teams_keep_to_themselves_is_here_only_because_it_was_published():
    kinds = declaration().kinds
    for (kind, id), record in RECORDS.items():
        expected = None if kinds[kind].visibility == "public" else "public"
        assert record["record"].get("visibility") == expected, id
        assert expected is None or record["sources"], id


def test_no_private_person_is_named():
    text = "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS.values())
    assert not re.search(r"[\w.]+@\w+\.\w+|\b(Mr|Mrs|Ms|Dr|Mme)\b\.? [A-Z]|mailbox", text)


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in RECORDS}))
def test_every_record_may_be_published_as_it_is(kind, theme_ids, validation):
    known = dict.fromkeys([*RECORDS, *(("theme", id) for id in theme_ids)], Referenced("published"))
    shape = validation.declared.kinds[kind]
    for id, record in ((id, record) for (k, id), record in RECORDS.items() if k == kind):
        found = validation.problems(to_graph(record, DEFAULT_BASE), shape, id, DEFAULT_BASE, known)
        assert [problem for problem in found if problem.severity != "info"] == [], id
        assert record["record"]["licence"] == "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in RECORDS}))
def test_every_record_comes_back_from_the_graph_as_it_went_in(kind):
    for record in (record for (k, _), record in RECORDS.items() if k == kind):
        said = {key: value for key, value in record["record"].items() if key != "visibility"}
        assert from_graph(to_graph(record, DEFAULT_BASE), DEFAULT_BASE) == record | {"record": said}


def test_a_line_is_written_as_a_curator_would_read_it():
    for file in sorted(shipped("start").glob("*.jsonl")):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines == [json.dumps(json.loads(line), ensure_ascii=False) for line in lines]
        assert all(list(json.loads(line))[:2] == ["kind", "id"] for line in lines)
        assert all(list(json.loads(line))[-1] == "record" for line in lines)
