"""Archives of sources come from machines that are not ours: whatever else is in one is refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from memoryd.comfyui import source_archive
from memoryd.comfyui.source_archive import ArchiveTooLarge, BadArchive, Member, check_archive, write_archive


def archive(*headers: tarfile.TarInfo) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as written:
        for header in headers:
            written.addfile(header, io.BytesIO(b"x" * header.size) if header.isreg() else None)
    target.seek(0)
    return target


def named(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, link
    return header


@pytest.mark.parametrize(
    "made",
    [
        lambda: io.BytesIO(b"no tar at all" * 100),
        lambda: archive(named("../up.py")),
        lambda: archive(named("/etc/passwd")),
        lambda: archive(named("a/../../b.py")),
        lambda: archive(named("a/.git/hooks/x.py")),
        lambda: archive(named("device", kind=tarfile.CHRTYPE)),
        lambda: archive(named("hard", kind=tarfile.LNKTYPE, link="/etc/passwd")),
        lambda: archive(named("link", kind=tarfile.SYMTYPE, link="/etc/passwd")),
        lambda: archive(named("link", kind=tarfile.SYMTYPE, link="../../x")),
        lambda: archive(named("folder", kind=tarfile.DIRTYPE)),
        lambda: archive(named("b.py"), named("a.py")),
        lambda: archive(named("a.py"), named("a.py")),
        lambda: archive(named("model.safetensors")),
    ],
)
def test_what_is_no_plain_tree_is_refused(made: Callable[[], io.BytesIO]) -> None:
    with pytest.raises(BadArchive):
        check_archive(made())


def test_too_many_and_too_large_files_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(source_archive, "FILES_LIMIT", 2)
    with pytest.raises(ArchiveTooLarge):
        check_archive(archive(named("a"), named("b"), named("c")))
    (tmp_path / "a.py").write_bytes(b"x" * 5_000)
    monkeypatch.setattr(source_archive, "ARCHIVE_LIMIT", 4_000)
    with pytest.raises(ArchiveTooLarge):
        write_archive([Member(path="a.py", place=tmp_path / "a.py")], io.BytesIO())
