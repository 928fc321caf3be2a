//! Lock and load: the rows the commands of a batch need, in a handful of set queries whose number
//! does not depend on the size of the batch.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::str::FromStr;

use approval_core::{
    AccountId, ApprovalId, KeyId, OnDependencyFailure, PrincipalId, SessionId, Settings, Status,
    TaskId, Timestamp, UserId,
};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, QueryDsl,
    Queryable, RunQueryDsl, Selectable, SelectableHelper,
};

use super::world::{
    AccountEntry, AnswerKey, ApprovalEntry, DesktopEntry, KeyEntry, LinkEntry, Origin,
    PruningEntry, SessionEntry, StoredAnswer, TaskEntry, UploadHead, UserEntry, World,
};
use crate::command::{Command, DecisionTarget, Login, Request, Sweep};
use crate::connection::{Conn, on_db};
use crate::dialect;
use crate::fault::{Fault, stored, stored_option};
use crate::ranges::Ranges;
use crate::rows::{
    ApprovalRow, KeyRow, SessionRow, TaskRow, key_query, key_view, session_columns, session_view,
    small,
};
use crate::schema::{
    api_keys, approvals, desktops, idempotency, principals, prunings, sessions, sign_in_links,
    task_contents, task_dependencies, tasks, uploads, users,
};
use crate::views::{Answer, DesktopView};

/// What the commands of a batch ask for.
#[derive(Default)]
struct Wanted {
    accounts: BTreeSet<String>,
    keys: BTreeSet<String>,
    tasks: BTreeSet<String>,
    approvals: BTreeSet<String>,
    desktops: BTreeSet<String>,
    /// Desktops whose queue is asked for, with the number of claims.
    claims: BTreeMap<String, i64>,
    /// Desktops that may be removed, with all they hold.
    emptied: BTreeSet<String>,
    emails: BTreeSet<String>,
    users: BTreeSet<String>,
    sessions: BTreeSet<String>,
    /// People of whom every open session may end.
    signed_out: BTreeSet<String>,
    /// One-time links, by digest.
    links: BTreeSet<String>,
    answers: BTreeSet<String>,
    /// Attempts that may be completed.
    completions: BTreeSet<String>,
    /// Tasks that may be retried: their dependencies are looked at as those of a new task.
    retries: BTreeSet<String>,
    /// Tasks whose last attempt may be pruned.
    prunings: BTreeSet<String>,
    /// Whether a task may die and take dependents with it.
    cascades: bool,
}

impl Wanted {
    fn of(requests: &[&Request]) -> Self {
        let mut wanted = Self::default();
        for request in requests {
            wanted.accounts.insert(request.account.to_string());
            if let PrincipalId::Key(key) = request.principal.identity.id {
                wanted.keys.insert(key.to_string());
            }
            wanted
                .sessions
                .extend(request.session.map(|s| s.id.to_string()));
            if let PrincipalId::User(user) = request.principal.identity.id {
                wanted.add_of_person(&request.command, user);
            }
            if let Some(idempotency) = request.idempotency {
                wanted.answers.insert(idempotency.scope.to_string());
            }
            wanted.add(&request.command);
        }
        wanted
    }

    fn task(&mut self, id: TaskId) {
        self.tasks.insert(id.to_string());
    }

