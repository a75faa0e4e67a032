#!/usr/bin/env bash
# The image's build step: the release binary, stripped, into the folder given.
set -euo pipefail
out=$1
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
profile=${TIDEMILL_IMAGE_PROFILE:-release}
# The whole workspace is selected, so that its dependencies have the same features as everywhere else.
cargo build --locked --profile "$profile" --workspace --bin tidemill
mkdir -p "$out"
# Cargo puts the dev profile's files into `debug`.
strip -o "$out/tidemill" "$target/${profile/#dev/debug}/tidemill"
