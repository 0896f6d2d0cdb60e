//! Copies of outputs that are written here as a job would: what comes out, what is taken over, what is refused.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use speed_layer_core::commit::{Codec, Epoch, Generation, JobName, PartName};
use speed_layer_store::footer::{Footer, OffsetRange, Recipe};
use speed_layer_store::part::ParquetPart;
use speed_layer_store::{JoinedFile, PublishedFile};
use tempfile::TempDir;

use super::listing::Listing;
use super::{Order, Report, compact};

const DAY_US: i64 = 86_400_000_000;
const FILE_BYTES: u64 = 1 << 27;

/// A file of an output.
#[derive(Clone)]
struct Given {
    job: &'static str,
    aggregate: &'static str,
    /// The folder that it lies in, and that which its metadata name.
    folder: &'static str,
    path: &'static str,
    epoch: u64,
    days: Vec<i64>,
    columns: Vec<&'static str>,
    has_recipe: bool,
    codec: Codec,
}

fn given(folder: &'static str, epoch: u64, days: std::ops::Range<i64>) -> Given {
    Given {
        job: "daily",
        aggregate: "daily",
        folder,
        path: folder,
        epoch,
        days: days.collect(),
        columns: vec!["count"],
        has_recipe: true,
        codec: Codec::Snappy,
    }
}

impl Given {
    fn name(&self) -> String {
        let (job, codec) = (JobName::new(self.job).unwrap(), self.codec);
        PartName { job, generation: Generation(1), epoch: Epoch(self.epoch), number: 0, codec }.to_string()
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            aggregate: self.aggregate.into(),
            key: vec!["symbol".into()],
            path: self.path.into(),
            keep_key_column: false,
            window_ms: DAY_US / 1000,
            delay_ms: 0,
            event_time: "event_time".into(),
            min_event_time_ms: 0,
            max_future_skew_ms: 0,
            topic_id: None,
            stages: Vec::new(),
            held: Vec::new(),
        }
    }

    fn footer(&self) -> Footer {
        let (lowest, cut) = (self.epoch as i64 * 10, self.epoch as i64 * 10 + 10);
        Footer {
            job: JobName::new(self.job).unwrap(),
            epoch: Epoch(self.epoch),
            generation: Generation(1),
            offsets: vec![OffsetRange { topic: "ticks".into(), partition: 0, lowest, cut }],
            plugins: Vec::new(),
            closed_through_ms: Some(self.epoch as i64),
            clock_bound_ms: 5,
            gaps: Vec::new(),
            recipe: self.has_recipe.then(|| self.recipe()),
        }
    }

    fn write(&self, output: &Path) -> PathBuf {
        let starts = TimestampMicrosecondArray::from_iter_values(self.days.iter().map(|day| day * DAY_US));
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("window_start", Arc::new(starts.with_timezone("UTC")))];
        for name in &self.columns {
            let values =
                Int64Array::from_iter_values(self.days.iter().map(|day| day * 7 + name.len() as i64));
            columns.push((name, Arc::new(values)));
        }
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let folder = output.join(self.folder);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(self.name());
        let mut part = ParquetPart::new(File::create(&path).unwrap(), rows.schema(), self.codec).unwrap();
        part.write(&rows).unwrap();
        part.finish(&self.footer()).unwrap();
        path
    }
}

/// Two folders of ten files with three days each.
fn usual() -> Vec<Given> {
    let of = |folder| (1..11).map(move |epoch| given(folder, epoch, epoch as i64 * 3..epoch as i64 * 3 + 3));
    of("symbol=A").chain(of("symbol=B%2FC")).collect()
}

struct Place {
    root: TempDir,
}

