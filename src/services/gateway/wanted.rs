//! What kind of thing a question asks for (a figure, a moment, somebody, a place, a reason), and whether a sentence has one.

use std::collections::HashSet;

use super::sentences::terms;

/// What an answer's sentence gains by having what is asked for, and what by a figure of another kind.
const FITTING: f32 = 0.2;
const OTHER_FIGURE: f32 = 0.1;
/// Every other sentence says where something is: a place tells less.
const PLACE: f32 = 0.1;

/// What kind of thing the question asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anything,
    /// A figure, in one of these units where they are known.
    Figure(&'static [&'static [&'static str]]),
    /// How often.
    Rhythm,
    Moment,
    Person,
    Place,
    Reason,
}

/// What a question wants to know.
pub(super) struct Wanted {
    kind: Kind,
    /// Its words: a name that the question has is not the one it asks for.
    asked: HashSet<String>,
}

impl Wanted {
    pub(super) fn read(question: &str) -> Self {
        let asked = terms(question).into_iter().collect();
        let question = format!(" {} ", question.to_lowercase().replace(['?', ',', '.', '\n'], " "));
        let asks = |phrases: &[&str]| phrases.iter().any(|phrase| question.contains(phrase));
        let how_much = |rest: &str| rest.split_whitespace().next().is_some_and(|word| !HOW_OF_MANNER.contains(&word));
        let kind = if asks(&[" when ", " what time ", "what year", "which year", "what date", "which day", "since what", " wann ", " quand "]) {
            Kind::Moment
        } else if asks(&[" why ", "what causes", "what caused", " warum ", " pourquoi "]) {
            Kind::Reason
        } else if asks(&[" how often ", " how frequently "]) {
            Kind::Rhythm
        } else if let Some((_, units)) = MEASURED.iter().find(|(phrase, _)| question.contains(phrase)) {
            Kind::Figure(units)
        } else if question.split(" how ").skip(1).any(how_much) || asks(&["what number", "percent", "wie viel", "combien"]) {
            Kind::Figure(&[])
        } else if asks(&[" who ", " whom ", " whose ", " wer ", " wem ", " qui "]) {
            Kind::Person
        } else if asks(&[" where ", " wo "]) {
            Kind::Place
        } else {
            Kind::Anything
        };
        Self { kind, asked }
    }

    /// What a sentence gains; `reading` is it with the names of its columns, where it is a row.
    pub(super) fn gain(&self, text: &str, reading: Option<&str>) -> f32 {
        let met = |is_met: bool| if is_met { FITTING } else { 0.0 };
        match self.kind {
            Kind::Anything => 0.0,
            Kind::Figure(units) => {
                let fits = has_figure(text) && (units.is_empty() || reading.is_some() || has_unit(text, units));
                if fits { FITTING } else { met(has_figure(text)).min(OTHER_FIGURE) }
            }
            Kind::Rhythm => met(RHYTHM.iter().any(|word| contains_word(text, word))),
            Kind::Reason => met(REASON_WORDS.iter().any(|word| text.contains(word))),
            Kind::Moment => met(has_moment(text)),
            Kind::Person => met(self.names_somebody_else(text)),
            Kind::Place => met(PLACES.iter().any(|word| text.contains(word))).min(PLACE),
        }
    }

    /// Whether a sentence has a name that is not in the question.
    fn names_somebody_else(&self, text: &str) -> bool {
        let names = text.split_whitespace().skip(1).filter(|word| word.trim_start_matches(['"', '(', '“']).starts_with(char::is_uppercase));
        names.filter(|word| !is_calendar(word)).flat_map(terms).any(|term| !self.asked.contains(&term))
    }
}

/// The name of a month or a weekday.
pub(super) fn is_calendar(word: &str) -> bool {
    MONTHS.iter().chain(&WEEKDAYS).any(|name| word.starts_with(name.trim_end()))
}

fn has_figure(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
        || text.split(|c: char| !c.is_alphanumeric()).any(|word| NUMBER_WORDS.contains(&word.to_lowercase().as_str()))
}

/// Whether one of the units stands behind a figure: `30 minutes`, `four years`, `12.50 GBP`, or a currency's sign before it.
fn has_unit(text: &str, units: &[&[&str]]) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_unit = |word: &str| {
        let word = word.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ')' | '!' | '?')).to_lowercase();
        units.iter().any(|units| units.contains(&word.as_str()))
    };
    let behind = words.windows(2).any(|pair| has_figure(pair[0]) && is_unit(pair[1]));
    // `61m`, `€12`, `12€`, `30-minute`.
    let glued = words.iter().any(|word| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-'));
        rest.len() < word.len() && is_unit(rest) || word.chars().next().is_some_and(|sign| is_unit(&sign.to_string())) && has_figure(word)
    });
    behind || glued
}

