//! Figures that are read when somebody asks, written in Prometheus' text form.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use super::families::Family;

/// Collected figures, grouped by name.
#[derive(Debug, Default)]
pub struct Samples {
    families: BTreeMap<&'static str, Values>,
    /// The lines of all series of a histogram.
    histograms: BTreeMap<&'static str, (&'static Family, String)>,
}

/// How often something took how long, or was how large.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramFigures {
    /// Upper bounds of the buckets, ascending.
    pub bounds: &'static [f64],
    /// How many values fell into each bucket alone; the last, beyond all bounds, has none of these.
    pub counts: Vec<u64>,
    /// All values added up.
    pub sum: f64,
}

#[derive(Debug)]
struct Values {
    family: &'static Family,
    by_labels: BTreeMap<String, f64>,
}

impl Samples {
    /// Adds a value; `labels` are the values of the family's labels. Values of equal name and labels are added up, which
    /// is how series beyond a bound of labels are folded into one.
    pub fn add(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        *self.slot(family, labels).or_insert(0.0) += value;
    }

    /// As [`Samples::add`], but of equal names and labels the larger value stays.
    pub fn add_max(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        let slot = self.slot(family, labels).or_insert(value);
        *slot = slot.max(value);
    }

    /// Adds a histogram. Its labels are those of no other of this name.
    pub fn add_histogram(&mut self, family: &'static Family, labels: &[&str], figures: &HistogramFigures) {
        let name = family.name;
        let (_, text) = self.histograms.entry(name).or_insert((family, String::new()));
        let bounds = figures.bounds.iter().map(f64::to_string);
        let pairs = pairs(family, labels);
        let mut count = 0;
        for (bound, own) in bounds.chain(["+Inf".to_owned()]).zip(&figures.counts) {
            count += own;
            let of_bucket = [&pairs[..], &[format!("le=\"{bound}\"")]].concat();
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{name}_bucket{} {count}", in_braces(&of_bucket));
        }
        let labels = in_braces(&pairs);
        let _ = writeln!(text, "{name}_sum{labels} {}\n{name}_count{labels} {count}", figures.sum);
    }

    /// Everything as Prometheus text.
    pub fn render(&self, out: &mut String) {
        for (name, values) in &self.families {
            let (help, kind) = (values.family.help, values.family.kind.name());
            // Writing into a String cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in &values.by_labels {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        }
        for (name, (family, text)) in &self.histograms {
            let _ = write!(out, "# HELP {name} {}\n# TYPE {name} histogram\n{text}", family.help);
        }
    }

    fn slot(&mut self, family: &'static Family, labels: &[&str]) -> Entry<'_, String, f64> {
        let values = self.families.entry(family.name).or_insert_with(|| Values {
            family,
            by_labels: BTreeMap::new(),
        });
        values.by_labels.entry(rendered(family, labels))
    }
}

fn rendered(family: &Family, labels: &[&str]) -> String {
    in_braces(&pairs(family, labels))
}

/// Names and values of labels.
fn pairs(family: &Family, labels: &[&str]) -> Vec<String> {
    debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
    let pairs = family.labels.iter().zip(labels);
    pairs
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect()
}

fn in_braces(pairs: &[String]) -> String {
    match pairs {
        [] => String::new(),
        pairs => format!("{{{}}}", pairs.join(",")),
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::families::Kind;
    use super::*;

    static A: Family = Family {
        name: "a",
        kind: Kind::Gauge,
        labels: &[],
        help: "A.",
    };
    static B: Family = Family {
        name: "b",
        kind: Kind::Counter,
        labels: &["topic"],
        help: "B.",
    };

    static H: Family = Family {
        name: "h",
        kind: Kind::Histogram,
        labels: &["query"],
        help: "H.",
    };

    #[test]
    fn text_form() {
        let mut samples = Samples::default();
        samples.add(&B, &["a\"\n\\"], 1.0);
        samples.add(&B, &["_other"], 2.0);
        samples.add(&B, &["_other"], 3.0);
        samples.add_max(&A, &[], 1.5);
        samples.add_max(&A, &[], 0.5);
        let mut text = String::new();
        samples.render(&mut text);
        let expected = "# HELP a A.\n# TYPE a gauge\na 1.5\n# HELP b B.\n# TYPE b counter\n\
                        b{topic=\"_other\"} 5\nb{topic=\"a\\\"\\n\\\\\"} 1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let mut samples = Samples::default();
        let figures = HistogramFigures {
            bounds: &[0.5, 1.0],
            counts: vec![2, 0, 1],
            sum: 3.25,
        };
        samples.add_histogram(&H, &["q"], &figures);
        let mut text = String::new();
        samples.render(&mut text);
        let expected = "# HELP h H.\n# TYPE h histogram\n\
                        h_bucket{query=\"q\",le=\"0.5\"} 2\nh_bucket{query=\"q\",le=\"1\"} 2\n\
                        h_bucket{query=\"q\",le=\"+Inf\"} 3\nh_sum{query=\"q\"} 3.25\nh_count{query=\"q\"} 3\n";
        assert_eq!(text, expected);
    }
}