    fn add(&mut self, command: &Command) {
        match command {
            Command::CreateTask(new) => {
                self.desktops.insert(new.desktop.to_string());
                // the dependencies are looked at, and a dead one may cancel the new task
                self.tasks
                    .extend(new.depends_on.iter().take(64).map(TaskId::to_string));
            }
            Command::RunTask(id) => self.task(*id),
            Command::RetryTask { task: id, .. } => {
                self.task(*id);
                self.retries.insert(id.to_string());
            }
            Command::CancelTask(id) => {
                self.task(*id);
                self.cascades = true;
            }
            Command::Decide { target, .. } => {
                match target {
                    DecisionTarget::Task(id) => self.task(*id),
                    DecisionTarget::Approval(id) => {
                        self.approvals.insert(id.to_string());
                    }
                }
                self.cascades = true;
            }
            Command::ChangeSettings { .. }
            | Command::CreateDesktop { .. }
            | Command::EndSessions(_)
            | Command::SetPassword { .. } => {}
            Command::OpenSession { user, by, .. } => {
                self.users.insert(user.to_string());
                if let Login::Link(digest) = by {
                    self.links.insert(digest.to_string());
                }
            }
            Command::CreateSignInLink { user, .. } => {
                self.users.insert(user.to_string());
            }
            Command::TouchSessions(ids) => {
                self.sessions.extend(ids.iter().map(SessionId::to_string));
            }
            Command::DeleteDesktop(id) => {
                self.desktops.insert(id.to_string());
                self.emptied.insert(id.to_string());
                self.cascades = true;
            }
            Command::CreateKey { request, .. } => {
                self.desktops.extend(request.desktop.map(|d| d.to_string()));
            }
            Command::RevokeKey(id) => {
                self.keys.insert(id.to_string());
            }
            Command::CreateUser { email, .. } => {
                self.emails.insert(email.to_lowercase());
            }
            Command::Claim { desktop, .. } => {
                self.desktops.insert(desktop.to_string());
                *self.claims.entry(desktop.to_string()).or_default() += 1;
            }
            Command::SeeDesktop(id) => {
                self.desktops.insert(id.to_string());
            }
            Command::Heartbeat(lease)
            | Command::AppendLogs { lease, .. }
            | Command::AddFiles { lease, .. } => self.task(lease.task),
            Command::Complete { lease, .. } => {
                self.task(lease.task);
                self.completions.insert(lease.task.to_string());
                self.cascades = true;
            }
            Command::TouchKeys(ids) => self.keys.extend(ids.iter().map(KeyId::to_string)),
            Command::Prune { task, .. } => {
                self.task(*task);
                self.prunings.insert(task.to_string());
            }
            Command::Sweep(sweep) => self.add_sweep(*sweep),
        }
    }

    /// What a command needs to know of the person who gives it.
    fn add_of_person(&mut self, command: &Command, user: UserId) {
        match command {
            Command::EndSessions(_) => {
                self.signed_out.insert(user.to_string());
            }
            Command::SetPassword { .. } => {
                self.signed_out.insert(user.to_string());
                self.users.insert(user.to_string());
            }
            _ => {}
        }
    }

    fn add_sweep(&mut self, sweep: Sweep) {
        match sweep {
            Sweep::ExpireLease(id) | Sweep::TimeOut(id) => {
                self.task(id);
                self.cascades = true;
            }
            Sweep::RearmLease(id) => self.task(id),
            Sweep::StopDesktop(id) => {
                self.desktops.insert(id.to_string());
            }
            Sweep::ForgetAnswers | Sweep::ForgetSessions => {}
        }
    }
}

/// Loads what `requests` need, under the locks of their accounts.
pub(super) fn load(
    conn: &mut Conn,
    requests: &[&Request],
    clock: Timestamp,
) -> Result<World, Fault> {
    let wanted = Wanted::of(requests);
    let accounts = load_accounts(conn, &wanted)?;
    let now = dialect::database_clock(conn)?.map_or(clock, Timestamp::from_micros);
    let mut world = World::new(now);
    world.accounts = accounts;
    let mut loader = Loader {
        conn,
        accounts: wanted.accounts.iter().cloned().collect(),
        world: &mut world,
        edges_out: HashMap::new(),
    };
    loader.keys(&wanted)?;
    loader.emails(&wanted)?;
    loader.users(&wanted)?;
    loader.sessions(&wanted)?;
    loader.links(&wanted)?;
    let tasks = loader.tasks(&wanted)?;
    loader.neighbourhood(&tasks, wanted.cascades)?;
    loader.dependencies_as_given(&wanted.retries)?;
    loader.desktops(&wanted)?;
    loader.answers(&wanted)?;
    loader.contents(&tasks)?;
    loader.uploads(&wanted)?;
    loader.prunings(&wanted)?;
    Ok(world)
}

