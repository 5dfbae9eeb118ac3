"""The whole published dataset as one packed file, with its SHA-256."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from kg.descriptions import DUMP_FORMS
from kg.errors import NotFound, quoted
from service.api.linked_data import VOID
from service.representations import cache_headers, is_fresh, link, not_modified

router = APIRouter()

NAMES = {f"latest.{form}.gz": form for form in DUMP_FORMS}


@router.get("/dumps/{name}")
def dump(request: Request, name: str) -> Response:
    """The newest dump in one form, or its checksum as `sha256sum --check` reads it.

    The file bears the revision in the name that it is saved under; Repr-Digest has its SHA-256 too, so that
    file and checksum fit even while the records change.
    """
    file = name.removesuffix(".sha256")
    if file not in NAMES:
        raise NotFound(
            {
                "en": f"there is no dump {quoted(name)}; there are {', '.join(NAMES)}, each with .sha256",
                "fr": f"il n’y a pas d’export {quoted(name)} ; il y a {', '.join(NAMES)}, chacun avec .sha256",
            }
        )
    publication = request.app.state.publication
    with publication.turns.one():
        made = publication.dumps.whole(NAMES[file])
    headers = cache_headers(f"{made.tag}-{name}", links=[link(VOID, "describedby")])
    if is_fresh(request, headers) or name != file:
        made.file.close()
    if is_fresh(request, headers):
        return not_modified(headers)
    headers["X-Revision"] = str(made.revision)
    if name != file:
        return Response(f"{made.sha256}  {made.name}\n", 200, headers, "text/plain")
    headers |= {
        "Content-Length": str(made.size_bytes),
        "Content-Disposition": f'attachment; filename="{made.name}"',
        "Repr-Digest": made.digest,
    }
    return StreamingResponse(made.chunks(), 200, headers, "application/gzip")
