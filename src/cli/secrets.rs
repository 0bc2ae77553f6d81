//! The secrets, API keys and passwords on disk.

use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;

use crate::config::{Credentials, User};
use crate::credentials::{ApiKeys, Secret, Secrets, StaticUser, TokenKeys};
use crate::files::{self, Readers};

/// 128 bits: 32 hexadecimal digits.
const RANDOM_BYTES: usize = 16;

/// What the files hold.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The secrets that sign credentials.
    pub(super) secrets: Secrets,
    /// The keys of other programs.
    pub(super) keys: ApiKeys,
    /// The keys of access tokens.
    pub(super) tokens: TokenKeys,
    /// The users with a fixed password.
    pub(super) users: Vec<StaticUser>,
}

/// A file that keeps the server from starting.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// It is not there.
    #[error("{}: is missing: {right}", file.display())]
    Missing { file: PathBuf, right: &'static str },
    /// It cannot be read.
    #[error("{}: cannot be read ({source}): a text file that lanturn may read", file.display())]
    Read { file: PathBuf, source: io::Error },
    /// It cannot be written.
    #[error("{}: cannot be written ({source}): a directory that lanturn may write to", file.display())]
    Write { file: PathBuf, source: io::Error },
    /// Its contents will not do. The text says what would be right.
    #[error("{}: {wrong}", file.display())]
    Contents { file: PathBuf, wrong: String },
    /// The system has no random numbers to make it from.
    #[error("{}: cannot be made: the system has no random numbers to give", file.display())]
    Random { file: PathBuf },
}

/// Reads the files, making the secret and the API key if they are not there.
///
/// # Errors
/// [`Error`] for the first file that will not do.
pub(super) fn load_or_make(options: &Credentials) -> Result<Loaded, Error> {
    make_if_missing(
        &options.secret_file,
        "# Secrets that sign credentials, one a line: the first signs, all are accepted.",
    )?;
    make_if_missing(&options.keys_file, "# Keys for /turn?key=…, one a line.")?;
    load(options)
}

/// Reads the files.
///
/// # Errors
/// [`Error`] for the first file that is missing or will not do.
pub(super) fn load(options: &Credentials) -> Result<Loaded, Error> {
    Ok(Loaded {
        secrets: secrets(&options.secret_file)?,
        keys: keys(&options.keys_file)?,
        tokens: tokens(options.token_keys_file.as_deref())?,
        users: passwords(&options.users)?,
    })
}

/// Reads the passwords of the static users.
///
/// # Errors
/// [`Error`] for the first file that is missing or has no password on its first line.
pub(super) fn passwords(users: &[User]) -> Result<Vec<StaticUser>, Error> {
    let read = |user: &User| {
        let file = &user.password_file;
        let text = read(file, "a file whose first line is the password")?;
        let password = text.lines().next().unwrap_or_default().trim();
        if password.is_empty() {
            return Err(contents(file, "its first line is empty: the password there"));
        }
        Ok(StaticUser { name: user.name.clone(), password: Secret::new(password) })
    };
    users.iter().map(read).collect()
}

/// Reads the keys of access tokens: none without a file.
///
/// # Errors
/// [`Error`] if the file is missing or will not do.
pub(super) fn tokens(file: Option<&Path>) -> Result<TokenKeys, Error> {
    let Some(file) = file else { return Ok(TokenKeys::default()) };
    let text = read(file, "a file with the id and the key of an authorization server a line")?;
    TokenKeys::parse(&text).map_err(|error| contents(file, error))
}

/// Reads the secrets alone.
///
/// # Errors
/// [`Error`] if the file is missing or will not do.
pub(super) fn secrets(file: &Path) -> Result<Secrets, Error> {
    let text = read(file, "run `lanturn serve` once, which makes it")?;
    Secrets::parse(&text).map_err(|error| contents(file, error))
}

