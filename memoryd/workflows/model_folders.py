"""Which models folder an input's list offers the files of, told by the lists of inputs that are known."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows.node_roles import model_role, names_model_file

_folders: weakref.WeakKeyDictionary[NodeSpecs, Mapping[str, frozenset[str]]] = weakref.WeakKeyDictionary()


def folder_of_options(specs: NodeSpecs, class_type: str, name: str, file: str) -> str | None:
    """Return the folder whose files an input's list offers, None where the input offers none or not this one.

    A list belongs to the folder with which it shares the most names, as far as the tables tell what a folder holds.
    """
    if class_type not in specs:
        return None
    spec = specs.inputs(class_type).get(name)
    if spec is None or not spec.options or file not in spec.options:
        return None
    offered = {option for option in spec.options if isinstance(option, str) and names_model_file(option)}
    if not offered:
        return None
    shared = {folder: len(offered & files) for folder, files in _known_folders(specs).items()}
    folder = max(shared, key=lambda key: shared[key], default=None)
    return folder if folder is not None and shared[folder] else None


def _known_folders(specs: NodeSpecs) -> Mapping[str, frozenset[str]]:
    known = _folders.get(specs)
    if known is None:
        found: dict[str, set[str]] = {}
        for class_type in specs.classes:
            for spec in specs.inputs(class_type).values():
                role = model_role(class_type, spec.name) if spec.options else None
                if role is not None:
                    options = (option for option in spec.options or () if isinstance(option, str))
                    found.setdefault(role, set()).update(option for option in options if names_model_file(option))
        known = _folders[specs] = {folder: frozenset(files) for folder, files in found.items()}
    return known
