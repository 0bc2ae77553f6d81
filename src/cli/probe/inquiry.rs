//! The questions, in the order in which one leads to the next.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::{Method, StatusCode};
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::net::lookup_host;
use tokio::time::timeout_at;

use super::certificate::{Verdict, curious, judge, machine_roots};
use super::client::Login;
use super::clock::Clock;
use super::link::Way;
use super::outside::{self, Outside};
use super::path::{Stage, Walk, walk};
use super::report::{Report, Step};
use super::room::Membership;
use super::target::Target;
use super::trouble::Trouble;
use super::view::{self, View};
use super::web::{self, Web};
use super::words::{Context, explain};
use super::{Credential, Plan, findings, unix_now};
use crate::turn::Transport;

/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(28);
/// What a client calls itself of which the box takes no note.
const SOFTWARE: &str = "lanturn probe";

/// One run.
pub(super) struct Inquiry {
    plan: Plan,
    clock: Clock,
    steps: Vec<Step>,
    /// By how much the box's clock is ahead, in seconds.
    ahead: i64,
    verdict: Option<Verdict>,
}

/// What lets a client relay, and where.
#[derive(Default)]
struct Access {
    login: Option<Login>,
    /// What the box tells browsers.
    uris: Vec<String>,
}

/// One transport, and how far it went.
pub(super) struct Tried {
    pub(super) way: Way,
    pub(super) walk: Walk,
}

impl Inquiry {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan, clock: Clock::start(WHOLE), steps: Vec::new(), ahead: 0, verdict: None }
    }

    pub(super) async fn run(mut self) -> Report {
        let target = format!("https://{}", self.plan.target.authority());
        let Some(addresses) = self.resolve().await else { return Report::new(target, self.steps, &[]) };
        let mut web = self.open(&addresses).await;
        let membership = self.join(web.as_ref()).await;
        let access = self.access(web.as_mut(), membership.as_ref()).await;
        let probe = match web.as_mut() {
            Some(web) => view::begin(web, self.clock).await,
            None => None,
        };
        let software = probe.map_or_else(|| SOFTWARE.to_owned(), |id| id.software());
        let first = web.as_ref().map_or(addresses[0], |web| web.remote);
        let tried = self.try_all(&access, first, &software).await;
        let outside = self.visit(&access, &tried, &software).await;
        let view = match (web.as_mut(), probe) {
            (Some(web), Some(id)) => view::read(web, id, self.clock).await,
            _ => None,
        };
        self.tell(&access, &tried, view.as_ref(), web.is_some());
        let is_here = tried.iter().any(|tried| tried.walk.local.map(|local| local.ip()) == Some(tried.way.server.ip()));
        let open = tried.iter().find(|tried| tried.walk.is_through()).map(|tried| &tried.way);
        let context = open.map(|way| {
            let (transport, server, view) = (way.transport, way.server, view.as_ref());
            Context { transport, server, view, others_work: true, expiry: None }
        });
        self.steps.push(findings::relay_ports(outside.as_ref().zip(context), is_here));
        self.steps.push(findings::nat(&tried, outside.as_ref()));
        if let Some(membership) = membership {
            membership.leave(self.clock.step()).await;
        }
        let paths: Vec<_> =
            tried.iter().map(|tried| (findings::name(tried.way.transport), tried.walk.is_through())).collect();
        Report::new(target, self.steps, &paths)
    }

    /// The addresses of the box, at least one.
    async fn resolve(&mut self) -> Option<Vec<SocketAddr>> {
        let target = &self.plan.target;
        if let Some(address) = target.literal() {
            return Some(vec![address]);
        }
        let found = resolve(target, self.clock).await;
        self.steps.push(findings::resolved(target, &found));
        Some(found).filter(|found| !found.is_empty())
    }

    /// HTTPS, the certificate and the clock.
    async fn open(&mut self, addresses: &[SocketAddr]) -> Option<Web> {
        let target = self.plan.target.clone();
        let opened = match web::connect(&target, addresses, self.clock.step()).await {
            Ok(stream) => Web::new(&target, stream, self.clock).await.map_err(|trouble| (true, trouble)),
            Err(failure) => Err(failure),
        };
        let mut web = match opened {
            Ok(web) => web,
            Err((others_work, trouble)) => {
                let transport = if others_work { Transport::Tls } else { Transport::Tcp };
                let context = Context { transport, server: addresses[0], view: None, others_work, expiry: None };
                let (text, next) = explain(&context, Stage::Connect, &trouble);
                self.steps.push(Step::failed("web", text, next).needed());
                return None;
            }
        };
        let health = web.ask(Method::GET, "/health", self.clock).await;
        self.steps.push(findings::web(&target, web.remote, health.as_ref()));
        let health = health.ok()?;
        self.look_at_certificate(&mut web).await;
        self.steps.push(findings::clock(health.ahead));
        self.ahead = health.ahead.unwrap_or_default();
        Some(web).filter(|_| health.status == StatusCode::OK)
    }

    async fn look_at_certificate(&mut self, web: &mut Web) {
        let Plan { target, fingerprint, .. } = &self.plan;
        let authority = web.ask(Method::GET, "/ca.crt", self.clock).await.ok();
        let authority = authority.filter(|answer| answer.status == StatusCode::OK);
        let authority = authority.map(|answer| CertificateDer::from(answer.body.to_vec()));
        let Some(name) = target.server_name() else { return };
        let (roots, expected) = (machine_roots(), fingerprint.as_deref());
        let verdict = judge(&web.chain, &name, &roots, authority.as_ref(), expected, UnixTime::now());
        self.steps.push(findings::certificate(target, &verdict));
        self.verdict = Some(verdict);
    }

    /// A throw-away room, on a connection of its own.
    async fn join(&mut self, web: Option<&Web>) -> Option<Membership> {
        let remote = web?.remote;
        let target = &self.plan.target;
        let stream = match web::connect(target, &[remote], self.clock.step()).await {
            Ok(stream) => stream,
            Err((_, trouble)) => {
                self.steps.push(findings::no_socket(&trouble));
                return None;
            }
        };
        let joined = Membership::join(target, stream, self.clock.step()).await;
        self.steps.push(findings::websocket(joined.as_ref().err()));
        joined.ok()
    }

    /// The credential to go with, and where the box says that its relay is.
    async fn access(&mut self, web: Option<&mut Web>, membership: Option<&Membership>) -> Access {
        let room = membership.map(|membership| of_room(&membership.ice_servers)).unwrap_or_default();
        match (&self.plan.credential, room.login) {
            (Credential::Login(login), _) => {
                self.steps.push(Step::ok("credential", format!("that of the user `{}`", login.username)));
                Access { login: Some(login.clone()), uris: Vec::new() }
            }
            (Credential::Key(_), _) => self.by_key(web).await,
            (Credential::Room(_), Some(login)) => {
                self.steps.push(Step::ok("credential", "that of a throw-away room, as every visitor of the page gets"));
                Access { login: Some(login), uris: room.uris }
            }
            (Credential::Room(Some(login)), None) => {
                self.steps.push(Step::ok("credential", "made with the secret of this machine's configuration"));
                Access { login: Some(login.clone()), uris: Vec::new() }
            }
            (Credential::Room(None), None) => {
                let next = "mend what failed above, or give --user and --password-file, or --key-file";
                self.steps.push(Step::failed("credential", "there is none, so nothing is relayed", next).needed());
                Access::default()
            }
        }
    }

    async fn by_key(&mut self, web: Option<&mut Web>) -> Access {
        let Credential::Key(key) = &self.plan.credential else { return Access::default() };
        let is_proven = self.verdict.as_ref().is_some_and(Verdict::is_proven);
        let Some(web) = web.filter(|_| is_proven) else {
            let text = "the API key was shown to nobody: the certificate does not prove that this is the box";
            let next = "give the --fingerprint that `lanturn serve` has printed";
            self.steps.push(Step::failed("credential", text, next).needed());
            return Access::default();
        };
        let query = serde_urlencoded::to_string([("username", "probe"), ("key", key)]).unwrap_or_default();
        let answer = web.ask(Method::GET, &format!("/turn?{query}"), self.clock).await;
        let reply = answer.as_ref().map(super::web::Answer::json).unwrap_or_default();
        let text = |name: &str| reply[name].as_str().map(str::to_owned);
        let login = text("username").zip(text("password"));
        let login = login.map(|(username, password)| Login { username, password });
        self.steps.push(findings::by_key(login.is_some(), answer.as_ref()));
        let uris = reply["uris"].as_array().into_iter().flatten().filter_map(|uri| uri.as_str().map(str::to_owned));
        Access { login, uris: uris.collect() }
    }

    /// Every transport at once: one that is blocked must not keep the others waiting.
    async fn try_all(&mut self, access: &Access, first: SocketAddr, software: &str) -> Vec<Tried> {
        let mut ways = Vec::new();
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
            ways.extend(self.way(access, first, transport).await);
        }
        let clock = self.clock;
        let walks = ways.iter().map(|way| walk(way, access.login.as_ref(), software, clock));
        let walks = futures_util::future::join_all(walks).await;
        ways.into_iter().zip(walks).map(|(way, walk)| Tried { way, walk }).collect()
    }

    /// Where the box says that it relays over a transport, else where it was asked.
    async fn way(&mut self, access: &Access, first: SocketAddr, transport: Transport) -> Option<Way> {
        let told = access.uris.iter().filter_map(|uri| Target::of_turn_uri(uri));
        let told = told.filter(|(over, _)| *over == transport).map(|(_, target)| target).next();
        let target = told.unwrap_or_else(|| self.plan.target.clone());
        let server = match target.literal() {
            Some(address) => Some(address),
            None if target.host == self.plan.target.host => Some(SocketAddr::new(first.ip(), target.port)),
            None => resolve(&target, self.clock).await.first().copied(),
        };
        let Some(server) = server else {
            self.steps.push(findings::untold(transport, &target));
            return None;
        };
        Some(Way { transport, server, name: target.server_name()?, tls: curious(&[]).ok()? })
    }

    /// From outside of the relay, by any way that works.
    async fn visit(&self, access: &Access, tried: &[Tried], software: &str) -> Option<Result<Outside, Trouble>> {
        let udp = tried.iter().find(|tried| tried.way.transport == Transport::Udp && tried.walk.mapped.is_some())?;
        let open = tried.iter().find(|tried| tried.walk.is_through())?;
        let login = access.login.as_ref()?;
        Some(outside::visit(&open.way, udp.way.server, login, software, self.clock).await)
    }

    /// What came of each transport, from both ends.
    fn tell(&mut self, access: &Access, tried: &[Tried], view: Option<&View>, has_web: bool) {
        let has_login = access.login.is_some();
        let ends = access.login.as_ref().and_then(|login| login.username.split(':').next()?.parse().ok());
        let expiry = ends.map(|ends| (ends, unix_now().saturating_add_signed(self.ahead)));
        for Tried { way, walk } in tried {
            let others = tried.iter().filter(|other| other.way.transport != way.transport);
            let others_work = has_web || others.clone().any(|other| other.walk.mapped.is_some());
            let context = Context { transport: way.transport, server: way.server, view, others_work, expiry };
            self.steps.extend(findings::transport(&context, walk, has_login));
        }
    }
}

fn of_room(servers: &[crate::credentials::IceServer]) -> Access {
    let Some(turn) = servers.iter().find(|server| server.username.is_some()) else { return Access::default() };
    let login = turn.username.clone().zip(turn.credential.clone());
    let login = login.map(|(username, password)| Login { username, password });
    Access { login, uris: turn.urls.clone() }
}

async fn resolve(target: &Target, clock: Clock) -> Vec<SocketAddr> {
    match timeout_at(clock.step(), lookup_host((target.host.as_str(), target.port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
