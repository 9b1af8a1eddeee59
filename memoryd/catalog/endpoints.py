"""Assets: everything about one, its bytes, thumbnail, documents and family; what people attach to it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from memoryd.access.facts import Caller
from memoryd.access.guards import Annotator, Approver, Office, Reader, ReaderCaller
from memoryd.catalog import annotations as attaching
from memoryd.catalog import content, differing, faces, lineage, showing, thumbnails
from memoryd.catalog.curation import endpoints as curation
from memoryd.catalog.holds import endpoints as holds
from memoryd.catalog.looking_up import find_asset
from memoryd.catalog.paste_text import paste_text
from memoryd.catalog.wire import (
    ApprovalRequest,
    AssetShape,
    Changed,
    CollectionRequest,
    FoundShape,
    LineageShape,
    NamedList,
    NamedShape,
    NoteRequest,
    PasteTextShape,
    RatingRequest,
    TagRequest,
)
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.errors import NotFound
from memoryd.storage.byte_ranges import Answer, ByteRange, asked_range, read_part
from memoryd.workflows.difference import diff_graphs
from memoryd.workflows.documents import load_document
from memoryd.workflows.wire import GraphDifferenceShape, show_difference

router = APIRouter(tags=["catalog"])
router.include_router(curation.router)
router.include_router(holds.router)

SHOWN_AS_THEY_ARE = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "video/mp4", "video/webm", "audio/flac"}
    | {"audio/mpeg", "audio/ogg"}
)
"""Media types that a browser may show; every other content is handed out to be saved, never to be run (SVG, HTML)."""

_ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}
_SANDBOX = "default-src 'none'; sandbox"

OneProject = Annotated[str | None, Query(description="A project's short name, where the asset belongs to several.")]


class DocumentNotFound(NotFound):
    """This asset has no such document."""


@router.get("/lookup")
def look_up(work: Reader, ref: Annotated[str, Query(max_length=5_000)]) -> FoundShape:
    """The asset that an id, the beginning of a SHA-256 or a path means."""
    return FoundShape(id=find_asset(work.session, ref, work.caller.sees))


@router.get("/graph-differences")
def show_graph_differences(
    work: Reader, a: Annotated[str, Query(max_length=5_000)], b: Annotated[str, Query(max_length=5_000)]
) -> GraphDifferenceShape:
    """What differs between the graphs of two assets, input by input."""
    one, other = (
        differing.graph_of(work.session, find_asset(work.session, ref, work.caller.sees), work.caller.sees)
        for ref in (a, b)
    )
    return show_difference(diff_graphs(one, other))


@router.get("/tags")
def list_tags(work: Reader) -> NamedList:
    """The tags in use, the most used first."""
    found = attaching.list_tags(work.session, work.caller.sees)
    return NamedList(items=[NamedShape.model_validate(one) for one in found])


@router.get("/collections")
def list_collections(work: Reader) -> NamedList:
    """The collections, by project and name; `collection:` in a search finds what is in one."""
    found = attaching.list_collections(work.session, work.caller.sees)
    return NamedList(items=[NamedShape.model_validate(one) for one in found])


@router.get("/assets/{ref}")
def show_asset(ref: str, work: Reader) -> AssetShape:
    """Everything about one asset that you may see."""
    sees = work.caller.sees
    return AssetShape.of(showing.show_asset(work.session, find_asset(work.session, ref, sees), sees))


@router.get("/assets/{ref}/paste")
def show_paste_text(ref: str, work: Reader) -> PasteTextShape:
    """The recipe as text that AUTOMATIC1111's web UI and its family paste: verbatim where the file carried one."""
    sees = work.caller.sees
    view = showing.show_asset(work.session, find_asset(work.session, ref, sees), sees)
    return PasteTextShape.model_validate(paste_text(work.session, view))


@router.get("/assets/{ref}/lineage")
def show_lineage(
    ref: str, work: Reader, depth: Annotated[int, Query(ge=1, le=lineage.DEPTH_LIMIT)] = lineage.DEPTH_LIMIT
) -> LineageShape:
    """What an asset was made from, and what was made from it."""
    sees = work.caller.sees
    asset = find_asset(work.session, ref, sees)
    return LineageShape.of(
        asset,
        lineage.ancestors(work.session, asset, sees, depth=depth),
        lineage.descendants(work.session, asset, sees, depth=depth),
    )


@router.get(
    "/assets/{ref}/content",
    response_class=StreamingResponse,
    responses={206: {"description": "The part that was asked for"}, 416: {"description": "It lies beyond the end"}},
)
def get_content(
    ref: str,
    caller: ReaderCaller,
    office: Office,
    download: bool = False,
    wanted: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    condition: Annotated[str | None, Header(alias="If-Range", max_length=200)] = None,
) -> Response:
    """The asset's bytes, verified by their hash; with `Range: bytes=first-last` that part of them."""
    with office.database.tenant_work(caller.tenant) as session:
        copies = content.find_copies(session, find_asset(session, ref, caller.sees), caller.sees)
        face = faces.list_faces(session, [copies.asset_id], caller.sees)[copies.asset_id]
    etag = f'"{copies.sha256.hex()}"'
    part = asked_range(wanted, condition, etag=etag, size=copies.size)
    if part is Answer.NOT_SATISFIABLE:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{copies.size}", "ETag": etag})
    # Outside of the transaction: a large file is read and hashed here.
    opened = content.open_copy(office.store, caller.tenant, copies, remembered=isinstance(part, ByteRange))
    shown = copies.media_type in SHOWN_AS_THEY_ARE
    ending = _ENDINGS.get(copies.media_type, "")
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(copies.size),
        "Content-Disposition": _disposition(
            face.name or f"{copies.sha256.hex()[:16]}{ending}", inline=shown and not download
        ),
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _SANDBOX,
    }
    length = copies.size
    if isinstance(part, ByteRange):
        opened.seek(part.first)
        length = part.length
        headers |= {"Content-Length": str(length), "Content-Range": part.content_range}
    return StreamingResponse(
        read_part(opened, length),
        status_code=206 if isinstance(part, ByteRange) else 200,
        media_type=copies.media_type if shown else "application/octet-stream",
        headers=headers,
    )


