# `make demo` and `make test` need only Python and pip: each makes .venv from the lock file first.
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c "$(FITS)" 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo demo-scratch test test-slow test-ray lint format lock wheel docs clean

$(VENV)/.installed: requirements.lock
	@test "$(PYTHON)" && $(PYTHON) -c "$(FITS)" 2>/dev/null || { echo "Python 3.11, 3.12 or 3.13 with venv is needed: make PYTHON=PATH"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Three minutes: drawn landmarks, a pretrained network, before and after training; PHOTOS=folder does
# it on your own photographs. Opens with runs/demo/index.html (runs/photos-demo).
demo: $(VENV)/.installed
	$(BIN)/python -m darac_tf.commands demo \
		$(if $(PHOTOS),--photos="$(PHOTOS)" --out=runs/photos-demo,--out=runs/demo)

DEMO := runs/demo-scratch
UNTRAINED := ResNet50V2+spoc,ResNet50V2+rmac,ResNet50V2+ramac,ResNet50V2+darac
TRAINED := $(DEMO)/run+spoc,$(DEMO)/run+rmac,$(DEMO)/run+ramac,$(DEMO)/run
DEMO_RESOLUTIONS := 64,96

# Draws landmarks, trains from scratch, measures on classes never trained on, exports, and searches
# with the exported model in a fresh process. The drawn landmarks are kept between runs.
demo-scratch: $(VENV)/.installed
	rm -rf $(DEMO)
	$(BIN)/python train.py --config=demo --data_dir=runs/landmarks --run_dir=$(DEMO)/run
	$(BIN)/python eval.py --descriptors=$(UNTRAINED),$(TRAINED) --backbone_weights=none \
		--dataset=csv --data_dir=$(DEMO)/run/val.csv --resolutions=64 \
		--resolutions=$(DEMO_RESOLUTIONS) --whiten_dataset=csv \
		--whiten_data_dir=$(DEMO)/run/train.csv --whiten_dim=32 \
		--page_queries=4 --pictured_queries=4 --out=$(DEMO)/report
	$(BIN)/python export_savedmodel.py --model=$(DEMO)/run --resolutions=$(DEMO_RESOLUTIONS) \
		--whitening="$$(ls $(DEMO)/report/*run-64-96-whitened.npz)" --out=$(DEMO)/export \
		--verify=$(DEMO)/run/val.csv --verify_images=20
	$(BIN)/python examples/search_with_savedmodel.py $(DEMO)/export/1 \
		$$(tail -n +2 $(DEMO)/run/val.csv | head -n 60 | cut -d, -f1)
	@echo "Tables and pictures: $(DEMO)/report"

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest -m "not slow" --numprocesses=auto --dist=loadfile

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

# Ray on this machine, with parts of it killed; in .ray, so that $(VENV) stays as the lock file says.
test-ray: $(VENV)/.installed
	test -d .ray || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--target=.ray --requirement requirements-ray.txt
	PYTHONPATH=.ray $(BIN)/python -m pytest tests/parts/test_ray.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select=PLW1514 .  # Text files say their encoding.
	$(BIN)/ruff format --check .

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs pip-tools; hashes make the lock file the only source of truth for what is installed.
lock: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --no-header --strip-extras --allow-unsafe --generate-hashes \
		--no-emit-options --extra dev --extra faiss --output-file requirements.lock pyproject.toml

# dist/*.whl, for `pip install`.
wheel: $(VENV)/.installed
	rm -rf build
	$(BIN)/python -m build --wheel --no-isolation

# The documentation as a site, in site/.
docs: $(VENV)/.installed
	$(BIN)/mkdocs build --quiet

clean:
	rm -rf $(VENV) .ray runs build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis
