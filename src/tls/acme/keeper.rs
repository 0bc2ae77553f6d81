//! Keeps a certificate up, in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::certificate::Certificate;
use super::error::OrderError;
use super::public::Public;
use super::schedule;
use super::{Kind, Options, Wanted, order};

/// The clock of a machine may be set, and stands still for timers while the machine sleeps: it is looked at so often.
const LOOK: Duration = Duration::from_secs(600);

/// Orders the certificate when there is none, when its names change, and when its end comes near.
#[derive(Debug)]
pub struct Keeper {
    public: Arc<Public>,
    task: Option<Task>,
}

#[derive(Debug)]
struct Task {
    options: Options,
    is_ordering: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

impl Task {
    fn is_ordering_for(&self, wanted: &Wanted) -> bool {
        self.options == wanted.options && self.is_ordering.load(Ordering::Relaxed)
    }
}

impl Keeper {
    /// Keeps nothing yet. What it will keep is shown in `public`.
    pub fn new(public: Arc<Public>) -> Self {
        Self { public, task: None }
    }

    /// From now on keeps what is wanted, if anything: shows what there is of it, and orders the rest. Needs a runtime.
    /// An order under way goes on if it is for the same, and is given up otherwise.
    pub fn keep(&mut self, wanted: Option<Wanted>) {
        if let (Some(task), Some(wanted)) = (&self.task, &wanted)
            && task.is_ordering_for(wanted)
        {
            return;
        }
        let before = self.stop();
        let Some(Wanted { options, certificate }) = wanted else { return self.public.show(None) };
        let fits = certificate.as_ref().filter(|found| found.has_all(&options.names));
        let due = fits.map(|found| found.validity.renewal(rand::random()));
        self.public.show(certificate);
        let public = Arc::clone(&self.public);
        let is_ordering = Arc::<AtomicBool>::default();
        let running = run(options.clone(), due, public, Arc::clone(&is_ordering));
        let handle = tokio::spawn(async move {
            if let Some(before) = before {
                // It takes its answers back when it ends, and would take the next order's with them.
                let _ = before.await;
            }
            running.await;
        });
        self.task = Some(Task { options, is_ordering, handle });
    }

    fn stop(&mut self) -> Option<JoinHandle<()>> {
        self.task.take().map(|task| task.handle).inspect(JoinHandle::abort)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `due` is when to order next, if not at once.
async fn run(options: Options, mut due: Option<OffsetDateTime>, public: Arc<Public>, is_ordering: Arc<AtomicBool>) {
    loop {
        if let Some(due) = due {
            wait_until(due).await;
        }
        let certificate = order_until_filled(&options, &public, &is_ordering).await;
        due = Some(certificate.validity.first_renewal(OffsetDateTime::now_utc(), rand::random()));
        public.show(Some(certificate));
    }
}

async fn order_until_filled(options: &Options, public: &Public, is_ordering: &AtomicBool) -> Certificate {
    let mut failures = 0;
    loop {
        let kind = options.kind_after(failures);
        is_ordering.store(true, Ordering::Relaxed);
        let filled = order::fill(options, kind, &public.challenges).await;
        is_ordering.store(false, Ordering::Relaxed);
        match filled {
            Ok(certificate) => {
                count("filled");
                let (names, end) = (options.names.join(", "), certificate.validity.not_after.date());
                tracing::info!("acme: there is a new certificate for {names}, until {end}");
                return certificate;
            }
            Err(error) => {
                count("failed");
                failures += 1;
                let pause = schedule::pause(failures, rand::random());
                complain(options, kind, &error, pause);
                sleep(pause).await;
            }
        }
    }
}

fn complain(options: &Options, kind: Kind, error: &OrderError, pause: Duration) {
    tracing::warn!(
        "acme: no certificate for {} by {kind}: {error}. What to do: {}. The next attempt is in {} min; SIGHUP makes one \
         at once",
        options.names.join(", "),
        error.remedy(&options.directory),
        pause.as_secs().div_ceil(60)
    );
}

async fn wait_until(due: OffsetDateTime) {
    while let Ok(left) = Duration::try_from(due - OffsetDateTime::now_utc()) {
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("lanturn_acme_orders_total", "outcome" => outcome).increment(1);
}
