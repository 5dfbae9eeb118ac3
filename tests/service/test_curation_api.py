"""Curators at work over HTTP, on a real server with the starting data and real tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from rdflib import Dataset, Graph, Literal, URIRef

from kg.accounts import Accounts
from kg.catalogue import Catalogue
from service.app import create_app
from service.settings import Settings
from tests.models import prepared_models
from tests.service.conftest import Server, running

ROLES = ("contributor", "curator", "manager", "administrator")
As = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of this module's own: it is written to."""
    folder = tmp_path_factory.mktemp("desk") / "data"
    with Catalogue.create(folder, start_data=True, models=prepared_models()) as catalogue:
        catalogue.follow()
        with running(create_app(Settings(data=folder), catalogue)) as server:
            yield server


@pytest.fixture(scope="module")
def tokens(desk: Server) -> dict[str, str]:
    """A token for each of some people: `role` is its first holder, `role-2` another one."""
    with Accounts(desk.app.state.catalogue.ledger) as accounts:
        return {
            name: accounts.create_token(name, name.partition("-")[0], by="test")[0]
            for role in ROLES
            for name in (role, f"{role}-2")
        }


@pytest.fixture
def ask(desk: Server, tokens: dict[str, str]) -> As:
    """Send a request as somebody; `match` is the revision it was written on."""

    def send(
        who: str | None, method: str, path: str, body: object = None, match: int | str | None = None, **more: object
    ) -> httpx.Response:
        headers = dict(more.pop("headers", {}))  # type: ignore[call-overload]
        if who is not None:
            headers["Authorization"] = f"Bearer {tokens[who]}"
        if match is not None:
            headers["If-Match"] = match if isinstance(match, str) else f'"{match}"'
        return desk.client.request(method, path, json=body, headers=headers, **more)  # type: ignore[arg-type]

    return send


def draft(title: str, **more: object) -> dict[str, object]:
    return {
        "title": {"en": title},
        "city": "mechelen",
        "themes": ["health"],
        "language": "en",
        "action": {"en": "Schoolyards are opened in heatwaves."},
        "sources": [{"id": "source-1", "url": "https://stad.gent/en"}],
        **more,
    }


def published(ask: As, title: str, **more: object) -> tuple[str, int]:
    """A practice that went all the way, and its revision."""
    made = ask("contributor", "POST", "/api/practices", draft(title, **more))
    assert made.status_code == 201, made.text
    path, revision = f"/api/practices/{made.json()['id']}", made.json()["revision"]
    revision = ask("contributor", "POST", f"{path}/submit", {}, revision).json()["revision"]
    done = ask("curator", "POST", f"{path}/publish", {}, revision)
    assert done.status_code == 200, done.text
    return path, done.json()["revision"]


def test_a_record_goes_from_draft_to_readers_with_a_second_person(desk: Server, ask: As) -> None:
    made = ask("contributor", "POST", "/api/practices", draft("Cool schoolyards"))
    assert made.status_code == 201
    told = made.json()
    assert told["id"] == "mechelen--cool-schoolyards"
    assert told["state"] == "draft"
    assert told["missing"] == []
    path = made.headers["Location"].partition("?")[0]
    assert ask(None, "GET", path).status_code == 404
    assert ask("contributor", "GET", f"{path}?version=newest").json()["record"]["state"] == "draft"
    early = ask("contributor", "POST", f"{path}/publish", {}, told["revision"])
    assert early.status_code == 403
    sent = ask("contributor", "POST", f"{path}/submit", {"note": "please look"}, told["revision"])
    back = ask("curator", "POST", f"{path}/return", {"note": "Which schools?"}, sent.json()["revision"])
    assert back.json()["state"] == "returned"
    mended = ask("contributor", "PATCH", path, {"summary": {"en": "Ten schools."}}, back.json()["revision"])
    again = ask("contributor", "POST", f"{path}/submit", {}, mended.json()["revision"])
    done = ask("curator", "POST", f"{path}/publish", {}, again.json()["revision"])
    assert done.status_code == 200, done.text
    read = ask(None, "GET", path)
    assert read.json()["summary"] == {"en": "Ten schools."}
    assert read.headers["ETag"] == f'"{done.json()["revision"]}"'
    assert ask(None, "GET", path, headers={"If-None-Match": read.headers["ETag"]}).status_code == 304
    mine = [one["revision"] for one in ask("curator", "GET", f"{path}/history").json()["revisions"]]
    assert mine == sorted(mine, reverse=True)
    assert len(mine) == 6
    outside = ask(None, "GET", f"{path}/history").json()["revisions"]
    assert [(one["state"], one["author"]) for one in outside] == [("published", "curator")]


