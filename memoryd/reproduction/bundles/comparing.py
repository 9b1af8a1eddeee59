"""What memoryd itself says of two files whose bytes differ, for runs without a server."""

from __future__ import annotations

from memoryd.foundation.errors import MemorydError
from memoryd.imaging.differences import compare_pixels
from memoryd.reproduction.verdict import Compared, grade


def compare(original: bytes, made: bytes) -> tuple[str, str]:
    """Return the verdict on two files that are not equal, and what was measured."""
    try:
        difference = compare_pixels(original, made)
    except MemorydError as error:
        return "different", f"the files differ, and have no pixels that can be compared: {error.detail}"
    verdict, _ = grade(Compared(difference=difference))
    measures = ", ".join(f"{name} {value}" for name, value in difference.as_json().items() if name != "pixels")
    return verdict.value, measures
