"""Whether a bill of materials is what its schema says: checked offline, with the schemas that the library ships."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from memoryd.foundation.errors import NotAcceptable, NotFound, TooLarge
from memoryd.reports.bom.facts import BomVersion

BOM_BYTES_LIMIT = 64 << 20
"""Bytes of a bill that is checked; one with 10,000 models has 20 MB."""

if TYPE_CHECKING:
    from cyclonedx.validation.json import JsonStrictValidator

PROBLEMS_TOLD = 20
_PROBLEM_LIMIT = 500


class BomNotFound(NotFound):
    """The bill of materials is not there."""


class BomTooLarge(TooLarge):
    """This bill of materials is too large to be checked."""


class NoBom(NotAcceptable):
    """This is no CycloneDX bill of materials in JSON, of a version that is known here."""


def problems_of(content: bytes, version: BomVersion) -> list[str]:
    """Return what is wrong with a bill, PROBLEMS_TOLD at most; empty where it validates."""
    errors = _validator(version).validate_str(content.decode("utf-8"), all_errors=True)
    found = []
    for error in errors or ():
        found.append(str(getattr(error.data, "message", error))[:_PROBLEM_LIMIT])
        if len(found) == PROBLEMS_TOLD:
            break
    return found


def check_file(file: Path) -> tuple[BomVersion, list[str]]:
    """Return a bill's version and what is wrong with it. Raises: BomNotFound, BomTooLarge, NoBom."""
    try:
        with file.open("rb") as opened:
            content = opened.read(BOM_BYTES_LIMIT + 1)
    except OSError as error:
        raise BomNotFound(f"{file}: {error.strerror}", hint="`memoryd bom ASSET` writes one") from None
    if len(content) > BOM_BYTES_LIMIT:
        raise BomTooLarge(f"more than {BOM_BYTES_LIMIT} bytes (BOM_BYTES_LIMIT)")
    try:
        document = json.loads(content)
        if document["bomFormat"] != "CycloneDX":
            raise ValueError
        version = BomVersion(document["specVersion"])
    except (ValueError, KeyError, TypeError, RecursionError):
        known = ", ".join(version.value for version in BomVersion)
        raise NoBom(f"{file.name}", hint=f"CycloneDX in JSON, version {known}") from None
    return version, problems_of(content, version)


@functools.cache
def _validator(version: BomVersion) -> JsonStrictValidator:
    # It takes most of a second to load, which no server and no other command should wait for.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.from_version(version.value))
