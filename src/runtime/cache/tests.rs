//! A tiny "library" stands in for the real one: nothing here is loaded, only unpacked.

use std::sync::Barrier;
use std::thread;
use std::time::SystemTime;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use sha2::{Digest, Sha256};

use super::*;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("cofi-cache-{test}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A cache folder that does not exist yet.
    fn cache(&self) -> PathBuf {
        self.0.join("above").join("cofi")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn content() -> Vec<u8> {
    (0..50_000u32).flat_map(|number| (number / 7).to_le_bytes()).collect()
}

fn bundle_with_hash_of(content: &[u8]) -> Bundle {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    Bundle {
        library: compress_to_vec(self::content().as_slice(), CompressionLevel::Fastest).leak(),
        notices: compress_to_vec(&b"the licence"[..], CompressionLevel::Fastest).leak(),
        version: "1.31.1",
        sha256: hex.leak(),
    }
}

fn bundle() -> Bundle {
    bundle_with_hash_of(&content())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn unpacks_once_with_its_notices() {
    let folder = Folder::new("once");
    let bundle = bundle();
    let path = unpacked(&bundle, &folder.cache()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
    let edition = format!("1.31.1-{}", &bundle.sha256[..16]);
    let notices = format!("NOTICES.{edition}.txt");
    let library = format!("libonnxruntime.{edition}{}", env::consts::DLL_SUFFIX);
    assert_eq!(names(&folder.cache()), [notices.clone(), library]);
    assert_eq!(fs::read(folder.cache().join(notices)).unwrap(), b"the licence");
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(unpacked(&bundle, &folder.cache()).unwrap(), path);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written, "a right file was written again");
}

#[test]
fn many_at_once_all_get_a_whole_file() {
    let folder = Folder::new("many");
    let bundle = bundle();
    let start = Barrier::new(8);
    let n_read = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..5 {
                    let path = unpacked(&bundle, &folder.cache()).unwrap();
                    // It may be gone, since the others take it away for the next to write it again, but never half there.
                    if let Ok(read) = fs::read(&path) {
                        assert_eq!(read, content());
                        n_read.fetch_add(1, Ordering::Relaxed);
                    }
                    let _ = fs::remove_file(path);
                }
            });
        }
    });
    assert!(n_read.load(Ordering::Relaxed) > 0);
    assert!(names(&folder.cache()).iter().all(|name| !name.ends_with(PART)));
}

#[test]
fn a_truncated_or_wrong_file_is_replaced() {
    let folder = Folder::new("wrong");
    let bundle = bundle();
    let path = unpacked(&bundle, &folder.cache()).unwrap();
    let mut flipped = content();
    flipped[1000] ^= 1;
    for wrong in [&content()[..1000], &flipped, &[]] {
        fs::write(&path, wrong).unwrap();
        assert_eq!(unpacked(&bundle, &folder.cache()).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), content());
    }
}

#[test]
fn a_bundle_that_is_not_what_it_says_is_refused() {
    let folder = Folder::new("damaged");
    let error = unpacked(&bundle_with_hash_of(b"something else"), &folder.cache()).unwrap_err();
    assert!(error.to_string().contains("SHA-256 differs"), "{error}");
    assert!(names(&folder.cache()).iter().all(|name| name.starts_with("NOTICES.")), "a wrong library was left");
}

