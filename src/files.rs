//! Files that hold something secret, or that must never be seen half-written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Larger than what is written here, in bytes.
const TRIAL: usize = 64 << 10;

/// Who may read a file that is made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Only the user that lanturn runs as: mode 0600.
    Owner,
    /// Everyone: mode 0644.
    All,
}

/// Writes a whole file, or nothing: under another name in the same directory first, which is then renamed.
/// Makes the directory, for its owner alone, if it is not there.
///
/// # Errors
/// Whatever the file system says. The file is then as it was before.
pub(crate) fn write(path: &Path, contents: &[u8], readers: Readers) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(directory)?;
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let draft = directory.join(format!(".{}.{:016x}", name.to_string_lossy(), rand::random::<u64>()));
    let written = write_new(&draft, contents, readers).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        // It may never have been made: the error that matters is the one that is returned.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Sees whether a file of some size can be made in a directory, and leaves none. Makes the directory as [`write`] does.
///
/// # Errors
/// Whatever the file system says.
pub(crate) fn try_writing(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    make_directory(directory)?;
    let draft = directory.join(format!(".trial.{:016x}", rand::random::<u64>()));
    let written = write_new(&draft, &[0; TRIAL], Readers::Owner);
    let removed = fs::remove_file(&draft);
    written.and(removed)
}

/// Warns when a file that holds a secret can be read by others than its owner.
pub(crate) fn warn_if_shared(path: &Path) {
    if is_shared(path) {
        tracing::warn!("{}: others than its owner can read it: chmod 600 {0}", path.display());
    }
}

fn write_new(path: &Path, contents: &[u8], readers: Readers) -> io::Result<()> {
    let mut file: File = open_new(path, readers)?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(unix)]
fn open_new(path: &Path, readers: Readers) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn open_new(path: &Path, _readers: Readers) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn is_shared(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_shared(_path: &Path) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new").join("secret");
        write(&path, b"one", Readers::Owner).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(!is_shared(&path));
        write(&path, b"two", Readers::All).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"two".as_slice(), 0o644));
        assert!(is_shared(&path));
    }

    #[test]
    fn trying_to_write_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("new");
        try_writing(&new).unwrap();
        assert_eq!((fs::read_dir(&new).unwrap().count(), mode(&new)), (0, 0o700));
        fs::write(dir.path().join("file"), "x").unwrap();
        try_writing(&dir.path().join("file")).unwrap_err();
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("taken")).unwrap();
        fs::write(dir.path().join("taken/file"), "x").unwrap();
        write(&dir.path().join("taken"), b"one", Readers::Owner).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
