"""Builds the service from its parts: settings, catalogue, routes, and what every request passes through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.openapi.utils import get_openapi
from starlette.staticfiles import StaticFiles

from kg.accounts import Accounts
from kg.errors import NotAuthenticated
from kg.fields import declaration
from service import pages, problems
from service.access import RefuseWrongTokens, Sessions, Signing, session_key
from service.api import (
    assistance,
    cohorts,
    curation,
    dumps,
    explanations,
    exports,
    exposure,
    graphs,
    health,
    imports,
    linked_data,
    mentor_sets,
    needs,
    reciprocity,
    records,
    search,
    sessions,
    sparql,
    suggestions,
    transferability,
)
from service.api.describing import problems_of, problems_of_input, record_schemas
from service.api.models import Problem
from service.login import Provider
from service.middleware import PACKED_FROM_BYTES, BodyLimit, HeadAsGet, JoinedHeaders, PackedTags, SecurityHeaders
from service.pages import records as record_pages
from service.pages import reference, terms
from service.publication import Publication
from service.settings import Settings
from service.short_way import ShortWay
from service.turns import Turns

if TYPE_CHECKING:
    from kg.catalogue import Catalogue

VERSION = "1.0"
"""Of the interface, not of the package: the first number changes when something described is taken away."""

ABOUT = """Suggests mentor cities for a city's needs, from what cities have done, with reasons.

A suggestion is where to look first. People choose; mentor cities accompany, they do not push.
"""


def create_app(settings: Settings | None = None, catalogue: Catalogue | None = None) -> FastAPI:
    """The service as an ASGI application.

    Without `settings` the environment is read. Without a `catalogue` the data folder of the settings
    is opened when the application starts and closed when it stops; one that is given stays the
    caller's to follow with and to close.
    """
    settings = settings or Settings()
    app = FastAPI(
        title="mentorgraph",
        summary="Cities learning from cities",
        description=ABOUT,
        version=VERSION,
        license_info={"name": "EUPL-1.2", "identifier": "EUPL-1.2"},
        lifespan=_lifespan(settings, catalogue),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses={401: problems_of(NotAuthenticated)[401]},
    )
    app.state.settings = settings
    app.state.turns = Turns(settings.searches_at_once, settings.wait_seconds)
    problems.install(app)
    described = (
        suggestions.router,
        explanations.router,
        exposure.router,
        mentor_sets.router,
        transferability.router,
        reciprocity.router,
        cohorts.router,
        needs.router,
        search.router,
        records.routes(declaration()),
        imports.router,  # before those of records, whose kinds are parts of addresses
        curation.routes(declaration()),
        exports.router,
        health.router,
    )
    for router in (*described, assistance.router, sparql.router, sessions.router):
        app.include_router(router)
    for undescribed in (linked_data.router, graphs.router, dumps.router, terms.router, record_pages.router):
        app.include_router(undescribed, include_in_schema=False)
    app.include_router(reference.router, include_in_schema=False)
    app.include_router(pages.router, include_in_schema=False)
    app.router.routes[:0] = sparql.quick
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "pages" / "static"))
    app.openapi = _described(app)  # type: ignore[method-assign]
    app.add_middleware(RefuseWrongTokens)
    app.add_middleware(GZipMiddleware, minimum_size=PACKED_FROM_BYTES)
    app.add_middleware(PackedTags)
    others = {"/api/imports": settings.import_limit_bytes}
    app.add_middleware(BodyLimit, limit_bytes=settings.body_limit_bytes, others=others)
    app.add_middleware(HeadAsGet)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type"],
        expose_headers=["ETag", "Link", "X-Revision", "Repr-Digest"],
    )
    app.add_middleware(problems.OwnMistakes)
    app.add_middleware(JoinedHeaders)
    app.add_middleware(SecurityHeaders)
    return app


def _lifespan(settings: Settings, given: Catalogue | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if given is not None:
            app.state.catalogue, app.state.publication = given, Publication(given, settings.wait_seconds)
            with _knowing_people(app, settings, given), imports.importing(app, given, settings.wait_seconds):
                async with sparql.answering(app, given, settings):
                    app.state.short_way = ShortWay(app.state)
                    yield
            return
        from kg.catalogue import Catalogue

        with Catalogue.open(
            settings.data,
            ledger_url=settings.ledger,
            graph_url=settings.graph_url,
            indexes=settings.indexes,
            profiles=settings.profiles,
        ) as opened:
            opened.follow()
            app.state.catalogue, app.state.publication = opened, Publication(opened, settings.wait_seconds)
            with _knowing_people(app, settings, opened), imports.importing(app, opened, settings.wait_seconds):
                async with sparql.answering(app, opened, settings):
                    app.state.short_way = ShortWay(app.state)
                    yield

    return lifespan


@contextmanager
def _knowing_people(app: FastAPI, settings: Settings, catalogue: Catalogue) -> Iterator[None]:
    """Tokens always; sessions and the provider where people can log in."""
    app.state.provider = app.state.signing = app.state.sessions = None
    catalogue.curation.rights.second_person = settings.second_person
    with Accounts(catalogue.ledger) as accounts:
        app.state.accounts = accounts
        if settings.oidc_issuer is not None:
            key = settings.session_key
            signing = Signing(key.get_secret_value() if key else session_key(catalogue.folder.path))
            app.state.signing, app.state.provider = signing, Provider(settings)
            app.state.sessions = Sessions(signing, accounts, settings.session_hours)
        yield


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """OpenAPI with the records' schemas, which come from the ontology, and one error form for all."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                license_info=app.license_info,
                routes=app.routes,
            )
            schemas = document["components"]["schemas"]
            schemas.update(record_schemas(declaration()))
            schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schemas["Problem"].pop("$defs"))
            _one_error_form(document)
            app.openapi_schema = document
        return app.openapi_schema

    return openapi


def _one_error_form(document: dict[str, Any]) -> None:
    """Take out the framework's own description of validation errors: ours are problem documents.

    Every route with a parameter or a body that could be wrong says so, whatever else it says of itself.
    """
    for operations in document["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            is_validated = "422" in responses
            unusable = responses.get("422", {}).get("content", {})
            unusable.pop("application/json", None)
            if not unusable:
                responses.pop("422", None)
            for status, described in problems_of_input(operation).items():
                if status != 422 or is_validated:
                    responses.setdefault(str(status), described)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