#[test]
fn leftovers_of_killed_processes_go_and_fresh_ones_stay() {
    let folder = Folder::new("leftovers");
    let bundle = bundle();
    fs::create_dir_all(folder.cache()).unwrap();
    let (old, fresh) = (folder.cache().join("libonnxruntime.1-0.so.77-0.part"), folder.cache().join("x.78-0.part"));
    fs::write(&fresh, b"half").unwrap();
    let file = File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - PART_AGE - PART_AGE).unwrap();
    unpacked(&bundle, &folder.cache()).unwrap();
    assert!(!old.exists() && fresh.exists());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_folder_is_private() {
        let folder = Folder::new("private");
        fs::create_dir_all(folder.cache()).unwrap();
        fs::set_permissions(folder.cache(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = unpacked(&bundle(), &folder.cache()).unwrap();
        assert_eq!(fs::metadata(folder.cache()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_planted_link_is_neither_read_nor_written_through() {
        let folder = Folder::new("link");
        let bundle = bundle();
        let path = unpacked(&bundle, &folder.cache()).unwrap();
        let elsewhere = folder.0.join("elsewhere");
        for target in [b"precious".as_slice(), &content()] {
            fs::write(&elsewhere, target).unwrap();
            fs::remove_file(&path).unwrap();
            symlink(&elsewhere, &path).unwrap();
            assert_eq!(unpacked(&bundle, &folder.cache()).unwrap(), path);
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "the link is still there");
            assert_eq!(fs::read(&elsewhere).unwrap(), target);
        }
    }

    #[test]
    fn a_folder_that_is_a_link_or_a_file_is_refused() {
        let folder = Folder::new("nofolder");
        let (link, file) = (folder.0.join("link"), folder.0.join("file"));
        symlink(&folder.0, &link).unwrap();
        fs::write(&file, b"").unwrap();
        for path in [link, file] {
            let error = unpacked(&bundle(), &path).unwrap_err();
            assert!(error.to_string().contains("not a folder of this user's own"), "{error}");
        }
    }

    #[test]
    fn a_copy_that_others_could_change_is_replaced() {
        use std::os::unix::fs::MetadataExt;

        let folder = Folder::new("others");
        let bundle = bundle();
        let path = unpacked(&bundle, &folder.cache()).unwrap();
        let inode = || fs::metadata(&path).unwrap().ino();
        let own = inode();
        assert_eq!((unpacked(&bundle, &folder.cache()).unwrap(), inode()), (path.clone(), own));
        // Right bytes, but with another name outside, through which they may be wrong in a moment.
        fs::hard_link(&path, folder.0.join("elsewhere")).unwrap();
        unpacked(&bundle, &folder.cache()).unwrap();
        assert_ne!(inode(), own);
        let own = inode();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        unpacked(&bundle, &folder.cache()).unwrap();
        assert_ne!(inode(), own);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_above_that_all_may_write_is_refused() {
        let folder = Folder::new("above");
        let bundle = bundle();
        let above = folder.cache().parent().unwrap().to_owned();
        fs::create_dir_all(&above).unwrap();
        fs::set_permissions(&above, fs::Permissions::from_mode(0o777)).unwrap();
        let error = unpacked(&bundle, &folder.cache()).unwrap_err().to_string();
        assert!(error.ends_with("others may rename what is in the folder above it"), "{error}");
        // In a folder like /tmp nobody can rename what others own.
        fs::set_permissions(&above, fs::Permissions::from_mode(0o1777)).unwrap();
        unpacked(&bundle, &folder.cache()).unwrap();
    }

    #[test]
    fn where_nothing_may_be_written_nothing_is() {
        let folder = Folder::new("closed");
        let bundle = bundle();
        let error = present(&bundle, &folder.cache()).unwrap_err().to_string();
        assert!(error.starts_with("cache folder ") && !folder.cache().exists(), "{error}");
        let path = unpacked(&bundle, &folder.cache()).unwrap();
        assert_eq!(present(&bundle, &folder.cache()).unwrap(), path);
        fs::set_permissions(folder.cache(), fs::Permissions::from_mode(0o755)).unwrap();
        let error = present(&bundle, &folder.cache()).unwrap_err().to_string();
        assert!(error.ends_with("it has no copy yet and nothing may be written"), "{error}");
        fs::set_permissions(folder.cache(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&path, b"wrong").unwrap();
        present(&bundle, &folder.cache()).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"wrong");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let error = unpacked(&bundle(), Path::new("/proc/cofi/cofi")).unwrap_err();
        assert!(error.to_string().starts_with("cache folder /proc/cofi/cofi: "), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_folder_the_library_is_in_memory() {
        let (path, file) = crate::runtime::bundle::in_memory(&bundle()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content());
        drop(file);
    }
}
