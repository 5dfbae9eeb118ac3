"""Changing records: one set of routes for every kind that the shapes declare.

Each change names the revision it was written on (`If-Match`) and is answered with the new one (`ETag`); who may do
what is decided in `kg.rights` and shown in docs/access.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from kg import errors
from kg.accounts import Actor
from kg.curation import Saved
from kg.discussion import Comment, Waiting
from kg.errors import BadRequest, NotFound, Problem, quoted
from kg.fields import Declaration, Kind, declaration
from kg.history import Entry
from kg.ledger import Revision
from kg.records import from_ntriples, graph_from_ntriples, to_json_ld
from kg.reviewers import reviewer_hints
from kg.vocabulary import PREFIXES, record_iri, thing_iri
from service.access import actor, needs
from service.api.answers import (
    AskedReviewers,
    Blame,
    Checked,
    Comments,
    CommentSaid,
    MergedRecord,
    RevisionDifference,
    Revisions,
    SavedRecord,
    WaitingRecords,
)
from service.api.bodies import (
    JSON,
    MERGE_PATCH,
    RDF_TYPES,
    IfMatch,
    IfNoneMatch,
    Note,
    Publish,
    body_schema,
    expected_revision,
    json_in,
    media_type_of,
    raw_body,
    record_in,
    require_none_match,
)
from service.api.describing import OTHER_FORM, links_to_new, problems_of
from service.api.records import Cursor, RecordId, checked_id
from service.negotiation import answer_language, answers_as, in_language
from service.representations import GRAPHS, JSON_LD, Format, cache_headers, chosen, serialised, site_of

RDF_PATCH = "application/rdf-patch"

Body = Annotated[bytes, Depends(raw_body)]
Language = Annotated[str, Depends(answer_language)]
Writer = Annotated[Actor, Depends(needs("write"))]
Publisher = Annotated[Actor, Depends(needs("publish"))]
Insider = Annotated[Actor, Depends(needs("read"))]
Anyone = Annotated[Actor, Depends(actor)]
KindPath = Annotated[
    str,
    Path(
        description="Plural of a kind of record, as in its address.",
        json_schema_extra={"enum": sorted(kind.path for kind in declaration().kinds.values())},
    ),
]

WRITING = (
    *(errors.NotAuthenticated, errors.NotAllowed, errors.NotFound, errors.Gone, errors.InvalidRecord),
    *(errors.UnreadableInput, errors.BadRequest, errors.TooLarge, errors.Busy),
)
CHANGING = (*WRITING, errors.StaleRecord, errors.PreconditionMissing, errors.WrongState)


class Asked(BaseModel):
    """What a client sends: unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid")


class StepNote(Asked):
    note: str = Field(default="", max_length=2000, description="Why, for the record's history.")


class Merger(Asked):
    into: str = Field(max_length=120, description="Identifier of the record that stays.")
    into_revision: int | None = Field(default=None, ge=1, description="Its revision, as it was read.")
    note: str = Field(default="", max_length=2000)


class Undoing(Asked):
    revision: int = Field(ge=1, le=2**62, description="The revision whose change is taken back.")
    note: str = Field(default="", max_length=2000)
    publish: bool = False


class NewComment(Asked):
    text: str = Field(min_length=1, max_length=5000)
    field: str | None = Field(default=None, max_length=200, description="Dotted place, such as outcomes.claim-2.value.")


class Reviewers(Asked):
    accounts: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(max_length=20)


def routes(declared: Declaration) -> APIRouter:
    """The routes that write each kind, and those that every record has."""
    router, in_json = APIRouter(), [Depends(answers_as(JSON))]
    of_kinds = APIRouter()
    for kind in declared.kinds.values():
        _add_create(of_kinds, kind)
        _add_check(of_kinds, kind)
        _add_replace(of_kinds, kind)
        _add_patch(of_kinds, kind)
        _add_withdraw(of_kinds, kind)
    router.include_router(of_kinds, dependencies=in_json)
    router.include_router(_common, dependencies=in_json)
    router.include_router(_versions)
    return router


