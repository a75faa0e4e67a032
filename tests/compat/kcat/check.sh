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

# One batch of exactly max.message.bytes at its default, as tests/compat/support.py reckons, and one byte more.
if [ -n "${TIDEMILL_TEST_BOUNDARY_TOPIC:-}" ]; then
  topic=$TIDEMILL_TEST_BOUNDARY_TOPIC
  fits=$((1048588 - 61 - 3 - 4 - 3 - 1))
  head -c $fits /dev/urandom >"$work/fits"
  head -c $((fits + 1)) /dev/urandom >"$work/exceeds"
  kc -P -t "$topic" -p 0 -X message.max.bytes=8388608 "$work/fits"
  refused=$(timeout 60 kcat -b "$bootstrap" -P -t "$topic" -p 0 -X message.max.bytes=8388608 "$work/exceeds" 2>&1 || true)
  case $refused in *'Message size too large'*) ;; *) fail "a byte more than the limit: '$refused'" ;; esac
  expect 'the end behind the boundary' "$(kc -Q -t "$topic:0:-1")" "$topic [0] offset 1"
  kc -C -t "$topic" -p 0 -o beginning -c 1 -D '' >"$work/got"
  cmp "$work/fits" "$work/got" || fail 'the largest batch'
  passed 'the largest batch is accepted and one byte more is not'
fi

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

# Two members share four partitions and read every record once; the one that is left takes over from the other.
if [ -n "${TIDEMILL_TEST_SHARED_TOPIC:-}" ]; then
  topic=$TIDEMILL_TEST_SHARED_TOPIC
  member() { # NAME: reads into NAME.out, tells of its partitions in NAME.err
    timeout 120 kcat -u -b "$bootstrap" -G "$name-shared" "$topic" -X auto.offset.reset=earliest \
      -X session.timeout.ms=10000 -X heartbeat.interval.ms=500 >"$work/$1.out" 2>"$work/$1.err" &
  }
  owned() { grep 'assigned:' "$work/$1.err" | tail -n 1 | grep -o '\[[0-9]*\]' | sort; }
  wait_for() { # WHAT COMMAND...
    local what=$1
    shift
    for _ in $(seq 600); do if "$@"; then return 0; fi; sleep 0.1; done
    fail "waited in vain for $what: $(cat "$work"/*.err)"
  }
  owns() { [ "$(owned "$1" | wc -l)" = "$2" ]; }
  shared() { owns one 2 && owns two 2 && [ "$(cat <(owned one) <(owned two) | sort -u | wc -l)" = 4 ]; }
  records() { [ "$(cat "$work"/one.out "$work"/two.out | wc -l)" -ge "$1" ]; }
  send() { # FIRST LAST: over all partitions
    for number in $(seq "$1" "$2"); do echo "$number" >>"$work/to-$((number % 4))"; done
    for partition in 0 1 2 3; do kc -P -t "$topic" -p $partition <"$work/to-$partition"; rm "$work/to-$partition"; done
  }
  member one; one=$!
  wait_for 'all partitions' owns one 4
  member two; two=$!
  wait_for 'two partitions each' shared
  send 1 400
  wait_for 'the first records' records 400
  [ -s "$work/one.out" ] && [ -s "$work/two.out" ] || fail 'both read'
  kill "$two"; wait "$two" || true
  wait_for 'all partitions again' owns one 4
  send 401 800
  wait_for 'the last records' records 800
  kill "$one"; wait "$one" || true
  diff <(seq 800) <(sort -n "$work/one.out" "$work/two.out") >"$work/difference" || fail "records: $(cat "$work/difference")"
  passed 'two members of a group'
fi

kc -L | grep -q '1 brokers' || fail 'metadata lists one broker'
kc -L -t "$name-none" -J | grep -q "\"topic\":\"$name-none\"" || fail 'metadata as JSON'
passed 'metadata'
