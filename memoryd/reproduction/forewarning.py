"""What can be said before anything runs of a graph that may not repeat itself: device noise, foreign services, chance.

Pure. A warning is no hindrance: the attempt is made, and its verdict tells. What a table does not list is not warned of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from memoryd.foundation.canonical_json import Json
from memoryd.reproduction.facts import Cause
from memoryd.workflows.facts import Graph, Node
from memoryd.workflows.literals import word_behind
from memoryd.workflows.node_roles import is_generating_service

NAMED_LIMIT = 5
"""Nodes that one warning names."""

DEVICE_NOISE_SAMPLERS = frozenset(
    {
        "euler_ancestral", "euler_ancestral_cfg_pp", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
        "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "lcm", "ddpm", "er_sde", "seeds_2", "seeds_3",
        "exp_heun_2_x0_sde", "sa_solver", "sa_solver_pece", "ar_video",
        "dpmpp_sde_gpu", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde_gpu",
    }
)  # fmt: skip
"""Samplers that draw noise at every step on the device that computes: another kind of device draws another noise.

Source: ComfyUI 0.29, comfy/k_diffusion/sampling.py: `default_noise_sampler` makes its generator on `x.device`;
`BrownianTreeNoiseSampler(cpu=False)` of the `*_gpu` ones likewise. `dpmpp_sde`, `dpmpp_2m_sde` and `dpmpp_3m_sde` have
`cpu=True` and are not among them; `*_cfg_pp` and `exp_heun_2_x0` without noise of their own (eta 0) neither.
"""

DEVICE_NOISE_CLASSES = frozenset(
    {
        "SamplerEulerAncestral", "SamplerEulerAncestralCFGPP", "SamplerDPMPP_2S_Ancestral", "SamplerLCM",
        "SamplerLCMUpscale", "SamplerER_SDE", "SamplerSASolver", "SamplerSEEDS2", "SamplerARVideo",
    }
)  # fmt: skip
"""Nodes that are such a sampler themselves.

Source: ComfyUI 0.29, comfy_extras/nodes_custom_sampler.py, nodes_advanced_samplers.py, nodes_ar_video.py.
"""

CHOSEN_DEVICE_CLASSES = frozenset({"SamplerDPMPP_3M_SDE", "SamplerDPMPP_2M_SDE", "SamplerDPMPP_SDE"})
"""Nodes whose input `noise_device` says where: `gpu` or `cpu`. Source: as above, nodes_custom_sampler.py."""

_SAMPLER_INPUT = re.compile(r"sampler", re.IGNORECASE)
_NOISE_OFF = frozenset({"SamplerEulerAncestral", "SamplerEulerAncestralCFGPP", "SamplerDPMPP_2S_Ancestral"})
"""Of the classes above, those that draw nothing with `eta` 0."""

_SERVICES = re.compile(
    r"^(?:beeble|bria[A-Z]|bytedance|claude|elevenlabs|flux(?:pro|vton|erase|2image)|gemini|grok|happyhorse|heygen|hitpaw"
    r"|ideogramv|kling|krea2|ltxvapi|luma[A-Z]|magnific|meshy|minimax|openai|openrouter|pixverse|quiver|recraft|reve[A-Z]"
    r"|rodin3d|runway|sonilo|sync(?:lipsync|talking)|tencent|topaz(?:image|video)|tripo(?!splat)|veo|vidu|wan2?\w*api$|wavespeed"
    r"|stability[A-Z]|moonvalley|pika[A-Z]|ollama|chatgpt)",
    re.IGNORECASE,
)
"""Classes that ask somebody else's server. Source: ComfyUI 0.29, comfy_api_nodes/ (node ids), and common packs."""

_READS_AT_RUN_TIME = re.compile(
    r"load\w*image\w*(?:url|http|random)|random\w*image|imagefromurl|loadimagebatch|loadimagesfrom(?:dir|folder|path)",
    re.IGNORECASE,
)
"""Classes that read what lies in a folder, or at an address, when they run: no hash names it."""

_UNSEEDED = {
    "SVD_img2vid_Conditioning": (
        "augmentation_level",
        "adds noise that no seed decides (comfy_extras/nodes_video_model.py, torch.randn_like)",
    ),
}
"""Classes that draw noise from a generator which nobody seeded, where this input is above 0."""

_UNSTEADY_FLAGS: Mapping[str, str] = {
    "--fast": "allows ways of computing that are quicker and not the same on every run or card",
    "--use-sage-attention": "computes attention in 8 bits, otherwise on every kind of card",
    "--use-flash-attention": "computes attention in an order that its version and card decide",
}
"""Launch flags under which equal runs may differ. Source: ComfyUI 0.29, comfy/cli_args.py, and the kernels' own notes."""