/// Looks at some tasks and all that is shown with them, without a lock, for reads.
pub(crate) fn look(
    conn: &mut Conn,
    account: AccountId,
    settings: Settings,
    tasks: &BTreeSet<String>,
) -> Result<World, Fault> {
    let mut world = World::new(Timestamp::from_micros(0));
    let head_hash = approval_core::GENESIS;
    let entry = AccountEntry {
        settings,
        head_seq: 0,
        head_hash,
        changed: false,
    };
    world.accounts.insert(account, entry);
    let mut loader = Loader {
        conn,
        accounts: vec![account.to_string()],
        world: &mut world,
        edges_out: HashMap::new(),
    };
    loader.tasks_by_id(tasks)?;
    loader.neighbourhood(tasks, false)?;
    loader.desktops(&Wanted::default())?;
    Ok(world)
}

fn load_accounts(
    conn: &mut Conn,
    wanted: &Wanted,
) -> Result<HashMap<AccountId, AccountEntry>, Fault> {
    let ids: Vec<String> = wanted.accounts.iter().cloned().collect();
    let rows = dialect::lock_accounts(conn, &ids)?;
    rows.into_iter()
        .map(
            |(id, task_approval_mode, require_evidence, head_seq, head_hash)| {
                let settings = Settings {
                    task_approval_mode,
                    require_evidence,
                };
                let head_hash = stored(&head_hash)?;
                Ok((
                    stored(&id)?,
                    AccountEntry {
                        settings,
                        head_seq,
                        head_hash,
                        changed: false,
                    },
                ))
            },
        )
        .collect()
}

struct Loader<'a> {
    conn: &'a mut Conn,
    accounts: Vec<String>,
    world: &'a mut World,
    /// Dependencies by task, as (given, lineage); an entry also says that they were asked for.
    edges_out: HashMap<String, Vec<(TaskId, TaskId)>>,
}

/// Tasks with the names of their creators.
macro_rules! task_query {
    () => {
        tasks::table
            .inner_join(
                principals::table.on(principals::account_id
                    .eq(tasks::account_id)
                    .and(principals::id.eq(tasks::created_by))),
            )
            .select((TaskRow::as_select(), principals::name))
    };
}

