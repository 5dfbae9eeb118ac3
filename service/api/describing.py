"""What OpenAPI says beyond the models: the problems of a route, and record schemas made from the declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request

from kg import errors
from kg.errors import BadRequest, KgError, quoted
from kg.fields import Declaration, Field, Inner, Kind, Structure, in_language
from service.api.models import Problem
from service.problems import MEDIA_TYPE, OWN_MISTAKE, PROTOCOL_ROWS, ROWS, TYPES, Row

COMMON = (PROTOCOL_ROWS[406][0], OWN_MISTAKE)


async def described_parameters_only(request: Request) -> None:
    """Dependency: a parameter that the address does not have is refused. Passed over, it would seem to have narrowed a list."""
    operation = request.app.openapi()["paths"][request.scope["route"].path]["get"]
    known = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    other = next((name for name in request.query_params if name not in known), None)
    if other is not None:
        raise BadRequest(
            {
                "en": f"there is no parameter {quoted(other)} here; there are {', '.join(known)}",
                "fr": f"il n’y a pas de paramètre {quoted(other)} ici ; il y a {', '.join(known)}",
            }
        )


def problems_of(*sorts: type[KgError]) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route that can meet these errors, in OpenAPI's form, each with an example."""
    return problems_of_rows(*(ROWS[sort] for sort in sorts))


def problems_of_rows(*rows: Row) -> dict[int | str, dict[str, Any]]:
    """The same for rows without an error class; 406 and 500 come with every route."""
    described: dict[int | str, dict[str, Any]] = {}
    for row in [*rows, *COMMON]:
        entry = described.setdefault(row.status, {"description": row.title, "content": {MEDIA_TYPE: {"examples": {}}}})
        content = entry["content"][MEDIA_TYPE]
        content["schema"] = {"$ref": "#/components/schemas/Problem"}
        content["examples"][row.name] = {"summary": row.title, "value": _example(row)}
    return described


def problems_of_input(operation: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """What an operation answers to input of the wrong form: 422 where a parameter can be wrong, 400 and 413 with a body.

    >>> sorted(problems_of_input({"parameters": [{"schema": {"type": "integer"}}]}))
    [406, 422, 500]
    """
    met: list[type[KgError]] = []
    if "requestBody" in operation:
        met += [errors.UnreadableInput, errors.TooLarge, errors.BadRequest]
    if any(_can_be_wrong(one["schema"]) for one in operation.get("parameters", ())):
        met.append(errors.BadRequest)
    return problems_of(*met) if met else {}


def _can_be_wrong(schema: Mapping[str, Any]) -> bool:
    """Whether some text that a client can send does not fit."""
    said = {key for key in schema if key not in ("title", "description", "default", "examples", "anyOf")}
    parts = schema.get("anyOf", ())
    return (bool(said - {"type"}) or schema.get("type", "string") != "string") or any(
        _can_be_wrong(part) for part in parts if part.get("type") != "null"
    )


DETAILS = {
    "unusable-request": "needs.0.text: it is empty; say in a sentence or two what is needed",
    "unreadable-input": "the body is not JSON: Expecting value at character 1",
    "not-found": "there is no practice 'mechelen--samen'; similar: 'mechelen--samen-inburgeren'",
    "too-large": "a request body may have 1,000,000 bytes at most",
    "busy": "the service is busy; send the same request again in a few seconds",
    "not-acceptable": "'/api/search' answers only as application/json",
}


def _example(row: Row) -> dict[str, Any]:
    example = Problem(
        type=TYPES + row.name,
        title=row.title,
        status=row.status,
        detail=DETAILS.get(row.name, row.title),
        instance="/api/suggestions",
    )
    return example.model_dump(exclude_none=True)


def links_to_new(kind: Kind) -> dict[str, Any]:
    """What can be done with a record that was just created, as OpenAPI's links."""
    at, revision = {"path.id": "$response.body#/id"}, {"header.if-match": "$response.header.etag"}
    return {
        "read": _link(f"read_{kind.name}_api_{kind.path}__id__get", at | {"query.version": "newest"}),
        "change": _link(f"patch_{kind.name}_api_{kind.path}__id__patch", at | revision),
        "submit": _link("submit_api__kind___id__submit_post", at | revision | {"path.kind": kind.path}),
        "withdraw": _link(
            f"withdraw_{kind.name}_api_{kind.path}__id__delete", at | revision | {"query.reason": "Gone"}
        ),
        "history": _link("history_api__kind___id__history_get", at | {"path.kind": kind.path}),
    }


def _link(operation: str, parameters: dict[str, str]) -> dict[str, Any]:
    return {"operationId": operation, "parameters": parameters}


OTHER_FORM: dict[int | str, dict[str, Any]] = {
    status: told for status, told in problems_of_rows(PROTOCOL_ROWS[415][0]).items() if status == 415
}
"""The answer of routes that read their body themselves, to one of another media type."""

COMPUTING = (
    errors.BadRequest,
    errors.Busy,
    errors.TooSlow,
    errors.ModelMissing,
    errors.IndexMismatch,
)
"""What can happen wherever something is embedded and searched."""


SCALARS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "decimal": {"type": "string", "description": "A decimal number, as a string so that its digits stay as written."},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "year": {"type": "string", "description": "A year, such as 2016."},
    "uri": {"type": "string", "format": "uri"},
    "iri": {"type": "string", "format": "iri"},
    "ref": {"type": "string"},
    "concept": {"type": "string"},
    "inner-ref": {"type": "string"},
}


