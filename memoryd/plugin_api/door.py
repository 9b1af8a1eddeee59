"""The door that every file format comes in by: what a plugin is, which are installed, which one reads a file.

A plugin is any object with the members of `IngestPlugin`, named by an entry point of the group `memoryd.ingest_plugins`.
It sees a stream and gives back facts; it knows no database, no network and nothing else of the server.
`plugin_api.trials` holds the trials that a plugin must pass.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import BinaryIO, Protocol, runtime_checkable

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Completeness, Reading
from memoryd.plugin_api.installed import load_installed

ENTRY_POINT_GROUP = "memoryd.ingest_plugins"

HEAD_SIZE = 4096
"""Bytes of a file's start that a plugin decides by."""


@runtime_checkable
class IngestPlugin(Protocol):
    """Reads one file format.

    The stream is binary, seekable and at its start. A plugin never raises for what is in a file: what it cannot read is
    a finding. It may raise OSError when the stream itself fails.
    """

    @property
    def name(self) -> str:
        """Stable kebab-or-snake-case word; facts are kept under it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same file would read otherwise than before: it makes readings comparable."""
        ...

    def sniff(self, head: bytes) -> bool:
        """Tell by the first HEAD_SIZE bytes (fewer in a short file) whether this plugin reads the file."""
        ...

    def completeness(self, stream: BinaryIO) -> Completeness:
        """Tell whether the file is whole by its container's own rules, without reading what it carries."""
        ...

    def read(self, stream: BinaryIO) -> Reading:
        """Return all that the file says, verbatim and in file order; never its pixels."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The installed plugins, by name, and what is wrong with those that cannot be used."""

    plugins: tuple[IngestPlugin, ...]
    findings: tuple[Finding, ...] = ()


@functools.cache
def discover() -> Discovery:
    """Return the installed plugins. One that cannot be loaded is a finding and stops nobody else's files."""
    plugins, findings = load_installed(ENTRY_POINT_GROUP, IngestPlugin, "plugin")  # type: ignore[type-abstract]
    return Discovery(plugins=tuple(plugins[name] for name in sorted(plugins)), findings=findings)


def installed_plugins() -> tuple[IngestPlugin, ...]:
    """Return the plugins that can be used, sorted by name."""
    return discover().plugins


def choose_plugin(head: bytes, plugins: Sequence[IngestPlugin] | None = None) -> IngestPlugin | None:
    """Return the plugin that reads a file with this head, or None: the first by name that claims it.

    The head decides, never the name: a PNG called .jpg is a PNG. `plugins` defaults to the installed ones.
    """
    return next(
        (plugin for plugin in (installed_plugins() if plugins is None else plugins) if plugin.sniff(head)), None
    )


def read_stream(plugin: IngestPlugin, stream: BinaryIO) -> Reading:
    """Return the plugin's reading of a stream (read from its start); what the plugin raises becomes a finding.

    Raises: OSError where the stream fails: that says nothing of the file's content, and may be tried again.
    """
    stream.seek(0)
    try:
        return plugin.read(stream)
    except OSError:
        raise
    except Exception as error:  # a stranger's code must not stop the batch that its file came in
        finding = Finding(
            code="plugin-failed", detail=f"{plugin.name} {plugin.version}: {type(error).__name__}: {error}"
        )
        return Reading(
            plugin=plugin.name,
            version=plugin.version,
            media_type="application/octet-stream",
            kind="other",
            findings=(finding,),
        )
