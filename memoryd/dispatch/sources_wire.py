"""What worker and server say about sources of node packs."""

from __future__ import annotations

from uuid import UUID

from memoryd.dispatch.wire import Fence, Sha256Hex, Shape


class SourcesRequest(Shape):
    """`POST /work/pack-sources`: the lease of a job that this worker finished; asks which sources its tenant lacks."""

    job_id: UUID
    fence: Fence
    token: str
    environment_sha256: Sha256Hex


class SourcesWanted(Shape):
    """Trees of node packs, to be sent by `PUT /work/pack-sources/{tree}` as `comfyui.source_archive` writes them."""

    trees: list[Sha256Hex]
