"""The pages in a browser: what axe finds, the keyboard alone, and no script."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.service.conftest import Server

NEED = "We want newcomers to find every municipal service at one desk."
PAGES = {
    "empty": "/?lang=en",
    "suggestions": f"/?need={NEED}&mentee=jelgava&lang=en",
    "suggestions in French": f"/?need={NEED}&lang=fr",
    "documentation": "/docs",
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(page: Page, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(PAGES[name])
    results = Axe().run(page, options=RULES)
    assert results.violations_count == 0, results.generate_report()
    assert len(results.response["passes"]) > 10


def test_axe_finds_nothing_on_a_page_with_a_fault(browser: Browser, server: Server) -> None:
    page = browser.new_page(base_url=server.url)
    page.goto("/?need=+&lang=fr")
    results = Axe().run(page, options=RULES)
    assert results.violations_count == 0, results.generate_report()
    expect(page.get_by_role("textbox")).to_be_focused()
    page.close()


def test_the_keyboard_alone_leads_from_a_need_to_a_practice(page: Page) -> None:
    page.goto("/?lang=en")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    expect(page.get_by_text("Skip to the content")).to_be_in_viewport()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "need":
            break
    page.keyboard.type(NEED)
    page.keyboard.press("Tab")
    page.keyboard.type("Jel")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("need="))
    assert "mentee=jelgava" in page.url
    expect(page.get_by_role("article")).to_have_count(5)
    expect(page.get_by_role("textbox")).to_have_value(NEED)


def test_everything_works_without_javascript(browser: Browser, server: Server) -> None:
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/?lang=en")
    page.get_by_role("textbox").fill(NEED)
    page.get_by_role("button").click()
    expect(page.get_by_role("article")).to_have_count(5)
    page.get_by_text("What the bands mean").click()
    expect(page.get_by_text("its practices come close to the need", exact=False)).to_be_visible()
    context.close()


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_cut_off_on_a_small_screen(page: Page, width: int, language: str) -> None:
    """WCAG 1.4.10: 320 pixels wide without scrolling in two directions."""
    page.set_viewport_size({"width": width, "height": 900})
    for address in ("/?", f"{PAGES['suggestions']}&"):
        page.goto(f"{address}lang={language}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_print_view_has_the_answer_and_not_the_controls(page: Page) -> None:
    page.goto(PAGES["suggestions"])
    page.emulate_media(media="print")
    expect(page.get_by_role("article").first).to_be_visible()
    expect(page.get_by_role("button")).to_be_hidden()
