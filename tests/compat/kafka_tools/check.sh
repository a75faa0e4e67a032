#!/usr/bin/env bash
# Kafka's own command-line tools, from the jars that scripts/setup.sh installs. Runs alone against any broker:
#   TIDEMILL_TEST_BOOTSTRAP=127.0.0.1:9092 tests/compat/kafka_tools/check.sh
set -euo pipefail

bootstrap=${TIDEMILL_TEST_BOOTSTRAP:-127.0.0.1:9092}
jars=${TIDEMILL_CACHE:-$HOME/.cache/tidemill}/java/lib
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=tools-$(date +%s%N)

fail() { echo "FAILED  $*" >&2; [ ! -f "$work/out" ] || cat "$work/out" >&2; exit 1; }
passed() { echo "ok      $*"; }

# tool CLASS ARGUMENTS...: stdout and stderr go to $work/out, because some tools report errors only there.
tool() {
  local class=$1
  shift
  timeout 120 java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/*" "$class" "$@" >"$work/out" 2>&1
}
topics() { tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$bootstrap" "$@"; }
configs() { tool kafka.admin.ConfigCommand --bootstrap-server "$bootstrap" "$@"; }
groups() { tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$bootstrap" "$@"; }
offsets() { tool org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$bootstrap" "$@"; }
# says PATTERN: the last tool's output has a line that matches.
says() { grep -Eq -- "$1" "$work/out" || fail "no line matches: $1"; }

topics --create --topic "$name" --partitions 3 --config retention.ms=1234567 || fail 'create'
says "Created topic $name"
topics --describe --topic "$name" || fail 'describe'
says "PartitionCount: 3.*ReplicationFactor: 1.*retention.ms=1234567"
says "Partition: 2.*Leader: [0-9]+.*Replicas: [0-9]+.*Isr: [0-9]+"
topics --list || fail 'list'
says "^$name\$"
topics --alter --topic "$name" --partitions 4 || fail 'alter'
topics --describe --topic "$name"
says 'PartitionCount: 4'
if topics --create --topic "$name"; then fail 'created twice'; fi
says 'already exists'
passed 'topics'

configs --describe --entity-type topics --entity-name "$name" || fail 'describe configs'
says 'retention.ms=1234567'
configs --alter --entity-type topics --entity-name "$name" --add-config max.message.bytes=2000000 || fail 'add config'
configs --describe --entity-type topics --entity-name "$name"
says 'max.message.bytes=2000000'
configs --alter --entity-type topics --entity-name "$name" --delete-config max.message.bytes || fail 'delete config'
configs --describe --all --entity-type topics --entity-name "$name" || fail 'describe all configs'
says 'max.message.bytes=1048588'
if configs --alter --entity-type topics --entity-name "$name" --add-config no.such.key=1; then fail 'unknown key'; fi
says 'no.such.key'
passed 'configs'

for number in $(seq 300); do echo "key-$((number % 10)):value-$number"; done >"$work/sent"
timeout 120 java -cp "$jars/*" org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$bootstrap" --topic "$name" \
  --reader-property parse.key=true --reader-property key.separator=: <"$work/sent" >"$work/out" 2>&1 || fail 'produce'
timeout 120 java -cp "$jars/*" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$bootstrap" \
  --topic "$name" --group "$name-group" --from-beginning --max-messages 300 --timeout-ms 60000 \
  --formatter-property print.key=true --formatter-property key.separator=: >"$work/got" 2>"$work/out" || fail 'consume'
diff <(sort "$work/sent") <(sort "$work/got") >"$work/out" || fail 'the console consumer read something else'
passed 'console producer and consumer'

offsets --topic "$name" || fail 'get offsets'
total=$(awk -F: -v topic="$name" '$1 == topic { sum += $3 } END { print sum }' "$work/out")
[ "$total" = 300 ] || fail "offsets add up to $total"
offsets --topic "$name" --time earliest || fail 'earliest offsets'
says "^$name:3:0\$"
offsets --topic "$name" --time max-timestamp || fail 'offsets of the latest timestamps'
passed 'get-offsets'

groups --list || fail 'list groups'
says "^$name-group\$"
groups --describe --group "$name-group" || fail 'describe group'
lag=$(awk -v topic="$name" '$2 == topic { committed += $4; lag += $6 } END { print committed "/" lag }' "$work/out")
[ "$lag" = 300/0 ] || fail "committed/lag is $lag"
groups --describe --state --group "$name-group" || fail 'describe state'
says "$name-group.*Empty"
groups --reset-offsets --group "$name-group" --topic "$name" --to-earliest --execute || fail 'reset offsets'
groups --describe --group "$name-group"
lag=$(awk -v topic="$name" '$2 == topic { committed += $4; lag += $6 } END { print committed "/" lag }' "$work/out")
[ "$lag" = 0/300 ] || fail "after the reset committed/lag is $lag"
passed 'consumer groups'

# The records of the offsets topic are Kafka's own, so Kafka's own formatters print them.
timeout 120 java -cp "$jars/*" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$bootstrap" \
  --topic __consumer_offsets --from-beginning --timeout-ms 4000 \
  --formatter org.apache.kafka.tools.consumer.OffsetsMessageFormatter >"$work/out" 2>"$work/err" || true
says "\"group\":\"$name-group\""
says "\"topic\":\"$name\",\"partition\":3"
says '"offset":[1-9]'
timeout 120 java -cp "$jars/*" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$bootstrap" \
  --topic __consumer_offsets --from-beginning --timeout-ms 4000 \
  --formatter org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter >"$work/out" 2>"$work/err" || true
says "\"group\":\"$name-group\""
says '"protocolType":"consumer"'
passed 'formatters over __consumer_offsets'

groups --delete --group "$name-group" || fail 'delete group'
groups --list
if grep -q "^$name-group\$" "$work/out"; then fail 'the group is still there'; fi
topics --delete --topic "$name" || fail 'delete topic'
topics --list
if grep -q "^$name\$" "$work/out"; then fail 'the topic is still there'; fi
passed 'deleting'
