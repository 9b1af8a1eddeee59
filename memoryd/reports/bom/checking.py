"""Whether a bill of materials is what its schema says: checked offline, with the schemas that the library ships."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from memoryd.foundation.errors import NotAcceptable, NotFound, TooLarge
from memoryd.reports.bom.facts import BomVersion

BOM_BYTES_LIMIT = 64 << 20
"""Bytes of a bill that is checked; one with 10,000 models has 20 MB."""

if TYPE_CHECKING:
    from jsonschema.protocols import Validator  # type: ignore[import-untyped]

PROBLEMS_TOLD = 20
_PROBLEM_LIMIT = 500
_ADDRESS = re.compile(r"""(?:[^\x00-\x20"<>\\^`{|}\x7f%]|%[0-9A-Fa-f]{2})*""")
"""Source: RFC 3987, section 2.2: what may stand in an IRI."""


class BomNotFound(NotFound):
    """The bill of materials is not there."""


class BomTooLarge(TooLarge):
    """This bill of materials is too large to be checked."""


class NoBom(NotAcceptable):
    """This is no CycloneDX bill of materials in JSON, of a version that is known here."""


def problems_of(content: bytes, version: BomVersion) -> list[str]:
    """Return what is wrong with a bill, PROBLEMS_TOLD at most; empty where it validates."""
    found = []
    for error in _validator(version).iter_errors(json.loads(content)):
        found.append(error.message[:_PROBLEM_LIMIT])
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
def _validator(version: BomVersion) -> Validator:
    # It takes most of a second to load, which no server and no other command should wait for.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from jsonschema import FormatChecker  # type: ignore[import-untyped]

    formats = FormatChecker()
    # By their grammar an address takes 0.2 s, and a bill has hundreds: their characters are looked at instead.
    formats.checks("iri-reference")(lambda value: not isinstance(value, str) or bool(_ADDRESS.fullmatch(value)))
    strict: Validator = JsonStrictValidator(SchemaVersion.from_version(version.value))._validator
    return strict.evolve(format_checker=formats)
