//! The three layers and their merging: built-in, file, environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Map, Source, Value, ValueKind};

use super::error::ConfigError;
use super::schema::Config;

/// Every key at its default, with an explanation of each. The lowest layer.
pub const SAMPLE: &str = include_str!("../../config.toml");

const PREFIX: &str = "LANTURN__";

/// The one table whose keys are not ours to name.
const FREE_TABLE: &str = "relay.external";

/// The one list that holds tables.
const USERS: &str = "credentials.users";
const USER_KEYS: [&str; 2] = ["name", "password_file"];

/// Where the settings came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// The environment variables that were read: key to name.
    variables: BTreeMap<String, String>,
}

impl Origin {
    /// The names of the environment variables that were read.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.values().map(String::as_str)
    }

    /// Where the value of a key was written: a variable's name, or the file's.
    pub(crate) fn place(&self, key: &str) -> String {
        let variable = self.variables.get(key.split('[').next().unwrap_or(key));
        variable.cloned().unwrap_or_else(|| self.file_name())
    }

    /// An error about one key.
    pub(crate) fn error(&self, key: &str, wrong: impl Into<String>, right: impl Into<String>) -> ConfigError {
        ConfigError::Key { place: self.place(key), key: key.into(), wrong: wrong.into(), right: right.into() }
    }

    fn file_name(&self) -> String {
        self.file.as_ref().map_or_else(|| "the built-in configuration".into(), |file| file.display().to_string())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file_name())?;
        self.variables().try_for_each(|name| write!(f, ", {name}"))
    }
}

/// Merges the layers. Every key of the result is known and of the right type.
pub(super) fn merge(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Config, Origin), ConfigError> {
    let mut origin = Origin { file: file.map(Path::to_path_buf), variables: BTreeMap::new() };
    let built_in = parse(SAMPLE, &origin)?;
    let mut builder = config::Config::builder().add_source(toml(SAMPLE));
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::Source {
            place: file.display().to_string(),
            wrong: format!("cannot be read ({error})"),
            right: "a file that exists and that lanturn may read, or no --config".into(),
        })?;
        check_table(&parse(&text, &origin)?, &built_in, "", &origin)?;
        builder = builder.add_source(toml(&text));
    }
    let environment = Variables::read(variables, &built_in, &mut origin)?;
    let merged = builder.add_source(environment).build().map_err(|error| foreign(&error, &built_in, &origin))?;
    let config = merged.try_deserialize().map_err(|error| foreign(&error, &built_in, &origin))?;
    Ok((config, origin))
}

fn toml(text: &str) -> config::File<config::FileSourceString, config::FileFormat> {
    config::File::from_str(text, config::FileFormat::Toml)
}

fn parse(text: &str, origin: &Origin) -> Result<Value, ConfigError> {
    let built = config::Config::builder().add_source(toml(text)).build();
    built.map(|config| config.cache).map_err(|error| foreign(&error, &Value::default(), origin))
}

/// Refuses keys that `known` has not, and values where a table belongs.
fn check_table(value: &Value, known: &Value, path: &str, origin: &Origin) -> Result<(), ConfigError> {
    let (Some(table), Some(known)) = (as_table(value), as_table(known)) else {
        return Ok(());
    };
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let Some(known) = known.get(key) else {
            return Err(unknown(&full, known.keys().map(String::as_str), origin));
        };
        if as_table(known).is_some() && as_table(value).is_none() {
            return Err(origin.error(&full, "is a value", format!("a table, written [{full}]")));
        }
        if std::mem::discriminant(&known.kind) != std::mem::discriminant(&value.kind) {
            return Err(origin.error(&full, format!("is {}", describe(value)), expected(known)));
        }
        match (&value.kind, full.as_str()) {
            (ValueKind::Array(users), USERS) => check_users(users, origin)?,
            (ValueKind::Array(items), _) => items.iter().try_for_each(|item| check_text(item, &full, origin))?,
            (ValueKind::Table(pairs), FREE_TABLE) => pairs.values().try_for_each(|to| check_text(to, &full, origin))?,
            _ => check_table(value, known, &full, origin)?,
        }
    }
    Ok(())
}

/// Nothing is turned into text that was not written as such.
fn check_text(value: &Value, key: &str, origin: &Origin) -> Result<(), ConfigError> {
    if let ValueKind::String(_) = value.kind {
        return Ok(());
    }
    Err(origin.error(key, format!("holds {}", describe(value)), TEXT))
}

fn check_users(users: &[Value], origin: &Origin) -> Result<(), ConfigError> {
    let form = "{ name = \"camera\", password_file = \"certs/camera.password\" }";
    for (index, user) in users.iter().enumerate() {
        let key = format!("{USERS}[{index}]");
        let table = as_table(user).ok_or_else(|| origin.error(&key, "is not a table", form))?;
        if let Some(odd) = table.keys().find(|name| !USER_KEYS.contains(&name.as_str())) {
            return Err(unknown(&format!("{key}.{odd}"), USER_KEYS.into_iter(), origin));
        }
        if let Some(missing) = USER_KEYS.into_iter().find(|name| !table.contains_key(*name)) {
            return Err(origin.error(&key, format!("has no {missing}"), form));
        }
        table.iter().try_for_each(|(name, value)| check_text(value, &format!("{key}.{name}"), origin))?;
    }
    Ok(())
}

