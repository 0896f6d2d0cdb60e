//! Which plugins served which part of a stretch. Plain arithmetic on the histories that a
//! footer holds: no file and no plugin is looked at.

use std::collections::BTreeMap;

use speed_layer_core::commit::{OffsetMark, PluginUse, StageUse};

use crate::job::replay::Stretch;

/// A part of a stretch, and the plugin of each stage that served it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub stretch: Stretch,
    /// By the stage's name.
    pub stages: BTreeMap<String, PluginUse>,
}

/// A history that does not say who served a stretch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    #[error("the footer names no plugin of stage {stage}")]
    NoPlugin { stage: String },
    #[error(
        "the footer does not go back far enough: of the plugins of stage {stage} it knows those since offset {from} of \
         partition {partition}, and the rows begin at offset {lowest}"
    )]
    TooShort { stage: String, partition: i32, from: i64, lowest: i64 },
    #[error("the offsets from which the footer's plugins served are in no order of time")]
    NoOrder,
}

/// An offset for each partition of the stretch, inside it.
type Cut = BTreeMap<i32, i64>;

/// One stage's plugins with the cuts from which they served, the first from the beginning.
struct Line<'a> {
    stage: &'a str,
    uses: Vec<(Cut, &'a PluginUse)>,
}

/// The parts of a stretch in the order in which they were read; none is empty.
///
/// # Errors
/// [`HistoryError`].
pub fn segments(stages: &[StageUse], stretch: &Stretch) -> Result<Vec<Segment>, HistoryError> {
    let lines = stages.iter().map(|stage| Line::of(stage, stretch)).collect::<Result<Vec<_>, _>>()?;
    let mut cuts: Vec<&Cut> = lines.iter().flat_map(|line| line.uses.iter().map(|(from, _)| from)).collect();
    cuts.sort_by_key(|cut| cut.values().sum::<i64>());
    cuts.dedup();
    if cuts.windows(2).any(|pair| !is_before(pair[0], pair[1])) {
        return Err(HistoryError::NoOrder);
    }
    let end: Cut = stretch.ranges.iter().map(|(&partition, range)| (partition, range.end)).collect();
    let ends = cuts.iter().copied().skip(1).chain([&end]);
    let segment = |(from, to): (&Cut, &Cut)| {
        let ranges = from.iter().map(|(partition, start)| (*partition, *start..to[partition]));
        let stretch = Stretch { topic_id: stretch.topic_id.clone(), ..Stretch::new(&stretch.topic, ranges) };
        let stages = lines.iter().map(|line| (line.stage.to_owned(), line.at(from).clone()));
        Segment { stretch, stages: stages.collect() }
    };
    let segments = cuts.iter().copied().zip(ends).map(segment);
    Ok(segments.filter(|segment| !segment.stretch.ranges.is_empty()).collect())
}

impl<'a> Line<'a> {
    fn of(stage: &'a StageUse, stretch: &Stretch) -> Result<Self, HistoryError> {
        let mut uses: Vec<(Cut, &PluginUse)> = Vec::new();
        let [first, later @ ..] = stage.plugins.as_slice() else {
            return Err(HistoryError::NoPlugin { stage: stage.stage.clone() });
        };
        check_beginning(stage, first, stretch)?;
        uses.push((clamped(&[], stretch), first));
        for used in later {
            let from = clamped(&used.from, stretch);
            // A later one that served again from further back, its windows made anew,
            // leaves nothing of those before it.
            while uses.len() > 1 && uses.last().is_some_and(|(last, _)| is_before(&from, last)) {
                uses.pop();
            }
            match uses.last_mut() {
                Some((last, of)) if is_before(&from, last) => *of = used,
                Some((last, of)) if is_same(of, used) => *last = lower(last, &from),
                _ => uses.push((from, used)),
            }
        }
        Ok(Self { stage: &stage.stage, uses })
    }

    /// The plugin that served from this cut on.
    fn at(&self, cut: &Cut) -> &'a PluginUse {
        let begun = self.uses.iter().rev().find(|(from, _)| is_before(from, cut));
        begun.unwrap_or(&self.uses[0]).1
    }
}

fn check_beginning(stage: &StageUse, first: &PluginUse, stretch: &Stretch) -> Result<(), HistoryError> {
    first.from.iter().try_for_each(|mark| match stretch.ranges.get(&mark.partition) {
        Some(range) if range.start < mark.offset => Err(HistoryError::TooShort {
            stage: stage.stage.clone(),
            partition: mark.partition,
            from: mark.offset,
            lowest: range.start,
        }),
        _ => Ok(()),
    })
}

/// These offsets, brought inside the stretch. A partition without one was not known then: all
/// of it came later.
fn clamped(marks: &[OffsetMark], stretch: &Stretch) -> Cut {
    let inside = |(&partition, range): (&i32, &std::ops::Range<i64>)| {
        let mark = marks.iter().find(|mark| mark.partition == partition);
        (partition, mark.map_or(range.start, |mark| mark.offset.clamp(range.start, range.end)))
    };
    stretch.ranges.iter().map(inside).collect()
}

