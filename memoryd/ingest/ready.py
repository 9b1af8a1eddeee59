"""Files that are ready to be recorded as new ones: made rows in the reading process, passed on as plain values.

A whole record is some sixty objects: to pass them between processes costs as much as to make them. Of a new file nobody
looks at them again; of any other file they are read once more, whole.
"""

from __future__ import annotations

import marshal
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from memoryd.catalog.ready_rows import ReadyAsset, ready_asset
from memoryd.foundation.ids import WatchRootId
from memoryd.ingest.facts import FileState, PreparedFile, ReadyFile
from memoryd.workflows.ready_rows import ReadyDocument, ReadyGraph, ready_document, ready_graph


def made_ready(file: PreparedFile) -> PreparedFile:
    """Return the file with rows in place of its record, where it may be new and on its own; else as it is."""
    # What a file taught goes with its whole record: only the first of many alike teaches anything.
    if file.learned or file.asset is None or file.state not in (FileState.READ, FileState.UNREAD):
        return file
    if not all(document.packed for document in file.documents) or (file.graph is not None and not file.graph.packed):
        return file
    try:
        asset = ready_asset(file.asset)
    except KeyError:
        # A value of a kind that rows are not spelled for: the whole record takes any.
        return file
    if asset is None:
        return file
    documents = tuple([ready_document(document) for document in file.documents])
    graph = None if file.graph is None else ready_graph(file.graph)
    return PreparedFile(
        path=file.path,
        place=file.place,
        shown=file.shown,
        state=file.state,
        root_id=file.root_id,
        location=file.location,
        stored=file.stored,
        ready=ReadyFile(asset, documents, graph),
    )


def packed_files(files: Sequence[PreparedFile]) -> bytes:
    """Return files as bytes for another process of ours; `unpacked_files` gives them back."""
    return marshal.dumps([_plain(file) for file in files])


def unpacked_files(packed: bytes, paths: Sequence[Path]) -> list[PreparedFile]:
    """Return files that `packed_files` packed; `paths` are theirs, in order."""
    return [_file(plain, path) for plain, path in zip(marshal.loads(packed), paths, strict=True)]  # noqa: S302


def _plain(file: PreparedFile) -> tuple[Any, ...]:
    if file.ready is None:
        return (pickle.dumps(file, protocol=pickle.HIGHEST_PROTOCOL),)
    asset, documents, graph = file.ready
    root = None if file.root_id is None else file.root_id.bytes
    return (
        *(file.place, file.shown, file.state.value, root, tuple(asset)),
        *(tuple([tuple(document) for document in documents]), None if graph is None else tuple(graph)),
    )


def _file(plain: tuple[Any, ...], path: Path) -> PreparedFile:
    if len(plain) == 1:
        whole: PreparedFile = pickle.loads(plain[0])  # noqa: S301 - from our own process
        return whole
    place, shown, state, root, asset, documents, graph = plain
    return PreparedFile(
        path=path,
        place=place,
        shown=shown,
        state=FileState(state),
        root_id=None if root is None else WatchRootId(UUID(bytes=root)),
        ready=ReadyFile(
            ReadyAsset._make(asset),
            tuple([ReadyDocument._make(document) for document in documents]),
            None if graph is None else ReadyGraph._make(graph),
        ),
    )