def _add_create(router: APIRouter, kind: Kind) -> None:
    def create_record(
        request: Request,
        body: Body,
        who: Writer,
        language: Language,
        note: Note = "",
        publish: Publish = False,
    ) -> Response:
        catalogue = request.app.state.catalogue
        record = record_in(request, body, kind, catalogue.base)
        saved = catalogue.curation.create(kind.name, record, who, note=note, publish=publish, language=language)
        return _saved(request, saved, 201)

    router.add_api_route(
        f"/api/{kind.path}",
        create_record,
        methods=["POST"],
        tags=[kind.path],
        name=f"create_{kind.name}",
        summary=f"Add a {kind.name}",
        description="Saves a new record as a draft, or publishes it where asked and allowed. Without `id` one is made "
        "from its title.",
        response_class=JSONResponse,
        openapi_extra=body_schema(kind, JSON, *RDF_TYPES),
        responses={
            201: {"model": SavedRecord, "links": links_to_new(kind)},
            **OTHER_FORM,
            **problems_of(*WRITING, errors.DuplicateRecord),
        },
        status_code=201,
    )


def _add_check(router: APIRouter, kind: Kind) -> None:
    def check_record(request: Request, body: Body, who: Writer, language: Language) -> Response:
        catalogue = request.app.state.catalogue
        record = record_in(request, body, kind, catalogue.base)
        problems = catalogue.curation.check(kind.name, record, language=language)
        worst = {problem.severity for problem in problems}
        told = {
            "problems": [fault(problem) for problem in problems],
            "can_be_saved": "violation" not in worst,
            "can_be_published": not worst & {"violation", "warning"},
        }
        return in_language(told, language)

    router.add_api_route(
        f"/api/{kind.path}/check",
        check_record,
        methods=["POST"],
        tags=[kind.path],
        name=f"check_{kind.name}",
        summary=f"Check a {kind.name} without saving it",
        description="Every problem at once, the gravest first: violations refuse any save, warnings refuse publication.",
        response_class=JSONResponse,
        openapi_extra=body_schema(kind, JSON, *RDF_TYPES),
        responses={200: {"model": Checked}, **OTHER_FORM, **problems_of(*WRITING)},
    )


