"""What a mentee could teach a mentor: learning goes both ways."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from kg import errors
from service.api.describing import problems_of
from service.api.models import Answered, CityName, Named, ProfileName, ProfileReference
from service.api.records import RecordId, checked_id
from service.negotiation import answer_language, answers_as, in_language

router = APIRouter(tags=["cities"], dependencies=[Depends(answers_as("application/json"))])


class TaughtBy(Answered):
    id: str
    title: str


class ReturnOffer(Answered):
    """A theme in which the mentee has experience."""

    theme: Named
    basis: Literal["need", "further", "unknown"] = Field(
        description="The mentor has stated a need; its level on record is lower; or nothing is on record of it."
    )
    level: float = Field(description="The mentee's level of experience, in [0, 1], no unit.")
    mentor_level: float | None = Field(description="The mentor's; null where nothing is on record.")
    practices: list[TaughtBy]
    needs: list[str] = Field(description="The mentor's needs on it, in its own words.")
    text: str


class InReturn(Answered):
    mentee: CityName
    mentor: CityName
    offers: list[ReturnOffer] = Field(description="Needs of the mentor first; what is not known of it last.")
    text: str | None = Field(description="Said where there is no offer.")
    role_limits: str
    profile: ProfileName
    as_of: str
    revision: int


@router.get(
    "/api/cities/{id}/could-teach/{other}",
    summary="What a mentee could teach a mentor",
    response_class=JSONResponse,
    responses={
        200: {"model": InReturn, "description": "Themes in which the first city has experience the second may want."},
        **problems_of(errors.NotFound, errors.Gone, errors.BadRequest),
    },
)
def could_teach(
    request: Request,
    id: RecordId,
    other: Annotated[str, Path(description="Short identifier of the mentor city.")],
    language: Annotated[str, Depends(answer_language)],
    profile: Annotated[
        ProfileReference | None, Query(description="Name of the constants by which experience is measured.")
    ] = None,
) -> JSONResponse:
    """Themes in which the mentee has experience and the mentor a need, or less on record; mentor and mentee are roles per
    theme, and mentors learn too.
    """
    found = request.app.state.catalogue.could_teach(
        checked_id("city", id), checked_id("city", other), language=language, profile=profile
    )
    return in_language(found, language)
