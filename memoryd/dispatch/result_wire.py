"""A whole result in one message, `POST /v1/work/result`: the report and the bytes of its outputs. The worker imports this too.

The length of the report (4 bytes, big-endian), the report as JSON (`CompleteRequest`), then each output's bytes in the
report's order, as long as the report says. For small results: it spares a call for each output. Larger ones, and servers
that do not know it, get outputs and report one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from memoryd.dispatch.wire import CompleteRequest
from memoryd.foundation.errors import NotAcceptable

RESULT_LIMIT = 8 * 2**20
"""Bytes of one message. It is held in memory on both sides; most pictures have 1 to 3 MB."""

_HEAD = struct.Struct(">I")


class BadResult(NotAcceptable):
    """This is no result in one message."""


def fits(report: CompleteRequest) -> bool:
    """Return whether a result can go in one message; half of the limit is room enough for any report."""
    return sum(output.size for output in report.outputs) <= RESULT_LIMIT // 2


def pack_result(report: CompleteRequest, contents: Sequence[bytes]) -> bytes:
    """Return the message. `contents` are the outputs' bytes, in the report's order."""
    head = report.model_dump_json().encode()
    return b"".join((_HEAD.pack(len(head)), head, *contents))


def unpack_result(message: bytes) -> tuple[CompleteRequest, Mapping[int, bytes]]:
    """Return the report, and the outputs' bytes by their index. Raises: BadResult."""
    hint = "see memoryd.dispatch.result_wire; a worker of this version sends them so"
    if not _HEAD.size < len(message) <= RESULT_LIMIT:
        raise BadResult(f"{len(message)} bytes (RESULT_LIMIT is {RESULT_LIMIT})", hint=hint)
    (length,) = _HEAD.unpack_from(message)
    at = _HEAD.size + length
    if at > len(message):
        raise BadResult(f"a report of {length} bytes in a message of {len(message)}", hint=hint)
    try:
        report = CompleteRequest.model_validate_json(message[_HEAD.size : at])
    except ValidationError as error:
        raise BadResult(f"the report: {error.errors()[0]['msg']}", hint=hint) from None
    contents: dict[int, bytes] = {}
    for output in report.outputs:
        if not 0 <= output.size <= len(message) - at or output.index in contents:
            raise BadResult(f"output {output.index} of {output.size} bytes does not fit", hint=hint)
        contents[output.index] = message[at : at + output.size]
        at += output.size
    if at != len(message):
        raise BadResult(f"{len(message) - at} bytes that no output is named for", hint=hint)
    return report, contents
