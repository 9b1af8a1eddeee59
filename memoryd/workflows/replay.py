"""What to hand to ComfyUI so that it makes a picture again, from the texts that were kept verbatim."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memoryd.comfyui.submitted_graph import without_is_changed
from memoryd.foundation.canonical_json import Json, NotJson, read_json
from memoryd.foundation.errors import NotAcceptable

PROMPT_KEY = "prompt"


class NotReplayable(NotAcceptable):
    """These texts hold no prompt that ComfyUI could execute."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A request for POST /prompt. `extra_pnginfo` has the other texts in their order, so that the file's chunks are equal.

    `left_out` are the keys of texts that ComfyUI did not write (they are no JSON): it could not write them again.
    """

    prompt: dict[str, Json]
    extra_pnginfo: dict[str, Json]
    left_out: tuple[str, ...] = ()


def replay(documents: Sequence[tuple[str, bytes]]) -> Replay:
    """Return the request that makes a file again, from its texts as (key, raw bytes) in file order.

    The first of two texts of one key counts. Raises: NotReplayable where no text under `prompt` is an object.
    """
    prompt: dict[str, Json] | None = None
    extra: dict[str, Json] = {}
    left_out: list[str] = []
    for key, raw in documents:
        try:
            value = read_json(raw)
        except NotJson:
            left_out.append(key)
            continue
        if key == PROMPT_KEY:
            if prompt is None and isinstance(value, dict):
                prompt = without_is_changed(value)
        else:
            extra.setdefault(key, value)
    if prompt is None:
        raise NotReplayable(
            "none of the texts is an executed prompt", hint="only what ComfyUI saved with metadata can be re-queued"
        )
    return Replay(prompt=prompt, extra_pnginfo=extra, left_out=tuple(left_out))
