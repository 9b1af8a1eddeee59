"""How well a client's copy leads to its original, how often another is taken for it, and how long the search takes.

Run: `python benchmarks/identify.py [--pictures FOLDER] [--limit N] [--painted N] [--codes 100000 1000000]`. Each picture is
an asset; of each, copies are made as clients make them, and looked up among all. Then each is looked up while it is not
among them: whatever is taken then is a false positive. Pictures of equal pixels count once. The search is timed in a
database of its own with random codes.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
from enrich import encoded, painted, say
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from memoryd.access.directory import add_tenant
from memoryd.foundation.database import Database
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.ids import AssetId
from memoryd.foundation.migrations import ensure_farm_role, upgrade_schema
from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.deriving import derive_bytes
from memoryd.imaging.fingerprints import FINGERPRINT_RECIPE
from memoryd.imaging.recipes import Part
from memoryd.imaging.sight import Sight, alike, codes_without_soft_border, sight
from memoryd.recognition.facts import By, Shown
from memoryd.recognition.identifying import FAR, MATCHES_LIMIT, identify
from memoryd.reproduction.from_file.facts import Standing
from memoryd.reproduction.from_file.judging import Evidence, plausible, settle
from memoryd.reproduction.from_file.recognising import LOOKED_AT_LIMIT

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}
SMALLEST_EDGE = 128
LARGEST_EDGE = 1_024
"""Larger pictures are made this large first: what is measured is not how long they take."""

FILLED_AT_ONCE = 50_000


def copies() -> dict[str, Callable[[Image.Image], bytes]]:
    """What clients do to pictures."""
    return {
        "as PNG, without texts": lambda p: encoded(p, "PNG", compress_level=1),
        "JPEG 85": lambda p: encoded(p, "JPEG", quality=85),
        "JPEG 20": lambda p: encoded(p, "JPEG", quality=20),
        "WebP 30": lambda p: encoded(p, "WEBP", quality=30, method=0),
        "half the size, JPEG 80": lambda p: encoded(_scaled(p, 0.5), "JPEG", quality=80),
        "a quarter, JPEG 20": lambda p: encoded(_scaled(p, 0.25), "JPEG", quality=20),
        "twice the size, WebP 80": lambda p: encoded(_scaled(p, 2.0), "WEBP", quality=80, method=0),
        "mirrored, JPEG 20": lambda p: encoded(ImageOps.mirror(p), "JPEG", quality=20),
        "brighter by 15 %, JPEG 80": lambda p: encoded(ImageEnhance.Brightness(p).enhance(1.15), "JPEG", quality=80),
        "cropped by 2 %, JPEG 80": lambda p: encoded(_cropped(p, 0.02), "JPEG", quality=80),
        "cropped by 5 %, JPEG 80": lambda p: encoded(_cropped(p, 0.05), "JPEG", quality=80),
    }


def _scaled(picture: Image.Image, by: float) -> Image.Image:
    size = (max(1, round(picture.width * by)), max(1, round(picture.height * by)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _cropped(picture: Image.Image, share: float) -> Image.Image:
    across, down = round(picture.width * share / 2), round(picture.height * share / 2)
    return picture.crop((across, down, picture.width - across, picture.height - down))


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is known of one file: digest of its pixels, its code, the telling ones to ask by (mirrored?), and its look."""

    pixels: bytes | None
    code: bytes
    telling: bool
    asked: tuple[tuple[bytes, bool], ...]
    look: Sight | None


def seen(content: bytes) -> Seen | None:
    """Return what the server would know of a file."""
    derived = derive_bytes(content, frozenset({Part.PIXEL_DIGEST, Part.FINGERPRINT, Part.THUMBNAIL}))
    if len(derived.fingerprints) < 2:
        return None
    own = derived.fingerprints[0]
    small = next((each.content for each in derived.pictures if each.size == 256), None)
    large = next((each.content for each in derived.pictures if each.size > 256), None)
    codes = (*derived.fingerprints, *(codes_without_soft_border(large) if large else ()))
    return Seen(
        pixels=derived.pixels.digest if derived.pixels else None,
        code=own.code,
        telling=own.telling,
        asked=tuple((one.code, one.mirrored) for one in codes if one.telling),
        look=sight(small) if small else None,
    )


def everything_of(source: Path | int) -> tuple[str, dict[str, Seen | None]] | None:
    """Return what is known of a picture and of each copy of it; None for what is no picture of a fair size."""
    warnings.simplefilter("ignore")
    try:
        picture = painted(source, 512) if isinstance(source, int) else Image.open(source).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError, SyntaxError):
        return None
    if min(picture.size) < SMALLEST_EDGE:
        return None
    picture.thumbnail((LARGEST_EDGE, LARGEST_EDGE))
    known = {"itself": seen(encoded(picture, "PNG", compress_level=1))}
    return str(source), known | {name: seen(make(picture)) for name, make in copies().items()}