def test_nobody_publishes_their_own_words(ask: As) -> None:
    made = ask("curator", "POST", "/api/practices", draft("Own words"))
    path, revision = f"/api/practices/{made.json()['id']}", made.json()["revision"]
    refused = ask("curator", "POST", f"{path}/publish", {}, revision)
    assert refused.status_code == 403
    assert "second person" in refused.json()["detail"]
    assert ask("curator-2", "POST", f"{path}/publish", {}, revision).status_code == 200
    assert ask("curator", "POST", "/api/practices?publish=true", draft("At once")).status_code == 403


def test_a_draft_may_be_incomplete_and_says_what_is_missing(ask: As) -> None:
    made = ask("contributor", "POST", "/api/practices", {"title": {"en": "Only a title"}})
    assert made.status_code == 201
    assert {one["field"] for one in made.json()["missing"]} >= {"city", "themes", "action", "sources"}
    path, revision = f"/api/practices/{made.json()['id']}", made.json()["revision"]
    refused = ask("curator", "POST", f"{path}/publish", {}, revision, headers={"Accept-Language": "fr"})
    assert refused.status_code == 422
    assert any("ville" in one["message"].lower() for one in refused.json()["problems"])


def test_every_change_names_what_it_was_written_on(ask: As) -> None:
    path, revision = published(ask, "Named revisions")
    missing = ask("curator", "PATCH", path, {"summary": {"en": "x"}})
    assert missing.status_code == 428
    assert "If-Match" in missing.json()["detail"]
    first = ask("curator", "PATCH", path, {"summary": {"en": "From the report."}}, revision)
    assert first.status_code == 200
    stale = ask("curator-2", "PATCH", path, {"lessons": {"en": "Start early."}}, revision)
    assert stale.status_code == 412
    told = stale.json()
    assert told["current"] == first.json()["revision"]
    assert [one["field"] for one in told["difference"]["theirs"]] == ["summary@en"]
    assert [one["field"] for one in told["difference"]["yours"]] == ["lessons@en"]
    assert told["difference"]["collisions"] == []
    proposal = told["difference"]["proposal"]
    taken = ask("curator-2", "PUT", path, proposal, told["current"])
    assert taken.status_code == 200
    collided = ask("curator", "PATCH", path, {"summary": {"en": "Another."}}, revision)
    assert collided.json()["difference"]["collisions"] == ["summary@en"]
    assert collided.json()["difference"]["proposal"] is None


def test_a_new_record_at_a_chosen_address_is_created_once(ask: As) -> None:
    path = "/api/cities/testville"
    body = {"name": {"en": "Testville"}, "country": "BE"}
    assert ask("curator", "PUT", path, body).status_code == 428
    made = ask("curator", "PUT", path, body, headers={"If-None-Match": "*"})
    assert made.status_code == 201
    assert ask("curator", "PUT", path, body, headers={"If-None-Match": "*"}).status_code == 412
    assert ask("curator", "POST", "/api/cities", {"id": "testville", **body}).status_code == 409


