# Everything runs in .venv, which the first command makes. Needed: make, and Python 3.10 or later with venv.

PYTHON = $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$python && break; done)
IN_VENV = .venv/bin/python

.DELETE_ON_ERROR:
.PHONY: help demo test trials coverage matrix recipes lint bench soak clean

help:
	@echo "make demo     a made-up release, checked, built, loaded, and drawn as contact-sheet.png"
	@echo "make test     the tests, in five minutes"
	@echo "make trials   what is long by nature: kills at every step, all streams, mutated files"
	@echo "make matrix   every way in, on datasets 2.19 to the newest (tox)"
	@echo "make recipes  trainings with the real libraries, in .venv-recipes, which takes 6 GB"
	@echo "make lint     ruff and mypy"
	@echo "make coverage which lines the tests reach, by module"
	@echo "make bench    the benchmarks, at a tenth of the real size"
	@echo "make soak     an hour of random releases, built, interrupted, resumed and damaged"
	@echo "make clean    removes all that these made, but for .venv and .venv-recipes"

$(IN_VENV):
	$(if $(PYTHON),,$(error Python 3.10 or later is needed, found neither python3.11 nor such a python3))
	$(PYTHON) -m venv .venv

# A stamp is as old as the installation. That is a link for each module there is, so others ask for another one.
# -qq because pip warns at length about indexes that hold nothing.
MODULES := $(firstword $(shell ls conversion/*.py conversion/*/*.py | cksum))
TO_USE := .venv/to-use-$(MODULES).stamp
TO_WORK := .venv/to-work-on-$(MODULES).stamp

$(TO_USE): pyproject.toml requirements.txt | $(IN_VENV)
	$(IN_VENV) -m pip install -qq -e '.[look]'
	@touch $@

$(TO_WORK): pyproject.toml requirements.txt requirements-dev.txt | $(IN_VENV)
	$(IN_VENV) -m pip install -qq --no-compile -r requirements-dev.txt
	@touch $@ $(TO_USE)

define LOAD
from datasets import load_dataset

train = load_dataset("celeba_dialog", "hq", split="train")
print(train[0]["file_name"], train[0]["image"].size, train[0]["caption"])
stream = load_dataset("celeba_dialog", "standard", split="train", streaming=True)
print([row["request"] for row in stream][0])
endef
export LOAD
STEP = @printf '\n\043 %s\n'

demo: export PATH := $(CURDIR)/.venv/bin:$(PATH)
demo: export HF_HOME = $(CURDIR)/.cache/huggingface
demo: export HF_DATASETS_DISABLE_PROGRESS_BARS = 1
demo: $(TO_USE)
	$(STEP) "1. A small release as you would download it, with drawn faces"
	celeba-dialog demo demo-release
	$(STEP) "2. What is there, what is missing, what is damaged: the verdict, without the list of files"
	celeba-dialog check demo-release | sed -n 1,3p
	$(STEP) "3. The Parquet folder, which load_dataset reads by its name"
	celeba-dialog build demo-release celeba_dialog
	$(STEP) "4. Rows, from memory and as a stream"
	@echo "$$LOAD"
	@python -c "$$LOAD"
	$(STEP) "5. A picture to look at"
	celeba-dialog preview celeba_dialog contact-sheet.png
	$(STEP) "Now look at contact-sheet.png. Then, with your own download:"
	@echo ". .venv/bin/activate"
	@echo "celeba-dialog check ~/CelebA-Dialog"
	@echo "celeba-dialog build ~/CelebA-Dialog celeba_dialog"

test: $(TO_WORK)
	$(IN_VENV) -m pytest -n auto --dist loadfile

trials: $(TO_WORK)
	$(IN_VENV) -m pytest -n auto --dist loadfile -m trials

coverage: $(TO_WORK)
	$(IN_VENV) -m pytest -n auto --dist loadfile --cov=celeba_dialog --cov=conversion --cov-report=term-missing:skip-covered

# pyenv hides the versions that are not selected; tox is to see them all.
matrix: export PYENV_VERSION = $(shell pyenv versions --bare 2>/dev/null | grep '^3[.]1[0-9]' | paste -sd:)
matrix: $(TO_WORK)
	$(IN_VENV) -m tox run-parallel -p 2 --parallel-no-spinner

# pip and not uv, which does not see the packages that pip is told to find on a disk.
.venv-recipes/stamp: pyproject.toml requirements.txt tests/recipes/requirements.txt
	$(PYTHON) -m venv --clear .venv-recipes
	.venv-recipes/bin/python -m pip install -qq --no-compile -r tests/recipes/requirements.txt
	@touch $@

recipes: .venv-recipes/stamp
	.venv-recipes/bin/python -m pytest -n auto tests/recipes

lint: $(TO_WORK)
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check
	$(IN_VENV) -m mypy

bench: $(TO_WORK)
	$(IN_VENV) -m tests.benchmarks

soak: $(TO_WORK)
	$(IN_VENV) -m tests.soak

clean:
	grep -qs 'This is a demo' celeba_dialog/README.md && rm -rf celeba_dialog || true
	rm -rf demo-release contact-sheet.png .cache .tox .pytest_cache .hypothesis .ruff_cache .mypy_cache .coverage*