def _add_replace(router: APIRouter, kind: Kind) -> None:
    def replace_record(
        request: Request,
        response: Response,
        id: RecordId,
        body: Body,
        who: Writer,
        language: Language,
        note: Note = "",
        publish: Publish = False,
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        catalogue = request.app.state.catalogue
        checked_id(kind.name, id)
        record = record_in(request, body, kind, catalogue.base, id)
        require_none_match(request, kind.name, id, if_none_match)
        options: dict[str, Any] = {"note": note, "publish": publish, "language": language}
        if if_match is None and if_none_match is not None and if_none_match.strip() == "*":
            named = {"id": id, **record}
            if named["id"] != id:
                raise BadRequest(
                    {
                        "en": f"the body is {quoted(named['id'])}, the address {quoted(id)}: one of them",
                        "fr": f"le corps désigne {quoted(named['id'])}, l’adresse {quoted(id)} : l’un des deux",
                    }
                )
            return _saved(request, catalogue.curation.create(kind.name, named, who, **options), 201)
        expected = expected_revision(request, kind.name, id, if_match)
        saved = catalogue.curation.replace(kind.name, id, record, who, expected=expected, **options)
        return _saved(request, saved)

    router.add_api_route(
        f"/api/{kind.path}/{{id}}",
        replace_record,
        methods=["PUT"],
        tags=[kind.path],
        name=f"replace_{kind.name}",
        summary=f"Write a whole {kind.name} anew",
        description="What is not in the body is gone from the record. With `If-None-Match: *` the record is created.",
        response_class=JSONResponse,
        openapi_extra=body_schema(kind, JSON, *RDF_TYPES),
        responses={
            200: {"model": SavedRecord},
            201: {"model": SavedRecord},
            **OTHER_FORM,
            **problems_of(*CHANGING, errors.DuplicateRecord),
        },
    )


def _add_patch(router: APIRouter, kind: Kind) -> None:
    def patch_record(
        request: Request,
        id: RecordId,
        body: Body,
        who: Writer,
        language: Language,
        note: Note = "",
        publish: Publish = False,
        if_match: IfMatch = None,
    ) -> Response:
        media_type_of(request, MERGE_PATCH, JSON)
        checked_id(kind.name, id)
        expected = expected_revision(request, kind.name, id, if_match)
        saved = request.app.state.catalogue.curation.patch(
            kind.name, id, json_in(body), who, expected=expected, note=note, publish=publish, language=language
        )
        return _saved(request, saved)

    schema = {"schema": {"type": "object", "description": "The fields to change; null removes one."}}
    router.add_api_route(
        f"/api/{kind.path}/{{id}}",
        patch_record,
        methods=["PATCH"],
        tags=[kind.path],
        name=f"patch_{kind.name}",
        summary=f"Change fields of a {kind.name}",
        description="JSON Merge Patch (RFC 7396) by field; texts by language, inner nodes by their `id` (docs/http.md).",
        response_class=JSONResponse,
        openapi_extra={"requestBody": {"required": True, "content": {MERGE_PATCH: schema, JSON: schema}}},
        responses={200: {"model": SavedRecord}, **OTHER_FORM, **problems_of(*CHANGING)},
    )


def _add_withdraw(router: APIRouter, kind: Kind) -> None:
    def withdraw_record(
        request: Request,
        id: RecordId,
        who: Writer,
        reason: Annotated[str, Query(max_length=2000, description="Readers of the address will see it.")] = "",
        replaced_by: Annotated[str | None, Query(max_length=120, description="Record that took its place.")] = None,
        if_match: IfMatch = None,
    ) -> Response:
        expected = expected_revision(request, kind.name, id, if_match)
        checked_id(kind.name, id)
        desk = request.app.state.catalogue.curation
        saved = desk.withdraw(kind.name, id, who, expected=expected, reason=reason, replaced_by=replaced_by)
        return _saved(request, saved)

    router.add_api_route(
        f"/api/{kind.path}/{{id}}",
        withdraw_record,
        methods=["DELETE"],
        tags=[kind.path],
        name=f"withdraw_{kind.name}",
        summary=f"Withdraw a {kind.name}",
        description="Takes a record out of sight; a tombstone with the reason stays at its address. Refused with the list "
        "while other records refer to it, unless `replaced_by` names the one they shall refer to.",
        response_class=JSONResponse,
        responses={200: {"model": SavedRecord}, **problems_of(*CHANGING, errors.StillReferenced)},
    )


_common = APIRouter(tags=["curation"])


def _step(path: str, summary: str, description: str, take: Callable[..., Saved], scope: str) -> None:
    """One step that carries a note and changes the state."""

    def step(
        request: Request,
        kind: KindPath,
        id: RecordId,
        who: Anyone,
        language: Language,
        asked: StepNote | None = None,
        if_match: IfMatch = None,
    ) -> Response:
        name = kind_of(kind).name
        saved = take(
            request.app.state.catalogue.curation,
            *(name, checked_id(name, id), who, expected_revision(request, name, id, if_match)),
            *(asked.note if asked else "", language),
        )
        return _saved(request, saved)

    _common.add_api_route(
        f"/api/{{kind}}/{{id}}/{path}",
        step,
        methods=["POST"],
        dependencies=[Depends(needs(scope))],
        name=path,
        summary=summary,
        description=description,
        response_class=JSONResponse,
        responses={200: {"model": SavedRecord}, **problems_of(*CHANGING)},
    )


_step(
    "submit",
    "Submit a draft for review",
    "Hands a draft or a returned record over to those who review it.",
    lambda desk, kind, id, who, expected, note, language: desk.submit(
        kind, id, who, expected=expected, note=note, language=language
    ),
    "write",
)
_step(
    "return",
    "Return a submitted record",
    "Gives a submitted record back to its author; the note says what is to be mended.",
    lambda desk, kind, id, who, expected, note, language: desk.give_back(
        kind, id, who, expected=expected, note=note, language=language
    ),
    "publish",
)
_step(
    "publish",
    "Publish the newest wording",
    "Makes the newest wording what readers see. By default a second person does this, and every rule must hold.",
    lambda desk, kind, id, who, expected, note, language: desk.publish(
        kind, id, who, expected=expected, note=note, language=language
    ),
    "publish",
)


@_common.post(
    "/api/{kind}/{id}/merge",
    summary="Merge a record into another",
    response_class=JSONResponse,
    responses={
        200: {"model": MergedRecord, "description": "The record that stays, and the decisions taken."},
        **problems_of(*CHANGING),
    },
)
def merge(
    request: Request,
    kind: KindPath,
    id: RecordId,
    asked: Merger,
    who: Publisher,
    language: Language,
    if_match: IfMatch = None,
) -> Response:
    """Unite this record with another, which stays; no claim, source or link is lost and this address leads there."""
    name = kind_of(kind).name
    saved, decisions = request.app.state.catalogue.curation.merge(
        name,
        checked_id(name, id),
        checked_id(name, asked.into),
        who,
        expected=expected_revision(request, name, id, if_match),
        expected_into=asked.into_revision,
        note=asked.note,
        language=language,
    )
    told = [
        {"field": one.path, "how": one.how, "kept": one.kept, "other": one.other, "text": one.words}
        for one in decisions
    ]
    return _saved(request, saved, more={"decisions": told})


@_common.post(
    "/api/{kind}/{id}/undo",
    summary="Take back a revision",
    response_class=JSONResponse,
    responses={200: {"model": SavedRecord}, **problems_of(*CHANGING)},
)
def undo(
    request: Request,
    kind: KindPath,
    id: RecordId,
    asked: Undoing,
    who: Writer,
    language: Language,
    if_match: IfMatch = None,
) -> Response:
    """Reverse what one revision did by a new one; what came after it stays."""
    name = kind_of(kind).name
    saved = request.app.state.catalogue.curation.undo(
        name,
        checked_id(name, id),
        asked.revision,
        who,
        expected=expected_revision(request, name, id, if_match),
        note=asked.note,
        publish=asked.publish,
        language=language,
    )
    return _saved(request, saved)


# History


@_common.get(
    "/api/{kind}/{id}/history",
    summary="Revisions of a record",
    response_class=JSONResponse,
    responses={
        200: {"model": Revisions, "description": "Revisions, the newest first."},
        **problems_of(errors.NotFound, errors.NotAuthenticated),
    },
)
def history(request: Request, kind: KindPath, id: RecordId, who: Anyone) -> Response:
    """Who works on a record sees all of it; readers what was published, with the role of its author."""
    name = kind_of(kind).name
    found = request.app.state.catalogue.curation.history.entries(name, checked_id(name, id), who)
    return JSONResponse({"revisions": [entry_of(one) for one in found]}, headers=_UNKEPT)


_versions = APIRouter(tags=["curation"])


@_versions.get(
    "/api/{kind}/{id}/history/{number}",
    summary="One version of a record",
    responses={
        200: {
            "description": "The record as it read then, as JSON or RDF.",
            "content": {
                JSON: {"schema": {"type": "object"}},
                **{form.media_type: {"schema": {"type": "string"}} for form in GRAPHS},
                JSON_LD.media_type: {"schema": {"type": "object"}},
            },
        },
        **problems_of(errors.NotFound, errors.Gone, errors.NotAuthenticated),
    },
)
def version(
    request: Request,
    kind: KindPath,
    id: RecordId,
    number: Annotated[int, Path(ge=1, le=2**62)],
    who: Anyone,
) -> Response:
    """As plain JSON, or as RDF in any format of the Graph Store Protocol, by the Accept header."""
    name = kind_of(kind).name
    record, revision = request.app.state.catalogue.curation.read(name, checked_id(name, id), who, number)
    media_type = chosen(request, [JSON, *(format.media_type for format in GRAPHS)])
    headers = cache_headers(f"{number}-{media_type.rpartition('/')[2]}", vary="Accept", modified=revision.time)
    headers["Cache-Control"] = "private, no-cache"
    if media_type == JSON:
        return JSONResponse(record, headers=headers)
    format = next(one for one in GRAPHS if one.media_type == media_type)
    return Response(_as_rdf(revision, format, request), 200, headers, media_type)


def _as_rdf(revision: Revision, format: Format, request: Request) -> bytes:
    """What one revision said, without what the graph says of the record today."""
    if format is not JSON_LD:
        graph = graph_from_ntriples(revision.payload or "")
        for prefix, namespace in PREFIXES.items():
            graph.bind(prefix, namespace)
        return serialised(graph, format)
    base = request.app.state.catalogue.base
    linked = to_json_ld(from_ntriples(revision.payload or "", base), base, f"{site_of(request)}context.jsonld")
    return json.dumps(linked, ensure_ascii=False, indent=1).encode()


@_versions.get(
    "/api/{kind}/{id}/difference",
    summary="What changed between two revisions",
    responses={
        200: {
            "model": RevisionDifference,
            "description": "Field by field, or as an RDF Patch.",
            "content": {RDF_PATCH: {"schema": {"type": "string"}}},
        },
        **problems_of(errors.NotFound, errors.Gone, errors.NotAuthenticated, errors.BadRequest),
    },
)
def difference(
    request: Request,
    kind: KindPath,
    id: RecordId,
    before: Annotated[int, Query(ge=1, le=2**62)],
    after: Annotated[int, Query(ge=1, le=2**62)],
    who: Anyone,
    language: Language,
) -> Response:
    """Readable, in the language asked for; with `Accept: application/rdf-patch` as a patch of the record's graph."""
    from kg.changes import rdf_patch

    catalogue, name = request.app.state.catalogue, kind_of(kind).name
    checked_id(name, id)
    if chosen(request, [JSON, RDF_PATCH]) == RDF_PATCH:
        first, second = catalogue.curation.history.compare(name, id, before, after, who)
        graph = str(record_iri(catalogue.base, name, id))
        patch = rdf_patch(first.payload, second.payload or "", graph)
        return Response(patch, headers={**_UNKEPT, "Vary": "Accept"}, media_type=RDF_PATCH)
    found = catalogue.curation.history.difference(name, id, before, after, who, language=language)
    answer = in_language({"before": before, "after": after, "differences": found}, language)
    answer.headers["Vary"] = "Accept, Accept-Language"
    answer.headers["Cache-Control"] = "no-store"
    return answer


@_common.get(
    "/api/{kind}/{id}/blame",
    summary="Which revision each field comes from",
    response_class=JSONResponse,
    responses={
        200: {"model": Blame, "description": "By field, the revision that last changed it."},
        **problems_of(errors.NotFound, errors.NotAuthenticated),
    },
)
def blame(request: Request, kind: KindPath, id: RecordId, who: Anyone) -> Response:
    """For each field of the newest version the caller may see."""
    name = kind_of(kind).name
    found = request.app.state.catalogue.curation.history.blame(name, checked_id(name, id), who)
    return JSONResponse({"fields": {path: entry_of(one) for path, one in found.items()}}, headers=_UNKEPT)


# Conversation


@_common.get(
    "/api/waiting",
    summary="What waits for whom",
    response_class=JSONResponse,
    responses={
        200: {"model": WaitingRecords, "description": "Records that are not finished."},
        **problems_of(errors.NotAuthenticated, errors.NotAllowed, errors.BadRequest, errors.NotFound),
    },
)
def waiting(
    request: Request,
    who: Insider,
    mine: Annotated[bool, Query(description="Only what waits for the caller.")] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> Response:
    """Drafts, submitted and returned records, each with the accounts or the role it waits for."""
    found, after = request.app.state.catalogue.curation.discussion.waiting(who, mine=mine, limit=limit, cursor=cursor)
    return JSONResponse({"results": [waiting_of(one) for one in found], "next": after}, headers=_UNKEPT)


TALKING = (errors.NotAuthenticated, errors.NotAllowed, errors.NotFound, errors.BadRequest)


@_common.get(
    "/api/{kind}/{id}/comments",
    summary="Comments on a record",
    response_class=JSONResponse,
    responses={200: {"model": Comments, "description": "Comments, the oldest first."}, **problems_of(*TALKING)},
)
def comments(
    request: Request,
    kind: KindPath,
    id: RecordId,
    who: Insider,
    resolved: Annotated[bool | None, Query(description="Only those that are, or are not, dealt with.")] = None,
) -> Response:
    """What was said about the record and its fields, for those who work on it."""
    name = kind_of(kind).name
    talk = request.app.state.catalogue.curation.discussion
    found = talk.comments(name, checked_id(name, id), who, resolved=resolved)
    return JSONResponse({"comments": [comment_of(one) for one in found]}, headers=_UNKEPT)


@_common.post(
    "/api/{kind}/{id}/comments",
    summary="Comment on a record",
    response_class=JSONResponse,
    responses={201: {"model": CommentSaid, "description": "The comment."}, **problems_of(*TALKING, errors.Busy)},
    status_code=201,
)
def comment(request: Request, kind: KindPath, id: RecordId, asked: NewComment, who: Writer) -> Response:
    """Say something about the record, or about one field or part of it that the newest revision has."""
    name = kind_of(kind).name
    talk = request.app.state.catalogue.curation.discussion
    said = talk.comment(name, checked_id(name, id), asked.text, who, field=asked.field)
    return JSONResponse(comment_of(said), 201, headers=_UNKEPT)


@_common.post(
    "/api/{kind}/{id}/comments/{number}/resolve",
    summary="Mark a comment as dealt with",
    response_class=JSONResponse,
    responses={200: {"model": CommentSaid, "description": "The comment."}, **problems_of(*TALKING, errors.Busy)},
)
def resolve(
    request: Request, kind: KindPath, id: RecordId, number: Annotated[int, Path(ge=1, le=2**31 - 1)], who: Writer
) -> Response:
    """Its author and those who keep the record may; doing it twice changes nothing."""
    name = kind_of(kind).name
    talk = request.app.state.catalogue.curation.discussion
    return JSONResponse(comment_of(talk.resolve(name, checked_id(name, id), number, who)), headers=_UNKEPT)


@_common.put(
    "/api/{kind}/{id}/reviewers",
    summary="Ask accounts to review a record",
    response_class=JSONResponse,
    responses={
        200: {"model": AskedReviewers, "description": "Who is asked now."},
        **problems_of(*TALKING, errors.StaleRecord, errors.PreconditionMissing, errors.Busy),
    },
)
def assign(
    request: Request,
    kind: KindPath,
    id: RecordId,
    asked: Reviewers,
    who: Publisher,
    language: Language,
    if_match: IfMatch = None,
) -> Response:
    """In place of those asked before; an empty list takes the request back. They are asked to review the revision named."""
    found = kind_of(kind)
    catalogue, state = request.app.state.catalogue, request.app.state
    expected = expected_revision(request, found.name, checked_id(found.name, id), if_match)
    accounts = catalogue.curation.discussion.assign(found.name, id, asked.accounts, who, expected=expected)
    rights = catalogue.curation.rights
    writer = rights.last_writer(found.name, id) if rights.second_person else None
    hints = reviewer_hints(
        accounts,
        state.accounts.list_tokens(),
        found,
        writer,
        logins=state.settings.oidc_issuer is not None,
        language=language,
    )
    told = {"accounts": list(accounts), "hints": [{"account": one, "message": message} for one, message in hints]}
    answer = in_language(told, language)
    answer.headers.update(_UNKEPT)
    return answer


_UNKEPT = {"Cache-Control": "no-store"}


def kind_of(path: str) -> Kind:
    """The kind whose plural stands in an address. Raises NotFound, also for its singular."""
    kind = declaration().kind(path)
    if kind.path != path:
        raise NotFound(
            {
                "en": f"there is nothing under {quoted(path)}; addresses have the plural: /api/{kind.path}/…",
                "fr": f"il n’y a rien sous {quoted(path)} ; les adresses ont le pluriel : /api/{kind.path}/…",
            }
        )
    return kind


def fault(problem: Problem) -> dict[str, Any]:
    """One broken rule."""
    told = {"field": problem.field, "message": problem.message, "severity": problem.severity}
    return told | ({"value": problem.value} if problem.value is not None else {})


def _saved(request: Request, saved: Saved, status: int = 200, more: Mapping[str, Any] | None = None) -> JSONResponse:
    """What a change wrote, with the ETag of the new revision."""
    iri = str(thing_iri(request.app.state.catalogue.base, saved.kind, saved.id))
    told = {
        "kind": saved.kind,
        "id": saved.id,
        "iri": iri,
        "revision": saved.revision,
        "state": saved.state,
        "visibility": saved.visibility,
        "changed": saved.changed,
        "missing": [fault(problem) for problem in saved.missing],
        **(more or {}),
    }
    headers = {**_UNKEPT, "ETag": f'"{saved.revision}"'}
    if status == 201:
        headers["Location"] = f"/api/{declaration().kind(saved.kind).path}/{saved.id}?version=newest"
    return JSONResponse(told, status, headers)


def entry_of(one: Entry) -> dict[str, Any]:
    """One revision in a history."""
    told = {
        "revision": one.number,
        "state": one.state,
        "visibility": one.visibility,
        "author": one.author,
        "time": _time(one.time),
        "note": one.note,
        "reason": one.reason,
        "replaced_by": one.replaced_by,
    }
    return {key: value for key, value in told.items() if value not in ("", None)}


def comment_of(one: Comment) -> dict[str, Any]:
    """One comment."""
    return {
        "number": one.number,
        "field": one.field,
        "field_gone": one.field_gone,
        "revision": one.revision,
        "author": one.author,
        "time": _time(one.time),
        "text": one.text,
        "resolved_by": one.resolved_by,
        "resolved": None if one.resolved is None else _time(one.resolved),
    }


def waiting_of(one: Waiting) -> dict[str, Any]:
    """One unfinished record."""
    return {
        "kind": one.kind,
        "id": one.id,
        "title": one.title,
        "state": one.state,
        "since": _time(one.since),
        "revision": one.revision,
        "waits_for": {"accounts": list(one.for_accounts), "role": one.for_role, "not": one.not_by},
    }


def _time(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
