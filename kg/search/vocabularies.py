"""Bridge vocabularies: SKOS thesauri that a deployment has loaded, kept in the data folder and matched to its themes.

    vocabularies/
      gemet.jsonl.gz           what it is on the first line, then a concept a line
      gemet.4f1c09d2.npz       its English labels as one model reads them; made again when missing

A vocabulary helps a need in a language that themes have few labels in: its labels tell what the need is about, and the
concepts found lead to our themes by mappings, by equal labels, or by the meaning of their English labels.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from kg.errors import BadRequest, DataFolderUnusable, NotFound, TooLarge, UnreadableInput, quoted
from kg.search.embedding import Embedder
from kg.search.text import fold, terms
from kg.search.thesaurus import Thesaurus, skos_concepts

log = logging.getLogger(__name__)

MOST_VOCABULARIES = 20

LEAST_LIKENESS = 0.7
"""Cosine from which an English label means a theme. With the bundled model .8 finds 35 concepts of GEMET and 71 of the
UNESCO Thesaurus, of 25 looked at one wrong; .7 finds 115 and 255, about one in eight wrong ("tree nursery" for
nursery school); at .6 every second is."""

LEAST_NEAR_MAIN_LABEL = 0.3
NEAR_MAIN_LABEL = 0.6
"""Cosine that the theme's main label must have as well, the higher one for a concept whose words are but a part of the
nearest label. Further names of themes are often narrower than the theme, or ambiguous: below .3 were "refugee" for buddy
schemes (.09), "test" and "bridge" for offices and people, 29 concepts on communication; below .6 "city" and "migrants".
With both 78 concepts of GEMET are left of 97 by meaning alone, and 157 of 223 of the UNESCO Thesaurus."""

CLOSE_MATCH = 0.9
OTHER_LABEL = 0.95
"""Strength of a mapping that is only close, and of a label that is not the preferred one on both sides."""

Basis = Literal["mapping", "label", "meaning"]
Progress = Callable[[int, int], None]
_FORMAT = 1
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME_LIMIT = 60
_LINE_LIMIT = 10_000_000


@dataclass(frozen=True)
class VocabularyFacts:
    """What is told of a loaded vocabulary. `languages` are those with labels, sorted; `sha256` is that of the file given."""

    name: str
    file: str
    sha256: str
    concepts: int
    labels: int
    languages: list[str]
    format: int = _FORMAT


@dataclass(frozen=True)
class Link:
    """A theme of ours that a foreign concept stands for; `strength` in (0, 1], 1 for the same."""

    theme: str
    strength: float
    basis: Basis


class Vocabularies:
    """The vocabularies of one data folder; whoever owns the folder may add and remove."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when the first vocabulary is added.

        >>> Vocabularies(Path("/nonexistent")).listed()
        []
        """
        self._folder = folder

    def add(self, path: Path, name: str | None = None) -> VocabularyFacts:
        """Check a SKOS file and keep what it says of concepts; one of the same name is replaced.

        The name is the file's without its endings unless given: small letters, digits and hyphens. The vocabulary is
        there whole or not at all, also after a kill.

        Raises UnreadableInput and TooLarge as `Thesaurus.from_skos`, BadRequest for a name that is none, TooLarge when
        there are 20 already, DataFolderUnusable when the folder cannot be written.
        """
        chosen = _checked_name(name) if name is not None else _name_of(path)
        there = [facts.name for facts in self.listed()]
        if chosen not in there and len(there) >= MOST_VOCABULARIES:
            raise TooLarge(f"{MOST_VOCABULARIES} vocabularies are loaded, the most there can be; remove one first")
        concepts = skos_concepts(path)
        known = Thesaurus(concepts)
        facts = VocabularyFacts(
            name=chosen,
            file=path.name[:200],
            sha256=_sha256(path),
            concepts=len(concepts),
            labels=sum(1 for _ in known.every_label()),
            languages=list(known.languages),
        )
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._forget_vectors(chosen)
            with _replacing(self._file(chosen)) as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                for line in (asdict(facts), *concepts):
                    packed.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        except OSError as error:
            raise DataFolderUnusable(f"the vocabulary cannot be kept: {error.strerror or error}") from error
        return facts

    def remove(self, name: str) -> None:
        """Take a vocabulary out. Raises NotFound, naming those there are."""
        if not _NAME.fullmatch(name) or not self._file(name).exists():
            listed = ", ".join(facts.name for facts in self.listed())
            english, french = (
                (f"there are: {listed}", f"il y a : {listed}") if listed else ("none is loaded", "aucun n’est chargé")
            )
            raise NotFound(
                {
                    "en": f"there is no vocabulary {quoted(name)}; {english}",
                    "fr": f"il n’y a pas de vocabulaire {quoted(name)} ; {french}",
                }
            )
        self._file(name).unlink()
        self._forget_vectors(name)

    def listed(self) -> list[VocabularyFacts]:
        """The vocabularies that can be read, by name; a damaged one is logged and left out, so that it stops nobody."""
        found = []
        for path in sorted(self._folder.glob("*.jsonl.gz")):
            try:
                with contextlib.closing(_lines(path)) as lines:
                    found.append(_facts(next(lines, None), path))
            except UnreadableInput as error:
                log.warning("%s", error)
        return found

    def read(self) -> list[Thesaurus]:
        """All vocabularies, ready to be asked, by name; a damaged one is logged and left out."""
        found = []
        for facts in self.listed():
            path = self._file(facts.name)
            try:
                with contextlib.closing(_lines(path)) as lines:
                    _facts(next(lines, None), path)
                    found.append(Thesaurus(_concepts(lines, facts, path), facts.name))
            except UnreadableInput as error:
                log.warning("%s", error)
        return found

    def vectors(self, vocabulary: Thesaurus, embedder: Embedder, progress: Progress | None = None) -> Meanings:
        """The English labels of a vocabulary as the model reads them, kept beside it for the next time.

        Raises nothing where they cannot be kept: they are made again then.
        """
        path = self._folder / f"{vocabulary.name}.{_digest(embedder.identity)}.npz"
        concepts = [concept for concept in vocabulary.themes if vocabulary.english(concept)]
        kept = _read_vectors(path, embedder.identity, len(concepts))
        if kept is None:
            labels = [vocabulary.english(concept)[0] for concept in concepts]
            kept = embedder.embed(labels, kind="passage", progress=progress)
            with contextlib.suppress(OSError):
                self._folder.mkdir(mode=0o700, exist_ok=True)
                self._forget_vectors(vocabulary.name)
                with _replacing(path) as file:
                    np.savez(file, identity=np.array(embedder.identity), vectors=kept.astype(np.float16))
        return Meanings(concepts, np.asarray(kept, np.float32))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.jsonl.gz"

    def _forget_vectors(self, name: str) -> None:
        for old in self._folder.glob(f"{name}.*.npz"):
            old.unlink(missing_ok=True)


@dataclass(frozen=True)
class Meanings:
    """Concepts that have an English label, and a row of length 1 for each."""

    concepts: Sequence[str]
    vectors: npt.NDArray[np.float32]


def links(
    ours: Thesaurus,
    foreign: Thesaurus,
    *,
    addresses: Callable[[str], Collection[str]] = lambda theme: (theme,),
    meanings: Meanings | None = None,
    embedder: Embedder | None = None,
) -> dict[str, Link]:
    """The theme of ours that each foreign concept stands for, where there is one.

    A mapping goes before an equal label, a label before meaning. `addresses` gives the IRIs of a theme, which exactMatch
    and closeMatch of the foreign file may name. Labels are equal when they read alike folded, in one language. Meaning
    asks `embedder` for the theme with the nearest English label, from a cosine of .7; the theme's own name has to be near
    too, from .3, and from .6 where the concept names but a part of that label: "refugee" is not "Buddy schemes", of which
    "refugee guide" is another name, nor "migrants" the undocumented ones among them.

    >>> ours = Thesaurus([{"id": "home", "label": {"en": "Housing", "fr": "Logement"}}])
    >>> foreign = Thesaurus([{"id": "urn:1", "label": {"fr": "logement"}}, {"id": "urn:2", "label": {"en": "x"},
    ...                       "close": ["urn:home"]}, {"id": "urn:3", "label": {"en": "y"}}])
    >>> links(ours, foreign, addresses=lambda theme: [f"urn:{theme}"])["urn:1"]
    Link(theme='home', strength=1.0, basis='label')
    >>> links(ours, foreign, addresses=lambda theme: [f"urn:{theme}"])["urn:2"].basis
    'mapping'
    """
    found = _by_meaning(ours, foreign, meanings, embedder) if meanings is not None and embedder is not None else {}
    found.update(_by_label(ours, foreign))
    themes = {iri: theme for theme in ours.themes for iri in addresses(theme)}
    for concept in foreign.themes:
        mapped = [(iri, exact) for iri, exact in ((concept, True), *foreign.mappings(concept)) if iri in themes]
        if mapped:
            iri, exact = max(mapped, key=lambda one: one[1])
            found[concept] = Link(themes[iri], 1.0 if exact else CLOSE_MATCH, "mapping")
    return found


def _by_label(ours: Thesaurus, foreign: Thesaurus) -> dict[str, Link]:
    labels: dict[tuple[str, str], tuple[str, bool]] = {}
    for theme, language, text, preferred in ours.every_label():
        key = (language, fold(text))
        if preferred or key not in labels:
            labels[key] = (theme, preferred)
    found: dict[str, Link] = {}
    for concept, language, text, preferred in foreign.every_label():
        ours_there = labels.get((language, fold(text)))
        if ours_there is not None:
            theme, theirs = ours_there
            strength = 1.0 if preferred and theirs else OTHER_LABEL
            if concept not in found or strength > found[concept].strength:
                found[concept] = Link(theme, strength, "label")
    return found


def _by_meaning(ours: Thesaurus, foreign: Thesaurus, meanings: Meanings, embedder: Embedder) -> dict[str, Link]:
    named = [(theme, label) for theme in ours.themes for label in ours.english(theme)]
    if not named or not len(meanings.concepts):
        return {}
    # As queries: the embedder remembers these, and they are asked again whenever a theme changes.
    cosines = meanings.vectors @ embedder.embed([label for _, label in named], kind="query").T
    main = {theme: place for place, (theme, _) in reversed(list(enumerate(named)))}
    found = {}
    for row, (concept, place) in enumerate(zip(meanings.concepts, cosines.argmax(axis=1).tolist(), strict=True)):
        theme, label = named[place]
        likeness = float(min(1.0, cosines[row, place]))
        if likeness < LEAST_LIKENESS:
            continue
        is_part = set(terms(foreign.english(concept)[0], "en")) < set(terms(label, "en"))
        if cosines[row, main[theme]] >= (NEAR_MAIN_LABEL if is_part else LEAST_NEAR_MAIN_LABEL):
            found[concept] = Link(theme, round(likeness, 4), "meaning")
    return found


# --------------------------------------------------------------------------------------------- files


def _name_of(path: Path) -> str:
    """A name from that of a file.

    >>> _name_of(Path("GEMET labels.nt.gz"))
    'gemet-labels'
    """
    stem = path.name
    while Path(stem).suffix.lower() in (".gz", ".bz2", ".nt", ".nq", ".ttl", ".rdf", ".xml"):
        stem = Path(stem).stem
    name = re.sub(r"[^a-z0-9]+", "-", fold(stem))[:_NAME_LIMIT].strip("-")
    if not name:
        raise BadRequest(f"the file {quoted(path.name)} gives no name for the vocabulary; give it one in Latin letters")
    return name


def _checked_name(name: str) -> str:
    if len(name) > _NAME_LIMIT or not _NAME.fullmatch(name):
        raise BadRequest(f"{quoted(name)} is no name for a vocabulary: small letters, digits and hyphens, 60 at most")
    return name


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place, sync it, then put it there."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _lines(path: Path) -> Generator[Any, None, None]:
    """The JSON documents of a kept vocabulary."""
    try:
        with gzip.open(path) as file:
            for line in iter(lambda: file.readline(_LINE_LIMIT), b""):
                yield json.loads(line)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise _damaged(path) from error


def _facts(read: Any, path: Path) -> VocabularyFacts:
    try:
        facts = VocabularyFacts(**{field.name: read[field.name] for field in fields(VocabularyFacts)})
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error
    if facts.format != _FORMAT or f"{facts.name}.jsonl.gz" != path.name:
        raise _damaged(path)
    return facts


def _concepts(lines: Iterable[Any], facts: VocabularyFacts, path: Path) -> list[Mapping[str, Any]]:
    concepts = list(lines)
    if len(concepts) != facts.concepts or not all(isinstance(one, dict) and "id" in one for one in concepts):
        raise _damaged(path)
    return concepts


def _damaged(path: Path) -> UnreadableInput:
    name = path.name.removesuffix(".jsonl.gz")
    return UnreadableInput(f"the vocabulary {quoted(name)} in the data folder is damaged; load its file again")


def _read_vectors(path: Path, identity: str, rows: int) -> npt.NDArray[Any] | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            vectors = kept["vectors"]
            return vectors if str(kept["identity"]) == identity and vectors.shape[0] == rows else None
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile):
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
