"""What the workers' node classes take and give, as their ComfyUI told: for reading graphs, and for checking them."""

from __future__ import annotations

from memoryd.comfyui.catalogue_document import unpack_catalogue
from memoryd.comfyui.specs import NodeSpecs
from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.queries import fleet
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.ids import TenantId

CATALOGUES_LIMIT = 20
"""Workers whose specifications are merged. A studio's workers are set up in a few ways, not in hundreds."""


class CatalogueDiffers(NotAcceptable):
    """These are not the node specifications that were announced."""


class CatalogueNotStated(Conflict):
    """The worker registered with another node catalogue."""


def wants_specs(session: Session, worker: WorkerIdentity) -> bool:
    """Tell whether a worker's node specifications are not known here."""
    return not fleet.has_specs(session, worker_id=worker.worker_id)


def keep_specs(session: Session, worker: WorkerIdentity, sha256: bytes, packed: bytes) -> None:
    """Keep a worker's node specifications, once they prove to be the catalogue that it registered with.

    Raises: CatalogueUnreadable; CatalogueDiffers; CatalogueNotStated.
    """
    found = unpack_catalogue(packed).digest
    if found != sha256:
        raise CatalogueDiffers(
            f"its digest is {found.hex()[:16]}…, named was {sha256.hex()[:16]}…", hint="send what was registered"
        )
    if not fleet.update_specs(session, worker_id=worker.worker_id, sha256=sha256, document=packed):
        raise CatalogueNotStated(f"{sha256.hex()[:16]}…", hint="register first: `POST /work/register`")


def known_specs(session: Session, tenant_id: TenantId) -> NodeSpecs | None:
    """Return the node specifications that workers of a tenant told of, None without any.

    A class that two of them know is as the one heard last has it. No other tenant's worker counts: the lists of files in
    its specifications are that tenant's.
    """
    merged: dict[str, Json] = {}
    for packed in fleet.list_specs(session, tenant_id=tenant_id, limit=CATALOGUES_LIMIT):
        for name, spec in unpack_catalogue(packed).document.items():
            merged.setdefault(name, spec)
    return NodeSpecs(merged) if merged else None
