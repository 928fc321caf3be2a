//! The client itself: connection, repeats, and how an answer is read.

use std::net::IpAddr;
use std::time::Duration;

use contract::Problem;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::page::next_link;
use crate::{Backoff, ClientError, Page, Secret};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// How long a call without a wait may take in all.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How much longer than its wait a waiting call may take.
pub(crate) const WAIT_MARGIN: Duration = Duration::from_secs(15);
/// How often a call is repeated.
const REPEATS: u32 = 4;
/// A server that asks for a longer pause gets no repeat; the caller hears of it instead.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A connection to one server with one key. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    idempotency_key: Option<HeaderValue>,
}

/// Whether a call that found no usable answer may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It is sent once.
    Never,
    /// It is repeated: a second arrival changes nothing.
    Safe,
}

/// A successful answer.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// A client of the server at `base_url` (`http://` or `https://`, with or without a path).
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] for a malformed address or key, or without usable
    /// certificates for `https://`.
    pub fn new(base_url: &str, key: impl Into<Secret>) -> Result<Self, ClientError> {
        let base = base(base_url)?;
        // The first provider a process installs stays; another one is as good as ours.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(API_KEY, key_header(&key.into())?)]))
            .user_agent(concat!("countersign-client/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(CALL_TIMEOUT)
            // Shorter than the server's keep-alive: a connection that it is closing is not reused.
            .pool_idle_timeout(Duration::from_secs(4));
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // Without redirects no TLS can follow: the system's certificates need not be loaded.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| {
            ClientError::Configuration(format!("cannot build a client: {error}"))
        })?;
        Ok(Self {
            http,
            base,
            idempotency_key: None,
        })
    }

    /// The same client, with this `Idempotency-Key` (1 to 255 printable ASCII characters) on every
    /// POST and PATCH instead of a new one a call. Whoever keeps the key can repeat a call even
    /// after a restart; the server tells calls with different paths apart.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] for a malformed key.
    pub fn with_idempotency_key(&self, key: &str) -> Result<Self, ClientError> {
        let value = HeaderValue::from_str(key).map_err(|_| {
            ClientError::Configuration("the idempotency key is malformed".to_owned())
        })?;
        Ok(Self {
            idempotency_key: Some(value),
            ..self.clone()
        })
    }

    /// The page after `page`, or `None` after the last.
    pub async fn next_page<T: DeserializeOwned>(
        &self,
        page: &Page<T>,
    ) -> Result<Option<Page<T>>, ClientError> {
        let Some(link) = &page.next else {
            return Ok(None);
        };
        let address = format!("{}{link}", self.base.as_str().trim_end_matches('/'));
        let url = Url::parse(&address).map_err(|_| ClientError::Unexpected {
            status: 200,
            detail: format!("the link to the next page is malformed: {link}"),
        })?;
        self.page(url).await.map(Some)
    }

    /// The address of a resource; each segment is escaped.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// GET of one thing.
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, ClientError> {
        self.send(self.http.get(url), Repeat::Safe).await?.json()
    }

    /// GET of one thing that may take `wait` to come.
    pub(crate) async fn get_waiting<T: DeserializeOwned>(
        &self,
        url: Url,
        wait: Duration,
    ) -> Result<T, ClientError> {
        let request = self.http.get(url).timeout(wait + WAIT_MARGIN);
        self.send(request, Repeat::Safe).await?.json()
    }

    /// GET of bytes.
    pub(crate) async fn get_bytes(&self, url: Url) -> Result<Vec<u8>, ClientError> {
        Ok(self.send(self.http.get(url), Repeat::Safe).await?.body)
    }

    /// GET of a page of a list.
    pub(crate) async fn page<T: DeserializeOwned>(&self, url: Url) -> Result<Page<T>, ClientError> {
        let answer = self.send(self.http.get(url), Repeat::Safe).await?;
        let total = answer
            .header(&TOTAL_COUNT)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| answer.unexpected("it has no X-Total-Count"))?;
        let next = answer.header(&LINK).and_then(next_link);
        Ok(Page {
            items: answer.json()?,
            total,
            next,
        })
    }

    /// POST or PATCH with an idempotency key.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        let key = match &self.idempotency_key {
            Some(key) => key.clone(),
            None => random_key()?,
        };
        let request = self
            .http
            .request(method, url)
            .header(IDEMPOTENCY_KEY, key)
            .json(body);
        self.send(request, Repeat::Safe).await?.json()
    }

    /// POST without an idempotency key, for calls that have another way to be repeatable, or none.
    pub(crate) fn post(&self, url: Url, body: &(impl Serialize + Sync)) -> RequestBuilder {
        self.http.post(url).json(body)
    }

    /// DELETE. What is gone when a repeat arrives was deleted by an earlier try.
    pub(crate) async fn delete(&self, url: Url) -> Result<(), ClientError> {
        let first = Self::once(self.http.delete(url.clone())).await;
        let Err(error) = first else { return Ok(()) };
        if !may_repeat(&error) {
            return Err(error);
        }
        sleep(Backoff::new().next(error.retry_after())).await;
        match self.send(self.http.delete(url), Repeat::Safe).await {
            Err(ClientError::Problem { problem, .. }) if problem.status == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    /// Sends a request, again while that is allowed and may help.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        repeat: Repeat,
    ) -> Result<Answer, ClientError> {
        if repeat == Repeat::Safe {
            let mut backoff = Backoff::new();
            for _ in 0..REPEATS {
                let Some(copy) = request.try_clone() else {
                    break;
                };
                match Self::once(copy).await {
                    Err(error) if may_repeat(&error) => {
                        sleep(backoff.next(error.retry_after())).await;
                    }
                    other => return other,
                }
            }
        }
        Self::once(request).await
    }

    /// Sends a request once and reads the whole answer.
    async fn once(request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = request.send().await.map_err(ClientError::Transport)?;
        let answer = Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response
                .bytes()
                .await
                .map_err(ClientError::Transport)?
                .into(),
        };
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(answer.refusal())
        }
    }
}

