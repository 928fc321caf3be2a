//! What an agent says and does, as it comes: for the log, and for the answer.

use agent_client_protocol::v1::schema::{ContentChunk, MessageId, SessionUpdate, ToolCallUpdate};
use contract::LogStream;
use tokio::sync::mpsc::Sender;

use crate::acp::calls::{Call, Calls};
use crate::acp::render;
use crate::acp::text::{Kept, head, one_line};
use crate::clock;
use crate::pump::Piece;

/// The longest piece.
const PIECE: usize = 64 << 10;
/// How much of a name is shown, in bytes.
const NAME: usize = 512;

const THINKING: &str = "[thinking] ";

/// What the log is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// Nothing: the next byte begins a line.
    Nothing,
    /// A line of the agent's message.
    Message,
    /// A line of its thoughts.
    Thought,
}

/// Takes down a conversation.
///
/// Everything here waits until the log has taken it, so whoever reads the agent only after that,
/// reads it at the speed of the log. Once nobody takes the log any more, it goes nowhere: the
/// conversation ends for that reason elsewhere.
pub(crate) struct Transcript {
    pieces: Sender<Piece>,
    open: Open,
    /// The message that the agent is saying, if it has a name.
    message: Option<MessageId>,
    /// What it said.
    said: Kept,
    /// Whether something came in between since it said the last of it.
    interrupted: bool,
    calls: Calls,
}

impl Transcript {
    pub(crate) fn new(pieces: Sender<Piece>) -> Self {
        Self {
            pieces,
            open: Open::Nothing,
            message: None,
            said: Kept::default(),
            interrupted: false,
            calls: Calls::default(),
        }
    }

    /// What the agent said as its message.
    pub(crate) fn into_said(self) -> String {
        self.said.into_text()
    }

