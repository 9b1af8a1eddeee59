"""What a graph is judged by: the inputs of each class as validation sees them, with the ones that depend on a choice.

Three kinds of inputs stand for others: a combo that brings inputs of its own (`format` -> `format.bit_depth`), a list
that grows (`images` -> `images.image0`, …), and a slot that brings inputs once it is connected.
Source: ComfyUI 0.29, comfy_api/latest (observed behaviour); node specifications V1 and V3.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from memoryd.comfyui.specs import COMBO, DYNAMIC_COMBO, NodeSpecs
from memoryd.foundation.canonical_json import Json

AUTOGROW = "COMFY_AUTOGROW_V3"
DYNAMIC_SLOT = "COMFY_DYNAMICSLOT_V3"
MATCH_TYPE = "COMFY_MATCHTYPE_V3"
ANY_TYPE = "*"

NAMES_LIMIT = 100
"""Inputs that one growing list may have. Source: ComfyUI 0.29."""
_DEPTH_LIMIT = 8

ANY_FILE = "3D model"
"""The word of the loaders that may also load nothing."""

_UPLOADS = {"image_upload": "image", "audio_upload": "audio", "video_upload": "video"}
"""Marks of inputs that name a file of the input folder: looked for there, not in the list."""

_FILE_INPUTS: Mapping[str, Mapping[str, str]] = {
    "LoadLatent": {"latent": "latent"},
    "Load3D": {"model_file": ANY_FILE},
    "Load3DAdvanced": {"model_file": ANY_FILE},
}
_CHECK_ALL = frozenset({"CustomCombo", "Load3D", "Load3DAdvanced"})
_CHECKED_ALONE: Mapping[str, frozenset[str]] = {
    "SelectModelDevice": frozenset({"device"}),
    "SelectCLIPDevice": frozenset({"device"}),
    "SelectVAEDevice": frozenset({"device"}),
}
"""Classes of ComfyUI that check inputs in their own code, so that lists and bounds do not count for those."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputRule:
    """One input, as validation sees it. `type` is a word, or the options themselves where they are spelled so (V1)."""

    name: str
    type: Any
    required: bool
    extra: Mapping[str, Json]
    minimum: Any = None
    maximum: Any = None
    options: tuple[Json, ...] | None = None
    listed: frozenset[Json] | None = None
    in_list: bool = False
    """It belongs to an input that stands for others: only its last part is told."""

    @property
    def config(self) -> list[Json]:
        """The input's specification as errors echo it."""
        return [self.type, dict(self.extra)]

    @property
    def shown_name(self) -> str:
        """The name as it is told where it is missing."""
        return self.name.split(".")[-1] if self.in_list else self.name

    def offers(self, value: Json) -> bool:
        """Tell whether a value is among the options."""
        assert self.options is not None
        if self.listed is not None and isinstance(value, (str, int, float, bool)):
            return value in self.listed
        return value in self.options


class ClassRules:
    """The inputs and outputs of one class."""

    def __init__(self, class_type: str, info: Mapping[str, Any]) -> None:
        """`info` is the class's member of object_info."""
        declared = info.get("input")
        self._declared: Mapping[str, Any] = declared if isinstance(declared, dict) else {}
        listed = info.get("output")
        self.outputs: tuple[Any, ...] = tuple(listed) if isinstance(listed, list) else ()
        self._dynamic = any(_is_dynamic(spec) for _, _, spec in _members(self._declared))
        self._fixed = () if self._dynamic else tuple(_expand(self._declared, {}, "", 0))
        self.file_inputs: dict[str, str] = dict(_FILE_INPUTS.get(class_type, {}))
        for _, name, spec in _members(self._declared):
            extra = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
            for mark, word in _UPLOADS.items():
                if extra.get(mark) is True:
                    self.file_inputs[name] = word
        self._all_checked = class_type in _CHECK_ALL
        self._own = _CHECKED_ALONE.get(class_type, frozenset()) | frozenset(self.file_inputs)

    def inputs_for(self, given: Mapping[str, Any]) -> tuple[InputRule, ...]:
        """Return the inputs that count, given the values: a choice brings inputs of its own."""
        return tuple(_expand(self._declared, given, "", 0)) if self._dynamic else self._fixed

    def checks_itself(self, name: str) -> bool:
        """Tell whether the class checks this input in its own code."""
        return self._all_checked or name in self._own

    def lists(self, name: str, value: Json) -> bool | None:
        """Tell whether an input's options have a value; None where it has none."""
        for rule in self._fixed:
            if rule.name == name and rule.options is not None:
                return rule.offers(value)
        return None


