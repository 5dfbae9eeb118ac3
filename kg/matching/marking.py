"""The sentence of a passage that is closest to a need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Protocol

from kg.search.text import sentences, stem, stop_words, terms, words
from kg.search.thesaurus import primary

THEME_WEIGHT = 0.5
"""A word of a theme's label counts half of a word of the need itself."""


class Read(Protocol):
    """A need as it was read, see `kg.search.view.Understood`."""

    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def embedded(self) -> str: ...


def clues_of(
    needs: Sequence[tuple[Read, Iterable[str]]], theme_words: Callable[[str], Iterable[str]]
) -> Callable[[int, str], Mapping[str, float]]:
    """What to look for in a passage of a language, by the place of the need it answers; made when first asked for.

    `needs` are those of an answer, each with its themes; `theme_words` gives a theme's English labels.
    """

    @cache
    def sought(need: int, language: str) -> Mapping[str, float]:
        known, themes = needs[need]
        labels = [words for theme in sorted(themes) for words in theme_words(theme)]
        embedded = known.embedded if known.embedded != known.text else ""
        return clues(known.text, known.language, language, labels, embedded)

    return sought


def clues(
    text: str, language: str, passage_language: str, theme_labels: Iterable[str] = (), embedded: str = ""
) -> Mapping[str, float]:
    """Stems to look for in a passage, each with its weight.

    The need's own words count 1, those of its themes' English labels and of what the model was given beside the need
    (`embedded`, see `kg.search.view.Understood`) count 0.5. Where need and passage are in different languages the
    need's words are stemmed in both, for names and words that both have.

    >>> sorted(clues("Duos de bénévoles", "fr", "en", ["buddy schemes"]).items())
    [('benevol', 1.0), ('buddi', 0.5), ('duo', 1.0), ('duos', 1.0), ('scheme', 0.5)]
    """
    found: dict[str, float] = {}
    for label in (*theme_labels, embedded):
        found.update(dict.fromkeys(terms(label, "en"), THEME_WEIGHT))
    own, other = primary(language), primary(passage_language)
    telling = [word for word in words(text) if word not in stop_words(own)]
    found.update((stem(word, tag), 1.0) for tag in {own, other} for word in telling)
    return MappingProxyType(found)


def deciding_sentence(text: str, language: str, sought: Mapping[str, float]) -> tuple[int, int] | None:
    """Where the sentence with most of the sought stems begins and ends in a passage, in characters; the first of equals.

    None where no sentence has any: then nothing in the words says which one decided, and none is marked. A passage of
    one sentence is that sentence.

    >>> text = "The city has 87,000 inhabitants. Buddies meet each week. They cook."
    >>> text[slice(*deciding_sentence(text, "en", {"buddi": 1.0, "week": 0.5}))]
    'Buddies meet each week.'
    >>> deciding_sentence(text, "en", {"heat": 1.0}) is None
    True
    """
    cut = _cut(text, language)
    if len(cut) == 1:
        return cut[0][:2]
    best, chosen = 0.0, None
    for start, end, stems in cut:
        weight = sum(sought.get(one, 0.0) for one in stems)
        if weight > best + 1e-9:
            best, chosen = weight, (start, end)
    return chosen


@lru_cache(2048)
def _cut(text: str, language: str) -> tuple[tuple[int, int, frozenset[str]], ...]:
    """A passage's sentences with their places and stems; remembered, as good passages come up again and again."""
    found, position = [], 0
    for sentence in sentences(text):
        start = text.index(sentence, position)
        position = start + len(sentence)
        found.append((start, position, frozenset(terms(sentence, primary(language)))))
    return tuple(found)
