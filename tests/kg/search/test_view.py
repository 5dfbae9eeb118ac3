from __future__ import annotations

import contextlib
import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kg.errors import BadRequest, IndexMismatch, NotFound
from kg.search.meanings import keep_texts, kept_texts
from kg.search.ranking import Filters
from kg.search.view import EMBEDDED_AT_ONCE, Found, NeedText, SearchView

THEMES = [
    {"id": "housing", "label": {"en": "Housing", "fr": "Logement", "lv": "Mājokļi"}},
    {"id": "housing-access", "label": {"en": "Access to dwellings", "fr": "Accès au logement"}, "broader": "housing"},
    {"id": "language", "label": {"en": "Language learning", "fr": "Apprentissage de la langue"}},
]
CITIES = [
    {
        "id": "mechelen",
        "country": "BE",
        "observations": [{"measure": "population", "observed": "86000", "observed_in": "2019"}],
    },
    {"id": "jelgava", "country": "LV"},
]
PRACTICES = [
    {
        "id": "buddies",
        "title": {"en": "Buddies", "fr": "Duos"},
        "action": {
            "en": "Residents and newcomers meet and practise Dutch.",
            "fr": "Habitants et nouveaux venus se rencontrent.",
        },
        "problem": {"en": "Newcomers lacked contact with residents."},
        "city": "mechelen",
        "tie": "own",
        "themes": ["language"],
        "partners": [{"id": "partner-1", "partner_city": "jelgava"}],
        "periods": [{"id": "period-1", "start": "2012", "status": "running"}],
        "evidence": "label",
        "outcomes": [{"id": "claim-1", "statement": {"en": "150 duos"}, "evidence": "activity-counts"}],
    },
    {
        "id": "rent-guarantee",
        "title": {"en": "Rent guarantee"},
        "action": {"en": "The municipality guarantees the rent of refugees to private landlords."},
        "city": "jelgava",
        "themes": ["housing-access"],
    },
    {
        "id": "choir",
        "title": {"en": "A choir"},
        "action": {"en": "A choir of many voices sings in the market hall."},
        "city": "jelgava",
        "themes": [],
    },
]


def revision(number, record, kind="practice", *, state="published", visibility="public"):
    return SimpleNamespace(
        number=number, kind=kind, id=record["id"], state=state, visibility=visibility, payload={"kind": kind, **record}
    )


def everything() -> list:
    kinds = [("theme", THEMES), ("city", CITIES), ("practice", PRACTICES)]
    records = [(kind, record) for kind, listed in kinds for record in listed]
    return [revision(number, record, kind) for number, (kind, record) in enumerate(records, start=1)]


@pytest.fixture
def opened(tmp_path, words_embedder):
    with contextlib.ExitStack() as stack:

        def open_view(name="index", embedder=words_embedder, **options) -> SearchView:
            view = SearchView(tmp_path / name, embedder, read=lambda r: r.payload, **options)
            return stack.enter_context(contextlib.closing(view))

        yield open_view


@pytest.fixture
def view(opened) -> SearchView:
    view = opened()
    view.apply(everything(), 8)
    return view


def ids(found: list[Found]) -> list[str]:
    return [one.practice for one in found]


def test_a_need_finds_the_practice_and_the_passage_that_answers_it(view):
    best = view.find(NeedText("Refugees find no landlords who let a flat to them"))[0]
    assert best.practice == "rent-guarantee"
    assert (best.passage.part, best.passage.language) == ("action", "en")
    assert best.passage.text == PRACTICES[1]["action"]["en"]
    assert 0 < best.similarity <= 1
    assert best.similarity == round(best.similarity, 5)


def test_found_practices_carry_what_matching_asks_for(view):
    (found,) = [one for one in view.find(NeedText("newcomers practise Dutch")) if one.practice == "buddies"]
    assert (found.city, found.partner_cities, found.tie, found.country) == ("mechelen", ("jelgava",), "own", "BE")
    assert (found.start, found.end, found.status) == (2012, None, "running")
    assert found.evidence == ("label", "activity-counts")
    assert found.title == {"en": "Buddies", "fr": "Duos"}
    assert (found.themes, found.revision) == (("language",), 6)


