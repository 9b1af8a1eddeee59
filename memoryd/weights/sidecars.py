"""What lies beside a model file and says where it came from: downloaders' notes, model cards, training settings."""

from __future__ import annotations

import dataclasses
import enum
import os
import re
from collections.abc import Mapping
from pathlib import Path

from memoryd.foundation.canonical_json import Json, JsonTooDeep, NotJson, read_json
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.weights.model_cards import HEAD_LIMIT, read_head
from memoryd.weights.training import names_of, words_of

SIDECAR_LIMIT = 8 * 2**20
"""Bytes of a sidecar; those that keep pictures' descriptions have 1 MB."""
TEXT_LIMIT = 500
"""Characters kept of a name or an address."""
HASHES_LIMIT = 100
"""Files whose hashes a sidecar names; a version on Civitai has ten at most."""
NEIGHBOURS_LIMIT = 5_000
"""Entries of a folder that are looked at for whether a model card speaks of one file."""

_CARD = "README.md"
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_REPOSITORY = re.compile(r"^[\w.-]{1,96}/[\w.-]{1,96}$", re.ASCII)
_COMMERCIAL = ("Image", "RentCivit", "Rent", "Sell")


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


def read_sidecars(
    model: Path, *, sha256: bytes | None, suffixes: frozenset[str]
) -> tuple[Sidecar | None, tuple[Finding, ...]]:
    """Return what the files beside a model say, and what of them could not be believed.

    One that names hashes and not this one is not believed, where `sha256` is known. A model card speaks of a file that
    it names, or that is the only model in its folder (`suffixes` are those of models). Never raises for what it reads.
    """
    found: list[Sidecar] = []
    findings: list[Finding] = []
    for name, read in _READERS:
        place = model.parent / name.format(stem=model.stem, name=model.name)
        content = _content(place, findings)
        if content is None:
            continue
        said = read(content, place, model, suffixes, findings)
        if said is None:
            continue
        said = dataclasses.replace(said, files=(storable(place.name)[0],))
        if sha256 is not None and said.sha256s and sha256.hex() not in said.sha256s:
            detail = "it names the hash of another file: not believed"
            findings.append(Finding(code="sidecar-of-another-file", detail=detail, where=said.files[0]))
            continue
        found.append(said)
    return _together(found), tuple(findings)


def _content(place: Path, findings: list[Finding]) -> str | None:
    try:
        # A pipe or a device would never end; a link is followed, as the model's own is.
        if not place.is_file():
            return None
        with place.open("rb") as file:
            if os.fstat(file.fileno()).st_size > SIDECAR_LIMIT:
                detail = f"larger than {SIDECAR_LIMIT} bytes (SIDECAR_LIMIT): not read"
                findings.append(Finding(code="sidecar-too-large", detail=detail, where=storable(place.name)[0]))
                return None
            return file.read(SIDECAR_LIMIT).decode("utf-8-sig", "replace")
    except (OSError, ValueError) as error:
        findings.append(
            Finding(code="sidecar-unreadable", detail=storable(str(error))[0], where=storable(place.name)[0])
        )
        return None


def _together(found: list[Sidecar]) -> Sidecar | None:
    """Every fact as the first says it that says it; hashes, words and files of all."""
    if not found:
        return None
    facts: dict[str, object] = {}
    for field in dataclasses.fields(Sidecar):
        values = [getattr(said, field.name) for said in found]
        if field.name in ("sha256s", "triggers", "files"):
            facts[field.name] = tuple(dict.fromkeys(item for value in values for item in value))
        else:
            facts[field.name] = next((value for value in values if value not in (None, ())), values[0])
    return Sidecar(**facts)  # type: ignore[arg-type]  # the fields' own values


def _object(content: str, place: Path, findings: list[Finding]) -> dict[str, Json] | None:
    try:
        value = read_json(content)
    except (NotJson, JsonTooDeep) as error:
        detail = storable(str(error))[0][:TEXT_LIMIT]
        findings.append(Finding(code="sidecar-unreadable", detail=detail, where=storable(place.name)[0]))
        return None
    return value if isinstance(value, dict) else None


def _civitai_info(content: str, place: Path, _: Path, __: frozenset[str], findings: list[Finding]) -> Sidecar | None:
    """Civitai's own answer about a version. Source: developer.civitai.com, model versions."""
    version = _object(content, place, findings)
    return None if not version else civitai_version(version)


