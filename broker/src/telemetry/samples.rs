//! Figures that are read when somebody asks, written in Prometheus' text form.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write;

use super::families::Family;

/// Collected figures, grouped by name.
#[derive(Debug, Default)]
pub struct Samples {
    families: BTreeMap<&'static str, Values>,
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
    debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = family
        .labels
        .iter()
        .zip(labels)
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
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
}
