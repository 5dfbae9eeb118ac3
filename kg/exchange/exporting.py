"""Writes all published, public records to one file: N-Quads, TriG or JSON Lines, packed with gzip or not."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kg.errors import BadRequest, DataFolderUnusable, quoted
from kg.ledger import Ledger, Revision
from kg.records import Record
from kg.views import is_shown

if TYPE_CHECKING:
    from kg.graph.remote import GraphStore

EXPORT_FORMATS = {".nq": "nquads", ".trig": "trig", ".jsonl": "jsonl"}
"""Endings and forms; each may be followed by ".gz"."""


def export_records(
    path: Path,
    ledger: Ledger,
    graph: GraphStore,
    read: Callable[[Revision], Record],
    progress: Callable[[str, int, int], None],
) -> int:
    """Write the records readers may see; returns their number.

    RDF comes from the graph view with one named graph per record, JSON Lines from the ledger. The
    file is written beside its place and moved there, so it is whole or not there at all.

    Raises BadRequest for an ending that is no format, DataFolderUnusable where it cannot be written.
    """
    packed = path.suffix == ".gz"
    form = EXPORT_FORMATS.get(Path(path.stem).suffix if packed else path.suffix)
    if form is None:
        raise BadRequest(
            f"{quoted(path.name)}: the ending tells the format; use one of {', '.join(EXPORT_FORMATS)}, or one and .gz"
        )
    with _placed(path) as place:
        if not packed:
            return _write(place, form, ledger, graph, read, progress)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            plain = Path(folder) / "plain"
            written = _write(plain, form, ledger, graph, read, progress)
            with plain.open("rb") as source, gzip.open(place, "wb") as target:
                shutil.copyfileobj(source, target)
        return written


def _write(
    place: Path,
    form: str,
    ledger: Ledger,
    graph: GraphStore,
    read: Callable[[Revision], Record],
    progress: Callable[[str, int, int], None],
) -> int:
    """All records in one form, unpacked; their number."""
    total = ledger.count(published=True, visibility="public")
    if form != "jsonl":
        graph.dump(place, form)
        progress("export", total, total)
        return total
    done = 0
    with place.open("w", encoding="utf-8") as out:
        for revision in ledger.published_revisions():
            if is_shown(revision):
                out.write(json.dumps(read(revision), ensure_ascii=False) + "\n")
                done += 1
                progress("export", done, total)
    return done


@contextmanager
def _placed(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of `path` when all went well."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataFolderUnusable(f"{path.name}: cannot be written ({error.strerror})") from None