def forewarn(graph: Graph, environment: Mapping[str, Json] | None) -> tuple[Cause, ...]:
    """Return what may make a graph's result another one, named in advance; `environment` is that of then, None if unknown.

    Codes: `device-noise` (not where then's device is known to be the processor), `api-node`, `known-nondeterministic`.
    """
    causes: list[Cause] = []
    device = device_type(environment)
    if device != "cpu" and (
        noisy := [_told(node, word) for node in graph.nodes.values() if (word := _noise(graph, node))]
    ):
        causes.append(
            Cause(
                code="device-noise",
                detail=f"noise is drawn on the device that computes: {_some(noisy)}"
                + ("; on which device that was then is not known" if device is None else f"; then that was {device}"),
                next_step="make it again on the same kind of device: any other draws another noise, and another picture",
            )
        )
    asked = [_told(node) for node in graph.nodes.values() if is_service(node.class_type)]
    if asked:
        causes.append(
            Cause(
                code="api-node",
                detail=f"somebody else's server computes: {_some(asked)}",
                next_step="what it answers today is its own affair: keep the original, and what it gave as files",
            )
        )
    causes += [
        Cause(code="known-nondeterministic", detail=detail, next_step=step)
        for detail, step in _chances(graph, environment)
    ]
    return tuple(causes)


def device_type(environment: Mapping[str, Json] | None) -> str | None:
    """Return the type of the first device of an environment (`cuda`, `cpu`, `mps`), None where it is not known."""
    devices = environment.get("devices") if environment is not None else None
    first = devices[0] if isinstance(devices, list) and devices else None
    kind = first.get("type") if isinstance(first, dict) else None
    return kind.lower() if isinstance(kind, str) and kind else None


def is_service(class_type: str) -> bool:
    """Tell whether a node class asks somebody else's server to compute."""
    return _SERVICES.match(class_type.replace(" ", "").replace("_", "")) is not None or is_generating_service(
        class_type
    )


def _noise(graph: Graph, node: Node) -> str | None:
    """Return the name of the noise that a node draws on the device; None where it draws none there."""
    if node.class_type in CHOSEN_DEVICE_CLASSES:
        where = word_behind(graph, node.inputs.get("noise_device"))
        return None if where == "cpu" else f"noise_device {where or 'unknown'}"
    if node.class_type in DEVICE_NOISE_CLASSES:
        eta = node.inputs.get("eta")
        return None if node.class_type in _NOISE_OFF and eta in (0, 0.0) else node.class_type
    for name, value in node.inputs.items():
        if _SAMPLER_INPUT.search(name) and (word := word_behind(graph, value)) in DEVICE_NOISE_SAMPLERS:
            return word
    return None


def _chances(graph: Graph, environment: Mapping[str, Json] | None) -> Iterator[tuple[str, str]]:
    for node in graph.nodes.values():
        unseeded = _UNSEEDED.get(node.class_type)
        if unseeded is not None:
            amount = node.inputs.get(unseeded[0])
            if not isinstance(amount, int | float) or amount > 0:
                yield f"{_told(node)} {unseeded[1]}", "keep the original: no second run gives the same noise"
    reading = [_told(n) for n in graph.nodes.values() if _READS_AT_RUN_TIME.search(n.class_type.replace(" ", ""))]
    if reading:
        yield (
            f"what lies in a folder or at an address is read when it runs: {_some(reading)}",
            "bring the folder back to what it was then, or replace the node by LoadImage for the next ones",
        )
    flags = environment.get("flags") if environment is not None else None
    for flag in flags if isinstance(flags, list) else ():
        why = _UNSTEADY_FLAGS.get(str(flag).partition("=")[0])
        if why is not None:
            yield f"it was made with {flag}, which {why}", "use a worker with the same flags and the same kind of card"
    if environment is not None and environment.get("attention") == "xformers":
        yield (
            "it was made with xformers attention, whose sums are in no fixed order",
            "use a worker with the same attention and card; small differences may stay",
        )


def _told(node: Node, word: str | None = None) -> str:
    return f"{node.class_type} (node {node.id})" + (f", {word}" if word and word != node.class_type else "")


def _some(told: list[str]) -> str:
    more = f", and {len(told) - NAMED_LIMIT} more" if len(told) > NAMED_LIMIT else ""
    return "; ".join(told[:NAMED_LIMIT]) + more
