"""The starting data with the bundled model, loaded once for all tests that only look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.models import prepared_models

if TYPE_CHECKING:
    from kg.catalogue import Catalogue


@pytest.fixture(scope="session")
def start_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the starting data; look, do not touch."""
    from kg.catalogue import Catalogue  # most tests are pure, and need none of it

    folder = tmp_path_factory.mktemp("start") / "data"
    with Catalogue.create(folder, start_data=True, models=prepared_models()) as made:
        made.reindex()
    return folder


@pytest.fixture(scope="session")
def catalogue(start_folder: Path) -> Iterator[Catalogue]:
    from kg.catalogue import Catalogue

    with Catalogue.open(start_folder, models=prepared_models()) as opened:
        opened.follow()
        yield opened
