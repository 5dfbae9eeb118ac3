"""The bundled model, prepared once and kept between test runs, because preparing it takes half a minute."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from kg.search.embedding import OnnxEmbedder, load_embedder, prepare_model

CACHE = Path(__file__).resolve().parent.parent / ".cache"


def prepared_models() -> Path:
    """A folder with the bundled model ready to serve; a second process waits for the first to make it."""
    made_with = "-".join(version(name) for name in ("torch", "onnxscript", "sentence-transformers"))
    folder = CACHE / f"models-{made_with}"
    prepare_model(models_folder=folder)
    return folder


@pytest.fixture(scope="session")
def models_folder() -> Path:
    """Shared by all tests: look, do not touch."""
    return prepared_models()


@pytest.fixture(scope="session")
def embedder(models_folder: Path) -> OnnxEmbedder:
    served = load_embedder(models_folder)
    assert isinstance(served, OnnxEmbedder)
    return served
