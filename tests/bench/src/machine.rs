//! The machine that everything runs on, and which core does what.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::server;

/// The cores that this process was started with.
fn all() -> &'static [usize] {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    ALL.get_or_init(|| {
        let set = sched_getaffinity(Pid::from_raw(0)).expect("the system tells which cores there are");
        (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect()
    })
}

pub fn cores() -> usize {
    all().len()
}

/// The core that a server has for itself, where there is another one for the load.
pub fn server_core() -> Option<usize> {
    (cores() > 1).then(|| all()[0])
}

/// All cores, as `taskset` reads them.
pub fn core_list() -> String {
    all().iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Keeps this thread, and those that it starts from now on, off the server's core.
pub fn leave_server_core() {
    if cores() > 1 {
        run_on(&all()[1..]);
    }
}

/// Lets this thread, and those that it starts from now on, run on every core.
pub fn use_all_cores() {
    run_on(all());
}

fn run_on(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core).expect("the core is there"));
    sched_setaffinity(Pid::from_raw(0), &set).expect("the system gives this process its cores");
}

/// What a reader needs to know of it to make something of a number.
pub fn describe(lanturn: &Path) -> Value {
    let sysctl = |name: &str| -> Value { first_line(&format!("/proc/sys/net/core/{name}")).parse::<u64>().ok().into() };
    json!({
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpu family and model": format!("{}/{}", field("/proc/cpuinfo", "cpu family"), field("/proc/cpuinfo", "model")),
        "cores": cores(),
        "memory MiB": field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024),
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "rmem_max": sysctl("rmem_max"),
        "wmem_max": sysctl("wmem_max"),
        "rmem_default": sysctl("rmem_default"),
        "wmem_default": sysctl("wmem_default"),
        "lanturn": version(lanturn),
        "coturn": version(&server::coturn()),
    })
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit())).unwrap_or_default().trim().to_owned()
}

fn first_line(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// The value of the first line `name : value`.
fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let values = text.lines().filter_map(|line| line.split_once(':'));
    values.into_iter().find(|(key, _)| key.trim() == name).map_or(String::new(), |(_, value)| value.trim().to_owned())
}
