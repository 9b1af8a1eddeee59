"""Keeping a request's body within a limit before it is read as a whole."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from memoryd.foundation.errors import TooLarge

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of one request for jobs: a graph and its extra data of TEXT_LIMIT each, escaped, and a table."""


class BodyTooLarge(TooLarge):
    """This request is too large."""


class LimitedRoute(APIRoute):
    """A route whose requests may have BODY_LIMIT bytes. Raises: BodyTooLarge."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with the limit before it."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            stated = request.headers.get("content-length", "")
            if stated.isdigit() and int(stated) > BODY_LIMIT:
                raise _too_large(int(stated))
            receive, size = request.receive, 0

            async def counted() -> Message:
                nonlocal size
                message = await receive()
                size += len(message.get("body", b""))
                if size > BODY_LIMIT:
                    raise _too_large(size)
                return message

            try:
                return await handle(Request(request.scope, counted))
            except HTTPException as error:
                # Whatever goes wrong while a body is read becomes a 400 of the framework's.
                if isinstance(error.__cause__, BodyTooLarge):
                    raise error.__cause__ from None
                raise

        return limited


def _too_large(size: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"{size} bytes or more",
        hint=f"{BODY_LIMIT} at most (BODY_LIMIT); send files to POST /v1/inputs, not in the graph",
    )
