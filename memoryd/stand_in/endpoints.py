"""ComfyUI's HTTP and WebSocket endpoints over the engine, each also under /api. No authentication, as there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import mimetypes
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Form, Query, Request, Response, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

from memoryd.foundation.canonical_json import Json
from memoryd.stand_in.catalogue import CLASSES, specification
from memoryd.stand_in.engine import Engine, Refused
from memoryd.stand_in.faults import UnknownFault, be_deaf
from memoryd.stand_in.folders import MODELS, OutsideFolder, inside, size_of
from memoryd.stand_in.job_list import cancel_job, list_jobs, show_job
from memoryd.stand_in.machine import FEATURES, system_stats
from memoryd.stand_in.uploads import keep_upload, one_channel, preview, read_original, with_mask


class _Json(JSONResponse):
    """JSON as ComfyUI labels and spells it: pure ASCII, integers in full."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


_TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"


def make_app(
    engine: Engine, argv: list[str], *, jobs_api: bool = True, pretends: Mapping[str, Json] | None = None
) -> FastAPI:
    """Return the application. It starts the engine with itself and stops it at its end; `argv` is what it tells of.

    `jobs_api`: whether it has the routes that ComfyUI 0.3.64 lacks.
    """

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await asyncio.to_thread(engine.stop)

    app = FastAPI(
        title="memoryd stand-in",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        default_response_class=_Json,
    )

    @app.exception_handler(Exception)
    async def trouble(request: Request, error: Exception) -> Response:
        return PlainTextResponse(_TROUBLE, status_code=500)

    plain, under_api = APIRouter(), APIRouter()
    _queue_routes(plain, engine)
    _file_routes(plain, engine)
    _catalogue_routes(plain, engine, argv, pretends or {})
    _job_routes(under_api, engine)
    plain.add_api_websocket_route("/ws", _listening(engine))
    for prefix in ("", "/api"):
        app.include_router(plain, prefix=prefix)
    if jobs_api:
        app.include_router(under_api, prefix="/api")
    app.include_router(_fault_routes(engine), prefix="/memoryd_stand_in")
    _place_routes(app, engine)
    return app


def _place_routes(app: FastAPI, engine: Engine) -> None:
    models = engine.conditions.folders.models

    @app.get("/internal/folder_paths")
    def folder_paths() -> Response:
        if models is None:
            return Response(status_code=404)
        return _Json({folder: [str((models / folder).absolute())] for folder in MODELS})


def _fault_routes(engine: Engine) -> APIRouter:
    router = APIRouter()

    @router.post("/faults")
    async def arm(request: Request) -> Response:
        fault = await _wish(request)
        try:
            engine.conditions.faults.arm(fault)
        except UnknownFault as error:
            return _Json({"error": error.detail}, status_code=400)
        be_deaf(fault)
        return Response()

    return router


