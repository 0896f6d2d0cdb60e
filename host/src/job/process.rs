//! What the kernel knows of this process: when it started, what it weighs.

use std::path::Path;
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
    status_kb("VmHWM:").map(|kb| kb / 1024)
}

fn status_kb(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// The memory that this process holds, bytes.
pub fn rss_bytes() -> Option<u64> {
    status_kb("VmRSS:").map(|kb| kb * 1024)
}

/// What this process may have at most: the machine's memory, or less where a container's
/// limit is lower. `None` where the kernel does not say.
pub fn memory_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kb: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(cgroup_limits().into_iter().fold(kb * 1024, u64::min))
}

/// The limits of the control groups that this process is in, from its own up to the root's.
fn cgroup_limits() -> Vec<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let version_2 = Path::new("/sys/fs/cgroup").join(own);
    let version_2 = version_2.ancestors().take_while(|path| path.starts_with("/sys/fs/cgroup"));
    let version_1 = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").to_owned();
    let files = version_2.map(|path| path.join("memory.max")).chain([version_1]);
    files.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_our_age_and_weight() {
        let age_ms = age_ms().unwrap();
        assert!(age_ms < 24 * 3_600_000, "{age_ms}");
        assert!(peak_rss_mb().unwrap() < 24 * 1024);
        assert!(rss_bytes().unwrap() > 1 << 20);
        assert!(memory_bytes().unwrap() > 64 << 20);
    }
}