impl Loader<'_> {
    fn keys(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.keys.is_empty() && wanted.emptied.is_empty() {
            return Ok(());
        }
        let rows: Vec<KeyRow> = on_db!(self.conn, |c| key_query!()
            .filter(api_keys::account_id.eq_any(&self.accounts))
            .filter(
                api_keys::id
                    .eq_any(&wanted.keys)
                    .or(api_keys::desktop_id.eq_any(&wanted.emptied))
            )
            .load(c))?;
        for row in rows {
            let entry = key_entry(row)?;
            self.world.keys.insert(entry.view.id, entry);
        }
        Ok(())
    }

    fn emails(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if !wanted.emails.is_empty() {
            let taken: Vec<String> = on_db!(self.conn, |c| users::table
                .filter(users::email.eq_any(&wanted.emails))
                .select(users::email)
                .load(c))?;
            self.world.emails.extend(taken);
        }
        Ok(())
    }

    fn users(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.users.is_empty() {
            return Ok(());
        }
        let rows: Vec<(String, String, Option<String>)> = on_db!(self.conn, |c| users::table
            .filter(users::account_id.eq_any(&self.accounts))
            .filter(users::id.eq_any(&wanted.users))
            .select((users::id, users::account_id, users::password_hash))
            .load(c))?;
        for (id, account, password_hash) in rows {
            let entry = UserEntry {
                account: stored(&account)?,
                password_hash,
                origin: Origin::Stored,
            };
            self.world.users.insert(stored(&id)?, entry);
        }
        Ok(())
    }

    /// The sessions named, and the open ones of people who may be signed out.
    fn sessions(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.sessions.is_empty() && wanted.signed_out.is_empty() {
            return Ok(());
        }
        let rows: Vec<SessionRow> = on_db!(self.conn, |c| sessions::table
            .filter(sessions::account_id.eq_any(&self.accounts))
            .filter(
                sessions::id.eq_any(&wanted.sessions).or(sessions::user_id
                    .eq_any(&wanted.signed_out)
                    .and(sessions::ended_at.is_null()))
            )
            .select(session_columns!())
            .load(c))?;
        for row in rows {
            let entry = session_entry(row)?;
            self.world.sessions.insert(entry.view.id, entry);
        }
        Ok(())
    }

    fn links(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.links.is_empty() {
            return Ok(());
        }
        let rows: Vec<(String, String, String, i64, Option<i64>)> =
            on_db!(self.conn, |c| sign_in_links::table
                .filter(sign_in_links::account_id.eq_any(&self.accounts))
                .filter(sign_in_links::sha256.eq_any(&wanted.links))
                .select((
                    sign_in_links::sha256,
                    sign_in_links::account_id,
                    sign_in_links::user_id,
                    sign_in_links::expires_at,
                    sign_in_links::used_at,
                ))
                .load(c))?;
        for (sha256, account, user, expires_at, used_at) in rows {
            let entry = LinkEntry {
                account: stored(&account)?,
                user: stored(&user)?,
                expires_at: Timestamp::from_micros(expires_at),
                used_at: used_at.map(Timestamp::from_micros),
                origin: Origin::Stored,
            };
            self.world.links.insert(stored(&sha256)?, entry);
        }
        Ok(())
    }

    /// The tasks the commands name, by any way; returns their ids.
    fn tasks(&mut self, wanted: &Wanted) -> Result<BTreeSet<String>, Fault> {
        let mut ids = wanted.tasks.clone();
        if !wanted.approvals.is_empty() {
            let rows: Vec<(String, String)> = on_db!(self.conn, |c| approvals::table
                .filter(approvals::account_id.eq_any(&self.accounts))
                .filter(approvals::id.eq_any(&wanted.approvals))
                .select((approvals::id, approvals::task_id))
                .load(c))?;
            for (approval, task) in rows {
                self.world
                    .approval_tasks
                    .insert(stored::<ApprovalId>(&approval)?, stored(&task)?);
                ids.insert(task);
            }
        }
        for (desktop, claims) in &wanted.claims {
            ids.extend(self.queue(desktop, *claims)?);
        }
        if !wanted.emptied.is_empty() {
            let open = [Status::Pending.as_str(), Status::Running.as_str()];
            let rows: Vec<String> = on_db!(self.conn, |c| tasks::table
                .filter(tasks::account_id.eq_any(&self.accounts))
                .filter(tasks::desktop_id.eq_any(&wanted.emptied))
                .filter(tasks::status.eq_any(open))
                .select(tasks::id)
                .load(c))?;
            ids.extend(rows);
        }
        self.tasks_by_id(&ids)?;
        Ok(ids)
    }

    /// The first queued tasks of a desktop, first run first.
    fn queue(&mut self, desktop: &str, claims: i64) -> Result<Vec<String>, Fault> {
        let ids: Vec<String> = on_db!(self.conn, |c| tasks::table
            .filter(tasks::desktop_id.eq(desktop))
            .filter(tasks::account_id.eq_any(&self.accounts))
            .filter(tasks::status.eq("running"))
            .filter(tasks::lease_token.is_null())
            .order((tasks::queued_seq, tasks::id))
            .limit(claims)
            .select(tasks::id)
            .load(c))?;
        let queue = ids.iter().map(|id| stored(id)).collect::<Result<_, _>>()?;
        self.world.queues.insert(stored(desktop)?, queue);
        Ok(ids)
    }

    fn tasks_by_id(&mut self, ids: &BTreeSet<String>) -> Result<(), Fault> {
        let missing = self.not_loaded(ids);
        if missing.is_empty() {
            return Ok(());
        }
        let rows = on_db!(self.conn, |c| task_query!()
            .filter(tasks::account_id.eq_any(&self.accounts))
            .filter(tasks::id.eq_any(&missing))
            .load(c))?;
        self.keep_tasks(rows)
    }

    fn not_loaded(&self, ids: &BTreeSet<String>) -> Vec<String> {
        let loaded =
            |id: &String| TaskId::from_str(id).is_ok_and(|id| self.world.tasks.contains_key(&id));
        ids.iter().filter(|id| !loaded(id)).cloned().collect()
    }

    fn keep_tasks(&mut self, rows: Vec<(TaskRow, String)>) -> Result<(), Fault> {
        for (row, creator) in rows {
            let entry = TaskEntry {
                account: stored(&row.account_id)?,
                queued_seq: row.queued_seq,
                task: row.into_task(creator, Vec::new())?,
                parent_lineages: Vec::new(),
                origin: Origin::Stored,
            };
            if entry.task.retried_by.is_none() {
                self.world.newest.insert(entry.task.lineage, entry.task.id);
            }
            self.world.tasks.entry(entry.task.id).or_insert(entry);
        }
        Ok(())
    }

    /// Everything around the tasks of the commands that a rule or an answer looks at: their chains
    /// of retries, what they depend on, what depends on them and what that depends on.
    fn neighbourhood(&mut self, ids: &BTreeSet<String>, cascades: bool) -> Result<(), Fault> {
        self.chains(ids)?;
        self.dependencies_of(ids)?;
        let mut dependents = self.dependents_of(ids)?;
        self.dependencies_of(&dependents)?;
        while cascades && !dependents.is_empty() {
            let doomed = self.doomed(&dependents)?;
            dependents = self.dependents_of(&doomed)?;
            self.dependencies_of(&dependents)?;
        }
        self.newest_parents()?;
        self.join_dependencies();
        self.approvals(ids)
    }

    /// Those of `ids` that a dead dependency would cancel, so that the next level matters too.
    fn doomed(&self, ids: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        let mut doomed = BTreeSet::new();
        for id in ids {
            let entry = self.world.tasks.get(&stored::<TaskId>(id)?);
            let cancels = |entry: &TaskEntry| {
                entry.task.status == Status::Pending
                    && entry.task.on_dependency_failure == OnDependencyFailure::Cancel
            };
            if entry.is_some_and(cancels) {
                doomed.insert(id.clone());
            }
        }
        Ok(doomed)
    }

    /// All members of the chains of retries that `ids` belong to.
    fn chains(&mut self, ids: &BTreeSet<String>) -> Result<(), Fault> {
        let mut lineages = BTreeSet::new();
        for id in ids {
            let entry = self.world.tasks.get(&stored::<TaskId>(id)?);
            let in_chain =
                |e: &&TaskEntry| e.task.retry_of.is_some() || e.task.retried_by.is_some();
            lineages.extend(entry.filter(in_chain).map(|e| e.task.lineage.to_string()));
        }
        if lineages.is_empty() {
            return Ok(());
        }
        let rows: Vec<(TaskRow, String)> = on_db!(self.conn, |c| task_query!()
            .filter(tasks::account_id.eq_any(&self.accounts))
            .filter(tasks::lineage_id.eq_any(&lineages))
            .order(tasks::id)
            .load(c))?;
        for (row, _) in &rows {
            let chain = self
                .world
                .chains
                .entry(stored(&row.lineage_id)?)
                .or_default();
            chain.push(stored(&row.id)?);
        }
        self.keep_tasks(rows)
    }

    fn dependencies_of(&mut self, ids: &BTreeSet<String>) -> Result<(), Fault> {
        let missing: Vec<&String> = ids
            .iter()
            .filter(|id| !self.edges_out.contains_key(*id))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows: Vec<(String, String, String)> = on_db!(self.conn, |c| task_dependencies::table
            .filter(task_dependencies::account_id.eq_any(&self.accounts))
            .filter(task_dependencies::task_id.eq_any(&missing))
            .order((task_dependencies::task_id, task_dependencies::position))
            .select((
                task_dependencies::task_id,
                task_dependencies::depends_on,
                task_dependencies::parent_lineage,
            ))
            .load(c))?;
        for id in missing {
            self.edges_out.insert(id.clone(), Vec::new());
        }
        for (task, given, lineage) in rows {
            let edge = (stored(&given)?, stored(&lineage)?);
            self.edges_out.entry(task).or_default().push(edge);
        }
        Ok(())
    }

    /// The tasks that depend on the chains of `ids`, loaded; returns those met for the first time.
    fn dependents_of(&mut self, ids: &BTreeSet<String>) -> Result<BTreeSet<String>, Fault> {
        let mut lineages = BTreeSet::new();
        for id in ids {
            let lineage = self
                .world
                .tasks
                .get(&stored::<TaskId>(id)?)
                .map(|e| e.task.lineage);
            let unknown = lineage.filter(|l| !self.world.dependents.contains_key(l));
            lineages.extend(unknown);
        }
        if lineages.is_empty() {
            return Ok(BTreeSet::new());
        }
        let texts: Vec<String> = lineages.iter().map(TaskId::to_string).collect();
        let rows: Vec<(String, String)> = on_db!(self.conn, |c| task_dependencies::table
            .filter(task_dependencies::account_id.eq_any(&self.accounts))
            .filter(task_dependencies::parent_lineage.eq_any(&texts))
            .order((task_dependencies::task_id, task_dependencies::position))
            .select((
                task_dependencies::parent_lineage,
                task_dependencies::task_id
            ))
            .load(c))?;
        for lineage in lineages {
            self.world.dependents.insert(lineage, Vec::new());
        }
        let mut dependents = BTreeSet::new();
        for (lineage, task) in rows {
            let known = self.world.dependents.entry(stored(&lineage)?).or_default();
            let id = stored(&task)?;
            if !known.contains(&id) {
                known.push(id);
            }
            dependents.insert(task);
        }
        self.tasks_by_id(&dependents)?;
        Ok(dependents)
    }

    /// The newest retry of every dependency met.
    fn newest_parents(&mut self) -> Result<(), Fault> {
        let lineages: HashSet<TaskId> = self
            .edges_out
            .values()
            .flatten()
            .map(|(_, lineage)| *lineage)
            .collect();
        let missing: Vec<String> = lineages
            .iter()
            .filter(|lineage| !self.world.newest.contains_key(lineage))
            .map(TaskId::to_string)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let rows = on_db!(self.conn, |c| task_query!()
            .filter(tasks::account_id.eq_any(&self.accounts))
            .filter(tasks::lineage_id.eq_any(&missing))
            .filter(tasks::retried_by.is_null())
            .load(c))?;
        self.keep_tasks(rows)
    }

    fn join_dependencies(&mut self) {
        for (id, edges) in self.edges_out.drain() {
            let Some(entry) = id
                .parse()
                .ok()
                .and_then(|id: TaskId| self.world.tasks.get_mut(&id))
            else {
                continue;
            };
            let (given, lineages) = edges.into_iter().unzip();
            let mut state = entry.task.clone().into_state();
            state.depends_on = given;
            entry.task = approval_core::Task::restore(state);
            entry.parent_lineages = lineages;
        }
    }

    /// The dependencies of some tasks as they were given, beside the newest retries of them.
    fn dependencies_as_given(&mut self, ids: &BTreeSet<String>) -> Result<(), Fault> {
        let mut given = BTreeSet::new();
        for id in ids {
            let entry = self.world.tasks.get(&stored::<TaskId>(id)?);
            let depends_on = entry.map_or(&[][..], |e| &e.task.depends_on);
            given.extend(depends_on.iter().map(TaskId::to_string));
        }
        self.tasks_by_id(&given)
    }

    /// The approvals of the tasks and of their chains of retries.
    fn approvals(&mut self, ids: &BTreeSet<String>) -> Result<(), Fault> {
        let mut ids = ids.clone();
        ids.extend(self.world.chains.values().flatten().map(TaskId::to_string));
        if ids.is_empty() {
            return Ok(());
        }
        let rows: Vec<(ApprovalRow, Option<String>)> = on_db!(self.conn, |c| approvals::table
            .left_join(
                principals::table.on(principals::account_id
                    .eq(approvals::account_id)
                    .and(principals::id.nullable().eq(approvals::decided_by))),
            )
            .filter(approvals::account_id.eq_any(&self.accounts))
            .filter(approvals::task_id.eq_any(&ids))
            .order((approvals::task_id, approvals::attempt))
            .select((ApprovalRow::as_select(), principals::name.nullable()))
            .load(c))?;
        for (row, decider) in rows {
            let account = stored(&row.account_id)?;
            let approval = row.into_approval(decider)?;
            self.world.approval_tasks.insert(approval.id, approval.task);
            let entry = ApprovalEntry {
                account,
                approval,
                origin: Origin::Stored,
            };
            self.world.approvals.insert(entry.approval.task, entry);
        }
        Ok(())
    }

    /// The desktops named, and those of every task met: a retry or an approval names them too.
    fn desktops(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        let mut ids = wanted.desktops.clone();
        ids.extend(
            self.world
                .tasks
                .values()
                .map(|e| e.task.desktop.to_string()),
        );
        if ids.is_empty() {
            return Ok(());
        }
        #[expect(clippy::type_complexity, reason = "one row of one query")]
        let rows: Vec<(String, String, String, bool, Option<i64>, i64, Option<i64>)> =
            on_db!(self.conn, |c| desktops::table
                .filter(desktops::account_id.eq_any(&self.accounts))
                .filter(desktops::id.eq_any(&ids))
                .select((
                    desktops::id,
                    desktops::account_id,
                    desktops::name,
                    desktops::running,
                    desktops::last_seen_at,
                    desktops::created_at,
                    desktops::removed_at,
                ))
                .load(c))?;
        for (id, account, name, running, last_seen_at, created_at, removed_at) in rows {
            let view = DesktopView {
                id: stored(&id)?,
                name,
                running,
                last_seen_at: last_seen_at.map(Timestamp::from_micros),
                running_tasks: Vec::new(),
                created_at: Timestamp::from_micros(created_at),
            };
            let entry = DesktopEntry {
                account: stored(&account)?,
                view,
                removed_at: removed_at.map(Timestamp::from_micros),
                origin: Origin::Stored,
            };
            self.world.desktops.insert(entry.view.id, entry);
        }
        Ok(())
    }

    /// The answers given to earlier requests with the same keys.
    fn answers(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.answers.is_empty() {
            return Ok(());
        }
        let rows: Vec<(String, String, String, String, String)> =
            on_db!(self.conn, |c| idempotency::table
                .filter(idempotency::account_id.eq_any(&self.accounts))
                .filter(idempotency::scope.eq_any(&wanted.answers))
                .select((
                    idempotency::account_id,
                    idempotency::principal_id,
                    idempotency::scope,
                    idempotency::body_sha256,
                    idempotency::answer,
                ))
                .load(c))?;
        for (account, principal, scope, body, answer) in rows {
            let key: AnswerKey = (stored(&account)?, stored(&principal)?, stored(&scope)?);
            let answer: Answer = serde_json::from_str(&answer)
                .map_err(|error| Fault::Corrupt(format!("kept answer: {error}")))?;
            let stored_answer = StoredAnswer {
                body: stored(&body)?,
                answer,
            };
            self.world.answers.insert(key, stored_answer);
        }
        Ok(())
    }

    /// The contents that answers show.
    fn contents(&mut self, tasks: &BTreeSet<String>) -> Result<(), Fault> {
        let mut ids = tasks.clone();
        ids.extend(
            self.world
                .answers
                .values()
                .filter_map(|a| a.answer.task_shown()),
        );
        if ids.is_empty() {
            return Ok(());
        }
        let rows: Vec<(String, String)> = on_db!(self.conn, |c| task_contents::table
            .filter(task_contents::account_id.eq_any(&self.accounts))
            .filter(task_contents::task_id.eq_any(&ids))
            .select((task_contents::task_id, task_contents::content))
            .load(c))?;
        for (id, content) in rows {
            self.world.contents.insert(stored(&id)?, content);
        }
        Ok(())
    }

    /// What arrived so far of the attempts that may be completed.
    fn uploads(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.completions.is_empty() {
            return Ok(());
        }
        let rows: Vec<(String, i64, i64, String)> = on_db!(self.conn, |c| uploads::table
            .filter(uploads::account_id.eq_any(&self.accounts))
            .filter(uploads::task_id.eq_any(&wanted.completions))
            .select((
                uploads::task_id,
                uploads::attempt,
                uploads::version,
                uploads::log_received
            ))
            .load(c))?;
        for (task, attempt, version, received) in rows {
            let received: Ranges = stored(&received)?;
            let head = UploadHead {
                version,
                contiguous: received.contiguous(),
                received: received.len(),
            };
            self.world
                .uploads
                .insert((stored(&task)?, small(attempt)?), head);
        }
        Ok(())
    }
}

