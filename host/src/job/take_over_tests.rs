//! Owners of a job, played by small processes: this test holds the lock, the lock file
//! names one of them, and the lock is freed when that one has ended.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use speed_layer_core::commit::JobName;
use speed_layer_store::layer::LockAttempt;
use speed_layer_store::{Layout, PosixStore};

use super::*;

const PATIENCE: Patience = Patience {
    unnamed: Duration::from_millis(100),
    asked: Duration::from_millis(400),
    killed: Duration::from_secs(20),
};

struct Job {
    folder: tempfile::TempDir,
}

impl Job {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("daily")).unwrap();
        Self { folder }
    }

    fn lock(&self) -> PathBuf {
        self.folder.path().join("daily/lock")
    }

    fn store(&self) -> DiskStore {
        let layout = Layout::new(JobName::new("daily").unwrap(), self.folder.path(), &[]).unwrap();
        PosixStore::new(DiskLayer, layout)
    }

    /// Takes the job over from `child`, which the lock file names as `owner`.
    fn take_over_from(&self, mut child: Child, owner: Owner) -> (anyhow::Result<()>, ExitStatus) {
        let LockAttempt::Taken(held) = DiskLayer.lock(&self.lock()).unwrap() else { panic!("it is held") };
        fs::write(self.lock(), format!("{owner}\n")).unwrap();
        let (store, taker) = (self.store(), |store: DiskStore| take_over(&store, PATIENCE));
        let taking = thread::spawn(move || taker(store));
        let status = child.wait().unwrap();
        drop(held);
        (taking.join().unwrap(), status)
    }
}

fn owner(child: &Child) -> Owner {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let start_ticks = after_name.split_whitespace().nth(19).unwrap().parse().unwrap();
    Owner { pid: child.id(), start_ticks }
}

/// A shell that has run `script` as far as its `echo`.
fn started(script: &str) -> Child {
    use std::io::Read;
    let mut child =
        Command::new("sh").args(["-c", script]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}

/// What the owner of each kind ends by.
fn check(script: &str, stopped: bool, ended_by: i32) {
    let (job, child) = (Job::new(), started(script));
    if stopped {
        Command::new("kill").args(["-STOP", &child.id().to_string()]).status().unwrap();
    }
    let owner = owner(&child);
    let (outcome, status) = job.take_over_from(child, owner);
    outcome.unwrap();
    assert_eq!(status.signal(), Some(ended_by), "{script}");
}

#[test]
fn an_owner_is_asked_first_and_killed_where_it_does_not_listen() {
    let (term, kill) = (Signal::TERM.as_raw(), Signal::KILL.as_raw());
    let deaf = "trap '' TERM; echo; while :; do sleep 1; done";
    check("echo; exec sleep 60", false, term);
    check("echo; exec sleep 60", true, term);
    check(deaf, false, kill);
    check(deaf, true, kill);
}

#[test]
fn a_number_that_another_process_has_now_is_never_signalled() {
    let (job, child) = (Job::new(), started("echo; exec sleep 60"));
    let LockAttempt::Taken(_held) = DiskLayer.lock(&job.lock()).unwrap() else { panic!("it is held") };
    let recorded = Owner { start_ticks: owner(&child).start_ticks + 1, ..owner(&child) };
    fs::write(job.lock(), format!("{recorded}\n")).unwrap();
    let said = take_over(&job.store(), PATIENCE).unwrap_err().to_string();
    assert!(said.contains(&format!("names process {}, which is gone or another one", child.id())), "{said}");
    assert!(Process::hold(recorded).unwrap().is_none());
    let mut child = child;
    assert!(child.try_wait().unwrap().is_none(), "it was ended");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_job_without_an_owner_is_free() {
    let job = Job::new();
    take_over(&job.store(), PATIENCE).unwrap();
    fs::write(job.lock(), "pid 1 start 1\n").unwrap();
    take_over(&job.store(), PATIENCE).unwrap();
}