impl Answer {
    /// Whether the server had nothing to say: 204.
    pub(crate) fn is_empty(&self) -> bool {
        self.status == StatusCode::NO_CONTENT
    }

    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            self.unexpected(&format!("its body is not what was asked for: {error}"))
        })
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn unexpected(&self, detail: &str) -> ClientError {
        ClientError::Unexpected {
            status: self.status.as_u16(),
            detail: detail.to_owned(),
        }
    }

    /// The error that an answer other than 2xx stands for.
    fn refusal(&self) -> ClientError {
        let is_problem = self
            .header(&CONTENT_TYPE)
            .is_some_and(|media_type| media_type.starts_with(Problem::MEDIA_TYPE));
        match serde_json::from_slice(&self.body) {
            Ok(problem) if is_problem => ClientError::Problem {
                problem: Box::new(problem),
                retry_after: self
                    .header(&RETRY_AFTER)
                    .and_then(|seconds| seconds.parse().ok())
                    .map(Duration::from_secs),
            },
            _ => self.unexpected("it is no problem document"),
        }
    }
}

/// Whether the client itself repeats after this error.
fn may_repeat(error: &ClientError) -> bool {
    error.is_transient() && error.retry_after().unwrap_or_default() <= LONGEST_PAUSE
}

fn base(text: &str) -> Result<Url, ClientError> {
    let malformed = |what: &str| {
        ClientError::Configuration(format!("'{text}' is not the address of a server: {what}"))
    };
    let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(malformed("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(malformed("it must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(malformed("it must end with the path"));
    }
    Ok(url)
}

fn key_header(key: &Secret) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(key.expose())
        .map_err(|_| ClientError::Configuration("the API key is malformed".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// 128 random bits in hex.
fn random_key() -> Result<HeaderValue, ClientError> {
    let malformed =
        |_| ClientError::Configuration("the system has no source of randomness".to_owned());
    let bits = [
        getrandom::u64().map_err(malformed)?,
        getrandom::u64().map_err(malformed)?,
    ];
    let text = format!("{:016x}{:016x}", bits[0], bits[1]);
    HeaderValue::from_str(&text).map_err(|error| ClientError::Configuration(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        Client::new(address, "k").expect_err("refused").to_string()
    }

    #[test]
    fn addresses() {
        assert!(refused("127.0.0.1:8080").contains("not the address of a server"));
        assert!(refused("ftp://host").contains("http:// or https://"));
        assert!(refused("http://user:secret@host").contains("user name"));
        assert!(refused("http://host/?a=b").contains("end with the path"));

        let client = Client::new("https://host/prefix/", "k").expect("a client");
        let url = client.url(&["api", "a/b?c"]);
        assert_eq!(url.as_str(), "https://host/prefix/api/a%2Fb%3Fc");
    }

    #[test]
    fn a_malformed_key_is_refused_without_being_printed() {
        let error = Client::new("http://host", "line\nbreak").expect_err("refused");
        assert_eq!(error.to_string(), "the API key is malformed");
    }

    #[test]
    fn the_key_is_not_in_debug() {
        let client = Client::new("http://host", "csk_human_x").expect("a client");
        assert!(!format!("{client:?}").contains("csk_human_x"));
    }

    #[test]
    fn loopback_is_this_machine_only() {
        let is = |address: &str| is_loopback(&Url::parse(address).expect("an address"));
        assert!(is("http://localhost:1") && is("http://127.0.0.2") && is("http://[::1]:8080"));
        assert!(!is("http://localhost.example") && !is("http://10.0.0.1"));
    }
}
