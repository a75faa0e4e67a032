//! Figures that are read when somebody asks, written in Prometheus' text form.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Type of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// May go up and down.
    Gauge,
    /// Only goes up.
    Counter,
}

/// Collected figures, grouped by name.
#[derive(Debug, Default)]
pub struct Samples {
    families: BTreeMap<&'static str, Family>,
}

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: SampleKind,
    values: BTreeMap<String, f64>,
}

impl Samples {
    /// Adds a value. Values of equal name and labels are added up, which is how series beyond a bound of labels are
    /// folded into one.
    pub fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: SampleKind,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        *self.slot(name, help, kind, labels).or_insert(0.0) += value;
    }

    /// As [`Samples::add`], but of equal names and labels the larger value stays.
    pub fn add_max(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        let slot = self.slot(name, help, SampleKind::Gauge, labels).or_insert(value);
        *slot = slot.max(value);
    }

    /// Everything as Prometheus text.
    pub fn render(&self, out: &mut String) {
        for (name, family) in &self.families {
            let kind = match family.kind {
                SampleKind::Gauge => "gauge",
                SampleKind::Counter => "counter",
            };
            // Writing into a String cannot fail.
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            for (labels, value) in &family.values {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        }
    }

    fn slot(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: SampleKind,
        labels: &[(&str, &str)],
    ) -> std::collections::btree_map::Entry<'_, String, f64> {
        let family = self.families.entry(name).or_insert_with(|| Family {
            help,
            kind,
            values: BTreeMap::new(),
        });
        family.values.entry(rendered(labels))
    }
}

fn rendered(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form() {
        let mut samples = Samples::default();
        samples.add("b", "B.", SampleKind::Counter, &[("topic", "a\"\n\\")], 1.0);
        samples.add("b", "B.", SampleKind::Counter, &[("topic", "_other")], 2.0);
        samples.add("b", "B.", SampleKind::Counter, &[("topic", "_other")], 3.0);
        samples.add_max("a", "A.", &[], 1.5);
        samples.add_max("a", "A.", &[], 0.5);
        let mut text = String::new();
        samples.render(&mut text);
        let expected = "# HELP a A.\n# TYPE a gauge\na 1.5\n# HELP b B.\n# TYPE b counter\n\
                        b{topic=\"_other\"} 5\nb{topic=\"a\\\"\\n\\\\\"} 1\n";
        assert_eq!(text, expected);
    }
}
