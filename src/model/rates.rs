//! What work costs in ledger tokens. Raw counts go to the row's metadata, so that a change of rates can be explained later.

/// Model tokens per ledger token for the embedding model inside the binary.
const BUILT_IN_EMBEDDING_DIVISOR: u64 = 10;
/// Tokens of page text per ledger token for the built-in extractor.
const BUILT_IN_EXTRACTION_DIVISOR: u64 = 100;

/// A model's answer: prompt and generated tokens count one for one.
#[must_use]
pub const fn generation(prompt_tokens: u64, completion_tokens: u64) -> u64 {
    prompt_tokens.saturating_add(completion_tokens)
}

/// Embedding with the built-in model: a tenth of the model's tokens, at least 1.
#[must_use]
pub const fn built_in_embedding(model_tokens: u64) -> u64 {
    at_least_one(model_tokens.div_ceil(BUILT_IN_EMBEDDING_DIVISOR))
}

/// Extraction without a model: a hundredth of the text's tokens, at least 1.
#[must_use]
pub const fn built_in_extraction(text_tokens: u64) -> u64 {
    at_least_one(text_tokens.div_ceil(BUILT_IN_EXTRACTION_DIVISOR))
}

const fn at_least_one(tokens: u64) -> u64 {
    if tokens == 0 { 1 } else { tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_round_up_and_are_never_nothing() {
        assert_eq!(generation(12, 30), 42);
        assert_eq!([0, 1, 10, 11, 512].map(built_in_embedding), [1, 1, 1, 2, 52]);
        assert_eq!([0, 100, 101, 25_000].map(built_in_extraction), [1, 1, 2, 250]);
    }
}
