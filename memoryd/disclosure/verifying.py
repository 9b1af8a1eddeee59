"""What a file's signed disclosure is worth: from a path to a verdict, for any file however hostile, fetching nothing.

The library's own state speaks of the file's own manifest alone: a parent that was tampered with leaves it *trusted*.
The verdict therefore walks everything the file was made from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from memoryd.disclosure import manifest_reading as reading
from memoryd.disclosure.c2pa_library import C2paError, open_reader
from memoryd.disclosure.containers import EMBEDDABLE, NOT_EMBEDDABLE, sniff
from memoryd.disclosure.facts import FileVerdict, GeneratedByAi, ManifestShown, Reason, State, Trust
from memoryd.disclosure.pki import Anchors
from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.errors import MemorydError, NotAcceptable, NotFound, TooLarge
from memoryd.foundation.findings import Finding

VERIFY_BYTES_LIMIT = 4 << 30
"""Bytes of a file that is verified. An hour of 4K video is below; the library reads the whole file once."""

STORE_TEXT_LIMIT = 32 << 20
"""Characters of a manifest store as JSON that are read. A history of 300 signed steps is below 10 million."""

_NOTHING_PROVEN = "no manifest: the file says nothing signed, and that proves nothing about how it was made"
_PIECE = 1 << 20


class NotAFile(NotAcceptable):
    """This is not a file that can be read."""


class FileMissing(NotFound):
    """There is no such file."""


class FileTooLarge(TooLarge):
    """This file is too large to be verified."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the library says of a file, under one set of anchors."""

    state: str
    store: Mapping[str, Json]
    created: frozenset[str] | None


def verify_file(path: Path, anchors: Anchors | None = None) -> FileVerdict:
    """Return the verdict on a file. A file that cannot be read as what it claims to be has a verdict too.

    Raises: FileMissing, NotAFile, FileTooLarge (VERIFY_BYTES_LIMIT).
    """
    try:
        # Without waiting: a named pipe would otherwise wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotAFile(f"{path.name} is not a regular file", hint="give the path of one file")
            return verify_stream(file, anchors)
    except FileNotFoundError:
        raise FileMissing(str(path), hint="is the path right?") from None
    except OSError as error:
        raise NotAFile(
            f"{path.name}: {error.strerror or error}", hint="is the path right, and may it be read?"
        ) from None


def verify_stream(file: BinaryIO, anchors: Anchors | None = None) -> FileVerdict:
    """Return the verdict on a file that is open for reading and seekable. Raises: FileTooLarge."""
    size, digest = _measure(file)
    file.seek(0)
    media_type = sniff(file.read(64))
    known = anchors or Anchors()
    base = FileVerdict(state=State.NONE, headline=_NOTHING_PROVEN, media_type=media_type, sha256=digest, size=size)
    try:
        first = _read(file, media_type, known.operator_pem)
        if first is None:
            return dataclasses.replace(base, reasons=_why_nothing(media_type))
        trust = Trust.OPERATOR if first.state == "Trusted" else Trust.NOBODY
        # Apart from the operator's anchors, so that our own root can never be taken for a public one.
        if trust is Trust.NOBODY and first.state == "Valid" and known.development_pem:
            second = _read(file, media_type, known.development_pem)
            if second is not None and second.state == "Trusted":
                first, trust = second, Trust.INSTALLATION
        return _judge(base, first, trust)
    except C2paError as error:
        return _unreadable(base, str(error))
    except MemorydError as error:
        return _unreadable(base, error.detail)


def _measure(file: BinaryIO) -> tuple[int, bytes]:
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while piece := file.read(_PIECE):
        size += len(piece)
        if size > VERIFY_BYTES_LIMIT:
            raise FileTooLarge(
                f"more than {VERIFY_BYTES_LIMIT} bytes (VERIFY_BYTES_LIMIT)", hint="verify a smaller export"
            )
        digest.update(piece)
    return size, digest.digest()


def _read(file: BinaryIO, media_type: str, anchors_pem: str) -> _Read | None:
    reader = open_reader(file, media_type, anchors_pem)
    if reader is None:
        return None
    with reader:
        plain, detailed = reader.json(), reader.detailed_json()
        state = str(reader.get_validation_state())
    if len(plain) + len(detailed) > STORE_TEXT_LIMIT:
        raise FileTooLarge(f"its manifest store exceeds {STORE_TEXT_LIMIT} characters (STORE_TEXT_LIMIT)")
    store = reading.members(read_json(plain))
    return _Read(state=state, store=store, created=_created_labels(reading.members(read_json(detailed))))


def _created_labels(detailed: Mapping[str, Json]) -> frozenset[str] | None:
    """Return the labels that the file's own claim attributes to its signer; None where the claim knows no such list."""
    manifest = reading.members(reading.members(detailed.get("manifests")).get(str(detailed.get("active_manifest"))))
    claim = reading.members(manifest.get("claim"))
    if "created_assertions" not in claim:
        return None
    entries = map(reading.members, reading.items(claim.get("created_assertions")))
    return frozenset(str(entry.get("url", "")).rsplit("/", 1)[-1] for entry in entries)


