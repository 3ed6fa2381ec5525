//! The built-in narrator: answers by quoting what was recalled, word for word, and says that it does.
//!
//! It generates nothing, so it can say nothing that is not in a source. When no passage answers, it says so and what to do.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use super::candidates::{Chosen, is_ended};
use super::prompt::estimate_tokens;
use super::provider::{Completion, CompletionRequest, Delta, FinishReason, Provider, ProviderError, RecalledPassage};
use super::relevance::choose;
use super::sentences::reference_mark;

/// How answers begin that quote.
pub const LEAD: &str = "Quoted from your sources, not generated:";
/// About how much text a part of the answer carries, in bytes: small enough to be seen coming.
const DELTA_BYTES: usize = 48;

/// The extractive back-end.
#[derive(Clone, Copy, Debug)]
pub struct Narrator;

impl Provider for Narrator {
    fn name(&self) -> &'static str {
        "narrator"
    }

    fn model(&self) -> &'static str {
        "built-in narrator"
    }

    fn quotes(&self) -> bool {
        true
    }

    fn context_tokens(&self) -> u32 {
        // It reads every passage it is given; this only bounds how many.
        32_768
    }

    fn complete(&self, request: CompletionRequest) -> BoxFuture<'_, Result<Completion, ProviderError>> {
        Box::pin(async move {
            let CompletionRequest { question, recalled, cancel, .. } = request;
            let prompt = estimate_tokens(&question);
            // Choosing compares the question with every sentence: that is computing, and the threads of requests are not for it.
            let answered = tokio::task::spawn_blocking(move || answer(&question, &recalled)).await;
            let mut deltas = answered.map_err(|error| ProviderError::Server(format!("the narrator stopped: {error}")))?;
            let completion = deltas.iter().map(|delta| if let Delta::Text(text) = delta { estimate_tokens(text) } else { 0 }).sum();
            // It has no prompt but the question: the passages cost nothing to quote.
            deltas.push(Delta::Usage { prompt, completion, estimated: true });
            deltas.push(Delta::Finish(FinishReason::Stop));
            let until_cancelled = move |delta| if cancel.is_cancelled() { Err(ProviderError::Cancelled) } else { Ok(delta) };
            Ok(futures_util::stream::iter(deltas).map(until_cancelled).boxed())
        })
    }
}

/// The whole answer as parts.
fn answer(question: &str, passages: &[RecalledPassage]) -> Vec<Delta> {
    let chosen = choose(question, passages);
    if chosen.is_empty() {
        return in_parts(&no_answer(passages.len()));
    }
    let mut deltas = in_parts(LEAD);
    let mut at = 0;
    while at < chosen.len() {
        let together = chosen[at..].iter().take_while(|next| next.passage == chosen[at].passage).count();
        deltas.extend(paragraph(&chosen[at..at + together], &passages[chosen[at].passage], chosen.len() > together));
        at += together;
    }
    deltas
}

