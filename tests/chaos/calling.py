"""One connection to a server that may be away, for the processes of the chaos run."""

from __future__ import annotations

import http.client
import json
import random
import time
from typing import Any

from memoryd.dispatch.wire import PROTOCOL, PROTOCOL_HEADER


class Away(Exception):
    """No answer: it is not known whether the call was heard."""


class Server:
    """A server, or one of several that are the same; the next is tried when one does not answer."""

    def __init__(self, urls: list[str], key: str | None, *, timeout_s: float = 30.0) -> None:
        """Nothing is connected yet."""
        self._hosts = [url.partition("://")[2] for url in urls]
        self._turn, self._timeout = random.randrange(len(urls)), timeout_s
        self.headers = {"Content-Type": "application/json", PROTOCOL_HEADER: str(PROTOCOL)}
        if key:
            self.headers["Authorization"] = f"Bearer {key}"
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Return status and document of an answer. Raises: Away."""
        try:
            if self._connection is None:
                host = self._hosts[self._turn % len(self._hosts)]
                self._connection = http.client.HTTPConnection(host, timeout=self._timeout)
            self._connection.request(method, path, body=body, headers=self.headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._turn = None, self._turn + 1
            raise Away(str(error)) from error
        if answer.status >= 500:
            raise Away(f"{answer.status} {content[:200]!r}")
        return answer.status, json.loads(content) if content else None

    def post(self, path: str, document: object) -> tuple[int, Any]:
        """Return status and document of the answer to a posted one. Raises: Away."""
        return self.ask("POST", path, json.dumps(document).encode())

    def insist(self, method: str, path: str, document: object, *, until: float) -> tuple[int, Any]:
        """Ask until there is an answer, for as long as `until` (monotonic) has not passed. Raises: Away."""
        while True:
            try:
                return self.ask(method, path, None if document is None else json.dumps(document).encode())
            except Away:
                if time.monotonic() > until:
                    raise
                time.sleep(random.uniform(0.05, 0.4))
