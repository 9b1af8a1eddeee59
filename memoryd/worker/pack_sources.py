"""Sends the sources of node packs to the server, where the worker's owner allowed it, after a run that used them.

In a thread of its own, and never at the cost of work: what cannot be sent is sent after a later run.
"""

from __future__ import annotations

import queue
import tempfile
import threading

from memoryd.comfyui.source_archive import ArchiveTooLarge, write_archive
from memoryd.dispatch.sources_wire import SourcesRequest
from memoryd.dispatch.wire import CompleteRequest, Outcome
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.server_link import ServerLink
from memoryd.worker.source_trees import SourceTree, members_of
from memoryd.worker.survey import Survey

WAITING_LIMIT = 100
"""Runs that wait to be asked about; of more the newest are left out: a later run asks the same."""

_log = log_for(__name__)


class PackSources:
    """Asks after each run which sources its tenant lacks, and sends them. Thread-safe; finish it."""

    def __init__(self, link: ServerLink) -> None:
        """The thread starts with `start`."""
        self._link = link
        self._waiting: queue.Queue[tuple[CompleteRequest, Survey] | None] = queue.Queue(WAITING_LIMIT)
        self._unsendable: set[str] = set()
        self._thread = threading.Thread(target=self._send_on, name="pack-sources", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def offer(self, completion: CompleteRequest, survey: Survey) -> None:
        """Take a run whose result the server has. `survey`: what the worker offers at present."""
        if completion.outcome is not Outcome.OK or completion.environment_sha256 != survey.environment_sha256.hex():
            return
        try:
            self._waiting.put_nowait((completion, survey))
        except queue.Full:
            return

    def finish(self) -> None:
        """Leave what was not sent to the next start. Returns at once."""
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return

    def _send_on(self) -> None:
        while (offered := self._waiting.get()) is not None:
            try:
                self._send(*offered)
            except MemorydError as error:
                _log.warning("sources of node packs were not sent: %s", error.detail)

    def _send(self, completion: CompleteRequest, survey: Survey) -> None:
        here = {
            pack.sources.digest: (pack.stated.name, pack.sources)
            for pack in survey.packs
            if pack.sources is not None and pack.sources.digest is not None
        }
        request = SourcesRequest(
            job_id=completion.job_id,
            fence=completion.fence,
            token=completion.token,
            environment_sha256=completion.environment_sha256,
        )
        for tree in self._link.ask_for_sources(request).trees:
            if tree in here and tree not in self._unsendable:
                name, sources = here[tree]
                if self._send_one(request, tree, sources):
                    _log.info("the sources of node pack %s are kept", name)

    def _send_one(self, request: SourcesRequest, tree: str, sources: SourceTree) -> bool:
        with tempfile.TemporaryFile() as archive:
            try:
                written = write_archive(members_of(sources), archive)
            except (ArchiveTooLarge, OSError) as error:
                _log.warning("the sources of %s cannot be kept: %s", sources.root.name, error)
                self._unsendable.add(tree)
                return False
            if written != tree:
                # Somebody works on it: the next look names what is there now.
                return False
            archive.seek(0)
            self._link.send_sources(request, tree, archive)
            return True