def _queue_routes(router: APIRouter, engine: Engine) -> None:
    @router.get("/prompt")
    def remaining() -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": engine.remaining()}}

    @router.post("/prompt")
    async def submit(request: Request) -> Response:
        # Whatever the content type says: clients send JSON as a form, as text, or without a word.
        body = await request.body()
        try:
            answer = await asyncio.to_thread(lambda: engine.submit(json.loads(body)))
        except Refused as refused:
            return _Json(refused.body, status_code=400)
        except Exception:  # ComfyUI answers so to anything that is malformed
            return PlainTextResponse(_TROUBLE, status_code=500)
        return _Json(answer)

    @router.get("/queue")
    def queue() -> dict[str, Any]:
        running, pending = engine.queued()
        return {
            "queue_running": [running.as_json()] if running else [],
            "queue_pending": [run.as_json() for run in pending],
        }

    @router.post("/queue")
    async def change_queue(request: Request) -> Response:
        wish = await _wish(request)
        if wish.get("clear"):
            engine.delete(None)
        if "delete" in wish:
            engine.delete(set(wish["delete"]))
        return Response()

    @router.post("/interrupt")
    async def interrupt(request: Request) -> Response:
        engine.interrupt((await _wish(request)).get("prompt_id"))
        return Response()

    @router.post("/free")
    async def free(request: Request) -> Response:
        wish = await _wish(request)
        if wish.get("unload_models") or wish.get("free_memory"):
            engine.free()
        return Response()

    @router.get("/history")
    def history(max_items: int | None = None, offset: int = -1) -> Response:
        entries = {prompt_id: ended.as_json() for prompt_id, ended in engine.history().items()}
        names = list(entries)
        start = max(0, len(names) - max_items) if offset < 0 and max_items is not None else max(0, offset)
        kept = names[start:] if max_items is None else names[start : start + max_items]
        return _Json({name: entries[name] for name in kept})

    @router.get("/history/{prompt_id}")
    def history_of(prompt_id: str) -> Response:
        ended = engine.history().get(prompt_id)
        return _Json({prompt_id: ended.as_json()} if ended else {})

    @router.post("/history")
    async def forget(request: Request) -> Response:
        wish = await _wish(request)
        if wish.get("clear"):
            engine.forget(None)
        if "delete" in wish:
            engine.forget(list(wish["delete"]))
        return Response()


