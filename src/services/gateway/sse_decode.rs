//! Decodes a stream of server-sent events from bytes as they come, within bounds.

/// Longest line, and longest data of one event, in bytes: a model sends a few words at a time.
pub(super) const EVENT_MAX_BYTES: usize = 1024 * 1024;
/// How much of a bad line an error shows, in bytes.
const EXCERPT_MAX_BYTES: usize = 80;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// The `event:` field; empty when there was none.
    pub(super) kind: String,
    /// The `data:` lines, joined by line feeds.
    pub(super) data: String,
}

/// Why a stream is not one of server-sent events.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum SseError {
    #[error("a line that is no field of an event stream: {0:?}")]
    UnknownField(String),
    #[error("a line that is not UTF-8: {0:?}")]
    NotUtf8(String),
    #[error("an event of more than {EVENT_MAX_BYTES} bytes")]
    TooLong,
}

/// The decoder. Feed it bytes in any portions; the events are the same.
#[derive(Debug, Default)]
pub(super) struct SseDecoder {
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    after_carriage_return: bool,
    started: bool,
}

impl SseDecoder {
    /// Takes the next bytes and returns the events that are complete with them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, SseError> {
        let mut events = Vec::new();
        for &byte in bytes {
            let line_feed_of_pair = std::mem::replace(&mut self.after_carriage_return, byte == b'\r') && byte == b'\n';
            match byte {
                b'\n' if line_feed_of_pair => {}
                b'\n' | b'\r' => self.end_line(&mut events)?,
                _ if self.line.len() == EVENT_MAX_BYTES => return Err(SseError::TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// The event that the stream's end cut off before its empty line, if any: some servers do not send the last one.
    pub(super) fn finish(mut self) -> Result<Option<SseEvent>, SseError> {
        let mut events = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut events)?;
        }
        self.dispatch(&mut events);
        Ok(events.pop())
    }

    fn end_line(&mut self, events: &mut Vec<SseEvent>) -> Result<(), SseError> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8(bytes).map_err(|error| SseError::NotUtf8(excerpt(&String::from_utf8_lossy(error.as_bytes()))))?;
        let first = !std::mem::replace(&mut self.started, true);
        let line = if first { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        if line.is_empty() {
            self.dispatch(events);
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.add_data(value),
            "event" => {
                value.clone_into(&mut self.event.kind);
                Ok(())
            }
            // A comment (keep-alive), and fields that a client which never reconnects has no use for.
            "" | "id" | "retry" => Ok(()),
            // The standard ignores unknown fields. Here they are a proxy's error page or a bare JSON error, and silence would hide it.
            _ => Err(SseError::UnknownField(excerpt(line))),
        }
    }

    fn add_data(&mut self, value: &str) -> Result<(), SseError> {
        if self.event.data.len() + value.len() >= EVENT_MAX_BYTES {
            return Err(SseError::TooLong);
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
        Ok(())
    }

    fn dispatch(&mut self, events: &mut Vec<SseEvent>) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            events.push(event);
        }
    }
}

/// The beginning of a bad line, fit for an error.
pub(super) fn excerpt(line: &str) -> String {
    let short = crate::base::text::truncate(line, EXCERPT_MAX_BYTES);
    if short.len() < line.len() { format!("{short}…") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(portions: &[&[u8]]) -> Result<Vec<SseEvent>, SseError> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for portion in portions {
            events.extend(decoder.feed(portion)?);
        }
        events.extend(decoder.finish()?);
        Ok(events)
    }

    fn data(text: &str) -> SseEvent {
        SseEvent { kind: String::new(), data: text.to_owned() }
    }

    #[test]
    fn lines_end_in_any_way_and_comments_are_skipped() {
        let stream = "\u{feff}: ping\r\ndata: a\r\ndata:b\r\n\r\nid: 7\nevent: x\ndata:  c\n\n\n\rdata\r\rdata: [DONE]";
        let events = decode(&[stream.as_bytes()]).unwrap();
        let with_kind = SseEvent { kind: "x".to_owned(), data: " c".to_owned() };
        assert_eq!(events, [data("a\nb"), with_kind, data(""), data("[DONE]")]);
    }

    #[test]
    fn what_is_no_event_stream_is_named() {
        assert_eq!(decode(&[b"<html><body>502"]), Err(SseError::UnknownField("<html><body>502".into())));
        assert!(matches!(decode(&[b"{\"error\": 1}\n"]), Err(SseError::UnknownField(_))));
        assert!(matches!(decode(&[b"data: \xff\n"]), Err(SseError::NotUtf8(_))));
        let endless = vec![b'a'; EVENT_MAX_BYTES + 1];
        assert_eq!(decode(&[&endless]), Err(SseError::TooLong));
        let line = [b"data:".as_slice(), &vec![b'a'; EVENT_MAX_BYTES / 2], b"\n"].concat();
        assert_eq!(decode(&[&line, &line, &line]), Err(SseError::TooLong));
    }

    proptest! {
        #[test]
        fn any_portions_of_the_bytes_give_the_same_events(
            lines in proptest::collection::vec("(data: ?|event:|:|id: |retry:)[a-zé{}\" ]{0,8}|", 0..20),
            ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 20),
            cuts in proptest::collection::vec(1usize..9, 0..60),
        ) {
            let stream: String = lines.iter().zip(&ends).map(|(line, end)| format!("{line}{end}")).collect();
            let bytes = stream.as_bytes();
            let mut portions = Vec::new();
            let mut at = 0;
            for cut in cuts {
                let end = (at + cut).min(bytes.len());
                portions.push(&bytes[at..end]);
                at = end;
            }
            portions.push(&bytes[at..]);
            prop_assert_eq!(decode(&portions), decode(&[bytes]));
        }
    }
}
