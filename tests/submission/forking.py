"""Starts servers and workers as processes of their own, without each of them loading the program again.

Run as a program it loads everything once, then forks for each line on its input: a JSON object with `part` (server or worker),
`arguments` and `variables`. It answers with the process id. What it starts is killed and looked at by that id.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from pathlib import Path
from typing import Any

TEND_EVERY_S = 0.2


def serve(app: Any, url: str, home: str, port: str) -> None:
    """Serve until killed, and tend the queue as a server's own process does."""
    import uvicorn

    from memoryd.dispatch import tending

    app.state.offices = offices = offices_of(url, Path(home))
    # As after a real start: another process than the one before it, which may lead the queue still.
    holder = uuid.uuid4()

    def tend() -> None:
        while True:
            tending.tend_once(offices.database, holder=holder)
            time.sleep(TEND_EVERY_S)

    threading.Thread(target=tend, daemon=True).start()
    uvicorn.run(app, port=int(port), log_level="error", timeout_graceful_shutdown=1)


def offices_of(url: str, home: Path) -> Any:
    """Return a server's offices. Nothing is connected."""
    from memoryd.access.guards import Offices
    from memoryd.foundation.database import Database
    from memoryd.foundation.settings import Settings
    from memoryd.storage.blob_store import BlobStore

    return Offices(
        settings=Settings(home=home), database=Database(url), store=BlobStore(home / "blobs"), keys=home / "keys"
    )


def work(*arguments: str) -> None:
    """Run `memoryd worker`."""
    from memoryd_cli.main import main as command

    sys.argv = ["memoryd", "worker", *arguments]
    command()


def main() -> None:
    """Load, then fork for each line."""
    # What is loaded once, for all that are forked.
    import memoryd.worker.agent  # noqa: F401
    import memoryd_cli.main  # noqa: F401
    from memoryd.app.http import make_app

    app = make_app(offices_of("postgresql://nobody@localhost/nothing", Path("/nonexistent")))
    app.openapi()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with Path(os.devnull).open() as nothing:
                os.dup2(nothing.fileno(), 0)
            os.dup2(2, 1)
            os.environ.update(asked["variables"])
            try:
                serve(app, *asked["arguments"]) if asked["part"] == "server" else work(*asked["arguments"])
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        print(process, flush=True)


if __name__ == "__main__":
    main()
