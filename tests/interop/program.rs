//! Programs in crates of their own, beside these tests: what they need is no part of the server's lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the program in one of the directories here, beside what is built for the server.
pub(super) fn build(directory: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = root.join("tests/interop").join(directory).join("Cargo.toml");
    let target = root.join("target").join(directory);
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&target);
    // What the server's build is told is not meant for it, and nobody debugs it.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("RUSTFLAGS");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join(format!("debug/lanturn-{directory}-tests"))
}
