"""Asks a running service, where it owns the data folder that a command wants to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

TIMEOUT_SECONDS = 60.0


class ServiceRefused(Exception):
    """The running service answered with a problem, or not at all; the message is for the person at the terminal."""


class RunningService:
    """The reading side of the catalogue, over HTTP: the same calls, the same answers."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def suggest_mentors(self, request: dict[str, Any], language: str) -> dict[str, Any]:
        return self._json("POST", "/api/suggestions", params={"lang": language}, json=request)

    def transferability(self, id: str, request: dict[str, Any], language: str) -> dict[str, Any]:
        return self._json("POST", f"/api/practices/{id}/transferability", params={"lang": language}, json=request)

    def could_teach(self, mentee: str, mentor: str, language: str, profile: str | None = None) -> dict[str, Any]:
        asked = {"lang": language} | ({"profile": profile} if profile else {})
        return self._json("GET", f"/api/cities/{mentee}/could-teach/{mentor}", params=asked)

    def mentor_sets(self, request: dict[str, Any], language: str) -> dict[str, Any]:
        return self._json("POST", "/api/suggestions/sets", params={"lang": language}, json=request)

    def why_not(self, request: dict[str, Any], language: str) -> dict[str, Any]:
        return self._json("POST", "/api/suggestions/why-not", params={"lang": language}, json=request)

    def letter(self, request: dict[str, Any], language: str) -> str:
        shown = {"lang": language, "format": "markdown"}
        return self._answered("POST", "/api/suggestions", params=shown, json=request).text

    def pair_cohort(self, request: dict[str, Any], language: str) -> dict[str, Any]:
        return self._json("POST", "/api/cohorts", params={"lang": language}, json=request)

    def exposure(self, request: dict[str, Any], language: str, progress: object = None) -> dict[str, Any]:
        """The service does not tell how far it is, so `progress` hears nothing."""
        return self._json("POST", "/api/suggestions/exposure", params={"lang": language}, json=request)

    def analyse_needs(self, text: str, language: str | None, answer_in: str) -> dict[str, Any]:
        wanted = {"text": text} | ({"language": language} if language else {})
        return self._json("POST", "/api/needs/analysis", params={"lang": answer_in}, json=wanted)

    def status(self) -> dict[str, Any]:
        return self._json("GET", "/health/status")

    def similar_practices(self, id: str, limit: int) -> dict[str, Any]:
        return self._json("GET", f"/api/practices/{id}/similar", params={"limit": limit})

    def export(self, file: Path) -> int:
        """Write the service's export to a file, whole or not at all; returns the number of records."""
        partial = file.with_name(f".{file.name}.partial")
        try:
            with (
                self._client() as client,
                partial.open("wb") as target,
                client.stream("GET", "/api/export", params={"format": file.suffix[1:]}) as answer,
            ):
                if answer.is_error:
                    answer.read()
                    raise self._refused(answer)
                for chunk in answer.iter_bytes():
                    target.write(chunk)
            partial.replace(file)
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        finally:
            partial.unlink(missing_ok=True)
        return int(answer.headers["x-records"])

    def _json(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._answered(method, path, **sent).json()
        return found

    def _answered(self, method: str, path: str, **sent: Any) -> httpx.Response:
        try:
            with self._client() as client:
                answer = client.request(method, path, **sent)
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        if answer.is_error:
            raise self._refused(answer)
        return answer

    def _client(self) -> httpx.Client:
        """A client that talks to this machine directly, whatever proxy the environment names."""
        return httpx.Client(base_url=self.url, timeout=TIMEOUT_SECONDS, trust_env=False)

    def _silent(self, error: httpx.HTTPError) -> ServiceRefused:
        return ServiceRefused(
            f"the service at {self.url} owns the data folder and does not answer ({type(error).__name__}); "
            "look after it, or stop it and try again"
        )

    def _refused(self, answer: httpx.Response) -> ServiceRefused:
        try:
            return ServiceRefused(str(answer.json()["detail"]))
        except (ValueError, KeyError, TypeError):
            return ServiceRefused(f"the service at {self.url} answered with status {answer.status_code}")