def test_ranking_finds_what_finding_finds_after_reopening_too(view, opened):
    needs = [NeedText("newcomers practise Dutch"), NeedText("Refugees find no landlords", themes=("housing",))]
    wanted = [
        [(one.practice, one.city, one.partner_cities, one.similarity, one.passage) for one in answer.found]
        for answer in view.find_many(needs)
    ]
    view.close()
    reopened = opened()
    for answer, expected in zip(reopened.rank_many(needs), wanted, strict=True):
        assert len(expected) == 3
        for one, (*known, passage) in zip(answer.found, expected, strict=True):
            assert [one.practice, one.city, one.partner_cities, one.similarity] == known
            said = one.passage
            assert (said.part, said.language, said.text) == (passage.part, passage.language, passage.text)


def test_a_passage_is_empty_where_its_practice_was_taken_out_before_it_was_read(view):
    best, second, *_ = view.rank_many([NeedText("Refugees find no landlords who let a flat to them")])[0].found
    assert (best.practice, bool(second.passage.text)) == ("rent-guarantee", True)
    view.apply([revision(9, PRACTICES[1], state="withdrawn"), revision(10, PRACTICES[2], state="withdrawn")], 10)
    assert (best.passage.part, best.passage.language, best.passage.text) == ("", "und", "")
    assert second.passage.text


def test_a_bare_title_is_not_shown_where_the_practice_says_more(view):
    need = NeedText("A choir")
    (found,) = [one for one in view.find(need) if one.practice == "choir"]
    (ranked,) = [one for one in view.rank_many([need])[0].found if one.practice == "choir"]
    assert (found.passage.part, found.passage.text) == ("action", PRACTICES[2]["action"]["en"])
    assert (ranked.passage.part, ranked.passage.text) == ("action", PRACTICES[2]["action"]["en"])


def test_of_several_other_passages_the_nearest_is_shown(view):
    (found,) = [one for one in view.find(NeedText("Buddies")) if one.practice == "buddies"]
    assert (found.passage.part, found.passage.text) == ("outcomes", "150 duos")  # few words beside its title's


def test_a_title_is_shown_where_there_is_nothing_else(opened):
    view = opened()
    view.apply(
        [revision(1, {"id": "band", "title": {"en": "A brass band", "fr": "Une fanfare"}, "city": "jelgava"})], 1
    )
    (found,) = view.find(NeedText("A brass band"))
    assert found.passage.text == "A brass band"


def test_a_need_in_another_language_is_bridged_by_theme_labels(view):
    (answer,) = view.find_many([NeedText("Nous cherchons un logement pour les personnes arrivées récemment")])
    assert (answer.understood.language, answer.understood.situation) == ("fr", "bridged")
    assert (
        answer.understood.embedded.endswith("Housing. Access to dwellings") or "Housing" in answer.understood.embedded
    )
    assert answer.found[0].practice == "rent-guarantee"
    assert answer.found[0].signals["themes"] > 0


def test_two_words_of_uncertain_language_are_read_as_english(view):
    understood = view.understand(NeedText("tandem"))
    assert not understood.certain
    assert understood.situation == "read"


def test_a_theme_chosen_by_hand_counts_beside_the_words(view):
    plain = {f.practice: f.similarity for f in view.find(NeedText("something new", "en"))}
    themed = {f.practice: f.similarity for f in view.find(NeedText("something new", "en", ("housing-access",)))}
    assert themed["rent-guarantee"] > plain["rent-guarantee"]
    assert themed["buddies"] < plain["buddies"]


def test_a_practice_without_themes_is_not_judged_by_them(view):
    found = {f.practice: f for f in view.find(NeedText("a choir sings", "en", ("housing",)))}
    assert "themes" not in found["choir"].signals
    assert "themes" in found["buddies"].signals


CHOIRS = {
    "id": "culture",
    "label": {"en": "Culture"},
    "note": {"en": "A choir of many voices sings in the market hall."},
}


def found_themes(view, *needs: NeedText) -> list[dict[str, tuple[float, tuple[str, ...]]]]:
    answers = view.rank_many(needs)
    return [{theme.theme: (theme.strength, theme.words) for theme in one.understood.themes} for one in answers]


def test_a_theme_that_a_word_names_counts_as_far_as_the_need_as_a_whole_means_it(view):
    needs = [
        NeedText(text, "en")
        for text in ("Housing", "A choir beside the housing office", "The old choir of our housing estate")
    ]
    meant, by_the_way, hardly = found_themes(view, *needs)
    assert meant["housing"] == (1.0, ("housing",))
    assert "housing" not in hardly
    strength, through = by_the_way["housing"]
    assert through == ("housing",)
    assert 0 < strength < 1


