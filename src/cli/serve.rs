//! `lanturn serve`: the one place where the parts are put together.

mod behavior;
mod bind;
mod dtls;
mod live;
mod named;
pub(super) mod outer;
mod routes;
mod self_test;
mod surroundings;

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use self::bind::Port;
use self::live::{Fresh, RoomGrants};
use self::named::Named;
use self::outer::Outer;
use self::surroundings::Surroundings;
use super::{banner, interfaces};
use crate::config::{self, Origin, Quota, Settings};
use crate::credentials::{Memberships, RoomMember};
use crate::http::{self, Live, Web};
use crate::listener::{self, Admission};
use crate::outside::Known;
use crate::proxies::Proxies;
use crate::relay::{Bound, Relay};
use crate::sightings::Sightings;
use crate::signaling::{Capacity, Hub, HubOptions, Places};
use crate::tls::ServerConfigs;
use crate::tls::acme::{Keeper, Public};
use crate::turn::RelayedAddresses;
use crate::{metrics, tls, turn};

/// How long members get to hear that the server stops.
const PARTING: Duration = Duration::from_secs(2);

/// Starts everything, and runs until it is told to stop. `file` is read again on SIGHUP.
pub(super) fn run(settings: Settings, origin: &Origin, file: Option<&Path>) -> anyhow::Result<()> {
    tracing::info!("settings from {origin}");
    raise_descriptor_limit(&settings);
    let render = metrics::install()?;
    let mut fresh = Fresh::read(&settings, None, Known::default())?;
    let ports = bind::bind(&settings.listen.addresses, settings.listen.shards)
        .with_context(|| origin.place("listen.addresses"))?;
    let listening: Vec<SocketAddr> = ports.iter().map(Port::address).collect();
    let beside =
        behavior::bind(&settings.listen, &listening).with_context(|| origin.place("listen.behavior_discovery"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = Signals::new()?;
        let mut server = Server::start(settings, &mut fresh, (ports, beside), render)?;
        server.announce(&fresh)?;
        server.test_itself(&fresh);
        server.run(signals, file).await;
        server.stop().await;
        Ok(())
    })
}

