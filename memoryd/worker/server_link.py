"""The server, as a worker sees it: one method per call of the protocol."""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from memoryd.dispatch.fetch_wire import HeldAnswer, HeldRequest, ModelsAsked, ModelsOffered
from memoryd.dispatch.models_wire import (
    DescriptionsAnswer,
    DescriptionsRequest,
    ModelsRequest,
    SharedAnswer,
    SharedRequest,
)
from memoryd.dispatch.result_wire import fits, pack_result
from memoryd.dispatch.socket_wire import HEAD_LIMIT
from memoryd.dispatch.sources_wire import SourcesRequest, SourcesWanted
from memoryd.dispatch.wire import (
    LEASE_LOST,
    PROTOCOL,
    PROTOCOL_HEADER,
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    CompleteAnswer,
    CompleteRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    InputFile,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Output,
    OutputStored,
    RegisterAnswer,
    RegisterRequest,
    ReleaseRequest,
)
from memoryd.foundation.errors import Conflict, NotAcceptable, NotRecognised, Unavailable
from memoryd.foundation.tls import trust

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 30
SOCKET_PING_S = 20.0
"""A socket whose other end is silent for this long, and then once more, is taken for dead."""
_CHUNK = 1024 * 1024
_FETCH_CHUNK = 256 * 1024

Answer = TypeVar("Answer", bound=BaseModel)


class ServerDown(Unavailable):
    """The memoryd server does not answer."""


class KeyRefused(NotRecognised):
    """The server does not know this worker."""


class CallRefused(NotAcceptable):
    """The server refused what the worker sent."""


class LeaseLost(Conflict):
    """The job is no longer this worker's."""


class BytesDiffer(NotAcceptable):
    """The bytes that arrived are not those that were named."""


