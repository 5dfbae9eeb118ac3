"""The query page in a browser: the keyboard alone, no script, what axe finds, in both languages."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.service.conftest import Server
from tests.web.test_pages_in_browser import RULES

NAMES = "SELECT ?city ?name {\n  ?city a schema:City ; rdfs:label ?name\n} ORDER BY ?city LIMIT 12"
WRONG = "SELECT *\n{ ?s ?p }"
TEXTS = {
    "en": ("Ask with SPARQL", "The query", "Run the query", "Answer", "This query was not answered:"),
    "fr": (
        "Interroger avec SPARQL",
        "La requête",
        "Lancer la requête",
        "Réponse",
        "Cette requête n’a pas reçu de réponse",
    ),
}


def address(language: str, query: str | None = None) -> str:
    return "/sparql?" + urlencode({"lang": language} | ({} if query is None else {"query": query}))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("query", [None, NAMES, "ASK {}", "DESCRIBE mg:Practice"], ids=["empty", "table", "yes", "RDF"])
def test_axe_finds_nothing(page: Page, query: str | None, language: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(address(language, query))
    results = Axe().run(page, options=RULES)
    assert results.violations_count == 0, results.generate_report()
    assert len(results.response["passes"]) > 10
    assert page.locator("html").get_attribute("lang") == language


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_fault_is_told_with_its_place_beside_the_query(browser: Browser, server: Server, language: str) -> None:
    page = browser.new_page(base_url=server.url)
    page.goto(address(language, WRONG))
    assert Axe().run(page, options=RULES).violations_count == 0
    place = {"en": "line 2, column 10", "fr": "ligne 2, colonne 10"}[language]
    expect(page.get_by_role("alert")).to_contain_text(place)
    query = page.get_by_role("textbox")
    expect(query).to_be_focused()
    expect(query).to_have_value(WRONG)
    expect(query).to_have_accessible_description(re.compile(place))
    page.close()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_keyboard_alone_leads_from_an_example_to_its_answer(page: Page, language: str) -> None:
    heading, label, run, answer, _ = TEXTS[language]
    page.goto(address(language))
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    example = page.locator(".examples a").nth(1)
    tab_to(page, "document.activeElement === document.querySelectorAll('.examples a')[1]")
    title = example.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("example="))
    expect(page.locator(".examples a[aria-current]")).to_have_text(title)
    query = page.get_by_label(label, exact=True)
    expect(query).to_have_value(re.compile("VALUES"))
    tab_to(page, "document.activeElement.id === 'query'")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=run)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("query="))
    expect(page.get_by_role("heading", name=answer, exact=True)).to_be_visible()
    assert f"lang={language}" in page.url
    tab_to(page, "document.activeElement.matches('.scroll')")


def tab_to(page: Page, condition: str) -> None:
    """Press Tab until the condition holds; nobody presses it a hundred times."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    raise AssertionError(f"the keyboard does not reach {condition}")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_query_is_asked_and_its_answer_read_without_javascript(
    browser: Browser, server: Server, language: str
) -> None:
    _, label, run, answer, fault = TEXTS[language]
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(address(language))
    page.get_by_label(label, exact=True).fill(NAMES)
    page.get_by_role("button", name=run).click()
    table = page.get_by_role("region", name=answer).get_by_role("table")
    expect(table.get_by_role("columnheader")).to_have_text(["city", "name"])
    expect(table.get_by_role("row")).to_have_count(13)
    expect(table.get_by_role("link")).to_have_count(12)
    expect(page.get_by_label(label, exact=True)).to_have_value(NAMES)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text(encoding="utf-8").startswith("city,name")
    page.get_by_label(label, exact=True).fill(WRONG)
    page.get_by_role("button", name=run).click()
    expect(page.get_by_role("alert")).to_contain_text(fault)
    page.locator(".examples a").first.click()
    expect(page.get_by_role("textbox")).to_have_value(re.compile("SELECT"))
    context.close()


def test_a_wide_answer_scrolls_by_itself_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(address("en", "SELECT * { ?s ?p ?o . ?s a ?c . ?c rdfs:label ?l } LIMIT 5"))
    expect(page.get_by_role("table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
