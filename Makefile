PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo

.PHONY: demo test check lint format docs

demo: $(READY)
	$(BIN)/rl-depth sweep demo --out $(DEMO)/runs
	$(BIN)/rl-depth compare $(DEMO)/runs --out $(DEMO)/report
	$(BIN)/rl-depth render $(addprefix $(DEMO)/runs/,stacked-depth1 stacked-depth8 looped-depth8) --episodes 3 --gif \
	  --out $(DEMO)/report
	$(BIN)/rl-depth thresholds $(DEMO)/runs --out $(DEMO)/report
	$(BIN)/rl-depth report $(DEMO) --out $(DEMO)/report
	@echo "Report folder: $(DEMO)/report"
	@echo "  index.html                 all of it in one page: findings, charts, videos, runs; needs no network"
	@echo "  compare.png, compare.csv   learning curves and table"
	@echo "  thresholds.png             success, time at goal and distance by depth, with their verdicts"
	@echo "  rollout.mp4, rollout.gif   agents of depth 1 and 8 side by side"
	@echo "  rollout.html               the same episodes to turn and zoom in a browser"
	@echo "  figures/, data/            figures as PNG and PDF, numbers as CSV and JSON"

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup

check: lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check --python $(VENV)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs site
	@echo "site/index.html"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rl_depth needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot create virtual environments: install the Debian package python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
