"""Labels that a file is made by AI, whoever made it: the digital source type of XMP and IPTC, the Chinese AIGC label,
content credentials, and programs that do nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import FileTexts, Recipe
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.spoken import first_text, texts_under
from memoryd_ingest_plugins.dialects.values import Json
from memoryd_ingest_plugins.dialects.xmp import packets_of, property_of

_AI = frozenset(("trainedalgorithmicmedia", "compositewithtrainedalgorithmicmedia"))
_NOT_AI = frozenset(("digitalcapture", "computationalcapture", "negativefilm", "positivefilm", "print"))
"""Captures of the world. Source: the IPTC's vocabulary of digital source types."""

_PROGRAMS = (
    (re.compile(r"midjourney", re.IGNORECASE), "midjourney"),
    (re.compile(r"adobe[_ ]firefly|firefly", re.IGNORECASE), "firefly"),
    (re.compile(r"chatgpt|dall[\u00b7\- ]?e|openai|gpt-4o|gpt-image|sora", re.IGNORECASE), "openai"),
    (re.compile(r"gemini|imagen|google[_ ](?:generative|c2pa|ai)|nano banana", re.IGNORECASE), "google"),
    (re.compile(r"bing image creator|designer|microsoft[_ ]responsible", re.IGNORECASE), "microsoft"),
    (re.compile(r"stability|stable diffusion|dreamstudio", re.IGNORECASE), "stability"),
    (re.compile(r"black ?forest ?labs|flux", re.IGNORECASE), "black-forest-labs"),
    (re.compile(r"ideogram", re.IGNORECASE), "ideogram"),
    (re.compile(r"leonardo", re.IGNORECASE), "leonardo"),
    (re.compile(r"recraft", re.IGNORECASE), "recraft"),
    (re.compile(r"runway", re.IGNORECASE), "runway"),
    (re.compile(r"draw things", re.IGNORECASE), "draw-things"),
)
_ONLY_GENERATORS = re.compile(
    r"\s*(?:midjourney|adobe firefly|dall[\u00b7\-]?e ?\d?|novelai|ideogram|leonardo\.?ai)\b", re.I
)


class SourceType:
    """Understands the digital source type in XMP, alone or beside what others read."""

    name = "source_type"
    version = "1"
    rank = 90

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return whether the packet says AI or a capture, and the program it names."""
        for index, packet in packets_of(file):
            written = property_of(packet, "DigitalSourceType") or property_of(packet, "digitalSourceType")
            generated = source_type_says(written or "")
            if generated is None:
                continue
            program = property_of(packet, "CreatorTool") or property_of(packet, "Credit") or ""
            return Recipe(
                dialect=self.name,
                version=self.version,
                tool=program_of(program) or "unknown",
                generated=generated,
                settings=(("digital source type", (written or "").rsplit("/", 1)[-1]),),
                claimed=(index,),
            )
        return None


class AigcLabel:
    """Understands the label of GB 45438-2025: JSON (in a JSON string) under `AIGC`."""

    name = "aigc_label"
    version = "1"
    rank = 91

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return that AI made it (label 1) or is presumed to have (2, 3), and who produced it."""
        for index, text in _labels(file):
            said = values.object_of(text)
            inner = said.get("AIGC") if said is not None else None
            said = inner if isinstance(inner, dict) else values.object_of(inner) if isinstance(inner, str) else said
            if said is None or "Label" not in said:
                continue
            label = values.word(said.get("Label"))
            return Recipe(
                dialect=self.name,
                version=self.version,
                tool="unknown",
                generated=True if label in ("1", "2", "3") else None,
                settings=tuple((f"AIGC {name}", value) for name, value in values.plain_settings(said, frozenset())),
                claimed=(index,),
            )
        return None


class ContentCredentials:
    """Understands what the reader of content credentials found: `c2pa:store`, its JSON."""

    name = "content_credentials"
    version = "1"
    rank = 85

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return whether the active manifest or one of its ingredients says AI, and which program claims it."""
        found = first_text(file, "c2pa")
        store = values.object_of(found[1]) if found is not None else None
        if found is None or store is None:
            return None
        manifests = values.part(store, "manifests")
        active = manifests.get(str(store.get("active_manifest")))
        if not isinstance(active, dict):
            return None
        program = _generator(active)
        said = any(source_type_says(value) for value in _source_types(list(manifests.values()), 0))
        failures = _failures(store)
        broken = any(_is_defect(code) for code in failures)
        findings: tuple[Finding, ...] = ()
        if failures:
            code = "manifest-not-valid" if broken else "manifest-doubtful"
            findings = (Finding(code=code, detail=", ".join(failures)[:300], where="c2pa"),)
        return Recipe(
            dialect=self.name,
            version=self.version,
            tool=program_of(program) or re.sub(r"[^a-z0-9.]+", "-", program.lower()).strip("-")[:60] or "unknown",
            generated=True if said else None if broken else False,
            settings=(("claim generator", program),) if program else (),
            claimed=(found[0],),
            findings=findings,
        )


class GeneratorName:
    """Understands the name of a program that does nothing but generate, in EXIF or a PNG text `Software`."""

    name = "generator_name"
    version = "1"
    rank = 95

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return the program's name."""
        for index, text in texts_under(file, "software", "make", "model"):
            if _ONLY_GENERATORS.match(text):
                return Recipe(
                    dialect=self.name,
                    version=self.version,
                    tool=program_of(text) or text.strip().split()[0].lower(),
                    generated=True,
                    claimed=(index,),
                )
        return None


def source_type_says(value: str) -> bool | None:
    """Return what a digital source type (a URI or its last word) says of AI; None where it says nothing."""
    last = value.strip().rstrip("/").rsplit("/", 1)[-1].lower()
    return True if last in _AI else False if last in _NOT_AI else None


def program_of(name: str) -> str | None:
    """Return the stable word for a maker of generative programs, None for any other."""
    return next((word for pattern, word in _PROGRAMS if pattern.search(name)), None)


def _labels(file: FileTexts) -> Iterator[tuple[int, str]]:
    yield from texts_under(file, "aigc", "usercomment", "comment", "imagedescription")
    for index, packet in packets_of(file):
        if written := property_of(packet, "AIGC"):
            yield index, written


def _generator(manifest: dict[str, Json]) -> str:
    for described in values.items(manifest.get("claim_generator_info")):
        if isinstance(described, dict) and (name := values.word(described.get("name"))):
            return name
    return (values.word(manifest.get("claim_generator")) or "").split("/")[0]


def _source_types(value: Json, depth: int) -> Iterator[str]:
    """Every digital source type in a store, however deep."""
    if depth > 40:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.lower().endswith("digitalsourcetype") and isinstance(inner, str):
                yield inner
            else:
                yield from _source_types(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _source_types(inner, depth + 1)


def _failures(store: dict[str, Json]) -> list[str]:
    """Codes of what does not hold in a store. Who vouches for the signer is not asked here."""
    codes = [
        code
        for status in values.items(store.get("validation_status"))
        if isinstance(status, dict) and (code := values.word(status.get("code")))
    ]
    return [code for code in dict.fromkeys(codes) if "untrusted" not in code.lower()]


def _is_defect(code: str) -> bool:
    """Tell a change of the file or its manifest from a doubt about a person's or a signer's identity."""
    return not code.startswith(("cawg.", "signingCredential.", "timeStamp."))


source_type = SourceType()
aigc_label = AigcLabel()
content_credentials = ContentCredentials()
generator_name = GeneratorName()
