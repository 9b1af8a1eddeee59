"""Tells the server what model files say of themselves, and what lies beside them: those that are hashed, once each.

Nothing is sent that the server knows already: it is asked by hash, and by a stamp of the files beside.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from memoryd.dispatch.models_wire import (
    DESCRIPTIONS_LIMIT,
    STAMPS_LIMIT,
    DescriptionsRequest,
    ModelDescription,
    told_of,
)
from memoryd.dispatch.wire import ModelFile
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.weights.describing import MODEL_SUFFIXES, describe_model
from memoryd.weights.hashing import FileDigest
from memoryd.worker.hash_memory import HashMemory
from memoryd.worker.server_link import CallRefused, ServerLink

READING = "1"
"""Another when reading the same files yields more: every file is then described again."""

_OF_A_FOLDER = frozenset({"readme.md", "metadata.json", "config.json"})
"""What lies beside several models and speaks of all of them."""

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A model file that lies on this machine, in one of the directories of its models folder."""

    stated: ModelFile
    directory: Path
    path: Path


class ModelDescribing:
    """Describes files that are hashed. Not thread-safe."""

    def __init__(self, link: ServerLink, memory: HashMemory, incarnation: UUID, give_way: Callable[[], None]) -> None:
        """`give_way` is called before each file; whatever it raises ends the work."""
        self._link = link
        self._memory = memory
        self._incarnation = incarnation
        self._give_way = give_way
        self._told: dict[str, str] = {}
        self._is_understood = True

    def describe(self, models: Sequence[LocalModel]) -> bool:
        """Tell of each of these that is hashed what the server does not know; False where it did not answer."""
        if not self._is_understood:
            return True
        listings: dict[Path, dict[str, tuple[int, int]]] = {}
        found: dict[str, tuple[str, LocalModel]] = {}
        for model in models:
            with contextlib.suppress(OSError):
                known = self._memory.find(model.path)
                if known is not None:
                    stamp = _stamp(model.path, listings)
                    if self._told.get(known.sha256) != stamp:
                        found[known.sha256] = (stamp, model)
        try:
            for chunk in _chunks(sorted(found), STAMPS_LIMIT):
                self._ask({sha256: found[sha256] for sha256 in chunk})
        except CallRefused:
            # An older server, which knows nothing of this, or another start of this worker.
            self._is_understood = False
        except MemorydError:
            return False
        return True

    def _ask(self, files: dict[str, tuple[str, LocalModel]]) -> None:
        stamps = {sha256: stamp for sha256, (stamp, _) in files.items()}
        answer = self._link.describe_models(DescriptionsRequest(incarnation=self._incarnation, stamps=stamps))
        wanted = [sha256 for sha256 in answer.wanted if sha256 in files]
        for chunk in _chunks(wanted, DESCRIPTIONS_LIMIT):
            told = [one for sha256 in chunk if (one := self._read(sha256, *files[sha256])) is not None]
            if told:
                self._link.describe_models(DescriptionsRequest(incarnation=self._incarnation, told=told))
        self._told |= stamps

    def _read(self, sha256: str, stamp: str, model: LocalModel) -> ModelDescription | None:
        self._give_way()
        try:
            status = model.path.stat()
            digest = FileDigest(sha256=bytes.fromhex(sha256), size=status.st_size, mtime_ns=status.st_mtime_ns)
            facts = describe_model(model.path, f"{model.stated.folder}/{model.stated.path}", digest)
            return ModelDescription.model_validate({"sha256": sha256, "stamp": stamp, **told_of(facts)})
        except (OSError, ValidationError) as error:
            _log.info("%s is not described: %s", model.path.name, error)
            return None


def _stamp(path: Path, listings: dict[Path, dict[str, tuple[int, int]]]) -> str:
    """Return 16 hexadecimal digits that change when the files beside a model do."""
    beside = listings.get(path.parent)
    if beside is None:
        beside = listings[path.parent] = dict(_listed(path.parent))
    stem = path.stem.lower()
    digest = hashlib.sha256(READING.encode())
    for name in sorted(beside):
        if name.lower() in _OF_A_FOLDER or (name != path.name and name.lower().startswith(stem)):
            digest.update(f"\0{name}\0{beside[name]}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _listed(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if Path(entry.name).suffix.lower() not in MODEL_SUFFIXES:
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    yield entry.name, (status.st_size, status.st_mtime_ns)


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
