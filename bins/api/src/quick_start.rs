//! `api` without a command: a whole Countersign in one process, for one person on one machine.

use std::fs::{self, DirBuilder, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use approval_core::{AccountId, DesktopId, KeyKind, KeyRequest};
use runner::{Level, RunnerConfig, Secret};
use store::server_lock::ServerLock;
use store::url::DatabaseUrl;
use store::{Admin, AdminError, Answer, Command, KeyText, Store, migrations};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use web::{AppState, WebConfig};

use crate::Failure;
use crate::admin::sign_in_link;
use crate::cli::QuickStart;
use crate::descriptors;
use crate::listen::listen_at_every_localhost;
use crate::serve::{runtime, serve_metrics, stop_on_signal};

/// Names of what the first start creates.
const ACCOUNT: &str = "default";
const OWNER: &str = "owner@localhost";
const DESKTOP: &str = "local";
const OWNER_KEY: &str = "owner";
const RUNNER_KEY: &str = "local desktop";

/// Said where the kernel cannot confine the local desktop (contract section 8).
const UNCONFINED: &str =
    "WARNING: tasks run unconfined as the server's user and can approve themselves";

/// What the quick start found or made.
struct Home {
    account: AccountId,
    desktop: DesktopId,
    /// The owner's key, at the first start only.
    first_key: Option<KeyText>,
}

pub(crate) fn run(options: &QuickStart) -> Result<(), Failure> {
    // tasks run as the same user, and its keys are in memory
    runner::make_unreadable()?;
    let listeners = listen_at_every_localhost(options.listen)?;
    let address = listeners[0].local_addr()?;
    let url = prepare_folders(&options.data_dir, &options.workdir)?;
    migrate(&url)?;
    let store = Store::open(&options.disk.store(url.clone()))?;
    let admin = Admin::new(url);
    let home = find_home(&admin)?;
    let level = runner::level();
    let runner = local_runner(options, address, &home, runner_key(&admin, &home)?, &level)?;
    let config = WebConfig {
        unconfined: !level.confines(),
        ..options.web.config()
    };
    let state = AppState::new(store.clone(), config);
    let link = owner_link(&admin, options, address)?;
    let served: Result<_, Failure> = runtime()?.block_on(async {
        let stop = stop_on_signal()?;
        // whoever reads this may end the program at once
        announce(options, address, &home, &link, &level);
        serve_metrics(&options.metrics, &stop)?;
        let server_stop = CancellationToken::new();
        let running = spawn_desktop(runner, stop.clone(), server_stop.clone())?;
        let served = web::serve(
            listeners,
            state,
            server_stop.clone(),
            descriptors::as_they_are(),
        )
        .await;
        server_stop.cancel();
        stop.cancel();
        let ended = running.await;
        served?;
        Ok(ended?)
    });
    store.close();
    served
}

/// How the local desktop executes tasks: never with access to the data folder, where the kernel can
/// see to that.
fn local_runner(
    options: &QuickStart,
    address: SocketAddr,
    home: &Home,
    key: Secret,
    level: &Level,
) -> Result<RunnerConfig, Failure> {
    let server = format!("http://{}", reachable(address));
    let workdir = options.workdir.canonicalize()?;
    let mut config = RunnerConfig::new(server, home.desktop.to_string(), key, workdir);
    options.tasks.apply(&mut config);
    config.helper = Some(runner::own_program()?);
    if level.confines() {
        let data = options.data_dir.canonicalize()?;
        config.confinement = Some(options.tasks.confinement(vec![data])?);
    }
    Ok(config)
}

/// Runs the local desktop on a thread of its own, which tasks die with.
fn spawn_desktop(
    config: RunnerConfig,
    stop: CancellationToken,
    server_stop: CancellationToken,
) -> std::io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ended, waiting) = oneshot::channel();
    std::thread::Builder::new()
        .name("desktop".to_owned())
        .spawn(move || {
            runtime.block_on(run_desktop(config, stop, server_stop));
            // Whoever started this waits, unless it has failed itself.
            let _ = ended.send(());
        })?;
    Ok(waiting)
}

/// Runs the local desktop, and lets the server stop only when it has reported its task.
async fn run_desktop(
    config: RunnerConfig,
    stop: CancellationToken,
    server_stop: CancellationToken,
) {
    // also when the desktop panics: a server that nobody can stop is worse than one without it
    let _stop = server_stop.drop_guard();
    if let Err(error) = runner::run(config, stop.clone()).await {
        tracing::error!(%error, "the local desktop stopped; the server goes on without it");
        stop.cancelled().await;
    }
}

