"""A view ends up showing exactly what the ledger says readers may see, whatever happened on the way."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg.graph.store import OxigraphStore
from kg.ledger import Change, Ledger
from kg.views import Difference, Follower, agreement, decides, is_shown, newest_decisions

BASE = "https://x.org/"


class Shelf:
    """A view that keeps payloads in memory, notes how it was called, and can be told to fail."""

    name = "shelf"

    def __init__(self):
        self.records, self.calls, self.failures, self._marker = {}, [], 0, 0

    def marker(self):
        return self._marker

    def apply(self, revisions, marker):
        self.calls.append(([revision.number for revision in revisions], marker))
        if self.failures:
            self.failures -= 1
            raise OSError("no space left on the shelf")
        for revision in revisions:
            self.records.pop((revision.kind, revision.id), None)
            if is_shown(revision):
                self.records[revision.kind, revision.id] = revision
        self._marker = marker

    def held(self):
        return {key: revision.number for key, revision in self.records.items()}

    def clear(self):
        self.records, self._marker = {}, 0

    def close(self):
        pass


@pytest.fixture
def ledger(tmp_path):
    with Ledger.create(f"sqlite:///{tmp_path}/ledger.sqlite", BASE) as ledger:
        yield ledger


def change(id, state="published", visibility="public", kind="city", text=""):
    payload = f'<{BASE}id/{kind}/{id}> <http://www.w3.org/2000/01/rdf-schema#label> "{text}" .\n'
    return Change(kind, id, state, visibility, payload, "ilze", replaced_by="other" if state == "merged" else None)


def write(ledger, *changes):
    with ledger.write() as tx:
        return [tx.append(change).number for change in changes]


def content(store, path):
    store.dump(path, "nquads")
    return sorted(path.read_bytes().splitlines())


def wait_until(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


# Which rows matter


def test_forty_saves_of_one_record_are_written_once(ledger):
    write(ledger, *(change("riga", text=str(number)) for number in range(40)))
    shelf = Shelf()
    assert Follower(ledger, shelf).catch_up() == 40
    assert shelf.calls == [([40], 40)]


def test_later_rows_are_collapsed_too_and_drafts_only_move_the_marker(ledger):
    shelf = Shelf()
    follower = Follower(ledger, shelf, batch=4)
    write(ledger, change("riga"))
    follower.catch_up()
    write(ledger, change("riga"), change("lyon"), change("riga", "withdrawn"), change("lyon", "draft"))
    write(ledger, change("lyon", "submitted"))
    assert follower.catch_up() == 6
    assert shelf.calls == [([1], 1), ([3, 4], 5), ([], 6)]
    assert shelf.held() == {("city", "lyon"): 3}


def test_a_published_version_stays_beside_a_draft_and_leaves_when_it_is_no_longer_public(ledger):
    shelf = Shelf()
    follower = Follower(ledger, shelf)
    write(ledger, change("riga"), change("riga", "draft"))
    follower.catch_up()
    assert shelf.held() == {("city", "riga"): 1}
    write(ledger, change("riga", visibility="team"))
    follower.catch_up()
    assert shelf.held() == {}


def test_what_was_erased_by_law_is_not_shown_on_the_way(ledger):
    write(ledger, change("riga", text="a name"), change("riga", "withdrawn"), change("lyon"))
    ledger.erase(1, "request of the person named")
    (erased, *_), shelf = ledger.since(0), Shelf()
    assert decides(erased)
    assert not is_shown(erased)
    assert [revision.number for revision in newest_decisions(ledger.since(0, 1))] == [1]
    Follower(ledger, shelf, batch=1).catch_up()
    assert shelf.held() == {("city", "lyon"): 3}


# Every way leads to the same view

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["riga", "lyon", "gent"]),
        st.sampled_from(["draft", "published", "published", "withdrawn", "merged", "returned"]),
        st.sampled_from(["public", "public", "programme", "team"]),
    ),
    min_size=1,
    max_size=14,
)


def model(steps):
    """What readers may see after these steps, said once more in the plainest way."""
    seen = {}
    for number, (id, state, visibility) in enumerate(steps, start=1):
        if state in ("withdrawn", "merged") or (state == "published" and visibility != "public"):
            seen.pop(("city", id), None)
        elif state == "published":
            seen["city", id] = number
    return seen


@settings(max_examples=25, deadline=None)
@given(STEPS, st.integers(0, 14), st.integers(1, 5))
def test_caught_up_in_parts_or_rebuilt_the_view_is_the_same(tmp_path_factory, steps, cut, batch):
    folder = tmp_path_factory.mktemp("ways")
    changes = [change(id, state, visibility, text=str(number)) for number, (id, state, visibility) in enumerate(steps)]
    with Ledger.create(f"sqlite:///{folder}/ledger.sqlite", BASE) as ledger, OxigraphStore(None, BASE) as view:
        follower = Follower(ledger, view, batch=batch)
        for part in changes[:cut], changes[cut:]:
            write(ledger, *part)
            follower.catch_up()
        assert view.held() == model(steps)
        assert agreement(ledger, view) == []
        followed = content(view, folder / "dump")
        assert follower.rebuild() == view.marker() == len(steps)
        assert content(view, folder / "dump") == followed


@pytest.mark.parametrize("failing", range(1, 6))
def test_a_view_that_failed_half_way_goes_on_where_it_was(ledger, failing):
    shelf = Shelf()
    follower = Follower(ledger, shelf, batch=1)
    write(ledger, change("riga"))
    follower.catch_up()
    write(ledger, change("lyon"), change("riga", "withdrawn"), change("gent"), change("riga"), change("lyon", "merged"))
    apply, calls = shelf.apply, []

    def apply_until_it_fails(revisions, marker):
        calls.append(marker)
        shelf.failures = int(len(calls) == failing)
        apply(revisions, marker)

    shelf.apply = apply_until_it_fails
    with pytest.raises(OSError, match="shelf"):
        follower.catch_up()
    assert follower.reached == shelf.marker() == failing
    assert follower.catch_up() == 6
    assert shelf.held() == {("city", "gent"): 4, ("city", "riga"): 5}


def test_a_view_ahead_of_a_ledger_that_was_restored_is_made_anew(ledger, tmp_path):
    write(ledger, *(change(id) for id in ("riga", "lyon", "gent")))
    with OxigraphStore(None, BASE) as view:
        Follower(ledger, view).catch_up()
        with Ledger.create(f"sqlite:///{tmp_path}/older.sqlite", BASE) as older:
            write(older, change("riga", text="older"))
            follower = Follower(older, view)
            assert (follower.reached, follower.lag()) == (0, 1)
            assert not follower.wait_for(1, timeout_seconds=0)
            assert follower.catch_up() == 1
            assert view.held() == {("city", "riga"): 1}
            assert view.rows("SELECT ?label { ?s rdfs:label ?label }") == [{"label": "older"}]


def test_an_empty_ledger_empties_a_view_that_is_ahead(ledger):
    shelf = Shelf()
    shelf.records, shelf._marker = {("city", "riga"): None}, 5
    assert Follower(ledger, shelf).catch_up() == 0
    assert shelf.records == {}


def test_a_rebuild_misses_nothing_that_happens_meanwhile(ledger):
    """After the first page was read, a record on it is withdrawn, one to come is replaced, and one is new."""
    write(ledger, *(change(id) for id in ("riga", "lyon", "gent")))
    shelf = Shelf()
    follower = Follower(ledger, shelf, batch=1)
    meanwhile = [change("riga", "withdrawn"), change("gent", text="new"), change("jelgava")]

    def progress(done, last):
        if meanwhile:
            write(ledger, meanwhile.pop(0))

    assert follower.rebuild(progress) == 6
    assert shelf.held() == {("city", "lyon"): 2, ("city", "gent"): 5, ("city", "jelgava"): 6}


def test_a_rebuild_that_was_stopped_is_continued(ledger):
    write(ledger, *(change(id) for id in ("riga", "lyon", "gent")), change("riga", "withdrawn"), change("liepaja"))
    shelf, stop, seen = Shelf(), threading.Event(), []
    follower = Follower(ledger, shelf, batch=1)
    shelf.records["city", "leftover"] = None

    def progress(done, last):
        seen.append((done, last))
        stop.set()

    assert follower.rebuild(progress, stop) == 2
    assert (seen, shelf.held()) == ([(2, 5)], {("city", "lyon"): 2})
    assert follower.catch_up(progress) == 5
    assert seen == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert shelf.held() == {("city", "lyon"): 2, ("city", "gent"): 3, ("city", "liepaja"): 5}


def test_a_rebuild_that_was_stopped_misses_nothing_that_happened_before(ledger):
    """Row 2 withdraws what was read already; row 3 is read. Going on from row 3 would keep riga for ever."""
    write(ledger, change("riga"))
    shelf, stop = Shelf(), threading.Event()
    follower = Follower(ledger, shelf, batch=1)

    def progress(done, last):
        if ledger.last_number() == 1:
            write(ledger, change("riga", "withdrawn"), change("lyon"))
        else:
            stop.set()

    follower.rebuild(progress, stop)
    assert shelf.held() == {("city", "riga"): 1, ("city", "lyon"): 3}
    assert follower.catch_up() == 3
    assert shelf.held() == {("city", "lyon"): 3}


# The thread


@pytest.fixture
def follow(ledger):
    followers = []

    def begin(view, **settings):
        followers.append(Follower(ledger, view, **settings))
        followers[-1].start()
        return followers[-1]

    yield begin
    for follower in followers:
        follower.stop()


def test_a_saved_record_is_seen_soon_after_notify(ledger, follow):
    shelf = Shelf()
    follower = follow(shelf, poll_seconds=60)
    for expected in range(1, 6):
        (number,) = write(ledger, change(f"c-{expected}"))
        follower.notify()
        assert follower.wait_for(number, timeout_seconds=20)
        assert len(shelf.held()) == expected
    assert (follower.lag(), follower.reached) == (0, 5)


def test_rows_of_another_process_are_found_without_notify(ledger, follow):
    follower = follow(Shelf(), poll_seconds=0.02)
    wait_until(lambda: follower.lag() == 0)
    (number,) = write(ledger, change("riga"))
    assert follower.wait_for(number, timeout_seconds=20)


def test_waiting_ends_without_success_when_nobody_follows(ledger):
    follower = Follower(ledger, Shelf())
    write(ledger, change("riga"))
    assert not follower.wait_for(1, timeout_seconds=0.05)
    assert follower.lag() == 1


def test_after_errors_the_thread_tries_again_ever_later_and_recovers(ledger, follow, caplog):
    shelf = Shelf()
    shelf.failures = 4
    write(ledger, change("riga"))
    with caplog.at_level(logging.ERROR):
        begun = time.monotonic()
        follower = follow(shelf, retry_seconds=(0.05, 0.1))
        wait_until(lambda: follower.error is not None)
        assert "shelf" in str(follower.error)
        assert follower.lag() == 1
        assert follower.wait_for(1, timeout_seconds=20)
    assert time.monotonic() - begun >= 0.05 + 0.1 + 0.1 + 0.1
    wait_until(lambda: follower.error is None)
    assert len(caplog.records) == 1
    assert shelf.held() == {("city", "riga"): 1}


def test_stopping_is_quick_also_while_the_thread_waits_after_an_error(ledger, follow):
    shelf = Shelf()
    shelf.failures = 10**6
    write(ledger, change("riga"))
    follower = follow(shelf, retry_seconds=(60.0, 60.0))
    wait_until(lambda: follower.error is not None)
    begun = time.monotonic()
    follower.stop()
    follower.stop()
    assert time.monotonic() - begun < 10
    assert "follow-shelf" not in [thread.name for thread in threading.enumerate()]


def test_a_stopped_follower_can_be_started_again(ledger, follow):
    follower = follow(Shelf())
    follower.start()
    assert [thread.name for thread in threading.enumerate()].count("follow-shelf") == 1
    follower.stop()
    write(ledger, change("riga"))
    follower.start()
    assert follower.wait_for(1, timeout_seconds=20)


def test_calls_and_thread_do_not_work_on_the_view_at_the_same_time(ledger, follow):
    shelf = Shelf()
    apply, busy, met = shelf.apply, threading.Lock(), []

    def apply_alone(revisions, marker):
        met.append(not busy.acquire(blocking=False))
        time.sleep(0.002)
        apply(revisions, marker)
        if not met[-1]:
            busy.release()

    shelf.apply = apply_alone
    follower = follow(shelf, batch=1, poll_seconds=0.001)
    for number in range(20):
        write(ledger, change(f"c-{number}"))
        if number % 5 == 0:
            follower.rebuild()
    assert follower.wait_for(20, timeout_seconds=20)
    assert not any(met)
    assert len(shelf.held()) == 20


# Do they agree?


def test_agreement_names_what_is_missing_left_over_or_old(ledger):
    write(ledger, *(change(id) for id in ("gent", "lyon", "riga")), change("heat", kind="theme"))
    shelf = Shelf()
    Follower(ledger, shelf).catch_up()
    assert agreement(ledger, shelf) == []
    write(ledger, change("riga"), change("lyon", "withdrawn"), change("jelgava"), change("secret", visibility="team"))
    assert agreement(ledger, shelf) == [
        Difference("city", "jelgava", ledger=7, view=None),
        Difference("city", "lyon", ledger=None, view=2),
        Difference("city", "riga", ledger=5, view=3),
    ]
    assert str(agreement(ledger, shelf)[1]) == "city 'lyon': the ledger shows none, the view 2"


def test_agreement_asks_a_view_only_for_the_kinds_it_keeps(ledger):
    write(ledger, change("riga"), change("heat", kind="theme"))
    shelf = Shelf()
    shelf.apply([revision for revision in ledger.since(0) if revision.kind == "city"], 2)
    assert agreement(ledger, shelf, kinds={"city"}) == []
    assert agreement(ledger, shelf) == [Difference("theme", "heat", ledger=2, view=None)]