impl Place {
    fn of(files: &[Given]) -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(place.output()).unwrap();
        files.iter().for_each(|file| drop(file.write(&place.output())));
        place
    }

    fn output(&self) -> PathBuf {
        self.root.path().join("daily")
    }

    fn copy(&self) -> PathBuf {
        self.root.path().join("joined")
    }

    fn try_compact(&self, file_bytes: u64) -> anyhow::Result<Report> {
        let done = compact(Order { from: &self.output(), into: &self.copy(), file_bytes }, &|_, _| {});
        assert!(!self.root.path().join("joined.compacting").exists());
        done
    }

    fn compact(&self) -> Report {
        self.try_compact(FILE_BYTES).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// All files of the copy with their bytes.
    fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(&self.copy()).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
    }

    fn joined(&self) -> Vec<JoinedFile> {
        files(&self.copy()).iter().map(|path| JoinedFile::open(path).unwrap().unwrap()).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    speed_layer_store::published::parquet_files(folder).unwrap()
}

/// The rows of a joined file: day and the first column after it.
fn rows(path: &Path) -> Vec<(i64, i64)> {
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap());
    let of = |batch: RecordBatch| {
        let days = batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        let values = batch.column(1).as_primitive::<Int64Type>().values().to_vec();
        days.into_iter().map(|day| day / DAY_US).zip(values).collect::<Vec<_>>()
    };
    reader.unwrap().build().unwrap().flat_map(|batch| of(batch.unwrap())).collect()
}

#[test]
fn the_rows_of_each_folder_become_one_file_in_order_that_names_its_sources() {
    let place = Place::of(&usual());
    let report = place.compact();
    assert_eq!((report.from.files, report.into.files), (20, 2));
    assert_eq!((report.from.rows, report.into.rows), (60, 60));
    assert!(report.into.bytes < report.from.bytes);
    assert_eq!((report.partitions_joined, report.partitions_kept, report.others), (2, 0, 0));
    let joined = place.joined();
    assert_eq!(joined.iter().map(|file| file.bytes).sum::<u64>(), report.into.bytes);
    for file in joined {
        assert_eq!(rows(&file.path), (3..33).map(|day| (day, day * 7 + 5)).collect::<Vec<_>>());
        assert_eq!((file.joined.makers.len(), file.joined.sources.len()), (1, 10));
        let third = &file.joined.sources[2];
        assert_eq!((third.epoch, third.rows, third.offsets[0].lowest), (Epoch(3), 3, 30));
        assert_eq!(third.windows_us, Some((9 * DAY_US, 11 * DAY_US)));
        let source = PublishedFile::open(&place.output().join(&file.joined.path).join(&third.name)).unwrap();
        assert_eq!(Some(&file.joined.makers[0].recipe), source.footer.recipe.as_ref());
        let refused = PublishedFile::open(&file.path).unwrap_err().to_string();
        assert!(refused.contains("joined copy of 10 published files"), "{refused}");
    }
}

#[test]
fn equal_input_gives_equal_bytes_and_other_sizes_other_files_with_the_same_rows() {
    let (one, other) = (Place::of(&usual()), Place::of(&usual()));
    one.compact();
    other.compact();
    let names = |place: &Place| {
        let bytes = place.bytes().into_iter();
        bytes
            .map(|(path, bytes)| (path.strip_prefix(place.copy()).unwrap().to_owned(), bytes))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&one), names(&other));
    let small = one.try_compact(1).unwrap();
    assert_eq!((small.into.files, small.into.rows, small.partitions_kept), (20, 60, 0));
    let all: Vec<(i64, i64)> = files(&one.copy()).iter().take(10).flat_map(|path| rows(path)).collect();
    assert_eq!(all, (3..33).map(|day| (day, day * 7 + 5)).collect::<Vec<_>>());
}

#[test]
fn a_second_copy_takes_over_what_has_not_changed_and_joins_the_rest() {
    let place = Place::of(&usual());
    place.compact();
    let before = place.bytes();
    given("symbol=A", 11, 40..42).write(&place.output());
    let report = place.compact();
    assert_eq!((report.partitions_joined, report.partitions_kept), (1, 1));
    assert_eq!((report.into.files, report.into.rows), (2, 62));
    let after = place.bytes();
    let kept = after.iter().filter(|(path, bytes)| before.get(*path) == Some(bytes)).count();
    assert_eq!(kept, 1);
    assert_eq!(place.compact().partitions_kept, 2);
}

