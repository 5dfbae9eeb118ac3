"""Work lists on the starting data, and how a curator walks through them."""

import shutil
from datetime import date

import pytest

from kg.catalogue import Catalogue
from kg.claims import FlagAnswers, contradictions
from kg.errors import BadRequest, NotFound
from kg.ledger import Change
from kg.worklists import NAMES, WALKED, worklist

AS_OF = date(2026, 3, 1)
SOUP = {
    "kind": "practice",
    "id": "gent--soup",
    "title": {"en": "Soup on Sundays"},
    "action": {"en": "Neighbours cook together."},
    "city": "ghent",
    "themes": ["language"],
    "language": "en",
    "sources": [{"url": "https://a.example/"}],
}


@pytest.fixture(scope="module")
def started(tmp_path_factory, models_folder):
    folder = tmp_path_factory.mktemp("worklists") / "data"
    with Catalogue.create(folder, start_data=True, models=models_folder) as catalogue:
        _ = catalogue.search
    return folder


@pytest.fixture(scope="module")
def reading(started, models_folder):
    with Catalogue.open(started, models=models_folder) as catalogue:
        catalogue.catch_up()
        yield catalogue


@pytest.fixture
def writing(started, tmp_path, models_folder):
    folder = shutil.copytree(started, tmp_path / "data", ignore=shutil.ignore_patterns("lock"))
    with Catalogue.open(folder, models=models_folder) as catalogue:
        catalogue.catch_up()
        yield catalogue


def every(name, catalogue, language="en", **more):
    """All entries of a list, page by page."""
    found, cursor = [], None
    while True:
        page = catalogue.worklist(name, language, 200, cursor, **{"as_of": AS_OF} | more)
        found += page.entries
        if page.next is None:
            return found
        cursor = page.next


def ids(*asked, **more):
    return [entry.id for entry in every(*asked, **more)]


def test_what_the_starting_data_leaves_to_do(reading):
    """The themes without practice and the missing Latvian labels are those that were counted by hand."""
    assert ids("themes-without-practice", reading) == [
        *("digital-data", "education-adult", "employment-decent", "entrepreneurship-procurement", "gender-violence"),
        *("governance-funding", "governance-monitoring", "language-interpretation", "neighbourhood-publicspace"),
        "social-youth",
    ]
    assert ids("labels-missing", reading, labels="lv") == [
        *("housing-mediation", "participation-urban-citizenship", "reception-emergency"),
    ]
    assert ids("labels-missing", reading, labels="fr") == []
    assert len(ids("labels-missing", reading, labels="pl")) == 90
    assert ids("contradicting-claims", reading) == [
        *("antwerp--curant", "berlin--stadtteilmutter", "bologna--salus-space"),
        *("fuenlabrada--milma", "mechelen--samen-inburgeren", "nantes--cnce"),
    ]
    assert ids("contradicting-claims", reading, kind="city") == []
    assert ids("only-top-themes", reading) == []
    assert len(ids("unverified", reading)) == 79, "nobody has noted a day yet"
    assert len(ids("incomplete", reading)) == 79, "no record tells all that is advised"
    assert ids("incomplete", reading, kind="cities") == []


def test_the_one_probable_duplicate_of_the_starting_data_is_told_once_with_its_reason(reading):
    [entry] = every("probable-duplicates", reading)
    assert entry.id == "vienna--startwien"
    assert entry.reason.startswith("Probably the same as StartWien Hub (vienna--startwien-hub). Its t")
    assert entry.details["duplicates"][0]["id"] == "vienna--startwien-hub"


@pytest.mark.parametrize("name", NAMES)
def test_pages_of_one_give_the_same_list_in_order(reading, name):
    whole = [entry.id for entry in reading.worklist(name, "en", 7, labels="lv").entries]
    walked, cursor = [], None
    for _ in range(len(whole) + 5):
        page = worklist(name, reading, "en", 1, cursor, labels="lv")
        walked += [entry.id for entry in page.entries]
        cursor = page.next
        if cursor is None or len(walked) == len(whole):
            break
    assert walked == whole == sorted(whole)


