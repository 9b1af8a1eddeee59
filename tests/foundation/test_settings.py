"""Settings: read from the environment, and a wrong one is named with the next step, never with its value."""

from __future__ import annotations

import logging

import pytest

from memoryd.foundation.logging import begin_logging
from memoryd.foundation.settings import Settings, SettingUnusable


@pytest.mark.parametrize("written", ["warning", "Warning", " WARNING "])
def test_a_log_level_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("MEMORYD_LOG_LEVEL", written)
    assert Settings().log_level == "WARNING"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("debug", "DEBUG"), ("Info", "INFO"), ("warning", "WARNING"), ("ERROR", "ERROR"), ("loud", "INFO")],
)
def test_a_process_logs_at_the_level_that_is_meant(monkeypatch: pytest.MonkeyPatch, written: str, meant: str) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    before = root.level
    try:
        begin_logging(written)
        assert logging.getLevelName(root.level) == meant
    finally:
        root.setLevel(before)


@pytest.mark.parametrize(
    ("name", "value"), [("MEMORYD_PORT", "s3cret"), ("MEMORYD_LOG_LEVEL", "s3cret"), ("MEMORYD_REMOVAL_DAYS", "0")]
)
def test_a_setting_that_cannot_be_used_is_named_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingUnusable) as caught:
        Settings()
    assert caught.value.detail.startswith(f"{name}: ")
    assert "s3cret" not in caught.value.detail
    assert caught.value.hint
