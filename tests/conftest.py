"""Fixtures that all suites share."""

from tests.models import embedder, models_folder
from tests.starting import catalogue, start_folder

__all__ = ["catalogue", "embedder", "models_folder", "start_folder"]
