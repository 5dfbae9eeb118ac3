"""What helps curators: hints while they write, the quality of a record, contradicting claims, and work lists."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from kg import errors
from kg.accounts import Actor
from kg.claims import VERDICTS, FlagAnswers, contradictions, with_answers
from kg.errors import NotAllowed, NotFound, quoted
from kg.records import Record
from kg.rights import keeps
from kg.sources import SourceLooks
from kg.worklists import NAMES
from service.access import needs
from service.api.answers import (
    ClaimFlag,
    ClaimFlags,
    HintsFound,
    LooksAtSources,
    RecordQuality,
    WorklistNames,
    WorklistPage,
)
from service.api.bodies import JSON, json_in, media_type_of, raw_body
from service.api.curation import Insider, KindPath, Language, Writer, kind_of
from service.api.describing import COMPUTING, OTHER_FORM, problems_of
from service.api.records import Cursor, RecordId, checked_id
from service.negotiation import answers_as, in_language

router = APIRouter(tags=["curation"], dependencies=[Depends(answers_as(JSON))])

UNFINISHED = {
    "type": "object",
    "description": "The practice as far as it is written; what is no value yet is passed over.",
}

KNOWN = (errors.NotAuthenticated, errors.NotAllowed, errors.NotFound, errors.Gone)
Reviewer = Annotated[Actor, Depends(needs("publish"))]


class FlagAnswer(BaseModel):
    """A curator's word on two claims that contradict each other."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal[VERDICTS]  # type: ignore[valid-type]
    note: str = Field(default="", max_length=2000, description="Why; needed where both figures are right.")


