"""Copies of files that share nothing with their source that a later write could change."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from typing import BinaryIO

_FICLONE = 0x40049409
"""Make a file share another's extents until one of them is written. Source: ioctl_ficlone(2), linux/fs.h."""

COPY_CHUNK = 8 * 1024 * 1024
HASH_CHUNK = 1024 * 1024

_CANNOT_HERE = {
    errno.EXDEV,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EPERM,
    errno.EACCES,
    errno.EBADF,
    errno.ETXTBSY,
    errno.EISDIR,
}
"""Answers that say "not on this file system", after which the next way is tried; a full disk is none of them."""


def copy_bytes(source: BinaryIO, target: BinaryIO) -> None:
    """Copy a whole open file: as a reflink where the file system can, inside the kernel where it can, else by hand.

    Never a hard link: a program that rewrites the source in place would rewrite the copy. Raises: OSError.
    """
    source_fd, target_fd = source.fileno(), target.fileno()
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as error:
        if error.errno not in _CANNOT_HERE:
            raise
    else:
        return
    os.lseek(source_fd, 0, os.SEEK_SET)
    try:
        while os.copy_file_range(source_fd, target_fd, COPY_CHUNK):
            pass
    except OSError as error:
        if error.errno not in _CANNOT_HERE:
            raise
        _copy_by_hand(source_fd, target_fd)
    else:
        # Some file systems (FUSE, procfs) report their files as empty to the kernel's copy and read on by hand.
        _copy_by_hand(source_fd, target_fd)


def _copy_by_hand(source_fd: int, target_fd: int) -> None:
    while chunk := os.read(source_fd, COPY_CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target_fd, view) :]


def hash_open_file(file: BinaryIO) -> tuple[bytes, int]:
    """Return SHA-256 (32 bytes) and size of an open file, read from its start; its position is at the end afterwards."""
    file.seek(0)
    digest, size, buffer = hashlib.sha256(), 0, bytearray(HASH_CHUNK)
    view = memoryview(buffer)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]  # every binary file has it, the protocol does not
        digest.update(view[:count])
        size += count
    return digest.digest(), size
