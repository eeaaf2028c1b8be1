# Every verb of the command line, and the developers' own. `make` alone prints the lines that begin with
# "#:", `make help-dev` those with "#!"; a test holds them against the verbs and variables.
#: make predict REGION=demo       maps the simulated landscape, nothing else needed
#:
#: Verbs, in the order of the flow (each runs from what the one before it stored):
#:   regions       show REGION, or list the names
#:   plan          say what a run will need, and its price
#:   scenes        find the scenes of REGION and SEASON in SOURCE
#:   composite     blend them into cloud-free blocks
#:   featurize     compute the features of every cell
#:   dataset       join features with LABELS to a training table
#:   train         train and register models (runs whatever is missing before it)
#:   predict       map REGION with MODEL (runs whatever is missing, up to the report)
#:   join          join the predictions with known sites
#:   publish       write the styled map and the inspection list
#:   report        write the page that explains it
#:   evaluate      compare the map with what is known to be true
#:   explain       rebuild one CELL from its scenes
#:   sample        draw cells to label in QGIS (DISCLOSURE=restricted)
#:   area          areas with intervals from the labelled SAMPLE
#:   monitor       what changed between the seasons FROM and TO
#:   context       list the context layers and check their files
#:   models        compare the registered models
#:   tune          judge settings of bank and model on the archive CHIPS (models/tuning.csv)
#:   status        how far the last run of REGION has come
#:   submit        hand REGION to Slurm
#:   demo          write the simulated landscape
#:   notebooks     run the four notebooks and write their pages (data/processed/notebooks)
#:   install       the environment alone, in .venv; install-l1c: with what clouds of L1C imagery need
#: and in .venv/bin/asm-atlas: catalogue, score, features export, hash
#:
#: Variables:
#:   REGION         a name (make regions), a GeoJSON or GeoPackage file, bbox:w,s,e,n
#:   SEASON         months of the images, YYYY-MM..YYYY-MM
#:   SOURCE         planetary-computer, earth-search, copernicus, an address, a folder
#:   COLLECTION     of a STAC API
#:   BANDS          to composite, such as B04,B03,B02,VV
#:   MAX_CLOUD      scenes of more cloud (%) are left out
#:   FAILED_SCENES  stop or mark: what a scene that cannot be read does
#:   LABELS         what is known of mines: visits or polygons
#:   MODEL          a registered model; auto: the nearest one that fits
#:   PREVALENCE     share of cells with mining in the region
#:   DISCLOSURE     public or restricted
#:   MAP_LANG       en or fr
#:   WORKSPACE      a folder, or s3://bucket/prefix
#:   CLUSTER        local, slurm, none, or the address of a Dask scheduler
#:   WORKERS        of the local cluster; 0: one per core
#:   PDF            publish: field sheets of so many candidates (QGIS)
#:   CELL           explain: longitude,latitude, or the cell's number
#:   SIZE           sample: cells to draw
#:   SAMPLE         area: the labelled GeoPackage
#:   FROM           monitor: the first season
#:   TO             monitor: the last season
#:   EVERY          monitor: year or quarter: seasons between too
#:   RERUN          monitor: yes: every season that is kept once more, with this model
#:   CHIPS          tune: folder of an archive of chips
#:   TUNE           tune: more options, such as "--easy SUBSET"
#:   CORE_HOUR      plan: price of an hour of a core
#:   GB_READ        plan: price of reading a gigabyte
#:   GB_MONTH       plan: price of keeping a gigabyte for a month
#: make help-all lists every variable, make help-dev what developers need.
#: make itself ends with 2 whatever went wrong; the codes that say what come from .venv/bin/asm-atlas
#! Developers' verbs:
#!   install-dev    the environment with what the others need
#!   test           lint, and the tests: network blocked, warnings are errors
#!   lint           ruff, mypy and the direction of imports
#!   interface      opens what we make in real QGIS and a real browser
#!   services       real STAC servers, a real database, nginx and an S3 endpoint
#!   cluster        a real Slurm and a real object store on this machine
#!   africa         the commands of docs/africa.md on real visits
#!   demo-check     the demo from end to end against its marks
#!   faults         a thousand faults injected into the reading of imagery
#!   kills          kill -9 while it publishes, KILLS times
#!   chaos          kill -9 of workers, scheduler and driver, KILLS times, KILLS_S3 in a bucket
#!   hostile        hostile files through every door
#!   bench          the kernels and the ridge against other ways (installs torch)
#!   bench-imagery  the reading of imagery against odc-stac and stackstac
#!   bench-region   a region from catalogue to features against mosaiks
#!   bench-scale    240,000 blocks without their pixels
#!   bench-workers  the demo's blocks with one worker and with two
#!   clean          takes away what the stages stored, maps too
#! CONTRIBUTING.md says what each needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# A variable of make may run a shell command when it is expanded: look at the raw text, and hand the
# value on through the environment only, never through a recipe's text. These are all the keys of the
# configuration (docs/reference.md; a test compares the two).
VARIABLES := REGION MODEL SOURCE COLLECTION BANDS SEASON HOSTS CLUSTER DISCLOSURE MAP_LANG \
  WORKSPACE LABELS LABELS_MAPPING LAYERS REMOVALS SEARCHED INSPECTIONS USE_SAMPLE PRIOR \
  RANDOM_PLACES SEED WORKERS LOG MAX_CLOUD BLEND SCL_UNCLEAR CLOUD_DILATION FAILED_SCENES \
  READ_TRIES READ_SECONDS READ_TIMEOUT BACKOFF VERIFY_MIB CONNECTIONS LABEL_COLUMN POSITIVE_SHARE \
  MAX_BLOCKS MIN_OBSERVED PREVALENCE FILTERS PATCHES CONTEXT RECIPE FEATURE_TYPE VISIT_YEARS \
  DEVICE SLURM_PARTITION SLURM_ACCOUNT SLURM_WALLTIME SLURM_CORES SLURM_MEMORY SLURM_JOBS \
  SLURM_INTERFACE SLURM_PRIVATE_NETWORK SLURM_DIRECTIVES SLURM_DRIVER_WALLTIME SLURM_DRIVER_MEMORY \
  TLS_CA TLS_CERT TLS_KEY MIRROR PLAIN_HTTP S3_PROFILE