/// The data folder, for its owner only, and the work folder outside it.
fn prepare_folders(data: &Path, work: &Path) -> Result<DatabaseUrl, Failure> {
    let named =
        |path: &Path, error: std::io::Error| format!("cannot use {}: {error}", path.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .map_err(|e| named(data, e))?;
    fs::set_permissions(data, Permissions::from_mode(0o700)).map_err(|e| named(data, e))?;
    fs::create_dir_all(work).map_err(|e| named(work, e))?;
    let data = data.canonicalize().map_err(|e| named(data, e))?;
    let inside = work
        .canonicalize()
        .map_err(|e| named(work, e))?
        .starts_with(&data);
    if inside {
        return Err(format!(
            "WORKDIR (--workdir) {} is inside the data folder {}: tasks would work beside the database; choose a folder outside it",
            work.display(),
            data.display()
        )
        .into());
    }
    Ok(DatabaseUrl::Sqlite(data.join("countersign.db")))
}

fn migrate(url: &DatabaseUrl) -> Result<(), Failure> {
    if !migrations::pending(url)?.is_empty() {
        let _lock = ServerLock::acquire_exclusive(url)?;
        migrations::run(url)?;
    }
    Ok(())
}

/// Finds what an earlier start made, and makes what is missing.
fn find_home(admin: &Admin) -> Result<Home, Failure> {
    let (account, first) = match admin.account(None) {
        Ok(account) => (account, false),
        Err(AdminError::NoAccount(_)) => (admin.create_account(ACCOUNT)?, true),
        Err(error) => return Err(error.into()),
    };
    let desktop = local_desktop(admin, account)?;
    // also in an account that was made by hand: the link is for the owner
    if admin.read(|reads| reads.login(OWNER))?.is_none() {
        let owner = Command::CreateUser {
            email: OWNER.to_owned(),
            password_hash: None,
        };
        admin.run(account, owner)?;
    }
    let first_key = if first {
        Some(create_key(admin, account, OWNER_KEY, KeyKind::Human, None)?)
    } else {
        None
    };
    Ok(Home {
        account,
        desktop,
        first_key,
    })
}

fn local_desktop(admin: &Admin, account: AccountId) -> Result<DesktopId, Failure> {
    let page = admin.read(|reads| reads.desktops(account, i64::from(u16::MAX), None))?;
    if let Some(desktop) = page.items.iter().find(|desktop| desktop.name == DESKTOP) {
        return Ok(desktop.id);
    }
    match admin
        .run(
            account,
            Command::CreateDesktop {
                name: DESKTOP.to_owned(),
            },
        )?
        .answer
    {
        Answer::Desktop(desktop) => Ok(desktop.id),
        _ => Err("the store did not answer with a desktop".into()),
    }
}

/// A new key for the local desktop at every start, so that none is ever written to disk; those of
/// earlier starts are revoked.
fn runner_key(admin: &Admin, home: &Home) -> Result<Secret, Failure> {
    let keys = admin.read(|reads| reads.keys(home.account, i64::from(u16::MAX), None))?;
    let earlier =
        |key: &&store::KeyView| key.desktop == Some(home.desktop) && key.name == RUNNER_KEY;
    for key in keys.items.iter().filter(earlier) {
        admin.run(home.account, Command::RevokeKey(key.id))?;
    }
    let key = create_key(
        admin,
        home.account,
        RUNNER_KEY,
        KeyKind::Agent,
        Some(home.desktop),
    )?;
    Ok(Secret::from(key.reveal().to_owned()))
}

fn create_key(
    admin: &Admin,
    account: AccountId,
    name: &str,
    kind: KeyKind,
    desktop: Option<DesktopId>,
) -> Result<KeyText, Failure> {
    let key = KeyText::generate(kind)?;
    let request = KeyRequest {
        name: name.to_owned(),
        kind,
        capabilities: None,
        desktop,
    };
    admin.run(
        account,
        Command::CreateKey {
            request,
            digest: key.digest(),
        },
    )?;
    Ok(key)
}

/// A link that lets the owner in, once. One at each start, for whoever starts the program could read
/// the database anyway.
fn owner_link(admin: &Admin, options: &QuickStart, address: SocketAddr) -> Result<String, Failure> {
    let server = options.web.public_url.clone();
    let server = server.unwrap_or_else(|| format!("http://{}", reachable(address)));
    sign_in_link(admin, OWNER, &server)
}

/// The address under which this machine reaches the server.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        reachable.set_ip(loopback);
    }
    reachable
}

/// Says on standard output, unprefixed, what the person needs now.
fn announce(options: &QuickStart, address: SocketAddr, home: &Home, link: &str, level: &Level) {
    println!("Listening on http://{}", reachable(address));
    println!("Sign-in: {link}");
    if let Some(key) = &home.first_key {
        println!("API key: {}", key.reveal());
    } else {
        println!(
            "The API key was printed at the first start. To make another: \
             api key create --name NAME --kind human --database-url sqlite://{}",
            options.data_dir.join("countersign.db").display()
        );
    }
    println!(
        "Desktop: {DESKTOP} ({}), working in {}",
        home.desktop,
        options.workdir.display()
    );
    if level.confines() {
        tracing::info!(%level, "tasks are confined");
    } else {
        eprintln!("{UNCONFINED}");
        tracing::warn!(%level, "tasks are not confined");
    }
}
