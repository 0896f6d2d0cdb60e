//! What a process and all that it starts cost, looked at from outside: processor time, memory, and when something
//! first appears. What lives less long than the time between two looks is missed; each look is at the whole tree.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(3_600);
/// Of Linux on every machine that this is for.
const TICKS_PER_S: f64 = 100.0;
const PAGE_BYTES: u64 = 4_096;

/// One run.
#[derive(Debug, Clone)]
pub struct Watched {
    pub status: ExitStatus,
    pub stdout: String,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub peak_rss_bytes: u64,
    /// From the start to the first file that `appears` found.
    pub appeared_s: Option<f64>,
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be started, or takes longer than an hour.
pub fn watch(command: &mut Command, log: &Path, appears: impl Fn() -> bool) -> Result<Watched> {
    let said = log.with_extension("out");
    command.stdin(Stdio::null()).stdout(fs::File::create(&said)?).stderr(fs::File::create(log)?);
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let (mut cpu, mut peak_rss_bytes, mut appeared_s) = (HashMap::new(), 0, None);
    let status = loop {
        if appeared_s.is_none() && appears() {
            appeared_s = Some(began.elapsed().as_secs_f64());
        }
        peak_rss_bytes = look(child.id(), &mut cpu).max(peak_rss_bytes);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > LIMIT {
            child.kill()?;
            bail!("{:?} did not end within an hour", command.get_program());
        }
        std::thread::sleep(LOOK_EVERY);
    };
    Ok(Watched {
        status,
        stdout: fs::read_to_string(&said)?,
        wall_s: began.elapsed().as_secs_f64(),
        cpu_s: cpu.values().sum(),
        peak_rss_bytes,
        appeared_s,
    })
}

/// The processor time of one process that lives on, seconds.
pub fn cpu_s(process: u32) -> Option<f64> {
    Stat::of(process).map(|stat| stat.cpu_s)
}

/// Notes what each process of the tree has used so far; gives what they hold together, bytes.
fn look(root: u32, cpu: &mut HashMap<u32, f64>) -> u64 {
    let all: HashMap<u32, Stat> =
        processes().into_iter().filter_map(|id| Some((id, Stat::of(id)?))).collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&parent) = tree.get(at) {
        tree.extend(all.iter().filter(|(_, stat)| stat.parent == parent).map(|(id, _)| *id));
        at += 1;
    }
    let mut rss_bytes = 0;
    for (id, stat) in tree.iter().filter_map(|id| Some((*id, all.get(id)?))) {
        cpu.insert(id, stat.cpu_s);
        rss_bytes += stat.rss_bytes;
    }
    rss_bytes
}

struct Stat {
    parent: u32,
    cpu_s: f64,
    rss_bytes: u64,
}

impl Stat {
    /// `None` once it is gone.
    fn of(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before it may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            cpu_s: (number(11)? + number(12)?) as f64 / TICKS_PER_S,
            rss_bytes: number(21)? * PAGE_BYTES,
        })
    }
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_watched_with_those_that_it_starts() {
        let folder = tempfile::tempdir().expect("room");
        let mark = folder.path().join("mark");
        let script = format!(
            "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; touch {}; sleep 0.3) & wait; echo done",
            mark.display()
        );
        let watched =
            watch(Command::new("sh").args(["-c", &script]), &folder.path().join("log"), || mark.exists());
        let watched = watched.expect("it ends");
        assert!(watched.status.success() && watched.stdout == "done\n", "{watched:?}");
        assert!(watched.cpu_s > 0.02 && watched.cpu_s <= watched.wall_s * 2.0, "{watched:?}");
        assert!(watched.peak_rss_bytes > 1 << 19, "{watched:?}");
        assert!(watched.appeared_s.is_some_and(|at| at > 0.0 && at < watched.wall_s), "{watched:?}");
    }
}