/// The running parts, and the ends by which they are changed.
struct Server {
    settings: Settings,
    listening: Vec<SocketAddr>,
    /// The machine's addresses, as they were when they were last put in force.
    own: Vec<IpAddr>,
    /// Those that it had before, as far as they are still relayed from.
    former: Vec<IpAddr>,
    relayed: Arc<RelayedAddresses>,
    /// When what the box's own authority signed is good.
    validity: Option<tls::Validity>,
    memberships: Arc<Memberships>,
    relay: Relay,
    hub: Arc<Hub>,
    live: Arc<Live>,
    room_grants: RoomGrants,
    tls: ServerConfigs,
    keeper: Keeper,
    named: Named,
    /// The name that multicast DNS had to take, as it was then.
    renamed: Option<String>,
    outer: Outer,
    /// What was found out of the outside by then, and the outer addresses that came of it.
    known: Known,
    external: HashMap<IpAddr, IpAddr>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// `beside` is for UDP alone, and clients are not told of it.
    fn start(
        settings: Settings,
        fresh: &mut Fresh,
        (ports, beside): (Vec<Port>, Vec<Bound>),
        render: metrics::Render,
    ) -> anyhow::Result<Self> {
        let memberships = Arc::new(Memberships::default());
        let listening: Vec<SocketAddr> = ports.iter().map(Port::address).collect();
        let own = fresh.addresses.clone();
        let (mut udp, tcp): (Vec<_>, Vec<_>) = ports.into_iter().map(|port| (port.udp, port.tcp)).unzip();
        udp.extend(beside);
        let answering = udp.iter().map(Bound::address).collect();
        let options = fresh.turn_options(&settings, &memberships);
        let sightings = Arc::<Sightings>::default();
        let shared = shared(&settings, Arc::clone(&sightings))?;
        let dtls = (dtls::identity(fresh), dtls::limits(&settings.limits));
        let relay = Relay::start(udp, &options, &shared, dtls).context("the relay cannot start")?;

        let room_grants = RoomGrants::new(fresh, &settings);
        let hub = hub(&settings, &memberships, &relay, &room_grants);
        let tls = fresh.identity.server_configs()?;
        let live = Arc::new(Live::new(fresh.issuer(&settings, &tls.public)));
        let stop = watch::Sender::new(false);
        let render = measuring(Arc::clone(&tls.public), render);
        let options = web_options(&settings, answering, render, sightings, stop.subscribe());
        let web = Web::new(options, Arc::clone(&hub), Arc::clone(&live));

        let mut keeper = Keeper::new(Arc::clone(&tls.public));
        keep_public(&mut keeper, &settings, fresh);
        let admission = Admission::new(admission_limits(&settings), proxies(&settings));
        let parts: Arc<dyn listener::Routes> = Arc::new(routes::Parts { relay: relay.handle(), web });
        for socket in tcp {
            let serving =
                listener::serve(socket, accepting(&tls), Arc::clone(&admission), Arc::clone(&parts), stop.subscribe());
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "a TCP listener has ended");
                }
            });
        }
        let mut named = Named::default();
        named.moved(&settings.listen, &listening, &own);
        let outer = Outer::start(&settings, &listening, &own);
        Ok(Self {
            settings,
            listening,
            own,
            former: Vec::new(),
            relayed: Arc::clone(&shared.relayed),
            validity: fresh.identity.validity(),
            memberships,
            relay,
            hub,
            live,
            room_grants,
            tls,
            keeper,
            named,
            renamed: None,
            outer,
            known: Known::default(),
            external: fresh.external().clone(),
            stop,
        })
    }

    /// Says what to open, and that all is ready.
    fn announce(&self, fresh: &Fresh) -> io::Result<()> {
        let banner = banner::Banner {
            listening: &self.listening,
            pages: interfaces::reachable(&self.listening, &fresh.addresses),
            named: named::place(&self.settings.listen, &self.listening, &fresh.addresses),
            has_ca: fresh.identity.ca.is_some(),
            fingerprint: &fresh.identity.fingerprint,
            keys_file: &self.settings.credentials.keys_file,
        };
        let mut out = io::stdout();
        banner.print(&mut out, io::stdout().is_terminal())?;
        banner::ready(&mut out)?;
        if let Err(error) = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]) {
            tracing::debug!(%error, "the supervisor does not listen");
        }
        Ok(())
    }

    /// Sees whether clients would get through. Nobody waits for that.
    fn test_itself(&self, fresh: &Fresh) {
        if self.settings.listen.self_test {
            let addresses = interfaces::reachable(&self.listening, &fresh.addresses);
            tokio::spawn(self_test::run(addresses, self_test::login(fresh, &self.settings.limits)));
        }
    }

    async fn run(&mut self, mut signals: Signals, file: Option<&Path>) {
        // An address that is not known to be the machine's own would be relayed to.
        let mut surroundings = Surroundings::new();
        loop {
            let reloaded = tokio::select! {
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                _ = signals.hangup.recv() => self.reload(file),
                () = async {
                    tokio::select! {
                        () = self.named.changed() => {}
                        () = self.outer.changed() => {}
                        () = surroundings.stirred() => {}
                    }
                } => {
                    if !self.is_stale() {
                        continue;
                    }
                    self.reload_addresses()
                }
            };
            match reloaded {
                Ok(()) => tracing::info!("reloaded"),
                Err(error) => tracing::error!("nothing was reloaded: {error:#}"),
            }
        }
    }

    /// Whether the machine's addresses, inside or outside, or its name have changed, or its certificate is to be renewed.
    fn is_stale(&self) -> bool {
        let has_changed = self.named.renamed() != self.renamed || self.outer.known() != self.known;
        let is_over = self.validity.is_some_and(|validity| !validity.is_timely(OffsetDateTime::now_utc()));
        let is_left = self.former.iter().any(|&ip| !self.relayed.holds(ip));
        has_changed || is_over || is_left || interfaces::addresses().is_ok_and(|own| own != self.own)
    }

    /// The addresses of before that are not this machine's now, and still relayed from.
    fn left_behind(&self, fresh: &Fresh) -> Vec<IpAddr> {
        let before: HashSet<IpAddr> =
            self.former.iter().chain(&self.own).chain(self.external.values()).copied().collect();
        let is_ours = |ip: &IpAddr| fresh.addresses.contains(ip) || fresh.external().values().any(|outer| outer == ip);
        before.into_iter().filter(|ip| !is_ours(ip) && self.relayed.holds(*ip)).collect()
    }

    /// Puts the machine's new addresses and its new name in force: in the policy, in what is relayed from, in the
    /// certificate, and in what is announced.
    fn reload_addresses(&mut self) -> anyhow::Result<()> {
        let (renamed, known) = (self.named.renamed(), self.outer.known());
        let mut fresh = Fresh::read(&self.settings, renamed.as_deref(), known.clone())?;
        if renamed != self.renamed
            && let Some(name) = &renamed
        {
            tracing::warn!("another machine has that name: this one is found as {name}.local");
        }
        let has_moved = fresh.addresses != self.own;
        if has_moved {
            tracing::info!("this machine's addresses are now {:?}", fresh.addresses);
            self.named.moved(&self.settings.listen, &self.listening, &fresh.addresses);
            self.outer.look(&fresh.addresses);
        }
        self.apply(&mut fresh);
        if has_moved {
            self.test_itself(&fresh);
        }
        (self.renamed, self.known) = (renamed, known);
        Ok(())
    }

    /// Reads everything again, and puts it in force only if all of it is right.
    fn reload(&mut self, file: Option<&Path>) -> anyhow::Result<()> {
        let (mut settings, _) = config::load(file)?;
        for section in keep_until_restart(&self.settings, &mut settings) {
            tracing::warn!("{section} has changed: restart lanturn for that to take effect");
        }
        let mut fresh = Fresh::read(&settings, self.renamed.as_deref(), self.known.clone())?;
        self.settings = settings;
        self.apply(&mut fresh);
        keep_public(&mut self.keeper, &self.settings, &mut fresh);
        self.outer.look(&fresh.addresses);
        Ok(())
    }

    fn apply(&mut self, fresh: &mut Fresh) {
        fresh.former = self.left_behind(fresh);
        self.former.clone_from(&fresh.former);
        self.validity = fresh.identity.validity();
        self.relay.handle().reconfigure(&fresh.turn_options(&self.settings, &self.memberships));
        self.live.replace(fresh.issuer(&self.settings, &self.tls.public));
        self.room_grants.replace(fresh, &self.settings);
        self.tls.resolver.swap(&fresh.identity);
        self.relay.handle().show(dtls::identity(fresh).as_ref());
        self.own.clone_from(&fresh.addresses);
        if *fresh.external() != self.external {
            self.external.clone_from(fresh.external());
            tracing::info!("this machine is known outside as {:?}", self.external.values());
            self.hub.moved();
        }
    }

    async fn stop(self) {
        tracing::info!("stopping");
        self.stop.send_replace(true);
        self.hub.shutdown();
        tokio::join!(self.named.stop(), self.outer.stop());
        if tokio::time::timeout(PARTING, self.hub.closed()).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
        self.relay.stop();
    }
}