def test_a_need_has_the_themes_that_it_means_without_naming_them(view):
    view.apply([revision(9, CHOIRS, "theme")], 9)
    need = "The choir sings with many voices"
    unnamed, named, chosen = found_themes(
        view, NeedText(need), NeedText("Culture: the choir sings"), NeedText(need, themes=("housing",))
    )
    strength, through = unnamed["culture"]
    assert view.profile.meant * view.profile.meant_share <= strength <= view.profile.meant_share
    assert through == ()
    assert named["culture"][1] == ("culture",)
    assert "culture" not in chosen


def test_in_a_language_that_the_model_does_not_read_words_alone_tell_the_themes(view):
    need = NeedText("Nous cherchons un logement pour la chorale et les personnes arrivées récemment")
    (answer,) = view.rank_many([need])
    assert answer.understood.themes == view.understand(need).themes != ()


def test_what_themes_mean_is_read_once_and_kept(view, opened, words_embedder, tmp_path):
    need = NeedText("The choir sings with many voices")
    view.apply([revision(9, CHOIRS, "theme")], 9)
    before = found_themes(view, need)
    words_embedder.calls.clear()
    view.apply([revision(10, {**CHOIRS, "alt": {"en": ["Music"]}}, "theme")], 10)
    assert words_embedder.calls == [("passage", 1)]
    view.apply([revision(11, CHOIRS, "theme")], 11)
    view.close()

    words_embedder.calls.clear()
    reopened = opened()
    assert found_themes(reopened, need) == before
    assert words_embedder.calls == [("query", 1)]
    reopened.close()

    (tmp_path / "index" / "themes.npz").write_bytes(b"damaged")
    assert found_themes(opened(), need) == before


def test_what_another_model_read_of_themes_is_not_taken(tmp_path):
    texts = {"Housing": np.array([1, 0], np.float32)}
    keep_texts(tmp_path / "themes.npz", "one", texts)
    assert kept_texts(tmp_path / "themes.npz", "other") == {}
    assert kept_texts(tmp_path / "themes.npz", "one")["Housing"].tolist() == [1, 0]


def test_all_needs_are_embedded_in_one_call(view, words_embedder):
    words_embedder.calls.clear()
    answers = view.find_many([NeedText("a choir"), NeedText("rent"), NeedText("Dutch")])
    assert words_embedder.calls == [("query", 3)]
    assert [ids(a.found)[0] for a in answers] == ["choir", "rent-guarantee", "buddies"]
    assert [list(a.found) for a in answers] == [view.find(NeedText(t)) for t in ("a choir", "rent", "Dutch")]


def test_no_needs_give_no_answers(view):
    assert view.find_many([]) == []


def test_an_empty_view_answers_with_nothing(opened):
    view = opened()
    assert view.find(NeedText("anything")) == []
    assert view.search(NeedText("anything")).next is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(countries=frozenset({"BE"})), {"buddies"}),
        (Filters(themes=frozenset({"housing"})), {"rent-guarantee"}),
        (Filters(languages=frozenset({"fr"})), {"buddies"}),
        (Filters(population_min=50_000, population_max=90_000), {"buddies"}),
        (Filters(exclude_cities=frozenset({"jelgava"})), {"buddies"}),
    ],
)
def test_filters_hold_for_finding(view, filters, expected):
    assert {f.practice for f in view.find(NeedText("newcomers refugees choir"), filters=filters)} == expected


_NAMES = itertools.count()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5, deadline=None)
@given(st.permutations(everything()))
def test_the_order_of_records_does_not_change_an_answer(opened, revisions):
    first, second = opened(f"a{next(_NAMES)}"), opened(f"b{next(_NAMES)}")
    first.apply(everything(), 8)
    for one in revisions:
        second.apply([one], 8)
    for text in ("refugees need dwellings", "Nous cherchons un logement", "choir and Dutch"):
        assert first.find(NeedText(text)) == second.find(NeedText(text))


def test_a_rebuilt_index_gives_the_same_answer_as_one_that_was_changed_often(opened):
    often, fresh = opened("often"), opened("fresh")
    draw = random.Random(5)
    for number in range(30):
        record = dict(draw.choice(PRACTICES), action={"en": f"Something else, version {number}"})
        often.apply([revision(number, record)], number)
    often.apply(everything(), 40)
    fresh.apply(everything(), 40)
    for text in ("refugees need a landlord", "version else"):
        assert often.find(NeedText(text)) == fresh.find(NeedText(text))


