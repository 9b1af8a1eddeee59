"""Makes the picture of a bundle again on a bare ComfyUI, and says whether it is the same.

Exit codes: 0 identical file or pixels, 10 within tolerance, 11 different, 12 not attempted, 13 similar.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import time
import urllib.parse
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .engine import Engine, outputs_of, upload, wait
from .opening import Bundle, NotAttempted, plain
from .pixels import compare_with_pillow

EXIT_CODES = {
    "identical file": 0,
    "identical pixels": 0,
    "within tolerance": 10,
    "similar": 13,
    "different": 11,
    "not attempted": 12,
}
"""Best first."""
TRIES = 3
"""Runs, until one computes everything: ComfyUI takes from its cache what it has not dropped yet."""
SETTLE_S = 1.0
"""ComfyUI drops its caches between two runs, not while it is asked to."""
TIMEOUT_S = 86_400.0
TYPES = ("input", "output", "temp")


class Result(NamedTuple):
    """What came of it."""

    verdict: str
    detail: str
    made: Path | None


def check_engine(bundle: Bundle, engine: Engine, models_dir: Path | None, say: Callable[[str], None]) -> None:
    """Say what the ComfyUI lacks. Raises: NotAttempted where that makes the run impossible, or another one."""
    prompt = json.loads(bundle.read("prompt.json").decode("utf-8"))
    wanted = sorted({str(n.get("class_type")) for n in prompt.values() if isinstance(n, dict)})
    has = engine.json("/object_info")
    lacking = [each for each in wanted if each not in has]
    if lacking:
        raise NotAttempted(
            f"this ComfyUI has no node class {', '.join(map(plain, lacking))}",
            "environment/ says which node packs there were, and builds them",
        )
    for model in bundle.manifest["models"]:
        _check_model(model, engine, models_dir, say)


def _check_model(model: dict[str, Any], engine: Engine, models_dir: Path | None, say: Callable[[str], None]) -> None:
    name, sha256 = str(model["name"]), model.get("sha256")
    folders = [str(each) for each in model.get("folders") or [model["folder"]]]
    listed: list[str] = []
    known = False
    for folder in folders:
        status, content = engine.ask(f"/models/{urllib.parse.quote(folder, safe='')}")
        if status == 200:
            known = True
            listed += [str(each) for each in json.loads(content.decode("utf-8"))]
    where = f"models/{plain(model['folder'])}/{plain(name)}"
    if known and name not in listed:
        raise NotAttempted(
            f"this ComfyUI has no {where}",
            f"put the file there under exactly this name (SHA-256 {plain(sha256 or 'unknown')}); models.sha256 lists all",
        )
    if not sha256:
        say(f"  {where}: nobody recorded which file that was; another one of that name makes another picture")
    elif models_dir is None:
        say(f"  {where}: should be SHA-256 {plain(sha256)} (not checked: name --models-dir)")
    else:
        _check_content(where, folders, name, str(sha256), models_dir, say)


def _check_content(
    where: str, folders: list[str], name: str, sha256: str, models_dir: Path, say: Callable[[str], None]
) -> None:
    parts = name.replace("\\", "/").split("/")
    if any(part in ("", ".", "..") for part in [*parts, *folders]) or any("/" in folder for folder in folders):
        raise NotAttempted(f"{where} is no name of a model", "this bundle is not sound")
    for folder in folders:
        path = models_dir.joinpath(folder, *parts)
        if path.is_file():
            found = hash_file(path)
            if found != sha256:
                raise NotAttempted(
                    f"{where} is another file: SHA-256 {found}, not {sha256}",
                    "put the right file there, or move it away",
                )
            say(f"  {where}: the right file, by its SHA-256")
            return
    raise NotAttempted(f"{where} is not below {models_dir}", "name ComfyUI's models folder with --models-dir")


def hash_file(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


def place_inputs(bundle: Bundle, engine: Engine, *, overwrite: bool, say: Callable[[str], None]) -> None:
    """Put the inputs where the graph names them. Raises: NotAttempted, also where another file lies there."""
    for one in bundle.manifest["inputs"]:
        name, subfolder, kind = str(one["name"]), str(one["subfolder"]), str(one["type"])
        if not _is_input_place(name, subfolder, kind):
            raise NotAttempted(f"{plain(subfolder)}/{plain(name)} is no place for an input", "this bundle is not sound")
        content = bundle.read(str(one["file"]))
        if hashlib.sha256(content).hexdigest() != one["sha256"]:
            raise NotAttempted(f"{plain(name)} is not the input that it should be", "get the bundle again")
        there = engine.view(name, subfolder, kind)
        if there == content:
            say(f"  input {plain(name)}: there already")
            continue
        if there is not None and not overwrite:
            raise NotAttempted(
                f"ComfyUI has another file called {plain(name)} in {plain(kind)}/{plain(subfolder)}",
                "move it away, or replace it with --overwrite",
            )
        upload(engine, name, subfolder, kind, content)
        if engine.view(name, subfolder, kind) != content:
            raise NotAttempted(f"{plain(name)} did not arrive as it is", "ComfyUI's own log says why")
        say(f"  input {plain(name)}: put into {plain(kind)}/{plain(subfolder)}")


def _is_input_place(name: str, subfolder: str, kind: str) -> bool:
    if kind not in TYPES or not name or name in (".", "..") or subfolder.startswith("/"):
        return False
    if any(c in name for c in '/\\"') or any(not c.isprintable() or c in '\\":' for c in name + subfolder):
        return False
    return not any(part in (".", "..") for part in subfolder.split("/"))


def compute(bundle: Bundle, engine: Engine, say: Callable[[str], None], timeout_s: float) -> dict[str, Any]:
    """Return the history of a run that computed every node. Raises: NotAttempted."""
    prompt, extra = bundle.read("prompt.json"), bundle.read("extra_data.json")
    if not all(isinstance(json.loads(raw.decode("utf-8", "surrogatepass")), dict) for raw in (prompt, extra)):
        raise NotAttempted("prompt.json or extra_data.json is no object", "this bundle is not sound")
    for number in range(1, TRIES + 1):
        engine.ask("/free", b'{"unload_models": true, "free_memory": true}')
        time.sleep(SETTLE_S)
        prompt_id = str(uuid.uuid4())
        # Put together as text: reading and writing it again would respell numbers, and these are in the file's bytes.
        body = b'{"prompt": ' + prompt + b', "extra_data": ' + extra + b', "prompt_id": "' + prompt_id.encode() + b'"}'
        accepted = engine.json("/prompt", body)
        prompt_id = str(accepted.get("prompt_id"))
        say(f"  run {number}: {plain(prompt_id)}")
        record = wait(engine, prompt_id, timeout_s)
        messages = [each for each in record.get("status", {}).get("messages") or [] if len(each) == 2]
        cached = [node for kind, facts in messages if kind == "execution_cached" for node in facts.get("nodes") or []]
        if record.get("status", {}).get("status_str") != "success":
            reasons = [str(f.get("exception_message") or k) for k, f in messages if k.startswith("execution_") and f]
            raise NotAttempted(f"ComfyUI could not run it: {plain(reasons[-1] if reasons else 'it does not say why')}")
        if not any(kind == "execution_cached" for kind, _ in messages):
            raise NotAttempted(
                "this ComfyUI does not tell what came from its cache: it proves nothing", "use a newer one"
            )
        if not cached:
            return record
        say(f"  {len(cached)} nodes came from ComfyUI's cache: once more")
    raise NotAttempted(f"nodes came from the cache in each of {TRIES} runs", "start ComfyUI anew")


def run(
    bundle: Bundle,
    engine: Engine,
    *,
    out: Path,
    models_dir: Path | None = None,
    overwrite: bool = False,
    timeout_s: float = TIMEOUT_S,
    say: Callable[[str], None] = print,
    compare: Callable[[bytes, bytes], tuple[str, str]] = compare_with_pillow,
) -> Result:
    """Make it again; return the verdict. `compare` grades two files whose bytes differ."""
    try:
        _refuse_incomplete(bundle)
        check_engine(bundle, engine, models_dir, say)
        place_inputs(bundle, engine, overwrite=overwrite, say=say)
        record = compute(bundle, engine, say, timeout_s)
        return _judge(bundle, engine, record, out, compare, say)
    except NotAttempted as error:
        return Result("not attempted", plain(error) + (f"\nNext: {plain(error.step)}" if error.step else ""), None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Result(
            "not attempted", f"the bundle, or an answer, is not sound: {type(error).__name__} {plain(error)}", None
        )


def _refuse_incomplete(bundle: Bundle) -> None:
    missing = bundle.manifest["plan"]["missing"]
    if missing:
        raise NotAttempted(
            "; ".join(plain(cause["detail"]) for cause in missing), "what is missing is not in this bundle either"
        )


def _judge(
    bundle: Bundle,
    engine: Engine,
    record: dict[str, Any],
    out: Path,
    compare: Callable[[bytes, bytes], tuple[str, str]],
    say: Callable[[str], None],
) -> Result:
    plan, asset = bundle.manifest["plan"], bundle.manifest["asset"]
    wanted = str(asset["original_sha256"])
    made = []
    for node, index, file in outputs_of(record):
        content = engine.view(str(file["filename"]), str(file.get("subfolder", "")), str(file.get("type", "output")))
        if content is not None:
            made.append((node, index, str(file["filename"]), content))
    if plan.get("certain") and plan.get("node") is not None:
        made = [each for each in made if each[0] == str(plan["node"])]
        if plan.get("batch_index") is not None:
            made = [each for each in made if each[1] == int(plan["batch_index"])]
    if not made:
        raise NotAttempted("the run made no output in the place where the original stood")
    equal = [each for each in made if hashlib.sha256(each[3]).hexdigest() == wanted]
    if equal:
        return Result("identical file", f"computed again, and every byte is equal: {wanted}", _save(out, equal[0], say))
    if not asset.get("original_file"):
        saved = _save(out, made[0], say)
        return Result(
            "different", "the SHA-256 is another one; the original is not in the bundle to be compared with", saved
        )
    original = bundle.read(str(asset["original_file"]))
    graded = [(compare(original, each[3]), each) for each in made]
    (verdict, words), best = min(graded, key=lambda one: _rank(one[0][0]))
    return Result(verdict, words, _save(out, best, say))


def _rank(verdict: str) -> int:
    return list(EXIT_CODES).index(verdict)


def _save(out: Path, made: tuple[str, int, str, bytes], say: Callable[[str], None]) -> Path:
    """Write what was made under a name of its own; nothing is written over."""
    node, index, filename, content = made
    ending = re.sub(r"[^A-Za-z0-9]", "", filename.rpartition(".")[2])[:8] or "bin"
    stem = re.sub(r"[^A-Za-z0-9]", "-", node)[:40]
    out.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        path = out / f"made-{stem}-{index}{'' if number == 1 else f'-{number}'}.{ending}"
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        say(f"  written to {path}")
        return path
    raise NotAttempted(f"{out} is full of earlier results", "name another folder with --out")


def arguments() -> argparse.ArgumentParser:
    """Return what may be asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "bundle", nargs="?", help="the bundle (x.zip or its folder); else the folder that run.py lies in"
    )
    parser.add_argument("--comfyui", default="http://127.0.0.1:8188", help="where ComfyUI listens")
    parser.add_argument(
        "--models-dir", type=Path, help="ComfyUI's models folder: the models' SHA-256 are checked there"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace another file that has an input's name")
    parser.add_argument("--out", type=Path, default=Path("made"), help="folder for what comes out")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds to wait for a run")
    return parser


def main(words: list[str] | None = None) -> int:
    """Run it from a command line; return the exit code."""
    given = arguments().parse_args(words)
    try:
        bundle = Bundle(Path(given.bundle) if given.bundle else Path(__file__).resolve().parents[1])
        engine = Engine(given.comfyui)
    except NotAttempted as error:
        result = Result("not attempted", plain(error) + (f"\nNext: {plain(error.step)}" if error.step else ""), None)
    else:
        result = run(
            bundle,
            engine,
            out=given.out,
            models_dir=given.models_dir,
            overwrite=given.overwrite,
            timeout_s=given.timeout,
        )
    print(f"verdict: {result.verdict}")
    print(result.detail)
    return EXIT_CODES[result.verdict]
