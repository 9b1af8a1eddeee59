"""The network between the farm's machines and the server: a namespace with a link that is taken down, or a relay that hangs.

Where this machine allows it (root, `ip netns`), workers and their engines run in a network namespace of their own, and
the only way out is a veth pair: taking it down loses packets as a pulled cable does, connections stay half open, and
what was on its way is sent again when it comes back, or not. Elsewhere the relay itself stops forwarding.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import subprocess
import threading
import time

CHUNK = 65536


class Relay:
    """Forwards TCP to a port of this machine. `hang()`: takes everything and passes nothing on, until `resume()`."""

    def __init__(self, listen_on: str, target_port: int) -> None:
        """Listen on a free port of `listen_on`."""
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server((listen_on, 0))
        self.port = int(self._listener.getsockname()[1])
        self._open, self._closed = threading.Event(), False
        self._open.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hang(self) -> None:
        """Pass nothing on."""
        self._open.clear()

    def resume(self) -> None:
        """Pass on what was held back."""
        self._open.set()

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        self._open.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                outer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(outer,), daemon=True).start()

    def _forward(self, outer: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            outer,
            # A server that is down is answered as the kernel answers: the connection is closed.
            socket.create_connection(self._target, timeout=5) as inner,
            selectors.DefaultSelector() as ready,
        ):
            inner.settimeout(None)
            ready.register(outer, selectors.EVENT_READ, inner)
            ready.register(inner, selectors.EVENT_READ, outer)
            while not self._closed:
                for key, _ in ready.select(1.0):
                    source, sink = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    content = source.recv(CHUNK)
                    self._open.wait()
                    if not content:
                        return
                    sink.sendall(content)


class Wire:
    """How the machines of the farm reach the servers, and how that is cut."""

    def __init__(self, ports: list[int]) -> None:
        """Lay it to these servers' ports."""
        self._name = f"mchaos{os.getpid()}"
        self.isolated = self._lay()
        self._relays = [Relay(self._near if self.isolated else "127.0.0.1", port) for port in ports]
        self.cuts, self.cut_s = 0, 0.0

    @property
    def kind(self) -> str:
        """In a word, for the report."""
        return "a link of a network namespace, taken down" if self.isolated else "a relay that holds everything back"

    @property
    def prefix(self) -> list[str]:
        """What to put before a command that runs on a machine of the farm."""
        return ["ip", "netns", "exec", self._name] if self.isolated else []

    def server(self, number: int) -> str:
        """The address of a server as the farm reaches it."""
        relay = self._relays[number % len(self._relays)]
        return f"http://{self._near if self.isolated else '127.0.0.1'}:{relay.port}"

    def cut(self, seconds: float) -> None:
        """Cut it for a while; returns when it works again."""
        self.cuts, self.cut_s = self.cuts + 1, self.cut_s + seconds
        if self.isolated:
            _ip("link", "set", f"{self._name}a", "down")
        else:
            for relay in self._relays:
                relay.hang()
        try:
            time.sleep(seconds)
        finally:
            if self.isolated:
                _ip("link", "set", f"{self._name}a", "up")
            else:
                for relay in self._relays:
                    relay.resume()

    def close(self) -> None:
        """Take it away."""
        for relay in self._relays:
            relay.close()
        if self.isolated:
            _ip("link", "del", f"{self._name}a", fail=False)
            _ip("netns", "del", self._name, fail=False)

    @property
    def _near(self) -> str:
        return f"10.{20 + os.getpid() % 200}.{os.getpid() // 200 % 250}.1"

    def _lay(self) -> bool:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            return False
        ours, theirs, inside = f"{self._name}a", f"{self._name}b", ["-n", self._name]
        try:
            _ip("netns", "add", self._name)
            _ip("link", "add", ours, "type", "veth", "peer", "name", theirs)
            _ip("link", "set", theirs, "netns", self._name)
            _ip("addr", "add", f"{self._near}/30", "dev", ours)
            _ip("link", "set", ours, "up")
            _ip(*inside, "addr", "add", f"{self._near[:-1]}2/30", "dev", theirs)
            _ip(*inside, "link", "set", theirs, "up")
            _ip(*inside, "link", "set", "lo", "up")
        except subprocess.CalledProcessError:
            _ip("link", "del", ours, fail=False)
            _ip("netns", "del", self._name, fail=False)
            return False
        return True


def _ip(*arguments: str, fail: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=fail, capture_output=True)