def _judge(base: FileVerdict, read: _Read, trust: Trust) -> FileVerdict:
    steps = tuple(reading.walk(read.store))
    manifests = tuple(reading.shown(step, trust if step.depth == 0 else Trust.NOBODY) for step in steps)
    own = reading.failures_in(read.store.get("validation_results"), "file")
    history = tuple(failure for step in steps if step.edge for failure in step.edge.failures)
    claim = _claim_reasons(read.created)
    state = _state(read.state, own, history, trust)
    if not manifests or not steps[0].manifest:
        return _unreadable(base, "the store names no manifest of the file's own")
    signer = manifests[0].signer
    actions = [action for action in manifests[0].actions if action.source_type]
    said_trust = trust if state is not State.INVALID else Trust.NOBODY
    verdict = dataclasses.replace(
        base,
        state=state,
        reasons=own + history + claim,
        trusted_by=_trusted_by(said_trust),
        signer=dataclasses.replace(signer, trust=said_trust) if signer else None,
        generated_by_ai=reading.said_about_ai(manifests),
        source_types=tuple(dict.fromkeys(action.source_type or "" for action in actions)),
        software=actions[0].software if actions else None,
        made_at=actions[0].when if actions else None,
        manifest_id=manifests[0].label,
        manifests=manifests,
        generation=reading.generation_in(steps[0].manifest),
        findings=_cut_short(manifests),
    )
    return dataclasses.replace(verdict, headline=_headline(verdict))


def _state(library_state: str, own: tuple[Reason, ...], history: tuple[Reason, ...], trust: Trust) -> State:
    if library_state not in ("Valid", "Trusted") or any(reason.bad for reason in own):
        return State.INVALID
    if any(reason.bad for reason in history):
        return State.HISTORY_BROKEN
    return State.TRUSTED if trust is Trust.OPERATOR else State.VALID


def _trusted_by(trust: Trust) -> str | None:
    match trust:
        case Trust.OPERATOR:
            return "an anchor that the operator of this installation trusts"
        case Trust.INSTALLATION:
            return "this installation's own development root, which is not a public identity"
        case Trust.NOBODY:
            return None


def _headline(verdict: FileVerdict) -> str:
    said = {
        GeneratedByAi.YES: "says it was made by a trained model (AI)",
        GeneratedByAi.PARTLY: "says a trained model (AI) took part in making it",
        GeneratedByAi.NO: "says it was not made by a trained model",
        GeneratedByAi.SILENT: "says nothing about a trained model's part",
    }[verdict.generated_by_ai]
    match verdict.state:
        case State.INVALID:
            bad = next((reason.detail for reason in verdict.reasons if reason.bad), "the signature does not verify")
            return f"does not verify: {bad}"
        case State.HISTORY_BROKEN:
            return f"the file is as signed, but the record of what it was made from does not verify; it {said}"
        case State.TRUSTED | State.VALID:
            return f"verifies, signed by {_who(verdict)}; it {said}"
        case State.NONE | State.UNREADABLE:
            return verdict.headline


def _who(verdict: FileVerdict) -> str:
    signer = verdict.signer
    if signer is None:
        return "an unnamed signer"
    match signer.trust:
        case Trust.OPERATOR:
            return f"{signer.name} ({signer.organisation}), whom this installation trusts"
        case Trust.INSTALLATION:
            return "a development certificate of this installation (not a public identity)"
        case Trust.NOBODY:
            if signer.development:
                return "a development certificate of some other installation (not a public identity)"
            return f"somebody called {signer.name!r}, for whom nobody here vouches"


def _claim_reasons(created: frozenset[str] | None) -> tuple[Reason, ...]:
    if created is None or any(label.startswith("c2pa.actions") for label in created):
        return ()
    detail = "the signer does not itself vouch for the list of actions: it was only gathered"
    return (Reason(layer="claim", code="actions-only-gathered", detail=detail),)


def _cut_short(manifests: tuple[ManifestShown, ...]) -> tuple[Finding, ...]:
    if len(manifests) < reading.MANIFEST_LIMIT and all(item.depth < reading.DEPTH_LIMIT for item in manifests):
        return ()
    detail = f"only {reading.MANIFEST_LIMIT} manifests and {reading.DEPTH_LIMIT} steps back are walked (MANIFEST_LIMIT)"
    return (Finding(code="history-cut-short", detail=detail),)


def _why_nothing(media_type: str) -> tuple[Reason, ...]:
    if media_type in EMBEDDABLE:
        detail = "none was found in the file; saving it anew, or sending it through most messengers, removes it"
    else:
        detail = NOT_EMBEDDABLE.get(media_type, "this kind of file carries no manifest that we can read")
    return (Reason(layer="file", code="no-manifest", detail=detail),)


def _unreadable(base: FileVerdict, message: str) -> FileVerdict:
    message = reading.clip(message)
    lowered = message.lower()
    if "remote" in lowered:
        detail = "the file says that its manifest lies elsewhere; nothing was fetched"
        return dataclasses.replace(base, reasons=(Reason(layer="file", code="manifest-elsewhere", detail=detail),))
    if "notsupported" in lowered or "unsupported" in lowered:
        return dataclasses.replace(base, reasons=_why_nothing(base.media_type or ""))
    return dataclasses.replace(
        base,
        state=State.UNREADABLE,
        headline="cannot be read: the file is damaged, or its manifest is",
        reasons=(Reason(layer="file", code="unreadable", detail=message, bad=True),),
        findings=(Finding(code="manifest-unreadable", detail=message),),
    )
