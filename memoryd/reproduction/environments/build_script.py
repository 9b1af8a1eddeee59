"""The texts of an export that do not differ from one environment to the other. Braces are doubled: they are filled in."""

BUILD = r"""#!/bin/bash
# Builds environment {sha256} in a folder: ./build.sh TARGET
# PYTHON=python3.x            the Python to build with
# USE_PYTHON=/a/venv/bin/python   take this one as it is: nothing is installed
# SPECIAL_INDEX=url           where builds of torch with a local version come from; empty: where pip looks anyhow
# COMFYUI_SOURCE=folder-or-url    where ComfyUI comes from
# ALLOW_MISSING=1             go on without packs whose sources cannot be had
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
target=${{1:?"usage: ./build.sh TARGET"}}
mkdir -p "$target"
target=$(cd "$target" && pwd)
wanted='{python}'
commit='{commit}'
stop() {{ echo "build.sh: $*" >&2; exit 1; }}

# --- Python and its packages
if [ -n "${{USE_PYTHON:-}}" ]; then
  mkdir -p "$target/venv/bin"
  printf '#!/bin/sh\nexec %q "$@"\n' "$USE_PYTHON" > "$target/venv/bin/python"
  chmod +x "$target/venv/bin/python"
else
  python=${{PYTHON:-python${{wanted%.*}}}}
  command -v "$python" > /dev/null || stop "there is no $python: name Python $wanted with PYTHON=..."
  found=$("$python" -c 'import platform; print(platform.python_version())')
  [ -z "$wanted" ] || [ "$found" = "$wanted" ] || [ -n "${{ANY_PYTHON:-}}" ] ||
    stop "$python is $found, it was $wanted: name that with PYTHON=..., or set ANY_PYTHON=1 and differ in this"
  "$python" -m venv "$target/venv"
  install() {{ "$target/venv/bin/python" -m pip install --disable-pip-version-check --no-deps "$@" ||
    stop "a package cannot be had: name its index with PIP_EXTRA_INDEX_URL, or a folder with PIP_FIND_LINKS"; }}
  # Builds with a local version are not on PyPI: each from its own index (SPECIAL_INDEX= asks only those that pip knows).
  special() {{
    local index=${{SPECIAL_INDEX-${{2:-}}}}
    install ${{index:+--extra-index-url "$index"}} "$1"
  }}
  {builds}
  install -r "$here/lock.txt"
  # What the venv brought and was not there goes; pip itself last.
  (cd "$target" && venv/bin/python - "$here/lock.txt" <<'END'
import re, subprocess, sys
from importlib.metadata import distributions
plain = lambda name: re.sub(r"[-_.]+", "-", name).lower()
locked = {{plain(line.split("==")[0]) for line in open(sys.argv[1]) if "==" in line and not line.startswith(("#", "-"))}}
more = sorted({{plain(found.metadata["Name"]) for found in distributions()}} - locked, key=lambda name: name == "pip")
if locked and more:
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "-y", *more], check=True)
END
  )
fi

# --- ComfyUI
comfyui="$target/ComfyUI"
source=${{COMFYUI_SOURCE:-}}
if [ ! -e "$comfyui" ]; then
  if [ -n "$source" ] && [ -d "$source" ] && [ ! -d "$source/.git" ]; then
    mkdir "$comfyui"
    tar -C "$source" --exclude=./models --exclude=./output --exclude=./input --exclude=./temp --exclude=./user \
      --exclude=__pycache__ --exclude='./custom_nodes/*/*' -cf - . | tar -C "$comfyui" -xf -
    mkdir -p "$comfyui/models" "$comfyui/input" "$comfyui/output"
    find "$comfyui/custom_nodes" -mindepth 1 -maxdepth 1 -type d -empty -delete
  else
    [ -n "$commit" ] || [ -n "$source" ] ||
      stop "which commit ComfyUI {version} was at is not known: name its folder with COMFYUI_SOURCE=..."
    git clone --no-checkout "${{source:-{comfyui}}}" "$comfyui"
    git -C "$comfyui" checkout --quiet --detach "${{commit:-HEAD}}"
  fi
fi

# --- node packs
missing() {{
  [ -n "${{ALLOW_MISSING:-}}" ] ||
    stop "pack $1: neither its address and commit nor its sources are known (ALLOW_MISSING=1 goes on)"
  echo "build.sh: without pack $1" >&2
}}
unpack() {{ tar -C "$2" --no-same-owner -xf "$here/$1"; }}
# pack NAME ADDRESS COMMIT ARCHIVE CHANGED
pack() {{
  local place="$comfyui/custom_nodes/$1"
  [ ! -e "$place" ] || return 0   # ComfyUI brings it, or it was built before
  if [ -n "$2" ] && [ -n "$3" ] && [ -z "${{NO_NETWORK:-}}" ] && git clone --quiet --no-checkout "$2" "$place"; then
    git -C "$place" checkout --quiet --detach "$3"
    [ -z "$5" ] || [ -z "$4" ] || unpack "$4" "$place"
    [ -z "$5" ] || [ -n "$4" ] || echo "build.sh: pack $1 was changed after its commit: the changes are not here" >&2
  elif [ -n "$4" ]; then
    rm -rf "$place"
    case "$1" in *.py) unpack "$4" "$comfyui/custom_nodes"; return 0 ;; esac
    mkdir -p "$place"
    unpack "$4" "$place"
    if [ -n "$3" ] && [ -z "$5" ]; then
      # Its history is not here; that its files are those of this commit is known by their hash.
      git -C "$place" init --quiet
      git -C "$place" add --force --all
      [ -z "$2" ] || git -C "$place" config remote.origin.url "$2"
      echo "$3" > "$place/.git/HEAD"
    fi
  else
    missing "$1"
  fi
}}
{packs}

[ "$here" = "$target" ] || cp "$here/variables.sh" "$here/start.sh" "$target/"
chmod +x "$target/start.sh"
echo "$target/start.sh starts it"
"""

START = r"""#!/bin/bash
# Starts ComfyUI with the variables and flags that it had; further flags (ports, folders) may follow.
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
. "$here/variables.sh"
cd "$here/ComfyUI"
exec ../venv/bin/python main.py {flags} "$@"
"""

DOCKERFILE = """FROM python:{python}-slim
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /environment
COPY . .
{note}ARG COMFYUI_SOURCE=
RUN PYTHON=python3 COMFYUI_SOURCE=${{COMFYUI_SOURCE:-$([ ! -d comfyui-source ] || echo /environment/comfyui-source)}} \\
    bash ./build.sh /opt/environment
EXPOSE 8188
ENTRYPOINT ["/opt/environment/start.sh", "--listen", "0.0.0.0"]
"""
