//! What durability costs: the same job over the same topic, in turn with its syncs and with a file layer that
//! leaves them out, for so long each; prints records a second, how long the syncs took, and at the end the
//! median ratio. The stream goes on while a commit syncs: of the time in syncs, a part at most is lost.
//!
//! The program itself has no such switch. `cargo run --release --example durability -- --help`

mod paired;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use paired::Pairs;
use serde_json::json;
use speed_layer::inside::{run_over, store_over};
use speed_layer_store::DiskLayer;
use speed_layer_store::layer::{Entry, FileLayer, LayerDir, LayerFile, LockAttempt, Owner, Stat};

/// Runs a job in turn with and without syncs, and compares how fast it is.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    pairs: Pairs,
}

fn main() -> anyhow::Result<()> {
    let took_us = Arc::<AtomicU64>::default();
    Arguments::parse().pairs.compare(
        "syncs",
        |spec, with, stop| {
            let syncs = Syncs { happen: with, took_us: Arc::default() };
            let layer = Watched { inner: DiskLayer, syncs: syncs.clone() };
            let summary = run_over(spec, store_over(layer, spec)?, stop, &mut |_| {})?;
            if with {
                took_us.store(syncs.took_us.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            Ok(summary)
        },
        |run| {
            let share = took_us.load(Ordering::Relaxed) as f64 / 1000.0 / run.ms as f64;
            (format!("; {:.2} % of the time in syncs", share * 100.0), json!({ "syncs_share": share }))
        },
    )
}

/// Whether syncs happen, and how long they took.
#[derive(Clone)]
struct Syncs {
    happen: bool,
    took_us: Arc<AtomicU64>,
}

impl Syncs {
    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if !self.happen {
            return Ok(());
        }
        let began = Instant::now();
        let outcome = sync();
        self.took_us.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        outcome
    }
}

/// A layer, or what it has opened, whose syncs are timed or left out.
#[derive(Clone)]
struct Watched<T> {
    inner: T,
    syncs: Syncs,
}

impl<T> Watched<T> {
    fn with<U>(&self, inner: U) -> Watched<U> {
        Watched { inner, syncs: self.syncs.clone() }
    }
}

impl<T: Write> Write for Watched<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: LayerFile> LayerFile for Watched<T> {
    fn sync(&mut self) -> io::Result<()> {
        self.syncs.sync(|| self.inner.sync())
    }
}

impl<T: LayerDir> LayerDir for Watched<T> {
    fn sync(&self) -> io::Result<()> {
        self.syncs.sync(|| self.inner.sync())
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.syncs.sync(|| self.inner.sync_file_system())
    }
}

impl<L: FileLayer> FileLayer for Watched<L> {
    type File = Watched<L::File>;
    type Dir = Watched<L::Dir>;
    type Reader = L::Reader;
    type Lock = L::Lock;

    fn create_new(&self, path: &Path) -> io::Result<Self::File> {
        self.inner.create_new(path).map(|file| self.with(file))
    }

    fn open(&self, path: &Path) -> io::Result<Self::Reader> {
        self.inner.open(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Self::Dir> {
        self.inner.open_dir(path).map(|dir| self.with(dir))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.inner.unlink(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.make_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.inner.stat(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonical(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt<Self::Lock>> {
        self.inner.lock(path)
    }

    fn probe_lock(&self, path: &Path) -> io::Result<LockAttempt<()>> {
        self.inner.probe_lock(path)
    }

    fn this_process(&self) -> Owner {
        self.inner.this_process()
    }

    fn is_running(&self, owner: Owner) -> bool {
        self.inner.is_running(owner)
    }
}
