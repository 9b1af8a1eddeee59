"""What must hold of any file at all: it is read to facts or findings, the whole way that recording takes."""

from __future__ import annotations

import dataclasses
import io
import tempfile
import traceback
from pathlib import Path

from memoryd.ingest.facts import Folder, Reason
from memoryd.ingest.preparing import prepare_file
from memoryd.plugin_api.door import HEAD_SIZE, IngestPlugin, choose_plugin, installed_plugins
from memoryd.plugin_api.facts import Completeness, Reading
from memoryd.plugin_api.texts import graph_text, text_of

FILES = Path(__file__).resolve().parents[1] / "files"
KEPT = Path(__file__).resolve().parent / "seeds"

SEED_SIZE_LIMIT = 100_000
"""Bytes of a file that is taken as a seed: larger ones take time and show nothing more."""

OUR_FAULTS = frozenset(("plugin-failed", "dialect-failed", "fault"))
"""Findings by which we say that our own code failed."""

_LATER_S = 3600.0
"""Seconds after which a file that ends in the middle is no longer waited for."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a file was read: `word` for the figures (`complete`, `refused cut off`), `fault` None where all is well."""

    word: str
    fault: str | None = None


def kept_seeds() -> list[Path]:
    """Return the files that once were read wrongly, by name."""
    return sorted(path for path in KEPT.iterdir() if path.suffix == ".bin")


def seeds() -> list[bytes]:
    """Return whole files of every kind: real ones, made ones, and those that once failed."""
    from tests.fuzz.writers import every_kind

    real = [path for path in sorted(FILES.rglob("*")) if path.is_file() and path.stat().st_size <= SEED_SIZE_LIMIT]
    contents = [path.read_bytes() for path in (*real, *kept_seeds())]
    return [content for content in (*contents, *every_kind().values()) if _plugin(content) is not None]


def outcome_of(content: bytes, seed: bytes, folder: Path | None = None) -> Outcome:
    """Read a file by the plugin that claims it, by the one that reads its `seed`, and as ingest does; never raises.

    `folder` is a place for the file; without one a folder is made for it.
    """
    try:
        for plugin in {
            id(plugin): plugin for plugin in (_plugin(content), _plugin(seed)) if plugin is not None
        }.values():
            _check(plugin, content)
        if folder is not None:
            return _prepared(content, folder)
        with tempfile.TemporaryDirectory() as made:
            return _prepared(content, Path(made))
    except MemoryError:
        return Outcome(word="failed", fault="MemoryError: beyond the limit of memory")
    except Exception:
        return Outcome(word="failed", fault=traceback.format_exc(limit=-4))


def _plugin(content: bytes) -> IngestPlugin | None:
    return choose_plugin(content[:HEAD_SIZE], installed_plugins())


def _check(plugin: IngestPlugin, content: bytes) -> None:
    reading = plugin.read(io.BytesIO(content))
    completeness = plugin.completeness(io.BytesIO(content))
    assert reading.completeness in (None, completeness), f"reading says {reading.completeness}, asked {completeness}"
    assert completeness is not Completeness.BROKEN or reading.findings, "a broken file without a finding"
    for index in (reading.prompt, reading.workflow):
        assert index is None or 0 <= index < len(reading.carriers)
    for side in (reading.width, reading.height, reading.frames):
        assert side is None or side >= 0
    _check_texts(reading)


def _check_texts(reading: Reading) -> None:
    for carrier in reading.carriers:
        assert isinstance(text_of(carrier), str)
        graph_text(carrier).decode("utf-8")


def _prepared(content: bytes, folder: Path) -> Outcome:
    path = folder / "mutated.png"
    path.write_bytes(content)
    file, _ = prepare_file(Folder(path=folder), path, now=path.stat().st_mtime + _LATER_S, named=True)
    faults = [finding for finding in file.findings if finding.code in OUR_FAULTS]
    if file.reason in (Reason.FAULT, Reason.UNREADABLE) or faults:
        return Outcome(word="failed", fault=f"{file.detail} {faults}")
    word = f"{file.state.value} {file.reason.value}" if file.reason is not None else file.state.value
    return Outcome(word=f"{word}, with findings" if file.findings else word)
