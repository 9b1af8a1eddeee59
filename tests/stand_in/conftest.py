"""A stand-in engine that listens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memoryd.comfyui.client import ComfyClient
from memoryd.stand_in.serving import Options, running


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ComfyClient]:
    """A client of a stand-in with folders of its own."""
    with running(Options(output=tmp_path / "output", input=tmp_path / "input")) as url, ComfyClient(url) as client:
        yield client
