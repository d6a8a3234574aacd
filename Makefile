# One door to every check. Each target is one readable command; none needs more than git, make and Python 3.11.
.PHONY: demo test coverage soak lint bench bench-page simulate docs floors pythons foreign release clean help

# Tests start hundreds of interpreters, and each would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin

help:
	@echo "make demo   a real application ramps a good release and rolls a bad one back (about a minute)"
	@echo "make test   every promise"
	@echo "make coverage   the same, counting which lines they run (twice as long)"
	@echo "make soak   the promises that name a size, at that size (an hour and more)"
	@echo "make lint   ruff, mypy --strict, pyright, the law of floors"
	@echo "make bench  speed as ratios against a floor measured in the same run"
	@echo "make bench-page   those of the page about speed, twice, and the page with its plots (a quarter of an hour; a quiet machine)"
	@echo "make simulate   what the statistics page says, measured: users and means (a quarter of an hour of processor), then whole rollouts and the watch (hours)"
	@echo "make floors   a smaller set of tests on the oldest versions declared"
	@echo "make pythons  a smaller set of tests on Python 3.12 and 3.13, where they are installed"
	@echo "make foreign  other projects' own tests, with our middleware in place and without (needs the network once)"
	@echo "make docs   the documentation, into docs/_build"
	@echo "make release  wheel, sdist and SBOM of what is committed, built twice and checked, into dist/; nothing is uploaded"

demo: $(VENV)/.demo
	@$(BIN)/python -m progflags demo

test: $(VENV)/.tests
	@$(BIN)/python -m pytest -n 3 --dist worksteal tests

coverage: $(VENV)/.tests
	@$(BIN)/python -m pytest -n 3 --dist worksteal --cov --cov-report=term tests

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

bench-page: $(VENV)/.bench
	@$(BIN)/python -m benchmarks --html

simulate: $(VENV)/.bench
	@$(BIN)/python -m benchmarks.simulate

floors: $(VENV)/.tests
	@$(BIN)/python tools/floors $(VENV)-floors
	@$(VENV)-floors/bin/python -m pytest -q -n 2 --dist worksteal -W default \
		tests/flags tests/testing tests/contrib tests/doors tests/canary/test_names.py \
		$(addprefix tests/telemetry/test_,metrics.py logging.py events.py again.py shadows.py names.py) \
		tests/store/test_servers.py::test_a_silent_server_is_given_up

pythons: $(VENV)/.tests
	@tools/pythons tests/flags tests/testing tests/doors tests/contrib/test_openfeature.py tests/darklaunch/test_lifecycle.py

foreign: $(VENV)/.tests
	@$(BIN)/python tools/foreign

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

release: $(VENV)/.release
	@$(BIN)/python tools/release

$(VENV)/.demo: pyproject.toml tools/install
	@tools/install $(VENV) ".[demo]"
	@touch $@

$(VENV)/.tests: pyproject.toml tools/install tools/older
	@tools/install $(VENV) ".[all]" tests docs
	@tools/older $(VENV)
	@touch $@

$(VENV)/.lint: pyproject.toml tools/install
	@tools/install $(VENV) ".[all]" tests lint
	@touch $@

$(VENV)/.bench: pyproject.toml tools/install
	@tools/install $(VENV) ".[all]" tests bench
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target $(VENV)/gbstats "gbstats>=0.8,<0.9"  # beside ours, for it asks for an older numpy; simulated without its package where it can't be had
	@touch $@

$(VENV)/.docs: pyproject.toml tools/install
	@tools/install $(VENV) ".[all]" docs
	@touch $@

$(VENV)/.release: pyproject.toml tools/install
	@tools/install $(VENV) . release
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-* .foreign dist docs/_build .coverage* .hypothesis .mypy_cache .ruff_cache
