//! The dependency rules of the architecture, enforced on every source file.
//!
//! A file is parsed, and every path in it is taken: in `use`, in types, expressions, patterns and attributes, and in
//! the tokens of macros. What a name stands for is followed through the file's own `use`. Items under `#[cfg(test)]`
//! may do as they like.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod names;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `src/turn/mod.rs` and `src/turn.rs` are `turn`, `src/turn/rule.rs` is `turn::rule`, `src/lib.rs` is the root.
fn module_of(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> = path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

/// A file of tests, or a folder of them, is declared under `#[cfg(test)]`. (The program's own main.rs is another crate.)
fn is_of_tests(path: &Path) -> bool {
    path.to_str().unwrap().ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}

#[test]
fn every_source_file_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 10, "where are the sources?");
    let mut broken = Vec::new();
    for path in found {
        let inside = path.strip_prefix(&root).unwrap();
        if inside == Path::new("main.rs") || is_of_tests(inside) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for violation in rules::check(&module_of(inside), &text).unwrap() {
            broken.push(format!("src/{}: {violation}", inside.display()));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_are_the_modules_that_rust_takes_them_for() {
    for (path, module) in [
        ("lib.rs", ""),
        ("limit.rs", "limit"),
        ("turn/mod.rs", "turn"),
        ("signaling/hub.rs", "signaling::hub"),
        ("relay/udp/linux.rs", "relay::udp::linux"),
    ] {
        assert_eq!(module_of(Path::new(path)).join("::"), module, "{path}");
    }
}
