"""Trials that every format plugin must pass, shipped so that a plugin's author can run them.

    from memoryd.plugin_api.trials import PluginTrials

    class TestMyPlugin(PluginTrials):
        plugin = my_plugin
        whole_files = [Path("tests/files/a.png")]

Run with pytest. Pytest itself is not imported: each trial is a plain method with assertions.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from memoryd.plugin_api.door import HEAD_SIZE, IngestPlugin, choose_plugin, installed_plugins
from memoryd.plugin_api.facts import Completeness, Reading

_CUTS = 24
"""Places at which each file is cut off."""

_STRANGE_HEADS = (b"", b"\x00" * 64, b"{", b"MZ\x90\x00", b"%PDF-1.7", b"\xff" * HEAD_SIZE)


class _ClosesNever(io.BytesIO):
    """A stream that tells whether it was closed by somebody who does not own it."""

    was_closed = False

    def close(self) -> None:
        self.was_closed = True


class PluginTrials:
    """Subclass it, set `plugin` and `whole_files` (at least one; paths or contents of whole files of the format)."""

    plugin: ClassVar[IngestPlugin]
    whole_files: ClassVar[Sequence[Path | bytes]]

    def _contents(self) -> Iterator[bytes]:
        assert self.whole_files, "name at least one whole file of the format"
        for file in self.whole_files:
            yield file if isinstance(file, bytes) else file.read_bytes()

    def _read(self, content: bytes) -> Reading:
        return self.plugin.read(io.BytesIO(content))

    def test_it_has_the_members_of_a_plugin(self) -> None:
        """Name and version are words, and nothing is missing."""
        assert isinstance(self.plugin, IngestPlugin)
        assert self.plugin.name
        assert self.plugin.name == self.plugin.name.strip().lower()
        assert self.plugin.version

    def test_it_is_installed_under_its_name(self) -> None:
        """The entry point leads to it."""
        assert self.plugin.name in {installed.name for installed in installed_plugins()}

    def test_it_knows_its_files_by_their_head(self) -> None:
        """It claims its own, and the door gives them to it."""
        for content in self._contents():
            assert self.plugin.sniff(content[:HEAD_SIZE])
            assert choose_plugin(content[:HEAD_SIZE], [self.plugin]) is self.plugin

    def test_it_leaves_other_files_alone(self) -> None:
        """A head that could be anything is not claimed, and raises nothing."""
        for head in _STRANGE_HEADS:
            assert not self.plugin.sniff(head)

    def test_a_whole_file_is_complete(self) -> None:
        """By the container's own rules."""
        for content in self._contents():
            assert self.plugin.completeness(io.BytesIO(content)) is Completeness.COMPLETE

    def test_a_file_cut_off_is_never_complete(self) -> None:
        """Wherever it is cut: somebody may still be writing it. Reading it raises nothing."""
        for content in self._contents():
            for cut in range(0, len(content), max(1, len(content) // _CUTS)):
                assert self.plugin.completeness(io.BytesIO(content[:cut])) is not Completeness.COMPLETE
                self._read(content[:cut])

    def test_reading_twice_gives_the_same(self) -> None:
        """And says by whom it was read."""
        for content in self._contents():
            reading = self._read(content)
            assert reading == self._read(content)
            assert (reading.plugin, reading.version) == (self.plugin.name, self.plugin.version)

    def test_carriers_are_named_by_valid_indices(self) -> None:
        """`prompt` and `workflow` point into `carriers`, whose values are bytes as they were."""
        for content in self._contents():
            reading = self._read(content)
            for index in (reading.prompt, reading.workflow):
                assert index is None or 0 <= index < len(reading.carriers)
            assert all(type(carrier.raw) is bytes and carrier.place for carrier in reading.carriers)

    def test_damage_is_a_finding_never_an_exception(self) -> None:
        """Every part of the file is damaged in turn."""
        for content in self._contents():
            for place in range(0, len(content), max(1, len(content) // _CUTS)):
                damaged = (
                    content[:place] + bytes(255 - byte for byte in content[place : place + 8]) + content[place + 8 :]
                )
                self.plugin.completeness(io.BytesIO(damaged))
                self._read(damaged)

    def test_the_stream_is_left_open(self) -> None:
        """It belongs to the caller."""
        for content in self._contents():
            stream = _ClosesNever(content)
            self.plugin.completeness(stream)
            stream.seek(0)
            self.plugin.read(stream)
            assert not stream.was_closed
