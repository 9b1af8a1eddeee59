"""Report files and the signatures beside them, verified offline. How they are signed: `disclosure.sealing`."""

from __future__ import annotations

from pathlib import Path

from memoryd.disclosure.facts import SealState, SealVerdict
from memoryd.disclosure.pki import Anchors
from memoryd.disclosure.sealing import SIGNATURE_BYTES_LIMIT, verify_seal
from memoryd.foundation.errors import NotFound

SUFFIX = ".sig"
REPORT_BYTES_LIMIT = 256 << 20
"""Bytes of a report that is verified; 500 assets with long histories are below 20 MB."""


class ReportNotFound(NotFound):
    """The report or its signature is not there."""


def verify_report(report: Path, anchors: Anchors, *, signature: Path | None = None) -> SealVerdict:
    """Return the verdict on a report file and the signature beside it (`NAME.sig`).

    Raises: ReportNotFound.
    """
    beside = signature or report.with_name(report.name + SUFFIX)
    try:
        with report.open("rb") as file:
            content = file.read(REPORT_BYTES_LIMIT + 1)
        with beside.open("rb") as file:
            sealed = file.read(SIGNATURE_BYTES_LIMIT + 1)
    except OSError as error:
        missing = error.filename or report
        raise ReportNotFound(
            f"{missing}: {error.strerror}", hint=f"a report lies beside its signature, NAME{SUFFIX}"
        ) from None
    if len(content) > REPORT_BYTES_LIMIT or len(sealed) > SIGNATURE_BYTES_LIMIT:
        return SealVerdict(state=SealState.UNREADABLE, detail="larger than any report of ours (REPORT_BYTES_LIMIT)")
    return verify_seal(content, sealed, anchors)
