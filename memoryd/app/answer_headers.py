"""What every answer carries, and how long it took: around the whole application, without holding a stream up."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memoryd.foundation.canonical_json import canonical_bytes
from memoryd.foundation.counters import REQUEST_SECONDS
from memoryd.foundation.errors import TooLarge

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
API_PREFIX = "/v1"

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Set where the endpoint itself did not."""

_TOO_LARGE = TooLarge("the body is greater than this address takes", hint="send less at once")
_PLAIN = b"text/plain; charset=utf-8"
_REFUSAL = canonical_bytes(
    {
        "type": "about:memoryd#too-large",
        "title": _TOO_LARGE.title,
        "status": _TOO_LARGE.status,
        "detail": _TOO_LARGE.detail,
        "hint": _TOO_LARGE.hint,
    }
)
_REFUSAL_LENGTH = str(len(_REFUSAL)).encode()


class AnswerHeaders:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it answer, and add to the head of what it answers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        refused = False

        async def told(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                given = message.setdefault("headers", [])
                if message["status"] == _TOO_LARGE.status and (b"content-type", _PLAIN) in given:
                    # The framework's own words on a body above a route's limit, which pass the handlers of errors by.
                    refused = True
                    given = [(b"content-type", b"application/problem+json"), (b"content-length", _REFUSAL_LENGTH)]
                names = {name.lower() for name, _ in given}
                message["headers"] = [*given, *[pair for pair in HEADERS if pair[0] not in names]]
                _count(scope, message["status"], time.perf_counter() - began)
            elif refused:
                message = {"type": message["type"], "body": _REFUSAL}
            await send(message)

        await self._app(scope, receive, told)


def _count(scope: Scope, status: int, seconds: float) -> None:
    # By the address's pattern: what callers make up must not become a metric each.
    route = getattr(scope.get("route"), "path", "none")
    if scope["path"].startswith(f"{API_PREFIX}/") and route != "none" and not route.startswith(f"{API_PREFIX}/"):
        route = API_PREFIX + route  # an included router's pattern is told without its prefix
    method = scope["method"] if scope["method"] in METHODS else "other"
    REQUEST_SECONDS.labels(method, route, status).observe(seconds)
