//! Jobs that trust some keys: what is signed by one of them runs, from a file, by a swap and from what the checkpoint
//! keeps; nothing else does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use speed_layer_plugin::{Digest, signature_path};

use super::memory::{self, MemoryTopic, Tick};
use super::recomputed::{published, recompute};
use super::swaps::{plugin, request, variant};
use super::{DAY_MS, START_MS, open, run, spec, try_open};
use crate::config::JobSpec;
use crate::job::JobHandle;
use crate::job::swap::{Outcome, Request};
use crate::plan::StageName;
use crate::trust::SecretKey;

const HOUR_MS: i64 = 3_600_000;

/// A folder with the plugins of a job, each signed by `key`.
struct Signed {
    folder: tempfile::TempDir,
    spec: JobSpec,
    key: SecretKey,
}

impl Signed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed([5; 32]);
        let mut spec = spec(folder.path(), Some(1_000));
        for file in
            [&mut spec.parse.plugin, &mut spec.transforms[0].plugin, &mut spec.aggregates[0].stage.plugin]
        {
            let own = folder.path().join(file.file_name().unwrap());
            std::fs::copy(&*file, &own).unwrap();
            sign(&own, &key);
            *file = own;
        }
        let keys = folder.path().join("keys.pub");
        std::fs::write(&keys, format!("{} release\n", key.public())).unwrap();
        spec.trust = vec![keys];
        Self { folder, spec, key }
    }

    fn aggregate(&self) -> &Path {
        &self.spec.aggregates[0].stage.plugin
    }
}

fn sign(file: &Path, key: &SecretKey) {
    std::fs::write(signature_path(file), key.sign(&std::fs::read(file).unwrap())).unwrap();
}

fn ticks() -> (Vec<Tick>, MemoryTopic) {
    let ticks = memory::jittered_ticks(31, 4_000, 5, 3 * DAY_MS, START_MS);
    let mut topic = MemoryTopic::new(2);
    topic.append(&ticks);
    (ticks, topic)
}

/// Why the job is not started, which has to name that file and the digest of its bytes.
fn refused(spec: &JobSpec, file: &Path) -> String {
    let told = format!("{:#}", try_open(spec, &ticks().1, 1).err().expect("it is refused"));
    let digest = Digest::of(&std::fs::read(file).unwrap());
    let name = file.file_name().unwrap().to_str().unwrap();
    for part in [name, &digest.to_string(), "is not trusted"] {
        assert!(told.contains(part), "no {part} in: {told}");
    }
    assert!(!spec.aggregates[0].output.exists());
    told
}

#[test]
fn a_job_with_trusted_keys_runs_what_they_signed_and_nothing_else() {
    let signed = Signed::new();
    let files: Vec<PathBuf> = [&signed.spec.parse.plugin, &signed.spec.transforms[0].plugin]
        .into_iter()
        .cloned()
        .chain([signed.aggregate().to_owned()])
        .collect();
    for (at, file) in files.iter().enumerate() {
        let (signature, whole) = (signature_path(file), std::fs::read(file).unwrap());
        std::fs::remove_file(&signature).unwrap();
        assert!(refused(&signed.spec, file).contains("it has no signature"));
        sign(file, &SecretKey::from_seed([6; 32]));
        assert!(refused(&signed.spec, file).contains("not one of these bytes by a trusted key"));
        std::fs::copy(signature_path(&files[(at + 1) % 3]), &signature).unwrap();
        refused(&signed.spec, file);
        sign(file, &signed.key);
        let mut broken = std::fs::read(&signature).unwrap();
        broken[17] ^= 4;
        std::fs::write(&signature, &broken).unwrap();
        refused(&signed.spec, file);
        std::fs::write(&signature, &broken[..63]).unwrap();
        assert!(refused(&signed.spec, file).contains("63 bytes in place of 64"));
        sign(file, &signed.key);
        std::fs::write(file, variant(&whole, "changed after it was signed")).unwrap();
        refused(&signed.spec, file);
        std::fs::write(file, whole).unwrap();
    }
    let (ticks, topic) = ticks();
    assert_eq!(run(&signed.spec, &topic, 2).account.records_in, 4_000);
    assert_eq!(published(&signed.spec.aggregates[0].output), recompute(&ticks, &topic, DAY_MS, HOUR_MS));
}

