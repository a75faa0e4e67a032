#!/usr/bin/env bash
# A real Apache Kafka on this machine: one node, controller and broker in one process, started from the jars that
# scripts/setup.sh installs. The compatibility tests and the benchmarks are held against it.
#
#   scripts/kafka.sh start DIR PORT [flush]    new data in DIR; "flush" syncs every append to the disk
#   scripts/kafka.sh stop DIR
#
# KAFKA_EXTRA=FILE adds server properties. The controller listens on PORT + 1.
set -euo pipefail

cache=${TIDEMILL_CACHE:-$HOME/.cache/tidemill}
jars=$cache/java/lib

usage() { sed -n '5,8p' "${BASH_SOURCE[0]}" >&2; exit 2; }

write_properties() {
  local dir=$1 port=$2 flush=$3
  cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/data
log.segment.bytes=1048576
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
PROPERTIES
  if [ "$flush" = flush ]; then echo 'log.flush.interval.messages=1' >>"$dir/server.properties"; fi
  if [ -n "${KAFKA_EXTRA:-}" ]; then cat "$KAFKA_EXTRA" >>"$dir/server.properties"; fi
  cat >"$dir/log4j2.properties" <<PROPERTIES
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.name=console
appender.console.type=Console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c %m%n
PROPERTIES
}

wait_for_port() {
  local dir=$1 port=$2 pid=$3
  for _ in $(seq 600); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 0; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "kafka.sh: not up on port $port:" >&2
  tail -n 20 "$dir/out.log" >&2
  return 1
}

start() {
  local dir=$1 port=$2 flush=${3:-}
  [ -d "$jars" ] || { echo "kafka.sh: no jars in $jars, run scripts/setup.sh test first" >&2; exit 1; }
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  write_properties "$dir" "$port" "$flush"
  local id
  id=$(java -cp "$jars/*" kafka.tools.StorageTool random-uuid 2>"$dir/format.log") \
    || { cat "$dir/format.log" >&2; exit 1; }
  java -cp "$jars/*" kafka.tools.StorageTool format --standalone -t "$id" -c "$dir/server.properties" >"$dir/format.log" 2>&1 \
    || { cat "$dir/format.log" >&2; exit 1; }
  java -Xms1g -Xmx1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Dlog4j2.configurationFile="$dir/log4j2.properties" \
    -cp "$jars/*" kafka.Kafka "$dir/server.properties" >"$dir/out.log" 2>&1 &
  local pid=$!
  echo "$pid" >"$dir/pid"
  wait_for_port "$dir" "$port" "$pid"
  echo "kafka pid=$pid port=$port"
}

# A process that has ended takes signals until somebody waits for it, and nobody may.
is_running() { [ -e "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

stop() {
  local pid
  pid=$(cat "$1/pid")
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 300); do
    is_running "$pid" || return 0
    sleep 0.2
  done
  echo "kafka.sh: pid $pid goes on a minute after it was told to stop: killed" >&2
  kill -9 "$pid"
}

case ${1:-} in
  start) [ "$#" -ge 3 ] || usage; start "${@:2}" ;;
  stop) [ "$#" -eq 2 ] || usage; stop "$2" ;;
  *) usage ;;
esac