class Memory:
    """All pictures, in memory, asked as the server asks its database."""

    def __init__(self, pictures: list[Seen]) -> None:
        """`pictures` are numbered by their place."""
        self.pictures = pictures
        self._codes = np.frombuffer(b"".join(one.code for one in pictures), "<u8").reshape(-1, 4)
        self._telling = np.array([one.telling for one in pictures])
        self._pixels: dict[bytes, int] = {one.pixels: n for n, one in enumerate(pictures) if one.pixels}

    def ask(self, file: Seen, *, without: int | None = None) -> tuple[Standing, list[int]]:
        """Return how sure it is which picture a file is, and the plausible ones by number; `without` one of them."""
        found: dict[int, Evidence] = {}
        if file.pixels is not None and (twin := self._pixels.get(file.pixels)) not in (None, without):
            assert twin is not None
            found[twin] = self._evidence(twin, By.PIXELS, 0, mirrored=False, file=file)
        if file.asked:
            distances = np.stack([self._distances(code) for code, _ in file.asked])
            nearest = np.where(self._telling, distances.min(axis=0), 999)
            if without is not None:
                nearest[without] = 999
            order = np.argsort(nearest, kind="stable")[:MATCHES_LIMIT]
            for place in (int(each) for each in order if nearest[each] <= FAR):
                mirrored = file.asked[int(distances[:, place].argmin())][1]
                look = len(found) < LOOKED_AT_LIMIT
                one = self._evidence(
                    place, By.FINGERPRINT, int(nearest[place]), mirrored=mirrored, file=file if look else None
                )
                found.setdefault(place, one)
        ranked = plausible(found.values())
        return settle(ranked, unseen_siblings=0)[0], [one.original.int for one in ranked]

    def _distances(self, code: bytes) -> NDArray[np.uint16]:
        apart: NDArray[np.uint16] = np.bitwise_count(self._codes ^ np.frombuffer(code, "<u8")).sum(
            axis=1, dtype=np.uint16
        )
        return apart

    def _evidence(self, place: int, by: By, distance: int, *, mirrored: bool, file: Seen | None) -> Evidence:
        look = self.pictures[place].look
        near = None
        if file is not None and file.look is not None and look is not None:
            near = alike(file.look, look, mirrored=mirrored)
        id_ = AssetId(UUID(int=place))
        return Evidence(original=id_, matched=id_, by=by, distance=distance, mirrored=mirrored, alike=near)


