"""Bundles checked by anybody, offline: every byte held against the signed list before anything is made of it.

Nothing is unpacked to disk, and nothing that lies in a bundle is run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO
from uuid import UUID

from pydantic import ValidationError

from memoryd.comfyui.submitted_graph import without_is_changed
from memoryd.disclosure.facts import SealState, SealVerdict
from memoryd.disclosure.pki import Anchors
from memoryd.disclosure.sealing import SIGNATURE_BYTES_LIMIT, verify_seal
from memoryd.foundation.canonical_json import read_json
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import AssetId
from memoryd.reproduction.bundles.bare.opening import MANIFEST_LIMIT, is_plain_name
from memoryd.reproduction.bundles.gathering import BUNDLE_LIMIT
from memoryd.reproduction.bundles.wire import Manifest
from memoryd.reproduction.bundles.writing import MANIFEST, SIGNATURE
from memoryd.reproduction.facts import Plan
from memoryd.reproduction.planning import extra_data_of
from memoryd.reproduction.receipt_checking import RECEIPT_BYTES_LIMIT, check_receipt

ENTRIES_LIMIT = 10_000
"""Files of one bundle; one with a hundred packs' sources has some hundreds."""
RATIO_LIMIT = 200
"""How many times its packed size a file may unpack to. Source: texts and floats pack to a hundredth at best."""
RATIO_FREE_BYTES = 1024 * 1024
"""Bytes up to which a file may unpack to any multiple: an empty text is nothing to fear."""
TEXT_LIMIT = 64 * 1024 * 1024
"""Bytes of a text that is read whole: a graph, what goes along with it, an environment."""
_BLOCK = 1024 * 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BundleVerdict:
    """What a bundle is worth. `troubles` is everything that speaks against it, `manifest` None where it cannot be read."""

    seal: SealVerdict
    troubles: tuple[str, ...]
    manifest: Manifest | None = None
    files: int = 0
    size: int = 0
    unsigned: bool = False
    """There is no signature at all; one that does not fit is another thing."""

    @property
    def signed(self) -> bool:
        """Somebody signed it, and not one byte was changed since."""
        return self.seal.state in (SealState.INTACT, SealState.INTACT_UNKNOWN_SIGNER)

    @property
    def good(self) -> bool:
        """Signed, whole, and nothing speaks against it."""
        return self.signed and not self.troubles and self.manifest is not None

    @property
    def whole(self) -> bool:
        """Every file is there as it is listed. Whether anybody signed the list is another question."""
        return not self.troubles and self.manifest is not None


def check_bundle(stream: BinaryIO, anchors: Anchors) -> BundleVerdict:
    """Return what a bundle is worth, read from a seekable stream. Raises nothing for what it holds."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return _check(archive, anchors)
    except _UNREADABLE as error:
        return _unreadable(f"it cannot be read: {type(error).__name__}: {str(error)[:200]}")


def _check(archive: zipfile.ZipFile, anchors: Anchors) -> BundleVerdict:
    entries = [entry for entry in archive.infolist() if not _is_folder(entry)]
    if refused := list(_refusals(archive, entries)):
        return _unreadable(*refused)
    names = {entry.filename for entry in entries}
    if MANIFEST not in names:
        return _unreadable(f"it has no {MANIFEST}: it is no bundle")
    content = _read(archive, MANIFEST, MANIFEST_LIMIT)
    if content is None:
        return _unreadable(f"{MANIFEST} is larger than any (MANIFEST_LIMIT)")
    seal = SealVerdict(state=SealState.UNREADABLE, detail=f"nobody signed it: it has no {SIGNATURE}")
    if SIGNATURE in names:
        signature = _read(archive, SIGNATURE, SIGNATURE_BYTES_LIMIT)
        if signature is not None:
            seal = verify_seal(content, signature, anchors)
        else:
            seal = SealVerdict(state=SealState.UNREADABLE, detail=f"{SIGNATURE} is larger than any signature")
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return BundleVerdict(seal=seal, troubles=(f"{MANIFEST} is not by bundle.v1: {where}: {first['msg']}",))
    troubles = [*_listed_wrongly(manifest), *_beside(manifest, names)]
    if not troubles:
        troubles = [*_changed(archive, manifest), *_receipts(archive, manifest, anchors)]
    if not troubles:
        troubles = [*_documents_apart(archive, manifest)]
    return BundleVerdict(
        seal=seal,
        troubles=tuple(troubles),
        manifest=manifest,
        files=len(entries),
        size=sum(entry.file_size for entry in entries),
        unsigned=SIGNATURE not in names,
    )


def _unreadable(*troubles: str) -> BundleVerdict:
    seal = SealVerdict(state=SealState.UNREADABLE, detail="it was not looked at: the file itself is not sound")
    return BundleVerdict(seal=seal, troubles=troubles)


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    # Packing a folder again by other tools makes entries for folders; they hold nothing.
    return entry.filename.endswith("/") and entry.file_size == 0 and is_plain_name(entry.filename[:-1])


def _refusals(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield why the archive is not even read: what could fill a disk, or lead out of a folder."""
    if len(archive.infolist()) > ENTRIES_LIMIT:
        yield f"{len(archive.infolist())} entries, {ENTRIES_LIMIT} at most (ENTRIES_LIMIT)"
        return
    if (size := sum(entry.file_size for entry in entries)) > BUNDLE_LIMIT:
        yield f"it unpacks to {size} bytes, {BUNDLE_LIMIT} at most (BUNDLE_LIMIT)"
    if archive.comment:
        yield "there is a comment behind it, which nobody signed"
    if entries and min(entry.header_offset for entry in entries) != 0:
        yield "something lies before its first file"
    for name, times in Counter(entry.filename.lower() for entry in entries).items():
        if times > 1:
            yield f"{name[:100]!r} is there {times} times"
    for entry in entries:
        if not is_plain_name(entry.filename):
            yield f"{entry.filename[:100]!r} is no plain name: it could lead out of a folder"
        elif entry.flag_bits & 1 or entry.compress_type not in _METHODS or stat.S_ISLNK(entry.external_attr >> 16):
            yield f"{entry.filename!r} is a link, encrypted, or packed in an unusual way"
        elif entry.file_size > RATIO_FREE_BYTES and entry.file_size > RATIO_LIMIT * max(entry.compress_size, 1):
            yield f"{entry.filename!r} unpacks to more than {RATIO_LIMIT} times its size (RATIO_LIMIT)"


