"""What loading a pickle would run: told by the names it imports and calls.

Source: picklescan and fickling, lists of dangerous modules; torch/_weights_only_unpickler.py, what plain weights need.
"""

from __future__ import annotations

from collections.abc import Iterator

from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.weights.torch_files import TorchHeader

SHOWN_LIMIT = 10
"""Names that a finding shows."""
NAME_LIMIT = 120

_HARMLESS_MODULES = frozenset({"torch", "torch.storage", "torch.cuda", "torch.nn.parameter", "torch.serialization"})
_HARMLESS_SUFFIXES = ("Storage", "Tensor", "Parameter", "Size", "device", "dtype", "float16", "float32", "bfloat16")
_HARMLESS = frozenset(
    {
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.Counter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_qtensor",
        "torch._tensor._rebuild_from_type_v2",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "numpy.dtype",
        "numpy.ndarray",
        "_codecs.encode",
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "argparse.Namespace",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "datetime.datetime",
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
        "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint",
        *(
            f"{module}.{name}"
            for module in ("builtins", "__builtin__")
            for name in ("dict", "list", "set", "frozenset", "tuple", "int", "float", "str", "bytes", "bytearray",
                         "bool", "complex", "slice", "range", "object", "unicode", "long")
        ),
    }
)  # fmt: skip
"""What weights are made of."""

_DANGEROUS_MODULES = frozenset(
    {
        "os", "posix", "nt", "sys", "subprocess", "socket", "shutil", "builtins", "__builtin__", "importlib", "runpy",
        "pty", "ctypes", "commands", "webbrowser", "pickle", "_pickle", "cPickle", "pip", "pdb", "bdb", "asyncio",
        "code", "codeop", "timeit", "cProfile", "profile", "trace", "httplib", "http", "urllib", "urllib2", "requests",
        "aiohttp", "httpx", "operator", "functools", "marshal", "types", "signal", "multiprocessing", "threading",
        "tempfile", "platform", "getpass", "pydoc", "venv", "ensurepip", "zipimport", "pkgutil", "site", "io", "_io",
        "smtplib", "ftplib", "telnetlib", "imaplib", "dill", "cloudpickle", "joblib", "bytes", "doctest", "idlelib",
        "lib2to3", "distutils", "setuptools", "uuid", "ssl", "logging", "?", "copyreg extension",
    }
)  # fmt: skip
"""First parts of modules that nothing in a model file has any use for."""


def code_findings(header: TorchHeader) -> Iterator[Finding]:
    """Yield findings about what loading would run.

    `model-executes-code`: a module that only an attack needs, or a function that is no part of weights is called;
    `model-imports-code`: classes of some program are needed, whose own code loading would run.
    """
    if header.broken is not None:
        yield Finding(code=header.broken.slug, detail=header.broken.detail, where="header")
    strange = {name for name in header.imported if not _is_harmless(name)}
    running = {
        name for name in strange if name.partition(".")[0] in _DANGEROUS_MODULES or name in header.called
    }  # fmt: skip
    if "?" in header.called:
        running.add("?")
    if running:
        detail = f"loading it would run {_shown(running)}: do not load it; ask where it came from"
        yield Finding(code="model-executes-code", detail=detail, where="pickle")
    if strange - running:
        detail = f"loading it would import {_shown(strange - running)}: weights alone need none of that"
        yield Finding(code="model-imports-code", detail=detail, where="pickle")


def _is_harmless(name: str) -> bool:
    module, _, last = name.rpartition(".")
    return name in _HARMLESS or (module in _HARMLESS_MODULES and last.endswith(_HARMLESS_SUFFIXES))


def _shown(names: set[str]) -> str:
    ordered = sorted(names)
    told = ", ".join(storable(name)[0][:NAME_LIMIT] for name in ordered[:SHOWN_LIMIT])
    return told if len(ordered) <= SHOWN_LIMIT else f"{told} and {len(ordered) - SHOWN_LIMIT} more"
