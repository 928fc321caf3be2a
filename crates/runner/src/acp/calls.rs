//! The tool calls of a conversation, as far as the agent told about them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use agent_client_protocol::v1::schema::{
    ToolCallContent, ToolCallId, ToolCallUpdate, ToolCallUpdateFields, ToolKind,
};

use crate::acp::text::one_line;

/// How many calls are remembered.
const CALLS: usize = 64;
/// The longest identifier that is remembered, in bytes.
const ID: usize = 256;
/// How much of a title is remembered, in bytes.
const TITLE: usize = 256;
/// How many paths of a call are remembered.
const PATHS: usize = 64;
/// The longest path that is remembered, in bytes: what Linux takes.
const PATH: usize = 4096;

/// What is known of a tool call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    /// What the agent calls it: one line.
    pub(crate) title: String,
    /// What kind of thing it does.
    pub(crate) kind: ToolKind,
    /// Every path that it named, in its locations and its diffs.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether it named more or longer paths than are remembered.
    pub(crate) too_many: bool,
    /// The content that was shown last, as a hash.
    shown: u64,
}

impl Call {
    /// Adds what an update tells. Paths are only ever added: a call that named one does not get
    /// rid of it.
    fn learn(&mut self, fields: &ToolCallUpdateFields) {
        if let Some(title) = &fields.title {
            self.title = one_line(title, TITLE);
        }
        if let Some(kind) = fields.kind {
            self.kind = kind;
        }
        for location in fields.locations.iter().flatten() {
            self.add(&location.path);
        }
        for content in fields.content.iter().flatten() {
            if let ToolCallContent::Diff(diff) = content {
                self.add(&diff.path);
            }
        }
    }

    fn add(&mut self, path: &Path) {
        if self.paths.iter().any(|known| known == path) {
            return;
        }
        if self.paths.len() < PATHS && path.as_os_str().len() <= PATH {
            self.paths.push(path.to_owned());
        } else {
            self.too_many = true;
        }
    }
}

/// The latest calls of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: VecDeque<(ToolCallId, Call)>,
}

impl Calls {
    /// Adds what an update tells, and gives all that is known of its call.
    pub(crate) fn learn(&mut self, update: &ToolCallUpdate) -> Call {
        let call = self.of(&update.tool_call_id);
        call.learn(&update.fields);
        call.clone()
    }

    /// Whether `content` is new for a call: agents repeat the whole content with every update.
    pub(crate) fn is_news(&mut self, id: &ToolCallId, content: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let hash = hasher.finish();
        std::mem::replace(&mut self.of(id).shown, hash) != hash
    }

    /// The call of that name, new if it is not known (any more).
    fn of(&mut self, id: &ToolCallId) -> &mut Call {
        // An identifier nobody would write is not worth its memory: such calls share one entry,
        // and with it their paths, which is the careful side.
        let id = if id.0.len() <= ID {
            id.clone()
        } else {
            ToolCallId::new("")
        };
        let place = self.calls.iter().position(|(known, _)| *known == id);
        let place = place.unwrap_or_else(|| {
            if self.calls.len() == CALLS {
                self.calls.pop_front();
            }
            self.calls.push_back((id, Call::default()));
            self.calls.len() - 1
        });
        &mut self.calls[place].1
    }
}
