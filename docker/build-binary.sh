#!/usr/bin/env bash
# The image's build step: the release binary, stripped, into the folder given. The release profile shares nothing with the
# builds of `make`, so the first run compiles every dependency once more.
set -euo pipefail
out=${1:?usage: docker/build-binary.sh FOLDER}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/tidemill/target}
profile=${TIDEMILL_IMAGE_PROFILE:-release}
# The whole workspace is selected, so that its dependencies have the same features as everywhere else.
cargo build --locked --profile "$profile" --workspace --bin tidemill
# Cargo puts the dev profile's files into `debug`.
strip -o "$out/tidemill" "$CARGO_TARGET_DIR/${profile/#dev/debug}/tidemill"