/// The quotes of one passage: every one with its citation.
fn paragraph(chosen: &[Chosen<'_>], passage: &RecalledPassage, one_of_many: bool) -> Vec<Delta> {
    let mut text = String::from(if one_of_many { "\n\n- " } else { "\n\n" });
    for (place, sentence) in chosen.iter().enumerate() {
        let separator = if place == 0 { "" } else { " " };
        text.push_str(&format!("{separator}{} [{}]", quoted(sentence.text), passage.n));
    }
    // A row of figures needs the names of its columns; a sentence speaks for itself.
    let reading = passage
        .reading()
        .filter(|_| !passage.quotable.contains('\n') && chosen.iter().any(|sentence| !sentence.text.ends_with(['.', '!', '?', '。'])));
    match (reading, passage.title.trim()) {
        (Some(reading), _) => text.push_str(&format!(" (read as: {})", reading.trim())),
        (None, "") => {}
        (None, title) => text.push_str(&format!(" — {title}{}", under(chosen, title))),
    }
    let mut deltas = in_parts(&text);
    let best =
        chosen.iter().max_by(|a, b| a.score.total_cmp(&b.score)).and_then(|best| pieces(best.text).into_iter().max_by_key(|piece| piece.len()));
    let quotes = chosen.iter().flat_map(|sentence| pieces(sentence.text));
    deltas.extend(quotes.map(|quote| Delta::Cite { n: passage.n, quote: quote.to_owned(), answers: best == Some(quote) }));
    deltas
}

/// What an item stands under, where the answer does not say it otherwise: `, Opening hours`.
fn under(chosen: &[Chosen<'_>], title: &str) -> String {
    let said = |under: &&str| *under != title && !chosen.iter().any(|sentence| sentence.text == *under);
    match chosen.iter().filter(|sentence| !is_ended(sentence.text)).find_map(|sentence| sentence.under.filter(said)) {
        Some(under) => format!(", {}", under.trim_end_matches(':')),
        None => String::new(),
    }
}

/// In quotation marks. A reference mark of the source, such as `[12]`, would read as a citation of ours: it is left out, visibly within a sentence.
fn quoted(sentence: &str) -> String {
    pieces(sentence).iter().map(|piece| format!("“{piece}”")).collect::<Vec<_>>().join(" … ")
}

/// The exact parts of a sentence around the reference marks in it.
fn pieces(sentence: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, _) in sentence.match_indices('[') {
        if let Some(length) = reference_mark(&sentence[at..]).filter(|_| at >= start) {
            pieces.push(sentence[start..at].trim());
            start = at + length;
        }
    }
    pieces.push(sentence[start..].trim());
    pieces.retain(|piece| piece.chars().any(char::is_alphanumeric));
    pieces
}

fn no_answer(passages: usize) -> String {
    let found = match passages {
        0 => "Nothing that could answer this has been collected or uploaded yet.".to_owned(),
        1 => "The one passage that was recalled for this question does not answer it.".to_owned(),
        n => format!("None of the {n} passages that were recalled for this question answers it."),
    };
    format!(
        "{found} This appliance has no language model configured, so it quotes its sources and makes nothing up.\n\n\
         What you can do: run an automation over pages that cover the question, upload a document about it, or ask again with words that your sources use."
    )
}

/// Cuts a text after words into parts of about [`DELTA_BYTES`].
fn in_parts(text: &str) -> Vec<Delta> {
    let mut parts = Vec::new();
    let mut part = String::new();
    for word in text.split_inclusive(' ') {
        part.push_str(word);
        if part.len() >= DELTA_BYTES {
            parts.push(Delta::Text(std::mem::take(&mut part)));
        }
    }
    if !part.is_empty() {
        parts.push(Delta::Text(part));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passage(n: usize, title: &str, content: &str, cosine: f32) -> RecalledPassage {
        RecalledPassage {
            n,
            title: title.to_owned(),
            source: "https://example.org/".to_owned(),
            content: content.to_owned(),
            quotable: content.to_owned(),
            freshness: "FRESH".to_owned(),
            collected_at: "2026-11-22T00:00:00Z".to_owned(),
            cosine,
        }
    }

    fn text(deltas: &[Delta]) -> String {
        deltas.iter().filter_map(|delta| if let Delta::Text(text) = delta { Some(text.as_str()) } else { None }).collect()
    }

    fn cites(deltas: &[Delta]) -> Vec<(usize, String)> {
        deltas.iter().filter_map(|delta| if let Delta::Cite { n, quote, .. } = delta { Some((*n, quote.clone())) } else { None }).collect()
    }

    fn library() -> Vec<RecalledPassage> {
        vec![
            passage(
                1,
                "Berlin",
                "Berlin is the capital of Germany.[3] It has 3,755,251 inhabitants. The city lies on the Spree.\nThe zoo opened in 1844.",
                0.6,
            ),
            passage(2, "Hamburg", "Hamburg has 1,910,160 inhabitants. The port is the third largest of Europe.", 0.45),
            passage(3, "Opening hours", "The museum is open from 10 to 18. Admission costs 12 euros.", 0.2),
        ]
    }

    #[test]
    fn a_figure_is_quoted_with_its_citation() {
        let deltas = answer("How many inhabitants does Berlin have?", &library());
        let text = text(&deltas);
        assert!(text.starts_with(LEAD), "{text}");
        assert!(text.contains("“It has 3,755,251 inhabitants.” [1]"), "{text}");
        assert!(!text.contains("zoo") && !text.contains("museum"), "{text}");
        let cited =
            deltas.iter().find_map(|delta| if let Delta::Cite { n, quote, answers: true } = delta { Some((*n, quote.as_str())) } else { None });
        assert_eq!(cited, Some((1, "It has 3,755,251 inhabitants.")));
        assert!(deltas.len() >= 3);
    }

    #[test]
    fn a_reference_mark_of_the_source_does_not_become_a_citation() {
        let deltas = answer("What is the capital of Germany?", &library());
        assert!(text(&deltas).contains("“Berlin is the capital of Germany.” [1]"), "{}", text(&deltas));
        assert_eq!(pieces("One[2] and two [x] more.[13]"), ["One", "and two [x] more."]);
    }

    #[test]
    fn a_moment_is_preferred_when_the_question_asks_when() {
        let deltas = answer("When did the zoo of Berlin open?", &library());
        assert!(text(&deltas).contains("“The zoo opened in 1844.” [1]"), "{}", text(&deltas));
    }

    #[test]
    fn what_the_sources_do_not_say_is_not_answered() {
        for question in ["Who won the chess championship?", "What is the boiling point of mercury?", "How many moons does Jupiter have?", "?!", ""] {
            let deltas = answer(question, &library());
            assert!(text(&deltas).contains("What you can do"), "{question}: {}", text(&deltas));
            assert!(cites(&deltas).is_empty());
        }
        assert!(text(&answer("Anything?", &[])).starts_with("Nothing that could answer"));
    }

    #[test]
    fn a_table_row_is_found_by_its_columns_and_read_with_them() {
        let row = RecalledPassage {
            content: "Rovers on Mars. Rover: Curiosity; Landed: 6 August 2012; Mass (kg): 899\nCuriosity 6 August 2012 899".to_owned(),
            quotable: "Curiosity 6 August 2012 899".to_owned(),
            ..passage(4, "Mars", "", 0.5)
        };
        let deltas = answer("What is the mass of the rover Curiosity?", &[row]);
        let expected = "“Curiosity 6 August 2012 899” [4] (read as: Rovers on Mars. Rover: Curiosity; Landed: 6 August 2012; Mass (kg): 899)";
        assert!(text(&deltas).contains(expected), "{}", text(&deltas));
        assert_eq!(cites(&deltas), [(4, "Curiosity 6 August 2012 899".to_owned())]);
    }

    #[test]
    fn every_sentence_that_is_quoted_is_cited() {
        let ships = "The Nordstjerna is a barque from 1898. She is 61 m long. The barque is kept by volunteers under Captain Runa Eide.";
        let deltas = answer("Who keeps the Nordstjerna?", &[passage(1, "Ships", ships, 0.6)]);
        let quotes: Vec<String> = cites(&deltas).into_iter().map(|(_, quote)| quote).collect();
        assert_eq!(quotes, ["The Nordstjerna is a barque from 1898.", "The barque is kept by volunteers under Captain Runa Eide."]);
        assert!(quotes.iter().all(|quote| text(&deltas).contains(quote)), "{}", text(&deltas));
    }

    #[test]
    fn an_item_is_quoted_with_its_heading_and_a_list_with_what_leads_to_it() {
        let visit = "Opening hours\nMonday: closed\nSaturday: 11:00–18:00\nThe last entry is at 17:30.\nYou may bring:\nsmall bags\nwater in bottles";
        let told = |question: &str| text(&answer(question, &[passage(1, "Your visit", visit, 0.5)]));
        assert!(told("What are the opening hours on Saturday?").contains("“Saturday: 11:00–18:00” [1] — Your visit, Opening hours"));
        let brought = told("What may I bring?");
        assert!(brought.contains("“small bags” [1] “water in bottles” [1]"), "{brought}");
    }

    #[test]
    fn a_question_of_the_source_leads_to_its_answer_and_is_none() {
        let faq = "Who runs the ferry?\nIt is in the hands of the parish of Lower Orrin.\nWhen does the ferry run?\nWinter: 7:00 to 19:00\nSummer: 6:30 to 21:30";
        let told = text(&answer("When does the ferry run in winter?", &[passage(1, "Ferry", faq, 0.6)]));
        assert!(told.contains("“Winter: 7:00 to 19:00” [1]") && !told.contains("ferry?”"), "{told}");
    }

    #[test]
    fn what_is_only_related_is_not_quoted_beside_the_answer() {
        let danube = "The Danube is 2,850 km long and flows into the Black Sea. It passes through ten countries. The Danube carries freight.";
        let whole = text(&answer("How long is the Danube?", &[passage(1, "The Danube", danube, 0.8)]));
        assert!(whole.contains("2,850 km") && !whole.contains("ten countries") && !whole.contains("freight"), "{whole}");
    }

    #[test]
    fn what_is_said_of_another_in_the_same_passage_is_not_quoted() {
        let fleet = "The Kittiwake is the largest ship. It carries 640 passengers. The Puffin carries 310 passengers.";
        let whole = text(&answer("How many passengers does the Puffin carry?", &[passage(1, "The fleet", fleet, 0.7)]));
        assert!(whole.contains("310") && !whole.contains("640"), "{whole}");
    }

    #[test]
    fn each_of_two_questions_in_one_is_answered() {
        let passages = [
            passage(1, "Fares", "An adult ticket to Hoy costs 12.50 GBP one way. Children travel free.", 0.5),
            passage(2, "News", "The harbour of Sule is closed from 10 to 24 May 2026 for dredging.", 0.5),
        ];
        let whole = text(&answer("What does a ticket cost, and when is the harbour closed?", &passages));
        assert!(whole.contains("12.50 GBP") && whole.contains("24 May 2026"), "{whole}");
    }

    #[test]
    fn the_same_sentence_from_two_passages_is_quoted_once() {
        let passages = [passage(1, "A", "Output rose to 40 tons in 2025.", 0.7), passage(2, "B", "Output rose to 40 tons in 2025.", 0.7)];
        assert_eq!(cites(&answer("To how many tons did output rise in 2025?", &passages)).len(), 1);
    }

    #[test]
    fn what_a_sentence_refers_back_to_is_not_quoted_again_from_an_overlapping_passage() {
        let sentence = "The Danube is 2,850 km long and flows into the Black Sea.";
        let passages = [
            passage(1, "The Danube", sentence, 0.8),
            passage(2, "The Danube", &format!("The Danube\n{sentence} It passes through ten countries and is 2,415 km navigable."), 0.78),
        ];
        let whole = text(&answer("How many km long is the Danube, and how many are navigable?", &passages));
        assert!(whole.contains("2,415 km navigable.” [2]"), "{whole}");
        assert_eq!(whole.matches(sentence).count(), 1, "{whole}");
    }

    proptest! {
        #[test]
        fn every_quote_is_an_exact_part_of_its_passage(
            question in "(how many |when )?[a-e ]{1,30}",
            contents in proptest::collection::vec("([a-e]{1,4}[ .,\n!?\"”\\[\\]]{1,2}|[0-9]{1,4}[ .]|\\[[0-9]{1,2}\\]|é|。|\\PC){0,60}", 0..6),
        ) {
            let passages: Vec<_> = contents.iter().enumerate().map(|(at, content)| passage(at + 1, "b c", content, 0.6)).collect();
            for chosen in choose(&question, &passages) {
                prop_assert!(passages[chosen.passage].quotable.contains(chosen.text));
                for piece in pieces(chosen.text) {
                    prop_assert!(passages[chosen.passage].quotable.contains(piece));
                }
            }
            let deltas = answer(&question, &passages);
            let whole = text(&deltas);
            for (n, quote) in cites(&deltas) {
                prop_assert!(passages[n - 1].quotable.contains(&quote) && whole.contains(&quote));
                let marker = format!("[{n}]");
                prop_assert!(whole.contains(&marker));
            }
            prop_assert!(choose(&question, &passages).len() <= 12);
        }
    }
}
