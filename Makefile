# The two commands of the README, and what they are made of.
CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/onsite/target
export CARGO_TARGET_DIR
ONSITE = $(CARGO_TARGET_DIR)/x86_64-unknown-linux-gnu/release/onsite

.PHONY: demo test build model ui

# Builds the product and runs its main job once, start to finish. DEMO passes flags: make demo DEMO="--keep"
demo: build
	$(ONSITE) demo $(DEMO)

# Every check there is.
test:
	tests/run

# The static binary with the UI and the embedding model inside.
build: model
	cargo build --release --locked
	@ldd $(ONSITE) 2>&1 | grep -Eq 'statically linked|not a dynamic executable' || { echo "$(ONSITE) is not static" >&2; exit 1; }

# Fetches the embedding model by exact version and SHA-256 (not kept in git).
model:
	packaging/fetch-model

# Builds ui/ into ui-dist/ (committed).
ui:
	cd ui && npm ci --no-audit --no-fund && npm run build
