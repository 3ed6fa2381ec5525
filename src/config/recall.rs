//! Recall of collected material.

use super::definition::{Kind, section};

section! {
    /// Recall of collected material.
    Recall {
        /// Whether runs put their material into the vector store and answers recall it. Turned off, chunks stay and are not queried.
        automation_vectorstore_enabled: bool = "AUTOMATION_VECTORSTORE_ENABLED", Kind::Flag, Some("0"), Yes;
    }
}
