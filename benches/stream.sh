#!/usr/bin/env bash
# Events per CPU second of the stream processor, into a `blackhole` sink: bids of about 330 bytes of JSON.
#   benches/stream.sh [EVENTS]      default 3,000,000
# Needs `make bench-build`.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
source benches/failures.sh
events=${1:-3000000}
folder=${CARGO_TARGET_DIR:-$HOME/.cache/tidemill/target}/bench
binary=${TIDEMILL_BIN:-$folder/tidemill}
for program in "$binary" "$folder/bids"; do [ -x "$program" ] || die "no $program: run make bench-build first"; done
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemill-stream.XXXXXX")
pid=

stop_all() {
  if [ -n "$pid" ]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
  fi
  rm -rf "$work"
}
trap stop_all EXIT

"$binary" start --data-dir "$work/data" -X kafka.listen=127.0.0.1:0 -X http.listen=127.0.0.1:0 \
  -X storage.durability=async -X log.level=warn >"$work/out" 2>"$work/err" &
pid=$!
until grep -q '^ready' "$work/out"; do
  kill -0 "$pid" 2>/dev/null || { cat "$work/err" >&2; die "the server did not start"; }
  sleep 0.02
done
kafka=$(sed -n 's/^kafka=//p' "$work/out")
http=http://$(sed -n 's/^http=//p' "$work/out")

# The rows; what a statement without rows says is shown only when it fails.
sql() { "$binary" sql --server "$http" -o csv -c "$1" 2>"$work/said" || { cat "$work/said" >&2; return 1; }; }
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$pid/stat"; }

"$binary" topic -b "$kafka" create --partitions 2 bids
"$folder/bids" --brokers "$kafka" --count "$events" --partitions 2
sql "CREATE SOURCE bids (auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, date_time TIMESTAMPTZ, extra TEXT,
     WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds') WITH (topic = 'bids', format = 'json', stop = 'latest')"

measure() { # label query
  local before after queries=
  before=$(ticks)
  sql "CREATE SINK measured AS $2 WITH (connector = 'blackhole')"
  until grep -qi '^measured,.*finished' <<<"$queries"; do
    if grep -qi '^measured,.*failed' <<<"$queries"; then die "$queries"; fi
    sleep 0.1
    queries=$(sql "SHOW QUERIES")
  done
  after=$(ticks)
  sql "DROP SINK measured"
  awk -v label="$1" -v n="$events" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" \
    'BEGIN { cpu = ticks / hz; printf "| %s | %.2f | %.0f |\n", label, cpu, n / cpu / 1000 }'
}

echo "| query over $events events | CPU s | thousand events per CPU s |"
echo "|---|--:|--:|"
measure "all columns" "SELECT * FROM bids"
measure "filter, three columns" "SELECT auction, bidder, price FROM bids WHERE auction % 123 = 0"
measure "tumbling aggregate" "SELECT window_start, auction, count(*) AS n, max(price) AS highest
  FROM TUMBLE(bids, date_time, INTERVAL '10 seconds') GROUP BY window_start, window_end, auction EMIT ON WINDOW CLOSE"
