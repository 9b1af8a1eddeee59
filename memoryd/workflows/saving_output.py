"""Which node wrote a file: the file does not say, but its name often does."""

from __future__ import annotations

import dataclasses
import re

from memoryd.comfyui.specs import NodeSpecs
from memoryd.workflows.ancestry import ancestors
from memoryd.workflows.facts import Graph, Node
from memoryd.workflows.literals import word_behind
from memoryd.workflows.recipe_v1 import class_words, is_preview
from memoryd.workflows.samplers import find_samplers
from memoryd.workflows.tracing import links_of, root_outputs, saving_outputs

_TOKEN = re.compile(
    r"%[YmdHMSyjFT](?:[-_.: ]?%[YmdHMSyjFT])+|%[^%]*%|\[[^\]]*\]|\{[^}]*\}|%[A-Za-z][A-Za-z_:-]*|\$[A-Za-z_]+"
)
"""What a saver fills in: `%Y-%m-%d`, `%date:yyyy%`, `[time(%Y)]`, `{seed}`, `%seed`, `$model`."""

_ENDING = re.compile(r"_\d{5,}_?(?:-audio)?\.[A-Za-z0-9]{1,5}$", re.ASCII)
"""`{prefix}_{counter:05}_.png`; some savers leave out the last underscore. Source: ComfyUI 0.29, folder_paths.py."""

_OTHER_ENDING = re.compile(r"(?:[_-]?\d{3,}_?)?\.[A-Za-z0-9]{1,5}$", re.ASCII)
"""What savers of packs append, some only where the name is taken."""

_PREFIXES = (
    "filename_prefix", "save_prefix", "filename", "file_name", "prefix", "output_name", "output_filename", "image_name",
    "name",
)  # fmt: skip
_KINDS = {
    **dict.fromkeys((".mp4", ".webm", ".mkv", ".mov", ".m4v", ".gif", ".avi"), "video"),
    **dict.fromkeys((".mp3", ".flac", ".opus", ".wav", ".ogg", ".m4a"), "audio"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".avif", ".exr", ".tif", ".tiff"), "image"),
}
_KIND_WORDS = {
    **dict.fromkeys(("video", "webm", "animated", "gif", "combine", "mp4", "movie"), "video"),
    **dict.fromkeys(("audio", "mp3", "flac", "opus", "music", "sound"), "audio"),
    **dict.fromkeys(
        ("latent", "checkpoint", "lora", "vae", "model", "clip", "text", "string", "conditioning"), "other"
    ),
}
_PICTURES = re.compile(
    r"^(?:(?:input_|video_)?(?:images?|frames?)(?:_batch|_list)?|pictures?|videos?|audio|filenames|pixels|image_opt|result)"
    r"(?:_\d+)?$",
    re.IGNORECASE,
)

_TEMPORARY = re.compile(r"^ComfyUI_temp_[a-z]{5}_\d+_?\.", re.ASCII)
"""The names that PreviewImage gives. Source: ComfyUI 0.29, nodes.py."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SavingOutput:
    """The node that a file is taken to be from; `certain` is False where `others` could have written it as well."""

    node: str
    certain: bool
    others: tuple[str, ...] = ()


def find_saving_output(
    graph: Graph, filename: str | None = None, specs: NodeSpecs | None = None
) -> SavingOutput | None:
    """Return the node that wrote the file of this name, None where the graph has no output at all.

    The only saving node is certain. Among several, the one whose `filename_prefix` alone gives such a name is certain;
    otherwise the one that came through most passes among those that fit (or among all) is taken, and is not.
    """
    base = _base(filename)
    candidates = _candidates(graph, base, specs)
    if not candidates:
        return None
    if len(candidates) == 1:
        return SavingOutput(node=candidates[0], certain=True)
    fitting = [id_ for id_ in candidates if base and _fits(graph, id_, base, _ENDING)]
    if not fitting and base:
        fitting = [id_ for id_ in candidates if _fits(graph, id_, base, _OTHER_ENDING)]
    if len(fitting) == 1:
        return SavingOutput(node=fitting[0], certain=True)
    possible = (fitting or candidates)[: max(2, min(CANDIDATES_LIMIT, WEIGHED_LIMIT // len(graph.nodes)))]
    passes = {id_: len(find_samplers(graph, ancestors(graph, (id_,)))) for id_ in possible}
    node = max(possible, key=lambda id_: passes[id_])
    return SavingOutput(node=node, certain=False, others=tuple(id_ for id_ in possible if id_ != node))


def only_saving_output(graph: Graph, filename: str | None, specs: NodeSpecs | None) -> SavingOutput | None:
    """Return the node that wrote the file where no other can have; it is that of all files with an equal `name_kind`."""
    candidates = _candidates(graph, _base(filename), specs)
    return SavingOutput(node=candidates[0], certain=True) if len(candidates) == 1 else None


def name_kind(filename: str | None) -> tuple[bool, str | None]:
    """Return all of a name that the choice of candidates looks at: whether it is a preview's, and the kind of its ending."""
    base = _base(filename)
    return _TEMPORARY.match(base) is not None, _kind_by_name(base)


