//! docs/clients.md shows what is tested: each example is a part of the test that it names.

const CLIENTS: &str = include_str!("../../docs/clients.md");

/// What may stand beside the language of an example, and where that is run.
const TESTS: [(&str, &str); 7] = [
    ("ayame", include_str!("../browser/support/ayame.html")),
    ("apprtc", include_str!("../browser/support/apprtc.html")),
    ("codelab", include_str!("../browser/support/codelab.html")),
    ("codelab-node", include_str!("../interop/node/codelab.test.js")),
    ("matchbox", include_str!("../interop/matchbox/src/main.rs")),
    ("peerjs", include_str!("../browser/support/peerjs.html")),
    ("y-webrtc", include_str!("../browser/support/y-webrtc.html")),
];

#[test]
fn every_example_is_part_of_a_test() {
    let mut shown = Vec::new();
    for block in CLIENTS.split("```").skip(1).step_by(2) {
        let (fence, example) = block.split_once('\n').unwrap();
        let name = fence.split_once(' ').unwrap_or_else(|| panic!("of which test is this: {example}")).1;
        let (_, test) = TESTS.iter().find(|(test, _)| *test == name).unwrap_or_else(|| panic!("no test {name}"));
        let lines: Vec<&str> = example.lines().map(str::trim).collect();
        let tested: Vec<&str> = test.lines().map(str::trim).collect();
        assert!(tested.windows(lines.len()).any(|window| window == lines), "not in the test {name}:\n{example}");
        shown.push(name);
    }
    for (name, _) in TESTS {
        assert!(shown.contains(&name), "no example for {name}");
    }
}
