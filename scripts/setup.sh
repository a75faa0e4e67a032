#!/usr/bin/env bash
# Installs what Tidemill needs on Debian 12 and what is not there yet. People, make, and CI use this one script.
#
#   scripts/setup.sh build    what building and the demo need: compilers, libclang, cmake, zlib
#   scripts/setup.sh test     the above and what the tests drive: Python and Java clients, Kafka's tools, kcat, promtool
#
# Safe to run again: with everything in place it changes nothing and takes well under a second. System packages come
# from apt (with sudo where we are not root); everything else goes to ~/.cache/tidemill (TIDEMILL_CACHE overrides).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${TIDEMILL_CACHE:-$HOME/.cache/tidemill}

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Prints the package unless a command of that name runs or dpkg knows the package as installed.
missing_command() { have "$1" || printf '%s\n' "$2"; }
missing_package() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' || printf '%s\n' "$1"; }

build_packages() {
  missing_command make make
  missing_command cc gcc
  missing_command c++ g++
  missing_command clang clang
  missing_command cmake cmake
  missing_command pkg-config pkg-config
  missing_command xz xz-utils
  missing_package libclang-dev
  missing_package zlib1g-dev
}

test_packages() {
  build_packages
  missing_command kcat kcat
  missing_command javac default-jdk-headless
  missing_command mvn maven
  missing_command promtool prometheus
  missing_command docker-compose docker-compose
  missing_package python3-venv
}

# Runs apt once for all packages given, and only when there are any.
install_packages() {
  [ "$#" -gt 0 ] || return 0
  have apt-get || die "please install by hand: $*"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || die "neither root nor sudo: please install by hand: $*"
    as_root=(sudo)
  fi
  say "installing $*"
  "${as_root[@]}" apt-get update -qq
  # Services that a package would start (prometheus brings one) are not wanted: policy-rc.d is apt's switch for that,
  # and masking by RUNLEVEL keeps it without a file of ours on the system.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -qq -y --no-install-recommends "$@" >&2
}

check_rust() {
  have cargo || die "no Rust toolchain found: install a stable one with rustup, then run this again"
  local wanted found
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
  found=$(cargo --version | awk '{print $2}')
  printf '%s\n%s\n' "$wanted" "$found" | sort -V -C || die "Rust $wanted or newer is needed, found $found: run 'rustup update stable'"
}

# True when the stamp beside a derived folder was made from exactly these inputs.
is_fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

install_python() {
  local venv=$cache/python requirements=$root/tests/compat/requirements.txt stamp wanted
  stamp=$venv/.stamp
  wanted=$(digest "$requirements")
  is_fresh "$stamp" "$wanted" && return 0
  say "installing the Python clients into $venv"
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" >&2
  printf '%s' "$wanted" >"$stamp"
}

install_java() {
  local home=$cache/java pom=$root/tests/compat/java/pom.xml stamp wanted
  stamp=$home/.stamp
  wanted=$(digest "$pom")
  is_fresh "$stamp" "$wanted" && return 0
  say "installing Kafka's Java client and tools into $home"
  rm -rf "$home"
  mkdir -p "$home/project"
  cp "$pom" "$home/project/pom.xml"
  (cd "$home/project" && mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory="$home/lib" >&2)
  printf '%s' "$wanted" >"$stamp"
}

main() {
  local mode=${1:-build} packages
  case $mode in
    build) mapfile -t packages < <(build_packages) ;;
    test) mapfile -t packages < <(test_packages) ;;
    *) die "usage: scripts/setup.sh [build|test]" ;;
  esac
  install_packages "${packages[@]}"
  check_rust
  [ "$mode" = test ] || return 0
  mkdir -p "$cache"
  install_python
  install_java
}

main "$@"