/// Reads the API keys alone.
///
/// # Errors
/// [`Error`] if the file is missing or will not do.
pub(super) fn keys(file: &Path) -> Result<ApiKeys, Error> {
    let text = read(file, "run `lanturn serve` once, which makes it")?;
    ApiKeys::parse(&text).map_err(|error| contents(file, error))
}

fn read(file: &Path, right: &'static str) -> Result<String, Error> {
    let text = fs::read_to_string(file).map_err(|source| match source.kind() == ErrorKind::NotFound {
        true => Error::Missing { file: file.into(), right },
        false => Error::Read { file: file.into(), source },
    })?;
    files::warn_if_shared(file);
    Ok(text)
}

fn make_if_missing(file: &Path, comment: &str) -> Result<(), Error> {
    if file.exists() {
        return Ok(());
    }
    let mut random = [0; RANDOM_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::Random { file: file.into() })?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{comment}\n{digits}\n");
    files::write(file, text.as_bytes(), Readers::Owner).map_err(|source| Error::Write { file: file.into(), source })
}

fn contents(file: &Path, wrong: impl Display) -> Error {
    Error::Contents { file: file.into(), wrong: wrong.to_string() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options(dir: &Path) -> Credentials {
        Credentials {
            secret_file: dir.join("certs/credentials.secret"),
            keys_file: dir.join("certs/api.keys"),
            token_keys_file: None,
            ttl: Duration::from_secs(3600),
            users: Vec::new(),
        }
    }

    #[test]
    fn the_first_run_makes_what_the_second_reads() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        let error = load(&options).unwrap_err().to_string();
        assert!(error.ends_with("credentials.secret: is missing: run `lanturn serve` once, which makes it"), "{error}");
        let first = load_or_make(&options).unwrap();
        let second = load_or_make(&options).unwrap();
        assert_eq!((&first.secrets, &first.keys), (&second.secrets, &second.keys));
        let key = fs::read_to_string(&options.keys_file).unwrap().lines().last().unwrap().to_owned();
        assert_eq!(key.len(), 32);
        assert!(first.keys.contains(&key));
        let secret = fs::read_to_string(&options.secret_file).unwrap();
        assert_eq!(first.secrets.minting(), &Secret::new(secret.lines().last().unwrap()));
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(load_or_make(&self::options(elsewhere.path())).unwrap().secrets, first.secrets);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_made_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        load_or_make(&options).unwrap();
        for file in [&options.secret_file, &options.keys_file] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_will_not_do_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path());
        load_or_make(&options).unwrap();
        fs::write(&options.keys_file, "short\n").unwrap();
        let error = load_or_make(&options).unwrap_err().to_string();
        assert!(error.contains("api.keys: line 1: shorter than 16 characters: a longer key"), "{error}");
        assert_eq!(fs::read_to_string(&options.keys_file).unwrap(), "short\n");
        options.keys_file = options.secret_file.clone();
        let password_file = dir.path().join("camera.password");
        options.users = vec![User { name: "camera".into(), password_file: password_file.clone() }];
        let error = load(&options).unwrap_err().to_string();
        assert!(error.ends_with("camera.password: is missing: a file whose first line is the password"), "{error}");
        fs::write(&password_file, "\n").unwrap();
        let error = load(&options).unwrap_err().to_string();
        assert!(error.ends_with("camera.password: its first line is empty: the password there"), "{error}");
        fs::write(&password_file, "front door\n").unwrap();
        assert_eq!(load(&options).unwrap().users[0].password, Secret::new("front door"));
        let tokens = dir.path().join("token.keys");
        options.token_keys_file = Some(tokens.clone());
        fs::write(&tokens, "north\n").unwrap();
        let error = load(&options).unwrap_err().to_string();
        assert!(error.contains("token.keys: line 1: is no id and key"), "{error}");
        fs::write(&tokens, "north MTIzNDU2Nzg5MDEyMzQ1Ng==\n").unwrap();
        assert!(!load(&options).unwrap().tokens.is_empty());
    }
}
