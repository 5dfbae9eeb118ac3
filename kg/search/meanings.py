"""What themes mean, as the model reads their English labels and what they cover: how near a need lies to each."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kg.search.embedding import Embedder
from kg.search.ranking import Profile
from kg.search.thesaurus import Thesaurus

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Meanings:
    """The meanings of a thesaurus: each theme's part of `labels` and `vectors`, from and to; `texts` has each text's vector.

    Themes without an English label are not among them.
    """

    thesaurus: Thesaurus
    themes: Mapping[str, tuple[int, int]]
    labels: tuple[str, ...]
    vectors: Vectors
    texts: Mapping[str, Vectors]

    def cosines(self, needs: Vectors) -> Vectors:
        """A row for each need, with its cosines to all that themes mean."""
        return np.asarray(needs @ self.vectors.T, np.float32)

    def nearness(self, row: Vectors, profile: Profile) -> dict[str, float]:
        """How near each theme lies by its nearest text, in [0, 1], from a need's cosines."""
        if not self.themes:
            return {}
        best = np.maximum.reduceat(row, [start for start, _ in self.themes.values()])
        return {theme: profile.dense(float(cosine)) for theme, cosine in zip(self.themes, best, strict=True)}

    def label(self, row: Vectors, theme: str) -> str:
        """The label of a theme that stands for its nearest text."""
        start, end = self.themes[theme]
        return self.labels[start + int(row[start:end].argmax())]


def read_meanings(thesaurus: Thesaurus, embedder: Embedder, before: Mapping[str, Vectors]) -> Meanings:
    """The meanings of all themes; only texts that are not in `before` are embedded, all in one call."""
    described = {theme: pairs for theme in thesaurus.themes if (pairs := thesaurus.described(theme))}
    texts = [text for pairs in described.values() for _, text in pairs]
    new = [text for text in dict.fromkeys(texts) if text not in before]
    rows = embedder.embed(new, kind="passage") if new else ()
    known = {**before, **dict(zip(new, rows, strict=True))}
    parts = pairwise([0, *accumulate(map(len, described.values()))])
    return Meanings(
        thesaurus=thesaurus,
        themes=dict(zip(described, parts, strict=True)),
        labels=tuple(label for pairs in described.values() for label, _ in pairs),
        vectors=np.array([known[text] for text in texts], np.float32).reshape(len(texts), embedder.dimension),
        texts={text: known[text] for text in texts},
    )


def kept_texts(file: Path, identity: str) -> dict[str, Vectors]:
    """The vectors that `keep_texts` wrote for a model; none where there are none, and from a damaged file.

    >>> kept_texts(Path("/nonexistent/themes.npz"), "m")
    {}
    """
    try:
        with np.load(file, allow_pickle=False) as kept:
            if str(kept["identity"]) == identity:
                return dict(zip(kept["texts"].tolist(), np.asarray(kept["vectors"], np.float32), strict=True))
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile):
        pass
    return {}


def keep_texts(file: Path, identity: str, texts: Mapping[str, Vectors]) -> None:
    """Keep vectors for the next start, which else embeds every theme again before it answers (a second for 90).

    Where they cannot be kept nothing is lost but that second.
    """
    temporary = file.with_name(f".{file.name}.new")
    with contextlib.suppress(OSError):
        with temporary.open("wb") as written:
            np.savez(written, identity=np.array(identity), texts=np.array(list(texts)), vectors=[*texts.values()])
        temporary.replace(file)
