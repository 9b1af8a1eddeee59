"""Every kind of picture made again, over and over, with everything restarted between: each time the identical file."""

from __future__ import annotations

import collections
import statistics
import time
from pathlib import Path

from comfyui import ComfyUI, a_turn
from house import House
from kinds import CACHED, Original, paint_all, read_runs, send_all
from PIL import Image
from telling import IDENTICAL_FILE, IDENTICAL_PIXELS, Telling, first

NEVER_REPEAT = ("video_webm",)
"""Its writer draws a track's number (TrackUID) by chance: it is said to be no workflow that repeats itself."""
HEADER_ALONE = "header-not-compared"
"""A latent's texts come in an order that its writer draws by chance: its numbers are what can be equal."""


def repeat(engine: ComfyUI, house: House, fixtures: Path, runs: int, telling: Telling) -> None:
    """Make the originals, then make them again until there were so many runs."""
    with a_turn():
        told = engine.start()["system"]
        telling.say(f"ComfyUI {told['comfyui_version']}, torch {told['pytorch_version']}, one thread")
        made = _originals(engine, house, fixtures, telling)
        originals = [each for each in made if not each.kind.startswith(NEVER_REPEAT)]
        for each in made:
            if each not in originals:
                attempt = house.make_again(each.sha256)
                told = first(attempt["causes"])
                telling.check(f"{each.kind}: {attempt['verdict']}, {told}", told == "not-deterministic")
        engine.stop()
    seconds: list[float] = []
    outcomes: collections.Counter[str] = collections.Counter()
    rounds = headers = 0
    while sum(outcomes.values()) < runs + headers:
        house.restart(hard=rounds % 2 == 1)
        with a_turn():
            engine.start()
            _ready(house)
            rounds += 1
            for each in originals[: runs + headers - sum(outcomes.values())]:
                began = time.monotonic()
                attempt = house.make_again(each.sha256, tests=False)
                seconds.append(time.monotonic() - began)
                outcomes[attempt["verdict"]] += 1
                if attempt["verdict"] == IDENTICAL_PIXELS and first(attempt["causes"]) == HEADER_ALONE:
                    telling.say(f"-- round {rounds}: {each.kind}: {attempt['verdict']}, {HEADER_ALONE}")
                    headers += 1
                elif attempt["verdict"] != IDENTICAL_FILE:
                    what = f"{attempt['verdict']}: {first(attempt['causes'])} {attempt['causes'][:1]}"
                    telling.check(f"round {rounds}: {each.kind}", False, what)
            engine.stop()
        telling.say(f"-- round {rounds}: {dict(outcomes)}")
    done = sum(outcomes.values())
    telling.check(
        f"{outcomes[IDENTICAL_FILE]} of {done} runs are the identical file ({headers} hold equal values, see latents),"
        f" {len(originals)} files, {rounds} rounds with server and ComfyUI restarted",
        outcomes[IDENTICAL_FILE] + headers == done,
        f"({statistics.median(seconds):.1f} s a run, at most {max(seconds):.1f} s, {sum(seconds):.0f} s in all)",
    )


def _ready(house: House) -> None:
    (worker,) = house.client.get("/workers")["items"]
    house.settled(worker["id"], lambda _: True)


def _originals(engine: ComfyUI, house: House, fixtures: Path, telling: Telling) -> list[Original]:
    house.hire("then", engine.url)
    recorded = read_runs(fixtures)
    originals = paint_all(engine, house, recorded, fixtures, telling.say)
    published = {sha256 for run in recorded for sha256 in run.published.values()}
    same = sum(each.sha256 in published for each in originals)
    telling.say(
        f"-- {len(originals)} files of {len(recorded)} graphs; {same} equal those of the machine that made the fixtures"
    )
    known = len(house.assets())
    basic = next(run for run in recorded if run.name == "txt2img_basic")
    engine.paint(basic.prompt, basic.extra)
    files = engine.paint(basic.prompt, basic.extra, fresh=False)
    telling.check(f"{CACHED}: the same file is named again, and no other is recorded", len(files) == 1)
    originals += send_all(engine, house, recorded)
    telling.check("what jobs made is recorded", len(house.assets()) > known)
    # The file that LoadImage read is overwritten by its next user.
    Image.new("RGB", (64, 64), "red").save(engine.base / "input" / "fox_src.png")
    return originals