fn is_same(one: &PluginUse, other: &PluginUse) -> bool {
    one.digest == other.digest && one.config == other.config
}

fn lower(one: &Cut, other: &Cut) -> Cut {
    one.iter().zip(other).map(|((partition, one), (_, other))| (*partition, *one.min(other))).collect()
}

fn is_before(one: &Cut, other: &Cut) -> bool {
    one.iter().zip(other).all(|((_, one), (_, other))| one <= other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use speed_layer_core::commit::Digest;

    /// A plugin named by a number, from these offsets of the partitions 0, 1, ….
    fn used(number: u8, from: &[i64]) -> PluginUse {
        let mark =
            |(partition, offset): (i32, &i64)| OffsetMark { topic: "t".into(), partition, offset: *offset };
        let from = (0..).zip(from).map(mark).collect();
        PluginUse { name: number.to_string(), digest: Digest([number; 32]), config: Digest([0; 32]), from }
    }

    fn stage(name: &str, plugins: &[PluginUse]) -> StageUse {
        StageUse { stage: name.into(), plugins: plugins.to_vec() }
    }

    /// Of the stretch 10..20 of partition 0 and 5..9 of partition 1: ranges and plugins.
    fn check(stages: &[StageUse], expected: &[([i64; 4], &str)]) {
        let stretch = Stretch::new("t", [(0, 10..20), (1, 5..9)]);
        let found = segments(stages, &stretch).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|segment| {
                let names = segment.stages.values().map(|used| used.name.as_str()).collect::<Vec<_>>();
                (segment.stretch.clone(), names.join(" "))
            })
            .collect();
        let wanted = expected.iter().map(|([a, b, c, d], names)| {
            (Stretch::new("t", [(0, *a..*b), (1, *c..*d)]), (*names).to_owned())
        });
        assert_eq!(shown, wanted.collect::<Vec<_>>());
    }

    #[test]
    fn a_plugin_serves_from_its_offsets_to_those_of_the_next() {
        let whole = [10, 20, 5, 9];
        check(&[stage("a", &[used(1, &[0, 0])])], &[(whole, "1")]);
        check(&[stage("a", &[used(1, &[0, 0]), used(2, &[10, 3])])], &[(whole, "2")]);
        check(&[stage("a", &[used(1, &[0, 0]), used(2, &[20, 9])])], &[(whole, "1")]);
        let twice = [used(1, &[0, 0]), used(2, &[12, 6]), used(3, &[12, 8])];
        let expected = [([10, 12, 5, 6], "1"), ([12, 12, 6, 8], "2"), ([12, 20, 8, 9], "3")];
        check(&[stage("a", &twice)], &expected);
    }

    #[test]
    fn the_stages_cuts_are_taken_together() {
        let stages = [
            stage("a", &[used(1, &[0, 0]), used(2, &[15, 7])]),
            stage("b", &[used(3, &[0, 0]), used(4, &[12, 7]), used(5, &[18, 8])]),
        ];
        let expected = [
            ([10, 12, 5, 7], "1 3"),
            ([12, 15, 7, 7], "1 4"),
            ([15, 18, 7, 8], "2 4"),
            ([18, 20, 8, 9], "2 5"),
        ];
        check(&stages, &expected);
    }

    #[test]
    fn a_partition_that_came_later_is_all_after_the_cut() {
        let plugins = [used(1, &[0]), used(2, &[14])];
        check(&[stage("a", &plugins)], &[([10, 14, 5, 5], "1"), ([14, 20, 5, 9], "2")]);
    }

    #[test]
    fn a_plugin_that_made_its_windows_anew_leaves_nothing_of_those_before() {
        let plugins = [used(1, &[0, 0]), used(2, &[15, 7]), used(3, &[11, 6])];
        check(&[stage("a", &plugins)], &[([10, 11, 5, 6], "1"), ([11, 20, 6, 9], "3")]);
        let plugins = [used(1, &[0, 0]), used(2, &[15, 7]), used(3, &[9, 5])];
        check(&[stage("a", &plugins)], &[([10, 20, 5, 9], "3")]);
        let same = [used(1, &[0, 0]), used(2, &[15, 6]), used(2, &[11, 8])];
        check(&[stage("a", &same)], &[([10, 11, 5, 6], "1"), ([11, 20, 6, 9], "2")]);
    }

    #[test]
    fn a_history_that_does_not_tell_is_refused() {
        let stretch = Stretch::new("t", [(0, 10..20), (1, 5..9)]);
        let refused = |stages: &[StageUse]| segments(stages, &stretch).unwrap_err();
        assert!(matches!(refused(&[stage("a", &[])]), HistoryError::NoPlugin { .. }));
        let late = refused(&[stage("a", &[used(1, &[0, 6])])]);
        assert!(matches!(late, HistoryError::TooShort { partition: 1, from: 6, lowest: 5, .. }));
        let crossed = [
            stage("a", &[used(1, &[0, 0]), used(2, &[15, 6])]),
            stage("b", &[used(1, &[0, 0]), used(2, &[12, 8])]),
        ];
        assert_eq!(refused(&crossed), HistoryError::NoOrder);
    }
}
