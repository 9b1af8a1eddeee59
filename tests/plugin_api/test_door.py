from __future__ import annotations

import importlib.metadata
import io
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from memoryd.plugin_api.door import IngestPlugin, choose_plugin, discover, installed_plugins, read_stream
from memoryd.plugin_api.facts import Completeness, Reading


class Fussy:
    name = "fussy"
    version = "1"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"FUSS")

    def completeness(self, stream: BinaryIO) -> Completeness:
        return Completeness.COMPLETE

    def read(self, stream: BinaryIO) -> Reading:
        if self.error:
            raise self.error
        return Reading(plugin=self.name, version=self.version, media_type=f"x/{stream.read(4).decode()}")


@pytest.fixture
def rediscovered() -> Iterator[None]:
    discover.cache_clear()
    yield
    discover.cache_clear()


def test_the_first_party_format_comes_by_its_entry_point() -> None:
    assert "comfyui_png" in {plugin.name for plugin in installed_plugins()}
    assert discover().findings == ()


def test_the_head_decides_which_plugin_reads() -> None:
    fussy = Fussy()
    assert choose_plugin(b"FUSSabc", [fussy]) is fussy
    assert choose_plugin(b"\x89PNG\r\n\x1a\n", [fussy]) is None
    assert choose_plugin(b"", None) is None


def test_reading_begins_at_the_start_wherever_the_stream_stood() -> None:
    stream = io.BytesIO(b"FUSSabc")
    stream.read(3)
    assert read_stream(Fussy(), stream).media_type == "x/FUSS"


def test_what_a_plugin_raises_is_a_finding_that_names_it() -> None:
    reading = read_stream(Fussy(ZeroDivisionError("oh")), io.BytesIO(b"FUSS"))
    assert [(finding.code, finding.detail) for finding in reading.findings] == [
        ("plugin-failed", "fussy 1: ZeroDivisionError: oh")
    ]
    assert reading.plugin == "fussy"


def test_a_failing_stream_is_not_taken_for_a_bad_file() -> None:
    with pytest.raises(OSError, match="stale handle"):
        read_stream(Fussy(OSError("stale handle")), io.BytesIO(b"FUSS"))


@pytest.mark.usefixtures("rediscovered")
def test_a_plugin_that_cannot_be_used_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    group = "memoryd.ingest_plugins"
    entries = [
        importlib.metadata.EntryPoint(name=name, value=value, group=group)
        for name, value in (
            ("a_missing", "no_such_module:plugin"),
            ("b_wrong", "json:dumps"),
            ("c_good", "memoryd_ingest_plugins.comfyui_png:plugin"),
            ("d_again", "memoryd_ingest_plugins.comfyui_png:plugin"),
        )
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)
    found = discover()
    assert [plugin.name for plugin in found.plugins] == ["comfyui_png"]
    assert [finding.code for finding in found.findings] == [
        "plugin-not-loaded",
        "plugin-not-a-plugin",
        "plugin-name-taken",
    ]


def test_a_plugin_is_whatever_has_its_members() -> None:
    assert isinstance(Fussy(), IngestPlugin)
    assert not isinstance(object(), IngestPlugin)