def civitai_version(version: Mapping[str, Json]) -> Sidecar:
    """Return what Civitai says of a version of a model, in its own form (`.civitai.info`, and its API's answers)."""
    model = _member(version, "model")
    number, version_number = _text(version.get("modelId")), _text(version.get("id"))
    base = _text(version.get("baseModel"))
    return Sidecar(
        source=SidecarSource.CIVITAI if number or version_number else None,
        model_id=number,
        version_id=version_number,
        model_name=_text(model.get("name")),
        version_name=_text(version.get("name")),
        base_model=base,
        parents=names_of([base]),
        permissions=_permissions({**model, **version}),
        air=_text(version.get("air")),
        triggers=_words(version.get("trainedWords")),
        url=_civitai_url(number, version_number),
        sha256s=_hashes(version.get("files")),
    )


def _lora_manager(content: str, place: Path, _: Path, __: frozenset[str], findings: list[Finding]) -> Sidecar | None:
    """Source: willmiao/ComfyUI-Lora-Manager, py/utils/models.py (`BaseModelMetadata`)."""
    kept = _object(content, place, findings)
    if not kept or not {"civitai", "sha256", "base_model", "model_name"} & set(kept):
        return None
    said = civitai_version(_member(kept, "civitai"))
    own = _text(kept.get("sha256"))
    base = _text(kept.get("base_model"))
    return dataclasses.replace(
        said,
        model_name=said.model_name or _text(kept.get("model_name")),
        base_model=said.base_model or base,
        parents=said.parents or names_of([base]),
        # The file that it was written for; those of the whole version stand in what Civitai answered.
        sha256s=(own.lower(),) if own and _SHA256.match(own.lower()) else said.sha256s,
    )


def _lora_manager_alone(
    content: str, place: Path, model: Path, suffixes: frozenset[str], findings: list[Finding]
) -> Sidecar | None:
    """One for the whole folder: believed where it names a hash, or where nothing else lies there."""
    said = _lora_manager(content, place, model, suffixes, findings)
    return said if said is not None and (said.sha256s or _is_alone(model, suffixes)) else None


def _cm_info(content: str, place: Path, _: Path, __: frozenset[str], findings: list[Finding]) -> Sidecar | None:
    """Source: LykosAI/StabilityMatrix, Models/ConnectedModelInfo.cs."""
    kept = _object(content, place, findings)
    if not kept:
        return None
    number, version_number, base = (_text(kept.get(name)) for name in ("ModelId", "VersionId", "BaseModel"))
    own = _text(_member(kept, "Hashes").get("SHA256")) or ""
    return Sidecar(
        source=SidecarSource.CIVITAI if number else None,
        model_id=number,
        version_id=version_number,
        model_name=_text(kept.get("ModelName")),
        version_name=_text(kept.get("VersionName")),
        base_model=base,
        parents=names_of([base]),
        triggers=_words(kept.get("TrainedWords")),
        url=_civitai_url(number, version_number),
        sha256s=(own.lower(),) if _SHA256.match(own.lower()) else (),
    )


def _notes(content: str, place: Path, model: Path, _: frozenset[str], findings: list[Finding]) -> Sidecar | None:
    """A person's notes in AUTOMATIC1111, or a trainer's settings: what both keep in `name.json`.

    Source: AUTOMATIC1111, ui_extra_networks_user_metadata.py; kohya-ss/sd-scripts, train_util.py (`--config_file`).
    """
    kept = _object(content, place, findings)
    if not kept:
        return None
    trained_on = _text(kept.get("pretrained_model_name_or_path"))
    if trained_on and _text(kept.get("output_name")) == model.stem:
        return Sidecar(source=SidecarSource.TRAINED_HERE, base_model=trained_on, parents=names_of([trained_on]))
    if not {"activation text", "sd version"} & set(kept):
        return None
    words = _text(kept.get("activation text"), 4 * TEXT_LIMIT) or ""
    return Sidecar(base_model=_text(kept.get("sd version")), triggers=words_of(words.split(",")))