def test_json_ld_and_turtle_say_the_same_as_json(desk: Server, ask: As) -> None:
    path, revision = published(ask, "In other forms")
    iri = f"{desk.app.state.catalogue.base}id/practice/{path.rpartition('/')[2]}"
    turtle = desk.client.get(f"{path}/history/{revision}", headers={"Accept": "text/turtle"})
    assert turtle.headers["Content-Type"].startswith("text/turtle")
    graph = Graph().parse(data=turtle.text, format="turtle")
    assert (URIRef(iri), None, Literal("In other forms", lang="en")) in graph
    title = "In other forms"
    for media_type in ("text/turtle", "application/ld+json"):
        form = ask("curator", "GET", f"{path}/history/{revision}", headers={"Accept": media_type})
        body = form.text.replace(title, f"In {media_type}")
        title = f"In {media_type}"
        changed = ask(
            "curator", "PUT", path, match=revision, content=body.encode(), headers={"Content-Type": media_type}
        )
        assert changed.status_code == 200, changed.text
        assert changed.json()["changed"]
        revision = changed.json()["revision"]
        assert ask("curator", "GET", f"{path}?version=newest").json()["title"] == {"en": f"In {media_type}"}


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b'{"title": NaN}', 400),
        ("application/json", b'{"title": {"en": "a"}, "title": {}}', 400),
        ("application/json", b"\xff", 400),
        ("application/json", b"[]", 400),
        ("application/json", b'{"titel": {"en": "x"}}', 422),
        ("application/json", b'{"title": {"en": "' + b"x" * 1_200_000 + b'"}}', 413),
        ("application/json", b"[" * 100_000, 400),
        ("text/csv", b"a,b", 415),
        ("application/json; charset=latin1", b"{}", 415),
        ("text/turtle", b"<a> <b> .", 400),
        ("text/turtle", b"<https://elsewhere.org/a> <https://elsewhere.org/b> <https://elsewhere.org/c> .", 400),
        ("application/ld+json", b'{"@context": "http://127.0.0.1:9/context"}', 400),
        ("application/rdf+xml", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', 400),
    ],
)
def test_a_bad_body_is_told_what_is_wrong(ask: As, media_type: str, body: bytes, status: int) -> None:
    answer = ask("curator", "POST", "/api/practices", content=body, headers={"Content-Type": media_type})
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 20


def test_a_check_tells_every_problem_and_saves_nothing(desk: Server, ask: As) -> None:
    before = desk.app.state.catalogue.ledger.last_number()
    record = {"title": {"en": "x" * 400}, "city": "nowhere", "language": "?"}
    told = ask("contributor", "POST", "/api/practices/check?lang=fr", record).json()
    assert not told["can_be_saved"]
    fields = {one["field"] for one in told["problems"] if one["severity"] == "violation"}
    assert fields == {"title", "city", "language"}
    assert desk.app.state.catalogue.ledger.last_number() == before
    assert ask("contributor", "POST", "/api/practices/check", draft("Good")).json()["can_be_published"]


def test_a_record_that_others_refer_to_is_withdrawn_only_with_a_replacement(desk: Server, ask: As) -> None:
    path, revision = published(ask, "Referred to")
    other, _ = published(ask, "Takes its place")
    id, new = path.rpartition("/")[2], other.rpartition("/")[2]
    transfer = {"id": "test-transfer", "practice": id, "from_place": "Ghent", "to_place": "Riga"}
    made = ask("curator", "POST", "/api/transfers", transfer)
    assert made.status_code == 201, made.text
    refused = ask("curator", "DELETE", f"{path}?reason=was+never+real", match=revision)
    assert refused.status_code == 409
    assert refused.json()["referring"] == [{"kind": "transfer", "id": "test-transfer"}]
    assert ask("curator", "DELETE", path, match=revision).status_code == 422
    gone = ask("curator", "DELETE", f"{path}?reason=told+twice&replaced_by={new}", match=revision)
    assert gone.status_code == 200, gone.text
    assert ask("curator", "GET", "/api/transfers/test-transfer?version=newest").json()["practice"] == new
    tombstone = ask(None, "GET", path)
    assert tombstone.status_code == 410
    assert tombstone.json()["replaced_by"] == new


