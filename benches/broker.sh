#!/usr/bin/env bash
# The same load against Tidemill and a real Apache Kafka, one after the other in one run, as a Markdown table of ratios.
#   benches/broker.sh [RECORDS]      records of 1 KiB per throughput scenario (default 1,000,000)
# The table goes to stdout when everything is measured, what is measured at the moment to stderr.
# Needs `make bench-build` (the optimised binary) and a JDK with Maven (scripts/setup.sh test).
set -Eeuo pipefail
cd "$(dirname "$0")/.."
source benches/failures.sh
records=${1:-1000000}
binary=${TIDEMILL_BIN:-${CARGO_TARGET_DIR:-$HOME/.cache/tidemill/target}/bench/tidemill}
[ -x "$binary" ] || die "no $binary: run make bench-build first"
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-bench.XXXXXX")
results=$work/results.ndjson
tidemill_pid=
kafka_dir=
# Kafka's own defaults where scripts/kafka.sh has test settings, and Tidemill's number of partitions.
printf 'log.segment.bytes=1073741824\nnum.partitions=4\n' >"$work/kafka.properties"
export KAFKA_EXTRA=$work/kafka.properties

stop_all() {
  [ -z "$tidemill_pid" ] || kill "$tidemill_pid" 2>/dev/null || true
  [ -z "$kafka_dir" ] || scripts/kafka.sh stop "$kafka_dir" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop_all EXIT

now_ms() { date +%s%3N; }

start_tidemill() { # durability
  local data=$work/tidemill-$1 out=$work/tidemill-$1.out from
  mkdir -p "$data"
  from=$(now_ms)
  "$binary" start --data-dir "$data" -X kafka.listen=127.0.0.1:0 -X http.listen=127.0.0.1:0 \
    -X storage.durability="$1" -X kafka.defaults.num.partitions=4 -X log.level=warn >"$out" 2>"$out.err" &
  tidemill_pid=$!
  until grep -q '^ready' "$out" 2>/dev/null; do
    kill -0 "$tidemill_pid" 2>/dev/null || { cat "$out.err" >&2; die "the server did not start"; }
    sleep 0.005
  done
  ready_ms=$(($(now_ms) - from))
  address=$(sed -n 's/^kafka=//p' "$out")
  pid=$tidemill_pid
}

stop_tidemill() {
  kill "$tidemill_pid"
  wait "$tidemill_pid" || true
  tidemill_pid=
}

start_kafka() { # "" or flush
  local port from
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  kafka_dir=$work/kafka-${1:-cache}
  from=$(now_ms)
  scripts/kafka.sh start "$kafka_dir" "$port" "$1" >/dev/null
  ready_ms=$(($(now_ms) - from))
  address=127.0.0.1:$port
  pid=$(cat "$kafka_dir/pid")
}

stop_kafka() {
  scripts/kafka.sh stop "$kafka_dir" >/dev/null
  rm -rf "$kafka_dir"
  kafka_dir=
}

measure() { # system flush-mode scenario arguments...
  local system=$1 mode=$2 scenario=$3
  shift 3
  say "$system, $mode: $scenario"
  "$binary" bench "$@" --brokers "$address" --pid "$pid" --disk "$work" --output json \
    | python3 -c '
import json, sys
row = json.load(sys.stdin)
row.update(system=sys.argv[1], mode=sys.argv[2], scenario=sys.argv[3])
print(json.dumps(row))' "$system" "$mode" "$scenario" >>"$results"
}

note() { # system mode
  local kib
  kib=$(awk '/^VmRSS:/ {print $2}' "/proc/$pid/status")
  printf '{"system":"%s","mode":"%s","scenario":"start","ready_ms":%d,"idle_bytes":%d}\n' "$1" "$2" "$ready_ms" $((kib * 1024)) >>"$results"
}

run_scenarios() { # system mode
  say "$1, $2: warm up"
  note "$1" "$2"
  # A warm JVM and a warm page cache for both.
  "$binary" bench produce --brokers "$address" --topic warm-up --records $((records / 5)) --output json >/dev/null
  measure "$1" "$2" "produce 1 KiB" produce --topic large --records "$records" --size 1024
  measure "$1" "$2" "produce 100 B" produce --topic small --records $((records * 4)) --size 100
  measure "$1" "$2" "consume 1 KiB" consume --topic large
  measure "$1" "$2" "ack at 1,000/s" latency --topic latency --rate 1000 --records 15000 --linger-ms 0
  measure "$1" "$2" "ack at 10,000/s" latency --topic latency --rate 10000 --records 150000 --linger-ms 1
}

start_tidemill async; run_scenarios Tidemill cache; stop_tidemill
start_kafka "";       run_scenarios Kafka cache;    stop_kafka
start_tidemill fsync; run_scenarios Tidemill flush; stop_tidemill
start_kafka flush;    run_scenarios Kafka flush;    stop_kafka

python3 benches/report.py "$results"
