"""A cohort as it comes in: what is read, what is refused, and with which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kg import cohorts
from kg.cohorts import Wanted, pair_cohort, read_cohort, read_file
from kg.errors import BadRequest, KgError, TooLarge, TooSlow, UnreadableInput
from kg.matching import suggestions
from kg.matching.cohort_sentences import cause_sentence, rule_sentence, unmatched_sentence
from kg.matching.facts import Availability, CityFacts, Hit, NeedHits, PracticeFacts, Suggestion
from kg.matching.profile import Profile
from kg.matching.profiles import PEER_LEARNING
from kg.matching.suggestions import Weighed, explained
from kg.search.text import Passage
from kg.search.view import Understood
from kg.suggesting import Need
from ontology import path as shipped

WORDS = ("heat", "trees", "work")


def city(id: str, country: str, *practices: str, **more: Any) -> CityFacts:
    """A city with a practice on each of some words."""
    own = tuple(PracticeFacts(f"{id}--{word}", {"en": word}, evidence="outcome-counts") for word in practices)
    return CityFacts(id, {"en": id.title()}, country=country, practices=own, **more)


class Towns:
    """A small catalogue: a practice answers a need that has its word; the more words, the better."""

    def __init__(self) -> None:
        self.asked = 0
        offer = Availability(True, quota=3, taken=1, working_languages=("en",))
        listed = (
            city("arles", "FR", "heat", "work", languages=("fr",)),
            city("bruges", "BE", "heat", "trees", languages=("nl",), availability=offer),
            city("cork", "IE", "work", languages=("en",)),
            city("delft", "NL", languages=("nl",)),
            city("evora", "PT", languages=("pt",)),
        )
        self.cities = {one.id: one for one in listed}

    def city(self, name: str, where: str) -> str:
        if name not in self.cities:
            raise BadRequest(f"{where}: there is no city {name!r} on record")
        return name

    def theme(self, name: str, where: str) -> str:
        return name

    def available_mentors(self) -> list[str]:
        return [id for id, one in self.cities.items() if one.availability]

    def all_cities(self, most: int) -> list[str]:
        return sorted(self.cities)[:most]

    def needs_of(self, city: str) -> list[dict[str, Any]]:
        return [{"text": "heat"}] if city == "delft" else []

    def city_facts(self, ids: Any) -> dict[str, CityFacts]:
        return {id: self.cities[id] for id in ids if id in self.cities}

    def theme_words(self, theme: str) -> tuple[str, ...]:
        return (theme,)

    def hits_of(self, needs: Sequence[Need]) -> list[tuple[NeedHits, Understood]]:
        self.asked += 1
        return [
            (
                NeedHits(
                    tuple(
                        Hit(
                            practice.id,
                            one.id,
                            0.9 if one.id == "arles" else 0.6,
                            Passage("action", "en", f"They met. Then {practice.title['en']}. So it was.", one.id),
                        )
                        for one in self.cities.values()
                        for practice in one.practices
                        if practice.title["en"] in need.text
                    )
                ),
                Understood(need.text, "en", True, "read", (), need.text),
            )
            for need in needs
        ]


def wanted(**more: Any) -> Wanted:
    given = {
        "mentees": [
            {"city": "delft"},
            {"city": "evora", "needs": [{"text": "heat and trees"}]},
            {"id": "new-town", "profile": {"country": "FR", "languages": ["fr"]}, "needs": [{"text": "heat"}]},
        ],
        "mentors": ["arles", {"city": "bruges"}, "cork"],
        "as_of": "2026-01-01",
    }
    return read_cohort({**given, **more}, Towns())


def answer(request: Wanted, language: str = "en") -> dict[str, Any]:
    return pair_cohort(request, Towns(), Profile(), "https://example.org/", language)


def pairs(told: dict[str, Any]) -> dict[str, str]:
    return {one["mentee"]["id"]: one["mentor"]["id"] for one in told["pairs"]}


def test_a_cohort_is_paired_with_reasons_and_everything_beside_them() -> None:
    told = answer(wanted())
    assert told["feasible"]
    assert told["proved"]
    assert told["gap"] == 0
    assert len(pairs(told)) == 3
    assert sum(mentor["taken"] for mentor in told["mentors"]) == 3
    assert {m["mentor"]["id"]: m["places"] for m in told["mentors"]} == {"arles": 1, "bruges": 2, "cork": 1}
    for one in told["pairs"]:
        assert one["suggestion"]["city"]["id"] == one["mentor"]["id"]
        shares = sum(reason["contribution"] for reason in one["suggestion"]["reasons"])
        assert shares == pytest.approx(one["utility"], abs=1e-5)
    assert told["total"] == pytest.approx(sum(one["utility"] for one in told["pairs"]), abs=1e-4)
    assert "accompanies" in told["role_limits"]
    losses = [one["loss"] for one in told["alternatives"]]
    assert losses == sorted(losses)
    assert all(one["changes"] for one in told["alternatives"])


def test_all_needs_are_embedded_in_one_call() -> None:
    towns = Towns()
    pair_cohort(wanted(), towns, Profile(), "https://example.org/", "en")
    assert towns.asked == 1


def test_pairs_say_need_by_need_what_speaks_for_them_and_mark_the_sentence() -> None:
    mentees = [{"city": "delft", "needs": [{"text": "work"}, {"text": "trees"}]}]
    [pair] = answer(wanted(mentees=mentees, mentors=["arles"]))["pairs"]
    work, trees = pair["suggestion"]["needs"]
    assert (work["met"], work["for"][0]) == (True, "“work” is its closest practice.")
    assert (trees["met"], trees["against"]) == (False, ["Nothing on record was found."])
    [cited] = pair["suggestion"]["practices"]
    place = cited["passage"]["sentence"]
    assert cited["passage"]["text"][place["start"] : place["end"]] == "Then work."


def test_each_need_that_gets_a_mentor_of_its_own_has_its_own_sentence_marked() -> None:
    mentees = [{"city": "delft", "needs": [{"text": "work"}, {"text": "heat"}]}]
    told = answer(wanted(mentees=mentees, mentors=[{"city": "arles", "at_most": 2}], mentor_per="need"))
    marked = {}
    for pair in told["pairs"]:
        [cited] = pair["suggestion"]["practices"]
        place = cited["passage"]["sentence"]
        marked[pair["need"]] = cited["passage"]["text"][place["start"] : place["end"]]
    assert marked == {0: "Then work.", 1: "Then heat."}


def test_sentences_are_made_only_for_the_pairs_that_are_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 × 500 cities 50,000 pairs are weighed and 500 proposed: sentences for all would be a hundred times the work."""
    made: list[str] = []

    def counted(weighed: Weighed, rank: int) -> Suggestion:
        made.append(weighed.case.city.id)
        return explained(weighed, rank)

    for module in (cohorts, suggestions):
        monkeypatch.setattr(module, "explained", counted)
    told = answer(wanted(mentors=[{"city": "arles", "at_most": 2}, "bruges", "cork"]))
    assert made == [one["mentor"]["id"] for one in told["pairs"]]


