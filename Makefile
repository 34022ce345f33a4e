# Everything runs in .venv, which the first command makes. Needed: make, and Python 3.10 or later with venv.

PYTHON = $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$python && break; done)
IN_VENV = .venv/bin/python
RUN = $(IN_VENV) -m conversion

.DELETE_ON_ERROR:
.PHONY: help demo test matrix lint bench soak clean

help:
	@echo "make demo    a made-up release, checked, built, loaded, and drawn as contact-sheet.png"
	@echo "make test    the tests"
	@echo "make matrix  every way in, on datasets 2.19 to the newest (tox)"
	@echo "make lint    ruff"
	@echo "make bench   the benchmarks, at a tenth of the real size"
	@echo "make soak    an hour of random releases, built, interrupted, resumed and damaged"
	@echo "make clean   removes all that these made, but for .venv"

$(IN_VENV):
	$(if $(PYTHON),,$(error Python 3.10 or later is needed, found neither python3.11 nor such a python3))
	$(PYTHON) -m venv .venv

# A stamp is as old as the installation; -qq because pip warns at length about indexes that hold nothing.
.venv/user.stamp: requirements.txt | $(IN_VENV)
	$(IN_VENV) -m pip install -qq -r requirements.txt
	@touch $@

.venv/developer.stamp: requirements.txt requirements-dev.txt | $(IN_VENV)
	$(IN_VENV) -m pip install -qq -r requirements-dev.txt
	@touch $@ .venv/user.stamp

define LOAD
from datasets import load_dataset

train = load_dataset("celeba_dialog", "hq", split="train")
print(train)
print({name: value for name, value in train[0].items() if name != "attributes"})
stream = load_dataset("celeba_dialog", "hq", split="train", streaming=True)
print("streaming:", next(iter(stream))["caption"])
endef
export LOAD

demo: export HF_HOME = $(CURDIR)/.cache/huggingface
demo: .venv/user.stamp
	$(RUN) demo demo-release
	$(RUN) check demo-release || true  # exit status 1: a demo is not the whole release
	$(RUN) build demo-release celeba_dialog --allow-incomplete
	@echo "$$LOAD"
	@$(IN_VENV) -c "$$LOAD"
	$(RUN) preview celeba_dialog contact-sheet.png
	@echo "Now look at contact-sheet.png. With the real release, the same commands without demo and --allow-incomplete."

test: .venv/developer.stamp
	$(IN_VENV) -m pytest

# pyenv hides the versions that are not selected; tox is to see them all.
matrix: export PYENV_VERSION = $(shell pyenv versions --bare 2>/dev/null | grep '^3[.]1[0-9]' | paste -sd:)
matrix: .venv/developer.stamp
	$(IN_VENV) -m tox run-parallel -p 2 --parallel-no-spinner

lint: .venv/developer.stamp
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check

bench: .venv/developer.stamp
	$(IN_VENV) -m tests.benchmarks

soak: .venv/developer.stamp
	$(IN_VENV) -m tests.soak

clean:
	rm -rf demo-release celeba_dialog contact-sheet.png .cache .tox .pytest_cache .hypothesis .ruff_cache
