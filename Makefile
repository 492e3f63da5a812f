# Two commands to remember: `make lab` to work through the lessons, `make test` to check everything.
# Both build .venv first if it isn't there. `make help` lists the rest.

PYTHON ?= python3
PINS   ?= constraints.txt  # the tested versions; PINS= takes the newest that settings.ini allows (after make clean)
UV     ?= 1                # UV=0 installs with pip
VENV   := .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.installed

.PHONY: help lab test notebooks export web release-check clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

# The stamp is written last and removed first, so that an install that failed never looks finished;
# the next one then starts from nothing. After a change of pins or settings, a finished .venv is brought up to date.
$(DONE): constraints.txt settings.ini setup.py
	@test -e $@ || rm -rf $(VENV)
	@rm -f $@
	$(PYTHON) -m venv $(VENV)
	@cd $(VENV) && export VIRTUAL_ENV="$$PWD" && cd "$(CURDIR)" && \
	if test "$(strip $(UV))" != 0 && $(BIN)/python -m pip install uv; then install="$(BIN)/python -m uv pip install"; \
	else echo "Installing with pip: some minutes"; install="$(BIN)/python -m pip install"; fi && \
	set -x && $$install $(addprefix -c ,$(strip $(PINS))) -e ".[lab,dev,web]"
	@touch $@

# Without a screen, JupyterLab prints its address and opens nothing. ARGS="--port=9000" and the like are handed to it.
ROOT   := $(if $(filter 0,$(shell id -u)),--allow-root)
SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),,--no-browser)
lab: $(DONE) ## open the front page in JupyterLab
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/nbs/00_start.ipynb $(ROOT) $(SCREEN) $(ARGS)

test: $(DONE) ## check everything; ONLY=notebooks one part, LESSON=08 one lesson, ALL=1 nothing sampled
	@ONLY="$(ONLY)" LESSON="$(LESSON)" ALL="$(ALL)" $(BIN)/python -m pytest

notebooks: export ## run the notebooks in place; LESSON=08 only that one, FLAGS="data slow" also the cells so marked
	$(BIN)/python tools/notebooks.py "$(LESSON)" "$(FLAGS)"
	$(BIN)/nbdev_clean

export: $(DONE) ## write course_lib from the notebooks
	$(BIN)/nbdev_export

web: $(DONE) ## build the course as pages: open _docs/index.html
	$(BIN)/python tools/web.py

release-check: $(DONE) ## could it be published as it is? builds, checks and tries both distributions
	$(BIN)/python tools/release.py

clean: ## remove everything that make has built, .venv included
	rm -rf $(VENV) .cache _docs build dist *.egg-info
