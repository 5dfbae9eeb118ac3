"""Callers of one model share its runs: what arrives while the model is busy goes into the next run together.

Nobody waits for company: who finds the model idle runs it at once, in its own thread, and who arrives meanwhile is taken
along by whoever runs it next. A run holds texts of similar length, because all of them are padded to its longest; runs
begin in turn with the shortest text that waits and with the one that has waited longest. So a short text waits for two
runs beside the one under way, however many long ones stand before it, and a long one is not put off for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

RUN_TOKENS = 256
"""Most tokens of a shared run, padding included, unless one text alone has more. Some twenty needs of a sentence fit, which
together cost a third less than one by one; long texts gain nothing by company and would only hold the others longer."""

SPREAD = 2
"""The longest text of a run has at most so many times the tokens of its shortest, or 16 tokens more: padding is work."""


@dataclass(eq=False)
class _Text:
    """One text that waits for its vector; `order` is its place in the order of arrival."""

    order: int
    size: int
    given: Any
    vector: Vectors | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.vector is not None or self.error is not None


class SharedRuns:
    """Runs a model for many threads, one run at a time.

    `run` takes what the model takes for each text and gives one row for each, in order.
    """

    def __init__(self, run: Callable[[list[Any]], Vectors]) -> None:
        self._run = run
        self._moved = threading.Condition()
        self._waiting: list[_Text] = []
        self._running = False
        self._arrived = 0
        self._runs = 0

    def embed(self, texts: Sequence[tuple[int, Any]]) -> Vectors:
        """The rows of these texts, each given as its number of tokens and what `run` takes for it.

        Raises what the run that held one of them raised; other callers' texts in that run meet the same error.

        >>> runs = SharedRuns(lambda given: np.array([[len(text)] for text in given], np.float32))
        >>> runs.embed([(3, "abc"), (1, "d")]).tolist()
        [[3.0], [1.0]]
        """
        with self._moved:
            mine = [_Text(self._arrived + place, size, given) for place, (size, given) in enumerate(texts)]
            self._arrived += len(mine)
            self._waiting += mine
        try:
            self._see_through(mine)
        finally:
            with self._moved:  # an interrupted caller takes its texts along
                self._waiting = _without(self._waiting, mine)
        for text in mine:
            if text.error is not None:
                raise text.error
        return np.array([text.vector for text in mine], np.float32)

    def _see_through(self, mine: Sequence[_Text]) -> None:
        """Run the model, or wait while another thread does, until all of these texts have their vectors."""
        while True:
            with self._moved:
                self._moved.wait_for(lambda: not self._running or all(text.done for text in mine))
                if all(text.done for text in mine):
                    return
                self._running, together = True, self._taken()
            try:
                self._fill(together)
            finally:
                with self._moved:
                    self._running = False
                    self._moved.notify_all()

    def _fill(self, together: Sequence[_Text]) -> None:
        """One run; its error is an answer too, but who is interrupted leaves the others' texts to the others."""
        try:
            rows = self._run([text.given for text in together])
        except Exception as error:  # noqa: BLE001 (raised again for each caller whose text was in the run)
            for text in together:
                text.error = error
            return
        except BaseException:
            with self._moved:
                self._waiting += together
            raise
        for text, row in zip(together, rows, strict=True):
            text.vector = row

    def _taken(self) -> list[_Text]:
        """The texts of the next run, taken out of those that wait."""
        self._runs += 1
        chosen = next_run([(text.size, text.order) for text in self._waiting], shortest_first=self._runs % 2 == 1)
        together = [self._waiting[place] for place in chosen]
        self._waiting = _without(self._waiting, together)
        return together


def _without(waiting: Sequence[_Text], gone: Sequence[_Text]) -> list[_Text]:
    taken = set(gone)
    return [text for text in waiting if text not in taken]


def next_run(waiting: Sequence[tuple[int, int]], *, shortest_first: bool) -> list[int]:
    """Which of the waiting texts, each with its size in tokens and its place in order of arrival, run together next.

    The first is the shortest or the oldest; after it come those next to it in size, older ones first among equals,
    as long as the run stays within `RUN_TOKENS` and `SPREAD`.

    >>> next_run([(120, 0), (12, 1), (110, 2), (14, 3)], shortest_first=True)
    [1, 3]
    >>> next_run([(120, 0), (12, 1), (110, 2), (14, 3)], shortest_first=False)
    [0, 2]
    """
    first = min(range(len(waiting)), key=(lambda i: waiting[i]) if shortest_first else (lambda i: waiting[i][1]))
    near = sorted(
        range(len(waiting)), key=lambda i: (abs(waiting[i][0] - waiting[first][0]), i != first, waiting[i][1])
    )
    run: list[int] = []
    shortest = longest = waiting[first][0]
    for place in near:
        size = waiting[place][0]
        shortest, longest = min(shortest, size), max(longest, size)
        if run and (longest > max(SPREAD * shortest, shortest + 16) or longest * (len(run) + 1) > RUN_TOKENS):
            break
        run.append(place)
    return run
