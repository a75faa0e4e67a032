//! What the demo shows: a picture that is drawn again every second on a terminal, one line per second elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use crossterm::{cursor, execute, terminal};

/// Everything on the screen at one moment.
pub(super) struct Picture<'a> {
    /// Addresses of the server.
    pub(super) kafka: &'a str,
    /// Base URL of the HTTP port.
    pub(super) http: &'a str,
    /// Seconds since the demo came up.
    pub(super) elapsed_s: u64,
    /// Events sent per second, over the last second.
    pub(super) events_per_s: u64,
    /// Result rows received per second, over the last second.
    pub(super) rows_per_s: u64,
    /// Consumer groups with their lag in records.
    pub(super) lags: Vec<(String, i64)>,
    /// From an event's creation to a result that contains it: p50 and p99 in milliseconds.
    pub(super) latency_ms: Option<(u64, u64)>,
    /// The newest minute and its pages with clicks and users.
    pub(super) minute: String,
    /// Pages: name, clicks, users.
    pub(super) pages: Vec<(String, i64, i64)>,
    /// Cards to look at: name, purchases, total.
    pub(super) flagged: Vec<(String, i64, String)>,
}

/// Draws on a terminal, or prints lines where stdout is none.
pub(super) struct Screen {
    terminal: bool,
}

impl Screen {
    /// Decides by whether stdout is a terminal.
    pub(super) fn new() -> Screen {
        Screen {
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Shows one picture. A reader that went away is no failure.
    pub(super) fn show(&self, picture: &Picture<'_>) {
        let mut out = io::stdout().lock();
        if !self.terminal {
            let _ = writeln!(out, "{}", picture.line());
            return;
        }
        let _ = execute!(out, cursor::MoveTo(0, 0), terminal::Clear(terminal::ClearType::All));
        let _ = out.write_all(picture.page().as_bytes());
        let _ = out.flush();
    }
}

impl Picture<'_> {
    /// One line for logs.
    fn line(&self) -> String {
        let lag: i64 = self.lags.iter().map(|(_, lag)| lag).sum();
        let latency = self
            .latency_ms
            .map_or(String::new(), |(p50, p99)| format!("  latency p50={p50}ms p99={p99}ms"));
        format!(
            "{:>4}s  in={}/s  out={}/s  lag={lag}{latency}  pages={}  cards to review={}",
            self.elapsed_s,
            self.events_per_s,
            self.rows_per_s,
            self.pages.len(),
            self.flagged.len(),
        )
    }

    /// A whole screen.
    fn page(&self) -> String {
        let mut text = String::new();
        self.write_page(&mut text).expect("writing to a String cannot fail");
        text
    }

    fn write_page(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "Tidemill demo   up {} s   Kafka {}   HTTP {}\n",
            self.elapsed_s, self.kafka, self.http
        )?;
        writeln!(text, "events in   {:>8}/s", self.events_per_s)?;
        writeln!(text, "results out {:>8}/s", self.rows_per_s)?;
        if let Some((p50, p99)) = self.latency_ms {
            writeln!(text, "event to result   p50 {p50} ms   p99 {p99} ms")?;
        }
        for (group, lag) in &self.lags {
            writeln!(text, "lag {group:<40} {lag:>8} records")?;
        }
        writeln!(text, "\nclicks in the minute of {}", self.minute)?;
        for (page, clicks, users) in &self.pages {
            writeln!(text, "  {page:<14} {clicks:>8} clicks {users:>7} users")?;
        }
        writeln!(text, "\ncards to review in these five minutes")?;
        for (card, purchases, total) in self.flagged.iter().take(5) {
            writeln!(text, "  {card:<14} {purchases:>8} purchases {total:>12}")?;
        }
        write!(text, "\n{}", instructions(self.kafka, self.http))
    }
}

/// Lines to paste into a second terminal.
pub(super) fn instructions(kafka: &str, http: &str) -> String {
    format!(
        "In a second terminal:\n\
         \x20 kcat -b {kafka} -t clicks_per_minute -C -o -5 -e\n\
         \x20 python3 -c \"from kafka import KafkaConsumer; [print(m.value) for m in KafkaConsumer('card_activity', \
         bootstrap_servers='{kafka}')]\"\n\
         \x20 tidemill sql --server {http} -c \"SELECT * FROM card_activity WHERE verdict = 'review'\"\n\
         \x20 curl -s {http}/v1/sql -H 'content-type: application/json' -d '{{\"statement\":\"SHOW QUERIES\"}}'\n\
         \x20 curl -s {http}/metrics | grep tidemill_query\n\
         Ctrl-C stops the demo and removes its data.\n"
    )
}
