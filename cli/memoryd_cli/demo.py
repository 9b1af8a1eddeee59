"""`memoryd demo`: the whole main job on real pictures, in a place of its own that is removed afterwards.

Each step is a command that the reader could type; the demo runs the very same code and checks the answer, so that it
cannot rot. A step that does not hold ends the demo with exit code 1.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer

from memoryd.app.one_machine import free_port
from memoryd.app.supervising import SUPERVISED_VARIABLE
from memoryd.clearance.facts import Verdict
from memoryd.foundation.embedded_postgres import Cluster
from memoryd.foundation.errors import MemorydError, NotAcceptable, Unavailable
from memoryd_cli.clearance import EXIT_CODES
from memoryd_cli.client import Client, server
from memoryd_cli.output import console, say

START_WAIT_S = 60.0
TAKE_IN_WAIT_S = 60.0
LOOK_EVERY_S = 0.1
STOP_WAIT_S = 20.0
DEMO_LIMIT_S = 300
"""The demo ends by itself, whatever happens to the processes that it waits for."""

SHOWN_LINES = 14
CHECKOUT_PICTURES = Path(__file__).resolve().parents[2] / "tests" / "files" / "comfyui" / "images"

TXT2IMG: dict[str, Any] = {
    "4": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "memoryd-stand-in-no-real-model.safetensors"},
    },
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse in a storm, gouache", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 18446744073709551615,
            "steps": 12,
            "cfg": 6.5,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "demo/lighthouse", "images": ["8", 0]}},
}


class DemoFailed(MemorydError):
    """The demo found something that does not hold."""


class NoPictures(NotAcceptable):
    """There are no pictures to show anything with."""


class Demo:
    """One run of the demo."""

    def __init__(self, *, pictures: Path | None, stay: bool) -> None:
        """`pictures` is a folder of ComfyUI's PNG files. Raises: NoPictures."""
        self.pictures = pictures or CHECKOUT_PICTURES
        if not self.pictures.is_dir() or not any(self.pictures.glob("*.png")):
            raise NoPictures(f"{self.pictures}", hint="name a folder of ComfyUI pictures with --pictures")
        self.stay = stay
        self.place = Path(tempfile.mkdtemp(prefix="memoryd-demo-"))
        self.output = self.place / "ComfyUI" / "output"
        self.home = self.place / "home"
        self.processes: list[subprocess.Popen[str]] = []
        self.times: list[tuple[str, float]] = []

    def run(self) -> None:
        """Run every step, print what each took, remove everything. Raises: DemoFailed and what a step raises."""
        signal.signal(signal.SIGTERM, _interrupted)
        signal.signal(signal.SIGALRM, _took_too_long)
        signal.alarm(DEMO_LIMIT_S)
        began = time.monotonic()
        try:
            self._steps()
            signal.alarm(0)
            if self.stay:
                say(f"\nLook around at {server().url}; Ctrl-C ends the demo.")
                signal.pause()
        except KeyboardInterrupt:
            say("\nended early")
        finally:
            with _busy("taking everything away"):
                self._stop()
        say("")
        for name, seconds in self.times:
            say(f"{seconds:7.2f} s  {name}")
        say(f"{time.monotonic() - began:7.2f} s  in all")
        say("\nFor real work, with your own pictures and your own ComfyUI:")
        say("  .venv/bin/memoryd up ~/ComfyUI/output --comfyui http://127.0.0.1:8188")
        say("  .venv/bin/memoryd --help")

    def _steps(self) -> None:
        with self._step("start: Postgres, tables, server, watcher, worker, stand-in engine"):
            client = self._start()
        with self._step("take in a folder of real ComfyUI pictures"):
            self._take_in(client)
        with self._step("search"):
            self._command("search 'fox' --limit 5")
            self._command("search 'lora:tiny-random-lora' --limit 5")
        with self._step("one picture: recipe, models, lineage"):
            child = self._first("img2img_from_upload.png")
            self._command(f"show {child}")
            self._command(f"lineage {child}")
        with self._step("a signed copy, verified"):
            self._sign(child)
        with self._step("submit a job"):
            painted = self._submit()
        with self._step("make again: a model-free picture of a real ComfyUI"):
            self._make_again(self._first("modelfree_blend_invert.png"))
        with self._step("make again: the picture that the stand-in painted"):
            attempt = self._make_again(painted)
        with self._step("the proof of it: a signed receipt, verified offline with the file itself"):
            self._prove(painted, attempt)
        with self._step("a lineage report, signed"):
            self._report(child)
        with self._step("may it be shipped? what nobody named a licence for is unknown, never allowed"):
            self._clear(child)
        with self._step("an AI bill of materials, validated offline"):
            self._list_materials(child)

    @contextlib.contextmanager
    def _step(self, name: str) -> Iterator[None]:
        say(f"\n== {name}")
        began = time.monotonic()
        yield
        self.times.append((name, time.monotonic() - began))

    def _start(self) -> Client:
        self.output.mkdir(parents=True)
        (self.place / "input").mkdir()
        os.environ.update(MEMORYD_HOME=str(self.home), MEMORYD_PORT="0", MEMORYD_LOG_LEVEL="WARNING")
        for name in ("MEMORYD_URL", "MEMORYD_KEY", "MEMORYD_DATABASE_URL", "MEMORYD_TENANT", "MEMORYD_HOST"):
            os.environ.pop(name, None)
        server.cache_clear()
        folders = ["--output-directory", str(self.place / "engine"), "--input-directory", str(self.place / "input")]
        # Both at once: the worker waits for its engine.
        port = free_port("127.0.0.1")
        self._process("up", str(self.output), "--comfyui", f"http://127.0.0.1:{port}", "--port", "0")
        self._process("stand-in", "--port", str(port), *folders)
        with _busy("starting"):
            return self._ready()

    def _ready(self) -> Client:
        deadline = time.monotonic() + START_WAIT_S
        while time.monotonic() < deadline:
            if (self.home / "local.json").exists():
                with contextlib.suppress(Unavailable):
                    client = server()
                    client.get("/whoami")
                    say(f"everything runs; the pages are at {client.url}")
                    return client
                server.cache_clear()
            if any(process.poll() is not None for process in self.processes):
                raise DemoFailed("a process ended while starting", hint="its last lines are above")
            time.sleep(LOOK_EVERY_S)
        raise DemoFailed(f"nothing answers after {START_WAIT_S:.0f} s", hint="run `memoryd up FOLDER` to see why")

    def _process(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "memoryd_cli", *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, SUPERVISED_VARIABLE: str(os.getpid())},
        )
        self.processes.append(process)
        return process

    def _take_in(self, client: Client) -> None:
        sources = sorted(self.pictures.glob("*.png"))
        for source in sources:
            shutil.copyfile(source, self.output / source.name)
        deadline = time.monotonic() + TAKE_IN_WAIT_S
        recorded = 0
        with _busy("waiting for the watcher"):
            while time.monotonic() < deadline:
                recorded = len(self._assets(client))
                if recorded >= _distinct(sources):
                    break
                time.sleep(LOOK_EVERY_S)
            else:
                raise DemoFailed(
                    f"{recorded} of {_distinct(sources)} pictures were recorded", hint="memoryd quarantine list"
                )
        say(f"{len(sources)} files were copied into the watched folder; {recorded} distinct pictures are in the memory")

    @staticmethod
    def _assets(client: Client) -> list[dict[str, Any]]:
        items = client.get("/assets", limit=500)["items"]
        assert isinstance(items, list)
        return items

    def _first(self, name: str) -> str:
        return str(self._json(f"show {shlex.quote(str(self.output / name))}")["id"])

    def _command(self, line: str, *, shown: int = SHOWN_LINES, ends_with: int = 0) -> str:
        """Run one command as a reader would, show it and its first lines, and return all it printed.

        `ends_with`: the exit code that it is to have.
        """
        from memoryd_cli.main import command_line, parts_for

        say(f"$ memoryd {line.replace(str(self.output) + '/', '')}")
        said, code = io.StringIO(), 0
        try:
            with contextlib.redirect_stdout(said):
                code = command_line(parts_for(shlex.split(line)))(shlex.split(line), standalone_mode=False) or 0
        except typer.Exit as ended:
            code = ended.exit_code
        if code != ends_with:
            raise DemoFailed(f"`memoryd {line}` ended with {code}: {said.getvalue()[-500:]}")
        lines = said.getvalue().splitlines()
        for each in lines[:shown]:
            say(f"  {each}")
        if len(lines) > shown:
            say(f"  … {len(lines) - shown} more lines")
        return said.getvalue()

    def _json(self, line: str) -> Any:
        said = io.StringIO()
        from memoryd_cli.main import command_line, parts_for

        with contextlib.redirect_stdout(said), contextlib.suppress(typer.Exit):
            command_line(parts_for(shlex.split(line)))([*shlex.split(line), "--json"], standalone_mode=False)
        return json.loads(said.getvalue())

    def _sign(self, asset: str) -> None:
        copy = self.place / "signed.png"
        self._command(f"disclose {asset} --out {copy}")
        verdict = self._command(f"verify {copy}")
        if "development" not in verdict:
            raise DemoFailed("the signed copy was not verified as signed by the development certificate")

    def _submit(self) -> str:
        graph = self.place / "lighthouse.json"
        graph.write_text(json.dumps(TXT2IMG))
        job = self._json(f"submit {graph} --wait")
        say(f"$ memoryd submit {graph.name} --wait")
        say(f"  job {job['id']}: {job['state']}")
        assets = [output["asset_id"] for output in (job["result"] or {}).get("outputs", [])]
        if not assets:
            raise DemoFailed(f"the job recorded no picture: {job}", hint="memoryd jobs list")
        self._command(f"show {assets[0]}", shown=8)
        return str(assets[0])

    def _make_again(self, asset: str) -> str:
        said = self._command(f"reproduce {asset} --wait")
        if "identical file" not in said:
            raise DemoFailed(
                "the verdict is not *identical file*", hint="memoryd reproduce ASSET --wait --json tells why"
            )
        return said.partition("memoryd receipt get ")[2].split()[0]

    def _prove(self, asset: str, attempt: str) -> None:
        receipt, original = self.place / "receipt.json", self.place / "original.png"
        self._command(f"receipt get {attempt} -o {receipt}")
        self._command(f"reproduce {asset} --save {original}")
        self._command(f"receipt verify {receipt} --original {original}")

    def _report(self, asset: str) -> None:
        report = self.place / "report"
        self._command(f"report {asset} --html --out {report}")
        self._command(f"report verify {report}.json")

    def _clear(self, asset: str) -> None:
        self._command(
            f"clearance check {asset} --use advertising --territory DE", ends_with=EXIT_CODES[Verdict.UNKNOWN.value]
        )

    def _list_materials(self, asset: str) -> None:
        bill = self.place / "bill.cdx.json"
        self._command(f"bom {asset} --out {bill}")
        self._command(f"bom check {bill}")

    def _stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self.home.exists():
            Cluster(self.home).destroy()
        shutil.rmtree(self.place, ignore_errors=True)


def _distinct(files: list[Path]) -> int:
    return len({path.read_bytes() for path in files})


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _took_too_long(*_: object) -> NoReturn:
    raise DemoFailed(
        f"it takes longer than {DEMO_LIMIT_S} s", hint="run it again, or step by step with `memoryd up FOLDER`"
    )


@contextlib.contextmanager
def _busy(what: str) -> Iterator[None]:
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        yield
