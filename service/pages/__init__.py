"""The first page: a need in a text field, mentor cities with their reasons under it. Works without JavaScript."""

from __future__ import annotations

import logging
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from kg.errors import BadRequest, Busy, IndexMismatch, KgError, ModelMissing, figures
from kg.matching.reasons import BAND_LABELS, in_language
from service import problems
from service.api.models import SuggestionRequest
from service.api.values import NEED_LIMIT_CHARS
from service.negotiation import LANGUAGES, language_of_header
from service.pages.texts import page, texts

log = logging.getLogger("mentorgraph.service")
router = APIRouter()

SHOWN = 5
"""Suggestions on the page. A few good ones, each with its reasons, serve better than a long list."""

CITIES_LISTED = 200
CITIES_LIMIT = 1000
"""Cities offered as mentee; beyond it the field would be no help."""

EXAMPLES = (
    ("en", "We want newcomers to find every municipal service at one desk."),
    ("fr", "Nous voulons que les associations de migrants participent aux décisions de la ville."),
    ("it", "Vorremmo far incontrare vecchi e nuovi abitanti con un programma di accompagnamento."),
    ("lv", "Vēlamies palīdzēt iebraucējiem apgūt valodu, lai viņi atrastu darbu."),
    ("el", "Θέλουμε να βοηθήσουμε τους πρόσφυγες να βρουν αξιοπρεπή εργασία."),
)
"""Needs to try, each in its language."""


@router.get("/", response_class=HTMLResponse)
def first_page(
    request: Request,
    need: Annotated[str | None, Query()] = None,
    mentee: Annotated[str, Query()] = "",
    lang: Annotated[str | None, Query()] = None,
) -> HTMLResponse:
    """The empty form, or the form with suggestions for `need`. Faults are told on the page, in its language."""
    language = lang if lang in LANGUAGES else language_of_header(request.headers.get("accept-language")) or "en"
    shown: dict[str, Any] = {"need": need or "", "mentee": mentee, "examples": EXAMPLES, "limit": NEED_LIMIT_CHARS}
    status = 200
    if need is not None:
        try:
            shown["answer"] = _suggestions(request, need, mentee, language)
            shown["bands"] = {band: in_language(label, language) for band, label in BAND_LABELS.items()}
        except (KgError, ValidationError) as error:
            shown["fault"], status = _fault(error, language)
    shown["cities"] = _cities(request, language)
    shown["switch"] = {code: _address(need, mentee, code) for code in LANGUAGES}
    shown["json_address"] = "/api/suggestions?" + urlencode(
        [("need", need or ""), *([("mentee", mentee)] if mentee else []), ("lang", language)]
    )
    shown["text_address"] = shown["json_address"] + "&format=text"
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return HTMLResponse(page("first.html", language, shown), status, headers)


def _suggestions(request: Request, need: str, mentee: str, language: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {"needs": [{"text": need}], "limit": SHOWN}
    if mentee:
        wanted["mentee"] = {"city": mentee}
    checked = SuggestionRequest.model_validate(wanted)
    with request.app.state.turns.one():
        found: dict[str, Any] = request.app.state.catalogue.suggest_mentors(checked.plain(), language=language)
    return found


def _cities(request: Request, language: str) -> list[dict[str, Any]]:
    """Cities to choose the mentee from, by name; none where they cannot be read, so that the page still comes."""
    cities: list[dict[str, Any]] = []
    cursor = None
    try:
        while len(cities) < CITIES_LIMIT:
            listed = request.app.state.catalogue.list_records(
                "city", limit=CITIES_LISTED, cursor=cursor, language=language
            )
            cities += listed["results"]
            cursor = listed["next"]
            if cursor is None:
                break
    except KgError:
        log.exception("the cities could not be listed")
    return sorted(cities, key=lambda city: str(city["label"]).casefold())


def _address(need: str | None, mentee: str, language: str) -> str:
    """This page in another language, with the same question."""
    asked = [("need", need), ("mentee", mentee)] if need is not None else []
    return "/?" + urlencode([*((key, value) for key, value in asked if value), ("lang", language)])


def _fault(error: KgError | ValidationError, language: str) -> tuple[str, int]:
    """What went wrong, said to the person at the form, and the status of the answer."""
    _ = texts(language).gettext
    if isinstance(error, ValidationError):
        return _of_the_form(error, language), problems.UNUSABLE.status
    status = problems.row_of(error).status
    if isinstance(error, Busy):
        return _("Many people are asking just now. Please send your question again in a few seconds."), status
    if isinstance(error, ModelMissing | IndexMismatch):
        return _("Suggestions are being prepared and cannot be given yet. Please try again in a minute."), status
    if isinstance(error, BadRequest):
        return _("This question cannot be answered as it is: {reason}").format(reason=error.told(language)), status
    log.warning("first page: %s: %s", type(error).__name__, error)
    return _("The service cannot answer just now. Please try again later."), status


def _of_the_form(error: ValidationError, language: str) -> str:
    _ = texts(language).gettext
    sort = error.errors()[0]["type"]
    said = {
        "text_empty": _("Please say in a sentence or two what your city needs."),
        "text_too_long": _("This text is too long. Please give the gist in at most {limit} characters.").format(
            limit=figures(NEED_LIMIT_CHARS)[language == "fr"]
        ),
        "text_control": _("The text contains a control character, perhaps from copying. Please type that part anew."),
        "reference": _("Please choose your city from the list, or leave the field empty."),
    }
    return said.get(sort) or _("This question cannot be answered as it is: {reason}").format(
        reason=error.errors()[0]["msg"]
    )
