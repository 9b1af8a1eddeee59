from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memoryd.outpost import spool as spooling
from memoryd.outpost.spool import Face, OutpostRunsAlready, Spool, SpoolUnusable, Step

FACE = Face(size=3, mtime_ns=5)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "state" / "spool.sqlite")


def test_what_was_put_is_there_after_a_new_start(tmp_path: Path, spool: Spool) -> None:
    spool.put("a.png", FACE, "aa", b"{}")
    spool.keep_setting("root", "r")
    spool.close()
    again = Spool(tmp_path / "state" / "spool.sqlite")
    assert [letter.path for letter in again.waiting(Step.FACTS, 10)] == ["a.png"]
    assert again.faces() == {"a.png": FACE}
    assert again.setting("root") == "r"


def test_one_process_holds_it(tmp_path: Path, spool: Spool) -> None:
    with pytest.raises(OutpostRunsAlready):
        Spool(tmp_path / "state" / "spool.sqlite")
    spool.close()
    Spool(tmp_path / "state" / "spool.sqlite").close()


def test_a_later_state_of_a_file_takes_the_earlier_ones_place(spool: Spool) -> None:
    spool.put("a.png", FACE, "aa", b"1")
    (old,) = spool.waiting(Step.FACTS, 10)
    spool.put("a.png", Face(size=4, mtime_ns=6), "bb", b"2")
    # The answer to the earlier one came late: the later one still waits.
    spool.delivered([old])
    assert [letter.sha256 for letter in spool.waiting(Step.FACTS, 10)] == ["bb"]
    assert spool.counts().sent == 0


def test_a_letter_whose_bytes_are_wanted_waits_on(spool: Spool) -> None:
    spool.put("a.png", FACE, "aa", b"{}")
    (letter,) = spool.waiting(Step.FACTS, 10)
    spool.delivered([letter], {letter.id})
    assert spool.waiting(Step.FACTS, 10) == []
    (wanted,) = spool.waiting(Step.BYTES, 10)
    spool.delivered([wanted])
    assert (spool.counts().waiting, spool.counts().sent) == (0, 1)


def test_what_is_gone_is_told_after_its_facts(spool: Spool) -> None:
    spool.put("a.png", FACE, "aa", b"{}")
    spool.put_gone(["a.png", "b.png"])
    assert spool.gone(10) == ["b.png"]
    spool.delivered(spool.waiting(Step.FACTS, 10))
    assert spool.gone(10) == ["a.png", "b.png"]
    spool.told_gone(["a.png", "b.png"])
    assert spool.gone(10) == []


def test_a_file_that_came_back_is_not_told_gone(spool: Spool) -> None:
    spool.put_gone(["a.png"])
    spool.put("a.png", FACE, "aa", b"{}")
    spool.delivered(spool.waiting(Step.FACTS, 10))
    assert spool.gone(10) == []


def test_it_is_bounded(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "SPOOL_LIMIT", 10)
    spool.put("a.png", FACE, "aa", b"12345")
    assert not spool.is_full()
    spool.put("b.png", FACE, "bb", b"12345")
    assert spool.is_full()


def test_a_damaged_spool_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(SpoolUnusable):
        Spool(tmp_path / "spool.sqlite")


_WRITER = """
import sys
from pathlib import Path
from memoryd.outpost.spool import Face, Spool, Step
spool = Spool(Path(sys.argv[1]))
known = spool.faces()
for n in range(len(known), 100_000):
    spool.put(f"{n}.png", Face(size=n, mtime_ns=n), str(n), b"x" * 2000)
    print(n, flush=True)
    if n % 3 == 0:
        done = spool.waiting(Step.FACTS, 1)
        spool.delivered(done)
        print("sent", done[0].path, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    place = tmp_path / "spool.sqlite"
    chance = random.Random(7)
    put: set[str] = set()
    sent: set[str] = set()
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(place)], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]
        time.sleep(chance.uniform(0.0, 0.1))
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.read().split("\n")
        writer.wait()
        writer.stdout.close()
        for line in lines:
            # The last line may have been cut off by the kill: then nobody was told.
            word, _, rest = line.strip().partition(" ")
            if word == "sent" and rest.endswith(".png"):
                sent.add(rest)
            elif word.isdigit():
                put.add(f"{word}.png")
    spool = Spool(place)
    waiting = {letter.path for letter in spool.waiting(Step.FACTS, 100_000)}
    known = spool.faces()
    whole = {path for path in put if path in known}
    assert len(put - whole) <= 6  # a number that was cut off in the middle is another number
    assert waiting | (known.keys() - waiting) == known.keys()
    assert not waiting & sent
    assert len(waiting) + spool.counts().sent == len(known)
    assert sorted(known) == sorted(f"{n}.png" for n in range(len(known)))
    assert spool.counts().refused == 0
