"""One ComfyUI over HTTP and WebSocket: plain calls, plain values, named errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

import httpx

from memoryd.comfyui.answers import read_history_entry
from memoryd.comfyui.errors import EngineDown, EngineFileMissing, EngineSilent, EngineTrouble, PromptRefused
from memoryd.comfyui.event_stream import Events, WebSocketException, open_events
from memoryd.comfyui.facts import Accepted, ModelListed, OutputFile, Queue, RunRecord, Uploaded
from memoryd.comfyui.specs import NodeSpecs
from memoryd.comfyui.submitted_graph import submittable
from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.errors import NotAcceptable

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60
"""ComfyUI answers from the thread that also runs Python nodes: a loading checkpoint can hold it for tens of seconds."""

_NOT_THERE = (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED)
_CHUNK = 1024 * 1024


class ComfyClient:
    """One ComfyUI. Thread-safe; close it, or use it as a context manager."""

    def __init__(self, url: str) -> None:
        """`url` is where ComfyUI listens, such as `http://127.0.0.1:8188`; nothing is connected yet."""
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # A ComfyUI is spoken to directly: a proxy from the environment would see prompts, or break loopback.
            trust_env=False,
            # Loading the certificate authorities costs 50 ms and is of no use without TLS.
            verify=self.url.startswith("https:"),
        )

    def __enter__(self) -> ComfyClient:
        """Enter a block at whose end the client is closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def system_stats(self, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Mapping[str, Json]:
        """Return versions, launch flags and devices. Raises: EngineDown, EngineTrouble."""
        return self._object(self._get("/system_stats", timeout_s))

    def object_info(self, class_type: str | None = None) -> Mapping[str, Json]:
        """Return the node specifications, of one class or of all (up to several megabytes; {} for an unknown class).

        Raises: EngineDown, EngineTrouble.
        """
        return self._object(self._get("/object_info" + (f"/{quote(class_type, safe='')}" if class_type else "")))

    def specs(self) -> NodeSpecs:
        """Return the node catalogue. Raises: EngineDown, EngineTrouble."""
        return NodeSpecs(self.object_info())

    def model_folders(self) -> list[str]:
        """Return the names of the models folders. Raises: EngineDown, EngineTrouble."""
        return [str(name) for name in self._list(self._get("/models"))]

    def models(self, folder: str) -> list[ModelListed]:
        """Return the files of a models folder, with sizes where this ComfyUI tells them; none for an unknown folder.

        Raises: EngineDown, EngineTrouble.
        """
        detailed = self._http_get(f"/experiment/models/{quote(folder, safe='')}")
        if detailed.status_code == httpx.codes.OK:
            return [_listed(folder, item) for item in self._list(_json(detailed)) if isinstance(item, dict)]
        plain = self._http_get(f"/models/{quote(folder, safe='')}")
        if plain.status_code == httpx.codes.NOT_FOUND:
            return []
        return [ModelListed(folder=folder, name=str(name)) for name in self._list(_json(_checked(plain)))]

    def model_names(self, folder: str) -> frozenset[str]:
        """Return the names that a graph may use for the files of a models folder. Raises: EngineDown, EngineTrouble."""
        answer = self._http_get(f"/models/{quote(folder, safe='')}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return frozenset()
        return frozenset(str(name) for name in self._list(_json(_checked(answer))))

    def folder_paths(self) -> Mapping[str, tuple[Path, ...]]:
        """Return the directories behind each models folder, on ComfyUI's machine; {} where it does not tell.

        Raises: EngineDown.
        """
        answer = self._http_get("/internal/folder_paths")
        if answer.status_code != httpx.codes.OK:
            return {}
        told = _json(answer)
        return {
            folder: tuple(Path(str(path)) for path in paths if isinstance(path, str))
            for folder, paths in (told.items() if isinstance(told, dict) else ())
            if isinstance(paths, list)
        }

    def recent_log(self) -> str:
        """Return the last lines that ComfyUI logged, "" where it does not tell. Raises: EngineDown.

        Source: ComfyUI 0.29, `GET /internal/logs`: one JSON string, of the last 300 lines.
        """
        answer = self._http_get("/internal/logs")
        if answer.status_code != httpx.codes.OK or "json" not in answer.headers.get("Content-Type", ""):
            return ""
        told = _json(answer)
        return told if isinstance(told, str) else ""

    def installed_packs(self) -> Json:
        """Return what ComfyUI-Manager says of the installed node packs, None without it. Raises: EngineDown, EngineTrouble.

        Source: ComfyUI-Manager 3 and 4 (`/v2`), `GET /customnode/installed`.
        """
        for path in ("/v2/customnode/installed", "/customnode/installed"):
            answer = self._http_get(path)
            if answer.status_code == httpx.codes.OK and "json" in answer.headers.get("Content-Type", ""):
                return _json(answer)
        return None

    def submit(
        self,
        prompt: str | Mapping[str, Json],
        *,
        extra_data: str | Mapping[str, Json] | None = None,
        prompt_id: str | None = None,
        client_id: str | None = None,
    ) -> Accepted:
        """Put a graph (API format) into the queue. Texts are JSON and sent verbatim: order and spelling are kept.

        Only `is_changed` of its nodes never goes out: ComfyUI would trust it (comfyui.submitted_graph).
        `prompt_id` is a canonical lower-case UUID. Raises: PromptRefused, EngineDown, EngineTrouble (also where the
        graph is so malformed that ComfyUI answers 500).
        """
        members = {"prompt": submittable(_spelled(prompt))}
        if extra_data is not None:
            members["extra_data"] = _spelled(extra_data)
        for name, value in (("prompt_id", prompt_id), ("client_id", client_id)):
            if value is not None:
                members[name] = json.dumps(value)
        body = "{" + ", ".join(f'"{name}": {text}' for name, text in members.items()) + "}"
        answer = self._send("POST", "/prompt", content=body.encode(), headers={"Content-Type": "application/json"})
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise _refusal(_json(answer))
        accepted = self._object(_json(_checked(answer)))
        number, errors = accepted.get("number"), accepted.get("node_errors")
        return Accepted(
            prompt_id=str(accepted.get("prompt_id")),
            number=float(number) if isinstance(number, (int, float)) else 0,
            node_errors=errors if isinstance(errors, dict) else {},
        )

    def history(self, prompt_id: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> RunRecord | None:
        """Return a finished run, or None while it has not ended, or where ComfyUI no longer knows it.

        Raises: EngineDown (EngineSilent after `timeout_s`), EngineTrouble.
        """
        entry = self._object(self._get(f"/history/{quote(prompt_id, safe='')}", timeout_s)).get(prompt_id)
        return None if entry is None else read_history_entry(prompt_id, entry)

    def forget(self, prompt_id: str) -> None:
        """Take a finished run out of the history; an unknown id is ignored. Raises: EngineDown, EngineTrouble."""
        self._post("/history", {"delete": [prompt_id]})

    def queue(self, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Queue:
        """Return what runs and what waits. Raises: EngineDown (EngineSilent after `timeout_s`), EngineTrouble."""
        told = self._object(self._get("/queue", timeout_s))
        return Queue(running=_queued(told.get("queue_running")), pending=_queued(told.get("queue_pending")))

    def interrupt(self, prompt_id: str) -> None:
        """Stop this run where it runs, and take it out of the queue where it waits; nobody else's run is touched.

        An interrupt that comes between two runs is lost: ask again until `queue` no longer has the run. Newer ones
        (0.29) do both at once, whatever happens meanwhile; 0.3.64 stops a run by its id; still older ones know no id
        and stop whatever runs, so it is asked first. Raises: EngineDown, EngineTrouble.
        """
        answer = self._send("POST", f"/api/jobs/{quote(prompt_id, safe='')}/cancel")
        if answer.status_code not in _NOT_THERE:
            _checked(answer)
            return
        self._post("/queue", {"delete": [prompt_id]})
        if prompt_id in self.queue().running:
            self._post("/interrupt", {"prompt_id": prompt_id})

    def free(self) -> None:
        """Ask for the caches to be dropped, results and weights. Done between runs: check `cached_nodes` afterwards.

        Raises: EngineDown, EngineTrouble.
        """
        self._post("/free", {"unload_models": True, "free_memory": True})

    def upload(
        self, content: IO[bytes], name: str, *, subfolder: str = "", type: str = "input", overwrite: bool = True
    ) -> Uploaded:
        """Put a file into ComfyUI's input (or `type`) folder under exactly this name, replacing what lies there.

        Raises: EngineDown, EngineTrouble.
        """
        answer = self._send(
            "POST",
            "/upload/image",
            files={"image": (name, content, "application/octet-stream")},
            data={"subfolder": subfolder, "type": type, "overwrite": "true" if overwrite else "false"},
        )
        told = self._object(_json(_checked(answer)))
        return Uploaded(
            name=str(told.get("name")), subfolder=str(told.get("subfolder", "")), type=str(told.get("type", type))
        )

    @contextmanager
    def view(self, file: OutputFile) -> Iterator[Iterator[bytes]]:
        """Open a file of a run: a block in which its bytes come in chunks, whole and unchanged.

        Raises: EngineFileMissing, EngineDown, EngineTrouble.
        """
        place = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            with self._http.stream("GET", "/view", params=place) as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise EngineFileMissing(
                        f"{file.subfolder}/{file.filename} ({file.type})",
                        hint="a cached run names files that may be gone; run it again with recompute",
                    )
                if answer.is_error:
                    answer.read()
                    _checked(answer)
                yield answer.iter_bytes(_CHUNK)
        except httpx.HTTPError as error:
            raise self._down(error) from error

    def events(self, client_id: str) -> Events:
        """Open the event stream of a client id. Use an id once: a second socket would take the first one's events.

        Raises: EngineDown.
        """
        address = "ws" + self.url.removeprefix("http") + f"/ws?clientId={quote(client_id, safe='')}"
        try:
            return open_events(address)
        except (OSError, WebSocketException) as error:
            raise self._down(error) from error

    def _http_get(self, path: str) -> httpx.Response:
        return self._send("GET", path)

    def _get(self, path: str, timeout_s: float = ANSWER_TIMEOUT_S) -> Json:
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))
        return _json(_checked(self._send("GET", path, timeout=timeout)))

    def _post(self, path: str, body: Mapping[str, Json]) -> None:
        _checked(self._send("POST", path, content=json.dumps(body).encode()))

    def _send(self, method: str, path: str, **request: object) -> httpx.Response:
        try:
            return self._http.request(method, path, **request)  # type: ignore[arg-type] # passed through as given
        except httpx.HTTPError as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> EngineDown:
        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout, TimeoutError)):
            return EngineSilent(f"{self.url} does not answer", hint="it is busy, or it hangs: ComfyUI's own log says")
        return EngineDown(
            f"{self.url}: {str(error) or type(error).__name__}", hint="start ComfyUI, or check the address in --comfyui"
        )

    def _object(self, value: Json) -> Mapping[str, Json]:
        if not isinstance(value, dict):
            raise EngineTrouble(f"{self.url} answered something else than an object", hint="is this a ComfyUI?")
        return value

    def _list(self, value: Json) -> list[Json]:
        if not isinstance(value, list):
            raise EngineTrouble(f"{self.url} answered something else than a list", hint="is this a ComfyUI?")
        return value