#[test]
fn a_copy_that_was_damaged_is_made_anew() {
    let place = Place::of(&usual());
    place.compact();
    let before = place.bytes();
    let (path, mut bytes) = before.iter().next().map(|(path, bytes)| (path.clone(), bytes.clone())).unwrap();
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = place.compact();
    assert_eq!((report.partitions_joined, report.partitions_kept), (1, 1));
    assert_eq!(place.bytes(), before);
}

#[test]
fn files_with_other_columns_or_compression_are_not_joined_with_each_other() {
    let mut all = usual();
    for (at, columns) in [(3, vec!["count", "ups"]), (4, vec!["count", "ups"]), (5, vec!["ups"])] {
        all[at].columns = columns;
    }
    all[8].codec = Codec::Zstd;
    let place = Place::of(&all);
    let report = place.compact();
    assert_eq!((report.into.files, report.into.rows), (7, 60));
    let sources: Vec<usize> = place.joined().iter().map(|file| file.joined.sources.len()).collect();
    assert_eq!(sources, [3, 2, 1, 2, 1, 1, 10]);
    assert_eq!(place.compact().partitions_kept, 2);
}

#[test]
fn files_of_other_kinds_are_left_out_and_counted() {
    let place = Place::of(&usual());
    fs::write(place.output().join("_SUCCESS"), "").unwrap();
    fs::write(place.output().join("symbol=A/.x.crc"), "").unwrap();
    assert_eq!(place.compact().others, 2);
}

/// Has a copy refused after `spoil` has changed something; what was there before is there still.
fn check(told: &[&str], files: &[Given], spoil: impl Fn(&Place)) {
    for earlier in [false, true] {
        let place = Place::of(files);
        if earlier && place.try_compact(FILE_BYTES).is_err() {
            continue;
        }
        spoil(&place);
        let before = place.bytes();
        let error = format!("{:#}", place.try_compact(FILE_BYTES).expect_err(told[0]));
        assert!(told.iter().all(|told| error.contains(told)), "{told:?}: {error}");
        assert_eq!(place.bytes(), before, "{error}");
    }
}

fn cut(path: &Path, to: impl Fn(&[u8]) -> Vec<u8>) {
    fs::write(path, to(&fs::read(path).unwrap())).unwrap();
}

#[test]
fn an_output_that_is_none_is_refused_by_the_file_and_nothing_changes() {
    let with = |change: fn(&mut Given)| {
        let mut all = usual();
        change(&mut all[4]);
        all
    };
    let at = |place: &Place| place.output().join("symbol=A").join(usual()[4].name());
    check(&["no Parquet file in it"], &[], |_| {});
    check(&["cannot be found"], &[], |place| fs::remove_dir(place.output()).unwrap());
    check(&["is no folder"], &[], |place| {
        fs::remove_dir(place.output()).unwrap();
        fs::write(place.output(), "").unwrap();
    });
    check(&["foreign.parquet is not named as a job"], &usual(), |place| {
        fs::copy(at(place), place.output().join("foreign.parquet")).map(drop).unwrap();
    });
    check(&["e0000000005", "does not say which aggregate"], &with(|of| of.has_recipe = false), |_| {});
    check(&["of job other"], &with(|of| of.job = "other"), |_| {});
    check(&["of aggregate hourly of job daily"], &with(|of| of.aggregate = "hourly"), |_| {});
    check(&["\"symbol=Z\" below its output"], &with(|of| of.path = "symbol=Z"), |_| {});
    check(&["has a window that part-daily-g1-e0000000004"], &with(|of| of.days = vec![14, 15]), |_| {});
    check(&["not in the order of their windows"], &with(|of| of.days = vec![17, 16]), |_| {});
    check(&["e0000000005", "is no Parquet file"], &usual(), |place| {
        cut(&at(place), |bytes| bytes[..99].to_vec())
    });
    check(&["e0000000005", "is no Parquet file"], &usual(), |place| cut(&at(place), |_| Vec::new()));
    check(&["e0000000005"], &usual(), |place| {
        cut(&at(place), |bytes| [&bytes[..4], &[0xFF; 60], &bytes[64..]].concat());
    });
    check(&["is a symbolic link"], &usual(), |place| {
        symlink(place.output(), place.output().join("symbol=C")).unwrap();
    });
    check(&["is a symbolic link"], &usual(), |place| {
        symlink(at(place), place.output().join("symbol=A/part-daily-g1-e9-1.snappy.parquet")).unwrap();
    });
}

