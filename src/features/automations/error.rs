//! Why something about an automation was not done.

use crate::model::ids::RunId;
use crate::model::invalid::Invalid;
use crate::model::plans::Refusal;
use crate::model::run::{RunError, RunState};
use crate::services::plans::PlanError;
use crate::store::StoreError;

/// Why something about an automation was not done.
#[derive(Debug, thiserror::Error)]
pub enum AutomationError {
    /// Whoever made it has lost their place in the company, and its schedule would spend their tokens.
    #[error("whoever made it may not run automations any more")]
    MakerGone,
    /// There is no such widget, run or report, or it is not the caller's to see.
    #[error("not found")]
    NotFound,
    /// It is somebody else's, and the caller's role does not reach that far.
    #[error("this automation was made by somebody else")]
    NotYours,
    /// It was changed by others each time a change was to be made.
    #[error("this automation is being changed by others")]
    ChangedMeanwhile,
    /// A field is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The plan does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A start page may not be reached.
    #[error("{}", .0.message)]
    Destination(RunError),
    /// The widget has an active run.
    #[error("a run of this automation is in progress: {0}")]
    RunInProgress(RunId),
    /// The run has ended.
    #[error("the run is over: {}", .0.as_str())]
    RunOver(RunState),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PlanError> for AutomationError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Refused(refusal) => Self::Refused(refusal),
            PlanError::Store(error) => Self::Store(error),
        }
    }
}