def test_a_cohort_is_weighed_with_the_profile_it_is_given() -> None:
    named = wanted(profile="peer-learning", weights={"language": 0.2})
    assert named.profile_name == "peer-learning"
    told = pair_cohort(named, Towns(), PEER_LEARNING, "https://example.org/", "en")
    assert told["profile"] == {
        "name": "peer-learning",
        "version": PEER_LEARNING.version,
        "changed": ["language"],
        "weights": {"language": 0.2},
    }
    weights = {one["factor"]: one["weight"] for one in told["pairs"][0]["suggestion"]["reasons"]}
    assert (weights["gap"], weights["language"]) == (PEER_LEARNING.weights["gap"], 0.2)


def test_the_order_of_mentees_mentors_and_rules_does_not_matter() -> None:
    one = wanted()
    other = read_cohort(
        {
            "mentees": [
                {"id": "new-town", "profile": {"country": "FR", "languages": ["fr"]}, "needs": [{"text": "heat"}]},
                {"city": "evora", "needs": [{"text": "heat and trees"}]},
                {"city": "delft"},
            ],
            "mentors": ["cork", "bruges", "arles"],
            "as_of": "2026-01-01",
        },
        Towns(),
    )
    assert answer(one) == answer(other)


def test_rules_are_kept() -> None:
    veto = {"vetoes": [{"mentee": "new-town", "mentor": "arles"}]}
    assert pairs(answer(wanted(rules=veto)))["new-town"] == "bruges"
    fixed = {"fixed": [{"mentee": "delft", "mentor": "cork"}]}
    told = answer(wanted(rules=fixed))
    assert pairs(told)["delft"] == "cork"
    settled = next(one for one in told["pairs"] if one["fixed"])
    assert (settled["band"], settled["suggestion"], settled["utility"]) == (None, None, 0)
    assert "arles" not in pairs(answer(wanted(rules={"countries": {"FR": 0}}))).values()
    assert pairs(answer(wanted(rules={"other_countries": True}))).get("new-town") != "arles"
    assert pairs(answer(wanted(rules={"shared_language": True}))) == {"delft": "bruges", "new-town": "arles"}
    assert len(pairs(answer(wanted(rules={"visits": 8})))) == 2
    assert pairs(answer(wanted(rules={"lowest_band": "strong"}))) == {
        one["mentee"]["id"]: one["mentor"]["id"] for one in answer(wanted())["pairs"] if one["band"] == "strong"
    }


