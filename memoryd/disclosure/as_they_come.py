"""The chore of disclosing a folder's files as they come, where somebody switched that on for the folder.

Done again it does no harm: what is signed already is found, what lies there already stays.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Protocol

from memoryd.access.facts import Caller, Scope
from memoryd.catalog.content import ContentMissing, find_copies, open_copy
from memoryd.catalog.disclosing_roots import ToDisclose, list_to_disclose
from memoryd.catalog.facts import RootDisclosure
from memoryd.catalog.showing import show_asset
from memoryd.disclosure import pki
from memoryd.disclosure.containers import CannotCarry
from memoryd.disclosure.disclosing import AlreadySigned, disclose_asset
from memoryd.disclosure.facts import Disclosed, Undecided
from memoryd.disclosure.placing import CannotPlace, put_beside, put_over
from memoryd.disclosure.signing import CannotSign, FileTooLarge, SignedCopyFails
from memoryd.dispatch.facts import Chore
from memoryd.foundation.ids import AssetId
from memoryd.foundation.logging import log_for
from memoryd.ingest import enrichment
from memoryd.storage.blobs import register

_log = log_for(__name__)


class Means(enrichment.Means, Protocol):
    """What the handler works with: what every follow-up has, and the keys. The application's handler context is one."""

    @property
    def keys(self) -> Path:
        """The folder of key files."""
        ...


def disclose_as_they_come(means: Means, chore: Chore) -> None:
    """Sign what each subject's folder asks for, and put it there.

    Raises: ContentMissing where some could not be read, or lie on another machine: it, or the next try, does them.
    """
    with means.database.tenant_work(means.tenant) as session:
        files = list_to_disclose(session, [AssetId(subject) for subject in chore.subjects])
    if not files:
        return
    identity = pki.signing_identity(means.keys / "pki")
    # The server itself, by the switch that an administrator set: it sees all that the folder holds.
    server = Caller(tenant=means.tenant, name="server", scopes=frozenset({Scope.DISCLOSE}), sees=None, via="server")
    missing: list[ToDisclose] = []
    for file in files:
        if file.host != socket.gethostname() or not Path(os.fsdecode(file.root)).is_dir():
            missing.append(file)
            continue
        shown = os.fsdecode(file.path)
        try:
            made = disclose_asset(means.database, means.store, server, str(file.asset_id), identity)
            if isinstance(made, Undecided):
                _log.info("%s is not disclosed: %s", shown, made.reason)
            else:
                _place(means, file, made)
        except ContentMissing:
            missing.append(file)
        except (AlreadySigned, CannotCarry, CannotSign, FileTooLarge, SignedCopyFails, CannotPlace) as error:
            # Said where the asset is shown: it is not disclosed. The next try would end the same.
            _log.warning("%s is not disclosed: %s %s", shown, error.title, error.detail)
    if missing:
        raise ContentMissing(
            f"{len(missing)} of {len(files)}, on {missing[0].host} first",
            hint="their folder may be offline: `memoryd watch list` shows it",
        )


def _place(means: Means, file: ToDisclose, made: Disclosed) -> None:
    root = Path(os.fsdecode(file.root))
    original = root / os.fsdecode(file.path)
    with means.database.tenant_work(means.tenant) as session:
        copies = find_copies(session, made.disclosed_id)
        sha256 = show_asset(session, made.disclosed_id, None).sha256
    if file.how is RootDisclosure.IN_PLACE:
        _keep_original(means, made.original_id)
    with open_copy(means.store, means.tenant, copies) as content:
        if file.how is RootDisclosure.COPY:
            put_beside(content, sha256, original, root)
        elif file.how is RootDisclosure.IN_PLACE:
            put_over(content, original, root, size=file.size, mtime_ns=file.mtime_ns)


def _keep_original(means: Means, asset: AssetId) -> None:
    """What was made is kept before anything takes its place (INV-2, INV-8)."""
    with means.database.tenant_work(means.tenant) as session:
        copies = find_copies(session, asset)
    with open_copy(means.store, means.tenant, copies) as content:
        blob = means.store.put_stream(means.tenant.slug, content, sha256=copies.sha256)
    with means.database.tenant_work(means.tenant) as session:
        register(session, [blob])