def test_two_records_become_one_and_nothing_is_lost(desk: Server, ask: As) -> None:
    claim = {"id": "claim-1", "statement": {"en": "40 fewer heat calls"}, "stated_in": ["source-1"]}
    kept, kept_at = published(ask, "Kept", outcomes=[claim])
    other_claim = {"id": "claim-1", "statement": {"en": "55 fewer heat calls"}, "stated_in": ["source-1"]}
    other, other_at = published(ask, "Merged away", outcomes=[other_claim])
    into = kept.rpartition("/")[2]
    merged = ask("curator", "POST", f"{other}/merge", {"into": into, "into_revision": kept_at}, other_at)
    assert merged.status_code == 200, merged.text
    texts = {one["statement"]["en"] for one in ask(None, "GET", kept).json()["outcomes"]}
    assert texts == {"40 fewer heat calls", "55 fewer heat calls"}
    desk.app.state.catalogue.catch_up()
    sent_on = desk.client.get(f"/id/practice/{other.rpartition('/')[2]}", follow_redirects=False)
    assert (sent_on.status_code, sent_on.headers["Location"]) == (301, f"/id/practice/{into}")
    assert [one["field"] for one in merged.json()["decisions"]] == ["title"] or merged.json()["decisions"]


def test_a_revision_is_taken_back_and_what_came_later_stays(ask: As) -> None:
    path, revision = published(ask, "Taken back")
    wrong = ask("curator", "PATCH", path, {"summary": {"en": "Wrong."}}, revision).json()["revision"]
    later = ask("curator", "PATCH", path, {"lessons": {"en": "Right."}}, wrong).json()["revision"]
    undone = ask("curator", "POST", f"{path}/undo", {"revision": wrong}, later)
    assert undone.status_code == 200, undone.text
    now = ask("curator", "GET", f"{path}?version=newest").json()
    assert "summary" not in now
    assert now["lessons"] == {"en": "Right."}
    gone = ask("curator", "DELETE", f"{path}?reason=by+mistake", match=undone.json()["revision"])
    back = ask("curator", "POST", f"{path}/undo", {"revision": gone.json()["revision"]}, gone.json()["revision"])
    assert back.json()["state"] == "draft"


def test_a_theme_is_deprecated_and_never_withdrawn(ask: As) -> None:
    theme = ask("curator", "GET", "/api/themes/health?version=newest")
    revision = int(theme.headers["ETag"].strip('"'))
    refused = ask("curator", "DELETE", "/api/themes/health?reason=old", match=revision)
    assert refused.status_code == 409
    assert "deprecated" in refused.json()["detail"]
    circle = ask("curator", "PATCH", "/api/themes/health", {"broader": "health"}, revision)
    assert circle.status_code == 422
    assert "below itself" in circle.json()["detail"]


def test_comments_stay_with_the_record_and_its_people(ask: As) -> None:
    made = ask("contributor", "POST", "/api/practices", draft("Spoken about"))
    path = f"/api/practices/{made.json()['id']}"
    said = ask("curator", "POST", f"{path}/comments", {"text": "Since when?", "field": "periods"})
    assert said.status_code == 201, said.text
    assert said.json()["field_gone"] is False
    assert ask("curator", "POST", f"{path}/comments", {"text": "?", "field": "beginning"}).status_code == 422
    unknown = ask("curator", "POST", f"{path}/comments", {"text": "?", "field": "outcomes.claim-9.value"})
    assert (unknown.status_code, unknown.json()["type"].rpartition("/")[2]) == (422, "unusable-request")
    assert "outcomes has no part 'claim-9' now" in unknown.json()["detail"]
    assert [one["text"] for one in ask("contributor", "GET", f"{path}/comments").json()["comments"]] == ["Since when?"]
    assert ask("contributor-2", "GET", f"{path}/comments").status_code == 404
    assert ask(None, "GET", f"{path}/comments").status_code == 401
    number = said.json()["number"]
    assert ask("contributor", "POST", f"{path}/comments/{number}/resolve").status_code == 403
    assert ask("curator", "POST", f"{path}/comments/{number}/resolve").json()["resolved_by"] == "curator/curator"
    assert ask("curator", "GET", f"{path}/comments?resolved=false").json()["comments"] == []