def test_languages_named_in_the_request_count_beside_those_on_record() -> None:
    mentees = [{"city": "delft", "languages": ["lv"]}]
    assert pairs(answer(wanted(mentees=mentees))) == {}
    speaking = [{"city": "arles", "languages": ["lv"]}, "bruges"]
    assert pairs(answer(wanted(mentees=mentees, mentors=speaking))) == {"delft": "arles"}


def test_pairs_that_know_each_other_count_as_the_request_says() -> None:
    known = [{"mentee": "delft", "mentor": "arles"}]
    usual = answer(wanted(mentees=[{"city": "delft"}]))["total"]
    totals = {
        way: answer(wanted(mentees=[{"city": "delft"}], mentors=["arles"], rules={"known": known, "known_pairs": way}))
        for way in ("prefer", "avoid", "exclude", "ignore")
    }
    assert totals["prefer"]["total"] == pytest.approx(usual + 0.05, abs=1e-5)
    assert totals["avoid"]["total"] == pytest.approx(usual - 0.05, abs=1e-5)
    assert totals["ignore"]["total"] == usual
    assert totals["exclude"]["unmatched"][0]["code"] == "ruled-out"
    assert "know each other" in totals["exclude"]["unmatched"][0]["text"]


@pytest.mark.parametrize("way", ["prefer", "avoid", "ignore"])
def test_that_two_cities_know_each_other_is_no_practice_on_record(way: str) -> None:
    known = {"known": [{"mentee": "delft", "mentor": "cork"}], "known_pairs": way}
    told = answer(wanted(mentees=[{"city": "delft"}], mentors=["cork"], rules=known))
    assert (told["pairs"], told["unmatched"][0]["code"]) == ([], "nothing-found")
    told = answer(wanted(mentees=[{"city": "delft", "must": True}], mentors=["cork"], rules=known))
    assert not told["feasible"]


def test_a_settled_pair_may_be_weaker_than_the_lowest_band() -> None:
    fixed = {"fixed": [{"mentee": "delft", "mentor": "bruges"}]}
    told = answer(wanted(rules={**fixed, "lowest_band": "strong"}))
    assert told["feasible"]
    settled = next(one for one in told["pairs"] if one["fixed"])
    assert (settled["mentor"]["id"], settled["band"]) == ("bruges", "good")
    assert {one["band"] for one in told["pairs"] if not one["fixed"]} == {"strong"}


def test_rules_name_cities_by_identifier_or_address() -> None:
    class Addressed(Towns):
        def city(self, name: str, where: str) -> str:
            return super().city(name.removeprefix("https://example.org/id/city/"), where)

    def read(*names: str) -> Wanted:
        vetoes = {"vetoes": [dict(zip(("mentee", "mentor"), names, strict=True))]}
        return read_cohort({"mentees": [{"city": "delft"}], "mentors": ["arles"], "rules": vetoes}, Addressed())

    assert read("https://example.org/id/city/delft", "https://example.org/id/city/arles") == read("delft", "arles")
    with pytest.raises(BadRequest, match="city/cork' is no mentor of this cohort"):
        read("delft", "https://example.org/id/city/cork")


def test_a_country_goes_by_its_code_or_by_the_one_that_the_union_writes() -> None:
    assert wanted(rules={"countries": {"EL": 1, "uk": 2}}).countries == {"GR": 1, "GB": 2}


def test_each_need_may_get_a_mentor_of_its_own() -> None:
    mentees = [{"city": "evora", "needs": [{"text": "work"}, {"text": "trees"}]}]
    told = answer(wanted(mentees=mentees, mentor_per="need"))
    assert [(one["need"], one["mentor"]["id"]) for one in told["pairs"]] == [(0, "arles"), (1, "bruges")]
    assert len(answer(wanted(mentees=mentees))["pairs"]) == 1