$(foreach name,$(VARIABLES),$(if $(findstring $$,$(value $(name))),$(error $(name) must not hold a dollar sign)))
$(foreach name,$(VARIABLES),$(if $(value $(name)),$(eval export ASM_ATLAS_$(name) := $$(value $(name)))))
# Options of single verbs, handed on the same way.
OPTIONS := SIZE CELL SAMPLE CHIPS TUNE PDF KILLS KILLS_S3 FROM TO EVERY RERUN CORE_HOUR GB_READ GB_MONTH
$(foreach name,$(OPTIONS),$(if $(findstring $$,$(value $(name))),$(error $(name) must not hold a dollar sign)))
$(foreach name,$(OPTIONS),$(if $(value $(name)),$(eval export $(name) := $$(value $(name)))))
# make takes any name without a word: a slip would map something else than was asked for.
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
unknown := $(filter-out $(VARIABLES) $(OPTIONS) PYTHON VENV MAKEFLAGS MFLAGS MAKEOVERRIDES -%,$(given))
$(if $(unknown),$(error no variable is called $(unknown): make alone lists those that there are))

# The first process compiles what it imports, every later one finds it compiled. Compiling the whole
# environment at install would take longer than the demo.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ATLAS := $(BIN)/asm-atlas
STAGES := regions scenes composite featurize dataset train predict join publish report
BESIDE := evaluate models demo context status submit
DEVELOPERS := test lint interface services cluster africa faults kills chaos hostile demo-check bench bench-imagery bench-region bench-scale bench-workers clean

.PHONY: help help-all help-dev install install-dev install-l1c $(STAGES) $(BESIDE) plan explain sample area monitor tune notebooks $(DEVELOPERS)

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

help-dev:
	@sed -n 's/^#! \{0,1\}//p' Makefile

# Every key of the configuration, from the page that is made from the code.
help-all: help
	@awk -F' [|] ' '/^### .\[/ { gsub(/[`# ]/, "") ; print "\n" $$0 } \
	  /^[|] `/ { gsub(/[|`]/, "", $$1) ; gsub(/[.]/, "_", $$1) ; sub(/[.]( .*|$$)/, "", $$3) ; gsub(/`/, "", $$3) ; \
	  printf "  %-24s%s\n", toupper(substr($$1, 2)), $$3 }' docs/reference.md

# The environment: uv where it is at hand, else venv and pip; every file checked against its hash.
install: $(VENV)/installed
install-dev: $(VENV)/installed-dev
install-l1c: $(VENV)/installed-l1c

