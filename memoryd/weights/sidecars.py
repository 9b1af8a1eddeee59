"""What lies beside a model file and says where it came from: downloaders' notes, model cards, training settings."""

from __future__ import annotations

import dataclasses
import enum


class SidecarSource(enum.StrEnum):
    """Where a model came from, as a file beside it says."""

    CIVITAI = "civitai"
    HUGGINGFACE = "huggingface"
    TRAINED_HERE = "trained-here"
    """The settings of a training that wrote this file lie beside it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What a Civitai page allows; None: not said."""

    allow_no_credit: bool | None = None
    allow_commercial_use: tuple[str, ...] | None = None
    """Some of Image, RentCivit, Rent, Sell; empty where none is allowed."""
    allow_derivatives: bool | None = None
    allow_different_license: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What the files beside a model say together, nearest to the model first. Hostile text, shortened; unverified."""

    source: SidecarSource | None = None
    model_id: str | None = None
    """The source's own number or name (`org/name`) of the model."""
    version_id: str | None = None
    model_name: str | None = None
    version_name: str | None = None
    base_model: str | None = None
    """As stated: `SDXL 1.0`, `black-forest-labs/FLUX.1-dev`."""
    parents: tuple[str, ...] = ()
    """All base models that are stated; more than one of a merge."""
    relation: str | None = None
    """How it came from them, as stated: adapter, merge, finetune, quantized."""
    licence: str | None = None
    """An id or a name, never the text."""
    licence_url: str | None = None
    permissions: Permissions | None = None
    air: str | None = None
    """Civitai's resource name, `urn:air:…`."""
    triggers: tuple[str, ...] = ()
    url: str | None = None
    sha256s: tuple[str, ...] = ()
    """Lower-case hex: the files it says it is about."""
    files: tuple[str, ...] = ()
    """Names of the files that said so."""