#[test]
fn a_swap_and_what_the_checkpoint_keeps_need_a_signature_too() {
    let signed = Signed::new();
    let mut spec = signed.spec.clone();
    let ticks = memory::jittered_ticks(37, 200_000, 20, 6 * DAY_MS, START_MS);
    let mut topic = MemoryTopic::new(2);
    topic.append(&ticks);
    spec.max_records_per_trigger = Some(2_000);
    let component = variant(&plugin(&spec, "ohlcv"), "new");
    let (good, wrong) = (signed.key.sign(&component), SecretKey::from_seed([6; 32]).sign(&component));
    let stage = StageName::Aggregate("daily".into());
    let opened = open(&spec, &topic, 2);
    let swapper = Arc::clone(&opened.swapper);
    thread::scope(|scope| {
        scope.spawn(|| {
            let swap = |signature: Option<&[u8]>, dry_run| {
                let request = Request { signature: signature.map(Into::into), ..request(&stage, None) };
                swapper.swap(&request, "new", &component, "a test", dry_run, &mut |_| Ok(()))
            };
            for (signature, expected) in
                [(None, "it has no signature"), (Some(&wrong[..]), "by a trusted key")]
            {
                for dry_run in [true, false] {
                    let told = format!("{:#}", swap(signature, dry_run).unwrap_err());
                    let digest = Digest::of(&component).to_string();
                    assert!(told.contains(expected) && told.contains(&digest), "{told}");
                }
            }
            let swapped = swap(Some(&good), false).unwrap().unwrap();
            assert!(matches!(swapped.outcome, Outcome::Swapped { .. }), "{swapped:?}");
        });
        opened.run(&JobHandle::default(), &mut |_| {}).unwrap();
    });
    assert_eq!(published(&spec.aggregates[0].output), recompute(&ticks, &topic, DAY_MS, HOUR_MS));
    // The file is the old plugin's: the new one is what the checkpoint keeps, with its signature.
    let kept = signed.folder.path().join("checkpoint/daily/plugins");
    let digest = Digest::of(&component).hex();
    let signature = kept.join(format!("{digest}.wasm.sig"));
    assert_eq!(std::fs::read(&signature).unwrap(), good);
    assert_eq!(run(&spec, &topic, 1).account.records_in, 0);
    std::fs::write(&signature, wrong).unwrap();
    let told = format!("{:#}", try_open(&spec, &topic, 1).err().expect("it is refused"));
    assert!(told.contains(&digest) && told.contains("by a trusted key"), "{told}");
    std::fs::write(&signature, good).unwrap();
    // A key that is trusted no more is no more trusted for what is kept either.
    let other = SecretKey::from_seed([6; 32]);
    std::fs::write(&spec.trust[0], other.public().to_string()).unwrap();
    for file in [&spec.parse.plugin, &spec.transforms[0].plugin] {
        sign(file, &other);
    }
    assert!(try_open(&spec, &topic, 1).is_err());
    std::fs::write(signed.aggregate(), &component).unwrap();
    sign(signed.aggregate(), &other);
    assert_eq!(run(&spec, &topic, 1).account.records_in, 0);
}

#[test]
fn keys_that_cannot_be_read_are_no_reason_to_run_without() {
    let mut signed = Signed::new();
    signed.spec.trust = vec![signed.folder.path().join("no-such-keys")];
    let told = format!("{:#}", try_open(&signed.spec, &ticks().1, 1).err().expect("it is refused"));
    assert!(told.contains("no-such-keys"), "{told}");
    std::fs::write(&signed.spec.trust[0], "").unwrap();
    assert!(try_open(&signed.spec, &ticks().1, 1).is_err());
}