def _listed_wrongly(manifest: Manifest) -> Iterator[str]:
    """Yield where the list contradicts itself: what is spoken of must be a file of it."""
    listed = {file.name: file for file in manifest.files}
    if len(listed) != len(manifest.files):
        yield f"{MANIFEST} names a file twice"
    asset = manifest.asset
    spoken = [(one.file, one.sha256, one.size) for one in manifest.inputs]
    if asset.original_file is not None:
        spoken.append((asset.original_file, asset.original_sha256, asset.original_size))
    for name, sha256, size in spoken:
        if name not in listed or (listed[name].sha256, listed[name].size) != (sha256, size):
            yield f"{MANIFEST} speaks of {name[:100]!r}, which is not the file of that name"
    others = [d.file for d in manifest.documents] + [v.receipt for v in manifest.verdicts if v.receipt]
    for name in (*others, "prompt.json", "extra_data.json"):
        if name not in listed:
            yield f"{MANIFEST} speaks of {name[:100]!r}, which it does not list"
        elif listed[name].size > TEXT_LIMIT:
            yield f"{name!r} has {listed[name].size} bytes, {TEXT_LIMIT} at most (TEXT_LIMIT)"


def _beside(manifest: Manifest, names: set[str]) -> Iterator[str]:
    listed = {file.name for file in manifest.files}
    for name in sorted(listed - names):
        yield f"{name!r} is missing"
    for name in sorted(names - listed - {MANIFEST, SIGNATURE}):
        yield f"{name!r} is not listed: somebody put it there"


def _changed(archive: zipfile.ZipFile, manifest: Manifest) -> Iterator[str]:
    for file in manifest.files:
        digest, size = hashlib.sha256(), 0
        try:
            with archive.open(file.name) as content:
                # Read no further than it says: a header may lie about how much there is.
                while size <= file.size and (block := content.read(_BLOCK)):
                    digest.update(block)
                    size += len(block)
        except _UNREADABLE as error:
            yield f"{file.name!r} cannot be read: {type(error).__name__}"
            continue
        if (size, digest.hexdigest()) != (file.size, file.sha256):
            yield f"{file.name!r} was changed: its SHA-256 is another one"


def _documents_apart(archive: zipfile.ZipFile, manifest: Manifest) -> Iterator[str]:
    """Yield where what is submitted is not what the documents say: two readers would then run two things."""
    try:
        run = documents_of(archive, manifest)
        prompt, submitted = read_json(run.prompt), read_json(archive.read("prompt.json"))
        extra = extra_data_of(
            Plan(asset_id=AssetId(UUID(int=0)), generation_id=None, project_id=None, extras=run.extras)
        )
    except (*_UNREADABLE, MemorydError) as error:
        yield f"its documents cannot be read: {str(error)[:200]}"
        return
    if not isinstance(prompt, dict) or without_is_changed(prompt) != submitted:
        yield "'prompt.json' is not the graph of 'documents/prompt.json'"
    if extra.encode("utf-8", "surrogatepass") != archive.read("extra_data.json"):
        yield "'extra_data.json' is not what 'documents' say"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunDocuments:
    """The texts of a run, verbatim; `extras` by their keys."""

    prompt: bytes
    extras: tuple[tuple[str, bytes], ...]


def documents_of(archive: zipfile.ZipFile, manifest: Manifest) -> RunDocuments:
    """Return the verbatim documents of a bundle whose files were checked. Raises: ValueError without a graph."""
    prompts = [each.file for each in manifest.documents if each.kind == "prompt"]
    if len(prompts) != 1:
        raise ValueError(f"{len(prompts)} graphs")
    return RunDocuments(
        prompt=archive.read(prompts[0]),
        extras=tuple((each.key, archive.read(each.file)) for each in manifest.documents if each.kind == "extra"),
    )


def _receipts(archive: zipfile.ZipFile, manifest: Manifest, anchors: Anchors) -> Iterator[str]:
    """Yield where a receipt does not bear out what is said of the attempt. Who signed it is not asked here."""
    for said in manifest.verdicts:
        if said.receipt is None:
            continue
        raw = _read(archive, said.receipt, RECEIPT_BYTES_LIMIT)
        try:
            found = check_receipt(raw or b"", anchors)
        except MemorydError as error:
            yield f"{said.receipt!r}: {error.detail}"
            continue
        if not found.good:
            yield f"{said.receipt!r} is no good receipt"
        elif found.verdict != said.verdict or found.asset_sha256 not in (
            manifest.asset.sha256,
            manifest.asset.original_sha256,
        ):
            yield f"{said.receipt!r} says something else than {MANIFEST}"


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes | None:
    with archive.open(name) as file:
        content = file.read(limit + 1)
    return content if len(content) <= limit else None
