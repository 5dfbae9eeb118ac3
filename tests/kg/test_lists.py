"""The view behind lists: what it shows is what readers see, after every write, and what a rebuild would make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from kg.catalogue import Catalogue
from kg.errors import BadRequest
from kg.facets import size_band
from kg.fields import declaration
from kg.list_facts import TOLD_FOR_TRANSFER, facets_of, facts_of, light_record
from kg.listing import Wanted
from kg.lists import Asked, ListView
from kg.matching.experience import mentor_level
from kg.matching.facts import NeedHits
from kg.records import from_ntriples
from kg.views import Follower, agreement

CITIES = [
    {"kind": "city", "id": "riga", "name": {"en": "Riga"}, "country": "LV", "languages": ["lv"]},
    {
        **{"kind": "city", "id": "gent", "name": {"en": "Ghent"}, "country": "BE", "languages": ["nl"]},
        "observations": [{"id": "observation-1", "measure": "population", "observed": "260000"}],
    },
]
DESK = {
    **{"kind": "practice", "id": "desk", "title": {"en": "Desk"}, "city": "riga", "tie": "own"},
    **{"themes": ["reception-onestop"], "evidence": "outcome-counts", "language": "en"},
    "action": {"en": "One desk for newcomers."},
    "periods": [{"id": "period-1", "start": "2012", "end": "2019"}],
    "sources": [{"id": "source-1", "url": "https://example.org/desk"}],
}


@pytest.fixture
def catalogue(tmp_path) -> Iterator[Catalogue]:
    with Catalogue.create(tmp_path / "data") as made:
        assert not made.save([*CITIES, DESK]).refused
        yield made


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Iterator[Catalogue]:
    with Catalogue.create(tmp_path_factory.mktemp("lists") / "data", start_data=True) as made:
        yield made


def counted(catalogue: Catalogue, kind: str, facet: str, **given: list[str]) -> dict[str, int]:
    told = catalogue.list_records(kind, wanted=Wanted(given))
    return {one["value"]: one["count"] for one in told["facets"][facet]}


def listed(catalogue: Catalogue, kind: str, order: str = "id", **given: list[str]) -> list[str]:
    return [one["id"] for one in catalogue.list_records(kind, wanted=Wanted(given, order=order))["results"]]


def test_every_write_is_in_the_counts_of_all_that_rests_on_it(catalogue):
    assert counted(catalogue, "practice", "country") == {"LV": 1}
    assert counted(catalogue, "practice", "size") == {"unknown": 1}
    assert [len(catalogue.lists.profiles([id])[id].experience) for id in ("riga", "gent")] == [1, 0]
    catalogue.save([{**DESK, "city": "gent", "evidence": "label-or-award"}])
    assert counted(catalogue, "practice", "country") == {"BE": 1}
    assert counted(catalogue, "practice", "size") == {"large": 1}
    assert counted(catalogue, "practice", "evidence") == {"label-or-award": 1}
    assert listed(catalogue, "city", theme=["reception"]) == ["gent"]
    assert [len(catalogue.lists.profiles([id])[id].experience) for id in ("riga", "gent")] == [0, 1]
    catalogue.save([{**CITIES[1], "country": "NL"}])
    assert counted(catalogue, "practice", "country") == {"NL": 1}
    assert listed(catalogue, "practice", country=["BE"]) == []


def test_a_theme_counts_its_narrower_ones_also_after_it_was_moved(catalogue):
    assert counted(catalogue, "practice", "theme")["reception"] == 1
    theme = {k: v for k, v in catalogue.get("theme", "reception-onestop").items() if k not in ("record", "iri")}
    catalogue.save([{**theme, "broader": "housing"}])
    assert counted(catalogue, "practice", "theme") == {"housing": 1, "reception-onestop": 1}
    assert listed(catalogue, "practice", theme=["housing"]) == ["desk"]
    assert listed(catalogue, "city", theme=["reception"]) == []


def test_drafts_and_what_is_not_public_never_count(catalogue):
    hidden = {**DESK, "id": "hidden", "record": {"visibility": "team"}}
    other = {**DESK, "id": "other"}
    assert not catalogue.save([hidden]).refused
    assert not catalogue.save([other], publish=False).refused
    catalogue.save([{**DESK, "city": "gent"}], publish=False)
    need = {"kind": "need", "id": "riga--desk", "mentee": "riga", "need_text": {"en": "A desk"}, "themes": ["housing"]}
    assert not catalogue.save([need], publish=False).refused
    assert counted(catalogue, "practice", "country") == {"LV": 1}
    assert counted(catalogue, "need", "country") == {}
    assert listed(catalogue, "practice", country=["LV", "BE"]) == ["desk"]
    assert catalogue.lists.facts("practice", ["hidden", "other"]) == {}
    assert catalogue.lists.profiles(["riga"])["riga"].experience[0].practices == 1


def test_what_was_withdrawn_leaves_lists_and_cities(catalogue):
    assert listed(catalogue, "city", theme=["reception"]) == ["riga"]
    from kg.ledger import Change

    with catalogue.ledger.write() as transaction:
        transaction.append(Change("practice", "desk", "withdrawn", "public", "", "ilze", reason="untrue"))
    catalogue.committed()
    assert counted(catalogue, "practice", "country") == {}
    assert listed(catalogue, "city", theme=["reception"]) == []


def experience(city: str, level: str, **more: str) -> dict:
    said = {"experienced_city": city, "theme": "housing", "level": level, "basis": "assessed", **more}
    return {"kind": "experience", "id": f"{city}--housing", **said, "record": {"visibility": "public"}}


def offer(**more) -> dict:
    said = {"mentor": "gent", "quota": 1, "consent": True, "consent_on": "2026-01-01", "until": "2030-12-31"}
    contact = {"id": "contact-1", "contact_role": {"en": "International office"}}
    return {"kind": "availability", "id": "gent--offer", **said, "contact": contact, **more}


def test_cities_come_by_experience_stated_and_by_offer(catalogue):
    assert not catalogue.save([experience("gent", "solid")]).refused
    assert listed(catalogue, "city", theme=["housing"]) == ["gent"]
    found = catalogue.lists.profiles(["gent"], ["housing"])["gent"].experience[0]
    assert (found.theme, found.stated, found.practices) == ("housing", 0.75, 0)
    assert 0 < (found.level or 0) < 0.75
    catalogue.save([experience("gent", "none")])
    assert listed(catalogue, "city", theme=["housing"]) == []
    assert counted(catalogue, "city", "offer") == {"unknown": 2}
    assert not catalogue.save([offer()]).refused
    assert counted(catalogue, "city", "offer") == {"open": 1, "unknown": 1}
    mentorship = {"kind": "mentorship", "id": "gent-riga", "title": {"en": "Ghent and Riga"}, "mentor": "gent"}
    mentorship |= {"mentee": "riga", "mentorship_state": "running", "themes": ["housing"]}
    assert not catalogue.save([mentorship]).refused
    assert listed(catalogue, "city", offer=["full"]) == ["gent"]
    assert counted(catalogue, "city", "offer") == {"full": 1, "unknown": 1}


def test_parts_of_a_mentorship_are_where_it_is_and_themes_below_the_broader_ones(catalogue):
    mentorship = {"kind": "mentorship", "id": "gent-riga", "title": {"en": "Ghent and Riga"}, "mentor": "gent"}
    mentorship |= {"mentee": "riga", "mentorship_state": "running", "themes": ["housing"]}
    seen = {"record": {"visibility": "public"}, "mentorship": "gent-riga"}
    learning = {"kind": "learning", "id": "learnt", "side": "mentee", "learnt": {"en": "To ask first."}, **seen}
    visit = {"kind": "visit", "id": "first", "visit_number": 1, "host": "gent", "first_day": "2021-05-03", **seen}
    assert not catalogue.save([mentorship, learning, visit]).refused
    assert counted(catalogue, "learning", "country") == {"BE": 1, "LV": 1}
    assert counted(catalogue, "learning", "theme") == {"housing": 1}
    assert counted(catalogue, "learning", "size") == {"large": 1}
    assert counted(catalogue, "visit", "country") == {"BE": 1}, "where its host is"
    assert counted(catalogue, "visit", "decade") == {"2020": 1}
    assert not catalogue.save([{**mentorship, "themes": ["reception-onestop"]}, {**CITIES[0], "country": "EE"}]).refused
    assert counted(catalogue, "learning", "country") == {"BE": 1, "EE": 1}
    assert listed(catalogue, "learning", theme=["reception"]) == ["learnt"]
    assert "reception-onestop" in listed(catalogue, "theme", theme=["reception"])
    labelled = counted(catalogue, "theme", "language")
    assert labelled["en"] == catalogue.list_records("theme")["total"]
    assert labelled["lv"] == catalogue.list_records("theme", wanted=Wanted({"language": ["lv"]}))["total"] > 0


def test_an_offer_ends_with_its_last_day(catalogue):
    assert not catalogue.save([offer()]).refused
    day = date(2030, 12, 31)
    view = ListView(None, catalogue.base, read=catalogue._read, today=lambda: day)
    Follower(catalogue.ledger, view).catch_up()
    assert view.matching("city", Asked({"offer": ["open"]})) == ["gent"]
    day = date(2031, 1, 1)
    assert view.matching("city", Asked({"offer": ["open"]})) == []
    view.close()


def everything(view: ListView) -> dict:
    kinds = declaration().kinds.values()
    return {kind.name: view.ask(kind.name, Asked(facets=facets_of(kind), limit=200)) for kind in kinds}


def test_a_view_kept_up_opened_again_or_made_anew_says_the_same(catalogue):
    kept = catalogue.lists
    everything(kept)
    catalogue.save([{**DESK, "id": "second", "themes": ["housing"]}, {**CITIES[0], "country": "EE"}])
    catalogue.save([experience("riga", "leading"), offer()])
    fresh = ListView(None, catalogue.base, read=catalogue._read)
    Follower(catalogue.ledger, fresh).catch_up()
    again = ListView(catalogue.folder.lists, catalogue.base, read=catalogue._read)
    assert everything(kept) == everything(fresh) == everything(again)
    assert again.marker() == catalogue.ledger.last_number()
    assert agreement(catalogue.ledger, again) == agreement(catalogue.ledger, fresh) == []
    fresh.close(), again.close()


def test_what_the_first_list_would_wait_for_is_made_without_it(catalogue):
    view = ListView(catalogue.folder.lists, catalogue.base, read=catalogue._read)
    assert view._tables is None
    view.prepare()
    assert view._tables is not None
    view.close()
    closed = ListView(catalogue.folder.lists, catalogue.base, read=catalogue._read)
    closed.close()
    closed.prepare()
    assert closed._tables is None


def test_a_damaged_file_is_made_anew(catalogue, tmp_path):
    path = tmp_path / "lists.sqlite"
    path.write_bytes(b"no database, " * 1_000)
    view = ListView(path, catalogue.base, read=catalogue._read)
    assert view.marker() == 0
    Follower(catalogue.ledger, view).catch_up()
    assert view.ask("practice", Asked()).ids == ("desk",)
    view.close()


def test_what_is_read_quickly_is_what_the_whole_record_says(start):
    for kind in declaration().kinds.values():
        for revision in start.ledger.published_revisions():
            if revision.kind == kind.name and kind.name != "theme":
                thing = f"{start.base}id/{kind.name}/{revision.id}"
                quick = facts_of(kind, light_record(revision.payload, kind, thing))
                assert quick == facts_of(kind, from_ntriples(revision.payload, start.base)), revision.id


def test_what_lists_know_of_cities_is_what_suggestions_know(start):
    ids = start.lists.matching("city", Asked())
    known = start.city_facts(ids)
    held = start.lists.facts("city", ids)
    assert len(ids) == 50
    for id in ids:
        assert held[id].get("population") == known[id].population
        assert held[id].get("share") == known[id].foreign_born_share


def test_practices_of_cities_are_as_their_records_say(start):
    found = start.lists.practices_of(start.lists.matching("city", Asked()))
    told = {(city, one.id): one for city, practices in found.items() for one in practices}
    records = [start.get("practice", id) for id in start.lists.matching("practice", Asked())]
    transfers = [start.get("transfer", id) for id in start.lists.matching("transfer", Asked())]
    own = {(record["city"], record["id"]) for record in records if "city" in record}
    took_part = {
        (partner["partner_city"], record["id"])
        for record in records
        for partner in record.get("partners", ())
        if "partner_city" in partner
    }
    assert told.keys() == own | took_part
    assert len(own) == 79
    assert took_part - own
    by_id = {record["id"]: record for record in records}
    for (city, id), practice in told.items():
        record = by_id[id]
        assert practice.title == record["title"], id
        assert practice.themes == set(record["themes"]), id
        assert practice.tie == (record.get("tie") if record.get("city") == city else "partner"), id
        assert practice.evidence == record.get("evidence"), id
        assert practice.confidence == record["record"].get("confidence"), id
        assert practice.rival_claims == any("rivals" in claim for claim in record.get("outcomes", ())), id
        assert practice.told_for_transfer == set(TOLD_FOR_TRANSFER) & record.keys(), id
        assert practice.taken_up == sum(transfer.get("practice") == id for transfer in transfers), id
    assert any(practice.rival_claims for practice in told.values())
    assert any(practice.taken_up for practice in told.values())


def test_facts_for_a_suggestion_do_not_wait_for_the_bit_sets(start):
    with start.lists._lock, ThreadPoolExecutor(1) as other:
        assert other.submit(start.lists.practices_of, ["mechelen"]).result(timeout=30)["mechelen"]


def test_words_of_titles_survive_quick_reading():
    kind = declaration().kind("practice")
    payload = '<urn:x> <http://purl.org/dc/terms/title> "Caf\\u00E9 \\"B\\" \\\\ C"@en-GB .\n'
    assert light_record(payload, kind, "urn:x")["title"] == {"en-gb": 'Café "B" \\ C'}


def test_levels_shown_are_those_of_suggestions(start):
    ids = start.lists.matching("city", Asked())
    known, today = start.city_facts(ids), date.today()
    shown = [(id, one) for id, profile in start.lists.profiles(ids).items() for one in profile.experience]
    assert len(shown) > 100
    for id, one in shown:
        narrower = frozenset(start.lists._thesaurus.descendants(one.theme))
        need = NeedHits((), themes=frozenset({one.theme}), narrower=narrower)
        level = mentor_level(known[id], need, {}, start.profile, today)
        assert level is not None
        assert one.level == pytest.approx(level.value), (id, one)


def test_practices_of_a_theme_come_by_evidence_then_freshness_then_completeness(start):
    told = start.list_records("practice", wanted=Wanted({"theme": ["language"]}, order="evidence"), limit=200)
    places = [one["place"] for one in told["results"]]
    weights = [0.4 if one["evidence_weight"] is None else one["evidence_weight"] for one in places]
    assert weights == sorted(weights, reverse=True)
    assert len(set(weights)) > 2
    fresh = [0.42 if one["freshness"] is None else one["freshness"] for one in places]
    order = [(-w, -f, -one["completeness"]) for w, f, one in zip(weights, fresh, places, strict=True)]
    assert order == sorted(order)
    assert told["total"] == len(places) == len(start.lists.matching("practice", Asked({"theme": ["language"]})))
    assert places[0]["text"].startswith("Evidence: Independent evaluation.")
    unstated = next(one for one in places if one["evidence"] is None)
    assert "No evidence is stated" in unstated["text"]


@pytest.mark.parametrize("order", ["id", "evidence"])
def test_pages_of_a_narrowed_list_have_each_record_once(start, order):
    wanted, seen, cursor = Wanted({"country": ["BE", "ES"]}, order=order), [], None
    while True:
        page = start.list_records("practice", wanted=wanted, limit=4, cursor=cursor)
        seen += [one["id"] for one in page["results"]]
        cursor = page["next"]
        if cursor is None:
            break
    whole = start.list_records("practice", wanted=wanted, limit=200)
    assert seen == [one["id"] for one in whole["results"]]
    assert len(set(seen)) == len(seen) == page["total"] == 19


def test_nearest_cities_tell_how_much_could_be_compared(start):
    wanted = Wanted(order="nearest", like="jelgava")
    told = start.list_records("city", wanted=wanted, limit=200)["results"]
    assert "jelgava" not in [one["id"] for one in told]
    known = [(one["similarity"], one["coverage"]) for one in told if one["similarity"] is not None]
    assert known == sorted(known, reverse=True)
    assert all(0 < coverage <= 1 for _, coverage in known)
    assert [one["similarity"] for one in told][len(known) :] == [None] * (len(told) - len(known))
    assert all(one["coverage"] == 0 for one in told[len(known) :])
    only = start.list_records("city", wanted=Wanted(order="nearest", like_country="lv"), limit=3)["results"]
    assert [(one["country"], one["similarity"], one["coverage"]) for one in only[:2]] == [("LV", 1.0, 0.2)] * 2


def test_size_is_that_of_the_population_shown(start):
    for one in start.list_records("city", wanted=Wanted(), limit=200)["results"]:
        assert one["size"] == size_band(one["population"])


def test_search_narrows_by_every_facet_and_counts_alike(prepared_start):
    asked = {"country": ["BE", "ES"], "evidence": ["activity-counts"], "decade": ["2010"]}
    told = prepared_start.search_practices("newcomers", narrowed=asked, limit=100)
    expected = prepared_start.list_records("practice", wanted=Wanted(asked), limit=200)
    assert sorted(one["id"] for one in told["results"]) == [one["id"] for one in expected["results"]] != []
    assert told["facets"] == expected["facets"]
    nothing = prepared_start.search_practices("newcomers", narrowed={"decade": ["1910"]})
    assert (nothing["results"], nothing["next"]) == ([], None)


@pytest.fixture(scope="module")
def prepared_start(tmp_path_factory, start: Catalogue) -> Iterator[Catalogue]:
    from tests.models import prepared_models

    folder = tmp_path_factory.mktemp("found") / "data"
    with Catalogue.create(folder, start_data=True, models=prepared_models()) as made:
        yield made


WRONG: list[tuple[str, Callable[[], Wanted], str]] = [
    ("practice", lambda: Wanted({"country": ["XX"]}), "'XX' is no country; use two letters"),
    ("practice", lambda: Wanted({"country": ["B\0"]}), "is no country"),
    ("practice", lambda: Wanted({"theme": ["langage"]}), "did you mean language"),
    ("practice", lambda: Wanted({"evidence": ["proof"]}), "use independent-evaluation, outcome-counts"),
    ("practice", lambda: Wanted({"decade": ["2013"]}), "write its first year, such as 2010"),
    ("practice", lambda: Wanted({"decade": ["٢٠١٠"]}), "is no decade"),
    ("practice", lambda: Wanted({"size": ["tiny"]}), "use small, medium, large, metropolis, unknown"),
    ("practice", lambda: Wanted({"language": ["\ud800"]}), "is no language tag"),
    ("practice", lambda: Wanted({"language": ["fr"] * 101}), "at most 100 values"),
    ("programme", lambda: Wanted({"country": ["BE"]}), "'country' is no facet of this list; there are decade"),
    ("practice", lambda: Wanted(facets="theme,colour"), "there is no 'colour' in this list"),
    ("practice", lambda: Wanted(order="nearest"), "there is id, evidence"),
    ("city", lambda: Wanted(order="nearest"), "nearest to what"),
    ("city", lambda: Wanted(order="nearest", like="jelgavaa"), "did you mean jelgava"),
]


@pytest.mark.parametrize(("kind", "wanted", "message"), WRONG)
def test_what_a_list_cannot_be_asked_is_refused_with_what_it_can(start, kind, wanted, message):
    with pytest.raises(BadRequest, match=message):
        start.list_records(kind, wanted=wanted())


@pytest.mark.parametrize("cursor", ["x", "W10", "WzEsMl0", "e30", "\ud800", "WyJhIiwgImIiXQ", "W05hTiwgImIiXQ"])
def test_a_cursor_of_another_list_is_refused(start, cursor):
    with pytest.raises(BadRequest, match="was not given by a page of this list"):
        start.list_records("practice", wanted=Wanted(order="evidence"), cursor=cursor)


def test_practices_like_one_in_greek_say_what_they_share(prepared_start):
    greek = {**DESK, "id": "grafeio", "city": "levadia", "title": {"el": "Γραφείο υποδοχής"}, "language": "el"}
    greek["action"] = {"el": "Ένα γραφείο για όλες τις υπηρεσίες προς νεοαφιχθέντες κατοίκους."}
    assert not prepared_start.save([greek]).refused
    told = prepared_start.similar_practices("grafeio", limit=5, labels_in="fr")["results"]
    assert len(told) == 5
    assert "grafeio" not in [one["id"] for one in told]
    assert [theme["id"] for theme in told[0]["shared_themes"]] == ["reception-onestop"]
    assert told[0]["why"].startswith("Toutes deux portent sur : ")
    for one in told:
        assert one["passage"]["text"]
        of_both = {theme["id"] for theme in one["shared_themes"]}
        assert of_both <= {"reception-onestop", "reception"}