def many(count: int) -> list:
    draw = random.Random(1)
    listed = [
        "school",
        "park",
        "bus",
        "rent",
        "choir",
        "nurse",
        "library",
        "garden",
        "cinema",
        "stadium",
        "harbour",
        "bakery",
    ]
    return [
        revision(n, {"id": f"p-{n:03}", "title": {"en": " ".join(draw.choices(listed, k=4))}, "city": "mechelen"})
        for n in range(count)
    ]


def test_a_shorter_answer_is_the_beginning_of_a_longer_one(opened):
    view = opened()
    view.apply(many(120), 1)
    need = NeedText("a garden beside the library")
    longest = view.find(need, limit=100)
    assert len(longest) == 100
    for limit in (1, 2, 10, 57):
        assert view.find(need, limit=limit) == longest[:limit]
    assert longest == sorted(longest, key=lambda f: (-f.similarity, f.practice))


def test_equal_practices_are_ordered_by_their_identifier(opened):
    view = opened()
    same = [{"id": id, "title": {"en": "The same words"}, "city": "mechelen"} for id in "hgfbedca"]
    view.apply([revision(n, record) for n, record in enumerate(same)], 1)
    assert ids(view.find(NeedText("same words"), limit=7)) == list("abcdefg")


def test_pages_put_together_are_the_whole_answer(opened):
    view = opened()
    view.apply(many(50), 1)
    need, pages, cursor = NeedText("a nurse on the bus"), [], None
    while True:
        page = view.search(need, limit=7, cursor=cursor)
        pages += page.found
        cursor = page.next
        if cursor is None:
            break
    assert pages == list(view.find(need, limit=200))
    assert len(set(ids(pages))) == 50


@pytest.mark.parametrize("cursor", ["", "%%%", "bm9wZQ", "WzEsIDJd", "W10", "é", "x" * 100_000, "Wy0wLjUsICJhIiwgMV0"])
def test_a_cursor_from_elsewhere_is_refused(view, cursor):
    with pytest.raises(BadRequest, match="cursor"):
        view.search(NeedText("a choir"), cursor=cursor)


def test_similar_practices_leave_the_practice_itself_out(opened):
    view = opened()
    view.apply(many(30), 1)
    for practice in ("p-000", "p-007"):
        similar = view.similar(practice, limit=50)
        assert len(similar) == 29
        assert practice not in ids(similar)
    view.apply([revision(99, {"id": "copy", "title": many(30)[7].payload["title"], "city": "jelgava"})], 2)
    assert ids(view.similar("p-007"))[0] == "copy"
    with pytest.raises(NotFound, match="'p-999'"):
        view.similar("p-999")


def test_a_withdrawn_practice_is_no_longer_found(view):
    view.apply([revision(20, PRACTICES[1], state="withdrawn")], 20)
    assert "rent-guarantee" not in ids(view.find(NeedText("rent refugees")))
    assert view.held() == {("practice", "buddies"): 6, ("practice", "choir"): 8}
    assert view.marker() == 20


def test_a_practice_that_is_public_no_longer_is_no_longer_found(view):
    view.apply([revision(20, PRACTICES[1], visibility="team")], 20)
    assert "rent-guarantee" not in ids(view.find(NeedText("rent refugees")))


def test_a_city_that_moves_takes_its_practices_along(view):
    observed = [{"measure": "population", "observed": "300000", "observed_in": "2024"}]
    view.apply([revision(20, {**CITIES[0], "country": "NL", "observations": observed}, "city")], 20)
    assert ids(view.find(NeedText("x"), filters=Filters(countries=frozenset({"NL"})))) == ["buddies"]
    assert ids(view.find(NeedText("x"), filters=Filters(population_min=200_000))) == ["buddies"]
    view.apply([revision(21, CITIES[0], "city", state="withdrawn")], 21)
    assert view.find(NeedText("x"), filters=Filters(countries=frozenset({"NL"}))) == []


def test_a_theme_moved_below_another_moves_its_practices_in_filters(view):
    view.apply([revision(20, {**THEMES[1], "broader": "language"}, "theme")], 20)
    assert ids(view.find(NeedText("x"), filters=Filters(themes=frozenset({"housing"})))) == []
    assert set(ids(view.find(NeedText("x"), filters=Filters(themes=frozenset({"language"}))))) == {
        "buddies",
        "rent-guarantee",
    }


