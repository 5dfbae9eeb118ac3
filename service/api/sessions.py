"""Log in, log out, and who am I."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from kg import errors
from kg.accounts import SCOPES
from kg.errors import NotAuthenticated, NotFound
from service.access import SESSION, Caller, caller, cookie_name, is_https, refuse_other_sites
from service.api.describing import problems_of
from service.login import AGAIN
from service.negotiation import answers_as
from service.representations import site_of

router = APIRouter(tags=["accounts"])

LOGIN = "mentorgraph-login"
LOGIN_SECONDS = 600
"""Time to log in at the provider."""

UNKEPT = {"Cache-Control": "no-store"}

_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,1999}", re.ASCII)


class Me(BaseModel):
    """Who the service takes the caller for."""

    name: str = Field(description="Name of the account; `anonymous` for nobody in particular.")
    role: str
    scopes: list[str] = Field(description="What the role may do, narrowed by the token's scopes.")
    authenticated_by: str | None = Field(description="`token`, `session`, or null.")
    login: str | None = Field(description="Where to log in; null where only tokens are taken.")


@router.get(
    "/api/me",
    summary="Who am I?",
    dependencies=[Depends(answers_as("application/json"))],
    responses={200: {"model": Me}, **problems_of(errors.NotAuthenticated)},
)
async def me(request: Request, who: Annotated[Caller, Depends(caller)]) -> JSONResponse:
    """The account behind the token or session, with its role and what it may do; the anonymous reader without either."""
    scopes = [scope for scope in SCOPES if who.actor.may(scope)]
    login = "/login" if request.app.state.provider is not None else None
    told = Me(name=who.actor.name, role=who.actor.role, scopes=scopes, authenticated_by=who.by, login=login)
    return JSONResponse(told.model_dump(), headers=UNKEPT)


REDIRECTED: dict[int | str, dict[str, Any]] = {303: {"description": "The browser is sent on."}}


@router.get(
    "/login",
    summary="Log in",
    response_class=RedirectResponse,
    status_code=303,
    responses=REDIRECTED | problems_of(errors.NotFound, errors.ProviderUnreachable),
)
async def login(
    request: Request, then: Annotated[str, Query(description="Path to go to afterwards, on this service.")] = "/"
) -> RedirectResponse:
    """Sends the browser to the organisation's login provider; 404 where none is set up."""
    provider = _provider(request)
    request.scope["session"] = {}
    address = await provider.begin(request, site_of(request) + "login/return")
    kept = {"until": int(time.time()) + LOGIN_SECONDS, "then": own_path(then), "flow": request.session}
    answer = RedirectResponse(address, 303, UNKEPT)
    _set(request, answer, LOGIN, request.app.state.signing.written(LOGIN, kept), LOGIN_SECONDS)
    return answer


@router.get(
    "/login/return",
    summary="Come back from the login provider",
    response_class=RedirectResponse,
    status_code=303,
    responses=REDIRECTED
    | problems_of(errors.NotAuthenticated, errors.NotAllowed, errors.NotFound, errors.ProviderUnreachable),
)
async def come_back(request: Request) -> RedirectResponse:
    """Where the login provider sends the browser, with a code. A session begins, unless something does not fit."""
    provider = _provider(request)
    kept = request.app.state.signing.read(LOGIN, request.cookies.get(cookie_name(request, LOGIN), ""))
    if kept is None or kept["until"] <= time.time():
        raise NotAuthenticated(
            {
                "en": f"no login was begun in this browser, or it took too long; {AGAIN['en']}",
                "fr": f"aucune connexion n’a été commencée dans ce navigateur, ou elle a duré trop longtemps ; {AGAIN['fr']}",
            }
        )
    if any(len(request.query_params.getlist(name)) != 1 for name in ("code", "state")):
        raise NotAuthenticated(
            {
                "en": f"the login did not come to its end; {AGAIN['en']}",
                "fr": f"la connexion n’est pas allée à son terme ; {AGAIN['fr']}",
            }
        )
    request.scope["session"] = kept["flow"]
    actor = await provider.finish(request)
    answer = RedirectResponse(kept["then"], 303, UNKEPT)
    _set(request, answer, SESSION, *request.app.state.sessions.opened(actor))
    _unset(request, answer, LOGIN)
    return answer


@router.post(
    "/logout",
    summary="Log out",
    response_class=RedirectResponse,
    status_code=303,
    responses=REDIRECTED | problems_of(errors.NotAllowed),
)
def logout(request: Request) -> RedirectResponse:
    """Ends the session here, on every device that has its cookie. At the provider one stays logged in."""
    answer = RedirectResponse("/", 303, UNKEPT)
    cookie = request.cookies.get(cookie_name(request, SESSION))
    if cookie is not None:
        refuse_other_sites(request)
        if request.app.state.sessions is not None:
            request.app.state.sessions.end(cookie)
        _unset(request, answer, SESSION)
    return answer


def own_path(path: str) -> str:
    """A path of this service, "/" in place of what would lead elsewhere.

    >>> own_path("/practice/x?lang=fr"), own_path("//evil.example"), own_path("https://evil.example"), own_path("/\\\\evil")
    ('/practice/x?lang=fr', '/', '/', '/')
    """
    return path if _OWN_PATH.fullmatch(path) else "/"


def _provider(request: Request) -> Any:
    if request.app.state.provider is None:
        raise NotFound(
            {
                "en": "nobody logs in here: no login provider is set up; send a token as `Authorization: Bearer …`",
                "fr": "personne ne se connecte ici : aucun fournisseur d’identité n’est réglé ; envoyez un jeton par `Authorization: Bearer …`",
            }
        )
    return request.app.state.provider


def _set(request: Request, answer: RedirectResponse, name: str, value: str, seconds: int) -> None:
    """A cookie that no script reads, that other sites' forms do not send, and that goes over https only where there is."""
    answer.set_cookie(
        cookie_name(request, name), value, max_age=seconds, secure=is_https(request), httponly=True, samesite="lax"
    )


def _unset(request: Request, answer: RedirectResponse, name: str) -> None:
    answer.delete_cookie(cookie_name(request, name), secure=is_https(request), httponly=True, samesite="lax")
