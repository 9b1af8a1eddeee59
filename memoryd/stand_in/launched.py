"""The stand-in behind ComfyUI's own command line: a folder whose `main.py` calls `main` can be launched like a ComfyUI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from memoryd.stand_in.serving import Options, serve


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGINT or SIGTERM, told where to listen and to write as ComfyUI is; flags that do not matter are ignored.

    Source: ComfyUI 0.29, comfy/cli_args.py; temporary files lie in `temp` below the folder that is named for them.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="main.py", allow_abbrev=False)
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8188)
    for name in ("--output-directory", "--input-directory", "--temp-directory"):
        parser.add_argument(name, type=Path)
    asked, _ = parser.parse_known_args(given)
    models = Path(sys.argv[0]).absolute().parent / "models"
    options = Options(
        host=asked.listen,
        port=asked.port,
        output=asked.output_directory,
        input=asked.input_directory,
        temp=asked.temp_directory / "temp" if asked.temp_directory is not None else None,
        models=models if models.is_dir() else None,
        argv=("main.py", *given),
    )
    serve(options, announce=lambda url: print(f"To see the GUI go to: {url}", flush=True))
