//! Answers to questions: one trait, and what implements it.
//!
//! With nothing configured the [`narrator`] answers by quoting what was recalled; with a model server it is [`openai`].

mod candidates;
pub mod citations;
pub mod narrator;
pub mod openai;
pub mod prompt;
pub mod provider;
mod relevance;
mod retry;
mod sentences;
mod sse_decode;
mod wanted;
mod wire;

#[cfg(test)]
#[path = "../../../tests/it/model_server.rs"]
pub(crate) mod model_server;

use std::sync::Arc;

use crate::base::seams::Seams;
use crate::services::egress::Egress;

pub use openai::{ModelServerSettings, OpenAiCompatible};
pub use provider::{Completion, CompletionRequest, Delta, FinishReason, PromptMessage, Provider, ProviderError, RecalledPassage, Speaker};

/// The provider that the settings ask for: the model server if there is one, else the narrator.
///
/// # Errors
/// When the model server's address is not one that can be asked.
pub fn provider(model_server: Option<ModelServerSettings>, egress: Egress, seams: Seams) -> Result<Arc<dyn Provider>, ProviderError> {
    match model_server {
        Some(settings) => Ok(Arc::new(OpenAiCompatible::new(egress, seams, settings)?)),
        None => Ok(Arc::new(narrator::Narrator)),
    }
}