    /// Takes down what the agent reports.
    pub(crate) async fn update(&mut self, update: SessionUpdate) {
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => self.message(chunk).await,
            SessionUpdate::AgentThoughtChunk(chunk) => self.thought(&chunk).await,
            SessionUpdate::ToolCall(call) => self.tool(call.into()).await,
            SessionUpdate::ToolCallUpdate(update) => self.tool(update).await,
            SessionUpdate::Plan(plan) => self.lines(&render::plan(&plan)).await,
            SessionUpdate::CurrentModeUpdate(mode) => {
                let mode = one_line(&mode.current_mode_id.0, NAME);
                self.lines(&format!("[mode] {mode}\n")).await;
            }
            // What it could do, what it costs, and our own words are no news of the work.
            _ => {}
        }
    }

    /// Adds what is told about a tool call, and gives all that is known of it.
    pub(crate) fn learn(&mut self, update: &ToolCallUpdate) -> Call {
        self.calls.learn(update)
    }

    /// Takes down whole lines that are not the agent's message.
    pub(crate) async fn lines(&mut self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        let begin = self.begin(Open::Nothing);
        self.interrupted = true;
        self.send(&format!("{begin}{lines}")).await;
    }

    async fn message(&mut self, chunk: ContentChunk) {
        let text = render::block(&chunk.content);
        if text.is_empty() {
            return;
        }
        if chunk.message_id != self.message {
            self.message = chunk.message_id;
            self.interrupted = true;
            if self.open == Open::Message {
                self.open = Open::Nothing;
                self.send("\n").await;
            }
        }
        if self.interrupted {
            self.said.end_paragraph();
        }
        self.interrupted = false;
        self.said.push(&text);
        let begin = self.begin(Open::Message);
        if text.ends_with('\n') {
            self.open = Open::Nothing;
        }
        if !begin.is_empty() {
            self.send(begin).await;
        }
        self.send(&text).await;
    }

    async fn thought(&mut self, chunk: &ContentChunk) {
        let text = render::block(&chunk.content);
        if text.is_empty() {
            return;
        }
        let mut goes_on = self.open == Open::Thought;
        let mut shown = self.begin(Open::Thought).to_owned();
        for line in text.split_inclusive('\n') {
            if !goes_on {
                shown.push_str(THINKING);
            }
            shown.push_str(line);
            goes_on = !line.ends_with('\n');
        }
        if !goes_on {
            self.open = Open::Nothing;
        }
        self.interrupted = true;
        self.send(&shown).await;
    }

    async fn tool(&mut self, update: ToolCallUpdate) {
        let call = self.learn(&update);
        let fields = &update.fields;
        let contents = render::contents(fields.content.as_deref().unwrap_or_default());
        let news = !contents.is_empty() && self.calls.is_news(&update.tool_call_id, &contents);
        let locations = fields.locations.as_deref().unwrap_or_default();
        if fields.status.is_none() && fields.title.is_none() && locations.is_empty() && !news {
            return;
        }
        let mut lines = render::call(&call, fields.status, locations);
        if news {
            lines.push_str(&contents);
        }
        self.lines(&lines).await;
    }

    /// Opens something, and gives what closes the line before it.
    fn begin(&mut self, next: Open) -> &'static str {
        let before = std::mem::replace(&mut self.open, next);
        if before == Open::Nothing || before == next {
            ""
        } else {
            "\n"
        }
    }

    /// Gives a text to the log, in pieces of whole characters.
    async fn send(&self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, _) = head(rest, PIECE);
            rest = &rest[piece.len()..];
            let piece = Piece {
                stream: LogStream::Agent,
                at: clock::now(),
                bytes: piece.as_bytes().to_vec(),
            };
            if self.pieces.send(piece).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_client_protocol::v1::schema::{
        ContentBlock, TextContent, ToolCall, ToolCallStatus, ToolCallUpdateFields,
    };
    use tokio::sync::mpsc;

    use super::*;

    fn chunk(text: &str) -> ContentChunk {
        ContentChunk::new(ContentBlock::Text(TextContent::new(text)))
    }

    fn says(text: &str) -> SessionUpdate {
        SessionUpdate::AgentMessageChunk(chunk(text))
    }

    fn thinks(text: &str) -> SessionUpdate {
        SessionUpdate::AgentThoughtChunk(chunk(text))
    }

    /// The log and the message of some updates.
    async fn taken_down(updates: Vec<SessionUpdate>) -> (String, String) {
        let (sender, mut receiver) = mpsc::channel(1024);
        let mut transcript = Transcript::new(sender);
        for update in updates {
            transcript.update(update).await;
        }
        let said = transcript.into_said();
        let mut log = Vec::new();
        while let Some(piece) = receiver.recv().await {
            assert_eq!(piece.stream, LogStream::Agent);
            assert!(!piece.bytes.is_empty() && piece.bytes.len() <= PIECE);
            log.push(String::from_utf8(piece.bytes).expect("no character is torn apart"));
        }
        (log.concat(), said)
    }

    #[tokio::test]
    async fn every_kind_of_thing_has_lines_of_its_own() {
        let (log, said) = taken_down(vec![
            says("Hel"),
            says("lo"),
            thinks("hm\nw"),
            thinks("ell\n"),
            thinks("so"),
            SessionUpdate::ToolCall(ToolCall::new("a", "Look")),
            says("Done.\n"),
            SessionUpdate::ToolCall(ToolCall::new("b", "Look")),
            says("Bye"),
        ])
        .await;
        assert_eq!(
            log,
            "Hello\n[thinking] hm\n[thinking] well\n[thinking] so\n[tool] Look (other) pending\n\
             Done.\n[tool] Look (other) pending\nBye"
        );
        assert_eq!(said, "Hello\n\nDone.\n\nBye");
    }

    #[tokio::test]
    async fn messages_with_names_are_told_apart() {
        let named = |text, name: &str| {
            SessionUpdate::AgentMessageChunk(chunk(text).message_id(MessageId::new(name)))
        };
        let (log, said) = taken_down(vec![named("a", "1"), named("b", "1"), named("c", "2")]).await;
        assert_eq!((log.as_str(), said.as_str()), ("ab\nc", "ab\n\nc"));
    }

    #[tokio::test]
    async fn what_a_call_repeats_is_shown_once() {
        let update = |status: Option<ToolCallStatus>, content: &str| {
            let fields = ToolCallUpdateFields::new()
                .status(status)
                .content(vec![content.into()]);
            SessionUpdate::ToolCallUpdate(ToolCallUpdate::new("a", fields))
        };
        let (log, _) = taken_down(vec![
            SessionUpdate::ToolCall(ToolCall::new("a", "Run")),
            update(None, "one"),
            update(None, "one"),
            update(Some(ToolCallStatus::Completed), "one"),
            update(None, "two"),
        ])
        .await;
        assert_eq!(
            log,
            "[tool] Run (other) pending\n[tool] Run (other)\n  one\n\
             [tool] Run (other) completed\n[tool] Run (other)\n  two\n"
        );
    }

    #[tokio::test]
    async fn long_texts_come_in_pieces() {
        let text = format!("x{}", "€".repeat(PIECE));
        let (log, said) = taken_down(vec![says(&text)]).await;
        assert!(log == text && said == text);
    }
}