def record_schemas(declared: Declaration) -> dict[str, Any]:
    """JSON Schemas of every kind of record and of their inner nodes, by name, made from the shapes."""
    schemas: dict[str, Any] = {}
    for kind in declared.kinds.values():
        named = {"kind": {"const": kind.name}, "id": {"type": "string"}, "iri": {"type": "string", "format": "iri"}}
        schemas[schema_name(kind)] = _structure(kind, named, ["kind", "id"], schemas)
        schemas[draft_name(kind)] = schemas[schema_name(kind)] | {"required": [], "additionalProperties": False}
    return schemas


def draft_name(kind: Structure) -> str:
    """The schema of a record on its way in, which the address names already: "draft.Practice"."""
    return "draft." + schema_name(kind).partition(".")[2]


def schema_name(structure: Structure) -> str:
    """The shape's own name, apart from those of other models: "record.Practice", "record.OutcomeClaim"."""
    return "record." + str(structure.shape).rpartition("#")[2].removesuffix("Shape")


def _structure(shape: Structure, named: dict[str, Any], required: list[str], schemas: dict[str, Any]) -> dict[str, Any]:
    properties = named | {field.key: _field(field, schemas) for field in shape.fields}
    described = in_language(shape.help, "en")
    schema = {"type": "object", "title": in_language(shape.label, "en"), "required": required, "properties": properties}
    return schema | ({"description": described} if described else {})


def _field(field: Field, schemas: dict[str, Any]) -> dict[str, Any]:
    value = {"type": "array", "items": _value(field, schemas)} if field.many else _value(field, schemas)
    words = [in_language(field.label, "en"), in_language(field.help, "en")]
    described = ". ".join(word.rstrip(".") for word in words if word)
    return value | ({"description": described} if described and "$ref" not in value else {})


def _value(field: Field, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.inner is not None:
        return _inner(field.inner, schemas, needs_id=field.key != "record")
    if field.type in ("text", "texts"):
        one: dict[str, Any] = {"type": "string"}
        wording = one if field.type == "text" else {"type": "array", "items": one}
        return {"type": "object", "additionalProperties": wording, "description": "Wordings by language tag."}
    if field.choices:
        return {"type": "string", "enum": sorted(field.choices)}
    return dict(SCALARS[field.type])


def _inner(inner: Inner, schemas: dict[str, Any], needs_id: bool) -> dict[str, Any]:
    """An inner node, by its `id`; the record on the record is the only one and has none."""
    name = schema_name(inner)
    if name not in schemas:
        schemas[name] = _structure(inner, {"id": {"type": "string"}}, ["id"] if needs_id else [], schemas)
    return {"$ref": f"#/components/schemas/{name}"}
