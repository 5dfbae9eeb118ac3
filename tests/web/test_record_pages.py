"""The pages of records and terms in a browser: what axe finds, and a phone's width."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web.test_pages_in_browser import RULES

PAGES = {
    "practice with rival claims": "/page/practice/mechelen--samen-inburgeren?lang=en",
    "mentorship in French": "/page/mentorship/capaci--mechelen?lang=fr",
    "city": "/page/city/capaci?lang=fr",
    "theme": "/page/theme/gender-women?lang=en",
    "list of values": "/page/concept/tie?lang=fr",
    "value": "/page/concept/tie/own?lang=en",
    "vocabulary": "/ontology?lang=fr",
    "themes": "/themes?lang=en",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(page: Page, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(PAGES[name])
    results = Axe().run(page, options=RULES)
    assert results.violations_count == 0, results.generate_report()
    assert len(results.response["passes"]) > 10


@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_on_a_phone(page: Page, name: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(PAGES[name])
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_rival_claims_stand_beside_each_other(page: Page) -> None:
    page.set_viewport_size({"width": 1000, "height": 800})
    page.goto(PAGES["practice with rival claims"])
    first, second = (page.locator(f"#claim-{number}").bounding_box() for number in (1, 2))
    assert first is not None
    assert second is not None
    assert abs(first["y"] - second["y"]) < 5
    assert first["x"] + first["width"] <= second["x"]


def test_a_term_s_name_leads_to_its_place(page: Page) -> None:
    page.goto("/ontology?lang=en#practisedIn")
    expect(page.locator("#practisedIn")).to_be_in_viewport()
    expect(page.locator("#practisedIn")).to_contain_text("mg:practisedIn")
