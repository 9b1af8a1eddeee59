"""Files that are no PNG, the whole way to what is recorded of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memoryd.catalog.facts import AssetKind
from memoryd.ingest.facts import FileState, Folder, PreparedFile
from memoryd.ingest.preparing import prepare_file
from tests.fuzz.writers import PROMPT, WORKFLOW, every_kind, jpeg

MADE = every_kind()
KINDS = {
    "webp": AssetKind.IMAGE,
    "mp4": AssetKind.VIDEO,
    "mov": AssetKind.VIDEO,
    "webm": AssetKind.VIDEO,
    "ogg": AssetKind.AUDIO,
    "mp3": AssetKind.AUDIO,
    "exr": AssetKind.IMAGE,
    "svg": AssetKind.IMAGE,
    "glb": AssetKind.MODEL3D,
    "latent": AssetKind.LATENT,
}


def _prepared(folder: Path, content: bytes) -> PreparedFile:
    path = folder / "named_wrongly.png"
    path.write_bytes(content)
    return prepare_file(Folder(path=folder), path)[0]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_graph_in_any_container_is_kept_as_a_graph(kind: str, tmp_path: Path) -> None:
    file = _prepared(tmp_path, MADE[kind])
    assert file.state is FileState.READ
    assert file.asset is not None
    assert file.asset.kind is KINDS[kind]
    assert file.graph is not None
    documents = {document.key: document for document in file.documents if document.key in ("prompt", "workflow")}
    assert json.loads(documents["prompt"].raw) == json.loads(PROMPT)
    assert json.loads(documents["workflow"].raw) == json.loads(WORKFLOW)


def test_a_plain_photograph_is_recorded_with_its_size_and_no_finding(tmp_path: Path) -> None:
    file = _prepared(tmp_path, jpeg())
    assert file.asset is not None
    assert (file.asset.width, file.asset.height, file.asset.media_type) == (8, 6, "image/jpeg")
    assert file.asset.generation is None
    assert file.findings == ()
