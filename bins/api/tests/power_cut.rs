//! The power goes while clients write: after it every acknowledged write is there, decisions with
//! their rows in the log and their sealed evidence, and nothing is there by half
//! (docs/guarantees.md, G1).
//!
//! `cargo xtask torture power-cut` does the same with many more cuts.

use std::time::Instant;

use test_support::server::Server;

use crate::cluster::Cluster;
use crate::disk::Disk;
use crate::rest::Caller;
use crate::site::{API, Desktop, owner_key};
use crate::writes::{
    DECISIONS, Load, Told, WRITERS, check_evidence, check_rows, check_what_is_there, repeat,
};
use test_support::rounds;

const CUTS_ON_SQLITE: usize = 10;
const CUTS_ON_POSTGRES: usize = 3;
/// Cuts of one database: each is checked as a whole after every cut.
const CHAPTER: usize = 10;

const SQLITE_DISK: u64 = 256 << 20;
const POSTGRES_DISK: u64 = 1 << 30;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_every_word_through_a_power_cut() {
    cut_again_and_again(rounds(CUTS_ON_SQLITE), async || {
        let disk = Disk::new(SQLITE_DISK)?;
        let file = disk.path().join("countersign.db");
        let url = format!("sqlite://{}", file.display());
        Some(Machine::start(disk, None, &url))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_every_word_through_a_power_cut() {
    cut_again_and_again(rounds(CUTS_ON_POSTGRES), async || {
        let disk = Disk::new(POSTGRES_DISK)?;
        let cluster = Cluster::start_in(&disk.path())?;
        let url = cluster.url();
        Some(Machine::start(disk, Some(cluster), &url))
    })
    .await;
}

/// A server with its database on a disk of its own. The order of fields is that in which they go.
struct Machine {
    server: Server,
    cluster: Option<Cluster>,
    disk: Disk,
    owner: Caller,
}

impl Machine {
    fn start(disk: Disk, cluster: Option<Cluster>, url: &str) -> Self {
        test_support::migrate(url);
        let key = owner_key(url);
        let server = Server::serve(API, url);
        let owner = Caller::new(server.url(), &key);
        Self {
            server,
            cluster,
            disk,
            owner,
        }
    }

    /// Cuts the power; the moment before. What is on the disk since then is lost, and so is every
    /// word that was given since.
    fn cut(&mut self) -> Instant {
        let moment = Instant::now();
        self.disk.cut();
        self.server.process().kill();
        moment
    }

    fn power_up(&mut self) {
        if let Some(cluster) = &self.cluster {
            cluster.crash();
        }
        self.disk.power_up();
        if let Some(cluster) = &self.cluster {
            cluster.start();
        }
        self.server.restart();
        self.owner = self.owner.at(self.server.url());
    }
}

/// Cuts the power of machine after machine; `None` is a machine that cannot be.
async fn cut_again_and_again(cuts: usize, machine: impl AsyncFn() -> Option<Machine>) {
    let (begin, mut told) = (Instant::now(), Told::default());
    for first in (0..cuts).step_by(CHAPTER) {
        let Some(machine) = machine().await else {
            return;
        };
        told += chapter(machine, first..cuts.min(first + CHAPTER)).await;
    }
    assert!(told.unknown >= cuts, "it was idle when the power went");
    assert!(told.creations >= WRITERS && told.decisions >= WRITERS);
    println!(
        "{cuts} power cuts in {:.0} s; {told}",
        begin.elapsed().as_secs_f64()
    );
}

/// Cuts the power of one machine again and again.
async fn chapter(mut machine: Machine, cuts: std::ops::Range<usize>) -> Told {
    let desktop = Desktop::create(&machine.owner, "under load").await;
    let (mut kept, mut told, others) = (Vec::new(), Told::default(), DECISIONS * cuts.len());
    for cut in cuts {
        let mut load = Load::start(&machine.owner, &desktop, &format!("cut {cut}")).await;
        // another moment each time, from the first write to the time after the last decision
        load.acknowledged(1 + cut * 13 % 71).await;
        let moment = machine.cut();
        let mut writes = load.end().await;
        for write in &mut writes {
            write.forget_after(moment);
        }
        machine.power_up();
        let owner = &machine.owner;
        check_what_is_there(owner, writes.iter().chain(&kept)).await;
        check_evidence(owner, &writes).await;
        told += Told::by(&writes);
        kept.extend(repeat(owner, writes).await);
    }
    check_what_is_there(&machine.owner, &kept).await;
    check_rows(&machine.owner, &kept, others).await;
    told
}
