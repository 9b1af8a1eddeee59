"""A picture of where two pictures differ: black where they are equal, the whiter the more."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from memoryd.foundation.canonical_json import Json

LEAST_GREY = 48
"""The grey of the least difference: a single pixel that is off by one has to be seen."""
_WHITE = 255
_COMPRESSION = 1
"""Most of it is black: more work makes it hardly smaller."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DifferencePicture:
    """A PNG (grey, 8 bits, as large as the pictures) and what its greys say.

    `white`: the difference that is drawn white, a share of full scale; the largest one.
    """

    content: bytes
    width: int
    height: int
    white: float

    @property
    def legend(self) -> str:
        """What the greys say, in words; the file's own description."""
        return (
            f"Difference of two pictures. Black: equal. White: {self.white * 255:.4g}/255 of full scale, the largest"
            f" difference here. Between them: grey {LEAST_GREY} to {_WHITE} is 0 to white, even steps."
            " Each pixel shows its most different channel, of all frames."
        )

    def as_json(self) -> dict[str, Json]:
        """What the greys say, as stored and shown beside it."""
        return {
            "width": self.width,
            "height": self.height,
            "white": self.white,
            "least_grey": LEAST_GREY,
            "legend": self.legend,
        }


def draw_difference(where: NDArray[np.float32], white: float) -> DifferencePicture:
    """Return the picture of a map of differences: (height, width), shares of full scale, `white` the largest of them."""
    height, width = where.shape
    greys = (where * np.float32((_WHITE - LEAST_GREY) / white)).round().astype(np.uint8)
    greys[where > 0] += LEAST_GREY
    drawn = DifferencePicture(content=b"", width=width, height=height, white=white)
    told = PngImagePlugin.PngInfo()
    told.add_text("Title", "Difference")
    told.add_text("Description", drawn.legend)
    out = io.BytesIO()
    Image.fromarray(greys).save(out, "PNG", pnginfo=told, compress_level=_COMPRESSION)
    return dataclasses.replace(drawn, content=out.getvalue())
