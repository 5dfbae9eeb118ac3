"""Fixtures that all suites share."""

from tests.models import embedder, models_folder

__all__ = ["embedder", "models_folder"]
