"""A bundle as one file: equal facts give equal files but for the signature, which tells when it was made."""

from __future__ import annotations

import shutil
import zipfile
from typing import BinaryIO

from memoryd.disclosure.pki import SigningIdentity
from memoryd.disclosure.sealing import seal
from memoryd.reproduction.bundles.gathering import Gathered

MANIFEST = "bundle.json"
SIGNATURE = "bundle.sig"
_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The earliest that a ZIP can tell."""
_EXECUTABLE = 0o755 << 16
_PLAIN = 0o644 << 16
_BLOCK = 1024 * 1024


def write(gathered: Gathered, target: BinaryIO, identity: SigningIdentity) -> None:
    """Write a gathered bundle, signed, to an empty file that can be sought in."""
    # Stored, not compressed: what is large in it is compressed already, and compressors differ from machine to machine.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(MANIFEST), gathered.manifest)
        archive.writestr(_entry(SIGNATURE), seal(gathered.manifest, identity))
        for entry in gathered.entries:
            info = _entry(entry.name)
            info.file_size = entry.size
            entry.source.seek(0)
            with archive.open(info, "w") as file:
                shutil.copyfileobj(entry.source, file, _BLOCK)


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _MOMENT)
    info.external_attr = _EXECUTABLE if name == "run.py" or name.endswith(".sh") else _PLAIN
    return info
