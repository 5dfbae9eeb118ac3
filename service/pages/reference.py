"""The interface's documentation page, written from the service's own OpenAPI. It loads nothing but our style sheet."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.pages.texts import page

router = APIRouter()


@router.get("/docs", response_class=HTMLResponse)
def reference(request: Request) -> HTMLResponse:
    """Every address with its parameters, bodies, examples and problems."""
    document = request.app.openapi()
    operations = [
        {**operation, "method": method.upper(), "path": path}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = {name: schema for name, schema in document["components"]["schemas"].items() if schema.get("properties")}
    shown = {"document": document, "operations": operations, "schemas": schemas, "words": words, "example": example}
    return HTMLResponse(page("reference.html", "en", shown))


def words(schema: dict[str, Any]) -> str:
    """A schema in a few words, for a table cell.

    >>> words({"type": "array", "items": {"type": "string"}, "maxItems": 20})
    'list of string, at most 20'
    >>> words({"anyOf": [{"$ref": "#/components/schemas/Mentee"}, {"type": "null"}]})
    'Mentee'
    """
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(words(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return "one of " + ", ".join(map(str, schema.get("enum") or [schema["const"]]))
    return _typed(schema)


def _typed(schema: dict[str, Any]) -> str:
    said = str(schema.get("format") or schema.get("type", "any"))
    if schema.get("type") == "array":
        said = f"list of {words(schema.get('items', {}))}"
    elif isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        said = f"object of {words(schema['additionalProperties'])}"
    low = schema.get("minimum", schema.get("minLength", schema.get("minItems")))
    high = schema.get("maximum", schema.get("maxLength", schema.get("maxItems")))
    bounds = [f"at least {low:,}" if low else "", f"at most {high:,}" if high is not None else ""]
    return ", ".join([said, *(bound for bound in bounds if bound)])


def example(operation: dict[str, Any]) -> str | None:
    """The first example of a request's body, as text."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = body.get("examples") or {}
    first = next((one["value"] for one in examples.values()), None)
    return None if first is None else json.dumps(first, ensure_ascii=False, indent=2)
