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
