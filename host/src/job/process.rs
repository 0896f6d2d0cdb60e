//! What the kernel knows of this process: when it started, what it weighs.

use std::time::Duration;

/// Milliseconds since the kernel started this process; `None` where it does not say.
pub fn age_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let started_ticks: u64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
    let started =
        Duration::from_secs_f64(started_ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
    Some(now.saturating_sub(started).as_millis() as u64)
}

/// The most memory that this process has held, in MiB; it starts no children.
pub fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kb: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kb / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_our_age_and_weight() {
        let age_ms = age_ms().unwrap();
        assert!(age_ms < 24 * 3_600_000, "{age_ms}");
        assert!(peak_rss_mb().unwrap() < 24 * 1024);
    }
}
