"""The folders keep to their layers, and importing them stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BELOW = {"service": {"service", "kg", "ontology"}, "kg": {"kg", "ontology"}, "ontology": {"ontology"}}
OURS = set(BELOW) | {"tests", "bench"}
HEAVY = ("fastapi", "starlette", "uvicorn", "torch", "onnxruntime", "sentence_transformers", "transformers")


def imported(file: Path) -> set[str]:
    """Top-level names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: write imports in full"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("layer", BELOW)
def test_imports_run_downwards_only(layer: str) -> None:
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files
    for file in files:
        upwards = (imported(file) & OURS) - BELOW[layer]
        assert not upwards, f"{file.relative_to(ROOT)} imports {', '.join(sorted(upwards))}"


def test_every_module_opens_with_a_sentence_on_what_it_is_for() -> None:
    for layer in BELOW:
        for file in (ROOT / layer).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert not text.strip() or ast.get_docstring(ast.parse(text)), file


def loaded_by(module: str) -> set[str]:
    """Which heavy packages are loaded once a module has been imported in a fresh process."""
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_the_subject_loads_neither_a_web_framework_nor_a_model() -> None:
    assert loaded_by("kg") == set()
    assert loaded_by("kg.catalogue") == set()


def test_the_command_line_loads_nothing_heavy_before_it_is_needed() -> None:
    assert loaded_by("service.cli") == set()


def test_the_packages_are_ours() -> None:
    code = "import service, kg, ontology; print(service.__file__, kg.__file__, ontology.__file__, sep='\\n')"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [Path(line).parents[1] for line in found.split()] == [ROOT] * 3
