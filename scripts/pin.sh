#!/usr/bin/env bash
# Resolve what setup.py asks for, on every supported Python, into requirements/pins.txt. Run after changing setup.py.
set -euo pipefail
cd "$(dirname "$0")/.."
{
  echo "# Exact versions for Python 3.10 to 3.13, made by scripts/pin.sh from setup.py. Do not edit."
  UV_PYTHON_DOWNLOADS=never .venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
    --all-extras setup.py
} > requirements/pins.txt.new
mv requirements/pins.txt.new requirements/pins.txt
