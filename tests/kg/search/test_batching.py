"""Callers share the model's runs: nobody waits for company, for much more than the run under way, or for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.search.batching import RUN_TOKENS, SPREAD, SharedRuns, next_run
from kg.search.embedding import OnnxEmbedder

Text = tuple[int, str]


class Runs:
    """A model that notes what it ran, and stays in a run that holds "slow" until it is let go."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.let_go = threading.Event()
        self.shared = SharedRuns(self.run)

    def run(self, texts: list[str]) -> np.ndarray:
        self.seen.append(texts)
        if "slow" in texts:
            assert self.let_go.wait(30)
        if "broken" in texts:
            raise RuntimeError("the model does not run")
        return np.array([[len(text)] for text in texts], np.float32)

    def started(self, texts: Sequence[Text], failed: list[BaseException] | None = None) -> threading.Thread:
        """A caller in a thread of its own, whose texts are waiting or running when this returns."""
        before = self.shared._arrived

        def ask() -> None:
            try:
                assert self.shared.embed(texts).tolist() == [[len(text)] for _, text in texts]
            except BaseException as error:
                if failed is None:
                    raise
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: self.shared._arrived > before)
        return thread


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def finished(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def busy() -> tuple[Runs, threading.Thread]:
    runs = Runs()
    slow = runs.started([(10, "slow")])
    until(lambda: runs.seen == [["slow"]])
    return runs, slow


def test_what_arrives_while_the_model_is_busy_goes_into_one_run():
    runs, slow = busy()
    threads = [runs.started([(10, f"need {n}")]) for n in range(6)]
    runs.let_go.set()
    finished([slow, *threads])
    assert len(runs.seen) == 2
    assert sorted(runs.seen[1]) == [f"need {n}" for n in range(6)]


def test_nobody_waits_for_company():
    runs = Runs()
    for text in ("a", "b", "c"):
        runs.shared.embed([(1, text)])
    assert runs.seen == [["a"], ["b"], ["c"]]


def test_a_short_need_waits_for_two_runs_at_most_behind_many_long_ones():
    runs, slow = busy()
    long = [runs.started([(RUN_TOKENS, f"long {n}.{m}") for m in range(4)]) for n in range(3)]
    short = runs.started([(5, "short")])
    runs.let_go.set()
    finished([slow, *long, short])
    assert ["short"] in runs.seen[1:3]
    assert len(runs.seen) == 14


def test_a_long_need_is_not_put_off_for_ever():
    runs, slow = busy()
    long = runs.started([(RUN_TOKENS, "long")])
    short = [runs.started([(5 * 3**n, f"short {n}")]) for n in range(5)]  # too different in length to run together
    runs.let_go.set()
    finished([slow, long, *short])
    assert ["long"] in runs.seen[1:3]


def test_a_run_that_fails_fails_for_those_in_it_alone():
    runs, slow = busy()
    failed: list[BaseException] = []
    broken = [runs.started([(5, "broken")], failed), runs.started([(5, "beside it")], failed)]
    fine = runs.started([(500, "fine")])
    runs.let_go.set()
    finished([slow, *broken, fine])
    assert [str(error) for error in failed] == ["the model does not run"] * 2
    assert runs.shared.embed([(1, "later")]).tolist() == [[5.0]]


def test_who_is_interrupted_while_running_leaves_the_others_texts_to_them():
    interrupted = threading.Event()
    runs = Runs()

    def run(texts: list[str]) -> np.ndarray:
        if "mine" in texts and not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return runs.run(texts)

    runs.shared = SharedRuns(run)
    slow = runs.started([(90, "slow")])
    until(lambda: runs.seen == [["slow"]])
    failed: list[BaseException] = []
    threads = [runs.started([(5, "mine")], failed), runs.started([(5, "yours")], failed)]
    runs.let_go.set()
    finished([slow, *threads])
    assert [type(error) for error in failed] == [KeyboardInterrupt]
    assert runs.shared._waiting == []


@given(st.lists(st.integers(1, 3 * RUN_TOKENS), min_size=1, max_size=60), st.booleans())
def test_a_run_is_bounded_padding_included(sizes: list[int], shortest_first: bool):
    run = next_run([(size, order) for order, size in enumerate(sizes)], shortest_first=shortest_first)
    held = [sizes[place] for place in run]
    assert len(set(run)) == len(run) > 0
    assert len(run) == 1 or max(held) * len(held) <= RUN_TOKENS
    assert max(held) <= max(SPREAD * min(held), min(held) + 16)
    assert min(sizes) in held if shortest_first else 0 in run


def test_needs_of_many_callers_get_the_vectors_they_get_alone(embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch):
    texts = [f"need {n}: " + "housing for families who arrive " * (n * n) for n in range(12)] + ["school " * 3_000]
    alone = {text: embedder.embed([text], kind="passage")[0] for text in texts}
    run, runs = embedder._run, []
    last = embedder._shared._arrived + len(texts)

    def noting(batch):
        until(lambda: embedder._shared._arrived == last)
        runs.append(len(batch))
        return run(batch)

    monkeypatch.setattr(embedder, "_run", noting)
    found: dict[str, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda text=text: found.update({text: embedder.embed([text], kind="query")[0]}))
        for text in texts
    ]
    for thread in threads:
        thread.start()
    finished(threads)
    assert max(np.abs(found[text] - alone[text]).max() for text in texts) < 1.5e-6
    assert sum(runs) == len(texts) > len(runs)


@pytest.mark.parametrize("wanted", [0, 1])
def test_no_texts_take_no_run(wanted: int):
    runs = Runs()
    assert runs.shared.embed([(1, "a")] * wanted).shape == ((1, 1) if wanted else (0,))
    assert len(runs.seen) == wanted
