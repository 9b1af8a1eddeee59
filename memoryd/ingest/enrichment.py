"""Follow-up work on new pictures, in chores: thumbnails and pixel digests. Each may be done again without harm.

`HANDLERS` maps a chore's kind to what does it; the application's one table takes it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol, TypeVar
from uuid import UUID

from memoryd.catalog import pixels, thumbnails
from memoryd.catalog.content import find_copies, open_copy
from memoryd.catalog.facts import AssetKind
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError, NotFound, Unavailable
from memoryd.foundation.ids import AssetId
from memoryd.foundation.logging import log_for
from memoryd.imaging.decoding import read_shape
from memoryd.imaging.pixels import PIXEL_RECIPE, PixelDigest, pixel_digest
from memoryd.imaging.thumbnails import THUMBNAIL_MEDIA_TYPE, THUMBNAIL_RECIPE, thumbnail
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register

THUMBNAIL = "thumbnail"
PIXEL_DIGEST = "pixel_digest"

FOR_KINDS = frozenset({AssetKind.IMAGE})
"""What the two recipes are for."""

CHORES: tuple[tuple[str, str], ...] = ((THUMBNAIL, THUMBNAIL_RECIPE), (PIXEL_DIGEST, PIXEL_RECIPE))
"""(kind, recipe) of every chore that a new picture brings."""

STORED_AT_ONCE = 20

Made = TypeVar("Made")

_log = log_for(__name__)


class ContentsMissing(Unavailable):
    """The bytes of some pictures cannot be read now."""


class Means(Protocol):
    """What a handler works with. The application's handler context is one."""

    @property
    def database(self) -> Database:
        """Connections."""
        ...

    @property
    def store(self) -> BlobStore:
        """Kept bytes."""
        ...

    @property
    def tenant(self) -> TenantScope:
        """Whose pictures they are."""
        ...


def make_thumbnails(means: Means, chore: Chore) -> None:
    """Make and keep the thumbnail of each subject. Raises: ContentsMissing where some could not be read, done or not."""

    def store(made: Sequence[tuple[AssetId, bytes]]) -> None:
        kept = [(asset_id, picture, means.store.put_bytes(means.tenant.slug, picture)) for asset_id, picture in made]
        with means.database.tenant_work(means.tenant) as session:
            register(session, [stored for _, _, stored in kept])
            for asset_id, picture, stored in kept:
                shape = read_shape(picture)
                thumbnails.store(
                    session,
                    thumbnails.Thumbnail(
                        asset_id=asset_id,
                        recipe=chore.recipe,
                        size=thumbnails.GRID_SIZE,
                        sha256=stored.sha256,
                        media_type=THUMBNAIL_MEDIA_TYPE,
                        width=shape.width,
                        height=shape.height,
                    ),
                )

    _each(means, chore, lambda stream: thumbnail(stream, thumbnails.GRID_SIZE), store)


def take_pixel_digests(means: Means, chore: Chore) -> None:
    """Store the digest of each subject's pixels. Raises: ContentsMissing as make_thumbnails."""

    def store(made: Sequence[tuple[AssetId, PixelDigest]]) -> None:
        with means.database.tenant_work(means.tenant) as session:
            for asset_id, taken in made:
                pixels.store_digest(
                    session,
                    asset_id,
                    recipe=taken.recipe,
                    digest=taken.digest,
                    width=taken.width,
                    height=taken.height,
                    frames=taken.frames,
                )

    _each(means, chore, pixel_digest, store)


HANDLERS: Mapping[str, Callable[[Means, Chore], None]] = {
    THUMBNAIL: make_thumbnails,
    PIXEL_DIGEST: take_pixel_digests,
}


def _each(
    means: Means,
    chore: Chore,
    make: Callable[[BinaryIO], Made],
    store: Callable[[Sequence[tuple[AssetId, Made]]], None],
) -> None:
    missing: list[UUID] = []
    made: list[tuple[AssetId, Made]] = []
    for asset_id, stream in _contents(means, chore, missing):
        with stream:
            try:
                made.append((asset_id, make(stream)))
            except MemorydError as error:
                # A picture that cannot be decoded has no thumbnail: that is an outcome, and no reason to try again.
                _log.info("%s of %s: %s", chore.kind, asset_id, error.detail)
        if len(made) >= STORED_AT_ONCE:
            store(made)
            made = []
    if made:
        store(made)
    if missing:
        raise ContentsMissing(
            f"{len(missing)} of {len(chore.subjects)} could not be read, {missing[0]} first",
            hint="their folder may be offline: `memoryd roots list`",
        )


def _contents(means: Means, chore: Chore, missing: list[UUID]) -> Iterator[tuple[AssetId, BinaryIO]]:
    for subject in chore.subjects:
        asset_id = AssetId(subject)
        try:
            with means.database.tenant_work(means.tenant) as session:
                copies = find_copies(session, asset_id)
            # Outside of the transaction: it reads and checks all bytes.
            stream = open_copy(means.store, means.tenant, copies)
        except NotFound as error:
            _log.info("%s of %s: %s", chore.kind, asset_id, error.detail)
            missing.append(subject)
            continue
        yield asset_id, stream
