"""What a mentee on record could teach a mentor, put together from the records and written in English or French."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kg.errors import BadRequest, quoted
from kg.fields import in_language
from kg.matching.profile import Profile
from kg.matching.reasons import ROLE_LIMITS, name_of, opening
from kg.matching.reciprocity import NOTHING, Wish, in_return, offer_sentence
from kg.suggesting import city_reference
from kg.transferring import Source, facts_of, narrower_of, needs_on_record


def could_teach(mentee: str, mentor: str, source: Source, profile: Profile, language: str) -> dict[str, Any]:
    """The themes in which one city has experience that the other may want, with reasons, as JSON.

    Both are identifiers of published cities. Raises BadRequest where they are the same, NotFound for one that is not
    public.
    """
    if mentee == mentor:
        raise BadRequest(
            {
                "en": f"{quoted(mentee)} stands for both; name two cities",
                "fr": f"{quoted(mentee)} y est pour les deux ; nommez deux villes",
            }
        )
    own, other = facts_of(mentee, source), facts_of(mentor, source)
    themes = {theme for one in own.practices for theme in one.themes} | {one.theme for one in own.experience}
    needs = needs_on_record(f"{source.base}id/city/{mentor}", source)
    wishes = [Wish(need.text, need.themes) for need in needs]
    as_of = datetime.now(UTC).date()
    offers = in_return(own, other, narrower_of(themes, source), wishes, profile, as_of)
    labels = {tag: source.labels("theme", sorted(themes), tag) for tag in ("en", "fr")}
    listed = []
    for offer in offers:
        theme = {tag: labels[tag].get(offer.theme, offer.theme) for tag in labels}
        listed.append(
            {
                "theme": {"id": offer.theme, "label": theme["fr" if language == "fr" else "en"]},
                "basis": offer.basis,
                "level": round(offer.level, 6),
                "mentor_level": None if offer.of_mentor is None else round(offer.of_mentor, 6),
                "practices": [{"id": one.id, "title": in_language(one.title, language)} for one in offer.practices],
                "needs": [in_language(wish.text, language) for wish in offer.wishes],
                "text": in_language(offer_sentence(offer, theme, own, other), language),
            }
        )
    names = {"mentee": name_of(own, language), "mentor": name_of(other, language)}
    return {
        "mentee": city_reference(own, source.base, language),
        "mentor": city_reference(other, source.base, language),
        "offers": listed,
        "text": None if listed else opening(in_language(NOTHING, language).format(**names)),
        "role_limits": in_language(ROLE_LIMITS, language),
        "profile": {"name": profile.name, "version": profile.version, "changed": list(profile.changed)},
        "as_of": as_of.isoformat(),
    }
