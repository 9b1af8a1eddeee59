"""The content security policy of every answer, and how long static files may be kept: around the whole application."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memoryd.web.rendering import API_PAGE_POLICY, CONTENT_SECURITY_POLICY

STATIC_AGE_S = 31_536_000
"""Static files carry their version in the address, so that they may be kept for a year."""


_CACHED = (b"cache-control", f"public, max-age={STATIC_AGE_S}, immutable".encode())


class PagePolicy:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it answer, and add to the head of what it answers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = API_PAGE_POLICY if scope["path"] == "/docs" else CONTENT_SECURITY_POLICY

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                if scope["path"].startswith("/static/"):
                    given = [*[pair for pair in given if pair[0].lower() != _CACHED[0]], _CACHED]
                if not any(name.lower() == b"content-security-policy" for name, _ in given):
                    given = [*given, (b"content-security-policy", policy.encode())]
                message["headers"] = given
            await send(message)

        await self._app(scope, receive, told)
