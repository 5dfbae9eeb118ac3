"""The first page, as a person in front of it receives it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from kg.catalogue import Catalogue
from kg.errors import ModelMissing
from kg.matching.reasons import spaced
from service import pages
from service.app import create_app
from service.pages.texts import texts
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import running

PAGES = Path(pages.__file__).parent
NEED = "Nous voulons que les associations de migrants participent aux décisions de la ville."


class Seen(HTMLParser):
    """Elements with their attributes, and the text that stands in them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.setdefault(self._open[-1], []).append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def seen(client: httpx.Client, status: int = 200, **params: str) -> Seen:
    answer = client.get("/", params=params)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Seen(answer.text)


def test_the_empty_page_has_one_text_field_and_cities_to_choose(client: httpx.Client) -> None:
    page = seen(client, lang="en")
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("textarea")) == 1
    assert {"value": "jelgava"} in page.all("option")
    assert not page.all("article")
    assert page.all("form")[0]["method"] == "get"


def test_a_need_gets_the_cities_of_the_interface_in_the_same_order(client: httpx.Client) -> None:
    page = seen(client, need=NEED, mentee="jelgava", lang="fr")
    answer = client.get("/api/suggestions", params={"need": NEED, "mentee": "jelgava", "lang": "fr"}).json()
    headings = " ".join(page.texts["h3"])
    positions = [headings.index(one["city"]["label"]) for one in answer["suggestions"]]
    assert len(page.all("article")) == len(positions) == 5
    assert positions == sorted(positions)
    shown = page.texts["li"] + page.texts["p"]
    first = answer["suggestions"][0]
    weighty = [reason for reason in first["reasons"] if reason["weight"] > 0]
    for sentence in [reason["text"] for reason in weighty if reason["stance"] == "for"]:
        assert spaced(sentence) in shown
    for unknown in first["unknowns"]:
        assert spaced(f"{unknown['text']} {unknown['ask']}") in shown
    for caution in first["cautions"]:
        assert spaced(caution["text"]) in shown
    assert spaced(answer["role_limits"]) in shown


def test_french_pages_have_spaces_that_hold_and_leave_what_is_typed_alone(client: httpx.Client) -> None:
    page = client.get("/", params={"need": "Loger qui ; et comment ?", "lang": "fr"}).text
    assert re.search(r" [;:!?»](?!\S)", re.sub(r"(?s)<(textarea|style|script)\b.*?</\1>|<[^>]*>", "", page)) is None
    assert "Loger qui ; et comment ?</textarea>" in page


def test_passages_say_their_language_and_practices_can_be_opened(client: httpx.Client) -> None:
    page = seen(client, need=NEED, lang="fr")
    quotes = page.all("blockquote")
    assert quotes
    assert all(quote["lang"] for quote in quotes)
    for link in (a["href"] for a in page.all("a") if (a["href"] or "").startswith("/page/practice/")):
        assert client.get(link).status_code == 200


def test_every_link_of_the_page_works_and_none_leaves_the_service(client: httpx.Client) -> None:
    page = seen(client, need=NEED, mentee="jelgava")
    for tag, attribute in (("a", "href"), ("link", "href")):
        for address in {element[attribute] or "" for element in page.all(tag)}:
            assert address.startswith(("/", "#"))
            assert client.get(address).status_code == 200
    assert not page.all("script")
    assert not page.all("img")


def test_the_other_language_keeps_the_question(client: httpx.Client) -> None:
    page = seen(client, need=NEED, mentee="jelgava", lang="en")
    french = next(a["href"] for a in page.all("a") if a.get("hreflang") == "fr")
    other = Seen(client.get(french or "").text)
    assert other.all("html") == [{"lang": "fr"}]
    assert NEED in other.texts["textarea"]
    assert {"value": "jelgava", "selected": None} in other.all("option")


def test_the_browser_chooses_the_language_where_the_reader_does_not(client: httpx.Client) -> None:
    answer = client.get("/", headers={"accept-language": "fr-BE,nl;q=0.8"})
    assert '<html lang="fr">' in answer.text
    assert answer.headers["content-language"] == "fr"


