"""How sentences are broken into lines on the command line."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.padding import Padding

from service.printing import Sentence


def lines(text: str, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(Padding(Sentence(text), (0, 0, 0, 2), expand=False))
    return [line.strip(" ") for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", range(12, 40))
def test_no_line_begins_with_a_sign_or_ends_with_an_opening_quotation_mark(width: int) -> None:
    said = "Besoin 1 : « Duos » est proche ; 133\u202f000 habitants, est-ce assez ?"
    told = lines(said, width)
    assert not any(line[0] in ":;?»" or line[-1] == "«" or line.startswith("000") for line in told)
    assert (
        " ".join(told) == "Besoin 1\xa0: «\xa0Duos\xa0» est proche\u202f; 133\u202f000 habitants, est-ce assez\u202f?"
    )


def test_english_is_told_as_it_is() -> None:
    assert lines("Need 1: “Duos”; is it enough?", 60) == ["Need 1: “Duos”; is it enough?"]
