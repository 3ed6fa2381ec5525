//! What upstream widgets reported, as context for a downstream one.

use std::fmt::Write as _;
use std::time::Duration;

use super::Automations;
use crate::base::text::truncate;
use crate::model::widget::Widget;
use crate::store::StoreError;

/// Most bytes of context taken from one upstream report.
const CONTEXT_BYTES_MAX: usize = 1024;

impl Automations {
    /// The texts of upstream widgets' latest reports that are young enough; empty when there are none.
    pub(super) async fn upstream_context(&self, widget: &Widget) -> Result<String, StoreError> {
        let oldest = self.now().minus(Duration::from_secs(u64::from(widget.spec.upstream_age_hours()) * 3_600));
        let mut context = String::new();
        for upstream in widget.spec.upstream() {
            let Some(report) = self.store().latest_report(widget.company_id.clone(), upstream.clone()).await? else { continue };
            if report.collected_at < oldest {
                tracing::info!(widget = %widget.id, %upstream, "the upstream report is too old to be used");
                continue;
            }
            let mut text = format!("{}\n{}\n", report.title, report.body.summary);
            for finding in &report.body.findings {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{}", finding.text);
            }
            context.push_str(truncate(&text, CONTEXT_BYTES_MAX));
            context.push('\n');
        }
        Ok(context)
    }
}
