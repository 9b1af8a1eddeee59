"""Sound: its duration and rates, and a picture of its waveform. Decoded by libsndfile: WAV, FLAC, MP3, Ogg, Opus."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.imaging.derived import Derived, Traits
from memoryd.imaging.recipes import Part
from memoryd.imaging.thumbnails import small_pictures

DECODED_SECONDS_LIMIT = 3_600.0
"""Of longer sound the waveform shows the first hour."""
CHANNELS_LIMIT = 64

_WIDTH, _HEIGHT = 1024, 256
_BLOCK = 1 << 16
_INK, _PAPER = (96, 165, 250), (17, 24, 39)


class NoSoundReader(Exception):
    """The library that decodes sound is not installed."""


def derive_sound(file: BinaryIO, parts: frozenset[Part]) -> Derived:
    """Return what is wanted of sound; what cannot be derived is a finding. Raises: NoSoundReader, OSError, MemoryError."""
    try:
        import soundfile  # type: ignore[import-untyped]
    except (ImportError, OSError):
        raise NoSoundReader from None
    try:
        with soundfile.SoundFile(file) as sound:
            if not 0 < sound.channels <= CHANNELS_LIMIT or sound.samplerate <= 0:
                detail = f"{sound.channels} channels; CHANNELS_LIMIT is {CHANNELS_LIMIT}"
                return Derived(findings=(Finding(code="not-decodable", detail=detail),))
            peaks, heard = _peaks(sound) if Part.THUMBNAIL in parts else (None, 0)
            frames = sound.frames if 0 < sound.frames < 2**62 else heard
            traits = Traits(
                duration=frames / sound.samplerate if frames else None,
                sample_rate=sound.samplerate,
                channels=sound.channels,
            )
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        reason = storable(str(error))[0][:200]
        return Derived(findings=(Finding(code="not-decodable", detail=f"the sound cannot be decoded: {reason}"),))
    return Derived(pictures=() if peaks is None else small_pictures(_drawn(peaks)), traits=traits)


def _peaks(sound: Any) -> tuple[NDArray[np.float32], int]:
    """Return the loudest and lowest sample of each column of the picture, and how many samples were heard."""
    limit = int(DECODED_SECONDS_LIMIT * sound.samplerate)
    whole = min(sound.frames if 0 < sound.frames < 2**62 else limit, limit)
    column = max(1, -(-whole // _WIDTH))
    peaks = np.zeros((_WIDTH, 2), dtype=np.float32)
    heard = 0
    while heard < whole:
        block = sound.read(min(_BLOCK, whole - heard), dtype="float32", always_2d=True)
        if not len(block):
            break
        mono = np.nan_to_num(block.mean(axis=1))
        columns = np.minimum((np.arange(heard, heard + len(mono)) // column), _WIDTH - 1)
        np.maximum.at(peaks[:, 0], columns, mono)
        np.minimum.at(peaks[:, 1], columns, mono)
        heard += len(mono)
    return np.clip(peaks, -1.0, 1.0), heard


def _drawn(peaks: NDArray[np.float32]) -> Image.Image:
    middle = (_HEIGHT - 1) / 2
    rows = np.arange(_HEIGHT)[:, None]
    top, bottom = middle - peaks[:, 0] * middle - 0.5, middle - peaks[:, 1] * middle + 0.5
    inked = (rows >= top[None, :]) & (rows <= bottom[None, :])
    return Image.fromarray(np.where(inked[..., None], np.array(_INK), np.array(_PAPER)).astype(np.uint8))
