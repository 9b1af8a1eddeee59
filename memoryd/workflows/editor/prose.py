"""Texts as the frontend sends them: without the comments that people wrote into their prompts.

Source: ComfyUI_frontend 1.47, processDynamicPrompt. The choices between braces are drawn by chance there: they stay as
written, so that a reader sees a template and never a guess.
"""

from __future__ import annotations

import re

from memoryd.foundation.canonical_json import Json

_COMMENT = re.compile(r"/\*(?:[^*]|\*(?!/))*\*/|//[^\n\r]*")


def without_comments(value: Json) -> Json:
    """Return a text without `/* … */` and `// …`; any other value as it is."""
    return _COMMENT.sub("", value) if isinstance(value, str) and "/" in value else value
