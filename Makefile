SHELL := /bin/bash
.DEFAULT_GOAL := help

# make demo ARGS="--seed 3 --depth"; make test ARGS="-m slow"; make setup TORCH_BACKEND=cpu (see scripts/setup.sh)
ARGS ?=
# Processes of the test suite: one more than cores, since tests over DDS wait much of their time. Each takes up to 2 GB of memory.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 4)))
export TORCH_BACKEND

.PHONY: help setup demo test docs scoreboard lint lint-style lint-types doctor interfaces clean distclean

help:
	@echo "make setup     virtual environment, pinned packages, ROS interfaces (once; later runs start at once)"
	@echo "make demo      robot cell + perception over ROS 2, writes out/demo/report.html; ARGS='--seed 3 --depth'"
	@echo "make test      tests; ARGS='-m slow' for the slow ones, WORKERS=1 for one process"
	@echo "make scoreboard  all engines and baselines on the held-out scenes, writes docs/scoreboard.md (an hour or more; resumable)"
	@echo "make docs      the site with the API reference, into build/site"
	@echo "make lint      format, lint (both: make lint-style) and types (make lint-types)"
	@echo "make doctor    check the installation"
	@echo "make clean     remove build results; make distclean also the virtual environment"

setup:
	@scripts/setup.sh

demo: setup
	@source activate.sh && python -m pan3d_tools.demo $(ARGS)

test: setup
	@# The suite starts many processes: they read compiled modules, also where the environment asks not to write any.
	@source activate.sh && PYTHONDONTWRITEBYTECODE= python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Packages of the site are installed once; nothing else is fetched.
docs: setup
	@source activate.sh && python -c "import material, mkdocstrings_handlers.python" 2>/dev/null \
	  || .venv/bin/uv pip install --python .venv/bin/python -c requirements/pins.txt -e ".[docs]"
	@source activate.sh && NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict && echo "build/site/index.html"

scoreboard: setup
	@source activate.sh && pan3d scoreboard $(ARGS)

lint: lint-style lint-types

lint-style: setup
	@source activate.sh && python -m ruff format --check . && python -m ruff check .

lint-types: setup
	@source activate.sh && python -m mypy

doctor: setup
	@source activate.sh && pan3d doctor

clean:
	rm -rf build dist install log out .pytest_cache .ruff_cache .mypy_cache *.egg-info .venv/.pan3d/interfaces

distclean: clean
	rm -rf .venv