def measure(name: str, sources: list[Path | int]) -> None:
    """Print what becomes of copies, and of pictures that are not known."""
    with ProcessPoolExecutor(max_workers=max(1, (os.cpu_count() or 2) // 2)) as pool:
        made = [one for one in pool.map(everything_of, sources, chunksize=4) if one is not None]
    kept: dict[bytes, tuple[str, dict[str, Seen | None]]] = {}
    for source, known in made:
        own = known["itself"]
        if own is not None and own.pixels is not None:
            kept.setdefault(own.pixels, (source, known))
    each = list(kept.values())
    memory = Memory([known["itself"] for _, known in each])  # type: ignore[misc]  # those without were left out
    flat = sum(not one.telling for one in memory.pictures)
    print(f"\n{name}: {len(each)} pictures, {flat} of them show too little for a fingerprint")
    print(f"{'copy':<28}{'taken, right':>14}{'TAKEN, WRONG':>14}{'asked, first':>14}{'asked, listed':>15}{'missed':>9}")
    for how in copies():
        said: Counter[str] = Counter()
        for place, (source, known) in enumerate(each):
            file = known[how]
            word = "missed" if file is None else _word(*memory.ask(file), place)
            said[word] += 1
            if word == "wrong":
                print(f"    wrong: {how} of {source}")
        total = max(1, len(each))
        figures = [said["right"], said["wrong"], said["first"], said["listed"], said["missed"]]
        print(
            f"{how:<28}"
            + "".join(f"{100 * n / total:>{w}.1f} %" for n, w in zip(figures, (12, 12, 12, 13, 7), strict=True))
        )
    _unknown(memory, each)


def _word(standing: Standing, ranked: list[int], place: int) -> str:
    if place not in ranked:
        return "wrong" if standing is Standing.RECOGNISED else "missed"
    if standing is Standing.RECOGNISED:
        return "right" if ranked[0] == place else "wrong"
    return "first" if ranked[0] == place else "listed"


def _unknown(memory: Memory, each: list[tuple[str, dict[str, Seen | None]]]) -> None:
    said: Counter[Standing] = Counter()
    for place, (source, known) in enumerate(each):
        for how in ("itself", "JPEG 85"):
            file = known[how]
            if file is None:
                continue
            standing, ranked = memory.ask(file, without=place)
            said[standing] += 1
            if standing is Standing.RECOGNISED:
                print(f"    taken though unknown: {how} of {source} for {each[ranked[0]][0]}")
    total = max(1, said.total())
    print(
        f"looked up while unknown ({total}): unknown {100 * said[Standing.UNKNOWN] / total:.2f} %, "
        f"asked {100 * said[Standing.CHOOSE] / total:.2f} %, TAKEN {100 * said[Standing.RECOGNISED] / total:.2f} % "
        f"({said[Standing.RECOGNISED]})"
    )


@contextlib.contextmanager
def _database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="identify-") as place:
        cluster = Cluster(Path(place), durable=False)
        cluster.ensure_running()
        try:
            with psycopg.connect(cluster.superuser_url("postgres"), autocommit=True) as connection:
                connection.execute("create database memory owner memoryd_owner")
            with psycopg.connect(cluster.superuser_url("memory"), autocommit=True) as connection:
                connection.execute("create extension if not exists vector schema public")
            owner = cluster.owner_url("memory")
            ensure_farm_role(owner)
            upgrade_schema(owner, line="farm", schema="farm", role="memoryd_farm")
            add_tenant(owner, "default", "Default studio")
            database = Database(cluster.server_url("memory"))
            yield database
            database.close()
        finally:
            cluster.destroy()


def time_search(amounts: list[int]) -> None:
    """Print how long the exhaustive search takes among so many assets."""
    from memoryd.access import directory

    with _database() as database:
        with database.farm_work() as session:
            scope = directory.find_tenant(session, "default")
        chance = random.Random(1)
        known = 0
        for amount in sorted(amounts):
            for first in range(known, amount, FILLED_AT_ONCE):
                with database.tenant_work(scope) as session:
                    _fill(session, first, min(amount, first + FILLED_AT_ONCE))
            known = amount
            _settle(database, scope)
            took: dict[str, list[float]] = {}
            # By turns, since whoever comes first after so much was written waits for the database's own work on it.
            for words, codes in (("a picture, mirrored too", 2), ("a film: two frames, mirrored too", 4)) * 6:
                taken = tuple(
                    TakenFingerprint(
                        recipe=FINGERPRINT_RECIPE,
                        frame=n // 2,
                        mirrored=bool(n % 2),
                        code=chance.randbytes(32),
                        telling=True,
                    )
                    for n in range(codes)
                )
                shown = Shown(sha256=chance.randbytes(32), fingerprints=taken)
                with database.tenant_work(scope) as session:
                    began = time.perf_counter()
                    identify(session, shown)
                    took.setdefault(words, []).append(time.perf_counter() - began)
            for words, seconds in took.items():
                say(f"{amount:,} assets, {words}", f"{1000 * min(seconds):.0f} ms")
                print("   ", " ".join(f"{1000 * each:.0f}" for each in seconds))


def _fill(session: object, known: int, amount: int) -> None:
    from sqlalchemy import text

    session.execute(  # type: ignore[attr-defined]
        text(
            """
            with made as (
                insert into asset (id, sha256, size, kind, media_type, made_at, made_source, root_id)
                select id, sha256(cast(n as text)::bytea), 1, 'image', 'image/png', now(), 'file_time', id
                from (select n, gen_random_uuid() as id from generate_series(cast(:known as int) + 1, :amount) n) each
                returning id
            )
            insert into fingerprint (asset_id, recipe, mirrored, frame, code, bands)
            select id, :recipe, mirrored, 0, sha256(cast(id as text)::bytea || cast(cast(mirrored as text) as bytea)), '{1}'
            from made cross join (values (false), (true)) turned (mirrored)
            """
        ),
        {"known": known, "amount": amount, "recipe": FINGERPRINT_RECIPE},
    )


def _settle(database: Database, scope: object) -> None:
    from sqlalchemy import text

    with database.tenant_work(scope) as session:  # type: ignore[arg-type]
        session.execute(text("analyze fingerprint"))
        session.execute(text("analyze asset"))
        # What was just written is marked as such by whoever reads it first.
        session.execute(text("select count(*), count(code) from fingerprint"))


def main() -> int:
    """Measure, and print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pictures", type=Path, nargs="*", default=[])
    asked.add_argument("--limit", type=int, default=2_000)
    asked.add_argument("--painted", type=int, default=100)
    asked.add_argument("--codes", type=int, nargs="*", default=[100_000, 1_000_000])
    given = asked.parse_args()
    if given.painted:
        measure("painted", list(range(given.painted)))
    for folder in given.pictures:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
        if len(files) > given.limit:
            files = sorted(random.Random(1).sample(files, given.limit))
        measure(folder.name, list(files))
    if given.codes:
        time_search(given.codes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
