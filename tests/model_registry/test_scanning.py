"""What model files a folder has."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from memoryd.model_registry import scanning
from memoryd.model_registry.facts import Observation, PresentName, ScanProgress
from memoryd.model_registry.scanning import ModelsFolderMissing, Survey, gone_names, is_batch_full, scan, survey_folder
from tests.model_registry.conftest import write_model

NAMES = {("checkpoints", "base.safetensors"), ("loras", "style/ink.safetensors"), ("upscale_models", "4x.pth")}


def names(survey: Survey) -> set[tuple[str, str]]:
    return {(file.folder, file.path) for file in survey.files}


def known_after(seen: list[Observation]) -> dict[tuple[str, str], PresentName]:
    return {
        (o.folder, o.path): PresentName(folder=o.folder, path=o.path, size=o.size, mtime_ns=o.mtime_ns, sha256=o.sha256)
        for o in seen
    }


def test_the_role_is_the_first_folder_wherever_one_points(models: Path) -> None:
    for named in (models.parent, models):
        survey = survey_folder(named)
        assert (survey.root, names(survey)) == (models, NAMES)
    survey = survey_folder(models / "loras")
    assert (survey.root, names(survey)) == (models, {("loras", "style/ink.safetensors")})


def test_files_without_a_role_have_none(tmp_path: Path) -> None:
    write_model(tmp_path / "archive" / "old.safetensors")
    (tmp_path / "archive" / "notes.txt").touch()
    write_model(tmp_path / "archive" / ".hidden" / "cache.safetensors")
    assert names(survey_folder(tmp_path / "archive")) == {("", "old.safetensors")}


def test_a_folder_that_is_not_there_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ModelsFolderMissing) as missing:
        survey_folder(tmp_path / "nas")
    assert "connected" in str(missing.value.hint)


def test_links_are_followed_and_circles_are_not(models: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "nas" / "far.safetensors")
    (models / "loras" / "nas").symlink_to(tmp_path / "nas")
    (models / "loras" / "style" / "round").symlink_to(models / "loras")
    (models / "loras" / "dangling.safetensors").symlink_to(tmp_path / "nowhere")
    survey = survey_folder(models)
    assert names(survey) == NAMES | {("loras", "nas/far.safetensors")}
    assert [finding.code for finding in survey.findings] == ["model-unreadable"]


def test_names_that_cannot_be_stored_are_findings(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(Path(os.fsdecode(os.fsencode(models) + b"/loras/\xff.safetensors")))
    survey = survey_folder(models)
    assert ("loras", "\ufffd.safetensors") in names(survey)
    assert [finding.code for finding in survey.findings] == ["name-not-utf8"]
    monkeypatch.setattr(scanning, "NAME_LIMIT", len(os.fsencode(models)) + 24)
    assert "name-too-long" in {finding.code for finding in survey_folder(models).findings}


def test_what_is_seen_is_hash_kind_and_licence(models: Path) -> None:
    by_folder = {seen.folder: seen for seen in scan(survey_folder(models).files, {})}
    lora = by_folder["loras"]
    assert lora.sha256 == hashlib.sha256((models / "loras" / "style" / "ink.safetensors").read_bytes()).digest()
    assert (lora.facts.kind, lora.facts.licence) == ("lora", "CC-BY-4.0")
    assert by_folder["checkpoints"].facts.licence is None
    assert by_folder["upscale_models"].facts.kind == "upscaler"


def test_unchanged_files_are_passed_over_and_unread_ones_are_not(models: Path) -> None:
    first = list(scan(survey_folder(models).files, {}))
    known = known_after(first)
    assert list(scan(survey_folder(models).files, known)) == []
    changed = write_model(models / "checkpoints" / "base.safetensors", modelspec__title="Bass")
    unread = ("upscale_models", "4x.pth")
    known[unread] = PresentName(
        folder=unread[0], path=unread[1], size=known[unread].size, mtime_ns=known[unread].mtime_ns, sha256=None
    )
    again = list(scan(survey_folder(models).files, known))
    assert {(seen.folder, seen.path) for seen in again} == {("checkpoints", changed.name), unread}


def test_progress_ends_at_the_total(models: Path) -> None:
    told: list[ScanProgress] = []
    seen = list(scan(survey_folder(models).files, {}, on_progress=told.append))
    assert (told[-1].files_done, told[-1].bytes_done) == (3, told[-1].bytes_total)
    told.clear()
    list(scan(survey_folder(models).files, known_after(seen), on_progress=told.append))
    assert [progress.files_done for progress in told] == [3]
    assert told[-1].bytes_done == told[-1].bytes_total


def test_an_interrupted_scan_keeps_what_it_saw(models: Path) -> None:
    files = survey_folder(models).files
    stop_at = files[1].path

    def interrupt(progress: ScanProgress) -> None:
        if progress.current == stop_at:
            raise KeyboardInterrupt

    kept: list[Observation] = []
    with pytest.raises(KeyboardInterrupt):
        # list.extend keeps what came before the interruption.
        kept.extend(scan(files, {}, on_progress=interrupt))
    assert [seen.path for seen in kept] == [files[0].path]
    rest = list(scan(files, known_after(kept)))
    assert len(rest) == 2


def test_a_file_that_vanishes_or_is_being_written_is_seen_without_hash(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = survey_folder(models)
    (models / "upscale_models" / "4x.pth").unlink()
    by_folder = {seen.folder: seen for seen in scan(survey.files, {})}
    assert by_folder["upscale_models"].sha256 is None
    assert [finding.code for finding in by_folder["upscale_models"].facts.findings] == ["model-unreadable"]
    assert by_folder["loras"].sha256 is not None


def test_gone_is_what_is_missing_where_something_is_left(models: Path) -> None:
    known = known_after(list(scan(survey_folder(models).files, {})))
    (models / "upscale_models" / "4x.pth").unlink()
    (models / "loras" / "style" / "ink.safetensors").unlink()
    # The empty folder looks like a disk that is not mounted; the other still has its placeholder.
    assert gone_names(survey_folder(models), known, models) == [("loras", "style/ink.safetensors")]
    assert gone_names(survey_folder(models / "checkpoints"), known, models / "checkpoints") == []
    assert gone_names(survey_folder(models.parent), known, models.parent) == [("loras", "style/ink.safetensors")]
    shutil.rmtree(models / "checkpoints")
    assert ("checkpoints", "base.safetensors") not in gone_names(survey_folder(models), known, models)


def test_a_batch_is_full_by_number_or_by_bytes(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list(scan(survey_folder(models).files, {}))
    assert not is_batch_full(seen)
    monkeypatch.setattr(scanning, "BATCH_BYTES", 10)
    assert is_batch_full(seen)
    monkeypatch.undo()
    monkeypatch.setattr(scanning, "BATCH_FILES", 3)
    assert is_batch_full(seen)


def test_a_time_of_change_beyond_a_bigint_is_kept_within(models: Path) -> None:
    far = models / "upscale_models" / "4x.pth"
    try:
        os.utime(far, ns=(2**63 + 5, 2**63 + 5))
    except (OSError, OverflowError):
        pytest.skip("this file system keeps no such times")
    by_folder = {file.folder: file for file in survey_folder(models).files}
    assert abs(by_folder["upscale_models"].mtime_ns) <= scanning.MTIME_LIMIT_NS
