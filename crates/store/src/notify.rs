//! Hints between the replicas on one PostgreSQL: NOTIFY carries what changed, so that streams and
//! long polls elsewhere wake at once. Lost hints cost a second at most: everybody also polls.

use std::time::Duration;

use approval_core::{AccountId, DesktopId};
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{broadcast, mpsc};
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::command::Change;
use crate::url::{DatabaseUrl, PostgresUrl};
use crate::views::CredentialId;

/// The channel of NOTIFY and LISTEN.
const CHANNEL: &str = "countersign";
/// Longest payload that PostgreSQL takes is below 8,000 bytes.
const MAX_PAYLOAD: usize = 7_900;
/// Hints that wait while the connection is down; more are dropped, everybody polls.
const MAX_WAITING: usize = 1_024;
/// How long to wait before listening again after the connection was lost.
const RECONNECT: Duration = Duration::from_secs(1);

/// What the others need to know, a line each. What does not fit is found by their poll.
pub(crate) fn encode(changes: &[Change]) -> String {
    let mut payload = String::new();
    for change in changes {
        let line = match change {
            Change::Activity { account, seq } => format!("a {account} {seq}\n"),
            Change::Queued { desktop } => format!("q {desktop}\n"),
            Change::Revoked {
                credential: CredentialId::Key(key),
            } => format!("r {key}\n"),
            Change::Revoked {
                credential: CredentialId::Session(session),
            } => format!("s {session}\n"),
            Change::Uploaded { .. } => continue,
        };
        if payload.len() + line.len() <= MAX_PAYLOAD {
            payload.push_str(&line);
        }
    }
    payload
}

fn decode(payload: &str) -> impl Iterator<Item = Change> {
    payload.lines().filter_map(|line| {
        let mut words = line.split(' ');
        match (words.next()?, words.next()?, words.next()) {
            ("a", account, Some(seq)) => {
                let account: AccountId = account.parse().ok()?;
                Some(Change::Activity {
                    account,
                    seq: seq.parse().ok()?,
                })
            }
            ("q", desktop, None) => desktop
                .parse::<DesktopId>()
                .ok()
                .map(|desktop| Change::Queued { desktop }),
            ("r", key, None) => Some(Change::Revoked {
                credential: CredentialId::Key(key.parse().ok()?),
            }),
            ("s", session, None) => Some(Change::Revoked {
                credential: CredentialId::Session(session.parse().ok()?),
            }),
            _ => None,
        }
    })
}

/// The connection for hints: listens for those of other replicas and sends our own. It is not the
/// writer's, because PostgreSQL commits transactions that notify one after the other.
pub(crate) struct Hints {
    outgoing: mpsc::Sender<String>,
    task: AbortHandle,
}

impl Hints {
    /// Starts passing hints on. Nothing to do on SQLite: there is one server process.
    pub(crate) fn start(url: &DatabaseUrl, changes: &broadcast::Sender<Change>) -> Option<Self> {
        let DatabaseUrl::Postgres(url) = url else {
            return None;
        };
        let (outgoing, mut hints) = mpsc::channel(MAX_WAITING);
        let (url, changes) = (url.clone(), changes.clone());
        let exchanging = crate::connection::spawn_io(async move {
            loop {
                if let Err(error) = exchange(&url, &changes, &mut hints).await {
                    tracing::warn!(%error, "lost the connection for hints between replicas; they poll meanwhile");
                }
                tokio::time::sleep(RECONNECT).await;
            }
        });
        Some(Self {
            outgoing,
            task: exchanging.abort_handle(),
        })
    }

    /// Where the writer leaves what it committed.
    pub(crate) fn outgoing(&self) -> mpsc::Sender<String> {
        self.outgoing.clone()
    }

    /// Ends the connection.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

/// Listens and sends on one connection until it is lost.
async fn exchange(
    url: &PostgresUrl,
    changes: &broadcast::Sender<Change>,
    hints: &mut mpsc::Receiver<String>,
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = url.config().connect(NoTls).await?;
    let mut messages =
        futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    // one statement at a time; the connection itself is driven by polling its messages
    let mut statement = Some(execute(&client, format!("LISTEN {CHANNEL}")));
    loop {
        tokio::select! {
            Some(done) = OptionFuture::from(statement.as_mut()) => {
                done?;
                statement = None;
            }
            Some(payload) = hints.recv(), if statement.is_none() => {
                statement = Some(execute(&client, notification(&payload)));
            }
            message = messages.next() => match message {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(AsyncMessage::Notification(note))) if note.channel() == CHANNEL => {
                    for change in decode(note.payload()) {
                        let _nobody_listens = changes.send(change);
                    }
                }
                Some(Ok(_)) => {}
            },
        }
    }
}

type Statement<'a> = BoxFuture<'a, Result<(), tokio_postgres::Error>>;

fn execute(client: &Client, sql: String) -> Statement<'_> {
    async move { client.batch_execute(&sql).await }.boxed()
}

/// The statement that sends a payload, which is ids, numbers and line feeds only.
pub(crate) fn notification(payload: &str) -> String {
    debug_assert!(!payload.contains(['\'', '\\']), "{payload}");
    format!("NOTIFY {CHANNEL}, '{payload}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_survive_the_wire() {
        let changes = [
            Change::Activity {
                account: uuid::Uuid::from_u128(1).into(),
                seq: 7,
            },
            Change::Queued {
                desktop: uuid::Uuid::from_u128(2).into(),
            },
            Change::Revoked {
                credential: CredentialId::Key(uuid::Uuid::from_u128(3).into()),
            },
            Change::Revoked {
                credential: CredentialId::Session(uuid::Uuid::from_u128(4).into()),
            },
        ];
        assert_eq!(decode(&encode(&changes)).collect::<Vec<_>>(), changes);
    }

    #[test]
    fn a_payload_never_exceeds_what_the_database_takes() {
        let change = Change::Queued {
            desktop: uuid::Uuid::from_u128(2).into(),
        };
        assert!(encode(&vec![change; 1_000]).len() < 8_000);
    }

    #[test]
    fn nonsense_is_passed_over() {
        assert_eq!(decode("a b\nq\nzzz 1 2\n\nr desk_x").count(), 0);
    }
}
