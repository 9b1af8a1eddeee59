"""How fast pictures are derived from, how much memory the largest takes, and how well fingerprints tell pictures apart.

Run: `python benchmarks/enrich.py [--files N] [--pictures FOLDER]`. Each figure is printed beside its target. Pictures are
painted (soft shapes with grain, about 1.5 MB as PNG) unless a folder of real ones is named. Times are processor time of
one process, so that what else a machine does counts little.
"""

from __future__ import annotations

import argparse
import io
import itertools
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from memoryd.imaging.decoders import Decoders
from memoryd.imaging.deriving import DERIVED_PIXEL_LIMIT, derive_bytes
from memoryd.imaging.fingerprints import fingerprints
from memoryd.imaging.recipes import EVERY_PART, Part
from memoryd.recognition.candidates import NEAR

TARGET_FILES_A_SECOND = 25.0
TARGET_RSS_MB = 1_500.0
"""Megabytes of the decoding process at the largest picture of 8 bits: the picture itself is 400."""
PAIRS_PICTURES = 200


def painted(seed: int, edge: int = 1024) -> Image.Image:
    """Return a picture with large and small shapes and a little grain, another for each seed."""
    rng = np.random.default_rng(seed)
    whole = np.full((edge, edge, 3), 128.0, np.float32)
    for cells, strength in ((4, 30.0), (16, 30.0), (64, 22.0), (256, 7.0)):
        noise = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        planes = [Image.fromarray(noise[..., c]).resize((edge, edge), Image.Resampling.BICUBIC) for c in range(3)]
        whole += np.stack([np.asarray(plane) for plane in planes], axis=-1)
    whole += rng.normal(0, 1.2, (edge, edge, 1)).astype(np.float32)
    return Image.fromarray(np.clip(whole, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str, **more: object) -> bytes:
    """Return a picture's file."""
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def say(what: str, value: str, target: str = "", met: bool | None = None) -> None:
    """Print one figure."""
    print(f"{what:<58} {value:>18}   {target:<22} {'' if met is None else 'met' if met else 'MISSED'}")


def spent_on(each: Callable[[bytes], object], contents: list[bytes]) -> list[float]:
    """Return the seconds of processor time that each of these files took."""
    each(contents[0])
    spent = []
    for content in contents:
        started = time.process_time()
        each(content)
        spent.append(time.process_time() - started)
    return spent


def speed(contents: list[bytes], what: str, parts: frozenset[Part], target: float | None = None) -> None:
    """Print how many of these files one core derives from in a second, and how much more it is than decoding them."""
    spent = spent_on(lambda content: derive_bytes(content, parts), contents)
    bare = spent_on(lambda content: Image.open(io.BytesIO(content)).load(), contents)
    rate = 1 / (sum(spent) / len(spent))
    best = 1 / sorted(spent)[len(spent) // 10]
    shown = f"{rate:.1f} files/s"
    say(what, shown, "" if target is None else f"target {target:g}", None if target is None else rate >= target)
    say("  the best tenth (a machine that does nothing else)", f"{best:.1f} files/s")
    say("  of the time that Pillow takes to decode the same files", f"{sum(spent) / sum(bare):.2f} times")


def telling_apart(pictures: Sequence[Image.Image], what: str) -> None:
    """Print how near different pictures come to each other, and the same ones changed."""
    codes = [fingerprints(picture)[0] for picture in pictures]
    values = [int.from_bytes(one.code, "big") for one in codes if one.telling]
    apart = [(a ^ b).bit_count() for a, b in itertools.combinations(values, 2)]
    near = sum(distance <= NEAR for distance in apart)
    say(f"{what}: pairs of {len(values)} taken for the same", f"{near} of {len(apart)}", "target 0", near == 0)
    if apart:
        say("  least bits apart, median", f"{min(apart)}, {sorted(apart)[len(apart) // 2]}", f"NEAR is {NEAR}")
    if not codes:
        return
    changes: list[tuple[str, Callable[[Image.Image], Image.Image]]] = [
        ("JPEG at quality 40", lambda p: Image.open(io.BytesIO(encoded(p.convert("RGB"), "JPEG", quality=40)))),
        ("half size", lambda p: p.resize((p.width // 2, p.height // 2), Image.Resampling.LANCZOS)),
        ("double size", lambda p: p.resize((p.width * 2, p.height * 2), Image.Resampling.LANCZOS)),
        ("brighter by 15 %", lambda p: ImageEnhance.Brightness(p.convert("RGB")).enhance(1.15)),
    ]
    some = [(p, c) for p, c in zip(pictures, codes, strict=True) if c.telling][:40]
    for name, change in changes:
        moved = [
            (int.from_bytes(c.code, "big") ^ int.from_bytes(fingerprints(change(p))[0].code, "big")).bit_count()
            for p, c in some
        ]
        found = sum(bits <= NEAR for bits in moved)
        say(f"  found again after: {name}", f"{found} of {len(moved)}", f"most bits {max(moved, default=0)}")


def memory() -> None:
    """Print what the largest picture takes of a decoding process."""
    edge = int(DERIVED_PIXEL_LIMIT**0.5)
    large = encoded(Image.new("RGB", (edge, edge), (10, 90, 200)), "PNG", compress_level=1)
    decoders = Decoders(1)
    started = time.monotonic()
    derived = decoders.derive(io.BytesIO(large), "image/png", EVERY_PART)
    took = time.monotonic() - started
    decoders.close()
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    say(
        f"memory at {edge} x {edge} pixels ({took:.1f} s, {len(derived.pictures)} pictures)",
        f"{most:.0f} MB",
        f"target {TARGET_RSS_MB:g}",
        most <= TARGET_RSS_MB and not derived.findings,
    )


def main() -> None:
    """Print the figures."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--files", type=int, default=40)
    asked.add_argument("--pictures", type=Path, default=None)
    asked.add_argument("--quick", action="store_true", help="a quarter of the files")
    options = asked.parse_args()
    if options.quick:
        options.files = max(options.files // 4, 1)
    random.seed(1)
    different = [painted(seed) for seed in range(10)]
    pngs = [encoded(picture, "PNG", compress_level=4) for picture in different]
    print(
        f"{len(pngs)} pictures of 1024 x 1024, {sum(map(len, pngs)) / len(pngs) / 1e6:.2f} MB as PNG;"
        f" Python {sys.version.split()[0]}"
    )
    many = list(itertools.islice(itertools.cycle(pngs), options.files))
    speed(many, "PNG 1024 x 1024, everything, one core", EVERY_PART, TARGET_FILES_A_SECOND)
    jpegs = [encoded(picture, "JPEG", quality=92) for picture in different]
    jpegs = list(itertools.islice(itertools.cycle(jpegs), options.files))
    speed(jpegs, "JPEG 1024 x 1024, everything, one core", EVERY_PART, TARGET_FILES_A_SECOND)
    speed(many, "PNG 1024 x 1024, fingerprint alone", frozenset({Part.FINGERPRINT}))
    memory()
    telling_apart([painted(seed, 256) for seed in range(1000, 1000 + PAIRS_PICTURES)], "painted pictures")
    if options.pictures is not None:
        found = [
            path for path in sorted(options.pictures.rglob("*")) if path.suffix.lower() in (".png", ".jpg", ".webp")
        ]
        opened = []
        for path in found[:1000]:
            try:
                picture = Image.open(path)
                picture.load()
                opened.append(picture)
            except OSError:
                print(f"  {path.name} cannot be opened")
        telling_apart(opened, "the folder's pictures")


if __name__ == "__main__":
    main()
