# Short names for what is written out elsewhere; nothing needs make.
.PHONY: setup test slow coverage cuda lint types docs docs-check bench ci soak fuzz

setup:  ## a virtual environment with everything for development
	python3 -m venv .venv
	.venv/bin/pip install -q -e ".[dev]"
	.venv/bin/pre-commit install

test:  ## the quick tests
	.venv/bin/python -m pytest

slow:  ## the others
	.venv/bin/python -m pytest -m slow

coverage:  ## of lines, the Numba kernels included: they also run as plain Python
	.venv/bin/python -m pytest -q --cov --cov-report=
	NUMBA_DISABLE_JIT=1 .venv/bin/python -m pytest -q --cov --cov-append --cov-report= -W "ignore::RuntimeWarning" \
	    tests/kernels/test_kernels_parity.py tests/small_parts/test_augmentation.py
	.venv/bin/coverage report --fail-under=95 --omit="kernels/cuda/*"

cuda:  ## the cuda backend's tests, in the simulator where there is no GPU; needs pip install -e ".[cuda]"
	NUMBA_ENABLE_CUDASIM=1 .venv/bin/python -m pytest -m cuda

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types:
	.venv/bin/mypy

docs:  ## the site, in docs/_build/html; every warning is an error
	.venv/bin/sphinx-build -W --keep-going -b html docs docs/_build/html

docs-check:  ## examples in docstrings and documents run, links lead somewhere
	.venv/bin/python -m pytest tests/project/test_docs.py -m "slow or not slow"

fuzz:  ## 200,000 mutated inputs for every reader of files, about an hour; 300 of each are among the quick tests
	.venv/bin/python tests/fuzz/run.py --save

soak:  ## half an hour of what may go wrong in the long run: kills, Ctrl-C, 60,000 steps, threads, processes
	PYTHONPATH=tests .venv/bin/python -m soak --save

PYTHON = .venv/bin/python
bench:  ## everything that is measured, with records, and the page on it; needs pip install -e ".[bench]"
	for mode in training inference latency teaching; do $(PYTHON) benchmarks/compare.py --mode $$mode --save || exit; done
	$(PYTHON) benchmarks/kernels.py --save
	$(PYTHON) benchmarks/memory.py --save
	$(PYTHON) benchmarks/scaling.py --save
	$(PYTHON) benchmarks/startup.py --save
	$(PYTHON) benchmarks/report.py

ci:  ## all of it, in a fresh copy
	.ci/run