fn as_table(value: &Value) -> Option<&Map<String, Value>> {
    if let ValueKind::Table(table) = &value.kind { Some(table) } else { None }
}

fn unknown<'a>(full: &str, known: impl Iterator<Item = &'a str>, origin: &Origin) -> ConfigError {
    let key = full.rsplit('.').next().unwrap_or(full);
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    let close = known.iter().map(|name| (distance(key, name), *name)).min().filter(|(distance, _)| *distance <= 2);
    let all = format!("one of {}", known.join(", "));
    let right = close.map_or_else(|| all.clone(), |(_, name)| format!("did you mean {name}? It is {all}"));
    origin.error(full, "unknown key", right)
}

/// The Levenshtein distance: how many letters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The variables as a layer. A value's type is that of the key's default, so that nothing is guessed from its looks.
#[derive(Clone, Debug)]
struct Variables(Map<String, Value>);

impl Variables {
    fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        built_in: &Value,
        origin: &mut Origin,
    ) -> Result<Self, ConfigError> {
        let mut values = Map::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
            origin.variables.insert(key.clone(), name.into());
            let known = known_key(&key, built_in, origin)?;
            let text = value.to_str().ok_or_else(|| origin.error(&key, "is not UTF-8", "text in UTF-8"))?;
            values.insert(key.clone(), Value::new(None, typed(text, &key, known, origin)?));
        }
        Ok(Self(values))
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn known_key<'a>(key: &str, built_in: &'a Value, origin: &Origin) -> Result<&'a Value, ConfigError> {
    let mut known = built_in;
    for part in key.split('.') {
        let names = as_table(known).into_iter().flat_map(Map::keys).map(String::as_str);
        known = as_table(known).and_then(|table| table.get(part)).ok_or_else(|| unknown(key, names, origin))?;
    }
    Ok(known)
}

fn typed(text: &str, key: &str, known: &Value, origin: &Origin) -> Result<ValueKind, ConfigError> {
    let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
    if key == USERS {
        return Err(origin.error(key, "cannot be set by a variable", "write the users in a file, and use --config"));
    }
    if key == FREE_TABLE {
        let pair = |item: &str| item.split_once('=').map(|(from, to)| (from.trim().into(), to.trim().into()));
        let wrong = |item: &str| origin.error(key, format!("`{item}` is not a pair"), "192.168.1.5=203.0.113.7");
        let table: Result<Map<String, Value>, _> = items().map(|item| pair(item).ok_or_else(|| wrong(item))).collect();
        return table.map(ValueKind::Table);
    }
    if as_table(known).is_some() {
        return Err(origin.error(
            key,
            "is a value",
            format!("a variable for each key: {PREFIX}{}__…", key.to_uppercase()),
        ));
    }
    if let ValueKind::Array(_) = known.kind {
        return Ok(ValueKind::Array(items().map(Value::from).collect()));
    }
    Ok(ValueKind::String(text.into()))
}

/// An error of the config crate in our words.
fn foreign(error: &config::ConfigError, built_in: &Value, origin: &Origin) -> ConfigError {
    if let config::ConfigError::Type { unexpected, key: Some(key), .. } = error {
        let known = key.split('.').try_fold(built_in, |value, part| as_table(value)?.get(part));
        let found = unexpected.to_string();
        let found = ["string ", "64-bit integer "].iter().find_map(|kind| found.strip_prefix(kind)).unwrap_or(&found);
        return origin.error(key, format!("is {}", found.trim_matches('`')), known.map_or(TEXT.into(), expected));
    }
    if let config::ConfigError::FileParse { cause, .. } = error {
        let text = cause.to_string();
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or_default().trim_start_matches("TOML parse error at ");
        let wrong = lines.next_back().map_or_else(|| first.into(), |last| format!("{first}: {last}"));
        let right = "TOML, such as realm = \"lanturn\"".into();
        return ConfigError::Source { place: origin.file_name(), wrong, right };
    }
    ConfigError::Source {
        place: origin.to_string(),
        wrong: error.to_string(),
        right: "see the sample config.toml for the form of each key".into(),
    }
}

const TEXT: &str = "text in quotes";

/// What a key wants, told by its default.
fn expected(known: &Value) -> String {
    match &known.kind {
        ValueKind::Array(_) => "a list, such as [\"a\", \"b\"]".into(),
        ValueKind::Table(_) => "a table".into(),
        ValueKind::Boolean(_) => "true or false".into(),
        ValueKind::I64(number) => format!("a whole number from 0 to {}, such as {number}", u32::MAX),
        ValueKind::Nil
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_) => TEXT.into(),
    }
}

fn describe(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(_) => "a list".into(),
        ValueKind::Table(_) => "a table".into(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_) => value.to_string(),
    }
}
