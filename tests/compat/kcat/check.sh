#!/usr/bin/env bash
# kcat: the command line that people reach for first. Runs alone against any broker:
#   TIDEMILL_TEST_BOOTSTRAP=127.0.0.1:9092 tests/compat/kcat/check.sh
set -euo pipefail

bootstrap=${TIDEMILL_TEST_BOOTSTRAP:-127.0.0.1:9092}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=kcat-$(date +%s%N)

fail() { echo "FAILED  $*" >&2; exit 1; }
passed() { echo "ok      $*"; }
expect() { [ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"; }
kc() { timeout 60 kcat -q -b "$bootstrap" "$@"; }

# The version that the checks were written for; a newer one may say things in other words.
version=$(kcat -V 2>&1 | sed -n 's/^Version \([0-9.]*\).*librdkafka \([0-9.]*\).*/kcat \1, librdkafka \2/p')
case $version in 'kcat 1.'*) passed "$version" ;; *) fail "kcat says '$version' of its version" ;; esac

# An unknown topic is created by asking for it, as kcat does before it produces.
echo first | kc -P -t "$name-auto" -p 0
expect 'auto-created topic' "$(kc -C -t "$name-auto" -p 0 -o beginning -e)" first
passed 'producing to an unknown topic'

for codec in none gzip snappy lz4 zstd; do
  topic=$name-$codec
  for number in $(seq 500); do echo "key-$number:value-$number-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; done >"$work/sent"
  kc -P -t "$topic" -p 0 -z "$codec" -X enable.idempotence=true -K : <"$work/sent"
  kc -C -t "$topic" -p 0 -o beginning -e -K : >"$work/got"
  cmp "$work/sent" "$work/got" || fail "$codec"
  passed "codec $codec"
done

topic=$name-headers
echo value | kc -P -t "$topic" -p 0 -k key -H a=1 -H a=2 -H b=
expect headers "$(kc -C -t "$topic" -p 0 -o beginning -e -f '%k %s %h %o %p\n')" 'key value a=1,a=2,b= 0 0'
printf 'key:\n' | kc -P -t "$topic" -p 0 -K : -Z
expect tombstone "$(kc -C -t "$topic" -p 0 -o -1 -e -f '%k %S\n')" 'key -1'
passed 'headers and null values'

# kcat sends a file as one message with its name as an argument. Its topics are created by asking for them, so the
# caller names one with a higher limit.
head -c 2097152 /dev/urandom >"$work/large"
if [ -n "${TIDEMILL_TEST_LARGE_TOPIC:-}" ]; then
  kc -P -t "$TIDEMILL_TEST_LARGE_TOPIC" -p 0 -X message.max.bytes=8388608 "$work/large"
  kc -C -t "$TIDEMILL_TEST_LARGE_TOPIC" -p 0 -o -1 -c 1 -D '' -X fetch.message.max.bytes=8388608 >"$work/got"
  cmp "$work/large" "$work/got" || fail '2 MiB'
  passed '2 MiB where the topic allows them'
fi
# Not quiet, because it says so in a message only.
refused=$(timeout 60 kcat -b "$bootstrap" -P -t "$name-headers" -p 0 -X message.max.bytes=8388608 "$work/large" 2>&1 || true)
case $refused in *'Message size too large'*) ;; *) fail "2 MiB at the default limit: '$refused'" ;; esac
passed '2 MiB are refused at the default limit'

expect 'from an offset' "$(kc -C -t "$name-none" -p 0 -o 497 -e -K : | wc -l)" 3
expect 'from the end' "$(kc -C -t "$name-none" -p 0 -o -5 -e | wc -l)" 5
expect 'the end' "$(kc -Q -t "$name-none:0:-1")" "$name-none [0] offset 500"
expect 'the start' "$(kc -Q -t "$name-none:0:-2")" "$name-none [0] offset 0"
before=$(date +%s%3N)
sleep 0.01
echo later | kc -P -t "$name-none" -p 0
expect 'by time' "$(kc -C -t "$name-none" -p 0 -o "s@$before" -e)" later
passed 'seeking by offset and time'

kc -G "$name-group" "$name-none" -X auto.offset.reset=earliest -c 501 -e >"$work/group"
expect 'group' "$(wc -l <"$work/group")" 501
passed 'a balanced consumer'

kc -L | grep -q '1 brokers' || fail 'metadata lists one broker'
kc -L -t "$name-none" -J | grep -q "\"topic\":\"$name-none\"" || fail 'metadata as JSON'
passed 'metadata'
