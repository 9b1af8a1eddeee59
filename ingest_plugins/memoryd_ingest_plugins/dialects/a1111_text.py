"""The grammar of the text that AUTOMATIC1111's web UI brought into use: prompt, negative prompt, one line of settings.

    text     = prompt lines [ "Negative prompt:" lines ] [ "Template:" lines ] settings line [ "Template:" lines ]
    settings = "Steps: 20" *( ", " key ": " value )     value = JSON text | JSON object or list | anything to the comma

Source: the writers' own code, and the files measured for this project.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator

SETTINGS_LIMIT = 2_000
"""Settings of one text that are read. Source: the longest seen has 120."""

_STEPS = re.compile(r"^[ \t]*Steps:[ \t]*\d+[ \t\r]*(?:,|$)", re.MULTILINE)
_INLINE_STEPS = re.compile(r"\bSteps: ?\d+, ?(?:Sampler|Schedule|Scheduler|Size|Seed|CFG|Model|Distilled)\b")
_NEGATIVE = re.compile(r"^[ \t]*Negative prompt:[ \t]*", re.MULTILINE)
_INLINE_NEGATIVE = re.compile(r"\bNegative prompt: ")
_HEADING = re.compile(r"\s*Positive prompt:[ \t]*\n?")
"""What savers write that put every setting into a line of its own. Source: files of the WLSH nodes."""

_SETTING_LINE = re.compile(
    r"(?:Model|Model hash|Seed|Sampler|Scheduler|CFG scale|Size|VAE|Denoise|Clip skip):[ \t]*\S[^\n]*", re.IGNORECASE
)
_TEMPLATE = re.compile(r"^[ \t]*(Negative [Tt]emplate|Template):[ \t]*", re.MULTILINE)
_KEY = re.compile(r"[\s,]*([A-Za-z_][\w \-/.()+]{0,80}?)[ \t]*:[ \t]*")
_PLAIN = re.compile(r"[^,\n]*")
_QUOTED = re.compile(r'"(?:\\.|[^\\"\n])*"')
_NEXT = re.compile(r"[,\n]")
_KNOWN = ("sampler", "seed", "cfg scale", "size", "model", "model hash", "schedule type", "scheduler", "app", "version")

_DECODER = json.JSONDecoder(strict=False)


@dataclasses.dataclass(frozen=True, slots=True)
class SettingsText:
    """A text in this grammar. `settings` in order of writing, quotes taken off; `has_settings` False: a bare prompt."""

    prompt: str
    negative: str
    settings: tuple[tuple[str, str], ...]
    has_settings: bool

    def value(self, *keys: str) -> str | None:
        """Return the first value under one of these keys (lower case), None where none of them stands there."""
        return next((value for key in keys for name, value in self.settings if name.lower() == key), None)

    @property
    def speaks(self) -> bool:
        """Tell whether this is surely such a text: a settings line with at least one other setting of a sampler."""
        names = {name.lower() for name, _ in self.settings}
        return self.has_settings and any(key in names for key in _KNOWN)


def read_settings_text(text: str) -> SettingsText:
    """Return the parts of a text; never raises. Without a settings line the whole text is a prompt."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    heading = _HEADING.match(text)
    text = text if heading is None else text[heading.end() :]
    begin = _settings_begin(text)
    if heading is not None:
        begin = _lines_begin(text, begin)
    head, tail = (text, "") if begin is None else (text[:begin], text[begin:])
    after = _TEMPLATE.search(tail)
    templates = "" if after is None else tail[after.start() :]
    line = tail if after is None else tail[: after.start()]
    prompt, negative, before = _head(head)
    settings = [*_settings(line), *_templates(before), *_templates(templates)]
    return SettingsText(
        prompt=prompt.strip(), negative=negative.strip(), settings=tuple(settings), has_settings=begin is not None
    )


def _settings_begin(text: str) -> int | None:
    begin = None
    for found in _STEPS.finditer(text):
        # Prompts say "Steps:" as well: the last line counts.
        begin = found.start()
    if begin is not None:
        return begin
    # A text whose line breaks were lost on its way.
    for found in _INLINE_STEPS.finditer(text):
        begin = found.start()
    return begin


def _lines_begin(text: str, begin: int | None) -> int | None:
    """Where the lines begin that each say one setting, right before `begin` or at the text's end."""
    place = len(text) if begin is None else begin
    while place:
        line = text.rfind("\n", 0, place - 1) + 1
        if _SETTING_LINE.fullmatch(text[line:place].strip()) is None:
            break
        begin = place = line
    return begin


def _head(head: str) -> tuple[str, str, str]:
    """Prompt, negative prompt, and the template lines that SD.Next writes behind them."""
    found = _NEGATIVE.search(head) or _INLINE_NEGATIVE.search(head)
    prompt, negative = (head, "") if found is None else (head[: found.start()], head[found.end() :])
    template = _TEMPLATE.search(negative)
    if template is None:
        return prompt, negative, ""
    return prompt, negative[: template.start()], negative[template.start() :]


def _templates(text: str) -> Iterator[tuple[str, str]]:
    places = list(_TEMPLATE.finditer(text))
    for index, found in enumerate(places):
        end = places[index + 1].start() if index + 1 < len(places) else len(text)
        if value := text[found.end() : end].strip():
            yield found[1], value


def _settings(line: str) -> Iterator[tuple[str, str]]:
    position, left = 0, SETTINGS_LIMIT
    while position < len(line) and left:
        key = _KEY.match(line, position)
        if key is None:
            stray = _NEXT.search(line, position)
            position = len(line) if stray is None else stray.end()
            continue
        value, position = _value(line, key.end())
        left -= 1
        yield key[1].strip(), value


def _value(line: str, begin: int) -> tuple[str, int]:
    first = line[begin : begin + 1]
    if first in ('"', "{", "["):
        try:
            value, end = _DECODER.raw_decode(line, begin)
        except (ValueError, RecursionError):
            quoted = _QUOTED.match(line, begin)
            if quoted is not None:
                return quoted[0][1:-1], quoted.end()
        else:
            return (value if isinstance(value, str) else line[begin:end]), end
    plain = _PLAIN.match(line, begin)
    assert plain is not None  # it matches nothing as well
    return plain[0].strip(), plain.end()


def read_pairs(text: str) -> dict[str, str]:
    """Return the settings of a text that is only a settings line, by key in lower case, the first of each."""
    pairs: dict[str, str] = {}
    for key, value in _settings(text):
        pairs.setdefault(key.lower(), value)
    return pairs
