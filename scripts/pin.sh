#!/usr/bin/env bash
# Resolve what pyproject.toml asks for, on every supported Python, into requirements/pins.txt, and what set-up installs of it with the
# hashes of its files into requirements/hashes.txt. Run after changing its dependencies.
# Pins that still fit stay; `scripts/pin.sh --upgrade` takes the newest versions.
set -euo pipefail
cd "$(dirname "$0")/.."
new=requirements/pins.txt.new
cp requirements/pins.txt $new
trap 'rm -f $new' EXIT
UV_PYTHON_DOWNLOADS=never .venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
  --all-extras --output-file $new "$@" pyproject.toml
{
  echo "# Exact versions for Python 3.10 to 3.13, made by scripts/pin.sh from pyproject.toml. Do not edit."
  grep -v '^#' $new
} > requirements/pins.txt
{
  echo "# What set-up installs, each file by its hash, made by scripts/pin.sh. Do not edit."
  UV_PYTHON_DOWNLOADS=never .venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
    --generate-hashes --constraints requirements/pins.txt --extra ros --extra sim --extra text --extra train --extra bags \
    --extra dev pyproject.toml
} > $new
mv $new requirements/hashes.txt
