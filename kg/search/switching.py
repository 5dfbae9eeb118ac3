"""Another embedding model: its index is built beside the one in use, then both are switched in one step.

Each model's index has a folder of its own below `search/`, named after the model's identity; `models/current.json` says
which model, and so which index, is in use. That note is replaced in one step of the file system, so that a
kill at any moment leaves either the old model with its index or the new one with its. With a server the folder holds
the register that names the index's collection; the alias follows when the new index is taken into use.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kg.search.embedding import Embedder, PreparedModel, current_model, prepare_model
from kg.search.index import IN_PROCESS
from kg.search.port import Indexes
from kg.search.view import SearchView
from kg.views import Follower

if TYPE_CHECKING:
    from kg.ledger import Ledger, Revision

_UNFINISHED = "new-"

Counting = Callable[[int, int], None]


def index_folder(search: Path, identity: str, indexes: Indexes = IN_PROCESS) -> Path:
    """Where the index of a model lies, or at least its register.

    >>> index_folder(Path("search"), "all-MiniLM-L6-v2@0123").name
    'all-MiniLM-L6-v2-76f0a08f'
    """
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in identity.partition("@")[0])
    return search / f"{name[:60].strip('.')}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}{indexes.suffix}"


def change_model(
    name_or_folder: str | Path,
    models: Path,
    search: Path,
    ledger: Ledger | None,
    read: Callable[[Revision], Any],
    *,
    indexes: Indexes = IN_PROCESS,
    progress: Callable[[str], None] = lambda step: None,
    counting: Counting | None = None,
) -> PreparedModel:
    """Prepare a model, build its index from the ledger beside the one in use, and switch to both.

    The old model serves until the switch; a service that runs meanwhile takes the new one by itself. Without a ledger, or
    when the model is the current one already, nothing is built. Raises as `prepare_model`; the old model then stays.
    """

    def build(embedder: Embedder) -> None:
        known = current_model(models)
        if ledger is None or (known is not None and known.identity == embedder.identity):
            return
        progress("building its index")
        place = index_folder(search, embedder.identity, indexes)
        unfinished = place.with_name(_UNFINISHED + place.name)
        for old in (place, unfinished):
            indexes.discard(old)
        with contextlib.closing(SearchView(unfinished, embedder, read=read, indexes=indexes, beside=True)) as view:
            Follower(ledger, view).catch_up(counting)
        unfinished.rename(place)

    return prepare_model(name_or_folder, models, progress=progress, before_use=build)


def remove_other_indexes(search: Path, identity: str, models: Path, indexes: Indexes = IN_PROCESS) -> None:
    """Remove what earlier models and broken-off preparations have left; only for the owner of the data folder.

    Nothing is removed while a model is being prepared: its index is not in use yet, and has to stay.
    """
    if not search.is_dir():
        return
    with contextlib.ExitStack() as held:
        try:
            fcntl.flock(held.enter_context((models / ".lock").open("w")), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        for other in search.iterdir():
            if other == index_folder(search, identity, indexes):
                continue
            if not other.is_dir():
                other.unlink(missing_ok=True)
            elif indexes.suffix and other.name.endswith(indexes.suffix):
                indexes.discard(other)
            else:
                shutil.rmtree(other, ignore_errors=True)
