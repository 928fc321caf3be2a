//! A disk that becomes full: what makes the database grow is refused while the reserve is all that is
//! left, whatever is under way can still be ended and decided, and with room everything goes on.
//!
//! `cargo xtask torture full-disk` fills it more often.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use test_support::rounds;
use test_support::server::{Server, program};

use crate::rest::{Answer, Caller, answer, text};
use crate::scratch::Scratch;
use crate::site::{API, APPROVALS, Desktop, TASKS, owner_key};

/// How often the disk is filled, when nobody asks for more.
const FILLINGS: usize = 3;
const MIB: u64 = 1 << 20;
/// Of the smallest disk; each filling takes a few MiB for good.
const DISK: u64 = 64 * MIB;
const A_FILLING: u64 = 12 * MIB;
/// Kept for decisions, in MiB.
const RESERVE: u64 = 8;
/// Decided while only the reserve is left, each time.
const DECISIONS: usize = 10;

/// A small disk in memory. Its folder unmounts it.
struct SmallDisk {
    folder: Scratch,
}

impl SmallDisk {
    /// `None` where there cannot be one, after saying why.
    fn new(bytes: u64) -> Option<Self> {
        let disk = Self {
            folder: Scratch::new(),
        };
        std::fs::create_dir(disk.path()).expect("a folder");
        let size = format!("size={bytes}");
        let mut mount = program("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]);
        let mounted = mount.arg(disk.path()).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(disk);
        }
        println!("skipped: no file system can be mounted here");
        None
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("small")
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path()).expect("it says so");
        found.f_bavail * found.f_frsize
    }

    /// Takes or gives room with a file of somebody else's until so much is free.
    fn leave(&self, bytes: u64) {
        let path = self.path().join("somebody else's");
        let _none_before = std::fs::remove_file(&path);
        let mut file = File::create(&path).expect("a file");
        let mut zeros = self.free().saturating_sub(bytes);
        while zeros > 0 {
            let part = zeros.min(MIB);
            let part = vec![0; usize::try_from(part).expect("a MiB")];
            file.write_all(&part).expect("room");
            zeros -= part.len() as u64;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_decided_in_the_reserve() {
    let fillings = rounds(FILLINGS);
    let Some(disk) = SmallDisk::new(DISK + A_FILLING * fillings as u64) else {
        return;
    };
    let (server, owner) = serve(&disk.path());
    let desktop = Desktop::create(&owner, "on a small disk").await;
    for filling in 0..fillings {
        let waiting = desktop.tasks_in_review(&owner, DECISIONS).await;
        let running = Upload::begin(&owner, &desktop).await;
        disk.leave((RESERVE + 3) * MIB);
        let refused = running.until_refused().await;
        check_refusal(&refused);
        check_refusal(&owner.post(TASKS, &command(&desktop)).await);
        for task in &waiting {
            approve(&owner, task).await;
        }
        let report = json!({"outcome": "succeeded", "output": "all that fitted"});
        let (task, token) = (&running.task, &running.token);
        let ended = desktop.complete(task, token, &report).await;
        approve(&owner, &ended).await;
        assert!(disk.free() > RESERVE * MIB / 2, "the reserve was used up");

        disk.leave((RESERVE + 16) * MIB);
        let after = Upload::begin(&owner, &desktop).await;
        after.send(0).await.is(202);
        let ended = desktop.complete(&after.task, &after.token, &report).await;
        approve(&owner, &ended).await;
        check_decisions(&owner, (filling + 1) * (DECISIONS + 2)).await;
    }
    drop(server);
    println!("{fillings} times a full disk: every decision in the reserve, and no restart");
}

fn serve(folder: &Path) -> (Server, Caller) {
    let url = format!("sqlite://{}", folder.join("small.db").display());
    test_support::migrate(&url);
    let key = owner_key(&url);
    let server = Server::start(move || {
        let mut command = program(API);
        let reserve = RESERVE.to_string();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "0"])
            .args(["--disk-reserve", &reserve, "--database-url", &url]);
        command
    });
    let owner = Caller::new(server.url(), &key);
    (server, owner)
}

fn command(desktop: &Desktop) -> Value {
    json!({
        "type": "command", "content": "make", "desktopId": desktop.id,
        "requiresApproval": true, "autoRun": true,
    })
}

/// A task whose log is sent.
struct Upload {
    desktop: Desktop,
    task: Value,
    token: String,
}

impl Upload {
    async fn begin(owner: &Caller, desktop: &Desktop) -> Self {
        owner.post(TASKS, &command(desktop)).await.is(201);
        let (task, token) = desktop.claim().await;
        let desktop = desktop.clone();
        let begun = Self {
            desktop,
            task,
            token,
        };
        begun.post("heartbeat", &json!({})).await.is(200);
        begun
    }

    async fn post(&self, what: &str, body: &Value) -> Answer {
        let (desktop, task) = (&self.desktop.id, text(&self.task["id"]));
        let path = format!("/api/desktops/{desktop}/tasks/{task}/{what}");
        let request = self.desktop.agent.request(reqwest::Method::POST, &path);
        let request = request.header("x-lease-token", &self.token).json(body);
        answer(request).await.expect("an answer")
    }

    /// Half a MiB of log.
    async fn send(&self, seq: u32) -> Answer {
        let bytes = vec![b'x'; 512 << 10];
        let entry = json!({
            "seq": seq, "stream": "stdout", "at": "2026-11-25T00:00:00Z", "base64": STANDARD.encode(bytes),
        });
        self.post("logs", &json!({"entries": [entry]})).await
    }

    async fn until_refused(&self) -> Answer {
        for seq in 0..40 {
            let answer = self.send(seq).await;
            if answer.status != 202 {
                return answer;
            }
        }
        panic!("20 MiB went into less");
    }
}

/// Says that the disk is full and when to come back.
#[track_caller]
fn check_refusal(refused: &Answer) {
    let problem = refused.refuses(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    let detail = text(&problem["detail"]);
    assert!(detail.contains("nearly full"), "{detail}");
}

async fn approve(owner: &Caller, task: &Value) {
    let path = format!("{TASKS}/{}/review", text(&task["id"]));
    let decision = json!({"decision": "approve", "evidenceSha256": task["evidenceSha256"]});
    let decided = owner.post(&path, &decision).await.is(200);
    assert_eq!(decided["status"], "done", "{decided}");
}

async fn check_decisions(owner: &Caller, expected: usize) {
    let approved = owner.get(&format!("{APPROVALS}?status=approved")).await;
    assert_eq!(approved.is(200).as_array().map(Vec::len), Some(expected));
}
