//! Model servers and keys.

use super::definition::{Kind, section};
use crate::base::secret::Secret;

section! {
    /// Model servers and keys.
    Models {
        /// An OpenAI-compatible server (Ollama, vLLM, llama.cpp): the address before `/v1`. Unset = answers quote from recalled material. The server must also be allowed under Egress.
        url: Option<String> = "ONSITE_MODEL_URL", Kind::Url, None, Yes;
        /// The model's name on that server.
        name: Option<String> = "ONSITE_MODEL_NAME", Kind::Text, None, Yes;
        /// The key for that server.
        api_key: Option<Secret<String>> = "ONSITE_MODEL_API_KEY", Kind::Secret(None), None, Yes;
        /// The platform's key for OpenAI.
        openai_api_key: Option<Secret<String>> = "OPENAI_API_KEY", Kind::Secret(Some("sk-")), None, NotYet;
        /// The platform's key for Anthropic.
        anthropic_api_key: Option<Secret<String>> = "ANTHROPIC_API_KEY", Kind::Secret(Some("sk-ant-")), None, NotYet;
        /// The platform's key for Google Gemini.
        google_api_key: Option<Secret<String>> = "GOOGLE_API_KEY", Kind::Secret(None), None, NotYet;
        /// The platform's key for Groq.
        groq_api_key: Option<Secret<String>> = "GROQ_API_KEY", Kind::Secret(Some("gsk_")), None, NotYet;
        /// The platform's key for Mistral.
        mistral_api_key: Option<Secret<String>> = "MISTRAL_API_KEY", Kind::Secret(None), None, NotYet;
        /// The platform's key for Cerebras.
        cerebras_api_key: Option<Secret<String>> = "CEREBRAS_API_KEY", Kind::Secret(Some("csk-")), None, NotYet;
    }
}
