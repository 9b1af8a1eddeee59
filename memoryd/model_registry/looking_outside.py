"""Asking a public service about a model by its hash, where the operator turned that on. Nothing but the hash leaves.

Hugging Face cannot be asked so: its API finds repositories by name, and a name says what a studio works on.
"""

from __future__ import annotations

import dataclasses
import time

import httpx

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.canonical_json import JsonTooDeep, NotJson, read_json
from memoryd.foundation.database import Database
from memoryd.foundation.errors import NotAllowed, Unavailable
from memoryd.foundation.settings import Settings
from memoryd.model_registry import versions
from memoryd.model_registry.facts import StatedBy
from memoryd.model_registry.queries import look_ups as queries
from memoryd.weights.sidecars import Sidecar, civitai_version

CIVITAI = "civitai"
ADDRESS = "https://civitai.com/api/v1/model-versions/by-hash/"
"""Source: developer.civitai.com, GET /api/v1/model-versions/by-hash/:hash."""

ANSWER_TIMEOUT_S = 10.0
"""Connecting, and each wait for bytes."""
WHOLE_TIMEOUT_S = 30.0
ANSWER_LIMIT = 2 * 1024 * 1024
"""Bytes of an answer; real ones are below 200,000."""


class LookUpsOff(NotAllowed):
    """Models are not looked up outside here."""


class ServiceDown(Unavailable):
    """The service did not answer as it should."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """What a service answered about a model; None: it does not know it."""

    service: str
    told: Sidecar | None


def look_up(database: Database, settings: Settings, caller: Caller, sha256: bytes) -> LookUp:
    """Ask the service that the operator named about a known model, and record the answer as such.

    No transaction is open meanwhile. Raises: LookUpsOff; ServiceDown.
    """
    if settings.model_lookups != CIVITAI:
        raise LookUpsOff(
            "nothing leaves the network unless the operator says so",
            hint="set MEMORYD_MODEL_LOOKUPS=civitai on the server, and start it anew",
        )
    told = ask(sha256)
    with database.tenant_work(caller.tenant) as session:
        kept = {} if told is None else dataclasses.asdict(told)
        queries.replace_look_up(
            session, sha256=sha256, service=CIVITAI, found=told is not None, answer=kept, person_id=caller.person_id
        )
        if told is not None:
            versions.keep_version(session, sha256, told, StatedBy.LOOK_UP, caller.person_id)
        audit.note(session, caller, "model.look-up", sha256.hex(), {"service": CIVITAI, "found": told is not None})
    return LookUp(service=CIVITAI, told=told)


def ask(sha256: bytes) -> Sidecar | None:
    """Return what Civitai says of a hash, None where it knows none such. Raises: ServiceDown."""
    body = _fetch(f"{ADDRESS}{sha256.hex().upper()}")
    if body is None:
        return None
    try:
        answer = read_json(body)
    except (NotJson, JsonTooDeep, ValueError) as error:
        raise ServiceDown("its answer cannot be read", hint="try again later") from error
    told = civitai_version(answer) if isinstance(answer, dict) else None
    # An answer that does not name the hash may be about anything.
    return told if told is not None and sha256.hex() in told.sha256s else None


def _fetch(address: str) -> bytes | None:
    body, began = bytearray(), time.monotonic()
    try:
        with (
            httpx.Client(follow_redirects=False, timeout=ANSWER_TIMEOUT_S) as client,
            client.stream("GET", address, headers={"Accept": "application/json", "User-Agent": "memoryd"}) as answer,
        ):
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            if answer.status_code != httpx.codes.OK:
                raise ServiceDown(f"it answered {answer.status_code}", hint="try again later")
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > ANSWER_LIMIT:
                    raise ServiceDown(f"more than {ANSWER_LIMIT} bytes (ANSWER_LIMIT)", hint="try again later")
                if time.monotonic() - began > WHOLE_TIMEOUT_S:
                    raise ServiceDown(f"no whole answer in {WHOLE_TIMEOUT_S:.0f} s", hint="try again later")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ServiceDown(f"{type(error).__name__}: {error}"[:300], hint="can the server reach it?") from error
    return bytes(body)
