"""Packages that were edited after they were installed are named, whatever their version says."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from memoryd.worker import changed_packages as looking
from memoryd.worker.changed_packages import changed_packages


def install(place: Path, name: str, files: dict[str, str]) -> Path:
    rows = []
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(content)}\n")
    record = place / f"{name}-1.0.dist-info" / "RECORD"
    record.parent.mkdir(parents=True)
    record.write_text("".join(rows) + f"{name}-1.0.dist-info/RECORD,,\n")
    for path in files:
        os.utime(place / path, (1, 1))
    return place


def test_only_what_was_changed_is_named(tmp_path: Path) -> None:
    install(tmp_path, "One_Package", {"one/a.py": "a = 1\n", "one/b.py": "b = 1\n"})
    install(tmp_path, "other", {"other.py": "x\n"})
    assert changed_packages([tmp_path]) == {}
    os.utime(tmp_path / "one/a.py")
    assert changed_packages([tmp_path]) == {}, "touched, and the same"
    (tmp_path / "one/a.py").write_text("a = 2\n")
    os.utime(tmp_path / "one/a.py", (2**31, 2**31))
    found = changed_packages([tmp_path])
    assert found is not None
    assert list(found) == ["one-package"], "changed, at an equal size"
    (tmp_path / "one/a.py").write_text("a = 33\n")
    assert changed_packages([tmp_path]) != found
    (tmp_path / "one/a.py").write_text("a = 1\n")
    (tmp_path / "other.py").unlink()
    assert list(changed_packages([tmp_path]) or {}) == ["other"]


def test_a_record_that_is_no_record_says_nothing(tmp_path: Path) -> None:
    install(tmp_path, "one", {"one.py": "x\n"})
    (tmp_path / "one-1.0.dist-info" / "RECORD").write_bytes(
        b'\xff\x00"\n../../etc/passwd,sha256=x,1\n/etc/passwd,sha256=x,1\n'
    )
    assert changed_packages([tmp_path, tmp_path / "missing"]) == {}


def test_what_takes_too_long_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "one", {"one.py": "x\n"})
    monkeypatch.setattr(looking, "LOOK_LIMIT_S", -1.0)
    assert changed_packages([tmp_path]) is None
