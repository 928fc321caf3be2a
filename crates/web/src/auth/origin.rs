//! Where a request with a session cookie may come from (contract sections 6 and 7): browsers send
//! the cookie along whoever made them send the request.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use contract::Code;
use store::sabotage::Mistake;

use crate::problem::Failure;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The address under which people reach the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Site {
    /// `https://HOST[:PORT]` without a path, when it is known.
    public: Option<String>,
}

impl Site {
    pub(crate) fn new(public_url: Option<&str>) -> Self {
        Self {
            public: public_url.map(origin_of),
        }
    }

    /// Whether people come by https, so that cookies must not travel without.
    pub(crate) fn is_secure(&self) -> bool {
        self.public
            .as_ref()
            .is_some_and(|url| url.starts_with("https://"))
    }

    /// The address to write into links: the public one, or the one this request came by.
    pub(crate) fn address(&self, headers: &HeaderMap) -> String {
        let host = text(headers, &HOST).unwrap_or("127.0.0.1:8080");
        self.public
            .clone()
            .unwrap_or_else(|| format!("http://{host}"))
    }

    /// Refuses what did not come from our own pages.
    ///
    /// # Errors
    /// 403 `forbidden` for a host that is not ours: another name that leads here is the first step
    /// of DNS rebinding. 403 `cross-site` for an unsafe method without same-origin
    /// `Sec-Fetch-Site` or `Origin`.
    pub(crate) fn check(&self, request: &HttpRequest) -> Result<(), Failure> {
        let headers = request.headers();
        let host = text(headers, &HOST).unwrap_or_default();
        if !self.knows(host) {
            let detail = "the request names a host that is not this server's; start it with \
                          PUBLIC_URL (--public-url) when it has a name of its own";
            return Err(Failure::new(Code::Forbidden, detail));
        }
        if request.method().is_safe()
            || self.is_same_origin(headers, host)
            || Mistake::CrossSite.made()
        {
            return Ok(());
        }
        let detail = "a change by session cookie must come from the dashboard itself";
        Err(Failure::new(Code::CrossSite, detail))
    }

    /// Whether `host` is this server: the public one, `localhost`, or a bare address, which no
    /// name server can point elsewhere.
    fn knows(&self, host: &str) -> bool {
        let name = without_port(host);
        let bracketed = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let is_address = match bracketed {
            Some(name) => name.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<Ipv4Addr>().is_ok(),
        };
        let is_public = self.public.as_deref().and_then(host_of) == Some(host);
        is_public || is_address || name.eq_ignore_ascii_case("localhost")
    }

    fn is_same_origin(&self, headers: &HeaderMap, host: &str) -> bool {
        if headers.contains_key(FETCH_SITE) {
            return text(headers, &FETCH_SITE) == Some("same-origin");
        }
        let Some(origin) = text(headers, &ORIGIN) else {
            return false;
        };
        self.public.as_deref() == Some(origin) || host_of(origin) == Some(host)
    }
}

/// A header that is there once and is text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Scheme and host of an address.
fn origin_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next().unwrap_or(rest);
    format!("{scheme}://{host}").to_ascii_lowercase()
}

fn host_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, host)| host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::test::TestRequest;

    use super::*;

    fn outcome(site: &Site, method: Method, headers: &[(&'static str, &str)]) -> u16 {
        let mut request = TestRequest::default().method(method);
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        match site.check(&request.to_http_request()) {
            Ok(()) => 200,
            Err(failure) => failure.response().status().as_u16(),
        }
    }

    #[test]
    fn a_change_comes_from_our_own_pages() {
        let site = Site::new(None);
        let host = ("host", "127.0.0.1:8080");
        let post = |headers: &[(&'static str, &str)]| {
            outcome(&site, Method::POST, &[&[host], headers].concat())
        };
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(post(&[("origin", "http://127.0.0.1:8080")]), 200);
        for refused in [
            &[][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "none")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "http://127.0.0.1:8080"),
            ],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[("origin", "http://127.0.0.1:9090")],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:8080.evil.example")],
        ] {
            assert_eq!(post(refused), 403, "{refused:?}");
        }
        assert_eq!(outcome(&site, Method::GET, &[host]), 200);
    }

    #[test]
    fn a_foreign_name_is_not_this_server() {
        let [bare, named] = [Site::new(None), Site::new(Some("https://gate.example/"))];
        for host in ["127.0.0.1", "[::1]:8080", "localhost:1", "192.168.1.5:8080"] {
            assert_eq!(
                outcome(&bare, Method::GET, &[("host", host)]),
                200,
                "{host}"
            );
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example", "gate.example"] {
            assert_eq!(
                outcome(&bare, Method::GET, &[("host", host)]),
                403,
                "{host}"
            );
        }
        assert_eq!(
            outcome(&named, Method::GET, &[("host", "gate.example")]),
            200
        );
        let origin = [("host", "10.0.0.1:80"), ("origin", "https://gate.example")];
        assert_eq!(outcome(&named, Method::POST, &origin), 200);
        assert!(named.is_secure() && !bare.is_secure());
    }
}
