//! Where the server listens.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::Failure;

/// Binds before anything is promised.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        format!(
            "cannot listen on {address}: {error}; choose another address with LISTEN (--listen)"
        )
        .into()
    })
}

/// The listeners of the dashboard: the address that was asked for, first, and beside `127.0.0.1` and
/// `0.0.0.0` the same port of `::1`.
///
/// A browser asks `::1` before `127.0.0.1` when a page is opened as `localhost`. A task that listened
/// there would answer in the name of the dashboard, at its very origin.
pub(crate) fn listen_at_every_localhost(address: SocketAddr) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = vec![listen(address)?];
    let is_localhost = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .map(IpAddr::V4)
        .contains(&address.ip());
    if is_localhost {
        let port = listeners[0].local_addr()?.port();
        listeners.extend(twin(SocketAddr::from((Ipv6Addr::LOCALHOST, port))));
    }
    Ok(listeners)
}

/// The second address, unless another program has it or there is no IPv6.
fn twin(address: SocketAddr) -> Option<TcpListener> {
    let bound = TcpListener::bind(address);
    if let Err(error) = &bound
        && error.kind() == ErrorKind::AddrInUse
    {
        tracing::warn!(
            %address,
            "another program listens there: do not open the dashboard as localhost, that leads to it"
        );
    }
    bound.ok()
}
