"""What the base of a model restricts: from how a file names it, or from its family alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from memoryd.model_registry.licensing import shipped_table
from memoryd.model_registry.licensing.names import longest_beginning, lower
from memoryd.model_registry.licensing.shipped_table import KnownModel
from memoryd.model_registry.licensing.terms import Terms
from memoryd.weights.kinds import ModelKind

ADAPTERS = frozenset(
    {
        ModelKind.LORA,
        ModelKind.CONTROLNET,
        ModelKind.IP_ADAPTER,
        ModelKind.STYLE_MODEL,
        ModelKind.EMBEDDING,
        ModelKind.HYPERNETWORK,
    }
)
"""What is trained beside a model: how its author licenses it says nothing of which model that was."""

WITHOUT_BASE = frozenset({ModelKind.VAE, ModelKind.TEXT_ENCODER, ModelKind.CLIP_VISION, ModelKind.UPSCALER})
"""Parts that are published by themselves, often by others than the family's model: the family says nothing of them."""


def find_base(name: str) -> KnownModel | None:
    """Return the known model that a file means by the name of its base, None where nobody knows it."""
    found = longest_beginning(name, {plain: plain for plain in shipped_table.known_models()})
    return None if found is None else shipped_table.known_models()[found]


def bases_of(kind: str, family: str | None, names: Iterable[str]) -> tuple[KnownModel, ...]:
    """Return the known models that a file was made from: those that it names, else those that its family begins with.

    Where all that it names are of other families, both: the family is read from the weights themselves.
    """
    named = tuple(dict.fromkeys(base for name in names if (base := find_base(name)) is not None))
    begun = () if family is None or kind in WITHOUT_BASE else shipped_table.families().get(family, ())
    if named and not all(base.families and family not in base.families for base in named):
        return named
    return tuple(dict.fromkeys((*named, *begun)))


def terms_of_base(terms: Terms, base: KnownModel, others: Iterable[KnownModel]) -> Terms:
    """Return a base's terms as one that is made from it inherits them: as sure as both are.

    Where the base may be another one, a person has to say which.
    """
    among = sorted({other.title for other in others if other.licence != base.licence})
    disputed = terms.disputed
    if among:
        disputed = f"its base may be {base.title} or {', '.join(among)}: nothing says which"
    return dataclasses.replace(terms, confidence=lower(terms.confidence, base.confidence), disputed=disputed)
