//! The workload `pages`: what a person waits for, and how many bytes come, with many tasks.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::seed::{Database, EMAIL, PASSWORD, Seed, create_user};
use super::server::Server;
use super::{Engine, failed, milliseconds, percentile};
use crate::shell::{Failure, Shell};

const SIZES: [u32; 2] = [10_000, 100_000];
/// Approvals that are left waiting in the last variant.
const FEW: u32 = 50;
const ASSETS: [&str; 5] = ["app.css", "theme.js", "app.js", "htmx.js", "hx-sse.js"];
const ASSET_BYTES: usize = 120_000;

/// Measures one engine and prints its rows.
pub async fn measure(
    shell: &Shell,
    engine: Engine,
    url: &str,
    requests: u32,
) -> Result<(), Failure> {
    let server = Server::start(shell, url).await?;
    let user = create_user(shell, url)?;
    let mut database = Database::open(engine, url).await?;
    let mut browser = Browser::open(&server).await?;
    browser.sign_in().await?;
    println!("\n{}, {requests} requests a page", engine.name());
    let mut assets = 0;
    for name in ASSETS {
        assets += browser.get(&format!("/assets/{name}")).await?.1;
    }
    println!("script and style: {assets} bytes compressed, goal {ASSET_BYTES}");
    let seed = Seed::of(&user)?;
    let mut from = 1;
    for size in SIZES {
        let started = Instant::now();
        for statement in seed.tasks(engine, from, size) {
            database.run(&statement).await?;
        }
        database.settle().await?;
        from = size + 1;
        let seeded = started.elapsed().as_secs();
        browser.reconnect(&server).await?;
        print_head(&format!("{size} tasks, seeded in {seeded} s"));
        measure_pages(&mut browser, &seed, size, requests).await?;
    }
    for statement in seed.approve_all_but(FEW) {
        database.run(&statement).await?;
    }
    database.settle().await?;
    browser.reconnect(&server).await?;
    print_head(&format!("{} tasks, {FEW} approvals wait", from - 1));
    measure_pages(&mut browser, &seed, from - 1, requests).await
}

fn print_head(title: &str) {
    println!(
        "{title:<34}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}  goal",
        "first ms", "p50 ms", "p99 ms", "bytes", "gzip", "x floor", "ms"
    );
}

/// A page and its goals in milliseconds and bytes.
struct Goal {
    path: String,
    milliseconds: Option<f64>,
    bytes: Option<usize>,
}

fn goals(seed: &Seed, size: u32) -> Vec<Goal> {
    let time = if size <= SIZES[0] { 100.0 } else { 150.0 };
    let bytes = (size > SIZES[0]).then_some(200_000);
    let goal = |path: &str| Goal {
        path: path.to_owned(),
        milliseconds: Some(time),
        bytes,
    };
    let mut goals =
        Vec::from(["/board", "/board/columns", "/approvals", "/approvals/list"].map(goal));
    let free = |path: String| Goal {
        path,
        milliseconds: None,
        bytes: None,
    };
    goals.extend(["/approvals?tab=decided", "/activity", "/desktops"].map(|p| free(p.to_owned())));
    for number in [1, 2] {
        let tabs = ["output", "logs", "files", "history"];
        let task = seed.id("task", number);
        goals.extend(tabs.map(|tab| free(format!("/tasks/{task}?tab={tab}"))));
    }
    goals
}

async fn measure_pages(
    browser: &mut Browser,
    seed: &Seed,
    size: u32,
    requests: u32,
) -> Result<(), Failure> {
    let asset = Goal {
        path: "/assets/theme.js".to_owned(),
        milliseconds: None,
        bytes: None,
    };
    let mut floor = None;
    for goal in std::iter::once(asset).chain(goals(seed, size)) {
        browser.is_plain = true;
        let (first, plain) = browser.get(&goal.path).await?;
        browser.is_plain = false;
        let mut times = Vec::new();
        let mut compressed = 0;
        for _ in 0..requests {
            let (time, bytes) = browser.get(&goal.path).await?;
            times.push(time);
            compressed = bytes;
        }
        times.sort();
        let median = percentile(&times, 0.50);
        let floor = *floor.get_or_insert(median);
        let is_met = goal
            .milliseconds
            .is_none_or(|most| milliseconds(median) < most)
            && goal.bytes.is_none_or(|most| compressed < most);
        let verdict = match goal.milliseconds {
            None => "",
            Some(_) if is_met => "met",
            Some(_) => "MISSED",
        };
        println!(
            "{:<34}{:>10.1}{:>10.2}{:>10.2}{:>10}{:>10}{:>10.1}{:>8}  {verdict}",
            shown(seed, &goal.path),
            milliseconds(first),
            milliseconds(median),
            milliseconds(percentile(&times, 0.99)),
            plain,
            compressed,
            median.as_secs_f64() / floor.as_secs_f64(),
            goal.milliseconds
                .map_or("-".to_owned(), |ms| format!("{ms:.0}")),
        );
    }
    Ok(())
}

fn shown(seed: &Seed, path: &str) -> String {
    path.replace(&seed.id("task", 1), "(4 MiB log)")
        .replace(&seed.id("task", 2), "(100 files)")
}

/// A person's browser: one connection, one session.
struct Browser {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    cookie: String,
    is_plain: bool,
}

impl Browser {
    async fn open(server: &Server) -> Result<Self, Failure> {
        let refused = |e: &dyn std::fmt::Display| failed("connect", e);
        let stream = TcpStream::connect(server.address)
            .await
            .map_err(|e| refused(&e))?;
        stream.set_nodelay(true).map_err(|e| refused(&e))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|e| refused(&e))?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: server.address.to_string(),
            cookie: String::new(),
            is_plain: false,
        })
    }

    /// Once more: the server closes what was silent while tasks were made.
    async fn reconnect(&mut self, server: &Server) -> Result<(), Failure> {
        self.sender = Self::open(server).await?.sender;
        Ok(())
    }

    async fn sign_in(&mut self) -> Result<(), Failure> {
        let form = format!("email={EMAIL}&password={}", PASSWORD.replace(' ', "+"));
        let request = Request::post("/sign-in")
            .header("host", &self.host)
            .header("origin", format!("http://{}", self.host))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form.replace('@', "%40")))
            .map_err(|e| failed("sign in", &e))?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|e| failed("sign in", &e))?;
        let (head, body) = answer.into_parts();
        body.collect().await.map_err(|e| failed("sign in", &e))?;
        let set = head
            .headers
            .get("set-cookie")
            .and_then(|value| value.to_str().ok());
        let pair = set.and_then(|set| set.split(';').next());
        let pair = pair.ok_or_else(|| failed("sign in", &head.status))?;
        pair.clone_into(&mut self.cookie);
        Ok(())
    }

    /// How long a page took, and its bytes as they came.
    async fn get(&mut self, path: &str) -> Result<(Duration, usize), Failure> {
        let encoding = if self.is_plain { "identity" } else { "gzip" };
        let request = Request::get(path)
            .header("host", &self.host)
            .header("cookie", &self.cookie)
            .header("accept-encoding", encoding)
            .body(Full::default())
            .map_err(|e| failed(path, &e))?;
        let sent = Instant::now();
        let answer = self
            .sender
            .send_request(request)
            .await
            .map_err(|e| failed(path, &e))?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| failed(path, &e))?;
        let time = sent.elapsed();
        if status == StatusCode::OK {
            Ok((time, body.to_bytes().len()))
        } else {
            Err(failed(path, &status))
        }
    }
}
