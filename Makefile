.PHONY: help setup engine demo test check unit bench clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: ## the virtual environment, with everything in it
	@scripts/setup

engine: ## Docker, rclone and a registry on this machine, where absent
	@scripts/install-engine

demo: setup engine ## a run from the workflow file to a machine that is gone, on an emulated AWS (or CLOUD=gcp)
	@scripts/demo

check: setup ## style and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

unit: setup ## the tests that need no Docker
	@.venv/bin/python -m pytest -q tests/unit

bench: setup engine ## how fast it is, beside what others take for the same
	@scripts/bench

test: setup engine check ## every test, the end-to-end ones on emulated machines included
	@scripts/test

clean: ## the emulated clouds and what they left
	@.venv/bin/python -m moto_fixtures down --all
