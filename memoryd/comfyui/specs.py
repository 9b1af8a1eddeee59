"""Node specifications: what each class takes, which inputs name model files, which are seeds, which classes save.

Two encodings are read: `["INT", {…}]` and `[["a", "b"], {…}]` (V1), `["COMBO", {"options": […]}]` and
`["COMFY_DYNAMICCOMBO_V3", …]`, whose members are dotted inputs such as `format.bit_depth` (V3).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

from memoryd.foundation.canonical_json import Json, canonical_digest

COMBO = "COMBO"
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"

_DYNAMIC_DEPTH_LIMIT = 8
"""Dynamic combos inside dynamic combos; ComfyUI's own nodes nest twice."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of a class. `type` is ComfyUI's word (`INT`, `IMAGE`, `COMBO`); options are None unless it is a combo.

    `seed`: the editor changes it after each run (`control_after_generate`); `minimum`/`maximum` as declared.
    """

    name: str
    type: str
    required: bool
    options: tuple[Json, ...] | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    seed: bool = False
    upload: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """An input that names a file of a models folder."""

    class_type: str
    input: str
    folder: str


class NodeSpecs:
    """The node catalogue of one ComfyUI."""

    def __init__(self, object_info: Mapping[str, Json]) -> None:
        """`object_info` is the answer to GET /object_info."""
        self._info = object_info
        self._inputs: dict[str, Mapping[str, InputSpec]] = {}

    @property
    def document(self) -> Mapping[str, Json]:
        """The answer to GET /object_info that this reads."""
        return self._info

    def __contains__(self, class_type: object) -> bool:
        """Tell whether the class is installed."""
        return class_type in self._info

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All installed classes, sorted."""
        return tuple(sorted(self._info))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) over classes, input names and types, outputs: what code accepts, not what files lie there.

        Combo options are left out, since a new model file would otherwise be a new catalogue.
        """
        catalogue: dict[str, object] = {}
        for name in self._info:
            taken = {spec.name: (spec.type, spec.required) for spec in self.inputs(name).values()}
            catalogue[name] = (taken, self.outputs(name), self._member(name, "python_module"))
        return canonical_digest(catalogue)

    def is_output(self, class_type: str) -> bool:
        """Tell whether the class saves or shows something (OUTPUT_NODE): where execution starts."""
        return self._member(class_type, "output_node") is True

    def outputs(self, class_type: str) -> tuple[str, ...]:
        """Return the types that the class gives, by slot."""
        listed = self._member(class_type, "output")
        return tuple(kind if isinstance(kind, str) else COMBO for kind in listed) if isinstance(listed, list) else ()

    def inputs(self, class_type: str) -> Mapping[str, InputSpec]:
        """Return the class's inputs by name, dotted ones included, hidden ones not; empty for an unknown class."""
        known = self._inputs.get(class_type)
        if known is None:
            declared = self._member(class_type, "input")
            known = {spec.name: spec for spec in _read_inputs(declared if isinstance(declared, dict) else {}, "", 0)}
            self._inputs[class_type] = known
        return known

    def seeds(self, class_type: str) -> tuple[str, ...]:
        """Return the inputs that are seeds."""
        return tuple(spec.name for spec in self.inputs(class_type).values() if spec.seed)

    def model_inputs(self, folders: Mapping[str, Collection[str]]) -> Iterator[ModelInput]:
        """Yield the inputs whose options are files of a models folder. `folders`: file names by folder, from /models.

        An option list belongs to the folder with which it shares the most names; one that shares none names no model.
        """
        names = {folder: frozenset(files) for folder, files in folders.items() if files}
        for class_type in self.classes:
            for spec in self.inputs(class_type).values():
                offered = {option for option in spec.options or () if isinstance(option, str)}
                shared = {folder: len(offered & files) for folder, files in names.items()} if offered else {}
                folder = max(shared, key=lambda name: shared[name], default=None)
                if folder is not None and shared[folder]:
                    yield ModelInput(class_type=class_type, input=spec.name, folder=folder)

    def _member(self, class_type: str, name: str) -> Json:
        info = self._info.get(class_type)
        return info.get(name) if isinstance(info, dict) else None


def _read_inputs(declared: Mapping[str, Json], prefix: str, depth: int) -> Iterator[InputSpec]:
    for group in ("required", "optional"):
        members = declared.get(group)
        for name, spec in members.items() if isinstance(members, dict) else ():
            if isinstance(spec, list) and spec:
                yield from _read_input(prefix + name, spec, group == "required", depth)


def _read_input(name: str, spec: list[Json], required: bool, depth: int) -> Iterator[InputSpec]:
    kind, extra = spec[0], spec[1] if len(spec) > 1 else None
    details: Mapping[str, Json] = extra if isinstance(extra, dict) else {}
    listed: Json = kind if isinstance(kind, list) else details.get("options")
    options = tuple(listed) if isinstance(listed, list) else None
    if kind == DYNAMIC_COMBO and options is not None:
        choices = [choice for choice in options if isinstance(choice, dict)]
        yield InputSpec(name=name, type=COMBO, required=required, options=tuple(c.get("key") for c in choices))
        for choice in choices if depth < _DYNAMIC_DEPTH_LIMIT else ():
            inner = choice.get("inputs")
            # Which of them is required depends on the choice, so none is required of every graph.
            for member in _read_inputs(inner if isinstance(inner, dict) else {}, f"{name}.", depth + 1):
                yield dataclasses.replace(member, required=False)
        return
    yield InputSpec(
        name=name,
        type=kind if isinstance(kind, str) else COMBO,
        required=required,
        options=options if isinstance(kind, list) or kind == COMBO else None,
        minimum=_number(details.get("min")),
        maximum=_number(details.get("max")),
        seed=details.get("control_after_generate") not in (None, False),
        upload=any(details.get(word) is True for word in ("image_upload", "audio_upload", "video_upload")),
    )


def _number(value: Json) -> int | float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
