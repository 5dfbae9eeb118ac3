"""Writes all published, public records to one file: N-Quads, TriG or JSON Lines."""

from __future__ import annotations

import json
import os
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
    if path.suffix not in EXPORT_FORMATS:
        raise BadRequest(f"{quoted(path.name)}: the ending tells the format; use one of {', '.join(EXPORT_FORMATS)}")
    total = ledger.count(published=True, visibility="public")
    with _placed(path) as temporary:
        if path.suffix != ".jsonl":
            graph.dump(temporary, EXPORT_FORMATS[path.suffix])
            progress("export", total, total)
            return total
        done = 0
        with temporary.open("w", encoding="utf-8") as out:
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