fn contains_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|other| other.eq_ignore_ascii_case(word))
}

fn has_moment(text: &str) -> bool {
    let year = text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() == 4 && (digits.starts_with('1') || digits.starts_with("20")));
    let clock = text.as_bytes().windows(4).any(|at| matches!(at, [hour, b':', ten, one] if [hour, ten, one].iter().all(|b| b.is_ascii_digit())));
    year || clock || MONTHS.iter().chain(&WEEKDAYS).any(|name| text.contains(name))
}

const LENGTH: &[&str] = &[
    "m",
    "km",
    "cm",
    "mm",
    "ft",
    "mi",
    "metre",
    "metres",
    "meter",
    "meters",
    "kilometre",
    "kilometres",
    "kilometer",
    "kilometers",
    "mile",
    "miles",
    "foot",
    "feet",
    "inch",
    "inches",
    "yard",
    "yards",
    "centimetres",
    "centimeters",
];
const MASS: &[&str] =
    &["g", "kg", "t", "mg", "lb", "lbs", "oz", "gram", "grams", "kilogram", "kilograms", "kilos", "tonne", "tonnes", "ton", "tons", "pounds"];
const MONEY: &[&str] = &[
    "€", "$", "£", "eur", "usd", "gbp", "chf", "euro", "euros", "dollar", "dollars", "pound", "pounds", "franc", "francs", "cent", "cents", "kr",
    "sek", "nok", "dkk", "yen", "percent", "%", "million", "billion",
];
const TIME: &[&str] = &[
    "s", "ms", "min", "h", "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks", "month", "months", "year",
    "years",
];
const AGE: &[&str] = &["day", "days", "week", "weeks", "month", "months", "year", "years", "century", "centuries"];
/// How questions name the unit of what they ask for.
const MEASURED: [(&str, &[&[&str]]); 15] = [
    // A bridge is so many metres long, a tour so many minutes.
    (" how long ", &[LENGTH, TIME]),
    (" how high ", &[LENGTH]),
    (" how tall ", &[LENGTH]),
    (" how deep ", &[LENGTH]),
    (" how wide ", &[LENGTH]),
    (" how far ", &[LENGTH]),
    (" how heavy ", &[MASS]),
    (" how old ", &[AGE]),
    (" how expensive ", &[MONEY]),
    (" what does it cost ", &[MONEY]),
    (" what is the price ", &[MONEY]),
    (" what is the fee ", &[MONEY]),
    (" how much does ", &[MONEY]),
    (" how much is ", &[MONEY]),
    (" how much do ", &[MONEY]),
];
/// What follows "how" when no figure is asked for.
const HOW_OF_MANNER: [&str; 18] =
    ["do", "does", "did", "is", "are", "was", "were", "can", "could", "to", "come", "should", "would", "will", "has", "have", "the", "i"];
const RHYTHM: [&str; 10] = ["every", "each", "daily", "weekly", "monthly", "yearly", "annually", "hourly", "once", "twice"];
const REASON_WORDS: [&str; 7] = ["because", "Because", "due to", "owing to", "as a result", "caused by", "weil"];
const PLACES: [&str; 10] = [" in ", " at ", " on the ", " near ", " next to ", " behind ", " from ", "In ", "At ", " opposite "];
const NUMBER_WORDS: [&str; 12] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May ", "June", "July", "August", "September", "October", "November", "December"];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[cfg(test)]
mod tests {
    use super::*;

    fn gain(question: &str, text: &str) -> f32 {
        Wanted::read(question).gain(text, None)
    }

    #[test]
    fn what_is_asked_for_counts_more_than_what_is_like_it() {
        for (question, fitting, other) in [
            ("How long is the tour?", "It takes 90 minutes.", "It has 4 stops."),
            ("How high is it?", "It rises to 2,140 m.", "It took 3 days."),
            ("How much does it cost?", "A ticket is €12.", "It has 340 hp."),
            ("How heavy is it?", "It weighs 38 kg.", "It is 3 m long."),
            ("How often is it replaced?", "It is replaced every four years.", "It was replaced in 2020."),
            ("Who keeps the Skua?", "It is kept by Runa Eide.", "The Skua is kept well."),
            ("When is it open?", "It opens at 9:00.", "It opens early."),
            ("When was it built?", "It was built in May 1911.", "It was built of oak."),
            ("Where is it?", "It is behind the hall.", "It is red."),
            ("Why is it hot?", "It is hot because of the gas.", "It is hot."),
        ] {
            assert!(gain(question, fitting) > gain(question, other), "{question}");
        }
        assert!(gain("What is it?", "It is 5 m.").abs() < f32::EPSILON);
        assert!((gain("How many are there?", "There are twelve.") - FITTING).abs() < f32::EPSILON);
    }
}
