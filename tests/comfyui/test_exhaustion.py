"""Memory that ran out is recognised in everybody's words, and nothing else is."""

from __future__ import annotations

import pytest

from memoryd.comfyui.exhaustion import tells_of_exhaustion


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        ("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of …"),
        ("torch.cuda.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory. (out of memory)"),
        ("torch.OutOfMemoryError", "Allocation on device \nThis error means you ran out of memory on your GPU."),
        ("OutOfMemoryError", "HIP out of memory."),
        ("RuntimeError", "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        ("torch.AcceleratorError", "CUDA error: out of memory"),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 18.00 GB, …)"),
        ("RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        (
            "RuntimeError",
            "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried …",
        ),
        ("RuntimeError", "DefaultCPUAllocator: not enough memory: you tried to allocate 34359738368 bytes."),
        ("MemoryError", ""),
        ("numpy._core._exceptions._ArrayMemoryError", "Unable to allocate 48.0 GiB for an array with shape …"),
    ],
)
def test_memory_that_ran_out_is_recognised(exception: str, message: str) -> None:
    assert tells_of_exhaustion(exception, message)


@pytest.mark.parametrize(
    ("exception", "message"),
    [
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (77x768 and 2048x640)"),
        ("ValueError", "a prompt about memory"),
        ("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered"),
    ],
)
def test_other_failures_are_not_taken_for_it(exception: str, message: str) -> None:
    assert not tells_of_exhaustion(exception, message)
