"""What is no picture of few bits is compared as far as can be, and what cannot be compared is said to be just that."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR  # type: ignore[import-not-found]  # a compiled module without stubs
import pytest
from numpy.typing import NDArray
from PIL import Image

from memoryd.access import projects
from memoryd.foundation.ids import AssetId, new_id
from memoryd.ingest.backlog import Wish, ingest_paths, plan
from memoryd.reproduction import queries
from memoryd.reproduction.comparing import Comparing, Original, is_held, read_original
from memoryd.reproduction.facts import ComparedWith, Made, Verdict
from memoryd.reproduction.verdict import Compared, grade
from tests.reproduction.studio import Studio, studio

__all__ = ["studio"]

MEDIA = "comfyui/media"


@pytest.fixture
def compare(studio: Studio) -> Callable[[Path, bytes], Compared]:
    """Take a file in as the original, and compare other bytes with it."""

    def compared(original: Path, made: bytes) -> Compared:
        return taken_in(studio, original).compare(output(studio, made))

    return compared


def taken_in(studio: Studio, original: Path) -> Comparing:
    database = studio.offices.database
    path = studio.folder / original.name
    if path != original:
        shutil.copyfile(original, path)
    with database.tenant_work(studio.tenant) as session:
        owner = projects.ensure_project(session, "default")
    wish = Wish(paths=(path,), project_id=owner)
    ingest_paths(database, studio.tenant, studio.store, plan(database, studio.tenant, studio.store, wish))
    studio.do_chores()
    with database.tenant_work(studio.tenant) as session:
        digest = hashlib.sha256(path.read_bytes()).digest()
        asset = AssetId(queries.find_assets_by_digest(session, [digest])[digest].id)
        assert is_held(session, studio.store, studio.tenant, asset)
        return Comparing(database, studio.store, studio.tenant, read_original(session, asset))


def output(studio: Studio, content: bytes) -> Made:
    stored = studio.store.put_bytes(studio.tenant.slug, content)
    return Made(asset_id=None, node="9", batch_index=0, sha256=stored.sha256)


@pytest.mark.parametrize("name", ["latent.latent", "audio_flac.flac"])
def test_what_has_no_pixels_is_compared_by_its_bytes_and_says_so(
    compare: Callable[[Path, bytes], Compared], files: Path, name: str
) -> None:
    content = (files / MEDIA / name).read_bytes()
    verdict, causes = grade(compare(files / MEDIA / name, content + b"\0"))
    assert (verdict, causes[0].code) == (Verdict.DIFFERENT, "compared-by-bytes")


def test_a_latent_is_compared_by_its_numbers_since_its_texts_come_in_any_order(
    compare: Callable[[Path, bytes], Compared], files: Path
) -> None:
    content = (files / MEDIA / "latent.latent").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(reversed(header["__metadata__"].items()))
    turned = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    again = len(turned).to_bytes(8, "little") + turned + content[8 + size :]
    verdict, causes = grade(compare(files / MEDIA / "latent.latent", again))
    assert again != content
    assert (verdict, causes[0].code) == (Verdict.IDENTICAL_PIXELS, "header-not-compared")
    other = bytearray(again)
    other[-1] ^= 1
    assert grade(compare(files / MEDIA / "latent.latent", bytes(other)))[0] is Verdict.DIFFERENT


def test_a_film_is_at_best_similar(compare: Callable[[Path, bytes], Compared], files: Path) -> None:
    content = (files / MEDIA / "video_mp4.mp4").read_bytes()
    verdict, causes = grade(compare(files / MEDIA / "video_mp4.mp4", content + b"\0\0\0\x08free"))
    assert verdict in (Verdict.SIMILAR, Verdict.DIFFERENT)
    assert causes[0].code == "compared-by-bytes"


def test_an_exr_is_compared_by_its_values(
    compare: Callable[[Path, bytes], Compared], files: Path, tmp_path: Path
) -> None:
    path = files / MEDIA / "save_image_advanced_exr.exr"
    with OpenEXR.File(str(path), separate_channels=True) as opened:
        channels = {name: channel.pixels.copy() for name, channel in opened.channels().items()}
    again = tmp_path / "again.exr"
    header = {"compression": OpenEXR.NO_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(again))
    verdict, causes = grade(compare(path, again.read_bytes()))
    assert (verdict, causes[0].code) == (Verdict.IDENTICAL_PIXELS, "header-not-compared")
    first = sorted(channels)[0]
    values = channels[first] if isinstance(channels[first], np.ndarray) else channels[first].pixels
    values[0, 0] += values.dtype.type(0.25)
    OpenEXR.File(header, channels).write(str(again))
    assert grade(compare(path, again.read_bytes()))[0] not in (Verdict.IDENTICAL_PIXELS, Verdict.WITHIN_TOLERANCE)


def png(samples: NDArray[Any], **more: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(samples).save(out, "PNG", **more)
    return out.getvalue()


@pytest.fixture
def samples() -> NDArray[np.uint8]:
    """A picture that shows something."""
    rows, columns = np.mgrid[0:128, 0:128]
    grey = (np.hypot(rows - 50, columns - 70) * 3 % 256).astype(np.uint8)
    return np.stack([grey, grey[::-1], 255 - grey], axis=-1)


def test_where_the_original_is_gone_what_was_kept_of_it_decides(
    studio: Studio, tmp_path: Path, samples: NDArray[np.uint8]
) -> None:
    path = studio.folder / "gone.png"
    path.write_bytes(png(samples))
    sha256 = hashlib.sha256(path.read_bytes()).digest()
    changed = samples.copy()
    changed[0, 0, 0] ^= 1
    comparing = taken_in(studio, path)
    path.unlink()
    studio.store.remove(studio.tenant.slug, sha256)
    same = comparing.compare(output(studio, png(samples, compress_level=1)))
    assert (same.compared_with, grade(same)[0]) == (ComparedWith.STORED_PIXEL_DIGEST, Verdict.IDENTICAL_PIXELS)
    near = comparing.compare(output(studio, png(changed)))
    assert (near.same_digest, grade(near)[0]) == (False, Verdict.SIMILAR)
    far = comparing.compare(output(studio, png(samples.transpose(1, 0, 2)[::-1] // 3)))
    assert grade(far)[0] is Verdict.DIFFERENT
    # Another decoder reads a JPEG otherwise: its digest tells nothing of this one.
    jpeg = io.BytesIO()
    Image.fromarray(samples).save(jpeg, "JPEG", quality=95)
    other = comparing.compare(output(studio, jpeg.getvalue()))
    assert (other.compared_with, other.same_digest) == (ComparedWith.STORED_FINGERPRINT, None)
    assert grade(other)[0] is Verdict.SIMILAR


def test_damage_is_never_compared_as_pixels(
    compare: Callable[[Path, bytes], Compared], samples: NDArray[np.uint8], studio: Studio
) -> None:
    path = studio.folder / "whole.png"
    path.write_bytes(png(samples))
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"IDAT") + 40] ^= 1
    verdict, causes = grade(compare(path, bytes(damaged)))
    assert verdict in (Verdict.SIMILAR, Verdict.DIFFERENT)
    assert causes[0].code == "compared-by-bytes"


@pytest.mark.parametrize(
    ("media_type", "frames", "one_file"),
    [("image/png", 1, False), ("image/png", None, False), ("image/webp", 3, True), ("video/webm", None, True)],
)
def test_the_frames_of_a_film_are_no_pictures_of_a_batch(media_type: str, frames: int | None, one_file: bool) -> None:
    known: dict[str, Any] = {"size": 1, "pixel_recipe": None, "pixel_digest": None, "code": None}
    original = Original(asset_id=AssetId(new_id()), sha256=b"o" * 32, media_type=media_type, frames=frames, **known)
    assert original.is_one_file is one_file
