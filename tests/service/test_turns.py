"""Too many at once: a clear answer in time, and reads that need no turn go on."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from kg.catalogue import Catalogue
from kg.errors import Busy
from service.app import create_app
from service.settings import Settings
from service.turns import WAITING, Turns
from tests.service.conftest import running


def test_a_busy_service_says_so_while_plain_reads_go_on(catalogue: Catalogue) -> None:
    app = create_app(Settings(searches_at_once=2, wait_seconds=0.05), catalogue)
    with running(app) as server, ExitStack() as held:
        for _ in range(2):
            held.enter_context(app.state.turns.one())
        refused = server.client.get("/api/suggestions", params={"need": "one desk for newcomers"})
        page = server.client.get("/", params={"need": "un guichet unique", "lang": "fr"})
        assert server.client.get("/api/cities").status_code == 200
        assert server.client.get("/health/live").status_code == 200
        held.close()
        answered = server.client.get("/api/suggestions", params={"need": "one desk for newcomers"})
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (503, "busy")
    assert page.status_code == 503
    assert "Beaucoup de personnes posent une question en ce moment" in page.text
    assert answered.status_code == 200


def test_the_line_is_bounded() -> None:
    turns = Turns(at_once=1, wait_seconds=30)
    with turns.one():
        released = threading.Event()

        def wait() -> None:
            with turns.one():
                released.wait()

        waiting = [threading.Thread(target=wait) for _ in range(WAITING)]
        for thread in waiting:
            thread.start()
        while turns._line._value:
            pass
        with pytest.raises(Busy, match="send the same request again") as busy, turns.one():
            pass
        assert busy.value.told("fr") == "le service est occupé ; renvoyez la même demande dans quelques secondes"
    released.set()
    for thread in waiting:
        thread.join(timeout=20)
        assert not thread.is_alive()
