#!/usr/bin/env bash
# Makes .venv with everything for this machine: the GPU build of vLLM where a GPU is found, the CPU build elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
pip=(.venv/bin/python -m pip --disable-pip-version-check)
quiet=(--quiet --progress-bar off)

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' ||
    { echo "capgen needs Python 3.11 to 3.13; name one with PYTHON=..." >&2; exit 2; }
[ -x .venv/bin/python ] || "$python" -m venv .venv
"${pip[@]}" install "${quiet[@]}" 'pip==26.3'

# Exact versions where they are known; elsewhere the ranges of pyproject.toml.
pinned=()
pin() {
    if [ "$(uname -sm)" = 'Linux x86_64' ] && .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        pinned=(--constraint "scripts/constraints/$1-py311.txt")
    fi
}

if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then
    pin gpu
    echo "GPU found: installing capgen with vLLM for GPUs"
    "${pip[@]}" install "${quiet[@]}" "${pinned[@]}" --editable '.[vllm,dev]'
else
    echo "no GPU found: installing capgen with vLLM for the CPU (about 4 GB, two to three minutes)"
    torch='torch==2.13.0+cpu'
    pin cpu
    "${pip[@]}" install "${quiet[@]}" "$torch" 2>/dev/null ||
        "${pip[@]}" install "${quiet[@]}" --extra-index-url https://download.pytorch.org/whl/cpu "$torch"
    "${pip[@]}" install "${quiet[@]}" "${pinned[@]}" --editable '.[cpu,dev]'
    # vLLM pulls these three in as CUDA builds, which fail at import beside a CPU torch, and transformers with them.
    # Without them transformers falls back to its PIL image processors, which is all that capgen needs. The tests of
    # Qwen3-VL need torchvision's Python part: it is kept aside, out of everybody else's way.
    if ! .venv/bin/python -c 'import torchvision' 2>/dev/null; then
        version="$(.venv/bin/python -c 'from importlib.metadata import version; print(version("torchvision"))' 2>/dev/null || true)"
        "${pip[@]}" uninstall --quiet --yes torchvision torchaudio torchcodec
        [ -z "$version" ] || [ -d .venv/share/torchvision ] ||
            "${pip[@]}" install "${quiet[@]}" --no-deps --target .venv/share/torchvision "torchvision==$version"
    fi
fi
# The benchmarks' baselines. Without their dependencies: lvis asks for opencv-python, which clashes with the headless build.
"${pip[@]}" install "${quiet[@]}" --no-deps 'lvis==0.5.3' 'trackeval==1.3.0' 'datasketch==2.0.0' 'rensa==0.5.0' 'tabulate==0.10.0'
.venv/bin/capgen --version
touch .venv/.ready
