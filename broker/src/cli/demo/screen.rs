//! What the demo shows: a picture that is drawn again every second on a terminal, one line per second elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use crossterm::{cursor, execute, terminal};

/// Rows of each kind on a line; the screen has room for all.
const LINE_ROWS: usize = 3;

/// Where the server and the program are.
pub(super) struct Place {
    /// Address of the Kafka port.
    pub(super) kafka: String,
    /// Base URL of the HTTP port.
    pub(super) http: String,
    /// The program as a shell finds it, on the PATH or not.
    pub(super) program: String,
}

/// Everything on the screen at one moment.
pub(super) struct Picture<'a> {
    /// Where the server is.
    pub(super) place: &'a Place,
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
            "{:>4}s  in={}/s  out={}/s  lag={lag}{latency}  clicks: {}  review: {}",
            self.elapsed_s,
            self.events_per_s,
            self.rows_per_s,
            self.busiest_pages(),
            self.dearest_cards(),
        )
    }

    /// The pages with most clicks in the newest minute.
    fn busiest_pages(&self) -> String {
        let mut pages: Vec<_> = self.pages.iter().collect();
        pages.sort_by_key(|(_, clicks, _)| std::cmp::Reverse(*clicks));
        let shown = pages.iter().map(|(page, clicks, _)| format!("{page} {clicks}"));
        few(shown, pages.len())
    }

    /// Cards to look at, with what was spent.
    fn dearest_cards(&self) -> String {
        let shown = self.flagged.iter().map(|(card, _, total)| format!("{card} {total}"));
        few(shown, self.flagged.len())
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
            self.elapsed_s, self.place.kafka, self.place.http
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
        write!(text, "\n{}", self.place.instructions())
    }
}

/// The first few of `count` items, and how many more there are.
fn few(items: impl Iterator<Item = String>, count: usize) -> String {
    let shown: Vec<String> = items.take(LINE_ROWS).collect();
    match (shown.is_empty(), count.saturating_sub(LINE_ROWS)) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Place {
    /// Lines to paste into a second terminal.
    pub(super) fn instructions(&self) -> String {
        let Place { kafka, http, program } = self;
        format!(
            "In a second terminal:\n\
             \x20 kcat -b {kafka} -t clicks_per_minute -C -o -5 -c 5\n\
             \x20 python3 -c \"from kafka import KafkaConsumer; [print(m.value) for m in KafkaConsumer('card_activity', \
             bootstrap_servers='{kafka}')]\"\n\
             \x20 {program} sql --server {http} -c \"SELECT * FROM card_activity WHERE verdict = 'review'\"\n\
             \x20 curl -s {http}/v1/sql -H 'content-type: application/json' -d '{{\"statement\":\"SHOW QUERIES\"}}'\n\
             \x20 curl -s {http}/metrics | grep tidemill_query\n\
             Ctrl-C stops the demo and removes its data.\n"
        )
    }
}

/// This program as a shell has to be told: its own path, because nothing says that it is on the PATH.
pub(super) fn own_path() -> String {
    let Ok(path) = std::env::current_exe() else {
        return "tidemill".to_owned();
    };
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match path.chars().all(is_plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_a_few_results_and_counts_the_rest() {
        let place = Place {
            kafka: "k".to_owned(),
            http: "h".to_owned(),
            program: "p".to_owned(),
        };
        let pages = [("/", 5), ("/cart", 9), ("/help", 1), ("/search", 7)];
        let picture = Picture {
            place: &place,
            elapsed_s: 3,
            events_per_s: 500,
            rows_per_s: 20,
            lags: vec![("a".to_owned(), 2), ("b".to_owned(), 1)],
            latency_ms: Some((7, 90)),
            minute: String::new(),
            pages: pages.map(|(page, clicks)| (page.to_owned(), clicks, 1)).to_vec(),
            flagged: Vec::new(),
        };
        assert_eq!(
            picture.line(),
            "   3s  in=500/s  out=20/s  lag=3  latency p50=7ms p99=90ms  \
             clicks: /cart 9, /search 7, / 5 and 1 more  review: none"
        );
    }
}
