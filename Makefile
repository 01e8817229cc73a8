# Needs make 3.81 and Python 3.11, or newer ones; everything else is installed into $(VENV).
# What runs long is one command a line, started by `exec`: so a signal to make reaches it, and nothing is left behind.

PYTHON = python3
VENV = .venv$(addprefix -,$(notdir $(filter-out python3,$(PYTHON))))
DATA = "$${TASKHUB_DATA:-.data}"

# Compiled modules make the second start a quick one.
unexport PYTHONDONTWRITEBYTECODE

# A production that nothing runs in, for the checks of its settings.
SOME_PRODUCTION = TASKHUB_ENV=production TASKHUB_DATA=$(VENV)/check TASKHUB_BASE_URL=https://hub.example.com \
	TASKHUB_SECRET_KEY=not-a-secret-but-long-enough-for-the-checks-of-deployment-0123456789 \
	TASKHUB_CALLBACK_SECRET=whsec_bm90LWEtc2VjcmV0LWJ1dC1sb25nLWVub3VnaA==

.DEFAULT_GOAL = help
.PHONY: help run test check bench chaos

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s%s\n", $$1, $$2 }' Makefile
	@echo '  Another port or interpreter: make run PORT=8001 PYTHON=python3.13'

run: $(VENV)/has-run ## start TaskHub here: dashboard, API and workers
	@test -n "$$TASKHUB_ENV" || { umask 077; mkdir -p $(DATA) && echo development >$(DATA)/environment; }
	@exec $(VENV)/bin/python manage.py hub

test: $(VENV)/has-test ## run all tests
	@exec $(VENV)/bin/python -m pytest $(ARGS)

check: $(VENV)/has-dev ## format, lint, types, import contracts, migrations, deployment
	@exec $(VENV)/bin/ruff format --check .
	@exec $(VENV)/bin/ruff check .
	@exec $(VENV)/bin/mypy
	@exec $(VENV)/bin/lint-imports
	@exec env $(SOME_PRODUCTION) $(VENV)/bin/python manage.py makemigrations --check --dry-run
	@exec env $(SOME_PRODUCTION) $(VENV)/bin/python manage.py check --deploy --fail-level WARNING

bench: $(VENV)/has-bench ## benchmarks, as tables: make bench ARGS=NAME for one
	@exec $(VENV)/bin/python -m benchmarks $(ARGS)

chaos: $(VENV)/has-test ## the full fault matrix
	@exec $(VENV)/bin/python -m pytest tests/chaos tests/model tests/realtime -m chaos $(ARGS)

$(VENV)/has-%: requirements/%.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	'TaskHub needs Python 3.11 or newer, and $(PYTHON) is none: install one and name it, as in: make run PYTHON=python3.13'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	'TaskHub needs the venv module of $(PYTHON): install it, on Debian and Ubuntu with: sudo apt install python3-venv'; exit 1; }
	@echo 'Installing $< into $(VENV). This is done once and may take a minute.'
	@exec $(PYTHON) -m venv $(VENV)
	@exec $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r $<
	@touch $@
