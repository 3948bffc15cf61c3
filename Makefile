# Everything one does with this checkout. `make try` and `make test` do their own set-up; see CONTRIBUTING.md.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: help try run-deps venv dev check quick lint types test test-system soak mutants bench learn lock package release clean

VENV := .venv/bin
UV ?= uv

help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

try: run-deps venv ## ask this machine a few real questions (ASK="..." asks yours)
	@packaging/try $(if $(ASK),"$$ASK")
export ASK

run-deps:
	@packaging/system-packages run

venv: ## make .venv with what running takes
	@packaging/venv runtime

dev: ## make .venv with what testing takes
	@packaging/system-packages test
	@packaging/venv dev

check: dev lint types ## lint, format, types, layout and paper: in seconds
	@$(VENV)/python -m pytest tests/test_architecture.py tests/test_paper.py

quick: dev ## the tests that need no booted machine
	@tests/readable $(VENV)/python -m pytest tests/unit tests/daemon tests/sandbox tests/test_architecture.py tests/test_paper.py

lint:
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .

types:
	@$(VENV)/mypy

test: dev ## every test, the booted systemd included
	@tests/readable $(VENV)/python -m tests.whole

test-system: dev ## the tests on a booted systemd alone
	@tests/readable $(VENV)/python -m tests.whole system

soak: dev ## long fuzzing, fault loops, a real model server (LiteLLM, 740 MB)
	@AIOS_FUZZ_SECONDS=$${AIOS_FUZZ_SECONDS:-600} tests/readable $(VENV)/python -m pytest -m soak tests

mutants: dev ## take out each defence in turn and print the test that notices (rows: M="A1 B3")
	@$(VENV)/python -m tests.mutants $(M)

bench: dev ## measure against floors and rivals, side by side
	@$(VENV)/python -m bench

learn: dev ## learn anew how questions are put, after a change of the built-in model's data
	@$(VENV)/python -m aiosd.model.builtin.learn

lock: ## resolve the locked dependencies anew (needs uv)
	@cd requirements && for kind in build runtime dev; do $(UV) pip compile --universal --python-version 3.11 \
	    --no-emit-index-url --generate-hashes --quiet --custom-compile-command "make lock" $$kind.in -o $$kind.lock; done

package: ## build the Arch package of HEAD in build/package
	@packaging/makepkg-here

release: ## make a release of HEAD in dist: package, sdist, wheel, checksums (KEY=... signs)
	@packaging/release $(KEY)

clean: ## remove what was made here
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find aiosd tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