def _file_routes(router: APIRouter, engine: Engine) -> None:
    folders = engine.conditions.folders

    @router.get("/view")
    def view(
        filename: str = "",
        subfolder: str = "",
        type: str = "output",
        preview_as: Annotated[str | None, Query(alias="preview")] = None,
        channel: str = "rgba",
    ) -> Response:
        folder = folders.of_type(type)
        if not filename or folder is None or filename.startswith("/") or ".." in filename:
            return Response(status_code=400)
        try:
            path = inside(inside(folder, subfolder), filename)
        except OutsideFolder:
            return Response(status_code=403)
        if not path.is_file():
            return Response(status_code=404)
        if preview_as is not None:
            content, media_type = preview(path, preview_as)
            return Response(content, media_type=media_type)
        if channel in ("rgb", "a"):
            return Response(one_channel(path, channel), media_type="image/png")
        return FileResponse(path, media_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream")

    @router.post("/upload/image")
    def upload_image(
        image: UploadFile,
        type: Annotated[str, Form()] = "input",
        subfolder: Annotated[str, Form()] = "",
        overwrite: Annotated[str, Form()] = "",
    ) -> Response:
        return _keep(engine, image, image.file.read(), type, subfolder, overwrite)

    @router.post("/upload/mask")
    def upload_mask(
        image: UploadFile,
        original_ref: Annotated[str, Form()],
        type: Annotated[str, Form()] = "input",
        subfolder: Annotated[str, Form()] = "",
        overwrite: Annotated[str, Form()] = "",
    ) -> Response:
        try:
            original = read_original(folders, original_ref)
        except OutsideFolder:
            return Response(status_code=403)
        if original is None:
            return Response(status_code=400)
        return _keep(engine, image, with_mask(original, image.file.read()), type, subfolder, overwrite)


def _catalogue_routes(router: APIRouter, engine: Engine, argv: list[str], pretends: Mapping[str, Json]) -> None:
    folders = engine.conditions.folders

    @router.get("/object_info")
    def object_info() -> Response:
        return _Json({name: specification(name, folders) for name in sorted(CLASSES)})

    @router.get("/object_info/{class_type}")
    def object_info_of(class_type: str) -> Response:
        return _Json({class_type: specification(class_type, folders)} if class_type in CLASSES else {})

    @router.get("/models")
    def model_folders() -> list[str]:
        return list(MODELS)

    @router.get("/models/{folder}")
    def models(folder: str) -> Response:
        return _Json(folders.model_names(folder)) if folder in MODELS else Response(status_code=404)

    @router.get("/experiment/models")
    def experiment_folders() -> list[dict[str, Any]]:
        return [{"name": folder, "folders": []} for folder in MODELS]

    @router.get("/experiment/models/{folder}")
    def experiment_models(folder: str) -> Response:
        if folder not in MODELS:
            return Response(status_code=404)
        return _Json(
            [
                {"name": name, "pathIndex": 0, "modified": 0, "created": 0, "size": size_of(folders, folder, name)}
                for name in folders.model_names(folder)
            ]
        )

    @router.get("/view_metadata/{folder}")
    def view_metadata(folder: str) -> Response:
        # Behind the names are no files, so there is no header to show.
        return Response(status_code=404)

    @router.get("/embeddings")
    def embeddings() -> list[str]:
        return folders.model_names("embeddings")

    @router.get("/extensions")
    def extensions() -> list[str]:
        return []

    @router.get("/features")
    def features() -> dict[str, Any]:
        return FEATURES

    @router.get("/system_stats")
    def stats() -> dict[str, Any]:
        return system_stats(argv, pretends)


def _job_routes(router: APIRouter, engine: Engine) -> None:
    @router.get("/jobs")
    def jobs(status: str | None = None, limit: int | None = None, offset: int = 0) -> Response:
        wanted = status.split(",") if status else None
        found = [job for job in list_jobs(engine) if wanted is None or job["status"] in wanted]
        page = found[offset:] if limit is None else found[offset : offset + limit]
        more = offset + len(page) < len(found)
        paging = {"offset": offset, "limit": limit, "total": len(found), "has_more": more}
        return _Json({"jobs": page, "pagination": paging})

    @router.get("/jobs/{prompt_id}")
    def job(prompt_id: str) -> Response:
        shown = show_job(engine, prompt_id)
        return _Json(shown) if shown else _Json({"error": "Job not found"}, status_code=404)

    @router.post("/jobs/{prompt_id}/cancel")
    def cancel(prompt_id: str) -> dict[str, Any]:
        return {"cancelled": cancel_job(engine, prompt_id)}

    @router.post("/jobs/cancel")
    async def cancel_several(request: Request) -> Response:
        try:
            wanted = [str(UUID(prompt_id)) for prompt_id in (await _wish(request))["job_ids"]]
        except (KeyError, ValueError, TypeError, AttributeError):
            return _Json({"error": "job_ids must be a list of UUIDs"}, status_code=400)
        cancelled = [cancel_job(engine, prompt_id) for prompt_id in wanted]
        return _Json({"cancelled": any(cancelled)})


def _listening(engine: Engine) -> Any:
    async def listen(connection: WebSocket) -> None:
        await connection.accept()
        socket = engine.sockets.open(connection.query_params.get("clientId"))
        status: dict[str, Any] = {"exec_info": {"queue_remaining": engine.remaining()}}
        await connection.send_text(_message("status", {"status": status, "sid": socket.sid}))
        present = engine.present_node(socket.sid)
        if present is not None:
            await connection.send_text(_message("executing", {"node": present}))

        async def send() -> None:
            while True:
                await connection.send_text(await socket.next())

        sending = asyncio.create_task(send())
        first = True
        try:
            while True:
                received = await connection.receive_text()
                if first and '"feature_flags"' in received:
                    socket.put(_message("feature_flags", FEATURES))
                first = False
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            engine.sockets.close(socket)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sending

    return listen


def _message(kind: str, body: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "data": body})


async def _wish(request: Request) -> dict[str, Any]:
    body = await request.body()
    told = json.loads(body) if body.strip() else {}
    return told if isinstance(told, dict) else {}


def _keep(engine: Engine, image: UploadFile, content: bytes, kind: str, subfolder: str, overwrite: str) -> Response:
    folder = engine.conditions.folders.of_type(kind) or engine.conditions.folders.input
    if not image.filename:
        return Response(status_code=400)
    try:
        name = keep_upload(inside(folder, subfolder), image.filename, content, overwrite=overwrite in ("true", "1"))
    except (OutsideFolder, OSError):
        return Response(status_code=400)
    return _Json({"name": name, "subfolder": subfolder, "type": kind})