CANDIDATES_LIMIT = 20
"""Saving nodes that are weighed against each other."""

WEIGHED_LIMIT = 60_000
"""Nodes times saving nodes that are walked through to weigh them. Real graphs stay below 10,000."""


def _base(filename: str | None) -> str:
    return re.split(r"[\\/]", filename)[-1] if filename else ""


def _kind_by_name(base: str) -> str | None:
    return _KINDS.get(base[base.rfind(".") :].lower())


def _candidates(graph: Graph, base: str, specs: NodeSpecs | None) -> tuple[str, ...]:
    if _TEMPORARY.match(base):
        previews = tuple(id_ for id_, node in graph.nodes.items() if is_preview(node.class_type))
        if previews:
            return previews
    told = {id_: says for id_, node in graph.nodes.items() if (says := _says_to_save(node)) is not None}
    saving = _of_kind(graph, (*saving_outputs(graph), *(id_ for id_, saves in told.items() if saves)), base)
    if not saving:
        taken = {link.node for node in graph.nodes.values() for _, link in links_of(node)}
        # A saver of a pack that nobody knows: it takes pictures, nothing takes from it, and it does not only show them.
        saving = tuple(
            id_
            for id_, node in graph.nodes.items()
            if id_ not in taken
            and not is_preview(node.class_type)
            and (specs is None or node.class_type not in specs or specs.is_output(node.class_type))
            and any(_PICTURES.match(name) for name, _ in links_of(node))
        )
        shown = tuple(id_ for id_, node in graph.nodes.items() if is_preview(node.class_type))
        if saving and shown and not _has_passes(graph, saving) and _has_passes(graph, shown):
            saving = ()  # a picture that was drawn but leads nowhere, beside one that is shown
    return saving or tuple(dict.fromkeys((*root_outputs(graph), *told)))


def _has_passes(graph: Graph, outputs: tuple[str, ...]) -> bool:
    return bool(find_samplers(graph, ancestors(graph, outputs)))


def _says_to_save(node: Node) -> bool | None:
    """Whether a node that also saves (Easy-Use's and tinyterra's samplers) was told to; None where it does no such thing."""
    told = node.inputs.get("image_output")
    return "save" in told.lower() if isinstance(told, str) else None


def _of_kind(graph: Graph, candidates: tuple[str, ...], base: str) -> tuple[str, ...]:
    """The candidates that write such files as this: pictures, films or sounds, as their classes say."""
    if len(candidates) < 2:
        return candidates
    kind = _kind_by_name(base)
    kinds = {id_: _kind_of(graph.nodes[id_].class_type) for id_ in candidates}
    same = tuple(id_ for id_ in candidates if kinds[id_] == kind) if kind else ()
    return same or tuple(id_ for id_ in candidates if kinds[id_] != "other") or candidates


def _kind_of(class_type: str) -> str:
    words = class_words(class_type)
    found = {kind for word, kind in _KIND_WORDS.items() if word in words}
    return next((kind for kind in ("video", "audio", "other") if kind in found and "image" not in words), "image")


def _fits(graph: Graph, id_: str, base: str, ending_rule: re.Pattern[str]) -> bool:
    inputs = graph.nodes[id_].inputs
    name = next((name for name in _PREFIXES if name in inputs), None)
    prefix = None if name is None else word_behind(graph, inputs[name], (name,))
    ending = ending_rule.search(base)
    if not prefix or ending is None:
        return False
    # Tokens are filled in when the file is saved: each stands for anything. Leftmost finds, so that it stays linear.
    first, *middle = _TOKEN.split(re.split(r"[\\/]", prefix)[-1])
    stem = base[: ending.start()]
    if not middle:
        return stem == first
    place, last = len(first), middle.pop()
    if not stem.startswith(first):
        return False
    for part in middle:
        found = stem.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return stem.endswith(last) and len(stem) - len(last) >= place