define install_from
	@{ if command -v uv > /dev/null; then \
	  uv venv --quiet --allow-existing --python 3.11 $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) && \
	  PYTHONWARNINGS=ignore uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $(1) && \
	  PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi ; } || { echo "make: installing into $(VENV) failed, for the reason above. It needs Python 3.11 (PYTHON=python3.11)," \
	  "and PyPI over the network, or a mirror or proxy that pip is told of (PIP_INDEX_URL, HTTPS_PROXY)." >&2 ; exit 1 ; }
	@touch $@
endef

$(VENV)/installed: requirements.txt pyproject.toml
	@echo "Installing what requirements.txt lists from PyPI into $(VENV), once ..."
	$(call install_from,requirements.txt)

# Clouds of Sentinel-2 L1C imagery need more packages than L2A.
$(VENV)/installed-l1c: requirements-l1c.txt pyproject.toml
	@echo "Installing what requirements-l1c.txt lists from PyPI into $(VENV), once ..."
	$(call install_from,requirements-l1c.txt)
	@touch $(VENV)/installed

$(VENV)/installed-dev: requirements-dev.txt pyproject.toml
	@echo "Installing what requirements-dev.txt lists from PyPI into $(VENV), once ..."
	$(call install_from,requirements-dev.txt)
	@touch $(VENV)/installed

$(VENV)/installed-notebooks: requirements-notebooks.txt pyproject.toml
	@echo "Installing what requirements-notebooks.txt lists from PyPI into $(VENV), once ..."
	$(call install_from,requirements-notebooks.txt)
	@touch $(VENV)/installed

$(filter-out publish,$(STAGES)) $(BESIDE): install
	@$(ATLAS) $@

# What a verb cannot do without: its variable, and an example.
comma := ,
needs = [ -n "$${$(1):-}" ] || { echo "make: $(1) is missing, for example: make $@ $(2)" >&2 ; exit 2 ; }

plan: install
	@$(ATLAS) plan $${CORE_HOUR:+--core-hour "$$CORE_HOUR"} $${GB_READ:+--gb-read "$$GB_READ"} \
	  $${GB_MONTH:+--gb-month "$$GB_MONTH"}

publish: install
	@$(ATLAS) publish $${PDF:+--pdf "$$PDF"}

explain: install
	@$(call needs,CELL,REGION=demo CELL=5.8675$(comma)2.2825)
	@$(ATLAS) explain --cell "$$CELL"

sample: install
	@$(ATLAS) sample $${SIZE:+--size "$$SIZE"}

area: install
	@$(call needs,SAMPLE,SAMPLE=sample.gpkg)
	@$(ATLAS) area "$$SAMPLE"

# RERUN=yes: every season kept is made anew with this model.
monitor: install
	@$(call needs,FROM,REGION=ituri FROM=2023-12..2024-02 TO=2024-12..2025-02)
	@$(call needs,TO,REGION=ituri FROM=2023-12..2024-02 TO=2024-12..2025-02)
	@$(ATLAS) monitor --from "$$FROM" --to "$$TO" $${EVERY:+--every "$$EVERY"} $${RERUN:+--rerun}

# TUNE: more options, such as "--without SUBSET --weight SUBSET=3 --easy SUBSET".
tune: install
	@$(call needs,CHIPS,CHIPS=folder$(comma) a folder with chips.npz and chips.csv)
	@read -ra more <<< "$${TUNE:-}"; $(ATLAS) tune --chips "$$CHIPS" --out models/tuning.csv "$${more[@]}"