def test_an_entry_says_what_it_is_and_why_in_both_languages(reading):
    told = reading.worklist("contradicting-claims", "fr", 1, as_of=AS_OF).as_json("fr")
    [entry] = told["results"]
    assert (entry["kind"], entry["state"], entry["id"]) == ("practice", "published", "antwerp--curant")
    assert entry["title"].startswith("CURANT: co-housing")
    assert entry["reason"] == "Deux chiffres pour le même résultat : 81 et 135."
    assert told["next"]
    french = every("incomplete", reading, "fr")[0].reason
    assert french.startswith("Manque : ")


def test_a_verified_record_leaves_the_list_for_24_months(writing):
    for day in ("2024-03-01", "2024-03-02"):
        writing.save([SOUP | {"record": {"verified_on": day}}])
        found = {entry.id: entry for entry in every("unverified", writing)}
        assert ("gent--soup" in found) == (day == "2024-03-01"), day
        if day == "2024-03-01":
            assert found["gent--soup"].reason == "Last verified on 2024-03-01; full months since: 24."
    assert "gent--soup" in ids("unverified", writing, as_of=date(2027, 1, 1))


def test_a_practice_with_only_top_themes_is_listed_until_it_gets_a_narrower_one(writing):
    writing.save([SOUP])
    [entry] = every("only-top-themes", writing)
    assert entry.reason == "It has only top themes (Language learning); choose narrower ones."
    writing.save([SOUP | {"themes": ["language", "language-informal"]}])
    assert ids("only-top-themes", writing) == []


def test_drafts_are_listed_only_when_asked_for_and_count_before_the_published_version(writing):
    writing.save([SOUP | {"title": {"en": "Soup"}}], publish=False)
    assert "gent--soup" not in ids("only-top-themes", writing)
    [entry] = every("only-top-themes", writing, drafts=True)
    assert (entry.id, entry.state, entry.title) == ("gent--soup", "draft", "Soup")
    writing.save([SOUP])
    assert ids("only-top-themes", writing, drafts=True) == ids("only-top-themes", writing) == ["gent--soup"]
    writing.save([SOUP | {"themes": ["language-informal"]}], publish=False)
    assert ids("only-top-themes", writing, drafts=True) == []
    assert ids("only-top-themes", writing) == ["gent--soup"]
    with writing.ledger.write() as transaction:
        transaction.append(Change("practice", "gent--soup", "withdrawn", "public", "", "curator/ilze"))
    writing.catch_up()
    assert ids("only-top-themes", writing, drafts=True) == ids("only-top-themes", writing) == []


def test_records_that_are_not_public_are_for_those_who_see_drafts(writing):
    writing.save([SOUP | {"record": {"visibility": "team"}}])
    assert ids("only-top-themes", writing) == []
    assert ids("only-top-themes", writing, drafts=True) == ["gent--soup"]


def test_a_draft_that_resembles_a_published_practice_is_a_probable_duplicate(writing):
    copy = {**writing.get("practice", "mechelen--samen-inburgeren"), "id": "mechelen--duos", "record": {}}
    writing.save([{key: value for key, value in copy.items() if key != "iri"}], publish=False)
    found = {entry.id: entry.reason for entry in every("probable-duplicates", writing, drafts=True)}
    assert "mechelen--samen-inburgeren" in found["mechelen--duos"]
    assert "mechelen--duos" not in ids("probable-duplicates", writing)