class ServerLink:
    """Calls to one server. Thread-safe; close it."""

    def __init__(self, url: str, key: str | None = None, *, certificates: Path | None = None) -> None:
        """`url` is the server's address without `/v1`; `key` is this worker's, None before joining.

        `certificates` are trusted besides the public ones. Raises: TrustUnusable.
        """
        headers = {PROTOCOL_HEADER: str(PROTOCOL)} | ({"Authorization": f"Bearer {key}"} if key else {})
        self.url = url.rstrip("/")
        self._headers = headers
        self._trust = trust(self.url, certificates)
        self._takes_results = True
        self.brings_next = True
        """Whether the server answers a report with the next job, where that is asked for. An older one does not."""
        self._http = httpx.Client(
            base_url=f"{self.url}/v1",
            headers=headers,
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # Loading the certificate authorities costs 50 ms and is of no use without TLS.
            verify=self._trust,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def join(self, request: JoinRequest) -> JoinAnswer:
        """Turn a one-time token into a key. Raises: KeyRefused, CallRefused, ServerDown."""
        return self._call("/work/join", request, JoinAnswer)

    def register(self, request: RegisterRequest) -> RegisterAnswer:
        """Tell of this start of the worker. Raises: KeyRefused, CallRefused, ServerDown."""
        return self._call("/work/register", request, RegisterAnswer)

    def tell_nodes(self, sha256: str, packed: bytes) -> None:
        """Send the node specifications that were registered. Raises: KeyRefused, CallRefused, ServerDown."""
        try:
            _checked(self._http.put(f"/work/nodes/{sha256}", content=packed))
        except httpx.HTTPError as error:
            raise self._down(error) from error

    def claim(self, request: ClaimRequest) -> Claimed | None:
        """Return a job, or None when none came in time. Raises: KeyRefused, CallRefused, ServerDown."""
        answer = self._post("/work/claim", request, timeout_s=request.wait_s + ANSWER_TIMEOUT_S)
        return None if answer.status_code == httpx.codes.NO_CONTENT else _read(answer, ClaimAnswer).job

    def heartbeat(self, request: HeartbeatRequest) -> HeartbeatAnswer:
        """Return the server's word on every lease. Raises: KeyRefused, CallRefused, ServerDown."""
        return self._call("/work/heartbeat", request, HeartbeatAnswer)

    def state_hashes(self, request: ModelsRequest) -> None:
        """Tell what was hashed since the registration. Raises: KeyRefused, CallRefused, ServerDown."""
        self._post("/work/models", request)

    def share_hashes(self, request: SharedRequest) -> SharedAnswer:
        """Ask what others measured of a shared folder, and tell what was. Raises: KeyRefused, CallRefused, ServerDown."""
        return self._call("/work/models/shared", request, SharedAnswer)

    def describe_models(self, request: DescriptionsRequest) -> DescriptionsAnswer:
        """Tell what models say, ask which others want it. Raises: KeyRefused, CallRefused, ServerDown."""
        return self._call("/work/models/described", request, DescriptionsAnswer)

    def ask_for_sources(self, request: SourcesRequest) -> SourcesWanted:
        """Return which sources of node packs a finished job's tenant lacks. Raises: KeyRefused, CallRefused, ServerDown."""
        return self._call("/work/pack-sources", request, SourcesWanted)

    def send_sources(self, request: SourcesRequest, tree: str, archive: BinaryIO) -> None:
        """Send the sources of a node pack. Raises: KeyRefused, CallRefused, ServerDown."""
        named: dict[str, str | int] = {
            "job_id": str(request.job_id),
            "fence": request.fence,
            "token": request.token,
            "environment": request.environment_sha256,
        }
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(os.fstat(archive.fileno()).st_size),
        }
        try:
            answer = self._http.put(
                f"/work/pack-sources/{tree}",
                params=named,
                headers=headers,
                content=iter(lambda: archive.read(_CHUNK), b""),
            )
        except httpx.HTTPError as error:
            raise self._down(error) from error
        _checked(answer)

    def open_socket(self, incarnation: UUID) -> ClientConnection:
        """Return this start's WebSocket, open: to be used as a context manager, which closes it.

        Raises: KeyRefused, CallRefused (also by a server without it), ServerDown.
        """
        address = f"ws{self.url.removeprefix('http')}/v1/work/socket?incarnation={incarnation}"
        try:
            return connect(
                address,
                ssl=self._trust if isinstance(self._trust, ssl.SSLContext) else None,
                additional_headers=self._headers,
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=1,
                max_size=HEAD_LIMIT,
                compression=None,
                ping_interval=SOCKET_PING_S,
                ping_timeout=SOCKET_PING_S,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in (httpx.codes.UNAUTHORIZED, httpx.codes.CONFLICT):
                raise KeyRefused(
                    f"the socket: {status}", hint="another process may run with this worker's key"
                ) from error
            raise CallRefused(f"the socket: {status}", hint="the server may be older; all works without it") from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise self._down(error) from error

    def fetch_input(self, claimed: Claimed, file: InputFile, target: Path) -> None:
        """Write an input's bytes to `target`. Raises: BytesDiffer, LeaseLost, CallRefused, ServerDown."""
        digest = hashlib.sha256()
        lease: dict[str, str | int] = {"fence": claimed.fence, "token": claimed.token}
        path = f"/work/inputs/{claimed.job_id}/{file.sha256}"
        try:
            with self._http.stream("GET", path, params=lease) as answer, target.open("wb") as written:
                if answer.is_error:
                    answer.read()
                    _checked(answer)
                for chunk in answer.iter_bytes(_CHUNK):
                    digest.update(chunk)
                    written.write(chunk)
        except httpx.HTTPError as error:
            raise self._down(error) from error
        if digest.hexdigest() != file.sha256:
            raise BytesDiffer(
                f"{file.name}: {digest.hexdigest()} arrived", hint="the server's store is damaged: doctor"
            )

    def ask_for_models(self, request: ModelsAsked) -> ModelsOffered:
        """Return which pinned models the server's store has. Raises: LeaseLost, CallRefused, KeyRefused, ServerDown."""
        return self._call("/work/models/asked", request, ModelsOffered)

    def ask_for_held(self, request: HeldRequest) -> list[str]:
        """Return which of a tenant's models may not leave. Raises: CallRefused, KeyRefused, ServerDown."""
        return self._call("/work/models/held", request, HeldAnswer).held

    @contextlib.contextmanager
    def open_model(self, claimed: Claimed, sha256: str, first: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A block in which a pinned model's bytes come, unchecked: from `first` on, or from where the server begins.

        Raises: LeaseLost, CallRefused, KeyRefused, ServerDown.
        """
        lease: dict[str, str | int] = {"job_id": str(claimed.job_id), "fence": claimed.fence, "token": claimed.token}
        headers = {"Range": f"bytes={first}-", "If-Range": f'"{sha256}"'} if first else {}
        try:
            with self._http.stream("GET", f"/work/models/{sha256}", params=lease, headers=headers) as answer:
                if answer.is_error:
                    answer.read()
                    _checked(answer)
                part = answer.status_code == httpx.codes.PARTIAL_CONTENT
                yield (first if part else 0), answer.iter_bytes(_FETCH_CHUNK)
        except httpx.HTTPError as error:
            raise self._down(error) from error

    def upload_output(self, job_id: UUID, fence: int, token: str, output: Output, source: Path) -> None:
        """Send an output's bytes. Raises: BytesDiffer, LeaseLost, CallRefused, ServerDown."""
        lease: dict[str, str | int] = {"fence": fence, "token": token, "sha256": output.sha256}
        # A length, not chunks: a proxy in front of the server may refuse a body of unknown size.
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(source.stat().st_size)}
        try:
            answer = self._http.put(
                f"/work/outputs/{job_id}/{output.index}", params=lease, headers=headers, content=_chunks(source)
            )
        except httpx.HTTPError as error:
            raise self._down(error) from error
        stored = _read(_checked(answer), OutputStored)
        if stored.sha256 != output.sha256:
            raise BytesDiffer(f"{output.filename}: the server has {stored.sha256}", hint="it is sent again")

    def complete(self, request: CompleteRequest) -> CompleteAnswer:
        """Tell how a job ended; may be told again. Raises: LeaseLost, CallRefused, KeyRefused, ServerDown."""
        return self._call("/work/complete", request, CompleteAnswer)

    def deliver(self, request: CompleteRequest, folder: Path) -> CompleteAnswer:
        """Bring a result: the outputs lie in `folder` by index. Safe to call again, from the beginning.

        Small results go in one call where the server knows it. Raises: BytesDiffer, LeaseLost, CallRefused, KeyRefused,
        ServerDown.
        """
        answer = self._deliver(request, folder)
        if request.next is not None and "next" not in answer.model_fields_set:
            self.brings_next = False
        return answer

    def _deliver(self, request: CompleteRequest, folder: Path) -> CompleteAnswer:
        if self._takes_results and fits(request):
            answer = self._send_result(
                request, [(folder / str(output.index)).read_bytes() for output in request.outputs]
            )
            if answer is not None:
                return answer
            self._takes_results = False
        for output in request.outputs:
            self.upload_output(request.job_id, request.fence, request.token, output, folder / str(output.index))
        return self.complete(request)

    def _send_result(self, request: CompleteRequest, contents: list[bytes]) -> CompleteAnswer | None:
        """Send a result in one message; None where the server does not know how to take it."""
        try:
            answer = self._http.post(
                "/work/result",
                content=pack_result(request, contents),
                headers={"Content-Type": "application/octet-stream"},
                timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            )
        except httpx.HTTPError as error:
            raise self._down(error) from error
        # An older server, or a proxy that takes no such body: then as it always was.
        if answer.status_code in (
            httpx.codes.NOT_FOUND,
            httpx.codes.METHOD_NOT_ALLOWED,
            httpx.codes.REQUEST_ENTITY_TOO_LARGE,
        ):
            return None
        return _read(_checked(answer), CompleteAnswer)

    def release(self, request: ReleaseRequest) -> None:
        """Give a job back. Raises: LeaseLost, CallRefused, KeyRefused, ServerDown."""
        self._post("/work/release", request)

    def leave(self, incarnation: UUID) -> None:
        """Say that this start takes no more work. Raises: KeyRefused, CallRefused, ServerDown."""
        self._post("/work/leave", LeaveRequest(incarnation=incarnation))

    def _call(self, path: str, request: BaseModel, shape: type[Answer]) -> Answer:
        return _read(self._post(path, request), shape)

    def _post(self, path: str, request: BaseModel, timeout_s: float = ANSWER_TIMEOUT_S) -> httpx.Response:
        try:
            return _checked(
                self._http.post(
                    path,
                    content=request.model_dump_json(),
                    headers={"Content-Type": "application/json"},
                    timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
                )
            )
        except httpx.HTTPError as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> ServerDown:
        return ServerDown(
            f"{self.url}: {str(error) or type(error).__name__}", hint="the worker goes on trying; is the server up?"
        )


def _chunks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _checked(answer: httpx.Response) -> httpx.Response:
    if not answer.is_error:
        return answer
    try:
        told = answer.json()
    except ValueError:
        told = {}
    problem = told if isinstance(told, dict) else {}
    sentence = f"{answer.request.url.path}: {problem.get('detail') or answer.status_code}"
    if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise ServerDown(sentence, hint=problem.get("hint"))
    if str(problem.get("type", "")).endswith(LEASE_LOST):
        raise LeaseLost(sentence, hint="another worker has it, or somebody cancelled it")
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise KeyRefused(sentence, hint="`memoryd workers add` on the server prints a new join command")
    raise CallRefused(sentence, hint=problem.get("hint"))


def _read(answer: httpx.Response, shape: type[Answer]) -> Answer:
    try:
        return shape.model_validate_json(answer.content)
    except ValidationError as error:
        first = error.errors()[0]
        raise CallRefused(
            f"{answer.request.url.path} answered what no memoryd server answers: {first['msg']}",
            hint=f"is this the address of a memoryd server? process {os.getpid()} speaks protocol {PROTOCOL}",
        ) from None
