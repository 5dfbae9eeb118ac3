"""Countries in requests go by ISO 3166-1, and by the codes that the European institutions write beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import TypeAdapter, ValidationError

from kg.errors import BadRequest
from kg.exchange.selections import Selection
from kg.listing import read_chosen
from kg.suggesting import Known, read_filters, read_mentee
from service.api.values import Country

NOBODY = cast(Known, None)


def of_mentee(code: str) -> str | None:
    profile = read_mentee({"profile": {"country": code}}, NOBODY)[1]
    assert profile is not None
    return profile.country


READERS: dict[str, Callable[[str], Any]] = {
    "filter": lambda code: next(iter(read_filters({"countries": [code]}, NOBODY).countries)),
    "mentee": of_mentee,
    "list": lambda code: next(iter(read_chosen("city", {"country": [code]}, NOBODY)["country"])),
    "selection": lambda code: Selection(countries=(code,)).countries[0],
    "body": TypeAdapter(Country).validate_python,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_country_goes_by_either_code_wherever_it_is_named(reader: str) -> None:
    read = READERS[reader]
    assert [read(code) for code in ("GR", "el", "EL", "UK", "gb", "no")] == ["GR", "GR", "GR", "GB", "GB", "NO"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("code", ["XX", "EU", "ZZ", "Latvia", "L", "L1"])
def test_what_is_no_country_is_refused_wherever_it_is_named(reader: str, code: str) -> None:
    with pytest.raises((BadRequest, ValidationError), match="is no country"):
        READERS[reader](code)
