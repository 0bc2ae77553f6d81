//! Counters and gauges, in Prometheus' text format.
//!
//! Every module that has something to count does so through the `metrics` crate; this one only collects.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;

/// Prints everything that was counted so far.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Starts collecting, for the whole process.
///
/// # Errors
/// When something else collects already.
pub fn install() -> Result<Render, metrics::SetRecorderError<metrics_exporter_prometheus::PrometheusRecorder>> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    Ok(Arc::new(move || handle.render()))
}

#[cfg(test)]
pub(crate) mod testing {
    use metrics::LocalRecorderGuard;
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

    /// What the thread that made it counts, for as long as it lives.
    pub(crate) struct Counts {
        handle: PrometheusHandle,
        _guard: LocalRecorderGuard<'static>,
    }

    impl Counts {
        pub(crate) fn new() -> Self {
            // A guard borrows it, so it cannot live beside the guard.
            let recorder: &'static PrometheusRecorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
            Self { handle: recorder.handle(), _guard: metrics::set_default_local_recorder(recorder) }
        }

        /// What a counter or a gauge without labels stands at, 0 if there is none.
        pub(crate) fn of(&self, name: &str) -> u64 {
            let text = self.handle.render();
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.map_or(0, |value| value.parse().expect("a whole number"))
        }
    }
}