@pytest.mark.parametrize(
    ("need", "mentee", "said"),
    [
        ("  ", "", "Veuillez dire en une phrase ou deux"),
        ("x" * 20_001, "", "Ce texte est trop long"),
        ("a\x00b", "", "caractère de contrôle"),
        ("un guichet", "no city!", "choisir votre ville dans la liste"),
        ("un guichet", "atlantis", "atlantis"),
    ],
)
def test_faults_are_told_at_the_field_in_the_reader_s_language(
    client: httpx.Client, need: str, mentee: str, said: str
) -> None:
    page = seen(client, 422, need=need, mentee=mentee, lang="fr")
    fault = " ".join(page.texts["p"])
    assert said in fault
    field = page.all("textarea")[0]
    assert "fault" in (field["aria-describedby"] or "").split()
    assert field["aria-invalid"] == "true"


def test_what_people_write_is_shown_as_text(client: httpx.Client) -> None:
    page = seen(client, need='</textarea><script>alert(1)</script><b title="', lang='"><script>')
    assert not page.all("script")
    assert not page.all("b")


def test_a_page_without_a_model_says_so_in_words(catalogue: Catalogue) -> None:
    class WithoutModel:
        """The same catalogue before a model was prepared."""

        def suggest_mentors(self, request: object, *, language: str) -> dict:
            raise ModelMissing("no model is prepared: run `mentorgraph model prepare`")

        def __getattr__(self, name: str) -> object:
            return getattr(catalogue, name)

    with running(create_app(Settings(), WithoutModel())) as server:  # type: ignore[arg-type]
        page = seen(server.client, 503, need=NEED, lang="en")
        api = server.client.get("/api/suggestions", params={"need": NEED})
    assert "Suggestions are being prepared and cannot be given yet." in " ".join(page.texts["p"])
    assert (api.status_code, api.json()["type"].rpartition("/")[2]) == (503, "model-missing")


def test_an_empty_catalogue_says_that_it_is_empty(tmp_path: Path) -> None:
    with (
        Catalogue.create(tmp_path / "data", models=prepared_models()) as empty,
        running(create_app(Settings(), empty)) as server,
    ):
        page = seen(server.client, need=NEED, lang="fr")
    said = " ".join(page.texts["p"])
    assert "Aucune ville n’est encore documentée dans ce catalogue." in said
    assert "Essayez d’autres mots" not in said


def test_every_text_of_the_pages_is_translated() -> None:
    """Extracted from templates and code as translators' tools do it; nothing is missing, fuzzy or left over."""
    method = [
        ("**/templates/**.html", "jinja2"),
        ("pages/**.py", "python"),
        ("printing.py", "python"),
        ("*_commands.py", "python"),
    ]
    wanted = {
        message if isinstance(message, str) else message[0]
        for _, _, message, _, _ in extract_from_dir(PAGES.parent, method_map=method)
    }
    with (PAGES / "locales/fr.po").open("rb") as file:
        catalogue = read_po(file, locale="fr", abort_invalid=True)
    translated = {m.id if isinstance(m.id, str) else m.id[0]: m for m in catalogue if m.id}
    assert set(translated) == wanted
    for message in translated.values():
        words = [message.string] if isinstance(message.string, str) else list(message.string)
        assert all(words), message.id
        assert not message.fuzzy
        holes = re.compile(r"%\(\w+\)s|{\w+}")
        source = message.id if isinstance(message.id, str) else message.id[1]
        assert all(sorted(holes.findall(word)) == sorted(holes.findall(source)) for word in words), message.id


def test_plural_follows_the_language() -> None:
    assert (
        texts("fr")
        .ngettext("%(num)s mentor city to look at", "%(num)s mentor cities to look at", 0)
        .endswith("ville mentore à regarder")
    )


def test_colours_have_enough_contrast_in_light_and_dark() -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text, on the ground and on panels."""
    css = (PAGES / "static/style.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root {(.*?)}", css, re.S)
    ]
    light, dark = schemes[:2]
    assert light.keys() == dark.keys()
    for scheme in (light, dark):
        for name in ("ink", "soft", "link", "warn", "strong", "good", "possible", "weak"):
            for ground in ("ground", "panel"):
                assert contrast(scheme[name], scheme[ground]) >= 4.5, (name, ground, scheme[name])
        assert contrast(scheme["act-ink"], scheme["act"]) >= 4.5
        for border in ("line", "focus"):
            assert contrast(scheme[border], scheme["ground"]) >= 3, border


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG defines it.

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