#[test]
fn a_folder_that_holds_something_else_is_not_replaced() {
    let foreign = |place: &Place, name: &str| {
        fs::create_dir_all(place.copy().join("symbol=A")).unwrap();
        fs::write(place.copy().join(name), "x").unwrap();
    };
    let spoiled = "is not of a copy that";
    check(&[spoiled, "notes.txt"], &usual(), |place| foreign(place, "notes.txt"));
    check(&[spoiled, "part-daily"], &usual(), |place| {
        foreign(place, &format!("symbol=A/{}", usual()[0].name()))
    });
    let named = "symbol=A/joined-daily-00007-0123456789abcdef.snappy.parquet";
    check(&["the earlier copy cannot be used"], &usual(), |place| foreign(place, named));
    check(&[spoiled], &usual(), |place| {
        foreign(place, "symbol=A/x");
        fs::remove_file(place.copy().join("symbol=A/x")).unwrap();
        fs::copy(usual()[0].write(&place.output()), place.copy().join(named)).map(drop).unwrap();
    });
    check(&["symbolic link"], &usual(), |place| {
        fs::create_dir_all(place.copy()).unwrap();
        symlink(place.output(), place.copy().join("symbol=D")).unwrap();
    });
}

#[test]
fn rows_that_only_the_copy_has_are_not_thrown_away() {
    for lost in [vec!["symbol=A/part-daily-g1-e0000000001-00000.snappy.parquet"], vec!["symbol=A"]] {
        let place = Place::of(&usual());
        place.compact();
        let before = place.bytes();
        for path in lost.iter().map(|path| place.output().join(path)) {
            if path.is_dir() { fs::remove_dir_all(&path).unwrap() } else { fs::remove_file(&path).unwrap() }
        }
        let error = place.try_compact(FILE_BYTES).unwrap_err().to_string();
        assert!(error.contains(lost[0]) && error.contains("gone"), "{error}");
        assert_eq!(place.bytes(), before);
    }
}

#[test]
fn a_copy_of_another_output_is_not_replaced() {
    let (place, mut others) = (Place::of(&usual()), usual());
    place.compact();
    fs::remove_dir_all(place.output()).unwrap();
    others.iter_mut().for_each(|of| of.aggregate = "hourly");
    others.iter().for_each(|of| drop(of.write(&place.output())));
    let error = place.try_compact(FILE_BYTES).unwrap_err().to_string();
    assert!(error.contains("is of a copy of aggregate daily"), "{error}");
}

#[test]
fn what_a_killed_one_left_is_removed_and_one_that_runs_is_respected() {
    let place = Place::of(&usual());
    let left = place.root.path().join("joined.compacting/new/symbol=A");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("unnamed"), "half").unwrap();
    assert_eq!(place.compact().into.files, 2);
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    let lock = File::create(place.root.path().join("joined.compacting/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (output, copy) = (place.output(), place.copy());
    let order = Order { from: &output, into: &copy, file_bytes: FILE_BYTES };
    let error = compact(order, &|_, _| {}).unwrap_err().to_string();
    assert!(error.contains("another `host compact`"), "{error}");
    assert!(left.parent().unwrap().exists());
}

#[test]
fn files_are_listed_in_the_order_of_their_commits() {
    let place =
        Place::of(&[given("symbol=A", 11, 0..1), given("symbol=A", 2, 0..1), given("x=1/y=2", 1, 0..1)]);
    let listing = Listing::of(&place.output()).unwrap();
    assert_eq!(listing.partitions.keys().collect::<Vec<_>>(), ["symbol=A", "x=1/y=2"]);
    let epochs: Vec<u64> = listing.partitions["symbol=A"].iter().map(|name| name.epoch.0).collect();
    assert_eq!((epochs, listing.files()), (vec![2, 11], 3));
}
