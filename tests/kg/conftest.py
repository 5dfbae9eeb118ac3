"""A small embedder that obeys the real one's interface: texts that share words lie close to each other."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from kg.search.text import words


class WordsEmbedder:
    """A text's vector is the sum of fixed vectors of its words, normalised."""

    def __init__(self, identity: str = "words-1", dimension: int = 32, multilingual: bool = False) -> None:
        self.identity = identity
        self.dimension = dimension
        self.max_tokens = 256
        self.multilingual = multilingual
        self.calls: list[tuple[str, int]] = []

    def embed(
        self, texts: Sequence[str], *, kind: str, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        self.calls.append((kind, len(texts)))
        rows = [sum((self._word(word) for word in words(text)), np.full(self.dimension, 1e-3)) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32).reshape(len(texts), self.dimension)

    def _word(self, word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(word.encode())).normal(size=self.dimension)


@pytest.fixture
def words_embedder() -> WordsEmbedder:
    return WordsEmbedder()
