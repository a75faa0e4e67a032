//! The result of one benchmark, for people and for programs.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Output;
use super::disk::DiskCeiling;
use super::server::ServerUsage;

/// What one run measured.
pub(super) struct Report {
    /// `produce`, `consume` or `latency`.
    pub(super) name: &'static str,
    /// Records acknowledged or read.
    pub(super) records: u64,
    /// Their bytes: values and keys.
    pub(super) bytes: u64,
    /// Records that failed.
    pub(super) errors: u64,
    /// From the first record to the last acknowledgement.
    pub(super) elapsed: Duration,
    /// Microseconds per record; empty where latency means nothing.
    pub(super) latency_us: Option<Histogram<u64>>,
    /// The server before and after.
    pub(super) server: Option<(ServerUsage, ServerUsage)>,
    /// The disk alone.
    pub(super) disk: Option<DiskCeiling>,
}

impl Report {
    /// Prints to stdout.
    #[expect(clippy::print_stdout, reason = "a benchmark's result is this command's data")]
    pub(super) fn print(&self, output: Output) {
        match output {
            Output::Json => println!("{}", self.json()),
            Output::Text => println!("{}", self.text()),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} records, {:.1} MB in {:.2} s: {:.0} records/s, {:.1} MB/s, {} errors",
            self.name,
            self.records,
            self.bytes as f64 / 1e6,
            self.elapsed.as_secs_f64(),
            self.records_per_second(),
            self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64(),
            self.errors,
        )];
        if let Some(latency) = &self.latency_us {
            lines.push(format!(
                "latency ms: p50 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
                quantile_ms(latency, 0.5),
                quantile_ms(latency, 0.99),
                quantile_ms(latency, 0.999),
                latency.max() as f64 / 1000.0,
            ));
        }
        if let Some((before, after)) = &self.server {
            let cpu = self.server_cpu(before, after);
            lines.push(format!(
                "server: {:.2} CPU s: {:.3} per million records, {:.3} per GB; {:.0} MB resident, {:.0} MB at most",
                cpu,
                cpu / (self.records as f64 / 1e6),
                cpu / (self.bytes as f64 / 1e9),
                after.resident_bytes as f64 / 1e6,
                after.resident_peak_bytes as f64 / 1e6,
            ));
        }
        if let Some(disk) = &self.disk {
            lines.push(format!(
                "disk alone: {:.0} fdatasync/s of 4 KiB, {:.0} MB/s at 1 MiB per fdatasync",
                disk.small_syncs_per_second,
                disk.large_bytes_per_second / 1e6,
            ));
        }
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let latency = self.latency_us.as_ref().map(|latency| {
            json!({
                "p50_ms": quantile_ms(latency, 0.5),
                "p99_ms": quantile_ms(latency, 0.99),
                "p999_ms": quantile_ms(latency, 0.999),
                "max_ms": latency.max() as f64 / 1000.0,
            })
        });
        let server = self.server.as_ref().map(|(before, after)| {
            let cpu = self.server_cpu(before, after);
            json!({
                "cpu_s": cpu,
                "cpu_s_per_million_records": cpu / (self.records as f64 / 1e6),
                "cpu_s_per_gb": cpu / (self.bytes as f64 / 1e9),
                "resident_bytes": after.resident_bytes,
                "resident_peak_bytes": after.resident_peak_bytes,
            })
        });
        let disk = self.disk.as_ref().map(|disk| {
            json!({
                "fdatasync_per_s": disk.small_syncs_per_second,
                "bytes_per_s_at_1mib": disk.large_bytes_per_second,
            })
        });
        json!({
            "benchmark": self.name,
            "records": self.records,
            "bytes": self.bytes,
            "errors": self.errors,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "records_per_s": self.records_per_second(),
            "bytes_per_s": self.bytes as f64 / self.elapsed.as_secs_f64(),
            "latency": latency,
            "server": server,
            "disk": disk,
        })
    }

    fn records_per_second(&self) -> f64 {
        self.records as f64 / self.elapsed.as_secs_f64()
    }

    fn server_cpu(&self, before: &ServerUsage, after: &ServerUsage) -> f64 {
        after.cpu.saturating_sub(before.cpu).as_secs_f64()
    }
}

fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1000.0
}
