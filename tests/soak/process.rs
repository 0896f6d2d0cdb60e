//! How large a process is, by what the kernel tells of it.

use std::fs;

use anyhow::{Context, Result};

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub resident_kb: u64,
    pub files: u64,
    pub maps: u64,
}

impl Size {
    /// # Errors
    /// The process is gone.
    pub fn of(process: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|rest| rest.trim().strip_suffix(" kB"));
        Ok(Self {
            resident_kb: resident.context("no VmRSS")?.trim().parse()?,
            files: fs::read_dir(format!("/proc/{process}/fd"))?.count() as u64,
            maps: fs::read_to_string(format!("/proc/{process}/maps"))?.lines().count() as u64,
        })
    }
}

/// What has grown between the first swaps and the last; negative where it has shrunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    pub resident_mb: f64,
    pub files: i64,
    pub maps: i64,
}

/// So many sizes are taken together, since each moment has a batch or a commit of its own.
const TOGETHER: usize = 10;

impl Growth {
    /// From the sizes after each swap, of which the first `settled` are no matter.
    pub fn of(sizes: &[Size], settled: usize) -> Self {
        let settled = settled.min(sizes.len());
        let before = &sizes[settled.saturating_sub(TOGETHER)..settled];
        let after = &sizes[sizes.len().saturating_sub(TOGETHER)..];
        let resident = |of: &[Size]| median(of.iter().map(|size| size.resident_kb as i64));
        // A count that goes up and down has grown when its least is above what was its greatest.
        let count = |of: fn(&Size) -> i64| {
            let least_after = after.iter().map(of).min().unwrap_or_default();
            least_after - before.iter().map(of).max().unwrap_or_default()
        };
        Self {
            resident_mb: (resident(after) - resident(before)) as f64 / 1024.0,
            files: count(|size| size.files as i64),
            maps: count(|size| size.maps as i64),
        }
    }
}

fn median(values: impl Iterator<Item = i64>) -> i64 {
    let mut values: Vec<i64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(resident_kb: u64, files: u64) -> Size {
        Size { resident_kb, files, maps: 7 }
    }

    #[test]
    fn what_leaks_has_grown_and_what_swings_has_not() {
        let swinging: Vec<Size> = (0..100).map(|swap| size(1024 * (90 + swap % 3), 5 + swap % 2)).collect();
        let growth = Growth::of(&swinging, 50);
        assert!(growth.resident_mb.abs() < 3.0 && growth.files <= 0 && growth.maps == 0, "{growth:?}");
        let leaking: Vec<Size> = (0..100).map(|swap| size(1024 * (90 + swap), 5 + swap)).collect();
        let growth = Growth::of(&leaking, 50);
        assert!(growth.resident_mb > 40.0 && growth.files > 30, "{growth:?}");
    }

    #[test]
    fn this_process_has_a_size() {
        let own = Size::of(std::process::id()).expect("it runs");
        assert!(own.resident_kb > 1_000 && own.files >= 3 && own.maps > 10, "{own:?}");
    }
}