def test_no_city_mentors_itself() -> None:
    told = answer(wanted(mentees=[{"city": "arles", "needs": [{"text": "heat"}]}], mentors=["arles"]))
    assert told["pairs"] == []
    assert told["unmatched"][0]["code"] == "nothing-found"


def test_nobody_is_sent_to_a_partner_for_what_it_does_itself() -> None:
    class Shared(Towns):
        """Delft runs a practice that Cork is a partner of; nobody else has anything on trees."""

        def __init__(self) -> None:
            super().__init__()
            own = PracticeFacts("delft--trees", {"en": "trees"}, tie="own")
            self.cities = {
                "cork": CityFacts("cork", {"en": "Cork"}, practices=(replace(own, tie="partner"),)),
                "delft": CityFacts("delft", {"en": "Delft"}, practices=(own,)),
                "evora": CityFacts("evora", {"en": "Evora"}),
            }

    needs = [{"text": "trees"}]
    mentees = [{"city": "delft", "needs": needs}, {"city": "evora", "needs": needs}]
    request = read_cohort({"mentees": mentees, "mentors": [{"city": "cork", "at_most": 2}]}, Shared())
    told = pair_cohort(request, Shared(), Profile(), "https://example.org/", "en")
    assert pairs(told) == {"evora": "cork"}
    assert [one["code"] for one in told["unmatched"]] == ["nothing-found"]


def test_rules_that_cannot_hold_together_are_named_in_both_languages() -> None:
    rules = {
        "fixed": [{"mentee": "delft", "mentor": "cork"}],
        "vetoes": [{"mentee": "delft", "mentor": "cork"}, {"mentee": "evora", "mentor": "cork"}],
        "everyone": True,
    }
    told = answer(wanted(rules=rules))
    assert not told["feasible"]
    assert told["pairs"] == []
    assert [rule["kind"] for rule in told["conflict"]["rules"]] == ["fixed", "veto"]
    assert told["conflict"]["smallest"]
    assert len(told["conflict"]["give_up"]) == 1
    assert answer(wanted(rules=rules), "fr")["conflict"]["rules"][0]["text"] == "Cork doit accompagner Delft."
    assert told["role_limits"]


def test_a_contradiction_names_the_mentees_for_whom_nothing_is_on_record() -> None:
    of_three = wanted(mentors=[{"city": "cork", "at_least": 3, "at_most": 3}])
    told = answer(of_three)["conflict"]
    assert [rule["text"] for rule in told["rules"]] == ["Cork accompanies at least 3 cities."]
    assert told["why"] == "Cork has no practice on record that comes close to the needs of Delft, Evora and new-town."
    assert answer(of_three, "fr")["conflict"]["why"] == (
        "Cork n’a pas de pratique documentée proche des besoins de Delft, d’Evora et de new-town."
    )
    mentees = [{"city": "delft"}, {"city": "evora", "needs": [{"text": "work"}], "must": True}]
    nobody = answer(wanted(mentees=mentees, mentors=["bruges"]))["conflict"]
    assert (
        nobody["why"] == "No mentor city of the cohort has a practice on record that comes close to the needs of Evora."
    )
    veto = {"vetoes": [{"mentee": "delft", "mentor": "bruges"}], "everyone": True}
    assert answer(wanted(mentees=mentees[:1], mentors=["bruges"], rules=veto))["conflict"]["why"] == ""


def test_a_long_list_of_mentees_ends_with_a_number() -> None:
    names = [f"T{number}" for number in range(12)]
    assert cause_sentence("Cork", names, "en").endswith("T8, T9 and 2 cities more.")
    assert cause_sentence("Cork", names, "fr").endswith("de T9 et de 2 villes de plus.")


def test_mentors_may_be_all_that_offer_or_all_on_record() -> None:
    assert [one.city for one in wanted(mentors="all available").mentors] == ["bruges"]
    assert [one.city for one in wanted(mentors="all on record").mentors] == sorted(Towns().cities)


