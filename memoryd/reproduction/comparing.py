"""The original held against what came out: bytes, pixels, and, where there are none of them, what was kept of it."""

from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

from numpy import float32
from numpy.typing import NDArray

from memoryd.catalog import content
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.ids import AssetId
from memoryd.imaging.appearance import parts_apart
from memoryd.imaging.decoders import Decoders
from memoryd.imaging.derived import Derived
from memoryd.imaging.differences import PixelDifference, compare_and_map
from memoryd.imaging.pixels import PixelDigest
from memoryd.imaging.recipes import Part
from memoryd.recognition import keeping
from memoryd.reproduction import queries
from memoryd.reproduction.facts import ComparedWith, Made
from memoryd.reproduction.latent_values import LATENT, latent_values
from memoryd.reproduction.verdict import SIMILAR_PSNR_DB, Compared
from memoryd.storage.blob_store import BlobStore

COMPARED_BYTES_LIMIT = 512 * 1024 * 1024
"""Bytes of a picture that is compared in memory; a larger one is compared by its bytes alone."""

_SAME_SHAPED_FRAMES = frozenset({"image/png", "image/gif", "image/webp", "image/avif", "image/jpeg", "image/bmp"})
"""Types whose frames all have one size: of others, the stored digest of several frames does not say where one ends."""

