# Target names follow the DuckDB extension template. Needed beforehand: Rust (rust-toolchain's version or newer), Python 3 with `venv`, make.

PYTHON3 ?= python3
PYTHON := configure/venv/bin/python
ONNXRUNTIME := $(abspath configure/onnxruntime)

# The same variables for every call of cargo: a change of them compiles the crate anew.
export CARGO_TARGET_DIR ?= target
export COFI_ONNXRUNTIME_DIR := $(ONNXRUNTIME)

.DEFAULT_GOAL := help
.PHONY: help configure debug release test test_debug test_release faults fuzz gpu gpu-check gpu-pack report_test lint check demo data bench bench-peers quality seeds clean clean_all

help:  ## say what each target does
	@sed -n 's/^\([a-z_-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

configure: configure/venv/done configure/venv-1.5/done configure/venv-vss/done configure/venv-hosts/done configure/node/done configure/deny/done configure/onnxruntime/done  ## fetch the DuckDB hosts (Python packages) and ONNX Runtime, compile cargo-deny

configure/venv/done: scripts/hosts/duckdb-2.0.txt
configure/venv-1.5/done: scripts/hosts/duckdb-1.5.txt
configure/venv/done configure/venv-1.5/done:
	@echo "configure: a Python environment with $$(head -n 1 $<) in $(@D)"
	@$(PYTHON3) -m venv --clear $(@D) || { echo "configure: python3 -m venv failed; Debian and Ubuntu have it in the package python3-venv"; exit 1; }
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# PyPI has DuckDB's extension vss for some DuckDBs. Without it one test is skipped, and said to be.
configure/venv-vss/done: scripts/hosts/vss.txt
	@echo "configure: a Python environment with DuckDB's extension vss in $(@D)"
	@$(PYTHON3) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $< \
		|| { echo "configure: DuckDB's extension vss cannot be had here"; rm -f $(@D)/bin/python; }
	@touch $@

# Hosts other than Python's DuckDB, and another ONNX Runtime. One that cannot be had is left out; its test is skipped, and said to be.
configure/venv-hosts/done: scripts/hosts/others.txt
	@echo "configure: a Python environment with other hosts of DuckDB in $(@D)"
	@$(PYTHON3) -m venv --clear $(@D)
	@while read -r package; do \
	  $(@D)/bin/python -m pip install --quiet --disable-pip-version-check "$$package" || echo "configure: no $$package here, it is left out"; \
	done < $<
	@touch $@

configure/node/done: scripts/hosts/node/package.json
	@echo "configure: DuckDB for Node in $(@D)"
	@mkdir -p $(@D) && cp $< $(@D)
	@cd $(@D) && npm install --silent --no-audit --no-fund --no-package-lock || { echo "configure: no DuckDB for Node here, it is left out"; rm -rf node_modules; }
	@touch $@

# What checks the licences of crates and the advisories against them: two minutes, once, as it is compiled without optimising. Without it that
# check is skipped, and said to be.
CARGO_DENY := 0.20.2

configure/deny/done:
	@echo "configure: cargo-deny $(CARGO_DENY) in $(@D)"
	@mkdir -p $(@D)
	@CARGO_TARGET_DIR=$(@D)/target CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --debug --locked --version $(CARGO_DENY) --root $(@D) cargo-deny \
	  || echo "configure: no cargo-deny here, it is left out"
	@rm -rf $(@D)/target
	@touch $@

configure/onnxruntime/done: scripts/onnxruntime.py configure/venv/done
	@$(PYTHON) scripts/onnxruntime.py $(ONNXRUNTIME)
	@touch $@

release: configure  ## build/release/cofi.duckdb_extension
	cargo build --release
	@$(PYTHON) scripts/package.py $(CARGO_TARGET_DIR)/release build/release/cofi.duckdb_extension

debug: configure  ## build/debug/cofi.duckdb_extension
	cargo build
	@$(PYTHON) scripts/package.py $(CARGO_TARGET_DIR)/debug build/debug/cofi.duckdb_extension

test: test_release  ## the lints and every test: Rust, SQL and processes, against DuckDB 2.0.0 and 1.5.6

test_release: release  ## the same as test
	@$(PYTHON3) scripts/test.py release

test_debug: debug  ## the same with the debug build
	@$(PYTHON3) scripts/test.py debug

faults: release  ## kills, full disks, eight connections at once, a thousand databases: at most 15 minutes, both DuckDBs side by side
	@$(PYTHON3) scripts/faults.py release

fuzz: release  ## bad input with AddressSanitizer: FUZZ_SECONDS (600) for each of three fuzzers, then every edit of stored tables
	@$(PYTHON3) scripts/fuzz.py

gpu: release  ## not yet run on a GPU: build/gpu: cofi with ONNX Runtime for NVIDIA GPUs and CUDA's libraries, in one folder (2.5 GB)
	@$(PYTHON) scripts/gpu.py build/release/cofi.duckdb_extension build/gpu