MENTEE = {"city": "delft"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mentees": []}, "mentees: give a list of 1 to 500"),
        ({"mentees": "delft"}, "mentees: give a list"),
        ({"mentees": [MENTEE, MENTEE]}, r"mentees\[1\]: 'delft' stands twice"),
        ({"mentees": [{"city": "evora"}]}, r"mentees\[0\].needs: 'evora' has no public need on record"),
        ({"mentees": [{"city": "atlantis"}]}, r"mentees\[0\].city: there is no city 'atlantis'"),
        ({"mentees": [{"city": "delft", "needs": [{"text": " "}]}]}, r"mentees\[0\].needs\[0\].text"),
        ({"mentees": [{"city": "delft", "needs": [{"text": "a\x00"}]}]}, "control character"),
        ({"mentees": [{"city": "delft", "profile": {}}]}, "either a city on record"),
        ({"mentees": [{"id": "Delft!", "profile": {}, "needs": [{"text": "heat"}]}]}, "is no id"),
        ({"mentees": [{"id": "delft", "profile": {}, "needs": [{"text": "heat"}]}]}, "is a city on record"),
        ({"mentees": [{"city": "delft", "must": "yes"}]}, "neither true nor false"),
        ({"mentors": []}, "mentors: give a list of 1 to 500"),
        ({"mentors": "everybody"}, "'all available' or 'all on record'"),
        ({"mentors": None}, "mentors: give a list"),
        ({"mentors": ["arles", "arles"]}, r"mentors\[1\]: 'arles' stands twice"),
        ({"mentors": [{"city": "arles", "at_most": -1}]}, r"mentors\[0\].at_most: give a whole number from 0 to 500"),
        ({"mentors": [{"city": "arles", "at_most": 10**30}]}, "at_most"),
        ({"mentors": [{"city": "arles", "quota": 2}]}, "there is no 'quota'"),
        ({"mentors": [{"city": "arles", "languages": ["?"]}]}, "is no language tag"),
        ({"rules": {"veto": []}}, "rules: there is no 'veto'"),
        ({"rules": {"vetoes": [{"mentee": "delft", "mentor": "vienna"}]}}, "'vienna' is no mentor of this cohort"),
        ({"rules": {"fixed": [{"mentee": "arles", "mentor": "arles"}]}}, "'arles' is no mentee of this cohort"),
        ({"rules": {"countries": {False: 1}}}, "'false' is no country"),
        ({"rules": {"countries": {"XX": 1}}}, "'XX' is no country"),
        ({"rules": {"fixed": [{"mentee": "evora", "mentor": "evora"}]}, "mentors": ["evora"]}, "its own mentor"),
        ({"mentees": [{"profile": {}, "needs": [{"text": "heat"}]}]}, r"mentees\[0\].id: it is missing"),
        ({"rules": {"countries": {"BE": 1.5}}}, "rules.countries.BE: give a whole number"),
        ({"rules": {"known_pairs": "like"}}, "'like' is none of prefer, avoid, exclude, ignore"),
        ({"rules": {"visits": -1}}, "rules.visits"),
        ({"rules": {"lowest_band": "weak"}}, "'weak' is none of strong, good, possible"),
        ({"alternatives": 11}, "alternatives: give a whole number from 0 to 10"),
        ({"time_limit_seconds": float("nan")}, "time_limit_seconds: give a number from 1 to 40"),
        ({"mentor_per": "week"}, "mentor_per"),
        ({"name": "\ud800"}, "name"),
        ({"colour": 1}, "there is no 'colour'"),
        ({"weights": {"distance": 1}}, "weight 'distance'"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        answer(wanted(**change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mentees": [MENTEE, MENTEE]}, "mentees[1] : 'delft' y est deux fois"),
        ({"mentees": [{"city": "evora"}]}, "mentees[0].needs : aucun besoin public de 'evora' n’est documenté"),
        ({"mentees": [{"city": "delft", "profile": {}}]}, "mentees[0] : donnez soit une ville documentée"),
        ({"mentees": [{"city": "delft", "id": "x"}]}, "mentees[0].id : une ville documentée a son propre id"),
        ({"mentees": [{"profile": {}, "needs": [{"text": "heat"}]}]}, "mentees[0].id : il manque"),
        ({"mentees": [{"id": "Delft!", "profile": {}}]}, "mentees[0].id : 'Delft!' n’est pas un id"),
        ({"mentees": [{"id": "delft", "profile": {}, "needs": [{"text": "heat"}]}]}, "est une ville documentée"),
        ({"mentors": ["arles", "arles"]}, "mentors[1] : 'arles' y est deux fois"),
        ({"rules": {"vetoes": [{"mentee": "delft", "mentor": "vienna"}]}}, "n’est pas une ville mentore de ce groupe"),
        (
            {"rules": {"fixed": [{"mentee": "evora", "mentor": "evora"}]}, "mentors": ["evora"]},
            "sa propre ville mentore",
        ),
        ({"mentees": [{"city": "delft", "needs": [{"text": "heat"}] * 20}] * 51}, "y est deux fois"),
    ],
)
def test_what_cannot_be_used_is_told_in_french_too(change: dict[str, Any], said: str) -> None:
    with pytest.raises(KgError) as refused:
        wanted(**change)
    assert said in refused.value.told("fr")


@pytest.mark.parametrize(
    "change",
    [
        {"mentees": [MENTEE] * 501},
        {"mentors": ["arles"] * 501},
        {"rules": {"vetoes": [{"mentee": "delft", "mentor": "arles"}] * 5001}},
        {"mentees": [{"city": "delft", "needs": [{"text": "heat" * 6000}]}]},
    ],
)
def test_what_is_too_large_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TooLarge):
        wanted(**change)


def test_a_cohort_without_an_answer_in_time_says_so() -> None:
    with pytest.raises(TooSlow, match="raise time_limit_seconds"):
        answer(replace(wanted(rules={"everyone": True}), time_limit_seconds=0.0))


# Files


def test_yaml_is_read_as_data_with_norway_in_it(tmp_path: Path) -> None:
    file = tmp_path / "cohort.yaml"
    file.write_text("rules: {countries: {NO: 1}}\nas_of: 2026-01-31\nmust: true\nanswer: no\n", encoding="utf-8")
    assert read_file(file) == {"rules": {"countries": {"NO": 1}}, "as_of": "2026-01-31", "must": True, "answer": "no"}


def test_json_is_read_by_its_ending(tmp_path: Path) -> None:
    file = tmp_path / "cohort.JSON"
    file.write_text('\ufeff{"name": "x"}', encoding="utf-8")
    assert read_file(file) == {"name": "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", "cohort.yaml, line 1: anchors and aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", "cohort.yaml, line 1"),
        ("a: 1\nb: 2\na: 3\n", "line 1: 'a' stands 2 times"),
        ("[" * 100_000, "more than 12 deep"),
        ("- a\n", "must be an object"),
        ("", "must be an object"),
        ("a: [1\n", "cohort.yaml, line 2"),
        ("a: \x00", "this is not YAML"),
        ("? [a, b]\n: 1\n", "line 1"),
        ("--- {a: 1}\n--- {b: 2}\n", "line 2"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "cohort.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableInput, match=said):
        read_file(file)


@pytest.mark.parametrize(
    ("body", "said"), [(b"{", "line 1"), (b"\xff", "UTF-8"), (b"[" * 200_000, "deep"), (b"3", "object")]
)
def test_a_json_file_that_is_none_is_refused(tmp_path: Path, body: bytes, said: str) -> None:
    file = tmp_path / "cohort.json"
    file.write_bytes(body)
    with pytest.raises(UnreadableInput, match=said):
        read_file(file)


def test_a_file_over_a_megabyte_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cohort.yaml"
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(TooLarge):
        read_file(file)


@pytest.mark.parametrize("name", ["inclucities.yaml", "thirty.yaml"])
def test_the_examples_are_files_that_can_be_read(name: str) -> None:
    assert read_file(shipped(f"cohorts/{name}"))["mentees"]


KINDS = (
    *("fixed", "veto", "known", "must", "at-least", "at-most", "language", "shared-language"),
    *("country", "other-country", "band", "visits"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_is_said_in_english_and_french(kind: str) -> None:
    english, french = (rule_sentence(kind, ["Delft", "Cork"], 2, language) for language in ("en", "fr"))
    assert english.endswith(".")
    assert french.endswith(".")
    assert english != french


@pytest.mark.parametrize("code", ["nothing-found", "ruled-out", "places-taken", "rules-bind"])
def test_every_reason_to_stay_without_is_said_in_english_and_french(code: str) -> None:
    english, french = (unmatched_sentence(code, ["Cork"], [], language) for language in ("en", "fr"))
    assert english.endswith(".")
    assert french.endswith(".")
    assert english != french


def test_an_error_is_one_of_ours() -> None:
    with pytest.raises(KgError):
        read_cohort([], Towns())
