# Everything a fresh machine needs: `make demo` and `make test` set themselves up (uv if it is there, else pip).
PYTHON ?= python3
# uv does not read pip's settings: where pip is given a folder of wheels (a CPU build of torch), uv looks there too.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Modules compiled once here and not by every process, which some machines forbid (PYTHONDONTWRITEBYTECODE).
export UV_COMPILE_BYTECODE ?= 1
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint slow clean

demo: $(READY)
	rm -rf demo
	$(BIN)/caloforge demo --out demo

# Two workers with one thread each: threads that share a core wait for each other.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q --slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): pyproject.toml
	@if command -v uv >/dev/null; then \
		uv venv -q --allow-existing --python $(PYTHON) .venv && uv pip install -q --python $(BIN)/python -e '.[dev]'; \
	else \
		$(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q -e '.[dev]'; \
	fi
	@touch $@

clean:
	rm -rf .venv demo
