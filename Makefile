# What `make` can do here; `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python

# passed through to `capgen run`
run_flags = $(if $(OUT),--out "$(OUT)") $(if $(MODEL),--model "$(MODEL)") $(if $(GPUS),--gpus $(GPUS)) $(if $(LIMIT),--limit $(LIMIT)) $(ARGS)

# every program of benchmarks/ and its folders, but gpu/check, which needs a GPU: make gpu-check
benchmarks = $(subst /,.,$(basename $(filter-out %/__init__.py %/common.py %/gpu/check.py,$(wildcard benchmarks/*.py benchmarks/*/*.py))))

.PHONY: help setup lviscap lv-viscap predict test test-engines test-machines check docs bench gpu-check clean

help: ## this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  with lviscap and lv-viscap: LVIS_ROOT=… LVVIS_ROOT=… MODEL=… GPUS=… OUT=… LIMIT=…"

setup: .venv/.ready ## .venv with everything for this machine

.venv/.ready: pyproject.toml scripts/setup.sh
	@scripts/setup.sh

lviscap: .venv/.ready ## caption LVIS images (LVIS_ROOT=…), or the sample world's where no root is given
	@.venv/bin/capgen run $(if $(LVIS_ROOT),--dataset lvis --root "$(LVIS_ROOT)",--dataset sample-images) $(run_flags)

lv-viscap: .venv/.ready ## caption LV-VIS videos (LVVIS_ROOT=…), or the sample world's where no root is given
	@.venv/bin/capgen run $(if $(LVVIS_ROOT),--dataset lv-vis --root "$(LVVIS_ROOT)",--dataset sample-videos) $(run_flags)

predict: .venv/.ready ## MaskCaptioner on a video, a folder of frames or a picture (INPUT=…), or on a video of the sample world
	@$(if $(INPUT),true,[ -d out/film ] || .venv/bin/capgen sample out/film --images 1 --videos 3 --seed 7)
	@.venv/bin/capgen predict "$(or $(INPUT),out/film/lv-vis/train/JPEGImages/00001)" --model "$(or $(MODEL),sample)" --out "$(or $(OUT),out/predict)" $(ARGS)

test: .venv/.ready ## the test suite, fast tests first (ARGS=… for a part of it)
ifdef ARGS
	$(PY) -m pytest $(ARGS)
else
	@failed=0; \
	$(PY) -m pytest -n 2 --dist loadfile -m "not ray and not vllm" || failed=1; \
	$(PY) -m pytest -m "ray or vllm" || failed=1; \
	exit $$failed
endif

test-engines: .venv/.ready ## further real engines: a server, a judge, tiny models of three families
	$(PY) -m pytest -m engines

test-machines: .venv/.ready ## a Ray cluster of several machines made of namespaces; needs the right to make them
	$(PY) -m pytest -m machines

docs: .venv/.ready ## the documents as a site in out/site; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet
	@echo "out/site/index.html; with search: $(PY) -m http.server --directory out/site"

check: .venv/.ready ## lint, types, import layers, house rules, licences of dependencies, dead links in documents
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) scripts/check_house.py
	$(PY) scripts/check_licenses.py
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet

bench: .venv/.ready ## the benchmarks; results in benchmarks/results/
	@for name in $(benchmarks); do echo "== $$name"; $(PY) -m $$name || exit 1; done

gpu-check: .venv/.ready ## what this machine's GPU does, in under ten minutes; result in benchmarks/results/gpu_check.json
	$(PY) -m benchmarks.gpu.check $(ARGS)

clean: ## remove .venv and out/
	rm -rf .venv out