def _unkept(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.post(
    "/api/practices/hints",
    summary="Hints while a practice is written",
    openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": UNFINISHED}}}},
    responses={
        200: {
            "model": HintsFound,
            "description": "Likely duplicates, themes, cities and missing fields, each with its reason.",
        },
        **OTHER_FORM,
        **problems_of(
            *(errors.NotAuthenticated, errors.NotAllowed, errors.InvalidRecord, errors.UnreadableInput),
            *(errors.TooLarge, *COMPUTING),
        ),
    },
)
def hints(
    request: Request,
    body: Annotated[bytes, Depends(raw_body)],
    who: Writer,
    language: Language,
    limit: Annotated[int, Query(ge=1, le=20)] = 5,
) -> Response:
    """Three words of a title are enough. Drafts are compared too, for those who may see all of them."""
    media_type_of(request, JSON)
    record = {**json_in(body)}
    drafts = keeps(who, "practice") and who.may("read")
    with request.app.state.turns.one():
        found = request.app.state.catalogue.hints(record, drafts=drafts, limit=limit, language=language)
    return _unkept(in_language(found.as_json(language), language))


@router.get(
    "/api/{kind}/{id}/quality",
    summary="How good a record is",
    responses={200: {"model": RecordQuality, "description": "Figures with their reasons."}, **problems_of(*KNOWN)},
)
def quality(request: Request, kind: KindPath, id: RecordId, who: Insider, language: Language) -> Response:
    """Completeness, evidence, sources, and how long ago it was last verified, of the newest version."""
    record = _newest(request, kind, id, who)
    found = request.app.state.catalogue.quality(record)
    return _unkept(in_language(found.as_json(language), language))


@router.post(
    "/api/{kind}/{id}/quality/sources",
    summary="Look up the sources of a record",
    responses={
        200: {"model": LooksAtSources, "description": "What each address answered."},
        **problems_of(*KNOWN, errors.BadRequest, errors.Busy),
    },
)
def look_up_sources(request: Request, kind: KindPath, id: RecordId, who: Reviewer) -> Response:
    """Asks each source of the newest version whether it is still there; only where MENTORGRAPH_CHECK_SOURCES allows it."""
    record = _newest(request, kind, id, who)
    looks = SourceLooks(request.app.state.catalogue.ledger, allowed=request.app.state.settings.check_sources)
    urls = [str(one["url"]) for one in record.get("sources", ()) if one.get("url")]
    with request.app.state.turns.one():
        found = looks.look(looks.due(urls, days=1))
    return _unkept(JSONResponse({"looked_up": [look.as_json() for look in found]}))


@router.get(
    "/api/{kind}/{id}/flags",
    summary="Claims of a record that contradict each other",
    responses={200: {"model": ClaimFlags, "description": "Flags, the answered ones too."}, **problems_of(*KNOWN)},
)
def flags(request: Request, kind: KindPath, id: RecordId, who: Insider, language: Language) -> Response:
    """Both sides of each with their sources, and what a curator answered. An answer lapses when a value changes."""
    found = _flags(request, kind, id, who)
    return _unkept(in_language({"flags": [flag.as_json(language) for flag in found]}, language))


@router.post(
    "/api/{kind}/{id}/flags/{key}/answer",
    summary="Answer a contradiction",
    responses={
        200: {"model": ClaimFlag, "description": "The flag with its answer."},
        **problems_of(*KNOWN, errors.BadRequest, errors.Busy),
    },
)
def answer_flag(
    request: Request,
    kind: KindPath,
    id: RecordId,
    key: Annotated[str, Path(max_length=200)],
    asked: FlagAnswer,
    who: Reviewer,
    language: Language,
) -> Response:
    """Say why both figures stand, or which is wrong. Earlier answers are kept."""
    name = kind_of(kind).name
    if not keeps(who, name):
        raise NotAllowed(
            {
                "en": f"contradictions of a {name} are answered by those who keep it",
                "fr": f"les contradictions d’une fiche « {name} » sont traitées par qui la tient",
            }
        )
    flag = next((one for one in _flags(request, kind, id, who) if one.key == key), None)
    if flag is None:
        raise NotFound(
            {
                "en": f"there is no flag {quoted(key)} on this record; its flags list them",
                "fr": f"cette fiche n’a pas de signalement {quoted(key)} ; ses signalements (flags) les énumèrent",
            }
        )
    answers = FlagAnswers(request.app.state.catalogue.ledger)
    answers.answer_flag(flag, asked.verdict, author=who.author, note=asked.note)
    told = next(one for one in _flags(request, kind, id, who) if one.key == key)
    return _unkept(in_language(told.as_json(language), language))


@router.get(
    "/api/worklists",
    summary="The work lists there are",
    responses={
        200: {"model": WorklistNames, "description": "Their names."},
        **problems_of(errors.NotAuthenticated, errors.NotAllowed),
    },
)
def worklists(who: Insider) -> Response:
    """What curators may mend next; each is asked for by its name."""
    return JSONResponse({"worklists": [{"name": name, "path": f"/api/worklists/{name}"} for name in NAMES]})


@router.get(
    "/api/worklists/{name}",
    summary="One work list",
    responses={
        200: {"model": WorklistPage, "description": "One page of records with the reason why each is listed."},
        **problems_of(*KNOWN, *COMPUTING),
    },
)
def worklist(
    request: Request,
    who: Insider,
    language: Language,
    name: Annotated[str, Path(json_schema_extra={"enum": list(NAMES)})],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
    kind: Annotated[
        str | None, Query(max_length=40, description="Of the records; the list's first unless given.")
    ] = None,
    labels: Annotated[str | None, Query(max_length=35, description="For labels-missing: in which language.")] = None,
    drafts: Annotated[bool, Query(description="Judge the newest wording, drafts too; for curators.")] = False,
    answered: Annotated[bool, Query(description="Keep contradictions that were answered.")] = False,
) -> Response:
    """Records by identifier, each with its reason; `next` continues the list."""
    if drafts and who.role not in ("curator", "administrator"):
        raise NotAllowed(
            {
                "en": "drafts of others are for curators: leave ?drafts out",
                "fr": "les brouillons des autres sont réservés aux comptes « curator » : n’indiquez pas ?drafts",
            }
        )
    with request.app.state.turns.one():
        page = request.app.state.catalogue.worklist(
            name, language, limit, cursor, kind=kind, labels=labels, drafts=drafts, answered=answered
        )
    return _unkept(in_language(page.as_json(language), language))


def _newest(request: Request, kind: str, id: str, who: Actor) -> Record:
    """The newest version of a record that somebody works on, else the published one."""
    desk, name = request.app.state.catalogue.curation, kind_of(kind).name
    head = desk.rights.visible_head(name, checked_id(name, id), who)
    version = "newest" if desk.rights.may_see(who, head) else "published"
    record: Record = desk.read(name, id, who, version)[0]
    return record


def _flags(request: Request, kind: str, id: str, who: Actor) -> Any:
    """The flags of one record with their answers."""
    answers = FlagAnswers(request.app.state.catalogue.ledger)
    return with_answers(contradictions(_newest(request, kind, id, who)), answers.answers_of(kind_of(kind).name, id))
