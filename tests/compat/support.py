"""What the Python checks share: the broker's address, names that nobody else uses, and a small runner.

Each check script runs alone, against any broker:

    TIDEMILL_TEST_BOOTSTRAP=127.0.0.1:9092 python tests/compat/confluent/check.py [name of a check]...
"""

import itertools
import os
import sys
import time
import traceback

BOOTSTRAP = os.environ.get("TIDEMILL_TEST_BOOTSTRAP", "127.0.0.1:9092")

# Longer than anything here takes on a slow machine.
DEADLINE_S = 60

# A segment has to hold the largest batch.
LARGE_TOPIC = {"max.message.bytes": "4194304", "segment.bytes": "16777216"}

# A value of so many bytes is one batch of exactly max.message.bytes at its default of 1,048,588: 61 bytes of batch
# header, 3 of the record's length, 4 of attributes, two deltas and the null key, 3 of the value's length, 1 of headers.
BOUNDARY_VALUE = 1048588 - 61 - 3 - 4 - 3 - 1

# The default limit, in a segment that holds more than the limit.
ROOMY_TOPIC = {"segment.bytes": "16777216"}

_numbers = itertools.count()


def unique(prefix):
    return f"{prefix}-{int(time.time() * 1000):x}-{os.getpid()}-{next(_numbers)}"


def until(what, probe):
    """Calls probe until it gives something true, and gives that."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE_S} s in vain for {what}")


def collect(count, poll):
    """Calls poll, which gives some messages, until there are so many, and gives them."""
    messages = []

    def enough():
        messages.extend(poll())
        return len(messages) >= count

    until(f"{count} messages", enough)
    expect(len(messages), count)
    return messages


def expect(actual, expected, what=""):
    assert actual == expected, f"{what}\n  got      {shorten(actual)}\n  expected {shorten(expected)}"


def shorten(value):
    text = repr(value)
    return text if len(text) < 2000 else f"{text[:1000]} ... {text[-500:]}"


def run(checks):
    """Runs the checks given, or those named on the command line, and exits 1 when one fails."""
    wanted = sys.argv[1:]
    failed = []
    for check in checks:
        if wanted and check.__name__ not in wanted:
            continue
        start = time.monotonic()
        try:
            check()
            print(f"ok      {check.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:
            failed.append(check.__name__)
            print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} failed: {', '.join(failed)}")
