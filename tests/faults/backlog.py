"""kill -9 while 10,000 files are taken in, twenty times at random moments; and a root unmounted in the middle of it.

Run: `make faults`. After each kill the same is asked again, as a person would; at the end exactly the files' set is
recorded, each once. Then a watched file system is unmounted while files are read from it, and mounted again: nothing is
lost, and nothing was told to be gone. Prints `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from studio import RECOVERY_WAIT_S, SETTLE_WAIT_S, Studio, picture, studio, until

from memoryd.foundation.errors import MemorydError

FILES = 10_000
KILLS = 20
MOUNTED_FILES = 2_000
FIRST_NUMBER = 1_000_000
VICTIMS = ("serve", "postgres", "serve", "watch")
"""The server reads the backlog: it dies most often."""


def write_backlog(folder: Path, count: int) -> set[bytes]:
    """Write small pictures, none equal to another; return their SHA-256."""
    digests: set[bytes] = set()
    for number in range(count):
        place = folder / f"{number // 500:03}"
        place.mkdir(parents=True, exist_ok=True)
        content = picture(FIRST_NUMBER + number)
        (place / f"backlog_{number:05}_.png").write_bytes(content)
        digests.add(hashlib.sha256(content).digest())
    return digests


def recorded(one: Studio) -> list[bytes]:
    """Return the contents in the memory."""
    return [bytes.fromhex(asset["face"]["sha256"]) for asset in one.assets()]


def ask(one: Studio, folder: Path) -> str:
    """Ask for the folder to be taken in, as often as it takes until somebody answers."""
    deadline = time.monotonic() + RECOVERY_WAIT_S
    while True:
        try:
            return str(one.client().post("/ingests", json={"paths": [str(folder)]})["id"])
        except MemorydError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def ended(one: Studio, run: str) -> bool:
    """Tell whether a run is over, however it ended; one that the server no longer knows is."""
    try:
        return one.client().get(f"/ingests/{run}")["state"] not in ("looking", "reading")
    except MemorydError as error:
        return error.status == 404


def kill_in_the_middle(one: Studio, folder: Path, kills: int, dice: random.Random) -> int:
    """Take the folder in under fire; return how many kills met a run that was going on."""
    met = 0
    for number in range(kills):
        run = ask(one, folder)
        time.sleep(dice.uniform(0.05, 1.5))
        going = False
        with contextlib.suppress(MemorydError):
            going = not ended(one, run)
        met += one.kill(VICTIMS[number % len(VICTIMS)]) and going
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--kills", type=int, default=KILLS)
    asked = parser.parse_args()
    passed = failed = 0

    def check(name: str, holds: bool, detail: str = "") -> None:
        nonlocal passed, failed
        passed, failed = passed + holds, failed + (not holds)
        print(f"{'ok  ' if holds else 'FAIL'} {name} {detail}", flush=True)

    with studio() as one:
        one.client()
        folder = one.place / "backlog"
        written = write_backlog(folder, asked.files)
        met = kill_in_the_middle(one, folder, asked.kills, random.Random(33))
        check("every kill was made, and most met the reading", met >= 1, f"({met} of {asked.kills} met a run)")
        run = ask(one, folder)
        check("the last asking comes to its end", until(lambda: ended(one, run), 2 * SETTLE_WAIT_S))
        found = recorded(one)
        check("exactly the files' set is recorded", set(found) == written, f"({len(set(found))} of {len(written)})")
        check("nothing is there twice", len(found) == len(set(found)))
        doctor = one.command("doctor")
        check("doctor finds nothing wrong", doctor.returncode == 0, doctor.stdout[-400:] if doctor.returncode else "")
        trail = one.command("audit", "verify")
        check("the audit trail verifies", trail.returncode == 0, trail.stdout[-400:] if trail.returncode else "")
    unmount_in_the_middle(check)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def unmount_in_the_middle(check: object) -> None:
    """Unmount a watched file system while its files are read, and mount it again."""
    assert callable(check)
    with studio() as one:
        client = one.client()
        disk, mounted = one.place / "disk", one.place / "mounted"
        disk.mkdir()
        mounted.mkdir()
        if os.geteuid() != 0 or not _mount(disk, mounted):
            print("left out: a file system can be mounted by root only", flush=True)
            return
        try:
            written = write_backlog(mounted, MOUNTED_FILES)
            client.post("/roots", json={"path": str(mounted)})
            until(lambda: len(recorded(one)) >= MOUNTED_FILES // 10, RECOVERY_WAIT_S)
            subprocess.run(["umount", "--lazy", str(mounted)], check=True)
            before = set(recorded(one))
            check("some files were read when the root went away", 0 < len(before) <= len(written), f"({len(before)})")
            offline = until(lambda: _state(one, mounted) == "offline", RECOVERY_WAIT_S)
            check("the root is told to be offline", offline)
            missing = one.client().get("/assets", q="is:missing", limit=1)["items"]
            check("no file is told to be gone", not missing)
            _mount(disk, mounted)
            back = until(lambda: set(recorded(one)) == written, SETTLE_WAIT_S)
            check("mounted again, every file is recorded", back, f"({len(set(recorded(one)))} of {len(written)})")
            check("and the root is online", until(lambda: _state(one, mounted) == "online", RECOVERY_WAIT_S))
        finally:
            subprocess.run(["umount", "--lazy", str(mounted)], check=False, capture_output=True)


def _mount(disk: Path, mounted: Path) -> bool:
    # A bind mount: what lies on it is there again when it comes back, as a network share's files are.
    return (
        subprocess.run(["mount", "--bind", str(disk), str(mounted)], check=False, capture_output=True).returncode == 0
    )


def _state(one: Studio, folder: Path) -> str:
    with contextlib.suppress(MemorydError):
        roots = one.client().get("/roots")["items"]
        return next((root["state"] for root in roots if root["path"] == str(folder)), "")
    return ""


if __name__ == "__main__":
    sys.exit(main())
