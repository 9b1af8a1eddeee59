"""Texts as the frontend sends them: without the comments that people wrote into their prompts.

Source: ComfyUI_frontend 1.47, processDynamicPrompt. The choices between braces are drawn by chance there: they stay as
written, so that a reader sees a template and never a guess.
"""

from __future__ import annotations

from memoryd.foundation.canonical_json import Json


def without_comments(value: Json) -> Json:
    """Return a text without `/* … */` and `// …`; any other value as it is. One pass, however the text is made."""
    if not isinstance(value, str) or "/" not in value:
        return value
    kept: list[str] = []
    at, closes = 0, True
    while True:
        slash = value.find("/", at)
        if slash < 0:
            break
        after = value[slash + 1 : slash + 2]
        end = value.find("*/", slash + 2) if after == "*" and closes else -1
        if end >= 0:
            kept.append(value[at:slash])
            at = end + 2
        elif after == "/":
            kept.append(value[at:slash])
            line = value.find("\n", slash)
            at = len(value) if line < 0 else line
        else:
            closes = closes and after != "*"
            kept.append(value[at : slash + 1])
            at = slash + 1
    kept.append(value[at:])
    return "".join(kept)
