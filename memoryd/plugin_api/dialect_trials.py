"""Trials that every dialect must pass, shipped so that a dialect's author can run them.

    from memoryd.plugin_api.dialect_trials import DialectTrials

    class TestMyDialect(DialectTrials):
        dialect = my_dialect
        spoken = [FileTexts(carriers=(Carrier(place="png:tEXt", key="parameters", raw=b"..."),))]

Run with pytest. Pytest itself is not imported: each trial is a plain method with assertions.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import ClassVar

from memoryd.plugin_api.dialects import Dialect, discover_dialects
from memoryd.plugin_api.facts import Carrier, FileTexts, Recipe

_MUTATIONS = 60
"""Mutated copies of each file that are tried."""

_STRANGE = (b"", b"\x00", b"{", b"[]", b'"{}"', b"\xff\xfe\x00", b"null", b'{"prompt": 5}', b"Steps: ", b"[" * 5_000)

_NOBODY_S: tuple[FileTexts, ...] = (
    FileTexts(carriers=()),
    FileTexts(carriers=(Carrier(place="png:iTXt", key="Comment", raw=b"Created with GIMP"),), name="IMG_0001.png"),
    FileTexts(
        carriers=(
            Carrier(place="jpeg:exif", key="Make", raw=b"Canon"),
            Carrier(place="jpeg:exif", key="Model", raw=b"Canon EOS R5"),
            Carrier(place="jpeg:exif", key="Software", raw=b"Adobe Photoshop 25.0"),
            Carrier(place="jpeg:exif", key="ImageDescription", raw=b"Our holidays: day 3, with a red car"),
        ),
        name="DSC_0001.jpg",
        media_type="image/jpeg",
    ),
    FileTexts(carriers=(Carrier(place="png:tEXt", key="Description", raw=b"A lighthouse at dusk"),), name="a.png"),
    FileTexts(carriers=(Carrier(place="png:tEXt", key="Software", raw=b"Matplotlib version3.8.0"),), name="plot.png"),
)


class DialectTrials:
    """Subclass it, set `dialect` and `spoken` (at least one file that speaks it)."""

    dialect: ClassVar[Dialect]
    spoken: ClassVar[Sequence[FileTexts]]

    def _recipes(self) -> Iterator[tuple[FileTexts, Recipe]]:
        assert self.spoken, "name at least one file that speaks the dialect"
        for file in self.spoken:
            recipe = self.dialect.understand(file)
            assert recipe is not None, "it does not understand its own"
            yield file, recipe

    def test_it_has_the_members_of_a_dialect(self) -> None:
        """Name and version are words, the rank is a number."""
        assert isinstance(self.dialect, Dialect)
        assert self.dialect.name
        assert self.dialect.name == self.dialect.name.strip().lower()
        assert self.dialect.version
        assert isinstance(self.dialect.rank, int)

    def test_it_is_installed_under_its_name(self) -> None:
        """The entry point leads to it."""
        assert self.dialect.name in {installed.name for installed in discover_dialects().dialects}

    def test_its_recipes_name_it(self) -> None:
        """Dialect, version and tool are said, the carriers it claims are there, and the final pass stands last."""
        for file, recipe in self._recipes():
            assert (recipe.dialect, recipe.version) == (self.dialect.name, self.dialect.version)
            assert recipe.tool == recipe.tool.strip().lower()
            assert all(0 <= index < len(file.carriers) for index in recipe.claimed)
            assert [one.final for one in recipe.passes[:-1]].count(True) == 0
            assert not recipe.passes or recipe.passes[-1].final

    def test_unknown_is_none_and_never_a_placeholder(self) -> None:
        """No seed is negative, no text and no name blank, no step count zero."""
        for _, recipe in self._recipes():
            assert all(one.seed is None or one.seed >= 0 for one in recipe.passes)
            assert all(one.steps is None or one.steps > 0 for one in recipe.passes)
            assert all(one.sampler is None or one.sampler.strip() for one in recipe.passes)
            assert all(said.text.strip() for said in recipe.texts)
            assert all(model.name.strip() and model.role for model in recipe.models)

    def test_it_says_the_same_twice(self) -> None:
        """Understanding keeps no state."""
        for file, recipe in self._recipes():
            assert self.dialect.understand(file) == recipe

    def test_what_nobody_generated_is_not_its_own(self) -> None:
        """Comments of editors, tags of cameras, plain descriptions are left alone."""
        for file in _NOBODY_S:
            assert self.dialect.understand(file) is None, file

    def test_it_never_raises_for_what_a_text_says(self) -> None:
        """Strange and mutated texts under its own keys give a recipe or None."""
        chance = random.Random(self.dialect.name)  # noqa: S311 - repeatable, not secret
        for file, _ in self._recipes():
            for index, carrier in enumerate(file.carriers):
                for raw in (*_STRANGE, *(_mutated(carrier.raw, chance) for _ in range(_MUTATIONS))):
                    carriers = list(file.carriers)
                    carriers[index] = dataclasses.replace(carrier, raw=raw)
                    self.dialect.understand(dataclasses.replace(file, carriers=tuple(carriers)))


def _mutated(raw: bytes, chance: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(chance.randint(1, 8)):
        if not changed:
            break
        place = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place : place + chance.randint(1, 20)]
            case 2:
                changed[place:place] = changed[chance.randrange(len(changed)) :][: chance.randint(1, 30)]
            case _:
                changed[place:place] = chance.choice((b'"', b"{", b"}", b",", b":", b"\x00", b"-1", b"NaN", b"9" * 50))
    return bytes(changed)
