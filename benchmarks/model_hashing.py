"""How fast model files are known: hashed beside `sha256sum`, and a share of 100,000 files scanned again.

    python benchmarks/model_hashing.py [--quick] [--only NAME ...] [--json FILE]

    stream    one file at a time: hash_file beside `sha256sum` and `openssl dgst -sha256`, the best of each, in turns
    parallel  as many files at once as there are cores, beside as many `sha256sum`
    aliases   the same with AutoV3 and BLAKE3 from the same reading
    ways      other ways of reading, for the choice of the one in use: buffers of other sizes, a thread that reads, mmap
    rescan    a share of 100,000 small files, unchanged: listing and comparing alone, and `models scan` against a server

Files are random (no file system makes them smaller), lie in a temporary folder (--folder names another disk), and are
read from the page cache after the first time: what is compared is hashing, not the disk. Every figure is printed with
its target, and every question with what the machine was doing meanwhile.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import mmap
import os
import platform
import queue
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from queue_measures import places
from queue_measures.figures import Figure, Machine, watched
from queue_measures.places import Place

from memoryd.model_registry.facts import PresentName
from memoryd.model_registry.scanning import scan, survey_folder
from memoryd.weights.hashing import hash_file

STREAM_TARGET = 0.9
"""Of the speed of `sha256sum`, per stream and for all cores together."""
RESCAN_TARGET_S = 5.0
FILES = 100_000
FILES_OF_FOLDER = 250
TIMES = 3


def made(folder: Path, number: int, size: int) -> Path:
    """Return a safetensors file of random bytes behind an empty header."""
    path = folder / f"weights-{number}.safetensors"
    if not path.exists():
        with path.open("wb") as file:
            file.write(struct.pack("<Q", 2) + b"{}")
            for _ in range(0, size, 16 * 2**20):
                file.write(os.urandom(16 * 2**20))
    return path


def best(work: Callable[[], object]) -> float:
    """Return the least seconds of TIMES runs."""
    spent = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def told_by(*command: str | Path) -> None:
    """Run a command, its words away."""
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def at_once(work: Callable[[Path], object], paths: list[Path]) -> None:
    """Do it for all files at once."""
    with ThreadPoolExecutor(len(paths)) as pool:
        list(pool.map(work, paths))


def stream(folder: Path, size: int) -> list[Figure]:
    """One file at a time."""
    path = made(folder, 0, size)
    megabytes = path.stat().st_size / 1e6
    hash_file(path)
    ours = megabytes / best(lambda: hash_file(path))
    theirs = megabytes / best(lambda: told_by("sha256sum", path))
    figures = [
        Figure(name="sha256sum", value=theirs, unit="MB/s"),
        Figure(name="hash_file", value=ours, unit="MB/s"),
        Figure(name="hash_file beside sha256sum", value=ours / theirs, unit="x", target=STREAM_TARGET, least=True),
    ]
    if shutil.which("openssl"):
        # Where coreutils are built with OpenSSL, `sha256sum` is as fast as this.
        fastest = megabytes / best(lambda: told_by("openssl", "dgst", "-sha256", path))
        ratio = ours / fastest
        figures += [
            Figure(name="openssl dgst -sha256", value=fastest, unit="MB/s"),
            Figure(name="hash_file beside openssl", value=ratio, unit="x", target=STREAM_TARGET, least=True),
        ]
    return figures


def parallel(folder: Path, size: int) -> list[Figure]:
    """As many files as cores."""
    paths = [made(folder, number, size) for number in range(max(2, os.cpu_count() or 1))]
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    ours = megabytes / best(lambda: at_once(hash_file, paths))
    theirs = megabytes / best(lambda: at_once(lambda path: told_by("sha256sum", path), paths))
    return [
        Figure(name=f"{len(paths)} sha256sum at once", value=theirs, unit="MB/s"),
        Figure(name=f"{len(paths)} hash_file at once", value=ours, unit="MB/s"),
        Figure(name="beside as many sha256sum", value=ours / theirs, unit="x", target=STREAM_TARGET, least=True),
    ]


def aliases(folder: Path, size: int) -> list[Figure]:
    """With the digests by which other tools name a model."""
    paths = [made(folder, number, size) for number in range(max(2, os.cpu_count() or 1))]
    megabytes = paths[0].stat().st_size / 1e6
    alone = megabytes / best(lambda: hash_file(paths[0]))
    one = megabytes / best(lambda: hash_file(paths[0], aliases=True))
    theirs = megabytes / best(lambda: told_by("sha256sum", paths[0]))
    both = len(paths) * megabytes / best(lambda: at_once(lambda path: hash_file(path, aliases=True), paths))
    each = len(paths) * megabytes / best(lambda: at_once(lambda path: told_by("sha256sum", path), paths))
    return [
        Figure(name="one file with aliases", value=one, unit="MB/s"),
        Figure(name="beside sha256sum", value=one / theirs, unit="x", target=STREAM_TARGET, least=True),
        Figure(name="beside hash_file without them", value=one / alone, unit="x"),
        Figure(name=f"{len(paths)} files at once with aliases", value=both, unit="MB/s"),
        Figure(name="beside as many sha256sum", value=both / each, unit="x", target=STREAM_TARGET, least=True),
    ]


def ways(folder: Path, size: int) -> list[Figure]:
    """Ways of reading, SHA-256 alone."""
    path = made(folder, 0, size)
    megabytes = path.stat().st_size / 1e6
    figures = [Figure(name="as it is", value=megabytes / best(lambda: hash_file(path)), unit="MB/s")]
    for kibibytes in (64, 256, 512, 1024, 4096, 16384):
        spent = best(lambda chunk=kibibytes * 1024: _plainly(path, chunk))  # type: ignore[misc]
        figures.append(Figure(name=f"buffer of {kibibytes} KiB", value=megabytes / spent, unit="MB/s"))
    figures.append(Figure(name="thread that reads ahead", value=megabytes / best(lambda: _ahead(path)), unit="MB/s"))
    figures.append(Figure(name="mmap, sequential", value=megabytes / best(lambda: _mapped(path)), unit="MB/s"))
    return figures


def _plainly(path: Path, chunk: int) -> None:
    digest, buffer = hashlib.sha256(), bytearray(chunk)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(memoryview(buffer)[:count])


def _ahead(path: Path) -> None:
    free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    full: queue.SimpleQueue[tuple[bytearray, int]] = queue.SimpleQueue()
    for _ in range(3):
        free.put(bytearray(256 * 1024))

    def read() -> None:
        with path.open("rb", buffering=0) as file:
            count = 1
            while count:
                buffer = free.get()
                count = file.readinto(buffer)
                full.put((buffer, count))

    threading.Thread(target=read).start()
    digest = hashlib.sha256()
    while True:
        buffer, count = full.get()
        if not count:
            return
        digest.update(memoryview(buffer)[:count])
        free.put(buffer)


def _mapped(path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        mapped.madvise(mmap.MADV_SEQUENTIAL)
        with memoryview(mapped) as view:
            for begin in range(0, len(view), 16 * 2**20):
                digest.update(view[begin : begin + 16 * 2**20])


def rescan(folder: Path, files: int) -> list[Figure]:
    """A share whose files are all known."""
    share = folder / "share"
    header = json.dumps({"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    for number in range(files):
        within = share / "loras" / f"style-{number // FILES_OF_FOLDER:04d}"
        if number % FILES_OF_FOLDER == 0:
            within.mkdir(parents=True)
        content = struct.pack("<Q", len(header)) + header + struct.pack("<Q", number)
        (within / f"lora-{number:06d}.safetensors").write_bytes(content)
    survey = survey_folder(share)
    assert len(survey.files) == files, len(survey.files)
    known = {
        (file.folder, file.path): PresentName(
            folder=file.folder, path=file.path, size=file.size, mtime_ns=file.mtime_ns, sha256=bytes(32)
        )
        for file in survey.files
    }
    alone = best(lambda: list(scan(survey_folder(share).files, known)))
    # A machine that does other things starts slowly, and that is not what is measured.
    places.START_LIMIT_S = 300.0
    place = Place()
    try:
        with place.server():
            first = _command(place, share)
            again = min(_command(place, share) for _ in range(TIMES))
            used = _children_seconds()
            _command(place, share)
            used = _children_seconds() - used
            for number, path in enumerate(sorted(share.rglob("*-0000[0-9][0-9].safetensors"))):
                path.write_bytes(path.read_bytes()[:-8] + struct.pack("<Q", files + number))
            changed = _command(place, share)
    finally:
        place.close()
    return [
        Figure(name=f"{files:,} files listed and compared", value=alone, unit="s"),
        Figure(name="models scan, the first time: hashed, described, recorded", value=first, unit="s"),
        Figure(name="models scan again, unchanged", value=again, unit="s", target=RESCAN_TARGET_S),
        Figure(name="of that, processor time of the command", value=used, unit="s"),
        Figure(name="models scan again, 100 files changed", value=changed, unit="s", target=RESCAN_TARGET_S),
    ]


def _command(place: Place, share: Path) -> float:
    began = time.perf_counter()
    process = place.start("models", "scan", str(share))
    if process.wait() != 0:
        raise SystemExit(f"models scan failed: {(place.folder / 'log').read_text()[-2000:]}")
    return time.perf_counter() - began


def _children_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: a look, no verdict")
    parser.add_argument("--only", nargs="+", choices=sorted(MEASURES), metavar="NAME", help="only these questions")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="make the files here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    found: dict[str, tuple[list[Figure], Machine]] = {}
    folder = Path(tempfile.mkdtemp(prefix="memoryd-hashing-", dir=asked.folder))
    try:
        for name in [name for name in MEASURES if asked.only is None or name in asked.only]:
            measure, amount, quick_amount = MEASURES[name]
            print(name, flush=True)
            with watched() as machine:
                figures = measure(folder, quick_amount if asked.quick else amount)
            for line in (*(figure.line() for figure in figures), machine.line()):
                print(line, flush=True)
            found[name] = (figures, machine)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    judged = [figure for figures, _ in found.values() for figure in figures if figure.holds is not None]
    missed = [figure.name for figure in judged if not figure.holds]
    print(f"{len(judged) - len(missed)} targets hold, {len(missed)} missed{': ' if missed else ''}{'; '.join(missed)}")
    if asked.json:
        machine_told = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        questions = {
            name: {
                "figures": [{**dataclasses.asdict(figure), "holds": figure.holds} for figure in figures],
                "machine": dataclasses.asdict(share),
            }
            for name, (figures, share) in found.items()
        }
        document = {"benchmark": "model_hashing", "quick": asked.quick, "machine": machine_told, "questions": questions}
        asked.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


GIGABYTE = 2**30
MEASURES: dict[str, tuple[Callable[[Path, int], list[Figure]], int, int]] = {
    "stream": (stream, 2 * GIGABYTE, GIGABYTE // 4),
    "parallel": (parallel, 2 * GIGABYTE, GIGABYTE // 4),
    "aliases": (aliases, 2 * GIGABYTE, GIGABYTE // 4),
    "ways": (ways, 2 * GIGABYTE, GIGABYTE // 4),
    "rescan": (rescan, FILES, 2_000),
}
"""Each with its amount, and the one of a quick look."""


if __name__ == "__main__":
    sys.exit(main())
