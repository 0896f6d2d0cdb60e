//! Where rows came from: the map from the rows that a guest gave to the inputs that it
//! was given. Counts as checked only together with the rejects.

use std::cmp::Ordering;

use crate::Clause;

/// A parser's map: never falls; left out only when rows and records correspond one to one.
pub(crate) fn check_records(
    rows: usize,
    given: usize,
    records: Option<&[u32]>,
    rejected: &[u32],
) -> Result<(), Clause> {
    let Some(records) = records else { return check_left_out(rows, given, rejected) };
    check_length(rows, records)?;
    if let Some(row) = records.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(Clause::OriginsFall { row: row + 1 });
    }
    check_inside(given, records)?;
    check_disjoint(records, rejected)
}

/// A transform's map: rises strictly; left out only when every row is kept.
pub(crate) fn check_kept(
    rows: usize,
    given: usize,
    kept: Option<&[u32]>,
    rejected: &[u32],
) -> Result<(), Clause> {
    let Some(kept) = kept else { return check_left_out(rows, given, rejected) };
    check_length(rows, kept)?;
    if let Some(entry) = kept.windows(2).position(|pair| pair[1] <= pair[0]) {
        return Err(Clause::KeptNotRising { entry: entry + 1 });
    }
    check_inside(given, kept)?;
    check_disjoint(kept, rejected)
}

fn check_left_out(rows: usize, given: usize, rejected: &[u32]) -> Result<(), Clause> {
    let missing = |because| Err(Clause::OriginsMissing { given, rows, because });
    if !rejected.is_empty() {
        return missing("rejected some");
    }
    if rows != given {
        return missing("gave another count of rows");
    }
    Ok(())
}

fn check_length(rows: usize, origins: &[u32]) -> Result<(), Clause> {
    if origins.len() == rows { Ok(()) } else { Err(Clause::OriginsLength { rows, found: origins.len() }) }
}

/// The origins are known to rise, so the last is the greatest.
fn check_inside(given: usize, origins: &[u32]) -> Result<(), Clause> {
    match origins.last() {
        Some(origin) if *origin as usize >= given => {
            Err(Clause::OriginOutside { row: origins.len() - 1, origin: *origin, given })
        }
        _ => Ok(()),
    }
}

/// Both are known to rise.
fn check_disjoint(origins: &[u32], rejected: &[u32]) -> Result<(), Clause> {
    let (mut kept, mut refused) = (origins.iter().peekable(), rejected.iter().peekable());
    while let (Some(origin), Some(input)) = (kept.peek(), refused.peek()) {
        match origin.cmp(input) {
            Ordering::Less => drop(kept.next()),
            Ordering::Greater => drop(refused.next()),
            Ordering::Equal => return Err(Clause::RejectedAndKept { input: **input }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(usize, usize, Option<&[u32]>, &[u32]) -> Result<(), Clause>;

    fn check(
        check: Check,
        rows: usize,
        given: usize,
        origins: Option<&[u32]>,
        rejected: &[u32],
        expected: Result<(), Clause>,
    ) {
        let found = check(rows, given, origins, rejected);
        assert_eq!(found, expected, "{rows} rows of {given}: {origins:?}, rejected {rejected:?}");
    }

    #[test]
    fn a_map_is_left_out_only_when_rows_and_inputs_correspond() {
        for map in [check_records as Check, check_kept] {
            check(map, 3, 3, None, &[], Ok(()));
            check(map, 0, 0, None, &[], Ok(()));
            let missing = |given, rows, because| Err(Clause::OriginsMissing { given, rows, because });
            check(map, 2, 3, None, &[], missing(3, 2, "gave another count of rows"));
            check(map, 4, 3, None, &[], missing(3, 4, "gave another count of rows"));
            check(map, 3, 3, None, &[1], missing(3, 3, "rejected some"));
            check(map, 2, 3, None, &[1], missing(3, 2, "rejected some"));
        }
    }

    #[test]
    fn a_map_has_an_entry_for_each_row_and_points_at_given_inputs() {
        for map in [check_records as Check, check_kept] {
            check(map, 2, 3, Some(&[0, 2]), &[1], Ok(()));
            check(map, 0, 3, Some(&[]), &[0, 1, 2], Ok(()));
            check(map, 2, 3, Some(&[0]), &[], Err(Clause::OriginsLength { rows: 2, found: 1 }));
            check(map, 1, 3, Some(&[0, 1]), &[], Err(Clause::OriginsLength { rows: 1, found: 2 }));
            check(map, 2, 3, Some(&[0, 3]), &[], Err(Clause::OriginOutside { row: 1, origin: 3, given: 3 }));
            check(map, 1, 0, Some(&[0]), &[], Err(Clause::OriginOutside { row: 0, origin: 0, given: 0 }));
        }
    }

    #[test]
    fn no_input_gives_a_row_and_is_rejected_too() {
        for map in [check_records as Check, check_kept] {
            let both = |input| Err(Clause::RejectedAndKept { input });
            check(map, 2, 4, Some(&[0, 2]), &[2], both(2));
            check(map, 3, 4, Some(&[1, 2, 3]), &[0, 3], both(3));
            check(map, 1, 4, Some(&[2]), &[0, 1, 3], Ok(()));
        }
    }

    #[test]
    fn a_record_may_give_several_rows_but_a_row_is_kept_once() {
        check(check_records, 4, 3, Some(&[0, 0, 2, 2]), &[1], Ok(()));
        check(check_records, 2, 3, Some(&[2, 1]), &[], Err(Clause::OriginsFall { row: 1 }));
        check(check_kept, 2, 3, Some(&[1, 1]), &[], Err(Clause::KeptNotRising { entry: 1 }));
        check(check_kept, 2, 3, Some(&[2, 1]), &[], Err(Clause::KeptNotRising { entry: 1 }));
    }
}