impl Loader<'_> {
    /// Prunings that stand, and the bytes of the attempts that may get one.
    fn prunings(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        if wanted.prunings.is_empty() {
            return Ok(());
        }
        let rows: Vec<PruningRow> = on_db!(self.conn, |c| prunings::table
            .filter(prunings::account_id.eq_any(&self.accounts))
            .filter(prunings::task_id.eq_any(&wanted.prunings))
            .select(PruningRow::as_select())
            .load(c))?;
        for row in rows {
            let (task, entry) = row.into_entry()?;
            self.world.prunings.insert(task, entry);
        }
        let rows: Vec<(String, i64, i64, i64, i64)> = on_db!(self.conn, |c| uploads::table
            .filter(uploads::account_id.eq_any(&self.accounts))
            .filter(uploads::task_id.eq_any(&wanted.prunings))
            .select((
                uploads::task_id,
                uploads::attempt,
                uploads::log_head_bytes,
                uploads::log_tail_bytes,
                uploads::file_bytes,
            ))
            .load(c))?;
        for (task, attempt, head, tail, files) in rows {
            let attempt = (stored(&task)?, small(attempt)?);
            self.world
                .upload_bytes
                .insert(attempt, (head + tail, files));
        }
        Ok(())
    }
}

/// A row of `prunings` as the writer needs it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = prunings)]
struct PruningRow {
    account_id: String,
    task_id: String,
    attempt: i64,
    evidence_sha256: String,
    older_than: i64,
    log_bytes: i64,
    file_bytes: i64,
    finished_at: Option<i64>,
}

