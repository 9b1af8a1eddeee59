"""The sources of a node pack in one file that is always equal for equal files, and the hash that names them.

A plain tar (ustar, or pax for long names): sorted, without times and owners, unpacked nowhere by the server. Written by a
worker, checked by whoever takes it in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from memoryd.foundation.errors import NotAcceptable, TooLarge

ARCHIVE_LIMIT = 64 * 2**20
"""Bytes of an archive. Large packs, with their fonts and examples, take 30 MB."""
FILES_LIMIT = 20_000
"""Files of a tree, and of an archive."""
FILE_LIMIT = 32 * 2**20
"""Bytes of one source file; the largest of ComfyUI's own are vocabularies of 7 MB."""

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".onnx", ".gguf", ".sft", ".engine", ".trt", ".npz", ".h5")
"""Ends of the names of model files, which are pinned by their own hashes and never part of a tree."""


class BadArchive(NotAcceptable):
    """This is no archive of a node pack's sources."""


class ArchiveTooLarge(TooLarge):
    """The sources of this node pack are too many."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of a tree: its path with `/`, where its bytes lie or, of a symbolic link, where it points."""

    path: str
    place: Path
    executable: bool = False
    link: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What an archive holds. `tree`: lower hex, as environments name it."""

    tree: str
    files: int


def tree_line(path: str, content: bytes, *, link: bool) -> bytes:
    """Return what one file adds to the hash of its tree, which is the SHA-256 over all of them, sorted by path."""
    kind = b"link" if link else b"file"
    return b"%s %s %s\n" % (kind, hashlib.sha256(content).hexdigest().encode(), os.fsencode(path))


def write_archive(members: Iterable[Member], target: BinaryIO) -> str:
    """Write the archive of a tree, and return the tree's hash as it was written. `members` are sorted by path.

    Raises: ArchiveTooLarge; OSError for a file that cannot be read.
    """
    tree, left = hashlib.sha256(), ARCHIVE_LIMIT
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            content = os.fsencode(member.link) if member.link is not None else member.place.read_bytes()
            left -= len(content) + tarfile.BLOCKSIZE
            if left < 0 or len(content) > FILE_LIMIT:
                raise ArchiveTooLarge(f"at {member.path}", hint=f"at most {ARCHIVE_LIMIT} bytes (ARCHIVE_LIMIT)")
            archive.addfile(*_header(member, content))
            tree.update(tree_line(member.path, content, link=member.link is not None))
    return tree.hexdigest()


def _header(member: Member, content: bytes) -> tuple[tarfile.TarInfo, BinaryIO]:
    header = tarfile.TarInfo(member.path)
    header.mode = 0o755 if member.executable else 0o644
    if member.link is not None:
        header.type, header.linkname = tarfile.SYMTYPE, member.link
    else:
        header.size = len(content)
    return header, io.BytesIO(content)


def check_archive(archive: BinaryIO) -> Checked:
    """Return what an archive holds; nothing is unpacked. Raises: BadArchive; ArchiveTooLarge."""
    tree, files, before = hashlib.sha256(), 0, b""
    try:
        with tarfile.open(fileobj=archive, mode="r:") as read:
            for header in read:
                files += 1
                if files > FILES_LIMIT or header.size > FILE_LIMIT:
                    raise ArchiveTooLarge(header.name, hint=f"at most {FILES_LIMIT} files of {FILE_LIMIT} bytes")
                path = _checked_path(header.name)
                if os.fsencode(path) <= before:
                    raise _bad(f"{path} is not in its place")
                before = os.fsencode(path)
                tree.update(tree_line(path, _content(read, header), link=header.issym()))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _bad(str(error)) from error
    return Checked(tree=tree.hexdigest(), files=files)


def _content(read: tarfile.TarFile, header: tarfile.TarInfo) -> bytes:
    if header.issym():
        target = PurePosixPath(header.linkname)
        if target.is_absolute() or ".." in target.parts:
            raise _bad(f"{header.name} points outside")
        return os.fsencode(header.linkname)
    # A sparse file of a few bytes would unpack to as many as it says.
    file = read.extractfile(header) if header.isreg() and not header.issparse() else None
    if file is None:
        raise _bad(f"{header.name} is no file")
    return file.read()


def _checked_path(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or ".git" in path.parts or str(path) != name:
        raise _bad(f"the path {name[:200]!r}")
    if name.lower().endswith(WEIGHTS):
        raise _bad(f"{name[:200]} is a model file")
    return name


def _bad(detail: str) -> BadArchive:
    return BadArchive(detail, hint="a worker of this version makes them: `memoryd worker --keep-node-packs`")
