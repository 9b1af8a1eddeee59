"""Everything from one decode: the same digests as before, small pictures in sRGB, damage found, limits named."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from memoryd.imaging import deriving
from memoryd.imaging.derived import Derived, SmallPicture
from memoryd.imaging.deriving import derive_bytes
from memoryd.imaging.pixels import pixel_digest
from memoryd.imaging.recipes import EVERY_PART, Part, UnknownRecipe, read_recipe, read_recipes, spelled_all

MakePng = Callable[..., bytes]
Noise = Callable[..., NDArray[Any]]


def encoded(picture: Image.Image, kind: str, **more: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def codes(derived: Derived) -> list[str]:
    return [finding.code for finding in derived.findings]


def one(derived: Derived, recipe: str, size: int) -> SmallPicture:
    [found] = [picture for picture in derived.pictures if (picture.recipe, picture.size) == (recipe, size)]
    return found


def opened(picture: SmallPicture) -> Image.Image:
    return Image.open(io.BytesIO(picture.content))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_digest_is_the_one_that_was_always_taken(png: MakePng, noise: Noise, channels: int, bits: int) -> None:
    samples = noise(channels) if bits == 8 else noise(channels).astype(np.uint16) * 257
    content = png(samples)
    derived = derive_bytes(content, EVERY_PART)
    assert derived.pixels == pixel_digest(content)
    assert {picture.size for picture in derived.pictures} == {256, 1024}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "LAB"])
def test_every_mode_has_the_digest_that_was_always_taken(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "F", "LAB") else "PNG"
    content = encoded(Image.new(mode, (300, 500)), kind)
    assert derive_bytes(content, EVERY_PART).pixels == pixel_digest(content)


def test_a_moving_picture_has_a_poster_a_middle_and_a_preview() -> None:
    frames = [Image.new("RGB", (600, 300), (colour, 0, 0)) for colour in range(0, 250, 10)]
    content = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    derived = derive_bytes(content, EVERY_PART)
    assert derived.pixels == pixel_digest(content)
    assert (derived.traits.frames, derived.traits.duration, derived.traits.frame_rate) == (25, 2.5, 10.0)
    assert opened(one(derived, "v2", 256)).convert("RGB").getpixel((5, 5))[0] < 10  # type: ignore[index]
    assert opened(one(derived, "middle:v1", 256)).convert("RGB").getpixel((5, 5))[0] > 100  # type: ignore[index]
    preview = opened(one(derived, "preview:v1", 480))
    assert preview.size == (480, 240)
    assert 20 <= preview.n_frames <= 30  # type: ignore[attr-defined]  # it moves


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_gif_and_apng_are_counted(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), (colour, 9, 9)) for colour in (0, 80, 160, 240)]
    derived = derive_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50), EVERY_PART)
    assert derived.traits.frames == 4
    assert one(derived, "preview:v1", 480)


def test_thumbnails_stand_upright_and_in_srgb_with_their_alpha() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = derive_bytes(encoded(Image.new("RGB", (2000, 1000)), "JPEG", exif=exif), EVERY_PART)
    assert (one(lying, "v2", 1024).width, one(lying, "v2", 256).height) == (512, 256)
    clear = derive_bytes(encoded(Image.new("RGBA", (500, 500), (200, 0, 0, 100)), "PNG"), EVERY_PART)
    assert opened(one(clear, "v2", 256)).getextrema()[3] == (100, 100)  # type: ignore[index]


def test_the_profile_is_named_and_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = Image.new("RGB", (64, 64), (10, 200, 10))
    derived = derive_bytes(encoded(picture, "PNG", icc_profile=profile), EVERY_PART)
    assert derived.traits.profile is not None
    assert derived.traits.profile.sha256 == hashlib.sha256(profile).digest()
    assert not {"icc_profile", "exif"} & set(opened(one(derived, "v2", 256)).info)


def with_red_and_green_swapped() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = (profile.index(name, 128) for name in (b"rXYZ", b"gXYZ"))
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("edge", [64, 300, 1400])
def test_a_profile_is_applied_whoever_decodes(edge: int) -> None:
    picture = Image.new("RGB", (edge, edge), (250, 20, 20))
    derived = derive_bytes(encoded(picture, "PNG", icc_profile=with_red_and_green_swapped()), EVERY_PART)
    red, green, _ = opened(one(derived, "v2", 256)).getpixel((9, 9))  # type: ignore[misc]
    assert green > 200 > 100 > red


@pytest.mark.parametrize("where", ["eXIf", "xmp"])
def test_what_turns_a_picture_may_stand_behind_its_pixels(where: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    kind, data = (
        (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        if where == "eXIf"
        else (b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>')
    )
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    content = encoded(Image.new("RGB", (400, 200), (9, 9, 9)), "PNG")
    derived = derive_bytes(content[:-12] + chunk + content[-12:], EVERY_PART)
    assert (one(derived, "v2", 256).width, one(derived, "v2", 256).height) == (128, 256)


def test_only_what_is_asked_for_is_made(png: MakePng, noise: Noise) -> None:
    derived = derive_bytes(png(noise(3)), frozenset({Part.THUMBNAIL}))
    assert (derived.pixels, derived.fingerprints, len(derived.pictures)) == (None, (), 2)


def test_damaged_pixels_are_a_finding_and_have_no_digest(png: MakePng, noise: Noise) -> None:
    whole = png(noise(3, height=200, width=300))
    cut = derive_bytes(whole[: len(whole) // 2], EVERY_PART)
    assert codes(cut) == ["pixels-damaged"]
    at = whole.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", whole[at - 8 : at - 4])
    # The stream itself is whole: only its check sum tells.
    other = zlib.compress(b"\0" + bytes(300 * 3) + zlib.decompress(whole[at : at + length])[901:])
    swapped = whole[: at - 8] + struct.pack(">I", len(other)) + b"IDAT" + other + whole[at + length :]
    silent = derive_bytes(swapped, EVERY_PART)
    assert codes(silent) == ["pixels-damaged"]
    assert silent.pixels is None
    assert silent.fingerprints == ()


def test_what_is_no_picture_and_what_is_too_large_is_said(
    monkeypatch: pytest.MonkeyPatch, png: MakePng, noise: Noise
) -> None:
    unknown = derive_bytes(b"nothing at all", EVERY_PART)
    assert codes(unknown) == ["not-decodable"]
    assert unknown.findings[0].detail == "the picture cannot be decoded: no decoder knows its format"
    monkeypatch.setattr(deriving, "DERIVED_PIXEL_LIMIT", 10)
    large = derive_bytes(png(noise(3)), EVERY_PART)
    assert codes(large) == ["too-many-pixels"]
    assert "DERIVED_PIXEL_LIMIT" in large.findings[0].detail
    assert (large.traits.width, large.traits.height) == (7, 11)


def test_recipes_are_spelled_and_read() -> None:
    assert read_recipes(spelled_all(EVERY_PART)) == EVERY_PART
    assert read_recipe("thumbnail@2") is read_recipe("thumbnail") is Part.THUMBNAIL
    assert read_recipe("pixel-digest") is Part.PIXEL_DIGEST
    for wrong in ("thumbnail@1", "colour", ""):
        with pytest.raises(UnknownRecipe):
            read_recipe(wrong)