def test_an_answered_contradiction_leaves_the_list_and_returns_when_a_value_changes(writing):
    record = writing.get("practice", "antwerp--curant")
    [flag] = contradictions(record)
    FlagAnswers(writing.ledger).answer_flag(flag, "explained", author="curator/ilze", note="135 counts all phases.")
    assert "antwerp--curant" not in ids("contradicting-claims", writing)
    seen = {entry.id: entry for entry in every("contradicting-claims", writing, answered=True)}
    assert seen["antwerp--curant"].reason.endswith("Answered: 135 counts all phases.")
    record["outcomes"][2]["value"] = "136"
    writing.save([{key: value for key, value in record.items() if key != "iri"}])
    seen = {entry.id: entry for entry in every("contradicting-claims", writing)}
    assert seen["antwerp--curant"].reason.endswith("A value has changed since this was answered.")


def test_links_that_lead_to_another_level_are_those_whose_figures_say_so(reading):
    """The three places for which the starting data notes that GeoNames counts another area."""
    told = {entry.id: entry for entry in every("place-links", reading)}
    assert set(told) == {"copenhagen", "levadia", "oslo"}
    assert told["oslo"].reason == (
        "Its link to GeoNames (https://sws.geonames.org/3143244/) leads to the urban area: "
        "the figure read there counts that, not the municipality."
    )
    assert "mène à l'agglomération" in every("place-links", reading, "fr")[0].reason


def test_a_link_that_two_cities_share_is_told_at_both(writing):
    place = "http://www.wikidata.org/entity/Q239"  # the City of Brussels, which is not its Region
    region = {"kind": "city", "id": "brussels-region", "name": {"en": "Brussels Region"}, "country": "BE"}
    writing.save([{**region, "wikidata": place, "wikidata_confidence": "recalled-verify"}])
    told = {entry.id: entry for entry in every("place-links", writing)}
    assert told["brussels"].details["links"] == [
        {"field": "wikidata", "link": place, "leads_to": [], "shared_with": ["brussels-region"]}
    ]
    assert told["brussels-region"].reason.startswith("brussels has the same link to Wikidata")


def test_deprecated_themes_are_left_in_peace(writing):
    theme = writing.get("theme", "digital-data")
    writing.save([{key: value for key, value in theme.items() if key != "iri"} | {"deprecated": True}])
    assert "digital-data" not in ids("themes-without-practice", writing)
    assert "digital-data" not in ids("labels-missing", writing, labels="pl")


def test_a_page_ends_after_a_bounded_walk_and_goes_on_from_there(tmp_path):
    with Catalogue.create(tmp_path / "data") as catalogue:
        with catalogue.ledger.write() as transaction:
            for number in range(WALKED + 10):
                id = f"gent--p{number:05}"
                transaction.append(Change("practice", id, "published", "public", "", "import", title=id))
        page = catalogue.worklist("only-top-themes", "en", 5)
        assert (page.entries, page.next, page.walked) == ((), f"gent--p{WALKED - 1:05}", WALKED)
        last = catalogue.worklist("only-top-themes", "en", 5, page.next)
        assert (last.next, last.walked) == (None, 10)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"name": "everything"}, NotFound, "there is no work list 'everything'; there are: incomplete, "),
        ({"name": "only-top-themes", "kind": "city"}, BadRequest, "is for practice, not 'city'"),
        ({"name": "incomplete", "kind": "dragon"}, NotFound, "no kind of record called 'dragon'"),
        ({"name": "incomplete", "limit": 0}, BadRequest, "from 1 to 200"),
        ({"name": "incomplete", "limit": 201}, BadRequest, "from 1 to 200"),
        ({"name": "incomplete", "cursor": "../x"}, BadRequest, "was not given by a page"),
        ({"name": "incomplete", "cursor": "a" * 121}, BadRequest, "was not given by a page"),
        ({"name": "labels-missing", "labels": 'lv") } #'}, BadRequest, "is no language tag"),
        ({"name": "labels-missing", "language": 'x"y'}, BadRequest, "is no language tag"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(reading, asked, error, message):
    with pytest.raises(error, match=message):
        reading.worklist(**asked)


def test_messages_in_a_language_we_do_not_speak_are_english(reading):
    page = reading.worklist("labels-missing", "pl", 1)
    assert page.entries[0].reason == "There is no label in the language “pl”."
