//! Reports over time: what is kept beside a report's body, its headline, its series, and what changed since the one before.

use std::collections::HashSet;

use super::ids::{CompanyId, ReportId, RunId, WidgetId};
use super::report::{Metric, ReportBody};
use crate::base::clock::Timestamp;

/// A report as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its id.
    pub id: ReportId,
    /// Whose it is.
    pub company_id: CompanyId,
    /// Which widget's.
    pub widget_id: WidgetId,
    /// Which run's.
    pub run_id: RunId,
    /// The widget's title when it was made.
    pub title: String,
    /// What it says.
    pub body: ReportBody,
    /// Pages it was made from.
    pub pages: u32,
    /// When the oldest page it uses was collected: a report is as fresh as its oldest source.
    pub collected_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A report without its body.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportHead {
    /// Its id.
    pub id: ReportId,
    /// Which widget's.
    pub widget_id: WidgetId,
    /// Which run's.
    pub run_id: RunId,
    /// The widget's title when it was made.
    pub title: String,
    /// Pages it was made from.
    pub pages: u32,
    /// How many findings.
    pub findings: u32,
    /// How many metrics.
    pub metrics: u32,
    /// When the oldest page it uses was collected.
    pub collected_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoint {
    /// When its report was made.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
    /// The date the source gives for it.
    pub as_of: Option<String>,
    /// The report it stands in.
    pub report_id: ReportId,
}

/// A metric over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Which widget's.
    pub widget_id: WidgetId,
    /// The metric's name.
    pub name: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Its values, oldest first.
    pub points: Vec<MetricPoint>,
}

impl Series {
    /// The last value, and how far it is from the one before.
    #[must_use]
    pub fn latest(&self) -> Option<(&MetricPoint, Option<f64>)> {
        let (last, earlier) = self.points.split_last()?;
        Some((last, earlier.last().map(|before| last.value - before.value)))
    }
}

/// A metric that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricChange {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: Option<String>,
    /// The value before; none when the metric is new.
    pub previous: Option<f64>,
    /// The value now; none when the metric is gone.
    pub current: Option<f64>,
    /// The difference, when there are both.
    pub change: Option<f64>,
}

/// What changed from one report to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportChanges {
    /// Metrics with another value, new ones and gone ones.
    pub metrics: Vec<MetricChange>,
    /// Ids of findings whose text was not there before.
    pub new_findings: Vec<String>,
    /// Texts of findings that are not there any more.
    pub gone_findings: Vec<String>,
}

impl ReportChanges {
    /// Compares two reports of one widget. Metrics are the same when name and unit are, findings when their text is.
    #[must_use]
    pub fn between(previous: &ReportBody, current: &ReportBody) -> Self {
        let find = |metrics: &[Metric], wanted: &Metric| metrics.iter().find(|m| m.name == wanted.name && m.unit == wanted.unit).map(|m| m.value);
        let mut metrics = Vec::new();
        let mut seen = HashSet::new();
        for metric in current.metrics.iter().filter(|metric| seen.insert((&metric.name, &metric.unit))) {
            let before = find(&previous.metrics, metric);
            if before != Some(metric.value) {
                metrics.push(MetricChange {
                    name: metric.name.clone(),
                    unit: metric.unit.clone(),
                    previous: before,
                    current: Some(metric.value),
                    change: before.map(|before| metric.value - before),
                });
            }
        }
        for metric in previous.metrics.iter().filter(|metric| seen.insert((&metric.name, &metric.unit))) {
            metrics.push(MetricChange {
                name: metric.name.clone(),
                unit: metric.unit.clone(),
                previous: Some(metric.value),
                current: None,
                change: None,
            });
        }
        let texts = |body: &ReportBody| body.findings.iter().map(|finding| finding.text.clone()).collect::<HashSet<_>>();
        let (before, now) = (texts(previous), texts(current));
        Self {
            metrics,
            new_findings: current.findings.iter().filter(|f| !before.contains(&f.text)).map(|f| f.id.clone()).collect(),
            gone_findings: previous.findings.iter().filter(|f| !now.contains(&f.text)).map(|f| f.text.clone()).collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use crate::model::report::{Finding, Metric, ReportBody};

    /// A body with these findings and metrics, and no evidence.
    pub(crate) fn body(findings: &[&str], metrics: &[(&str, f64)]) -> ReportBody {
        ReportBody {
            findings: findings
                .iter()
                .enumerate()
                .map(|(at, text)| Finding { id: format!("f{}", at + 1), text: (*text).into(), evidence: vec![], entities: vec![] })
                .collect(),
            metrics: metrics
                .iter()
                .enumerate()
                .map(|(at, (name, value))| Metric {
                    id: format!("m{}", at + 1),
                    name: (*name).into(),
                    decimals: None,
                    value: *value,
                    unit: Some("EUR".into()),
                    as_of: None,
                    evidence: vec![],
                })
                .collect(),
            ..ReportBody::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::body;
    use super::*;

    #[test]
    fn what_changed_is_said_and_what_stayed_is_not() {
        let before = body(&["same", "old"], &[("Bread", 2.0), ("Milk", 1.0), ("Salt", 3.0)]);
        let now = body(&["same", "fresh"], &[("Bread", 2.5), ("Milk", 1.0), ("Oil", 9.0), ("Oil", 10.0)]);
        let changes = ReportChanges::between(&before, &now);
        let told: Vec<_> = changes.metrics.iter().map(|m| (m.name.as_str(), m.previous, m.current, m.change)).collect();
        assert_eq!(told, [("Bread", Some(2.0), Some(2.5), Some(0.5)), ("Oil", None, Some(9.0), None), ("Salt", Some(3.0), None, None)]);
        assert_eq!(changes.new_findings, ["f2"]);
        assert_eq!(changes.gone_findings, ["old"]);
        assert_eq!(ReportChanges::between(&now, &now), ReportChanges::default());
    }
}
