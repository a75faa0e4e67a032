# Sourced by the benchmarks, which run for minutes and often with nobody watching: whatever ends them says why, on stderr.
# Needs `set -E`, so that a command that fails in a function is heard of too.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

trap 'say "line $LINENO: exit code $? of: $BASH_COMMAND"' ERR
for signal in HUP INT TERM; do
  # shellcheck disable=SC2064 # the name of the signal is meant to be put in now
  trap "die 'ended by SIG$signal'" "$signal"
done
