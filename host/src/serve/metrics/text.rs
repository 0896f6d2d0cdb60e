//! How metrics are written: families with their help and type, samples with their labels. It knows none by name.

use std::fmt::{Display, Write};

/// Before every name.
const PREFIX: &str = "speed_layer_";

/// One label, and another.
pub type Labels<'a> = [(&'a str, &'a str)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends with `_total`.
    Counter,
    Gauge,
    Histogram,
}

/// The families that were written, each followed by its samples.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    family: String,
}

impl Text {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = format!("{PREFIX}{name}");
        let family = &self.family;
        self.text += &format!("# HELP {family} {help}\n# TYPE {family} {kind}\n");
    }

    pub fn sample(&mut self, labels: &Labels<'_>, value: impl Display) {
        self.line("", labels, value);
    }

    /// A family with one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }

    /// The samples of one histogram: `buckets` are counts up to each of `bounds`, in seconds, and of the rest.
    pub fn histogram(&mut self, labels: &Labels<'_>, bounds: &[f64], buckets: &[u64], sum: f64) {
        let mut count = 0;
        let ends = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (end, bucket) in ends.zip(buckets) {
            count += bucket;
            self.line("_bucket", &[labels, &[("le", end.as_str())]].concat(), count);
        }
        self.line("_sum", labels, sum);
        self.line("_count", labels, count);
    }

    pub fn into_string(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: &Labels<'_>, value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let family = &self.family;
        // A string takes whatever is written to it.
        let _ = writeln!(self.text, "{family}{suffix}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_its_samples() {
        let mut text = Text::default();
        text.family("rows_total", Kind::Counter, "Rows.");
        text.sample(&[("reason", "a \"b\"\\\n"), ("stage", "parse")], 3);
        text.single("age_seconds", Kind::Gauge, "Age.", 1.5);
        let expected = "# HELP speed_layer_rows_total Rows.\n# TYPE speed_layer_rows_total counter\n\
                        speed_layer_rows_total{reason=\"a \\\"b\\\"\\\\\\n\",stage=\"parse\"} 3\n\
                        # HELP speed_layer_age_seconds Age.\n# TYPE speed_layer_age_seconds gauge\n\
                        speed_layer_age_seconds 1.5\n";
        assert_eq!(text.into_string(), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_hold_those_before_them() {
        let mut text = Text::default();
        text.family("took_seconds", Kind::Histogram, "Time.");
        text.histogram(&[("call", "parse")], &[0.001, 2.5], &[1, 0, 2], 9.25);
        let text = text.into_string();
        for line in [
            "_bucket{call=\"parse\",le=\"0.001\"} 1\n",
            "_bucket{call=\"parse\",le=\"2.5\"} 1\n",
            "_bucket{call=\"parse\",le=\"+Inf\"} 3\n",
            "_sum{call=\"parse\"} 9.25\n",
            "_count{call=\"parse\"} 3\n",
        ] {
            assert!(text.contains(&format!("speed_layer_took_seconds{line}")), "{text}");
        }
    }
}
