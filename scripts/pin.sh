#!/usr/bin/env bash
# Resolve what pyproject.toml asks for, on every supported Python, into requirements/pins.txt. Run after changing its dependencies.
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
