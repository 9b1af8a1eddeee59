"""One environment as a ZIP: the files of its export, and the sources of its packs that are kept."""

from __future__ import annotations

import io
import zipfile

from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.foundation.errors import TooLarge
from memoryd.reproduction.environments import sources
from memoryd.reproduction.environments.exporting import archive_name, export_files
from memoryd.reproduction.environments.finding import KnownEnvironment
from memoryd.storage.blob_store import BlobStore

EXPORT_LIMIT = 256 * 2**20
"""Bytes of all kept sources in one export: a hundred ordinary packs take 100 MB."""
_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The earliest that a ZIP can tell: equal exports are equal files."""
_EXECUTABLE = 0o755 << 16
_PLAIN = 0o644 << 16


class ExportTooLarge(TooLarge):
    """The kept sources of this environment are too many for one file."""


def export(session: Session, store: BlobStore, caller: Caller, environment: KnownEnvironment) -> bytes:
    """Return the ZIP. Raises: as export_members."""
    files = export_members(session, store, caller, environment)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.external_attr = _EXECUTABLE if name.endswith(".sh") else _PLAIN
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def export_members(
    session: Session, store: BlobStore, caller: Caller, environment: KnownEnvironment
) -> dict[str, bytes]:
    """Return the files of an export by name. Raises: ExportTooLarge; BlobMissing, BlobDamaged for a kept source."""
    document = environment.document
    kept = sources.find_kept(session, document)
    if (size := sum(each.size for each in kept.values())) > EXPORT_LIMIT:
        raise ExportTooLarge(f"{size} bytes", hint=f"at most {EXPORT_LIMIT} (EXPORT_LIMIT)")
    files = export_files(document, environment.sha256, kept={tree: each.archive for tree, each in kept.items()})
    for pack in sources.packs_of(document):
        source = kept.get(str(pack.get("tree")))
        name = archive_name(pack)
        if source is not None and name is not None:
            files[name] = store.read_verified(caller.tenant.slug, source.archive)
    return files