def test_what_cannot_be_used_is_told_in_the_language_asked_for(ask: As) -> None:
    made = ask("contributor", "POST", "/api/practices", draft("Told in French")).json()
    path, match = f"/api/practices/{made['id']}", made["revision"]
    cases = [
        ("POST", f"{path}/comments", {"text": "Où ?", "field": "outcomes.claim-7"}, "n’a pas d’élément 'claim-7'"),
        ("POST", f"{path}/comments", {"text": " "}, "un commentaire a des mots"),
        ("POST", f"{path}/comments", {"text": ""}, "text : il faut ici au moins 1 caractère(s)"),
        ("POST", f"{path}/comments", {"text": "x", "who": "y"}, "il n’y a pas de champ de ce nom ici"),
        ("POST", f"{path}/undo", {"revision": match}, "est la première de pratique"),
        ("POST", f"{path}/undo", {}, "revision : cette valeur manque"),
        ("PUT", f"{path}/reviewers", {"accounts": "anna"}, "accounts : il faut ici une liste"),
        ("POST", "/api/practices", {**draft("x"), "id": "A B"}, "n’est pas un identifiant de fiche « pratique »"),
        ("POST", "/api/practices/hints", {"title": "x"}, "doit nommer la langue"),
    ]
    for method, address, body, words in cases:
        found = ask("curator", method, f"{address}?lang=fr", body, match)
        assert found.status_code == 422
        assert words in found.json()["detail"]
        assert found.headers["Content-Language"] == "fr"


def test_an_identifier_that_cannot_be_one_is_told_with_all_other_problems(ask: As) -> None:
    record = {**draft("Named badly"), "id": "Named Badly", "city": "nowhere", "zz": 1}
    for address, status in (("/api/practices", 422), ("/api/practices/check", 200)):
        found = ask("contributor", "POST", address, record)
        assert found.status_code == status
        told = {one["field"]: one for one in found.json()["problems"] if one["severity"] == "violation"}
        assert set(told) == {"id", "city", "zz"}
        assert (told["id"]["value"], "lower-case letters" in told["id"]["message"]) == ("Named Badly", True)


def test_what_waits_for_whom_is_one_question(ask: As) -> None:
    made = ask("contributor", "POST", "/api/practices", draft("Waiting"))
    id, revision = made.json()["id"], made.json()["revision"]

    def waits(who: str) -> dict[str, dict]:
        found = ask(who, "GET", "/api/waiting?mine=true&limit=200").json()["results"]
        return {one["id"]: one["waits_for"] for one in found}

    assert waits("contributor")[id]["accounts"] == ["contributor"]
    assert id not in waits("curator")
    ask("contributor", "POST", f"/api/practices/{id}/submit", {}, revision)
    assert waits("curator")[id] == {"accounts": [], "role": "curator", "not": "contributor"}
    revision = ask("curator", "GET", f"/api/practices/{id}?version=newest").headers["ETag"]
    for match, status in ((None, 428), ('"1"', 412), (revision, 200)):
        asked = ask("curator", "PUT", f"/api/practices/{id}/reviewers", {"accounts": ["curator-2"]}, match)
        assert asked.status_code == status
    assert asked.json() == {"accounts": ["curator-2"], "hints": []}
    assert id in waits("curator-2")
    assert id not in waits("curator")


