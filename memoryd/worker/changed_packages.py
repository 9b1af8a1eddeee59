"""Which installed packages are no longer as they were installed: files edited, replaced or missing under an equal version.

By the size and time of each file that a package's RECORD lists; only what looks changed is read. Source: PEP 376, PEP 627.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.logging import log_for

LOOK_LIMIT_S = 15.0
"""How long looking may take; 40,000 files take 0.2 s, on a network disk much more. Then it is unknown what changed."""
RECORD_LIMIT = 16 * 2**20
"""Bytes of one RECORD; torch's takes 2 MB."""
_SLACK_S = 5.0
"""How much later than RECORD an installer may write a file."""

_log = log_for(__name__)


def changed_packages(places: Sequence[Path]) -> dict[str, Json] | None:
    """Return the changed packages that lie in these folders: name -> a hash of what changed; None where it took too long."""
    until, changed = time.monotonic() + LOOK_LIMIT_S, dict[str, Json]()
    for place in places:
        for record in sorted(place.glob("*.dist-info/RECORD")):
            if time.monotonic() > until:
                _log.info("which installed packages were changed is not known: looking took %.0f s", LOOK_LIMIT_S)
                return None
            name = re.sub(r"[-_.]+", "-", record.parent.name.partition("-")[0]).lower()
            found = list(_changed_files(place, record))
            if found and name not in changed:
                changed[name] = hashlib.sha256("".join(found).encode("utf-8", "surrogatepass")).hexdigest()
    return changed


def _changed_files(place: Path, record: Path) -> Iterator[str]:
    try:
        written = record.stat()
        if written.st_size > RECORD_LIMIT:
            return
        rows = csv.reader(record.read_text("utf-8", "surrogateescape").splitlines())
        for row in sorted(row for row in rows if len(row) == 3 and row[1].startswith("sha256=") and row[2].isdecimal()):
            path = row[0]
            if path.startswith(("../", "/")) or "__pycache__" in path:
                continue
            try:
                found = os.stat(f"{place}/{path}")  # noqa: PTH116 # 40,000 of them: a Path for each costs twice the time
            except OSError:
                yield f"{path} is missing\n"
                continue
            if found.st_size != int(row[2]) or found.st_mtime > written.st_mtime + _SLACK_S:
                digest = _digest(place / path)
                if digest != row[1].removeprefix("sha256="):
                    yield f"{path} {digest}\n"
    except (OSError, csv.Error):
        return


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
