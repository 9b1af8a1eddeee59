"""What a request of `POST /v1/assets` brings, as a parameter's type: facts as JSON alone, or in a form with files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from memoryd.foundation.errors import NotAcceptable, TooLarge
from memoryd.ingest.asset_wire import BODY_LIMIT, FILES_LIMIT, AssetsSent, inlined_schema
from memoryd.ingest.sent_assets import SentFile

SENT_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": inlined_schema(AssetsSent)},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["facts"],
                "properties": {
                    "facts": {"type": "string", "description": "The JSON document."},
                    "file": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "description": "Bytes; each part's file name is the SHA-256 of its asset.",
                    },
                },
            }
        },
    },
}
"""How the API's description shows the body, which has two forms."""


class AssetsUnreadable(NotAcceptable):
    """These facts cannot be understood."""


class FactsTooLarge(TooLarge):
    """These are too many facts for one request."""


async def _sent(request: Request) -> AsyncIterator[tuple[AssetsSent, list[SentFile]]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        yield _read(await _body(request)), []
        return
    try:
        form = await request.form(max_files=FILES_LIMIT, max_fields=1, max_part_size=BODY_LIMIT)
    except HTTPException as error:
        raise AssetsUnreadable(
            str(error.detail), hint=f"one text part `facts`, and at most {FILES_LIMIT} files (FILES_LIMIT)"
        ) from None
    try:
        facts = form.get("facts")
        if not isinstance(facts, str):
            raise AssetsUnreadable(
                "the form has no part `facts`", hint="send the JSON document as the text part `facts`"
            )
        files = [
            SentFile(announced=(part.filename or "").lower(), stream=part.file)
            for _, part in form.multi_items()
            if not isinstance(part, str)
        ]
        yield _read(facts), files
    finally:
        await form.close()


async def _body(request: Request) -> bytes:
    pieces = bytearray()
    async for piece in request.stream():
        pieces += piece
        if len(pieces) > BODY_LIMIT:
            raise FactsTooLarge(f"more than {BODY_LIMIT} bytes (BODY_LIMIT)", hint="send fewer assets at once")
    return bytes(pieces)


def _read(body: str | bytes) -> AssetsSent:
    try:
        return AssetsSent.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AssetsUnreadable(f"{where}: {first['msg']}"[:500], hint="docs/watching.md shows what is sent") from None


Sent: TypeAlias = Annotated[tuple[AssetsSent, list[SentFile]], Depends(_sent)]