def _spelled(value: str | Mapping[str, Json]) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        first_line = (answer.text.strip().splitlines() or [""])[0][:200]
        raise EngineTrouble(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {first_line}",
            hint="ComfyUI's own log says why",
        )
    return answer


def _json(answer: httpx.Response) -> Json:
    try:
        return read_json(answer.content)
    except NotAcceptable as error:
        raise EngineTrouble(
            f"{answer.request.url.path} answered no JSON: {error.detail}", hint="is this a ComfyUI?"
        ) from None


def _refusal(told: Json) -> PromptRefused:
    body = told if isinstance(told, dict) else {}
    error, node_errors = body.get("error"), body.get("node_errors")
    facts = error if isinstance(error, dict) else {"message": str(error)}
    extra = facts.get("extra_info")
    sentence = ": ".join(str(facts[word]) for word in ("message", "details") if facts.get(word))
    return PromptRefused(
        sentence or "no reason given",
        kind=str(facts.get("type", "unknown")),
        node_errors=node_errors if isinstance(node_errors, dict) else {},
        extra=extra if isinstance(extra, dict) else {},
    )


def _queued(listed: Json) -> tuple[str, ...]:
    items = listed if isinstance(listed, list) else []
    return tuple(str(item[1]) for item in items if isinstance(item, list) and len(item) > 1)


def _listed(folder: str, item: Mapping[str, Json]) -> ModelListed:
    size, modified, index = item.get("size"), item.get("modified"), item.get("pathIndex")
    return ModelListed(
        folder=folder,
        name=str(item.get("name")),
        size=size if isinstance(size, int) else None,
        modified=float(modified) if isinstance(modified, (int, float)) else None,
        path_index=index if isinstance(index, int) else None,
    )
