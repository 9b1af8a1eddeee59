"""The committed description of the API is the API's."""

from __future__ import annotations

import json
from pathlib import Path

from memoryd.app.openapi import openapi_document

COMMITTED = Path(__file__).resolve().parents[2] / "schemas" / "openapi.json"


def test_the_committed_description_is_todays() -> None:
    assert COMMITTED.read_text() == openapi_document(), "run: python -m memoryd.app.openapi > schemas/openapi.json"


def test_every_address_says_what_it_is_for() -> None:
    for path, methods in json.loads(COMMITTED.read_text())["paths"].items():
        for method, described in methods.items():
            assert described.get("description") or described.get("summary"), f"{method} {path}"
