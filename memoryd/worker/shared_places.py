"""Which folders several workers see as one: the same folder of a running machine, a network share, or one with a marker.

The name of such a place is the same for every worker that sees it, and says nothing about it: it is a SHA-256.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from pathlib import Path
from typing import Literal

MARKER = ".memoryd-place"
"""A file in a folder whose text names it: for shares that machines mount under different names. Anything unique will do."""

MARKER_LIMIT = 200
"""Bytes of a marker that count."""

SAMPLE = 64 * 1024
"""Bytes at the beginning, in the middle and at the end that a sample is made of: the header, and weights."""

NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "ceph",
        "fuse.ceph",
        "lustre",
        "beegfs",
        "gpfs",
        "glusterfs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "fuse.juicefs",
        "fuse.weka",
        "wekafs",
        "afs",
        "orangefs",
        "fuse.s3fs",
        "fuse.mount-s3",
        "fuse.rclone",
        "fuse.gcsfuse",
    }
)
"""File systems whose source names a place on the network: two machines that mount the same source see the same files.
Not 9p and virtiofs: their source is a word that each virtual machine's host chooses."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of /proc/self/mountinfo. `root` is the folder of the file system that lies at `point`."""

    root: str
    point: str
    type: str
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder by the name (64 hexadecimal digits) under which every worker that sees it knows it.

    `kind`: `marker`, `share`, or `local`, whose name is another after the machine was started anew.
    """

    key: str
    kind: Literal["marker", "share", "local"]


def place_of(directory: Path) -> str | None:
    """Return the key of the place that a folder is, None where that cannot be told."""
    place = see_place(directory)
    return None if place is None else place.key


def see_place(directory: Path) -> Place | None:
    """Return which place a folder is.

    None where that cannot be told: the folder is not there, or this system does not say what is mounted.
    """
    try:
        real = directory.resolve(strict=True)
        marker = _marker(real)
        if marker is not None:
            return _name("marker", marker)
        mount = _mount_of(real, _mounts())
        if mount is not None and mount.type in NETWORK_TYPES:
            below = os.path.relpath(real, mount.point)
            share = os.path.normpath(f"{mount.source}/{mount.root}/{below}")
            return _name("share", mount.type.rstrip("4"), share)
        status = real.stat()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    # Device and inode name a folder of one running kernel: containers on it that mount the folder find the same.
    return _name("local", boot, str(status.st_dev), str(status.st_ino))


def sample_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's size and some of its bytes: what two files of one size and time hardly share.

    Raises: OSError.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(str(size).encode())
        for start in (0, max(0, size // 2 - SAMPLE // 2), max(0, size - SAMPLE)):
            file.seek(start)
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def read_mounts(text: str) -> list[Mount]:
    """Return the mounts that the text of /proc/self/mountinfo names, in its order.

    Source: proc_pid_mountinfo(5): `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`.
    """
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if len(fields) >= 6 and len(types) >= 2:
            found.append(Mount(root=_plain(fields[3]), point=_plain(fields[4]), type=types[0], source=_plain(types[1])))
    return found


def _mounts() -> list[Mount]:
    return read_mounts(Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"))


def _mount_of(real: Path, mounts: list[Mount]) -> Mount | None:
    # Of two mounts at one point the later hides the earlier.
    holding = [mount for mount in mounts if real.is_relative_to(mount.point)]
    return max(reversed(holding), key=lambda mount: len(mount.point), default=None)


def _plain(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _marker(directory: Path) -> str | None:
    try:
        with (directory / MARKER).open("rb") as file:
            return file.read(MARKER_LIMIT).decode("utf-8", "replace").strip() or None
    except OSError:
        return None


def _name(kind: Literal["marker", "share", "local"], *parts: str) -> Place:
    spelled = "\0".join((kind, *parts)).encode("utf-8", "surrogateescape")
    return Place(key=hashlib.sha256(spelled).hexdigest(), kind=kind)
