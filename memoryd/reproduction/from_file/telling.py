"""What tells originals apart, in words for people; and how a file was recognised, in a sentence."""

from __future__ import annotations

from memoryd.catalog.asset_view import AssetView, GenerationView
from memoryd.recognition.facts import By
from memoryd.reproduction.from_file.facts import FileRead
from memoryd.reproduction.from_file.judging import Evidence

TEXT_LIMIT = 200
"""Characters of one fact."""

NEARLY = 0.999
"""As alike as is said of pictures that are not the same."""

NOT_THE_ORIGINAL = "what you have is a copy: its bytes are not the original's"


def facts_of(view: AssetView) -> dict[str, str]:
    """Return what people tell pictures apart by, by name; what is not known is left out."""
    run = _run(view)
    told: dict[str, object] = {
        "made": f"{view.made_at:%Y-%m-%d %H:%M:%S} UTC",
        "pixels": f"{view.width} x {view.height}" if view.width and view.height else None,
        "bytes": view.size,
    }
    if run is not None:
        told |= _facts_of_run(run)
    decided = [f"{each.approval.state} in {each.project}" for each in view.annotations if each.approval]
    told |= {
        "projects": ", ".join(each.project for each in view.annotations),
        "approval": ", ".join(decided),
        "lies at": next((place.shown_path for place in view.places), None),
        "SHA-256": view.sha256.hex()[:16],
    }
    return {name: str(value)[:TEXT_LIMIT] for name, value in told.items() if value not in (None, "")}


def _run(view: AssetView) -> GenerationView | None:
    with_graph = [run for run in view.generations if run.exact is not None]
    return next(iter(with_graph or view.generations), None)


def _facts_of_run(run: GenerationView) -> dict[str, object]:
    passes = [each for each in run.samplers if each.seed is not None]
    seeds = dict.fromkeys(str(each.seed) for each in passes)
    first = next((each for each in run.samplers if each.final), next(iter(run.samplers), None))
    settings = [
        f"{name} {value}"
        for name, value in (
            ("steps", first.steps if first else None),
            ("cfg", first.cfg if first else None),
            ("", first.sampler if first else None),
            ("denoise", first.denoise if first else None),
        )
        if value is not None
    ]
    return {
        "seed": ", ".join(seeds),
        "place in its batch": run.batch_index + 1 if run.batch_index is not None else None,
        "output node": run.node if run.certain else None,
        "sampling": ", ".join(each.strip() for each in settings),
        "prompt": next((" ".join(each.text.split()) for each in run.prompts if each.polarity == "positive"), None),
        "models": ", ".join(dict.fromkeys(each.name for each in run.models)),
        "made by job": run.job_id,
        "graph": run.exact.hex()[:12] if run.exact else None,
    }


def how_recognised(evidence: Evidence, file: FileRead, view: AssetView, matched_as: str | None) -> str:
    """Return how the file was recognised, as a sentence that says plainly whether these are the original's bytes."""
    if evidence.exact:
        return "the same bytes: this is the original file itself"
    if evidence.by is By.FILE:
        return f"the same bytes as its {matched_as or 'known'} copy; {NOT_THE_ORIGINAL}"
    said = [_by(evidence)]
    if evidence.text and evidence.by is not By.TEXT:
        said.append("the file's own text names its run")
    if scaled := _scaled(file, view):
        said.append(scaled)
    if matched_as is not None:
        said.append(f"found through its {matched_as} copy")
    return "; ".join([*said, NOT_THE_ORIGINAL])


def _by(evidence: Evidence) -> str:
    match evidence.by:
        case By.SIGNED:
            return "its content credentials verify, and name this as what it was made from"
        case By.PIXELS:
            return "every pixel is the same; texts or compression around them differ"
        case By.FINGERPRINT:
            alike = "" if evidence.alike is None else f", it looks {min(evidence.alike, NEARLY):.1%} alike"
            turned = ", mirrored" if evidence.mirrored else ""
            return f"it shows nearly the same{turned} ({evidence.distance} of 256 bits differ{alike})"
        case By.TEXT:
            return "a text in the file names its run, and nothing else was found"
        case _:
            return f"by {evidence.by.value}"


def _scaled(file: FileRead, view: AssetView) -> str:
    if None in (file.width, file.height, view.width, view.height) or (file.width, file.height) == (
        view.width,
        view.height,
    ):
        return ""
    return f"{file.width} x {file.height} pixels, the original has {view.width} x {view.height}"
