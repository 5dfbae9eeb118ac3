"""Every setting is documented, and a wrong one is refused in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(f"MENTORGRAPH_{name.upper()}" for name in Settings.model_fields)


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_readme_has_one_row_for_every_setting_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(MENTORGRAPH_[A-Z_]+)` \|", readme, re.MULTILINE)) == NAMES


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTORGRAPH_PORT", "9123")
    monkeypatch.setenv("MENTORGRAPH_DATA", "/srv/cities")
    assert Settings().port == 9123
    assert Settings().data == Path("/srv/cities")
    assert Settings(port=1).port == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("base", "https://example.org/x"), ("base", "no address/"), ("port", 70000), ("wait_seconds", 0)],
)
def test_a_setting_that_cannot_work_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})
