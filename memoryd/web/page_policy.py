"""The content security policy of every answer, and how long static files may be kept: around the whole application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from memoryd.web.rendering import API_PAGE_POLICY, CONTENT_SECURITY_POLICY

STATIC_AGE_S = 31_536_000
"""Static files carry their version in the address, so that they may be kept for a year."""

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Scope]]
Send: TypeAlias = Callable[[Scope], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_CACHED = (b"cache-control", f"public, max-age={STATIC_AGE_S}, immutable".encode())


class PagePolicy:
    """An ASGI application around another."""

    def __init__(self, app: Application) -> None:
        """`app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it answer, and add to the head of what it answers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = API_PAGE_POLICY if scope["path"] == "/docs" else CONTENT_SECURITY_POLICY

        async def told(message: Scope) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                if scope["path"].startswith("/static/"):
                    given = [*[pair for pair in given if pair[0].lower() != _CACHED[0]], _CACHED]
                if not any(name.lower() == b"content-security-policy" for name, _ in given):
                    given = [*given, (b"content-security-policy", policy.encode())]
                message["headers"] = given
            await send(message)

        await self._app(scope, receive, told)