class Rulebook:
    """The rules of a whole node catalogue, each class's made when it is first asked for."""

    def __init__(self, specs: NodeSpecs) -> None:
        """`specs` as /object_info has them."""
        self.specs = specs
        self._rules: dict[str, ClassRules] = {}

    def __contains__(self, class_type: object) -> bool:
        """Tell whether the class's specification is known."""
        return class_type in self.specs

    def rules_of(self, class_type: str) -> ClassRules:
        """Return a class's rules; none for a class that is not in it."""
        found = self._rules.get(class_type)
        if found is None:
            info = self.specs.document.get(class_type)
            found = self._rules[class_type] = ClassRules(class_type, info if isinstance(info, dict) else {})
        return found


def types_meet(received: Any, wanted: Any) -> bool:
    """Tell whether a value of one type may go into an input of another. Source: ComfyUI 0.29, observed."""
    if received == wanted or ANY_TYPE in (received, wanted) or MATCH_TYPE in (received, wanted):
        return True
    if isinstance(received, list) and wanted == COMBO:
        return True
    if not isinstance(received, str) or not isinstance(wanted, str):
        return False
    ours, theirs = _words(received), _words(wanted)
    return ANY_TYPE in ours or ANY_TYPE in theirs or bool(ours & theirs)


@functools.lru_cache(maxsize=4096)
def _words(kinds: str) -> frozenset[str]:
    return frozenset(kind.strip() for kind in kinds.split(","))


def _is_dynamic(spec: list[Any]) -> bool:
    return isinstance(spec[0], str) and spec[0] in (DYNAMIC_COMBO, AUTOGROW, DYNAMIC_SLOT)


def _members(declared: Mapping[str, Any]) -> Iterator[tuple[bool, str, list[Any]]]:
    for group in ("required", "optional"):
        members = declared.get(group)
        for name, spec in members.items() if isinstance(members, dict) else ():
            if isinstance(spec, list) and spec:
                yield group == "required", name, spec


def _expand(declared: Mapping[str, Any], given: Mapping[str, Any], prefix: str, depth: int) -> Iterator[InputRule]:
    for required, name, spec in _members(declared):
        full = prefix + name
        if not _is_dynamic(spec) or depth >= _DEPTH_LIMIT:
            yield _rule(full, spec, required, in_list=bool(prefix))
        elif spec[0] == AUTOGROW:
            yield from _grown(full, _details(spec).get("template"))
        elif full in given:
            yield from _chosen(full, spec, required, given, depth)


def _chosen(name: str, spec: list[Any], required: bool, given: Mapping[str, Any], depth: int) -> Iterator[InputRule]:
    """What comes with a combo's choice, or with a slot that is connected; nothing for a choice that it does not have."""
    inner: Any = None
    if spec[0] == DYNAMIC_SLOT:
        inner = _details(spec).get("inputs")
    else:
        options = _details(spec).get("options")
        for option in options if isinstance(options, list) else ():
            if isinstance(option, dict) and option.get("key") == given[name]:
                inner = option.get("inputs")
                break
        else:
            return
    yield _rule(name, spec, required, in_list=False)
    yield from _expand(inner if isinstance(inner, dict) else {}, given, f"{name}.", depth + 1)


def _grown(name: str, template: Any) -> Iterator[InputRule]:
    if not isinstance(template, dict):
        return
    needed, spec = _template_input(template.get("input"))
    if spec is None:
        return
    least = template.get("min")
    least = least if isinstance(least, int) else 0
    named = template.get("names")
    most = template.get("max")
    names = (
        [str(one) for one in named[:NAMES_LIMIT]]
        if isinstance(named, list)
        else [f"{template.get('prefix', '')}{n}" for n in range(min(most if isinstance(most, int) else 0, NAMES_LIMIT))]
    )
    for place, last in enumerate(names):
        yield _rule(f"{name}.{last}", spec, needed and place < least, in_list=True)


def _template_input(declared: Any) -> tuple[bool, list[Any] | None]:
    for required, _, spec in _members(declared if isinstance(declared, dict) else {}):
        return required, spec
    return False, None


def _rule(name: str, spec: list[Any], required: bool, *, in_list: bool) -> InputRule:
    kind, extra = spec[0], _details(spec)
    options = kind if isinstance(kind, list) else extra.get("options", []) if kind == COMBO else None
    listed = tuple(options) if isinstance(options, list) else None
    return InputRule(
        name=name,
        type=kind,
        required=required,
        extra=extra,
        minimum=extra.get("min"),
        maximum=extra.get("max"),
        options=listed,
        listed=_hashed(listed),
        in_list=in_list,
    )


def _hashed(options: tuple[Json, ...] | None) -> frozenset[Json] | None:
    if options is None or not all(isinstance(option, (str, int, float, bool)) for option in options):
        return None
    return frozenset(options)


def _details(spec: list[Any]) -> Mapping[str, Any]:
    return spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
