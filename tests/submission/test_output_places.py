"""Names from graphs and people, as folders and files."""

from __future__ import annotations

import datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.submission import output_places

AT = datetime.datetime(2026, 11, 21, 23, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-2)))
HOSTILE = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        ["..", ".", "", "../..", "/etc/passwd", "C:\\x", "con", "COM1.txt", "a\x00b", ".hidden", "é" * 200]
    ),
)


@settings(max_examples=150, deadline=None)
@given(project=HOSTILE, workflow=HOSTILE)
def test_a_folder_never_leaves_the_outputs(project: str, workflow: str) -> None:
    home = Path("/home/studio")
    folder = output_places.folder_for(home, tenant="default", project=project, workflow=workflow, at=AT)
    assert folder.is_relative_to(home / "outputs" / "default")
    parts = folder.relative_to(home / "outputs" / "default").parts
    assert len(parts) == 3
    assert parts[1] == "2026-11-22"
    assert all(part not in ("", ".", "..") and len(part.encode()) <= output_places.PART_LIMIT for part in parts)


@settings(max_examples=30, deadline=None)
@given(filename=HOSTILE)
def test_a_file_lands_in_its_folder_whatever_it_is_called(filename: str, tmp_path_factory: object) -> None:
    base = Path(tmp_path_factory.mktemp("outputs"))  # type: ignore[attr-defined]
    source = base / "source"
    source.write_bytes(b"bytes")
    written = output_places.write_copy(source, base / "folder", filename)
    assert written.parent == base / "folder"
    assert written.read_bytes() == b"bytes"
    assert list((base / "folder").iterdir()) == [written]


def test_a_name_that_is_taken_gets_a_number_and_nothing_is_replaced(tmp_path: Path) -> None:
    written = []
    for content in (b"first", b"second", b"third"):
        (tmp_path / "source").write_bytes(content)
        written.append(output_places.write_copy(tmp_path / "source", tmp_path / "out", "hero.png"))
    assert [path.name for path in written] == ["hero.png", "hero (1).png", "hero (2).png"]
    assert [path.read_bytes() for path in written] == [b"first", b"second", b"third"]
    assert written[0].stat().st_nlink == 1
    assert output_places.location_of(written[0]).size == 5
