//! Hints between the replicas on one PostgreSQL: NOTIFY carries what changed, so that streams and
//! long polls elsewhere wake at once. Lost hints cost a second at most: everybody also polls.

use std::time::Duration;

use approval_core::{AccountId, DesktopId, KeyId};
use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::command::Change;
use crate::url::{DatabaseUrl, PostgresUrl};

/// The channel of NOTIFY and LISTEN.
const CHANNEL: &str = "countersign";
/// Longest payload that PostgreSQL takes is below 8,000 bytes.
const MAX_PAYLOAD: usize = 7_900;
/// How long to wait before listening again after the connection was lost.
const RECONNECT: Duration = Duration::from_secs(1);

/// What the others need to know, a line each. What does not fit is found by their poll.
pub(crate) fn encode(changes: &[Change]) -> String {
    let mut payload = String::new();
    for change in changes {
        let line = match change {
            Change::Activity { account, seq } => format!("a {account} {seq}\n"),
            Change::Queued { desktop } => format!("q {desktop}\n"),
            Change::Revoked { key } => format!("r {key}\n"),
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
            ("r", key, None) => key.parse::<KeyId>().ok().map(|key| Change::Revoked { key }),
            _ => None,
        }
    })
}

/// Passes on the hints of other replicas for as long as anybody holds the sender's store.
/// Nothing to do on SQLite: there is one server process.
pub(crate) fn listen(
    url: &DatabaseUrl,
    changes: &broadcast::Sender<Change>,
) -> Option<tokio::task::AbortHandle> {
    let DatabaseUrl::Postgres(url) = url else {
        return None;
    };
    let (url, changes) = (url.clone(), changes.clone());
    let listening = crate::connection::spawn_io(async move {
        loop {
            if let Err(error) = listen_once(&url, &changes).await {
                tracing::warn!(%error, "lost the connection for hints of other replicas; polling meanwhile");
            }
            tokio::time::sleep(RECONNECT).await;
        }
    });
    Some(listening.abort_handle())
}

async fn listen_once(
    url: &PostgresUrl,
    changes: &broadcast::Sender<Change>,
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = url.config().connect(NoTls).await?;
    let mut messages =
        futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    let subscribe = client.batch_execute("LISTEN countersign");
    futures_util::pin_mut!(subscribe);
    let mut subscribed = false;
    loop {
        let message = tokio::select! {
            result = &mut subscribe, if !subscribed => {
                result?;
                subscribed = true;
                continue;
            }
            message = messages.next() => message,
        };
        match message {
            None => return Ok(()),
            Some(Err(error)) => return Err(error),
            Some(Ok(AsyncMessage::Notification(note))) if note.channel() == CHANNEL => {
                for change in decode(note.payload()) {
                    let _nobody_listens = changes.send(change);
                }
            }
            Some(Ok(_)) => {}
        }
    }
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
                key: uuid::Uuid::from_u128(3).into(),
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
