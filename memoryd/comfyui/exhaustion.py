"""Tells from ComfyUI's words whether memory ran out: the GPU's or the machine's, in the words of all versions."""

from __future__ import annotations

_EXCEPTIONS = ("OutOfMemoryError", "OutOfMemory", "MemoryError")
"""What the exception's class ends in: `torch.OutOfMemoryError`, `torch.cuda.OutOfMemoryError` (torch before 2.5), Python's
`MemoryError` and numpy's `_ArrayMemoryError`."""

_WORDS = (
    "out of memory",
    "allocation on device",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
"""What the message contains, in lower case: `CUDA out of memory. Tried to allocate …`, `HIP out of memory`, `MPS backend out
of memory`, `CUDA error: out of memory` (torch.AcceleratorError), `Allocation on device` (cudaMallocAsync, ComfyUI's
default), the CPU allocator's, and two of libraries that say no more.
Source: ComfyUI 0.29 execution.py and model_management.py (`is_oom`), torch's allocators."""


def tells_of_exhaustion(exception: str, message: str) -> bool:
    """Return whether a node's failure says that memory ran out. `exception` is the class's name, with or without module."""
    lowered = message.lower()
    return exception.endswith(_EXCEPTIONS) or any(word in lowered for word in _WORDS)
