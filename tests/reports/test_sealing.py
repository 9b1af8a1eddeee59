from __future__ import annotations

from pathlib import Path

import pytest

from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import Anchors, SigningIdentity
from memoryd.disclosure.sealing import seal
from memoryd.reports.sealing import ReportNotFound, verify_report

CONTENT = b'{"assets":[],"format":"memoryd.lineage-report/1"}\n'


def test_a_report_without_its_signature_says_what_is_missing(tmp_path: Path, anchors: Anchors) -> None:
    (tmp_path / "a.json").write_bytes(CONTENT)
    with pytest.raises(ReportNotFound, match=r"a\.json\.sig"):
        verify_report(tmp_path / "a.json", anchors)


def test_files_are_verified_beside_each_other(tmp_path: Path, identity: SigningIdentity, anchors: Anchors) -> None:
    (tmp_path / "a.json").write_bytes(CONTENT)
    (tmp_path / "a.json.sig").write_bytes(seal(CONTENT, identity))
    assert verify_report(tmp_path / "a.json", anchors).state is SealState.INTACT
