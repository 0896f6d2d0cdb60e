//! The text format of Prometheus, read strictly: what is not as the format wants it is an error. It knows the format's
//! rules and those of good names, and no metric by name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

pub type Labels = BTreeMap<String, String>;

/// One family of metrics.
#[derive(Debug, Clone, Default)]
pub struct Family {
    pub help: String,
    pub kind: String,
    /// With the name's end (`_bucket`, `_sum`, `_count` of a histogram, else none).
    pub samples: Vec<(String, Labels, f64)>,
}

/// All families by their names.
#[derive(Debug, Clone, Default)]
pub struct Metrics(pub BTreeMap<String, Family>);

impl Metrics {
    /// # Errors
    /// The line that is wrong, and how.
    pub fn parse(text: &str) -> Result<Self> {
        ensure!(text.ends_with('\n'), "the last line is cut");
        let (mut families, mut now) = (BTreeMap::<String, Family>::new(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').with_context(|| format!("no help: {line}"))?;
                let family = Family { help: help.to_owned(), ..Family::default() };
                ensure!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
                now = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').with_context(|| format!("no type: {line}"))?;
                ensure!(name == now, "the type of {name} does not follow its help");
                families.entry(now.clone()).or_default().kind = kind.to_owned();
            } else {
                let (name, labels, value) = sample(line).with_context(|| line.to_owned())?;
                let end =
                    name.strip_prefix(&now).with_context(|| format!("{name} is not of {now}"))?.to_owned();
                families.entry(now.clone()).or_default().samples.push((end, labels, value));
            }
        }
        families.iter().try_for_each(|(name, family)| check(name, family))?;
        Ok(Self(families))
    }

    /// The sum over the samples that have these labels; 0 where there are none.
    ///
    /// # Panics
    /// There is no such family.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let family = self.0.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        let has =
            |of: &Labels| labels.iter().all(|(name, value)| of.get(*name).is_some_and(|own| own == value));
        let fits =
            family.samples.iter().filter(|(end, of, _)| matches!(end.as_str(), "" | "_count") && has(of));
        fits.map(|(_, _, value)| value).sum()
    }
}

/// Types, names and histograms are as the format and its conventions want them.
fn check(name: &str, family: &Family) -> Result<()> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    ensure!(name.chars().all(is_part), "{name} is no good name");
    ensure!(family.help.ends_with('.'), "the help of {name} is no sentence");
    ensure!(name.ends_with("_total") == (family.kind == "counter"), "{name} is a {}", family.kind);
    let mut seen = BTreeSet::new();
    for (end, labels, value) in &family.samples {
        let expected = match family.kind.as_str() {
            "counter" | "gauge" => end.is_empty(),
            "histogram" => matches!(end.as_str(), "_bucket" | "_sum" | "_count"),
            other => bail!("{name} has the unknown type {other}"),
        };
        ensure!(expected, "{name}{end} is no sample of a {}", family.kind);
        ensure!(family.kind == "gauge" || *value >= 0.0, "{name}{end} is {value}");
        ensure!(seen.insert((end, labels)), "{name}{end} comes twice: {labels:?}");
    }
    if family.kind == "histogram" { check_buckets(name, family) } else { Ok(()) }
}

/// Buckets rise, in bound and count, to `+Inf`, which is the count.
fn check_buckets(name: &str, family: &Family) -> Result<()> {
    let of = |wanted: &'static str| family.samples.iter().filter(move |(end, _, _)| end == wanted);
    for (_, labels, count) in of("_count") {
        let mut last = (f64::NEG_INFINITY, 0.0);
        for (_, own, value) in of("_bucket") {
            let mut own = own.clone();
            let bound = own.remove("le").with_context(|| format!("{name} has a bucket without a bound"))?;
            if own == *labels {
                let bound: f64 = bound.parse()?;
                ensure!(bound > last.0 && *value >= last.1, "the buckets of {name} do not rise");
                last = (bound, *value);
            }
        }
        ensure!(last == (f64::INFINITY, *count), "the buckets of {name} do not end at its count");
    }
    Ok(())
}

fn sample(line: &str) -> Result<(String, Labels, f64)> {
    let (name, rest) = match line.find('{') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => {
            let (name, value) = line.split_once(' ').context("no value")?;
            return Ok((name.to_owned(), Labels::new(), value.parse()?));
        }
    };
    let (mut labels, mut rest) = (Labels::new(), rest);
    loop {
        let (label, after) = rest.split_once("=\"").context("no label")?;
        let (value, after) = quoted(after)?;
        ensure!(labels.insert(label.to_owned(), value).is_none(), "{label} comes twice");
        match (after.strip_prefix(','), after.strip_prefix("} ")) {
            (Some(more), _) => rest = more,
            (None, Some(value)) => return Ok((name.to_owned(), labels, value.parse()?)),
            _ => bail!("the labels do not end"),
        }
    }
}

/// A value up to its quote, and what follows that.
fn quoted(text: &str) -> Result<(String, &str)> {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => bail!("an unknown escape"),
            },
            letter => value.push(letter),
        }
    }
    bail!("a value without an end")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"1\",y=\"a,} \\\"b\\\\\"} 2\n\
                        a_total{x=\"2\",y=\"\"} 3\n# HELP h_seconds Time.\n# TYPE h_seconds histogram\n\
                        h_seconds_bucket{le=\"0.5\"} 1\nh_seconds_bucket{le=\"+Inf\"} 4\nh_seconds_sum 9.5\n\
                        h_seconds_count 4\n# HELP e None.\n# TYPE e gauge\n";

    #[test]
    fn families_and_samples_are_found() {
        let metrics = Metrics::parse(GOOD).expect("it is right");
        assert_eq!(metrics.0.len(), 3);
        assert_eq!(metrics.sum("a_total", &[]), 5.0);
        assert_eq!(metrics.sum("a_total", &[("y", "a,} \"b\\")]), 2.0);
        assert_eq!(metrics.sum("h_seconds", &[]), 4.0);
        assert_eq!(metrics.sum("e", &[]), 0.0);
    }

    #[test]
    fn what_the_format_does_not_allow_is_seen() {
        for (from, to) in [
            ("a_total{x=\"2\",y=\"\"}", "b_total"),
            ("x=\"2\",y=\"\"", "x=\"1\",y=\"a,} \\\"b\\\\\""),
            ("a_total counter", "a_total gauge"),
            ("h_seconds histogram", "h_seconds summary"),
            ("le=\"+Inf\"} 4", "le=\"+Inf\"} 5"),
            ("le=\"0.5\"} 1", "le=\"0.5\"} 5"),
            ("# HELP e None.\n", ""),
            ("y=\"\"}", "y=\"}"),
            ("} 3", "} three"),
            ("None.", "none"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            assert!(Metrics::parse(&GOOD.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }
}
