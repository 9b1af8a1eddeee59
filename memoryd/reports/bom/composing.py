"""The bill of materials as CycloneDX: models as components with hashes, licences and model cards. Pure.

The library knows no model cards and no compositions: both are put into its document, and the whole is then validated.
Source: CycloneDX 1.6, sections components, modelCard, compositions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom as CycloneDxBom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.spdx import is_supported_id

from memoryd import __version__
from memoryd.foundation.errors import MemorydError
from memoryd.reports.bom.checking import problems_of
from memoryd.reports.bom.facts import Bom, BomContent, BomFile, BomLicence, BomModel, BomProgram, BomSubject, BomVersion

NOTICE = (
    "It says what the memory of this installation knows, and names what it does not know. "
    "It supports a review; it is not legal advice and certifies nothing."
)
_PREFIX = "memoryd"
_URL_SAFE = ":/?#@!$&'()*+,;=%"
_PART = r"(?:[A-Za-z0-9._~:@!$&'()*+,;=/-]|%[0-9A-Fa-f]{2})*"
_URL = re.compile(rf"https?://[A-Za-z0-9.-]+(?::\d{{1,5}})?(?:/{_PART})?(?:\?{_PART})?(?:#{_PART})?")
"""Web addresses. Source: RFC 3986, of its shapes those that publishers of models use."""
_VERSIONS = {BomVersion.V1_6: SchemaVersion.V1_6, BomVersion.V1_7: SchemaVersion.V1_7}
_PROGRAMS = {
    "application": ComponentType.APPLICATION,
    "framework": ComponentType.FRAMEWORK,
    "library": ComponentType.LIBRARY,
}


class BomDoesNotValidate(MemorydError):
    """The bill of materials does not validate against its schema: a fault of memoryd, and nothing was handed out."""


def compose(content: BomContent, version: BomVersion = BomVersion.V1_6) -> Bom:
    """Return the bill of materials, validated. Raises: BomDoesNotValidate."""
    bom = CycloneDxBom()
    bom.metadata.timestamp = content.made_at
    bom.metadata.properties.update(_properties(content.facts))
    bom.metadata.tools.components.add(
        Component(type=ComponentType.APPLICATION, name="memoryd", version=__version__, bom_ref="tool:memoryd")
    )
    components = {each.ref: _model(each) for each in content.models}
    components |= {each.ref: _program(each) for each in content.programs}
    components |= {each.ref: _file(each) for each in content.files}
    root = components.pop(content.root, None) or Component(
        type=ComponentType.DATA, name=content.name, bom_ref=content.root, properties=_properties(content.facts)
    )
    bom.metadata.component = root
    for component in components.values():
        bom.components.add(component)
    _depend(bom, content, {content.root: root, **components})
    document = json.loads(make_outputter(bom, OutputFormat.JSON, _VERSIONS[version]).output_as_string())
    _add_cards(document, content.models)
    document["compositions"] = list(_compositions(content))
    raw = json.dumps(document, indent=2, ensure_ascii=True, sort_keys=True).encode("ascii") + b"\n"
    problems = problems_of(raw, version)
    if problems:
        raise BomDoesNotValidate("; ".join(problems)[:500], hint="tell the makers of memoryd what the bill was about")
    return Bom(document=document, content=raw, models=len(content.models), unknowns=content.unknowns)


def _depend(bom: CycloneDxBom, content: BomContent, components: Mapping[str, Component]) -> None:
    wanted: dict[str, Iterable[str]] = {
        each.ref: (*each.models, *each.inputs, *each.programs) for each in content.files
    }
    wanted |= {
        each.ref: [f"model:{parent.hex()}" for parent in each.parents if isinstance(parent, bytes)]
        for each in content.models
    }
    if content.subject is not BomSubject.ASSET:
        wanted[content.root] = content.root_models
    for ref, component in components.items():
        needed = [components[other] for other in dict.fromkeys(wanted.get(ref, ())) if other in components]
        bom.register_dependency(component, needed)


def _model(model: BomModel) -> Component:
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=model.sha256.hex())] if model.sha256 else []
    if "blake3" in model.aliases:
        hashes.append(HashType(alg=HashAlgorithm.BLAKE3, content=model.aliases["blake3"]))
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=model.name,
        version=model.version,
        bom_ref=model.ref,
        hashes=hashes,
        licenses=[_licence(each) for each in model.licences if not each.inherited],
        external_references=_references(ExternalReferenceType.WEBSITE, model.url),
        pedigree=_pedigree(model),
        properties=_properties(_told_of_model(model)),
    )


def _told_of_model(model: BomModel) -> dict[str, str]:
    told = {
        "role": model.role,
        # INV-7: that nobody named a licence is said, and is no permission.
        "licence": "named" if any(not each.inherited for each in model.licences) else "unknown",
        "identified": model.identified or "unknown",
        "format": model.format or "",
        "base": model.base or "",
        "recalled": model.recalled or "",
        "size": "" if model.size is None else str(model.size),
        "runs": "" if model.uses is None else str(model.uses),
    }
    told |= {f"alias:{name}": value for name, value in model.aliases.items()}
    inherited = [each.spdx or each.name for each in model.licences if each.inherited]
    told["licence:inherited"] = ", ".join(dict.fromkeys(inherited))
    texts = {each.spdx or each.name: each.text_sha256 for each in model.licences if each.text_sha256}
    told |= {f"licence-text-sha256:{name}": digest.hex() for name, digest in texts.items()}
    return told


def _licence(licence: BomLicence) -> DisjunctiveLicense:
    acknowledgement = LicenseAcknowledgement.DECLARED if licence.declared else LicenseAcknowledgement.CONCLUDED
    url = _address(licence.url)
    if licence.spdx is not None and is_supported_id(licence.spdx):
        return DisjunctiveLicense(id=licence.spdx, url=url, acknowledgement=acknowledgement)
    return DisjunctiveLicense(name=licence.spdx or licence.name, url=url, acknowledgement=acknowledgement)


def _pedigree(model: BomModel) -> Pedigree | None:
    ancestors = [
        Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=parent.hex() if isinstance(parent, bytes) else parent,
            bom_ref=f"ancestor:{model.ref}:{number}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=parent.hex())] if isinstance(parent, bytes) else [],
        )
        for number, parent in enumerate(model.parents)
    ]
    return Pedigree(ancestors=ancestors) if ancestors else None


def _file(file: BomFile) -> Component:
    # The library spells its member for the media type as no version of the schema does: told as a property.
    told = {
        "asset": file.asset_id or "",
        "making": "known" if file.making_known else "unknown",
        "media-type": file.media_type or "",
    }
    return Component(
        type=ComponentType.FILE,
        name=file.name,
        bom_ref=file.ref,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file.sha256.hex())] if file.sha256 else [],
        properties=_properties(told),
    )


def _program(program: BomProgram) -> Component:
    return Component(
        type=_PROGRAMS[program.kind],
        name=program.name,
        version=program.version,
        bom_ref=program.ref,
        external_references=_references(ExternalReferenceType.SCM, program.url),
        properties=_properties(program.facts),
    )


def _references(kind: ExternalReferenceType, url: str | None) -> list[ExternalReference]:
    address = _address(url)
    return [ExternalReference(type=kind, url=address)] if address else []


def _address(url: str | None) -> XsUri | None:
    """An address as the schema takes it; what is none, whatever it says of itself, is left out."""
    spelled = quote(url or "", safe=_URL_SAFE)
    return XsUri(spelled) if _URL.fullmatch(spelled) else None


def _properties(told: Mapping[str, str]) -> list[Property]:
    return [Property(name=f"{_PREFIX}:{name}", value=value) for name, value in sorted(told.items()) if value]


def _add_cards(document: dict[str, Any], models: Iterable[BomModel]) -> None:
    known = {model.ref: model for model in models}
    for component in document.get("components", []):
        model = known.get(component.get("bom-ref"))
        if model is not None:
            component["modelCard"] = _card(model)


def _card(model: BomModel) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if model.kind and model.kind != "unknown":
        parameters["task"] = model.kind
    if model.base:
        parameters["architectureFamily"] = model.base
        parameters["modelArchitecture"] = model.base
    card: dict[str, Any] = {"modelParameters": parameters}
    told = [{"name": f"{_PREFIX}:{name}", "value": value} for name, value in sorted(model.card.items())]
    if told:
        card["properties"] = told
    if model.recalled:
        card["considerations"] = {"technicalLimitations": [f"recalled: {model.recalled}"]}
    return card


def _compositions(content: BomContent) -> Iterable[dict[str, Any]]:
    """What is complete and what is not: an unknown is said, so that nobody reads silence as *nothing else*.

    Complete is only what a worker proved: a run whose every weight was pinned, and whose every input is known.
    """
    incomplete = {each.ref for each in content.files if not each.making_known or each.sha256 is None}
    incomplete |= {each.ref for each in content.models if each.sha256 is None}
    if content.unknowns:
        incomplete.add(content.root)
    if incomplete:
        yield {"aggregate": "incomplete", "assemblies": sorted(incomplete)}
    if content.root not in incomplete:
        proven = all(model.identified == "pin" for model in content.models)
        yield {"aggregate": "complete" if proven else "not_specified", "assemblies": [content.root]}
    # What a model was trained on, nobody here knows.
    if content.models:
        yield {"aggregate": "unknown", "dependencies": sorted(model.ref for model in content.models)}