_decoders = Decoders(1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What is known of the asset that is to come out again. `code`: its fingerprint, where that tells something."""

    asset_id: AssetId
    sha256: bytes
    size: int
    media_type: str
    frames: int | None
    pixel_recipe: str | None
    pixel_digest: bytes | None
    code: bytes | None

    @property
    def is_one_file(self) -> bool:
        """Whether a batch's pictures are the frames of one file, an animation's or a film's."""
        return (self.frames or 1) > 1 or not self.media_type.startswith("image/")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one comparison saw: both pictures' digests, and where they differ; None where that could not be seen."""

    pixels: tuple[PixelDigest, PixelDigest] | None = None
    where: NDArray[float32] | None = None
    parts: tuple[str, ...] = ()
    """What of two PNG files of equal pixels is not equal."""


def read_original(session: Session, asset_id: AssetId) -> Original:
    """Return what is known of an asset that is in the memory."""
    row = queries.find_original(session, asset_id)
    return Original(
        asset_id=asset_id,
        sha256=bytes(row.sha256),
        size=row.size,
        media_type=row.media_type,
        frames=row.frames,
        pixel_recipe=row.pixel_recipe,
        pixel_digest=bytes(row.pixel_digest) if row.pixel_digest is not None else None,
        code=keeping.codes(session, [asset_id]).get(asset_id),
    )


def is_held(session: Session, store: BlobStore, tenant: TenantScope, asset_id: AssetId) -> bool:
    """Tell whether an asset's bytes seem to be there; they are not read."""
    copies = content.find_copies(session, asset_id)
    return store.exists(tenant.slug, copies.sha256) or any(Path(os.fsdecode(path)).exists() for path in copies.paths)


class Comparing:
    """Compares the outputs of one attempt with its original; each file is read once. Opens its own units of work."""

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        tenant: TenantScope,
        original: Original,
        *,
        bytes_alone: bool = False,
    ) -> None:
        """Nothing is read yet. `bytes_alone`: nothing is, since reading failed before: other bytes are not compared."""
        self._bytes_alone = bytes_alone
        self._database, self._store, self._tenant = database, store, tenant
        self._original = original
        self._read: dict[AssetId | bytes, bytes | None] = {}
        self._derived: dict[bytes, Derived] = {}
        self._evidence: dict[bytes, Evidence] = {}

    def evidence(self, made: Made) -> Evidence:
        """Return what the comparison with this output saw; nothing where there was none."""
        return self._evidence.get(made.sha256, Evidence())

    def compare(self, made: Made) -> Compared:
        """Return how far this output, whose bytes are others, is from the original. Raises: DatabaseDown, Unavailable."""
        if self._bytes_alone:
            return Compared(
                reason="comparing them failed each time it was tried: a picture may be made to break readers"
            )
        theirs = self._content(made)
        if theirs is None:
            return Compared(reason="what came out is too large, or cannot be read")
        ours = self._asset(self._original.asset_id)
        if ours is None:
            if self._original.size > COMPARED_BYTES_LIMIT:
                return Compared(
                    reason=f"the original is larger than {COMPARED_BYTES_LIMIT} bytes (COMPARED_BYTES_LIMIT)"
                )
            return self._with_what_was_kept(theirs, made)
        try:
            difference, where = compare_and_map(ours, theirs)
        except MemorydError as error:
            return self._without_pixels(ours, theirs, made, error.detail)
        parts = parts_apart(ours, theirs) if difference.identical else ()
        self._evidence[made.sha256] = Evidence(pixels=difference.pixels, where=where, parts=parts)
        return Compared(difference=difference, bits=self._bits(theirs, ours) if _is_far(difference) else None)

    def same_pixels(self, one: bytes, other: bytes) -> bool | None:
        """Return whether two outputs (SHA-256s) show the same to the bit; None where they cannot be compared."""
        left, right = self._stored(one), self._stored(other)
        if left is None or right is None:
            return None
        try:
            return compare_and_map(left, right)[0].identical
        except MemorydError:
            return self._same_values((left, one), (right, other)) or False

    def _with_what_was_kept(self, theirs: bytes, made: Made) -> Compared:
        original = self._original
        derived = self._derive(theirs, made.sha256)
        digest, pixels = original.pixel_digest, derived.pixels
        kept = ComparedWith.STORED_HASH
        same: bool | None = None
        one_shape = (original.frames or 1) == 1 or original.media_type in _SAME_SHAPED_FRAMES
        if digest is not None and pixels is not None and pixels.recipe == original.pixel_recipe and one_shape:
            same, kept = pixels.digest == digest, ComparedWith.STORED_PIXEL_DIGEST
        bits = None if same else _apart(original.code, _code(derived))
        if same is None and bits is not None:
            kept = ComparedWith.STORED_FINGERPRINT
        return Compared(compared_with=kept, same_digest=same, bits=bits)

    def _without_pixels(self, ours: bytes, theirs: bytes, made: Made, reason: str) -> Compared:
        """Compare what is no picture of few bits: EXR and latents by the digest of their values, a film by two frames."""
        same = self._same_values((ours, self._original.sha256), (theirs, made.sha256))
        one, other = self._derive(ours, self._original.sha256), self._derive(theirs, made.sha256)
        if same is not None and one.pixels is not None and other.pixels is not None:
            self._evidence[made.sha256] = Evidence(pixels=(one.pixels, other.pixels))
        return Compared(same_digest=same, bits=None if same else _apart(_code(one), _code(other)), reason=reason)

    def _same_values(self, left: tuple[bytes, bytes], right: tuple[bytes, bytes]) -> bool | None:
        """Whether two files (content, SHA-256) without comparable pixels hold equal values; None: they have none."""
        if self._original.media_type == LATENT:
            values = latent_values(left[0])
            return None if values is None else values == latent_values(right[0])
        one, other = (self._derive(*each).pixels for each in (left, right))
        if one is None or other is None or one.recipe != other.recipe:
            return None
        return one.digest == other.digest

    def _bits(self, theirs: bytes, ours: bytes) -> int | None:
        code = self._original.code or _code(self._derive(ours, self._original.sha256, pixels=False))
        return _apart(code, _code(self._derive(theirs, b"", pixels=False)))

    def _derive(self, raw: bytes, sha256: bytes, *, pixels: bool = True) -> Derived:
        if not pixels:
            return _decoders.derive(io.BytesIO(raw), self._original.media_type, frozenset({Part.FINGERPRINT}))
        if sha256 not in self._derived:
            parts = frozenset({Part.FINGERPRINT, Part.PIXEL_DIGEST})
            self._derived[sha256] = _decoders.derive(io.BytesIO(raw), self._original.media_type, parts)
        return self._derived[sha256]

    def _content(self, made: Made) -> bytes | None:
        stored = self._stored(made.sha256)
        return stored if stored is not None or made.asset_id is None else self._asset(made.asset_id)

    def _stored(self, sha256: bytes) -> bytes | None:
        if sha256 not in self._read:
            try:
                read = self._store.read_verified(self._tenant.slug, sha256, limit=COMPARED_BYTES_LIMIT)
            except Unavailable:
                raise
            except MemorydError:
                read = None
            self._read[sha256] = read
        return self._read[sha256]

    def _asset(self, asset: AssetId) -> bytes | None:
        if asset not in self._read:
            try:
                with self._database.tenant_work(self._tenant) as session:
                    copies = content.find_copies(session, asset)
                if copies.size > COMPARED_BYTES_LIMIT:
                    self._read[asset] = None
                else:
                    with content.open_copy(self._store, self._tenant, copies) as stream:
                        self._read[asset] = stream.read()
            except Unavailable:
                raise
            except MemorydError:
                self._read[asset] = None
        return self._read[asset]


def _is_far(difference: PixelDifference) -> bool:
    return not difference.identical and (
        not difference.comparable or (difference.psnr is not None and difference.psnr < SIMILAR_PSNR_DB)
    )


def _code(derived: Derived) -> bytes | None:
    return next((one.code for one in derived.fingerprints if one.telling and not one.mirrored and one.frame == 0), None)


def _apart(one: bytes | None, other: bytes | None) -> int | None:
    if one is None or other is None:
        return None
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