@router.get("/assets/{ref}/thumbnail")
def get_thumbnail(
    ref: str,
    caller: ReaderCaller,
    office: Office,
    size: Annotated[int, Query(ge=1, le=4_096)] = thumbnails.GRID_SIZE,
    shows: thumbnails.Shows = thumbnails.Shows.STILL,
) -> Response:
    """A small picture of the asset, of at least `size` pixels on its longest edge where there is one.

    Of what moves, `shows` asks for its first frame, the one in its middle, or a moving preview.
    """
    with office.database.tenant_work(caller.tenant) as session:
        found = thumbnails.find(session, find_asset(session, ref, caller.sees), caller.sees, size, shows)
    return Response(
        _read(office.store, caller, found.sha256),
        media_type=found.media_type,
        headers={
            "ETag": f'"{found.sha256.hex()}"',
            # What lies under one address changes only with its recipe; who may see it can change at any time.
            "Cache-Control": "private, max-age=300",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": _SANDBOX,
        },
    )


@router.get("/assets/{ref}/documents/{sha256}")
def get_document(ref: str, sha256: str, work: Reader) -> Response:
    """A text of the file or job (prompt, workflow), verbatim, to be saved."""
    sees = work.caller.sees
    view = showing.show_asset(work.session, find_asset(work.session, ref, sees), sees)
    document = next((one for one in view.documents if one.sha256.hex() == sha256.lower()), None)
    if document is None:
        raise DocumentNotFound(f"{sha256[:64]!r}", hint="GET /assets/{ref} lists an asset's documents")
    return Response(
        load_document(work.session, document.sha256),
        media_type="application/json",
        headers={
            "Content-Disposition": _disposition(f"{view.sha256.hex()[:12]}.{document.key}.json", inline=False),
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": _SANDBOX,
        },
    )


@router.post("/assets/{ref}/tags")
def tag(ref: str, asked: TagRequest, work: Annotator) -> Changed:
    """Hang tags on the asset's line."""
    asset = find_asset(work.session, ref, work.caller.sees)
    return Changed(changed=attaching.tag(work.session, work.caller, asset, asked.tags, asked.project))


@router.delete("/assets/{ref}/tags")
def untag(
    ref: str,
    work: Annotator,
    tag: Annotated[list[str], Query(min_length=1, max_length=attaching.TAGS_LIMIT)],
    project: OneProject = None,
) -> Changed:
    """Take tags off the asset's line."""
    asset = find_asset(work.session, ref, work.caller.sees)
    return Changed(changed=attaching.untag(work.session, work.caller, asset, tag, project))


@router.put("/assets/{ref}/rating", status_code=204)
def rate(ref: str, asked: RatingRequest, work: Annotator) -> None:
    """Give the asset's line stars; 0 takes them away."""
    asset = find_asset(work.session, ref, work.caller.sees)
    attaching.rate(work.session, work.caller, asset, asked.stars, asked.project)


@router.post("/assets/{ref}/notes", status_code=204)
def note(ref: str, asked: NoteRequest, work: Annotator) -> None:
    """Add a remark to the asset's line."""
    asset = find_asset(work.session, ref, work.caller.sees)
    attaching.note(work.session, work.caller, asset, asked.text, asked.project)


@router.post("/assets/{ref}/collections")
def collect(ref: str, asked: CollectionRequest, work: Annotator) -> Changed:
    """Put the asset's line into a collection."""
    asset = find_asset(work.session, ref, work.caller.sees)
    added = attaching.collect(work.session, work.caller, asset, asked.collection, asked.project)
    return Changed(changed=[asked.collection] if added else [])


@router.delete("/assets/{ref}/collections")
def uncollect(ref: str, work: Annotator, collection: str, project: OneProject = None) -> Changed:
    """Take the asset's line out of a collection."""
    asset = find_asset(work.session, ref, work.caller.sees)
    taken = attaching.uncollect(work.session, work.caller, asset, collection, project)
    return Changed(changed=[collection] if taken else [])


@router.put("/assets/{ref}/approval", status_code=204)
def approve(ref: str, asked: ApprovalRequest, work: Approver) -> None:
    """Record that a project approved or rejected exactly this asset."""
    asset = find_asset(work.session, ref, work.caller.sees)
    attaching.approve(work.session, work.caller, asset, asked.state, asked.comment, asked.project)


@router.delete("/assets/{ref}/approval", status_code=204)
def withdraw_approval(ref: str, work: Approver, project: OneProject = None) -> None:
    """Take a decision back."""
    asset = find_asset(work.session, ref, work.caller.sees)
    attaching.withdraw_approval(work.session, work.caller, asset, project)


def _read(store: ByteStore, caller: Caller, sha256: bytes) -> bytes:
    with store.open(caller.tenant.slug, sha256) as stream:
        return stream.read()


def _disposition(name: str, *, inline: bool) -> str:
    # A file's name is hostile: only the percent-encoded form carries it. Source: RFC 6266, RFC 8187.
    return f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(name[:200], safe='')}"
