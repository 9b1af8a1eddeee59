"""Midjourney: a description that ends in its options and its job's id; file names with the job's id and the place in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memoryd.plugin_api.facts import FileTexts, NamedInput, Pass, Polarity, Recipe, Said
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.spoken import free_texts, texts_under
from memoryd_ingest_plugins.dialects.xmp import packets_of, property_of

PLACE_IN_GRID = "place in grid"

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_JOB = re.compile(rf"\bJob ID: ({_UUID})\s*$", re.IGNORECASE)
_NAME = re.compile(rf"(?:(?P<who>[^_]+)_)?(?P<words>.*_)?(?P<job>{_UUID})(?:_(?P<index>[0-3]))?", re.IGNORECASE)
_OPTION = re.compile(r"(?:^|\s)(?:--|\u2014|\u2013)([a-z]+)(?=\s|$)", re.IGNORECASE)
_URL = re.compile(r"<?(https?://[^\s>]+)>?")
_OWN = frozenset(
    (
        *("ar", "aspect", "v", "version", "niji", "s", "stylize", "style", "c", "chaos", "q", "quality", "iw", "sref"),
        *("cref", "oref", "ow", "cw", "sw", "weird", "w", "tile", "seed", "no", "stop", "repeat", "r", "video", "raw"),
        *("profile", "p", "personalize", "fast", "relax", "turbo", "draft", "hd", "uplight", "upbeta", "test", "testp"),
        *("motion", "loop", "end", "bs", "exp", "stealth", "public", "creative", "sameseed", "beta", "upanime"),
    )
)


class Midjourney:
    """Understands Midjourney."""

    name = "midjourney"
    version = "1"
    rank = 15

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the description says; the name alone gives job and place in the grid, never a prompt."""
        for index, text in _descriptions(file):
            job = _JOB.search(text)
            options = list(_OPTION.finditer(text))
            own = [option for option in options if option[1].lower() in _OWN]
            if job is None and not (own and _by_its_name(file)):
                continue
            return self._recipe(file, text[: job.start()] if job else text, job[1] if job else None, (index,))
        if _by_its_name(file) is not None and file.name.count("_") >= 2:
            return self._recipe(file, "", None, ())
        return None

    def _recipe(self, file: FileTexts, text: str, job: str | None, claimed: tuple[int, ...]) -> Recipe:
        words, options = _parts(text)
        named = _by_its_name(file)
        job = job or (named["job"].lower() if named else None)
        place = named["index"] if named else None
        settings = [(f"--{name}", value) for name, value in options]
        links = []
        if job is not None:
            settings.append(("job", job))
            # The grid and the pictures cut from it are of one job.
            links.append(("grid", job))
        if place is not None:
            settings.append((PLACE_IN_GRID, place))
        given = dict(reversed(options))
        version = values.word(given.get("v") or given.get("version"))
        if version is None and (niji := values.word(given.get("niji"))):
            version = f"niji {niji}"
        seed = values.whole(given.get("seed"))
        texts = []
        if words:
            texts.append(Said(place="Description", polarity=Polarity.POSITIVE, text=words))
        if unwanted := values.text(given.get("no")):
            texts.append(Said(place="--no", polarity=Polarity.NEGATIVE, text=unwanted))
        return Recipe(
            dialect=self.name,
            version=self.version,
            tool="midjourney",
            tool_version=version,
            generated=True if claimed else None,
            passes=(Pass(place="Description", seed=seed, final=True),) if seed is not None else (),
            texts=tuple(texts),
            inputs=tuple(NamedInput(place="Description", name=url) for url in _URL.findall(text)),
            settings=tuple(settings),
            links=tuple(links),
            made_at=next((values.when(written) for _, written in texts_under(file, "creation time")), None),
            claimed=claimed,
        )


def _descriptions(file: FileTexts) -> Iterator[tuple[int, str]]:
    yield from texts_under(file, "description")
    yield from free_texts(file)
    for index, packet in packets_of(file):
        if described := property_of(packet, "description"):
            yield index, described


def _by_its_name(file: FileTexts) -> re.Match[str] | None:
    found = _NAME.fullmatch(file.name.rpartition(".")[0])
    return found if found is not None and found["words"] else None


def _parts(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The words of a prompt, without pictures and options; the options in order, without their dashes."""
    found = [option for option in _OPTION.finditer(text) if option[1].lower() in _OWN]
    words = text[: found[0].start()] if found else text
    options = []
    for index, option in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(text)
        options.append((option[1].lower(), text[option.end() : end].strip()))
    return _URL.sub("", words).strip(), options


dialect = Midjourney()
