"""The docs name every setting, and no setting that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from memoryd.foundation.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    documented = set(re.findall(r"^\| `MEMORYD_(\w+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}
