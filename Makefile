# One door to every check. Each target is one readable command; none needs more than git, make and Python 3.11.
.PHONY: demo test soak lint bench docs clean help

VENV := .venv
BIN := $(VENV)/bin

help:
	@echo "make demo   a real application ramps a good release and rolls a bad one back (about a minute)"
	@echo "make test   every promise, with coverage"
	@echo "make soak   the promises that name a size, at that size (tens of minutes)"
	@echo "make lint   ruff, mypy --strict, pyright, the law of floors"
	@echo "make bench  speed as ratios against a floor measured in the same run"
	@echo "make docs   the documentation, into docs/_build"

demo: $(VENV)/.demo
	@$(BIN)/python -m progflags demo

test: $(VENV)/.tests
	@$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term tests

soak: $(VENV)/.tests
	@PROGFLAGS_SOAK=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m sized tests

lint: $(VENV)/.lint
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

$(VENV)/.demo: pyproject.toml tools/install
	@tools/install $(VENV) ".[demo]"
	@touch $@

$(VENV)/.tests: pyproject.toml tools/install
	@tools/install $(VENV) ".[all]" tests
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/xxhash3 "xxhash>=3.4,<4"  # buckets must be the same under both majors
	@touch $@

$(VENV)/.lint: pyproject.toml tools/install
	@tools/install $(VENV) ".[all]" tests lint
	@touch $@

$(VENV)/.bench: pyproject.toml tools/install
	@tools/install $(VENV) ".[all]" tests bench
	@touch $@

$(VENV)/.docs: pyproject.toml tools/install
	@tools/install $(VENV) ".[all]" docs
	@touch $@

clean:
	rm -rf $(VENV) docs/_build .coverage* .hypothesis .mypy_cache .ruff_cache
