"""Bounds how much is computed at once, so that a crowd slows nobody's health check and nothing piles up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kg.errors import Busy

WAITING = 20
"""Requests that may wait for a turn. The framework has 40 threads; the others stay free for plain reads."""


class Turns:
    """At most `at_once` holders; up to WAITING more wait, each no longer than `wait_seconds`."""

    def __init__(self, at_once: int, wait_seconds: float) -> None:
        self._line = threading.BoundedSemaphore(at_once + WAITING)
        self._places = threading.BoundedSemaphore(at_once)
        self._wait_seconds = wait_seconds

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place while the block runs; raises Busy when none comes free in time.

        >>> turns = Turns(at_once=1, wait_seconds=0.01)
        >>> with turns.one(), turns.one():
        ...     pass
        Traceback (most recent call last):
        kg.errors.Busy: the service is busy; send the same request again in a few seconds
        """
        if not self._line.acquire(blocking=False):
            raise self._busy()
        try:
            if not self._places.acquire(timeout=self._wait_seconds):
                raise self._busy()
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._line.release()

    @staticmethod
    def _busy() -> Busy:
        return Busy(
            {
                "en": "the service is busy; send the same request again in a few seconds",
                "fr": "le service est occupé ; renvoyez la même demande dans quelques secondes",
            }
        )
