//! docs/standards.md says what is so: what it lists is what the code knows, and the tests that it names are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lanturn::stun::{AttrType, is_known, method};
use stun::message::{CLASS_REQUEST, MessageType};

const PAGE: &str = include_str!("../../docs/standards.md");
const REJECT: &str = include_str!("../../src/turn/reject.rs");

/// CHANGE-REQUEST, PADDING and RESPONSE-PORT: known in a Binding, and only where NAT behaviour discovery is on.
const OF_DISCOVERY: [u16; 3] = [0x0003, 0x0026, 0x0027];

/// The rows of the table under a heading, by cells.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let section = rest.split("\n## ").next().unwrap();
    rows(section).skip(2).collect()
}

fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = text.lines().filter(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn number(text: &str) -> u16 {
    u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn its_methods_are_those_that_are_known() {
    let listed: BTreeSet<u16> = table("Methods").iter().map(|row| number(row[1])).collect();
    let known = [
        ("BINDING", method::BINDING),
        ("ALLOCATE", method::ALLOCATE),
        ("REFRESH", method::REFRESH),
        ("SEND", method::SEND),
        ("DATA", method::DATA),
        ("CREATE_PERMISSION", method::CREATE_PERMISSION),
        ("CHANNEL_BIND", method::CHANNEL_BIND),
        ("CONNECT", method::CONNECT),
        ("CONNECTION_BIND", method::CONNECTION_BIND),
        ("CONNECTION_ATTEMPT", method::CONNECTION_ATTEMPT),
    ];
    let mut text = String::new();
    ["src/stun", "src/turn"]
        .iter()
        .for_each(|part| sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &mut text));
    let used = text.split("method::").skip(1).map(|rest| rest.split(|c: char| !c.is_uppercase() && c != '_').next());
    let used: BTreeSet<&str> = used.flatten().filter(|name| !name.is_empty()).collect();
    let names: BTreeSet<&str> = known.iter().map(|(name, _)| *name).collect();
    assert!(used.is_subset(&names), "{used:?}");
    // In the type of a request only the method's own bits are set.
    let number = |method| MessageType::new(method, CLASS_REQUEST).value();
    assert_eq!(listed, known.into_iter().map(|(_, method)| number(method)).collect());
}

#[test]
fn its_required_attributes_are_those_that_are_known() {
    let listed: BTreeSet<u16> =
        table("Attributes").iter().map(|row| number(row[1])).filter(|kind| *kind < 0x8000).collect();
    let known = (0..0x8000).filter(|kind| is_known(AttrType(*kind)));
    let known: BTreeSet<u16> = known.chain(OF_DISCOVERY).collect();
    let names = |set: &BTreeSet<u16>| set.iter().map(|kind| format!("{kind:#06x}")).collect::<Vec<_>>();
    assert_eq!(names(&listed), names(&known));
}

macro_rules! named {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), stun::attributes::$name)),*] };
}

#[test]
fn its_optional_attributes_are_those_that_are_in_the_code() {
    let of_the_crate = named![
        ATTR_PASSWORD_ALGORITHMS,
        ATTR_ALTERNATE_DOMAIN,
        ATTR_SOFTWARE,
        ATTR_ALTERNATE_SERVER,
        ATTR_FINGERPRINT,
        ATTR_RESPONSE_ORIGIN,
        ATTR_OTHER_ADDRESS,
        ATTR_ICE_CONTROLLED,
        ATTR_ICE_CONTROLLING,
        ATTR_CACHE_TIMEOUT,
        ATTR_ORIGIN,
    ];
    let mut text = String::new();
    for part in ["src/stun", "src/turn", "src/relay", "src/cli/probe"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &mut text);
    }
    let has = |word: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word);
    let borrowed = of_the_crate.iter().filter(|(name, _)| has(name)).map(|(_, kind)| kind.0);
    let own = text.split(": AttrType = AttrType(0x").skip(1).map(|rest| number(&rest[..4]));
    let known: BTreeSet<u16> = borrowed.chain(own).filter(|kind| *kind >= 0x8000).collect();
    let listed: BTreeSet<u16> =
        table("Attributes").iter().map(|row| number(row[1])).filter(|kind| *kind >= 0x8000).collect();
    let names = |set: &BTreeSet<u16>| set.iter().map(|kind| format!("{kind:#06x}")).collect::<Vec<_>>();
    assert_eq!(names(&listed), names(&known));
}

#[test]
fn its_error_codes_are_those_that_are_sent() {
    let listed: BTreeSet<&str> = table("Error codes").iter().map(|row| row[0]).collect();
    let sent = REJECT.split("=> (").skip(1).map(|rest| &rest[..3]).filter(|code| code.parse::<u16>().is_ok());
    assert_eq!(listed, sent.collect());
}

/// All of our Rust.
fn sources(directory: &Path, out: &mut String) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && !["target", "node_modules"].iter().any(|other| path.ends_with(other)) {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn the_tests_that_it_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    ["src", "tests"].iter().for_each(|directory| sources(&root.join(directory), &mut text));
    let cells = rows(PAGE).filter_map(|row| row.last().copied());
    let tests = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let mut named = 0;
    for test in tests {
        named += 1;
        let name = test.rsplit("::").next().unwrap();
        let is_there =
            |what: &str| text.contains(&format!("{what} {name}(")) || text.contains(&format!("{what} {name};"));
        let module = text.contains(&format!("mod {name};")) || text.contains(&format!("mod {name} {{"));
        let of_a_list = text.contains(&format!("(\"{name}\", "));
        assert!(is_there("fn") || module || of_a_list || root.join(test).exists(), "no test {test}");
    }
    assert!(named > 60, "{named}");
}
