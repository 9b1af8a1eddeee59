"""Touched assets as lines of text, one after the other as they are found."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator

from memoryd.clearance.recalls.touched import TouchedAsset
from memoryd.clearance.recalls.wire import COLUMNS, told_asset
from memoryd.foundation.spreadsheet_file import safe_cell

WRITTEN_AT_ONCE = 200
"""Lines of one piece of an answer."""


def as_json_lines(assets: Iterable[TouchedAsset]) -> Iterator[str]:
    """Yield assets as JSON lines."""
    waiting = []
    for asset in assets:
        waiting.append(json.dumps(told_asset(asset), ensure_ascii=False) + "\n")
        if len(waiting) == WRITTEN_AT_ONCE:
            yield "".join(waiting)
            waiting.clear()
    yield "".join(waiting)


def as_csv(assets: Iterable[TouchedAsset]) -> Iterator[str]:
    """Yield assets as CSV (RFC 4180), the columns' names first; what is several is separated by semicolons."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for number, asset in enumerate(assets, 1):
        told = told_asset(asset).values()
        writer.writerow([safe_cell("; ".join(map(str, one)) if isinstance(one, list) else one) for one in told])
        if number % WRITTEN_AT_ONCE == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()
