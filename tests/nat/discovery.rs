//! NAT behaviour discovery (RFC 5780), with coturn's client behind NATs of every kind.

use std::process::{Command, Stdio};

use super::net::{BOX, BOX_TOO, Filtering, Mapping, World};
use super::support::server::Server;

pub fn kinds_of_nat_are_told_apart() {
    let mut world = World::new();
    let inside = world.public_box();
    let config = format!(
        "[listen]\naddresses = ['[::]:3478']\nshards = 2\nbehavior_discovery = ['{BOX}:3478', '{BOX_TOO}:3479']\n"
    );
    let _server = Server::start_within(&inside, &config);
    for (number, mapping, filtering, maps, filters) in [
        (1, Mapping::Kept, Filtering::EndpointIndependent, "Endpoint Independent", "Endpoint Independent"),
        (2, Mapping::Kept, Filtering::AddressDependent, "Endpoint Independent", "Address Dependent"),
        (3, Mapping::Kept, Filtering::AddressAndPortDependent, "Endpoint Independent", "Address and Port Dependent"),
        (
            4,
            Mapping::Random,
            Filtering::AddressAndPortDependent,
            "Address and Port Dependent",
            "Address and Port Dependent",
        ),
    ] {
        let (_, client) = world.behind_filter(number, &format!("203.0.113.{}", 10 + number), mapping, filtering);
        // To learn of the mapping both addresses are sent to, which lets either in.
        for (option, found) in
            [("-f", format!("NAT with {filters} Filtering!")), ("-m", format!("NAT with {maps} Mapping!"))]
        {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &client, "turnutils_natdiscovery", option, "-p", "3478", BOX]);
            let output = command.stdin(Stdio::null()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains(&found), "{mapping:?} {filtering:?}: {found:?} is not in\n{text}");
        }
    }
}
