"""Real input: all 336,776 flights out of New York in 2013, produced by one client and their sums checked by another.

    flights.py produce [PACE]     every flight as JSON, sorted by (time_hour, sched_dep_time), into 4 partitions; as
                                  fast as can be, or so many a second
    flights.py verify             reads the topics that tests/data/sql/flights.sql makes, with read_committed, and
                                  compares them number by number with what this program computes from the file itself
    flights.py expected           prints what it computes, one JSON object per line

    TIDEMILL_TEST_BOOTSTRAP=127.0.0.1:9092 python tests/compat/flights.py produce
"""

import csv
import json
import lzma
import os
import sys
import time
from collections import Counter, defaultdict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from confluent_kafka import (  # noqa: E402
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from support import BOOTSTRAP, expect, unique  # noqa: E402

TOPIC = "flights"
PARTITIONS = 4
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "nycflights13", "flights.csv.xz")

TEXTS = ["time_hour", "carrier", "tailnum", "origin", "dest"]
NUMBERS = ["flight", "sched_dep_time", "dep_time", "dep_delay", "arr_delay", "air_time", "distance"]


def flights():
    """Every flight as a dictionary of the topic's columns, with None for what is not known."""
    with lzma.open(DATA, "rt", newline="") as file:
        for row in csv.DictReader(file):
            flight = {name: None if row[name] == "NA" else row[name] for name in TEXTS}
            flight.update({name: None if row[name] == "NA" else int(row[name]) for name in NUMBERS})
            yield flight


def produce(pace=None):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
        future.result(30)
    errors = []

    def delivered(error, _):
        if error:
            errors.append(error)

    producer = Producer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "enable.idempotence": True,
            "acks": "all",
            "reconnect.backoff.max.ms": 200,
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 400000,
        }
    )
    rows = sorted(flights(), key=lambda flight: (flight["time_hour"], flight["sched_dep_time"]))
    start = time.monotonic()
    for number, flight in enumerate(rows):
        if pace and number % 100 == 0:
            time.sleep(max(0.0, start + number / int(pace) - time.monotonic()))
        # One flight number of one carrier stays in one partition, in order.
        key = f"{flight['carrier']}{flight['flight']}"
        producer.produce(TOPIC, json.dumps(flight, separators=(",", ":")), key, on_delivery=delivered)
        producer.poll(0)
    expect(producer.flush(300), 0, "flights left unsent")
    expect(errors, [], "delivery errors")
    print(f"produced {len(rows)} flights")


def compute_hourly():
    """What flights_hourly has to hold, by (window_start, carrier, origin)."""
    groups = defaultdict(list)
    for flight in flights():
        groups[(flight["time_hour"], flight["carrier"], flight["origin"])].append(flight)
    result = {}
    for key, members in groups.items():
        delays = [flight["dep_delay"] for flight in members if flight["dep_delay"] is not None]
        departures = sum(flight["dep_time"] is not None for flight in members)
        result[key] = {
            "scheduled": len(members),
            "departures": departures,
            "cancelled": len(members) - departures,
            "delay_sum": sum(delays) if delays else None,
            "delay_mean": sum(delays) / len(delays) if delays else None,
            "delay_min": min(delays, default=None),
            "delay_max": max(delays, default=None),
            "destinations": len({flight["dest"] for flight in members}),
        }
    return result


def compute_cancelled():
    columns = ["time_hour", "carrier", "flight", "tailnum", "origin", "dest", "distance"]
    return Counter(
        tuple(flight[column] for column in columns) for flight in flights() if flight["dep_time"] is None
    )


def read_json(topic):
    """All committed rows of a topic, to the last stable offset of each partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": unique("verify"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = list(consumer.list_topics(topic, 30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    rows, open_partitions = [], set(partitions)
    while open_partitions:
        messages = consumer.consume(10000, 30)
        expect(bool(messages), True, f"{topic}: nothing within 30 s, still reading {open_partitions}")
        for message in messages:
            if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
            elif message.error():
                raise KafkaException(message.error())
            else:
                # Exact: a number of the topic becomes the same number here or none at all.
                rows.append(json.loads(message.value()))
    consumer.close()
    return rows


def timestamp(text):
    """RFC 3339 in UTC to the second, whatever fraction it was written with."""
    date, _, zone = text.replace("+00:00", "Z").partition("Z")
    expect(zone, "", text)
    date, _, fraction = date.partition(".")
    expect(fraction.strip("0"), "", text)
    return date.replace(" ", "T") + "Z"


def verify():
    verify_hourly()
    verify_cancelled()


def verify_hourly():
    expected = compute_hourly()
    actual = {}
    for row in read_json("flights_hourly"):
        key = (timestamp(row.pop("window_start")), row.pop("carrier"), row.pop("origin"))
        expect(key in actual, False, f"{key} comes twice")
        actual[key] = row
    expect(sorted(actual.keys() - expected.keys())[:5], [], "windows that should not be")
    expect(sorted(expected.keys() - actual.keys())[:5], [], "windows that are missing")
    for key, row in expected.items():
        got = dict(actual[key])
        mean, got_mean = row.pop("delay_mean"), got.pop("delay_mean")
        expect(got, row, f"{key}")
        # The mean of integers is NUMERIC with six decimals, rounded.
        close = mean == got_mean or (None not in (mean, got_mean) and abs(mean - got_mean) <= 0.500001e-6)
        expect(close, True, f"{key}: mean {got_mean}, expected {mean}")
    print(f"flights_hourly: {len(expected)} windows, {sum(row['scheduled'] for row in expected.values())} flights")


def verify_cancelled():
    expected = compute_cancelled()
    columns = ["carrier", "flight", "tailnum", "origin", "dest", "distance"]
    actual = Counter(
        (timestamp(row["time_hour"]), *(row[column] for column in columns)) for row in read_json("flights_cancelled")
    )
    expect(list((actual - expected).items())[:5], [], "rows that should not be")
    expect(list((expected - actual).items())[:5], [], "rows that are missing")
    print(f"flights_cancelled: {sum(expected.values())} flights")


def print_expected():
    for (window_start, carrier, origin), row in sorted(compute_hourly().items()):
        print(json.dumps({"window_start": window_start, "carrier": carrier, "origin": origin, **row}))


COMMANDS = {"produce": produce, "verify": verify, "expected": print_expected}

if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
    sys.exit(__doc__)
COMMANDS[sys.argv[1]](*sys.argv[2:])