impl PruningRow {
    fn into_entry(self) -> Result<(TaskId, PruningEntry), Fault> {
        let entry = PruningEntry {
            account: stored(&self.account_id)?,
            attempt: small(self.attempt)?,
            evidence_sha256: stored(&self.evidence_sha256)?,
            older_than: Timestamp::from_micros(self.older_than),
            log_bytes: self.log_bytes,
            file_bytes: self.file_bytes,
            is_finished: self.finished_at.is_some(),
            origin: Origin::Stored,
        };
        Ok((stored(&self.task_id)?, entry))
    }
}

fn session_entry(row: SessionRow) -> Result<SessionEntry, Fault> {
    let account = stored(&row.1)?;
    let user = stored(&row.2)?;
    let sha256 = stored(&row.3)?;
    let expires_at = Timestamp::from_micros(row.7);
    let ended_at = row.8.map(Timestamp::from_micros);
    let bound_to = stored_option(row.9.as_deref())?;
    Ok(SessionEntry {
        account,
        user,
        sha256,
        bound_to,
        expires_at,
        ended_at,
        view: session_view(row)?,
        origin: Origin::Stored,
    })
}

fn key_entry(row: KeyRow) -> Result<KeyEntry, Fault> {
    let account = stored(&row.1)?;
    let sha256 = stored(&row.6)?;
    let revoked_at = row.10.map(Timestamp::from_micros);
    Ok(KeyEntry {
        account,
        view: key_view(row)?,
        sha256,
        revoked_at,
        origin: Origin::Stored,
    })
}
