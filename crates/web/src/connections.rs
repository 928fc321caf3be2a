//! Connections on which no request is under way, and how they end.
//!
//! actix limits the time of the first head of a connection only: a client that was answered once could
//! send the next head byte by byte for ever, never finish a body that was refused, or never read its
//! answer. Here each connection has a time by which its next request must have begun, whatever comes
//! over it until then.

use std::any::Any;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceResponse};
use actix_web::rt::net::TcpStream as AsyncStream;
use actix_web::web::Bytes;
use tokio::time::interval;

/// How often connections are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// An answer may be read as slowly as this, in bytes a second.
const SLOWEST_READER: u64 = 16 << 10;

/// All open connections.
#[derive(Default)]
pub(crate) struct Connections(Mutex<Vec<Weak<Connection>>>);

/// One connection.
pub(crate) struct Connection {
    /// Another descriptor of its socket, to shut it down with.
    socket: TcpStream,
    opened: Instant,
    idle: Duration,
    /// Requests whose answer is not yet handed over.
    under_way: AtomicU32,
    /// Milliseconds after `opened` at which it is shut down when no request is under way.
    until: AtomicU64,
}

impl Connections {
    /// Watches a new connection, if it is one of TCP: `extensions` are those its requests will have.
    /// `idle` is the time between an answer and the next request.
    pub(crate) fn add(&self, connection: &dyn Any, extensions: &mut Extensions, idle: Duration) {
        let stream = connection.downcast_ref::<AsyncStream>();
        let socket = stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        let Some(socket) = socket else {
            return;
        };
        let connection = Arc::new(Connection {
            socket: socket.into(),
            opened: Instant::now(),
            idle,
            under_way: AtomicU32::new(0),
            until: AtomicU64::new(millis(idle)),
        });
        self.all().push(Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Shuts down whatever has overstayed, for ever.
    pub(crate) async fn watch(&self) {
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        self.all().retain(|connection| match connection.upgrade() {
            None => false,
            Some(connection) => {
                if connection.has_overstayed() {
                    // one that is closed already is what was wanted
                    let _closed = connection.socket.shutdown(Shutdown::Both);
                }
                true
            }
        });
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn has_overstayed(&self) -> bool {
        let is_idle = self.under_way.load(Ordering::Acquire) == 0;
        is_idle && millis(self.opened.elapsed()) > self.until.load(Ordering::Acquire)
    }

    /// An answer is handed over to the system, of which `bytes` may not be read yet.
    fn finish(&self, bytes: u64) {
        let reading = Duration::from_secs(bytes / SLOWEST_READER);
        let until = self.opened.elapsed() + self.idle + reading;
        self.until.store(millis(until), Ordering::Release);
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request that is under way on a connection, until this is dropped.
pub(crate) struct UnderWay {
    connection: Option<Arc<Connection>>,
    bytes: u64,
}

impl UnderWay {
    pub(crate) fn begin(request: &HttpRequest) -> Self {
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.under_way.fetch_add(1, Ordering::AcqRel);
        }
        Self {
            connection,
            bytes: 0,
        }
    }

    /// Ends with the body of the answer.
    pub(crate) fn end_with(
        mut self,
        response: ServiceResponse<BoxBody>,
    ) -> ServiceResponse<BoxBody> {
        match response.response().body().size() {
            BodySize::None => response,
            BodySize::Sized(bytes) => {
                self.bytes = bytes;
                response
            }
            BodySize::Stream => response.map_body(|_, body| {
                BoxBody::new(Streamed {
                    body,
                    _under_way: self,
                })
            }),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.finish(self.bytes);
        }
    }
}

/// A body of many pieces; its request is under way until the last one.
struct Streamed {
    body: BoxBody,
    _under_way: UnderWay,
}

impl MessageBody for Streamed {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    fn connection(idle: Duration) -> (Arc<Connection>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("a connection");
        let connection = Connection {
            socket: listener.accept().expect("a connection").0,
            opened: Instant::now(),
            idle,
            under_way: AtomicU32::new(0),
            until: AtomicU64::new(millis(idle)),
        };
        (Arc::new(connection), client)
    }

    fn under_way(connection: &Arc<Connection>) -> UnderWay {
        connection.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay {
            connection: Some(Arc::clone(connection)),
            bytes: 0,
        }
    }

    #[test]
    fn what_overstays_is_shut_down_and_what_works_is_not() {
        let (idle, mut idle_client) = connection(Duration::ZERO);
        let (busy, busy_client) = connection(Duration::ZERO);
        let work = under_way(&busy);
        let connections = Connections::default();
        for connection in [&idle, &busy] {
            connections.all().push(Arc::downgrade(connection));
        }
        std::thread::sleep(Duration::from_millis(20));
        connections.look();
        assert_eq!(idle_client.read(&mut [0]).expect("an end"), 0);
        busy_client.set_nonblocking(true).expect("our socket");
        assert!((&busy_client).read(&mut [0]).is_err(), "it is open");
        drop(work);
        std::thread::sleep(Duration::from_millis(20));
        connections.look();
        busy_client.set_nonblocking(false).expect("our socket");
        assert_eq!((&busy_client).read(&mut [0]).expect("an end"), 0);
        drop((idle, busy));
        connections.look();
        assert!(connections.all().is_empty());
    }

    #[test]
    fn a_long_answer_may_be_read_slowly() {
        let (connection, _client) = connection(Duration::ZERO);
        let mut answer = under_way(&connection);
        answer.bytes = 8 << 20;
        drop(answer);
        let until = connection.until.load(Ordering::Acquire);
        assert!((512_000..513_000).contains(&until), "{until} ms");
    }
}
