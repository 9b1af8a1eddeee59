"""One bare ComfyUI over HTTP: what is asked of it, and what a run made."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any

from .opening import FILE_LIMIT, MANIFEST_LIMIT, NotAttempted, plain

ANSWER_TIMEOUT_S = 120.0
"""ComfyUI answers from the thread that also runs Python nodes: a loading checkpoint can hold it for long."""
LOOK_EVERY_S = 0.5


class Engine:
    """One ComfyUI, spoken to directly: no proxy of the environment sees what is sent."""

    def __init__(self, url: str) -> None:
        """`url` is where it listens."""
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise NotAttempted(f"{url!r} is no web address", "--comfyui http://127.0.0.1:8188")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> tuple[int, bytes]:
        """Return status and body. Raises: NotAttempted where nobody answers."""
        request = urllib.request.Request(  # noqa: S310 # http and https alone, checked above
            self.url + path, data=body, headers={"Content-Type": kind} if body is not None else {}
        )
        try:
            with self._open(request, timeout=ANSWER_TIMEOUT_S) as answer:
                content = answer.read(FILE_LIMIT + 1)
                if len(content) > FILE_LIMIT:
                    raise NotAttempted(f"{self.url}{path}: the answer is too large (FILE_LIMIT)")
                return int(answer.status), content
        except urllib.error.HTTPError as error:
            return int(error.code), error.read(MANIFEST_LIMIT)
        except OSError as error:
            raise NotAttempted(f"{self.url} does not answer: {error}", "start ComfyUI, or check --comfyui") from None

    def json(self, path: str, body: bytes | None = None) -> Any:
        """Return a JSON answer. Raises: NotAttempted."""
        status, content = self.ask(path, body)
        if status != 200:
            raise NotAttempted(f"{path}: HTTP {status} {plain(content[:300].decode('utf-8', 'replace'))}")
        try:
            return json.loads(content.decode("utf-8")) if content else None
        except ValueError:
            raise NotAttempted(f"{self.url} answers no JSON", "is this a ComfyUI?") from None

    def view(self, name: str, subfolder: str, kind: str) -> bytes | None:
        """Return a file of its folders, None where there is none."""
        place = urllib.parse.urlencode({"filename": name, "subfolder": subfolder, "type": kind})
        status, content = self.ask(f"/view?{place}")
        if status == 404:
            return None
        if status != 200:
            raise NotAttempted(f"{plain(name)}: HTTP {status} when it was read back")
        return content


def upload(engine: Engine, name: str, subfolder: str, kind: str, content: bytes) -> None:
    """Put a file under exactly this name, replacing what lies there. Raises: NotAttempted."""
    boundary = uuid.uuid4().hex
    fields = (("type", kind), ("subfolder", subfolder), ("overwrite", "true"))
    body = io.BytesIO()
    for key, value in fields:
        body.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode())
    body.write(
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
    )
    body.write(content)
    body.write(f"\r\n--{boundary}--\r\n".encode())
    status, answer = engine.ask("/upload/image", body.getvalue(), f"multipart/form-data; boundary={boundary}")
    if status != 200:
        raise NotAttempted(f"{plain(name)} was refused: HTTP {status} {plain(answer[:200].decode('utf-8', 'replace'))}")


def wait(engine: Engine, prompt_id: str, timeout_s: float) -> dict[str, Any]:
    """Return what ComfyUI keeps of a run when it has ended. Raises: NotAttempted."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        told = engine.json(f"/history/{urllib.parse.quote(prompt_id, safe='')}")
        if isinstance(told, dict) and isinstance(told.get(prompt_id), dict):
            record: dict[str, Any] = told[prompt_id]
            return record
        time.sleep(LOOK_EVERY_S)
    raise NotAttempted(f"not done after {timeout_s:g} s", "wait longer with --timeout; ComfyUI's queue shows the run")


def outputs_of(record: dict[str, Any]) -> list[tuple[str, int, dict[str, Any]]]:
    """Return what a run made: (node, place among the node's, file)."""
    found = []
    for node, kinds in (record.get("outputs") or {}).items():
        for listed in kinds.values() if isinstance(kinds, dict) else ():
            files = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
            found += [(str(node), index, each) for index, each in enumerate(files) if each.get("filename")]
    return found