/// Every allocation and every connection takes a descriptor.
fn raise_descriptor_limit(settings: &Settings) {
    let limits = &settings.limits;
    let needed = u64::from(limits.total.allocations) + u64::from(limits.connections) + 256;
    match rlimit::increase_nofile_limit(needed) {
        Ok(granted) if granted >= needed => {}
        Ok(granted) => tracing::warn!("{granted} open files are allowed, and the limits add up to {needed}"),
        Err(error) => tracing::warn!(%error, "the limit on open files cannot be raised"),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

fn shared(settings: &Settings, sightings: Arc<Sightings>) -> anyhow::Result<turn::Shared> {
    let limits = &settings.limits;
    let mut key = [0; 32];
    SystemRandom::new().fill(&mut key).ok().context("the system has no random numbers to give")?;
    Ok(turn::Shared {
        quota: turn::Quota::new(quota(limits.user), quota(limits.prefix), quota(limits.total), Instant::now()),
        relayed: Arc::default(),
        connections: Arc::default(),
        reservations: Arc::default(),
        sightings,
        behavior: behavior::addresses(&settings.listen),
        nonces: turn::Nonces::new(&key),
        unauthorized_rate: limits.unauthorized_rate,
    })
}

/// The TLS side of a listener.
fn accepting(tls: &ServerConfigs) -> listener::Tls {
    let [alpn, bare, challenge] = [&tls.web, &tls.bare, &tls.challenge].map(Arc::clone);
    listener::Tls { alpn, bare, challenge }
}

/// Keeps up the certificate of a public authority that was read.
fn keep_public(keeper: &mut Keeper, settings: &Settings, fresh: &mut Fresh) {
    let wanted = fresh.wanted.take();
    if settings.tls.acme.is_some() && wanted.is_none() {
        tracing::warn!("tls.acme: no certificate is ordered while there is one of yours, in cert.pem and key.pem");
    }
    keeper.keep(wanted);
}

/// Renders what is only known when it is asked for, too.
fn measuring(public: Arc<Public>, render: metrics::Render) -> metrics::Render {
    Arc::new(move || {
        public.measure();
        render()
    })
}

fn quota(quota: Quota) -> turn::Limits {
    let Quota { allocations, permissions, channels, bandwidth } = quota;
    turn::Limits { allocations, permissions, channels, bandwidth }
}

fn hub(settings: &Settings, memberships: &Arc<Memberships>, relay: &Relay, room_grants: &RoomGrants) -> Arc<Hub> {
    let handle = relay.handle();
    let options = HubOptions {
        capacity: capacity(&settings.rooms),
        unlisted: settings.rooms.subscribers,
        max_rooms: settings.rooms.max_rooms,
        max_rooms_per_prefix: settings.rooms.max_rooms_per_prefix,
        connections: settings.limits.connections,
        connections_per_prefix: settings.limits.connections_per_prefix,
        message_bytes: settings.rooms.message_bytes as usize,
        message_rate: settings.rooms.message_rate,
        hello_deadline: settings.rooms.hello_deadline,
        resume_window: settings.rooms.resume_window,
        join_rate: settings.rooms.join_rate,
        waiting_bytes: HubOptions::WAITING_BYTES,
        waiting_bytes_per_prefix: HubOptions::WAITING_BYTES_PER_PREFIX,
        ping_every: HubOptions::PING_EVERY,
        silence: HubOptions::SILENCE,
        grants: Arc::new(room_grants.clone()),
    };
    let revoke = Arc::new(move |member: RoomMember| handle.revoke(member));
    Arc::new(Hub::new(options, Arc::clone(memberships), revoke))
}

fn capacity(rooms: &config::Rooms) -> Capacity {
    let within = |role: u32| role.min(rooms.capacity);
    let config::Roles { presenter, member, viewer } = rooms.roles;
    let roles = Places { presenter: within(presenter), member: within(member), viewer: within(viewer) };
    Capacity { all: rooms.capacity, roles }
}

fn web_options(
    settings: &Settings,
    listening: Vec<SocketAddr>,
    render_metrics: metrics::Render,
    sightings: Arc<Sightings>,
    shutdown: watch::Receiver<bool>,
) -> http::Options {
    http::Options {
        origins: settings.rooms.origins.clone(),
        proxies: proxies(settings),
        listening,
        credential_rate: settings.limits.credential_rate,
        sightings,
        render_metrics,
        shutdown,
    }
}

fn proxies(settings: &Settings) -> Proxies {
    Proxies::new(settings.listen.proxies.clone())
}

fn admission_limits(settings: &Settings) -> listener::Limits {
    let limits = &settings.limits;
    listener::Limits {
        connections: limits.connections as usize,
        connections_per_prefix: limits.connections_per_prefix as usize,
        half_open: limits.half_open as usize,
        half_open_per_prefix: limits.half_open_per_prefix as usize,
    }
}

/// Leaves what only a restart puts in force as it is, and names it where it differs.
fn keep_until_restart(old: &Settings, new: &mut Settings) -> Vec<&'static str> {
    fn keep<T: Clone + PartialEq>(old: &T, new: &mut T) -> bool {
        let differs = old != new;
        new.clone_from(old);
        differs
    }
    [
        ("listen", keep(&old.listen, &mut new.listen)),
        ("relay.realm", keep(&old.relay.realm, &mut new.relay.realm)),
        ("outside", keep(&old.outside, &mut new.outside)),
        ("limits", keep(&old.limits, &mut new.limits)),
        ("rooms", keep(&old.rooms, &mut new.rooms)),
    ]
    .into_iter()
    .filter_map(|(section, changed)| changed.then_some(section))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        config::load(Some(&file)).unwrap().0
    }

    #[test]
    fn a_reload_leaves_what_needs_a_restart_as_it_is() {
        let old = settings("[relay]\nrealm = \"old\"\nallow = [\"lan\"]\n");
        let new = settings("[relay]\nrealm = \"new\"\nallow = [\"public\"]\n");
        let mut next = new.clone();
        assert_eq!(keep_until_restart(&old, &mut next), ["relay.realm"]);
        assert_eq!((&next.relay.realm, &next.relay.allow), (&old.relay.realm, &new.relay.allow));
        assert_eq!(keep_until_restart(&next, &mut new.clone()), ["relay.realm"], "said each time");
    }
}
