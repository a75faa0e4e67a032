"""Turns the results of broker.sh into Markdown: both systems side by side, and the ratio."""

import json
import sys

MODES = {"cache": "page cache", "flush": "flushed before the ack"}
FIGURES = {
    "produce": [("CPU s per million records", "cpu_s_per_million_records"), ("CPU s per GB", "cpu_s_per_gb"),
                ("records/s", "records_per_s"), ("memory at most, MB", "peak_mb")],
    "consume": [("CPU s per million records", "cpu_s_per_million_records"), ("CPU s per GB", "cpu_s_per_gb"),
                ("records/s", "records_per_s")],
    "latency": [("p50 ms", "p50_ms"), ("p99 ms", "p99_ms"), ("p99.9 ms", "p999_ms")],
    "start": [("start to ready, ms", "ready_ms"), ("idle memory, MB", "idle_mb")],
}


def flatten(row):
    flat = dict(row)
    for part in ("server", "latency"):
        flat.update(row.get(part) or {})
    flat["peak_mb"] = flat.get("resident_peak_bytes", 0) / 1e6
    flat["idle_mb"] = flat.get("idle_bytes", 0) / 1e6
    return flat


def shown(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main(path):
    with open(path) as lines:
        rows = [flatten(json.loads(line)) for line in lines]
    found = {(row["mode"], row["scenario"], row["system"]): row for row in rows}
    print("| mode | scenario | figure | Tidemill | Kafka | Kafka / Tidemill |")
    print("|---|---|---|--:|--:|--:|")
    for mode, scenario, system in found:
        if system != "Tidemill":
            continue
        ours, theirs = found[mode, scenario, "Tidemill"], found[mode, scenario, "Kafka"]
        for label, name in FIGURES[ours.get("benchmark", "start")]:
            a, b = ours[name], theirs[name]
            ratio = f"{b / a:.2f}" if a else "-"
            print(f"| {MODES[mode]} | {scenario} | {label} | {shown(a)} | {shown(b)} | {ratio} |")
    disk = next(row["disk"] for row in rows if row.get("disk"))
    print(f"\nDisk alone, measured in the same run: {disk['fdatasync_per_s']:.0f} fdatasync/s of 4 KiB, "
          f"{disk['bytes_per_s_at_1mib'] / 1e6:.0f} MB/s at 1 MiB per fdatasync.")


if __name__ == "__main__":
    main(sys.argv[1])
