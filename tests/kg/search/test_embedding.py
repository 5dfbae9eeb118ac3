"""The embedding model: what is prepared is what sentence-transformers computes, and nothing else is ever served."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kg.errors import DataFolderUnusable, ModelMissing
from kg.search import embedding
from kg.search.embedding import (
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    current_model,
    load_embedder,
    prepare_model,
)

TEXTS = [
    "Housing",
    "Nous cherchons à loger les nouveaux arrivants",
    "Υποδοχή προσφύγων",
    "The town pairs a resident with a newcomer; the two meet regularly. " * 3,
    "word " * 400,
    "",
]


# ---------------------------------------------------------------------------- models made for the tests


def sentence_transformer(
    folder: Path,
    *,
    prompts: dict[str, str] | None = None,
    kind: str = "bert",
    pooling: str = "cls",
    normalised: bool = True,
    include_prompt: bool = True,
) -> Path:
    """A real sentence-transformers model with random weights: two layers, a pooling, a projection, 40 tokens."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

    torch.manual_seed(7)
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    # The pad mark does not have number 0: an exporter that takes 0 for granted is found out.
    vocabulary = {token: i for i, token in enumerate([*letters, *marks, *(f"##{x}" for x in letters)])}
    words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(m, vocabulary[m]) for m in ("[CLS]", "[SEP]")]
    )
    names = ["input_ids", "token_type_ids", "attention_mask"] if kind == "bert" else ["input_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=names,
    )
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    if kind == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(vocabulary),
        max_position_embeddings=96,
        pad_token_id=vocabulary["[PAD]"],
        **sizes,
    )
    raw = folder.parent / f"{folder.name}-raw"
    AutoModel.from_config(config).save_pretrained(raw)
    tokenizer.save_pretrained(raw)
    transformer = Transformer(str(raw), max_seq_length=40)
    parts = [transformer, Pooling(32, pooling_mode=pooling, include_prompt=include_prompt), Dense(32, 16)]
    parts += [Normalize()] if normalised else []
    SentenceTransformer(modules=parts, prompts=prompts, device="cpu").save(str(folder))
    return folder