# On the demo, or on REGION with SOURCE, SEASON, LABELS, MODEL, DISCLOSURE; pages and executed notebooks
# go beside the maps.
NOTEBOOKS := data/processed/notebooks
notebooks: $(VENV)/installed-notebooks
	@mkdir -p $(NOTEBOOKS)/.ipython/profile_default
	@echo "c.IPKernelApp.log_level = 40" > $(NOTEBOOKS)/.ipython/profile_default/ipython_kernel_config.py
	@export IPYTHONDIR=$(abspath $(NOTEBOOKS))/.ipython; given=(); for key in REGION SEASON SOURCE LABELS MODEL WORKSPACE DISCLOSURE; do \
	  name=ASM_ATLAS_$$key; [ -z "$${!name:-}" ] || given+=(-r "$${key,,}" "$${!name}"); unset $$name; done; \
	for book in notebooks/*.ipynb; do \
	  $(BIN)/papermill --log-level WARNING "$${given[@]}" $$book $(NOTEBOOKS)/$${book##*/}; \
	done; \
	$(BIN)/jupyter nbconvert --log-level ERROR --to html $(NOTEBOOKS)/*.ipynb

test: install-dev lint
	@$(BIN)/python -m pytest -q -n 2

lint: install-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Against real QGIS and a real browser; skipped with a reason where they are not installed.
interface: install-dev
	@$(BIN)/python -m pytest -q tests/interface

# Against real STAC servers, a real database, nginx and an S3 endpoint, the Python ones in an
# environment of their own; skipped with a reason where Debian's packages are not installed.
SERVERS := .venv-services
$(SERVERS)/installed: tests/services/requirements.txt
	@echo "Installing the servers that the tests talk to into $(SERVERS) ..."
	@if command -v uv > /dev/null; then \
	  uv venv --quiet --allow-existing --python 3.11 $(SERVERS) && \
	  uv pip install --quiet --python $(SERVERS)/bin/python --require-hashes -r $< ; \
	else \
	  $(PYTHON) -m venv $(SERVERS) && \
	  $(SERVERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $< ; \
	fi
	@touch $@

services: install-dev $(SERVERS)/installed
	@$(BIN)/python -m pytest -q -rs tests/services

# The commands of docs/africa.md on real visits, with simulated scenes from servers here.
africa: install-dev
	@$(BIN)/python -m pytest -q -s -rs tests/africa

# The demo from end to end against its marks, in a workspace of its own.
demo-check: install-dev
	@$(BIN)/python -m pytest -q -s tests/demo

# The reading of imagery against odc-stac and stackstac, in an environment of its own; needs nginx.
bench-imagery:
	@test -x .venv-bench/bin/python || { echo "Installing tests/benchmarks/requirements.txt into .venv-bench ..." && \
	  $(PYTHON) -m venv .venv-bench && .venv-bench/bin/python -m pip install --quiet \
	  --disable-pip-version-check --require-hashes -r tests/benchmarks/requirements.txt ; }
	@.venv-bench/bin/python tests/benchmarks/reading.py

# A region from catalogue to features against IDinsight/mosaiks, in an environment of its own, with torch.
bench-region: install-dev
	@test -x .venv-region/bin/python || { echo "Installing mosaiks and what it needs into .venv-region ..." && \
	  $(PYTHON) -m venv .venv-region && .venv-region/bin/python -m pip install --quiet torch && \
	  .venv-region/bin/python -m pip install --quiet --require-hashes -r tests/benchmarks/region.txt && \
	  .venv-region/bin/python -m pip install --quiet --require-hashes --no-deps -r tests/benchmarks/region-peer.txt ; }
	@$(BIN)/python tests/benchmarks/region.py .venv-region/bin/python

# A thousand faults injected into the reading of imagery; minutes, no network.
faults: install-dev
	@$(BIN)/python tests/faults/run.py

# kill -9 while it publishes (KILLS=200 for many); hostile files through every door. Minutes each.
kills: install-dev
	@$(BIN)/python tests/faults/kills.py --kills $${KILLS:-20}

hostile: install-dev
	@$(BIN)/python tests/faults/hostile.py

# Real Slurm and a real object store on this machine (Debian packages slurm-wlm, munge; ceph-mon,
# ceph-osd, radosgw, ceph-common); skipped with a reason without them.
cluster: install-dev
	@$(BIN)/python -m pytest -q -rs tests/cluster

# kill -9 of workers, scheduler and driver while a region is mapped (KILLS=200 for many), then of some
# with the workspace in a bucket of a real store here (KILLS_S3; skipped without Debian's Ceph).
chaos: install-dev
	@$(BIN)/python tests/cluster/chaos.py --kills $${KILLS:-8}
	@$(BIN)/python tests/cluster/chaos.py --kills $${KILLS_S3:-4} --workspace s3

# 240,000 blocks without their pixels: what a block costs the scheduler, and its memory.
bench-scale: install-dev
	@$(BIN)/python tests/benchmarks/scale.py

# The demo's blocks with one worker and with two, on a machine with nothing else to do.
bench-workers: install-dev
	@$(BIN)/python tests/benchmarks/workers.py

# The kernels and the ridge against other ways; installs torch (docs/benchmarks.md).
bench: install-dev
	@$(BIN)/python -c "import torch" 2> /dev/null || { echo "Installing torch into $(VENV) ..." && \
	  PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[bench]' ; }
	@$(BIN)/python tests/benchmarks/run.py

clean:
	rm -rf data/interim data/processed data/raw/demo
