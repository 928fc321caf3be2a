//! A network that can fail: a proxy in front of a server, whose connections can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Passes connections on to one address, until it is cut or dropped.
pub struct Proxy {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
    _serving: AbortOnDropHandle<()>,
}

impl Proxy {
    /// In front of the server at `http://…`.
    pub async fn before(url: &str) -> Self {
        let target: SocketAddr = url
            .strip_prefix("http://")
            .and_then(|address| address.parse().ok())
            .expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (is_cut, state) = watch::channel(false);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, target, state.clone()));
            }
        });
        Self {
            address,
            is_cut,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection, and every new one for so long.
    pub async fn cut(&self, duration: Duration) {
        self.is_cut.send_replace(true);
        sleep(duration).await;
        self.is_cut.send_replace(false);
    }
}

/// Dropped, both ends are closed: whoever waits on one of them notices.
async fn pass(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<bool>) {
    if *state.borrow() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = state.wait_for(|is_cut| *is_cut) => {}
    }
}