# Whether there is a driver at all is looked at before gigabytes are fetched.
gpu-check: release data  ## not yet run on a GPU: on a machine with an NVIDIA GPU: results beside the CPU's, memory, speed beside PyTorch (9 minutes, and 10 GB the first time); without one it says so and fails
	@$(PYTHON) -c "import ctypes; ctypes.CDLL('libcuda.so.1')" 2>/dev/null || { $(PYTHON) scripts/gpu_check/check.py --part look --folder build/release --data data/ml-100k; exit 1; }
	@$(MAKE) --no-print-directory gpu configure/venv-peers/done
	@configure/venv-peers/bin/python scripts/gpu_check/check.py --folder build/gpu --data data/ml-100k --out benches/record

# LEAN=--lean leaves CUDA's libraries to PyTorch's; PIECES=--pieces makes files of at most 60 MB.
gpu-pack: release data  ## not yet run on a GPU: build/gpu-check: the same for a machine with a GPU, PyTorch and no network: copy the folder there and run python3 check.py
	@rm -rf build/gpu-check-libraries
	@$(PYTHON) scripts/gpu.py build/release/cofi.duckdb_extension build/gpu-check-libraries $(LEAN)
	@$(PYTHON) scripts/gpu_pack.py build/gpu-check-libraries build/gpu-check $(PIECES)

# The pages that a Rust test leaves behind: an ordinary one, a large one, one that means harm.
report_test: demo  ## the report's pictures in headless Chromium (`chromium` on the PATH, or named in CHROMIUM)
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || { echo "report_test: no $${CHROMIUM:-chromium} here; Debian and Ubuntu have it: apt-get install chromium"; exit 1; }
	cargo test --release --test it report::every_sample
	@$(PYTHON3) tests/report/chromium.py --screenshots build/report build/report.html $(CARGO_TARGET_DIR)/tmp/report-*.html

lint:  ## rustfmt, clippy and rustdoc alone, warnings denied; needs neither Python packages nor ONNX Runtime
	@$(PYTHON3) scripts/test.py lint

check: test  ## what has to pass before a commit: test

data: data/ml-100k/done  ## fetch MovieLens 100K into data/ml-100k

data/ml-100k/done: scripts/movielens.py | configure/venv/done
	@$(PYTHON) scripts/movielens.py data/ml-100k
	@touch $@

demo: release data  ## a recommender for MovieLens 100K in a real DuckDB
	@$(PYTHON) scripts/demo.py

# The limits and the loops under criterion, then SQL on synthetic tables.
bench: release  ## limits of the machine, the innermost loops, and SQL end to end, as ratios: a few minutes
	cargo bench --manifest-path benches/kernels/Cargo.toml
	@$(PYTHON) benches/sql.py

bench-peers: release data configure/venv-peers/done configure/libmf/done  ## cofi beside its peers on MovieLens 100K and a synthetic million: about an hour
	@configure/venv-peers/bin/python benches/peers/compare.py ml-100k
	@configure/venv-peers/bin/python benches/peers/ranking.py
	@configure/venv-peers/bin/python benches/peers/compare.py million --repeat 2
	@configure/venv-peers/bin/python benches/peers/ranking.py build/bench/million.duckdb

quality: release data configure/venv-peers/done  ## MSE on MovieLens 100K, three seeds, beside a PyTorch loop where PyTorch can be had
	@configure/venv-peers/bin/python benches/quality.py

seeds: release data  ## the recipes that cofi comes from, in SQL, beside the figures of their authors: about twenty minutes
	@$(PYTHON) benches/seeds.py

# Peers are there to be compared with, not required: one that cannot be had is left out, and said to be. 6.5 GB, most of it PyTorch.
configure/venv-peers/done: scripts/hosts/duckdb-2.0.txt
	@$(PYTHON3) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@for peer in torch fastai scikit-surprise cmfrec implicit; do \
	  $(@D)/bin/python -m pip install --quiet --disable-pip-version-check $$peer || echo "bench-peers: no $$peer here, it is left out"; \
	done
	@touch $@

# Twice: as the crate builds LIBMF, and as LIBMF's own Makefile does.
configure/libmf/done: benches/peers/libmf/Cargo.lock benches/peers/libmf/src/main.rs
	@CARGO_TARGET_DIR=$(@D)/crate cargo build --quiet --release --manifest-path benches/peers/libmf/Cargo.toml \
	  || echo "bench-peers: no libmf here, it is left out"
	@CXXFLAGS="-march=native -fopenmp -DUSEOMP" CARGO_TARGET_DIR=$(@D)/native cargo build --quiet --release --manifest-path benches/peers/libmf/Cargo.toml \
	  || echo "bench-peers: no libmf with OpenMP here, it is left out"
	@touch $@

clean:  ## remove what was built
	rm -rf build
	cargo clean

clean_all: clean  ## remove what was fetched, too
	rm -rf configure data