def _card(content: str, place: Path, model: Path, suffixes: frozenset[str], findings: list[Finding]) -> Sidecar | None:
    """Source: huggingface.co/docs/hub/model-cards."""
    head = read_head(content[: HEAD_LIMIT + 1])
    if not head:
        return None
    if model.name not in content and not _is_alone(model, suffixes):
        detail = "a model card lies beside several models and names none of them: not believed"
        findings.append(Finding(code="sidecar-ambiguous", detail=detail, where=storable(place.name)[0]))
        return None
    first = {name: storable(texts[0])[0][:TEXT_LIMIT] for name, texts in head.items()}
    licence = first.get("license")
    parents = names_of(head.get("base_model", ()))
    repository = _repository_of(model)
    return Sidecar(
        source=SidecarSource.HUGGINGFACE,
        model_id=repository,
        model_name=first.get("model_name"),
        base_model=parents[0] if parents else None,
        parents=parents,
        relation=first.get("base_model_relation"),
        # `other` says only that the name stands in another entry.
        licence=first.get("license_name", licence) if licence in (None, "other", "unknown") else licence,
        licence_url=first.get("license_link"),
        triggers=words_of(head.get("instance_prompt", ())),
        url=f"https://huggingface.co/{repository}" if repository else None,
    )


def _is_alone(model: Path, suffixes: frozenset[str]) -> bool:
    others = 0
    with os.scandir(model.parent) as entries:
        for number, entry in enumerate(entries):
            others += Path(entry.name).suffix.lower() in suffixes and entry.name != model.name
            if others or number >= NEIGHBOURS_LIMIT:
                return False
    return True


def _repository_of(model: Path) -> str | None:
    """Hugging Face's cache names the repository: `models--org--name/snapshots/<commit>/`."""
    for part in model.parts[-6:]:
        kind, _, name = part.partition("--")
        repository = name.replace("--", "/", 1)
        if kind == "models" and _REPOSITORY.match(repository):
            return repository
    return None


_READERS = (
    ("{stem}.civitai.info", _civitai_info),
    ("{stem}.metadata.json", _lora_manager),
    ("{stem}.cm-info.json", _cm_info),
    ("{stem}.json", _notes),
    ("metadata.json", _lora_manager_alone),
    (_CARD, _card),
)
"""Nearest to the model first."""


def _permissions(said: Mapping[str, Json]) -> Permissions | None:
    def flag(name: str) -> bool | None:
        value = said.get(name)
        return value if isinstance(value, bool) else None

    commercial = _commercial(said.get("allowCommercialUse"))
    flags = [flag(name) for name in ("allowNoCredit", "allowDerivatives", "allowDifferentLicense")]
    if commercial is None and flags == [None, None, None]:
        return None
    return Permissions(
        allow_no_credit=flags[0],
        allow_commercial_use=commercial,
        allow_derivatives=flags[1],
        allow_different_license=flags[2],
    )


def _commercial(value: Json) -> tuple[str, ...] | None:
    """A list, one word, or as older answers wrote it a list in one text: `{Image,RentCivit}`."""
    words = re.split(r"[{},\s\"]+", value[:TEXT_LIMIT]) if isinstance(value, str) else value
    if not isinstance(words, list):
        return None
    return tuple(word for word in _COMMERCIAL if word in words)


def _hashes(files: Json) -> tuple[str, ...]:
    found: list[str] = []
    for file in files[:HASHES_LIMIT] if isinstance(files, list) else ():
        stated = _text(_member(file, "hashes").get("SHA256")) if isinstance(file, dict) else None
        if stated and _SHA256.match(stated.lower()):
            found.append(stated.lower())
    return tuple(dict.fromkeys(found))


def _civitai_url(model: str | None, version: str | None) -> str | None:
    if not (model or "").isdigit():
        return None
    shown = f"?modelVersionId={version}" if (version or "").isdigit() else ""
    return f"https://civitai.com/models/{model}{shown}"


def _words(value: Json) -> tuple[str, ...]:
    return words_of(value) if isinstance(value, list) else ()


def _member(value: Mapping[str, Json], name: str) -> dict[str, Json]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}


def _text(value: Json, limit: int = TEXT_LIMIT) -> str | None:
    """A text or a number as a short text; None where it is neither, or empty."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    if isinstance(value, int):
        return str(value) if 0 <= value < 2**53 else None
    return " ".join(storable(value)[0].split())[:limit] or None
