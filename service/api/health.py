"""For whoever watches the service: is the process alive, and can it answer?"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from service.api.describing import problems_of_rows
from service.api.models import Health
from service.negotiation import answers_as
from service.problems import NOT_READY, UNREADY, Refusal

router = APIRouter(tags=["health"], prefix="/health", dependencies=[Depends(answers_as("application/json"))])


@router.get("/live", summary="Is the process alive?", responses={200: {"model": Health}, **problems_of_rows()})
async def live() -> JSONResponse:
    """Answers as long as the process does; touches no store."""
    return JSONResponse({"status": "ok"})


@router.get("/ready", summary="Can it answer?", responses={200: {"model": Health}, **problems_of_rows(NOT_READY)})
def ready(request: Request) -> Response:
    """200 when ledger, graph, index and model are there and keep up; 503 with what is missing otherwise."""
    is_ready, details = request.app.state.catalogue.ready()
    if is_ready:
        return JSONResponse({"status": "ok", **details})
    return Refusal(NOT_READY, UNREADY, extra={"checks": details}).response(request)


@router.get("/status", summary="What does it hold?", responses={200: {"model": Health}, **problems_of_rows()})
def status(request: Request) -> Response:
    """How many public records of each kind there are, the revision, the model and the bridge vocabularies."""
    return JSONResponse({"status": "ok", **request.app.state.catalogue.status(visibility="public")})
