//! The crash model itself: what a sync covers stays, and everything else may go.

use super::*;

fn outcomes(prepare: impl Fn(&mut Disk), judge: impl Fn(&Disk) -> Option<Vec<u8>>) -> Vec<Option<Vec<u8>>> {
    let mut seen = Vec::new();
    for seed in 0..200 {
        let mut disk = Disk::default();
        prepare(&mut disk);
        disk.lose_power(&mut Rng::with_seed(seed));
        let found = judge(&disk);
        if !seen.contains(&found) {
            seen.push(found);
        }
    }
    seen
}

fn content(disk: &Disk) -> Option<Vec<u8>> {
    let found = disk.find(Path::new("/file")).ok()?;
    disk.bytes(found.ino).ok().map(<[u8]>::to_vec)
}

fn written(disk: &mut Disk) -> Ino {
    let ino = disk.create(Path::new("/file")).unwrap();
    disk.append(ino, b"whole").unwrap();
    ino
}

#[test]
fn what_is_synced_with_its_name_is_there_for_certain() {
    let prepare = |disk: &mut Disk| {
        let ino = written(disk);
        disk.sync(ino);
        disk.sync(ROOT);
    };
    assert_eq!(outcomes(prepare, content), [Some(b"whole".to_vec())]);
}

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let prepare = |disk: &mut Disk| {
        let ino = written(disk);
        disk.sync(ino);
    };
    let found = outcomes(prepare, content);
    assert!(found.contains(&None) && found.contains(&Some(b"whole".to_vec())), "{found:?}");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_named_file_without_synced_content_may_be_torn() {
    let prepare = |disk: &mut Disk| {
        written(disk);
        disk.sync(ROOT);
    };
    let found = outcomes(prepare, content);
    for expected in [&b""[..], b"wh", b"whole", b"\0\0\0\0\0"] {
        assert!(found.contains(&Some(expected.to_vec())), "{expected:?} never came");
    }
    assert!(!found.contains(&None));
}

#[test]
fn a_sync_after_a_failed_one_says_so_and_brings_nothing_back() {
    let prepare = |disk: &mut Disk| {
        let ino = written(disk);
        disk.drop_unsynced(ino);
        disk.sync(ino);
        disk.sync(ROOT);
        assert_eq!(content(disk), Some(b"whole".to_vec()));
    };
    assert_eq!(outcomes(prepare, content), [Some(vec![0; 5])]);
}

#[test]
fn unsynced_names_of_one_directory_go_apart() {
    let prepare = |disk: &mut Disk| {
        for path in ["/a", "/b"] {
            disk.create(Path::new(path)).unwrap();
        }
    };
    let there =
        |disk: &Disk| Some(["/a", "/b"].map(|path| u8::from(disk.find(Path::new(path)).is_ok())).to_vec());
    assert_eq!(outcomes(prepare, there).len(), 4);
}

#[test]
fn a_lost_directory_takes_along_what_is_synced_in_it() {
    let prepare = |disk: &mut Disk| {
        let dir = disk.make_dir(Path::new("/dir")).unwrap();
        let ino = disk.create(Path::new("/dir/file")).unwrap();
        disk.sync(ino);
        disk.sync(dir);
    };
    let there = |disk: &Disk| disk.find(Path::new("/dir/file")).is_ok().then(Vec::new);
    assert_eq!(outcomes(prepare, there).len(), 2);
}

#[test]
fn a_removed_name_may_come_back() {
    let prepare = |disk: &mut Disk| {
        let ino = written(disk);
        disk.sync(ino);
        disk.sync(ROOT);
        disk.unlink(Path::new("/file")).unwrap();
    };
    assert_eq!(outcomes(prepare, content).len(), 2);
}

#[test]
fn a_link_never_replaces() {
    let mut disk = Disk::default();
    written(&mut disk);
    disk.create(Path::new("/other")).unwrap();
    let refused = disk.link(Path::new("/file"), Path::new("/other")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
}