def test_who_is_asked_to_review_and_cannot_is_told_at_once(ask: As) -> None:
    made = ask("contributor", "POST", "/api/practices", draft("Reviewed by somebody")).json()
    path, match = f"/api/practices/{made['id']}", made["revision"]
    names = [" curator/curator-2 ", "curatr-2", "manager", "contributor"]
    told = ask("curator", "PUT", f"{path}/reviewers", {"accounts": names}, match).json()
    assert told["accounts"] == ["contributor", "curator-2", "curatr-2", "manager"]
    hints = {one["account"]: one["message"] for one in told["hints"]}
    assert set(hints) == {"contributor", "curatr-2", "manager"}
    assert "did you mean curator-2" in hints["curatr-2"]
    assert "as manager only" in hints["manager"]
    french = ask("curator", "PUT", f"{path}/reviewers?lang=fr", {"accounts": ["nobody-at-all"]}, match)
    assert french.json()["hints"][0]["message"].startswith("aucun jeton ne porte ce nom ;")
    assert french.headers["Content-Language"] == "fr"


def test_each_field_knows_the_revision_it_comes_from(ask: As) -> None:
    path, revision = published(ask, "Blamed")
    changed = ask("curator", "PATCH", path, {"summary": {"fr": "Résumé."}}, revision).json()["revision"]
    fields = ask("curator", "GET", f"{path}/blame").json()["fields"]
    assert fields["summary@fr"]["revision"] == changed
    assert fields["title@en"]["revision"] < revision
    outside = ask(None, "GET", f"{path}/blame").json()["fields"]
    assert "summary@fr" not in outside


def test_the_difference_of_two_revisions_reads_well_and_applies_as_rdf(desk: Server, ask: As) -> None:
    path, revision = published(ask, "Compared")
    changed = ask("curator", "PATCH", path, {"title": {"fr": "Comparée"}}, revision).json()["revision"]
    told = ask("curator", "GET", f"{path}/difference?before={revision}&after={changed}&lang=fr").json()
    assert [(one["field"], one["before"], one["after"]) for one in told["differences"]] == [
        ("title@fr", None, "Comparée")
    ]
    assert "Comparée" in told["differences"][0]["text"]
    patch = ask(
        "curator",
        "GET",
        f"{path}/difference?before={revision}&after={changed}",
        headers={"Accept": "application/rdf-patch"},
    )
    assert patch.headers["Content-Type"].startswith("application/rdf-patch")
    added = [line for line in patch.text.splitlines() if line.startswith("A ")]
    assert len(added) == 1
    assert '"Comparée"@fr' in added[0]
    assert ask(None, "GET", f"{path}/difference?before={revision}&after={changed}").status_code == 404


def test_managers_keep_mentorships_and_contributors_their_own_drafts(ask: As) -> None:
    need = {"id": "need-of-testers", "mentee": "jelgava", "need_text": {"en": "Cool places"}}
    made = ask("manager", "POST", "/api/needs", need)
    assert made.status_code == 201
    assert made.json()["visibility"] == "team"
    done = ask("manager-2", "POST", "/api/needs/need-of-testers/publish", {}, made.json()["revision"])
    assert done.status_code == 200, done.text
    assert ask(None, "GET", "/api/needs/need-of-testers").status_code == 404
    assert ask("manager", "GET", "/api/needs/need-of-testers").status_code == 200
    path, revision = published(ask, "Not theirs")
    assert ask("manager", "POST", f"{path}/return", {"note": "x"}, revision).status_code == 403
    mine = ask("contributor", "POST", "/api/practices", draft("Mine")).json()
    other = ask("contributor-2", "PATCH", f"/api/practices/{mine['id']}", {"summary": {"en": "x"}}, mine["revision"])
    assert other.status_code == 404