def test_a_new_label_of_a_theme_is_understood_at_once(view):
    need = NeedText("Wohnraum für Geflüchtete", "de")
    assert view.understand(need).themes == ()
    view.apply([revision(20, {**THEMES[0], "label": {**THEMES[0]["label"], "de": "Wohnraum"}}, "theme")], 20)
    assert [match.theme for match in view.understand(need).themes] == ["housing"]


def test_records_of_other_kinds_only_move_the_marker(view):
    before = view.find(NeedText("newcomers"))
    view.apply([revision(30, {"id": "eurocities"}, "organisation")], 30)
    assert (view.marker(), view.find(NeedText("newcomers"))) == (30, before)


def test_a_view_opened_again_knows_what_it_knew(opened, tmp_path, words_embedder):
    first = SearchView(tmp_path / "again", words_embedder, read=lambda r: r.payload)
    first.apply(everything(), 8)
    need = NeedText("Nous cherchons un logement")
    answer = first.find_many([need])
    first.close()
    second = opened("again")
    assert (second.marker(), second.find_many([need])) == (8, answer)
    second.clear()
    assert (second.marker(), second.held(), second.thesaurus.themes, second.find(need)) == (0, {}, (), [])
    second.apply(everything(), 8)
    assert second.find_many([need]) == answer


def test_an_index_of_another_model_is_refused_or_begun_anew(opened, tmp_path, words_embedder):
    first = SearchView(tmp_path / "other", words_embedder, read=lambda r: r.payload)
    first.apply(everything(), 8)
    first.close()
    other = type(words_embedder)("words-2")
    with pytest.raises(IndexMismatch):
        opened("other", other)
    fresh = opened("other", other, discard=True)
    assert (fresh.marker(), fresh.held()) == (0, {})


def test_a_long_build_goes_in_batches_and_tells_how_far_it_is(opened, words_embedder):
    told = []
    view = opened(progress=lambda done, total: told.append((done, total)))
    view.apply(many(EMBEDDED_AT_ONCE + 30), 5)
    assert told == [(EMBEDDED_AT_ONCE, EMBEDDED_AT_ONCE + 30), (EMBEDDED_AT_ONCE + 30, EMBEDDED_AT_ONCE + 30)]
    assert len(view.held()) == EMBEDDED_AT_ONCE + 30
    assert max(count for _, count in words_embedder.calls) <= EMBEDDED_AT_ONCE


def test_a_build_cut_short_is_finished_by_applying_it_again(opened, words_embedder, monkeypatch):
    view = opened()
    embed = words_embedder.embed
    monkeypatch.setattr(
        words_embedder, "embed", lambda texts, **kind: embed(texts, **kind) if len(texts) > 50 else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        view.apply(many(EMBEDDED_AT_ONCE + 30), 5)
    assert view.marker() == 0
    monkeypatch.undo()
    view.apply(many(EMBEDDED_AT_ONCE + 30), 5)
    assert (view.marker(), len(view.held())) == (5, EMBEDDED_AT_ONCE + 30)


HOSTILE = [
    "\x00",
    "\u202e\u200f",
    "a" * 20_000,
    "é" * 3_000,
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "  ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_taken_as_need_and_as_practice(opened, text):
    view = opened()
    view.apply([revision(1, {"id": "x", "title": {"en": text}, "action": {"en": text}, "city": "riga"})], 1)
    for found in view.find(NeedText(text)):
        assert 0 <= found.similarity <= 1


def test_a_practice_without_text_is_held_and_found_by_nobody(opened):
    view = opened()
    view.apply([revision(1, {"id": "empty", "title": {}}), revision(2, PRACTICES[0])], 2)
    assert view.held() == {("practice", "empty"): 1, ("practice", "buddies"): 2}
    assert ids(view.find(NeedText("anything"))) == ["buddies"]


def test_a_model_of_many_languages_is_not_bridged(opened, words_embedder):
    view = opened("many", type(words_embedder)("many-1", multilingual=True))
    view.apply(everything(), 8)
    understood = view.understand(NeedText("Nous cherchons un logement pour tous"))
    assert (understood.situation, understood.embedded) == ("read", understood.text)


def test_similarity_does_not_depend_on_what_else_is_listed(view):
    need = NeedText("refugees and landlords")
    alone = view.find(need, filters=Filters(countries=frozenset({"BE"})))
    among = {f.practice: f for f in view.find(need)}
    assert [among[f.practice] for f in alone] == alone
    assert np.all([f.similarity >= 0 for f in alone])