def static_model(folder: Path) -> Path:
    """A bag-of-words model: it has no attention mask, so the graph cannot be exported."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "housing": 1, "school": 2, "work": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.random.default_rng(7).normal(size=(4, 8)).astype(np.float32)
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(str(folder))
    return folder


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "small"
    return sentence_transformer(folder, prompts={"query": "need: ", "document": "practice: "})


@pytest.fixture(scope="module")
def small_prepared(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    prepare_model(small_model, folder)
    return folder


@pytest.fixture
def prepared(small_prepared: Path, tmp_path: Path) -> Path:
    """A prepared model that a test may break."""
    return shutil.copytree(small_prepared, tmp_path / "models")


# --------------------------------------------------------------------------------------------- import


def test_importing_the_module_loads_no_model_library() -> None:
    heavy = ["torch", "sentence_transformers", "transformers", "onnxruntime", "onnx", "tokenizers"]
    code = f"import sys, kg.search.embedding; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_serving_loads_neither_torch_nor_sentence_transformers(models_folder: Path) -> None:
    code = (
        "import sys, pathlib; from kg.search.embedding import load_embedder\n"
        "load_embedder(pathlib.Path(sys.argv[1])).embed(['a need'], kind='query')\n"
        "print([m for m in ('torch', 'sentence_transformers', 'transformers') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code, models_folder], text=True).strip() == "[]"


# ------------------------------------------------------------------------------------- the bundled model


def test_the_bundled_model_is_recognised_as_reading_english_only(models_folder: Path) -> None:
    facts = current_model(models_folder)
    assert facts is not None
    assert (facts.name, facts.runtime, facts.dimension, facts.max_tokens) == ("all-MiniLM-L6-v2", "onnx", 384, 256)
    assert facts.pooling == "mean"
    assert facts.largest_difference is not None
    assert facts.largest_difference < 1e-4
    assert not facts.multilingual


def test_it_computes_what_sentence_transformers_computes(embedder: OnnxEmbedder) -> None:
    model = embedding._sentence_transformer(embedding._bundled_folder())
    expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(embedder.embed(TEXTS, kind="passage") - expected).max() < 1e-4


def test_a_need_lies_nearer_to_a_practice_that_answers_it(embedder: OnnxEmbedder) -> None:
    need = embedder.embed(["Refugees cannot find flats they can pay"], kind="query")
    practices = embedder.embed(
        ["The city rents apartments from owners and lets them to refugee families.", "Children plant trees at school."],
        kind="passage",
    )
    near, far = (need @ practices.T)[0]
    assert near > far + 0.2


def test_rows_have_length_one_whatever_the_text(embedder: OnnxEmbedder) -> None:
    hostile = ["", " ", "\x00\x07", "\ud800 lone", "\u202eعربي", "e" + "\u0301" * 500, "x" * 1_000_000, "a " * 500_000]
    vectors = embedder.embed(hostile, kind="passage")
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(hostile), embedder.dimension)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5


def test_a_text_is_embedded_alike_alone_and_beside_others(embedder: OnnxEmbedder) -> None:
    together = embedder.embed(TEXTS, kind="passage")
    alone = np.vstack([embedder.embed([text], kind="passage") for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-6


def test_order_is_kept_over_many_batches(embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["school " * (1 + i * 7 % 11) for i in range(30)]
    expected = embedder.embed(texts, kind="passage")
    monkeypatch.setattr(embedding, "CHUNK_TEXTS", 7)
    monkeypatch.setattr(embedding, "BATCH_TOKENS", 20)
    seen: list[tuple[int, int]] = []
    again = embedder.embed(texts, kind="passage", progress=lambda done, total: seen.append((done, total)))
    assert np.abs(again - expected).max() < 1e-6
    assert seen[-1] == (30, 30)
    assert seen == sorted(seen)
    assert len(seen) > 10


def test_no_batch_has_more_tokens_than_stated() -> None:
    sizes = [3, 900, 5, 256, 256, 256, 2, 4000, 9_000]
    batches = list(embedding._batches(sizes))
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    assert all(len(b) == 1 or len(b) * max(sizes[i] for i in b) <= embedding.BATCH_TOKENS for b in batches)


def test_threads_get_the_same_vectors(embedder: OnnxEmbedder) -> None:
    texts = [f"need {i}: housing and schools" for i in range(24)]
    expected = embedder.embed(texts, kind="passage")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: embedder.embed([text], kind="query")[0], texts))
    assert np.abs(np.array(found) - expected).max() < 1e-6


def test_nothing_to_embed_gives_no_rows(embedder: OnnxEmbedder) -> None:
    assert embedder.embed([], kind="query").shape == (0, 384)
    assert embedder.embed([], kind="passage").shape == (0, 384)


def test_another_kind_is_refused(embedder: OnnxEmbedder) -> None:
    with pytest.raises(ValueError, match="'query' or 'passage', not 'document'"):
        embedder.embed(["x"], kind="document")  # type: ignore[arg-type]


def test_a_package_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "BUNDLED_SHA256", {"model.safetensors": "0" * 64})
    with pytest.raises(ModelMissing, match=r"model\.safetensors.*is not the file this version of mentorgraph knows"):
        prepare_model("sentence-transformers/all-MiniLM-L6-v2", tmp_path)
    assert current_model(tmp_path) is None


# --------------------------------------------------------------------------------- query vectors in memory


def test_a_need_asked_again_is_not_computed_again(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = load_embedder(prepared)
    first = served.embed(["housing", "school", "housing"], kind="query")
    assert (first[0] == first[2]).all()
    first[0] = 0  # what a caller does to its copy is its own matter
    monkeypatch.setattr(served, "_run", lambda batch: pytest.fail("computed again"))
    assert abs(np.linalg.norm(served.embed(["housing"], kind="query")) - 1) < 1e-5


def test_the_oldest_query_vectors_are_forgotten(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CACHED_QUERIES", 2)
    served = load_embedder(prepared)
    run, runs = served._run, []
    monkeypatch.setattr(served, "_run", lambda batch: runs.append(len(batch)) or run(batch))
    for need, computed in [("a", 1), ("b", 2), ("a", 2), ("c", 3), ("a", 3), ("b", 4)]:
        served.embed([need], kind="query")
        assert len(runs) == computed
    assert len(served._queries) == 2


# ---------------------------------------------------------------------------------------- any model


def test_a_folder_is_served_as_its_files_say(small_model: Path, small_prepared: Path) -> None:
    from sentence_transformers import SentenceTransformer

    facts = current_model(small_prepared)
    assert facts is not None
    assert (facts.runtime, facts.reason) == ("onnx", None)
    assert (facts.dimension, facts.max_tokens, facts.pooling, facts.pad_token) == (16, 40, "cls", 26)
    assert facts.prompts == {"query": "need: ", "passage": "practice: "}
    served = load_embedder(small_prepared)
    model = SentenceTransformer(str(small_model), device="cpu")
    for kind, prompt in facts.prompts.items():
        expected = model.encode(TEXTS, prompt=prompt, normalize_embeddings=True, show_progress_bar=False)
        assert np.abs(served.embed(TEXTS, kind=kind) - expected).max() < 1e-4  # type: ignore[arg-type]
    assert not np.allclose(served.embed(["school"], kind="query"), served.embed(["school"], kind="passage"))


@pytest.mark.parametrize(
    ("kind", "pooling", "normalised"),
    [("xlm-roberta", "mean", True), ("mpnet", "mean", False), ("distilbert", "max", False), ("bert", "cls", False)],
)
def test_models_of_many_kinds_are_exported_as_they_are(
    tmp_path: Path, kind: str, pooling: str, normalised: bool
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = sentence_transformer(
        tmp_path / kind, kind=kind, pooling=pooling, normalised=normalised, prompts={"query": "query: "}
    )
    facts = prepare_model(folder, tmp_path / "models")
    assert (facts.runtime, facts.reason, facts.pooling, facts.normalised) == ("onnx", None, pooling, normalised)
    assert (facts.prompts, facts.max_tokens) == ({"query": "query: ", "passage": ""}, 40)
    model = SentenceTransformer(str(folder), device="cpu")
    served = load_embedder(tmp_path / "models")
    expected = model.encode_query(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(served.embed(TEXTS, kind="query") - expected).max() < 1e-4
    expected = model.encode_document(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert np.abs(served.embed(TEXTS, kind="passage") - expected).max() < 1e-4


def test_a_model_that_leaves_its_prompt_out_of_pooling_is_served_so(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = sentence_transformer(tmp_path / "out", pooling="mean", include_prompt=False, prompts={"query": "query: "})
    facts = prepare_model(folder, tmp_path / "models")
    assert (facts.runtime, facts.reason) == (
        "sentence-transformers",
        "the model leaves its prompt out of pooling, which one graph cannot",
    )
    expected = SentenceTransformer(str(folder), device="cpu").encode_query(
        TEXTS, normalize_embeddings=True, show_progress_bar=False
    )
    served = load_embedder(tmp_path / "models").embed(TEXTS, kind="query")
    assert np.abs(served - expected).max() < 1e-4


def test_another_model_of_the_same_name_does_not_touch_the_one_in_use(
    small_model: Path, prepared: Path, tmp_path: Path
) -> None:
    before = current_model(prepared)
    other = sentence_transformer(tmp_path / "small", pooling="max")

    def look(served: object) -> None:
        assert current_model(prepared) == before
        assert load_embedder(prepared).identity == before.identity  # type: ignore[union-attr]

    facts = prepare_model(other, prepared, before_use=look)
    assert current_model(prepared) == facts != before
    assert [p.name for p in prepared.iterdir() if p.is_dir()] == [f"small@{facts.identity.rpartition('@')[2]}"]
    with pytest.raises(KeyboardInterrupt):
        prepare_model(small_model, prepared, before_use=lambda served: (_ for _ in ()).throw(KeyboardInterrupt))
    assert current_model(prepared) == facts


def test_the_e5_family_gets_the_prompts_its_card_asks_for() -> None:
    bare = SimpleNamespace(prompts={"query": "", "document": ""})
    for name in ("intfloat/multilingual-e5-small", "e5-base-v2"):
        assert embedding._prompts(bare, name) == {"query": "query: ", "passage": "passage: "}
    assert embedding._prompts(bare, "me5tro") == {"query": "", "passage": ""}


def test_a_model_that_cannot_be_exported_is_served_all_the_same(tmp_path: Path) -> None:
    facts = prepare_model(static_model(tmp_path / "static"), tmp_path / "models")
    assert facts.runtime == "sentence-transformers"
    assert facts.reason
    served = load_embedder(tmp_path / "models")
    assert isinstance(served, SentenceTransformerEmbedder)
    vectors = served.embed(["housing", "school work", "housing"], kind="passage")
    assert vectors.shape == (3, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors[0], served.embed(["housing"], kind="query")[0])
    assert not np.allclose(vectors[0], vectors[1])
    assert served.identity.startswith("static@")


def test_an_export_that_differs_is_not_served(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "LARGEST_DIFFERENCE", 0.0)
    facts = prepare_model(small_model, tmp_path)
    assert facts.runtime == "sentence-transformers"
    assert "differs by" in (facts.reason or "")
    assert not (tmp_path / "small" / "model.onnx").exists()
    assert load_embedder(tmp_path).embed(["housing"], kind="query").shape == (1, 16)


def test_other_weights_are_another_identity(small_model: Path, small_prepared: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(small_model, tmp_path / "small")
    weights = changed / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    facts = current_model(small_prepared)
    assert facts is not None
    assert embedding._Source("small", small_model, "folder").identity == facts.identity
    assert embedding._Source("small", changed, "folder").identity != facts.identity


def test_an_unchanged_model_is_not_exported_again(
    small_model: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_prepare", lambda *_: pytest.fail("exported again"))
    (prepared / "current.json").unlink()
    assert prepare_model(small_model, prepared) == current_model(prepared)


# ------------------------------------------------------------------------------- missing, damaged, in the way


def test_without_a_model_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="`mentorgraph model prepare`"):
        load_embedder(tmp_path)


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
def test_a_changed_byte_is_noticed(prepared: Path, file: str) -> None:
    path = prepared / "small" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelMissing, match=f"{file}' is not the file that was prepared"):
        load_embedder(prepared)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"folder": "../elsewhere"}', '{"folder": 1}', "\x00"])
def test_a_damaged_note_of_the_current_model_counts_as_none(prepared: Path, content: str) -> None:
    (prepared / "current.json").write_text(content)
    with pytest.raises(ModelMissing, match="mentorgraph model prepare"):
        load_embedder(prepared)


def test_a_model_of_another_version_is_not_served(prepared: Path) -> None:
    path = prepared / "small" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(ModelMissing, match="another version of mentorgraph"):
        load_embedder(prepared)


def test_a_damaged_model_is_replaced_by_preparing_again(small_model: Path, prepared: Path) -> None:
    (prepared / "small" / "model.onnx").write_bytes(b"")
    prepare_model(small_model, prepared)
    assert load_embedder(prepared).embed(["housing"], kind="query").shape == (1, 16)
    assert sorted(p.name for p in prepared.iterdir()) == [".lock", "current.json", "small"]


def test_a_preparation_that_is_broken_off_leaves_the_earlier_model(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = current_model(prepared)

    def break_off(served: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedding, "_languages", break_off)
    with pytest.raises(KeyboardInterrupt):
        prepare_model(static_model(tmp_path / "static"), prepared)
    assert current_model(prepared) == before
    assert sorted(p.name for p in prepared.iterdir()) == [".lock", "current.json", "small"]


def test_a_folder_that_cannot_be_written_is_said(small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    with pytest.raises(DataFolderUnusable, match="models folder"):
        prepare_model(small_model, tmp_path / "models")


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelMissing, match="holds no model"):
        prepare_model(tmp_path / "empty", tmp_path / "models")
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(ModelMissing, match="'empty' cannot be loaded"):
        prepare_model(tmp_path / "empty", tmp_path / "models")


# ---------------------------------------------------------------------------------------------- the hub


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that fetching a model uses, over one folder; counts and says nothing else."""

    folder: Path
    commit = "0123456789abcdef0123456789abcdef01234567"
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/org/small"):
            names = [p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()]
            about: dict[str, Any] = {"id": "org/small", "modelId": "org/small", "sha": self.commit, "private": False}
            files = [{"type": "file", "path": n, "rfilename": n, "size": 1, "oid": n} for n in names]
            body = json.dumps(files if "/tree/" in path else about | {"siblings": files}).encode()
            self.send(200, body, {"Content-Type": "application/json"})
        elif path.startswith(f"/org/small/resolve/{self.commit}/"):
            content = (self.folder / path.split("/", 5)[5]).read_bytes()
            self.send(200, content, {"ETag": f'"{hash(content)}"', "X-Repo-Commit": self.commit})
        else:
            self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def hub(handler: type[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_model_is_fetched_by_its_name_on_the_hub(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub(type("SmallHub", (Hub,), {"folder": small_model}), monkeypatch):
        facts = prepare_model("org/small", tmp_path)
    assert (facts.name, facts.origin, facts.revision) == ("org/small", "hub", Hub.commit)
    assert facts.pooling == "cls"
    assert load_embedder(tmp_path).embed(["housing"], kind="query").shape == (1, 16)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "current.json", "org--small"]


def test_a_model_the_hub_does_not_have_is_said(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        hub(type("SmallHub", (Hub,), {"folder": small_model}), monkeypatch),
        pytest.raises(ModelMissing, match="'org/other' could not be fetched"),
    ):
        prepare_model("org/other", tmp_path)


def test_a_silent_hub_is_given_up_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    class Silent(Hub):
        def answer(self) -> None:
            released.wait(60)

    monkeypatch.setattr(embedding, "FIRST_BYTE_SECONDS", 2.0)
    with hub(Silent, monkeypatch):
        started = time.monotonic()
        with pytest.raises(ModelMissing, match="did not answer in time"):
            prepare_model("org/small", tmp_path)
        released.set()
    assert time.monotonic() - started < 30
    assert not list(tmp_path.glob(".fetch-*"))