def test_saved_words_are_what_every_reader_gets(desk: Server, ask: As) -> None:
    path, _ = published(ask, "Seen by all views: zebra crossing painters")
    desk.app.state.catalogue.catch_up()
    found = desk.client.get("/api/search", params={"q": "zebra crossing painters"}).json()["results"]
    assert found[0]["id"] == path.rpartition("/")[2]
    nquads = desk.client.get(f"/id/practice/{path.rpartition('/')[2]}.nt").text
    data = Dataset()
    data.parse(data=nquads, format="nt")
    assert "curator/curator" not in nquads
    assert json.dumps(len(data)) != "0"
    assert Path(desk.app.state.settings.data).exists()


def test_faults_of_form_do_not_hide_those_of_meaning(ask: As) -> None:
    record = {"title": "no language", "city": "nowhere", "themes": ["no-such-theme"], "titel": {}, "language": "en"}
    told = ask("contributor", "POST", "/api/practices/check?lang=fr", record).json()["problems"]
    found = {one["field"]: one["message"] for one in told if one["severity"] == "violation"}
    assert set(found) == {"title", "titel", "city", "themes"}
    assert found["title"].startswith("doit nommer la langue")
    assert "il n'y a pas de champ" in found["titel"]
    assert "aucune fiche" in found["city"]
    refused = ask("contributor", "POST", "/api/practices", record)
    assert {one["field"] for one in refused.json()["problems"]} == set(found)


def test_a_theme_is_narrowed_and_deprecated_with_a_replacement(ask: As) -> None:
    new = {"id": "health-of-bees", "label": {"en": "Health of bees"}, "broader": "health"}
    made = ask("curator", "POST", "/api/themes", new)
    assert made.status_code == 201, made.text
    path, revision = "/api/themes/health-of-bees", made.json()["revision"]
    old = ask("curator", "PATCH", path, {"deprecated": True, "label": {"lv": "Bišu veselība"}}, revision).json()
    assert [one["field"] for one in old["missing"]] == ["replaced_by"]
    assert ask("curator-2", "POST", f"{path}/publish", {}, old["revision"]).status_code == 422
    named = ask("curator", "PATCH", path, {"replaced_by": "health"}, old["revision"]).json()
    assert named["missing"] == []
    assert ask("curator-2", "POST", f"{path}/publish", {}, named["revision"]).status_code == 200


def test_a_list_holds_what_its_reader_may_know_of(ask: As) -> None:
    ask("contributor", "POST", "/api/practices", draft("On my list"))
    mine = ask("contributor", "GET", "/api/practices?state=any&limit=200").json()
    assert mine["total"] is None
    states = {one["id"]: one["state"] for one in mine["results"]}
    assert states["mechelen--on-my-list"] == "draft"
    assert states["mechelen--samen-inburgeren"] == "published"
    assert "mechelen--on-my-list" not in ask("contributor-2", "GET", "/api/practices?state=any&limit=200").text
    assert ask("curator", "GET", "/api/practices?state=any").json()["total"] > 79


def test_a_record_that_readers_are_led_to_does_not_leave_their_sight(desk: Server, ask: As) -> None:
    path, revision = published(ask, "Led to")
    transfer = {"id": "leading", "practice": path.rpartition("/")[2], "from_place": "Ghent", "to_place": "Riga"}
    assert ask("curator", "POST", "/api/transfers", transfer).status_code == 201
    hidden = ask("curator", "PATCH", path, {"record": {"visibility": "team"}}, revision)
    assert hidden.status_code == 200, hidden.text
    refused = ask("curator-2", "POST", f"{path}/publish", {}, hidden.json()["revision"])
    assert refused.status_code == 409
    assert refused.json()["referring"] == [{"kind": "transfer", "id": "leading"}]


def test_a_submitted_record_says_what_it_still_needs(ask: As) -> None:
    made = ask("contributor", "POST", "/api/practices", {"title": {"en": "Hardly begun"}}).json()
    sent = ask("contributor", "POST", f"/api/practices/{made['id']}/submit", {}, made["revision"]).json()
    assert {one["field"] for one in sent["missing"]} >= {"city", "themes"}
