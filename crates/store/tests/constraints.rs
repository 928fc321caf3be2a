//! What the database itself refuses, whatever program writes: every test goes past the store, by raw
//! SQL on both engines, and shows beside each refusal that a legal neighbour of the statement works.

use std::sync::Arc;

use approval_core::{
    ChangeKind, DecisionRequest, Digest, KeyKind, Outcome, PathText, Principal, TaskId,
};
use store::{Command, FileUpload, UploadedPart};
use test_support::{Engine, Site, TestDb, Work, on_both_engines};

/// Why a statement is refused.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// By a trigger with this message.
    Says(&'static str),
    /// By one of two triggers that forbid it both: SQLite fires them in no given order.
    Either(&'static str, &'static str),
    ForeignKey,
    Check,
    /// By a key that exists already; SQLite has triggers in front of that, against INSERT OR REPLACE.
    Exists(&'static str),
}

impl Why {
    fn explains(self, error: &str, engine: Engine) -> bool {
        let expected = match (self, engine) {
            (Self::Either(one, other), _) => return error.contains(one) || error.contains(other),
            (Self::Says(text), _) | (Self::Exists(text), Engine::Sqlite) => text,
            (Self::ForeignKey, Engine::Sqlite) => "FOREIGN KEY constraint failed",
            (Self::ForeignKey, Engine::Postgres) => "violates foreign key constraint",
            (Self::Check, Engine::Sqlite) => "CHECK constraint failed",
            (Self::Check, Engine::Postgres) => "violates check constraint",
            (Self::Exists(_), Engine::Postgres) => "duplicate key value",
        };
        error.contains(expected)
    }
}

/// A database with a row of everything, in two accounts.
struct Filled {
    db: Arc<TestDb>,
    /// In review, with logs and files under its sealed attempt.
    reviewed: TaskId,
    /// Approved.
    approved: TaskId,
    /// Done without a gate: sealed, but without an approval.
    done: TaskId,
    failed: TaskId,
    cancelled: TaskId,
    pending: TaskId,
    /// Gated and claimed, with logs and files that are not sealed yet.
    gated: TaskId,
    /// The same without a gate.
    ungated: TaskId,
    account: String,
    desktop: String,
    person: String,
    human_key: String,
    service_key: String,
    agent_key: String,
    /// Of the other account.
    foreign: Foreign,
}

struct Foreign {
    account: String,
    person: String,
    desktop: String,
    task: String,
}

fn id_of(principal: &Principal) -> String {
    principal.identity.id.to_string()
}

fn fill(engine: Engine) -> Option<Filled> {
    let mut site = Site::open(engine)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    Some(runtime.block_on(async {
        let reviewed = start(&site, "reviewed", true).await;
        upload(&site, &reviewed).await;
        site.finish(&reviewed, Outcome::Succeeded).await;
        let approved = site.to_review("approved").await.state.id;
        site.review(approved, DecisionRequest::approve()).await;
        let done = site.succeed(site.wish("done")).await.state.id;
        let failing = start(&site, "failed", false).await;
        site.finish(&failing, Outcome::Failed).await;
        let mut new = site.wish("cancelled");
        new.depends_on = vec![done];
        let cancelled = site.create(new).await.state.id;
        site.done(&site.person, Command::CancelTask(cancelled))
            .await;
        let pending = site.create(site.wish("pending")).await.state.id;
        let gated = start(&site, "gated", true).await;
        upload(&site, &gated).await;
        let ungated = start(&site, "ungated", false).await;
        let (_, human_key) = site.add_key(KeyKind::Human, None, None).await;
        let (_, service_key) = site.add_key(KeyKind::Service, None, None).await;
        let mut answered = site.request(&site.person, Command::CreateTask(site.wish("answered")));
        answered.idempotency = Some(store::Idempotency::new("k", "POST", "/", b""));
        site.store.submit(answered).await.unwrap();
        let foreign = foreign(&mut site).await;
        site.store.close();
        let person = id_of(&site.person);
        let agent_key = id_of(&site.desktop.agent);
        let (account, desktop) = (site.account.to_string(), site.desktop.id.to_string());
        Filled {
            db: Arc::clone(&site.db),
            reviewed: reviewed.id(),
            approved,
            done,
            failed: failing.id(),
            cancelled,
            pending,
            gated: gated.id(),
            ungated: ungated.id(),
            account,
            desktop,
            person,
            human_key: id_of(&human_key),
            service_key: id_of(&service_key),
            agent_key,
            foreign,
        }
    }))
}

async fn start(site: &Site, content: &str, requires_approval: bool) -> Work {
    let mut new = site.wish(content);
    new.requires_approval = requires_approval;
    site.start(new).await
}

async fn upload(site: &Site, work: &Work) {
    site.print(work, 0, "line").await;
    let file = FileUpload {
        path: PathText::Text("file".to_owned()),
        old_path: None,
        change: ChangeKind::Added,
        mode: None,
        old_mode: None,
        diff: None,
        content: Some(UploadedPart::content(b"content".to_vec())),
        truncated: false,
    };
    site.change_files(work, vec![file]).await;
}

/// A desktop and a task in another account.
async fn foreign(site: &mut Site) -> Foreign {
    let (account, person) = site.add_account("eve@example.org");
    let own = std::mem::replace(&mut site.account, account);
    let owner = std::mem::replace(&mut site.person, person.clone());
    let desktop = site.add_desktop("theirs").await.id;
    let mut new = site.wish("theirs");
    new.desktop = desktop;
    let task = site.create(new).await.state.id;
    site.account = own;
    site.person = owner;
    Foreign {
        account: account.to_string(),
        person: id_of(&person),
        desktop: desktop.to_string(),
        task: task.to_string(),
    }
}

impl Filled {
    fn engine(&self) -> Engine {
        self.db.engine()
    }

    /// Tries a statement after `given`, in a transaction that is taken back.
    fn attempt(&self, given: &str, sql: &str) -> Result<u64, String> {
        self.db.execute("BEGIN").unwrap();
        if !given.is_empty() {
            self.db
                .execute(given)
                .unwrap_or_else(|error| panic!("{given}: {error}"));
        }
        let result = self.db.execute(sql);
        self.db.execute("ROLLBACK").unwrap();
        result
    }

    fn refuses(&self, why: Why, sql: &str) {
        self.refuses_after("", why, sql);
    }

    fn refuses_after(&self, given: &str, why: Why, sql: &str) {
        match self.attempt(given, sql) {
            Err(error) if why.explains(&error, self.engine()) => {}
            other => panic!("{:?}: {sql}\n{other:?} instead of {why:?}", self.engine()),
        }
    }

    /// A legal neighbour: exactly one row.
    fn takes(&self, sql: &str) {
        self.takes_after("", sql);
    }

    fn takes_after(&self, given: &str, sql: &str) {
        let taken = self.attempt(given, sql);
        assert_eq!(taken, Ok(1), "{:?}: {sql}", self.engine());
    }

    /// A statement that is legal because it matches nothing.
    fn passes(&self, sql: &str) {
        assert_eq!(self.attempt("", sql), Ok(0), "{:?}: {sql}", self.engine());
    }

    fn value(&self, sql: &str) -> String {
        self.db.query_scalar(sql).unwrap().expect(sql)
    }

    /// `INSERT INTO table SELECT …`: a copy of a row with some columns changed to SQL expressions.
    /// Of two changes of one column the first counts.
    fn copy(&self, table: &str, filter: &str, changes: &[(&str, &str)]) -> String {
        let sql = match self.engine() {
            Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
            Engine::Postgres => format!(
                "SELECT column_name FROM information_schema.columns
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            ),
        };
        let columns: Vec<String> = self
            .db
            .query(&sql)
            .unwrap()
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        for (name, _) in changes {
            assert!(columns.iter().any(|c| c == name), "{table} has no {name}");
        }
        let values: Vec<&str> = columns
            .iter()
            .map(|c| {
                changes
                    .iter()
                    .find(|(name, _)| name == c)
                    .map_or(&**c, |(_, value)| value)
            })
            .collect();
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE {filter}",
            columns.join(", "),
            values.join(", ")
        )
    }
}

fn filled(engine: Engine, check: fn(&Filled)) {
    if let Some(filled) = fill(engine) {
        check(&filled);
    }
}

on_both_engines! { filled:
    only_a_person_of_the_account_decides,
    a_decision_is_complete,
    an_attempt_has_one_approval_and_it_never_changes,
    an_approval_is_about_sealed_evidence,
    a_gated_task_is_done_only_by_an_approval,
    a_gate_never_opens,
    a_task_in_review_ends_only_by_its_decision,
    a_status_changes_only_as_the_rule_says,
    what_happened_is_never_rewritten,
    nothing_is_deleted,
    nothing_changes_under_a_sealed_attempt,
    only_finished_work_is_pruned,
    what_is_pruned_loses_its_bytes_and_nothing_else,
    no_row_points_into_another_account,
    every_foreign_key_carries_the_account,
    a_key_never_becomes_more_than_it_was,
    a_session_is_of_one_person_and_never_comes_back,
    what_a_session_is_bound_to_never_changes,
    a_link_is_used_once,
    sessions_and_links_are_of_people_of_their_account,
}

fn deciding(status: &str, by: &str, kind: &str) -> String {
    format!(
        "UPDATE approvals SET status = '{status}', decided_at = 2, decided_by = {by}, \
         decided_by_kind = {kind} WHERE status = 'pending'"
    )
}

fn quoted(text: &str) -> String {
    format!("'{text}'")
}

fn only_a_person_of_the_account_decides(db: &Filled) {
    let columns = |by: &str, kind: &str| {
        let task = quoted(&db.done.to_string());
        let digest = format!("(SELECT sha256 FROM evidence WHERE task_id = {task})");
        let changes = [
            ("id", "'appr_new'"),
            ("task_id", &task),
            ("evidence_sha256", &digest),
            ("decided_by", by),
            ("decided_by_kind", kind),
        ];
        let approved = format!("task_id = '{}'", db.approved);
        db.copy("approvals", &approved, &changes)
    };
    for (by, kind, why) in [
        (&db.service_key, "service", Why::Check),
        (&db.agent_key, "agent", Why::Check),
        (&"system".to_owned(), "system", Why::Check),
        (&db.service_key, "human", Why::ForeignKey),
        (&db.agent_key, "human", Why::ForeignKey),
        (&"system".to_owned(), "human", Why::ForeignKey),
        (&"user_nobody".to_owned(), "human", Why::ForeignKey),
        (&db.foreign.person, "human", Why::ForeignKey),
    ] {
        let (by, kind) = (quoted(by), quoted(kind));
        db.refuses(why, &deciding("approved", &by, &kind));
        db.refuses(why, &deciding("rejected", &by, &kind));
        db.refuses(why, &columns(&by, &kind));
    }
    for by in [&db.person, &db.human_key] {
        db.takes(&deciding("approved", &quoted(by), "'human'"));
        db.takes(&columns(&quoted(by), "'human'"));
    }
}

fn a_decision_is_complete(db: &Filled) {
    let person = quoted(&db.person);
    for (by, kind) in [("NULL", "NULL"), (&*person, "NULL"), ("NULL", "'human'")] {
        db.refuses(Why::Check, &deciding("approved", by, kind));
    }
    db.refuses(Why::Check, &deciding("pending", &person, "'human'"));
    db.refuses(Why::Check, &deciding("maybe", &person, "'human'"));
    let pending = "WHERE status = 'pending'";
    for set in ["status = 'approved'", "feedback = 'words'"] {
        db.refuses(Why::Check, &format!("UPDATE approvals SET {set} {pending}"));
    }
    for status in ["approved", "rejected", "cancelled"] {
        db.takes(&deciding(status, &person, "'human'"));
    }
}

fn an_attempt_has_one_approval_and_it_never_changes(db: &Filled) {
    let frozen = "an approval is never deleted or replaced";
    let approved = format!("task_id = '{}'", db.approved);
    let second = |attempt: &str| {
        let changes = [("id", "'appr_new'"), ("attempt", attempt)];
        db.copy("approvals", &approved, &changes)
    };
    db.refuses(Why::Exists(frozen), &second("attempt"));
    let sealed_again = db.copy("evidence", &approved, &[("attempt", "2")]);
    db.takes_after(&sealed_again, &second("2"));

    for set in [
        "status = 'rejected'",
        "status = 'pending', decided_at = NULL, decided_by = NULL, decided_by_kind = NULL",
        "feedback = 'other words'",
        "decided_at = 1",
        &format!("decided_by = '{}'", db.human_key),
    ] {
        let change = |filter: &str| format!("UPDATE approvals SET {set} WHERE {filter}");
        db.refuses(
            Why::Says("a decided approval never changes"),
            &change(&approved),
        );
        db.passes(&change("task_id = 'task_none'"));
    }
    let reviewed = format!("task_id = '{}'", db.reviewed);
    for set in [
        "id = 'appr_new'".to_owned(),
        format!("evidence_sha256 = '{}'", Digest::of(b"other")),
        "attempt = 2".to_owned(),
        "reason = 'global'".to_owned(),
        "created_at = 1".to_owned(),
        format!("task_id = '{}'", db.done),
    ] {
        let sql = format!("UPDATE approvals SET {set} WHERE {reviewed}");
        db.refuses(Why::Says("what an approval is about never changes"), &sql);
    }
    db.takes(&deciding("rejected", &quoted(&db.person), "'human'"));
}

fn an_approval_is_about_sealed_evidence(db: &Filled) {
    let opening = |task: &TaskId, digest: &str| {
        let task = quoted(&task.to_string());
        let changes = [
            ("id", "'appr_new'"),
            ("task_id", &*task),
            ("evidence_sha256", digest),
        ];
        db.copy("approvals", "status = 'pending'", &changes)
    };
    let sealed = format!(
        "(SELECT sha256 FROM evidence WHERE task_id = '{}')",
        db.done
    );
    db.refuses(Why::ForeignKey, &opening(&db.gated, &sealed));
    db.refuses(Why::ForeignKey, &opening(&db.done, "evidence_sha256"));
    let zeros = quoted(&"0".repeat(64));
    db.refuses(Why::ForeignKey, &opening(&db.done, &zeros));
    db.takes(&opening(&db.done, &sealed));
}

fn finishing(task: TaskId, status: &str) -> String {
    format!("UPDATE tasks SET status = '{status}' WHERE id = '{task}'")
}

fn a_gated_task_is_done_only_by_an_approval(db: &Filled) {
    let undecided = Why::Says("a gated task becomes done only by an approval of its attempt");
    db.refuses(undecided, &finishing(db.gated, "done"));
    db.refuses(undecided, &finishing(db.reviewed, "done"));
    db.takes(&finishing(db.ungated, "done"));
    // closing the gate and stepping through it in one statement is no way either
    let at_once =
        |task| format!("UPDATE tasks SET gated = TRUE, status = 'done' WHERE id = '{task}'");
    db.refuses(undecided, &at_once(db.ungated));
    let person = quoted(&db.person);
    for status in ["rejected", "cancelled"] {
        let decided = deciding(status, &person, "'human'");
        db.refuses_after(&decided, undecided, &finishing(db.reviewed, "done"));
    }
    let approved = deciding("approved", &person, "'human'");
    db.takes_after(&approved, &finishing(db.reviewed, "done"));
    let other_attempt = format!(
        "UPDATE tasks SET status = 'done', attempt = 2 WHERE id = '{}'",
        db.reviewed
    );
    db.refuses_after(&approved, undecided, &other_attempt);

    let created = |source: TaskId, changes: &[(&str, &str)]| {
        let new = [
            ("id", "'task_new'"),
            ("lineage_id", "'task_new'"),
            ("attempt", "0"),
        ];
        let all: Vec<_> = changes.iter().copied().chain(new).collect();
        db.copy("tasks", &format!("id = '{source}'"), &all)
    };
    let pending = ("status", "'pending'");
    for status in ["'running'", "'review'", "'done'", "'failed'", "'cancelled'"] {
        let insert = created(db.gated, &[("status", status)]);
        db.refuses(Why::Says("a task is created pending"), &insert);
    }
    db.refuses(
        Why::Says("a task is created pending"),
        &created(db.gated, &[pending, ("attempt", "1")]),
    );
    db.takes(&created(db.gated, &[pending]));

    let upsert = |id: &str| {
        let insert = created(db.gated, &[pending, ("id", id), ("lineage_id", id)]);
        format!("{insert} ON CONFLICT (id) DO UPDATE SET status = 'done'")
    };
    let why = match db.engine() {
        Engine::Sqlite => Why::Says("a task is never deleted or replaced"),
        Engine::Postgres => undecided,
    };
    db.refuses(why, &upsert(&quoted(&db.gated.to_string())));
    db.takes(&upsert("'task_new'"));
}

fn a_gate_never_opens(db: &Filled) {
    let set = |task: TaskId, what: &str| format!("UPDATE tasks SET {what} WHERE id = '{task}'");
    let never = Why::Says("a gate never opens");
    db.refuses(
        never,
        &set(db.gated, "gated = FALSE, requires_approval = FALSE"),
    );
    db.refuses(never, &set(db.gated, "requires_approval = FALSE"));
    db.refuses(
        never,
        &set(
            db.gated,
            "gated = FALSE, requires_approval = FALSE, status = 'done'",
        ),
    );
    db.refuses(
        never,
        &set(db.ungated, "gated = TRUE, requires_approval = TRUE"),
    );
    db.refuses_after(
        &set(db.ungated, "gated = TRUE"),
        never,
        &set(db.ungated, "gated = FALSE"),
    );
    db.takes(&set(db.ungated, "gated = TRUE"));
    db.takes(&set(db.gated, "gated = TRUE, requires_approval = TRUE"));
}

fn a_task_in_review_ends_only_by_its_decision(db: &Filled) {
    let person = quoted(&db.person);
    let rejected = deciding("rejected", &person, "'human'");
    let cancelled = deciding("cancelled", &person, "'human'");
    let (fails, is_cancelled) = (
        finishing(db.reviewed, "failed"),
        finishing(db.reviewed, "cancelled"),
    );
    let failing = Why::Says("a task in review fails only by a rejection of its attempt");
    let cancelling = Why::Says("a task in review is cancelled only by a person");
    db.refuses(failing, &fails);
    db.refuses(cancelling, &is_cancelled);
    db.refuses_after(&cancelled, failing, &fails);
    db.refuses_after(&rejected, cancelling, &is_cancelled);
    db.takes_after(&rejected, &fails);
    db.takes_after(&cancelled, &is_cancelled);
    // nor does a way round lead out
    let back = finishing(db.reviewed, "running");
    db.refuses(Why::Says("only a pending task is queued"), &back);
}

fn a_status_changes_only_as_the_rule_says(db: &Filled) {
    for (task, status) in [
        (db.approved, "done"),
        (db.done, "done"),
        (db.failed, "failed"),
        (db.cancelled, "cancelled"),
    ] {
        for (next, other) in [
            ("pending", "a task never becomes pending again"),
            ("running", "only a pending task is queued"),
            ("review", "only a running task enters review"),
            ("done", "only a running or reviewed task becomes done"),
            ("failed", "only a running or reviewed task fails"),
            ("cancelled", "a final status never changes"),
        ] {
            if next != status {
                let why = Why::Either("a final status never changes", other);
                db.refuses(why, &finishing(task, next));
            }
        }
        db.takes(&finishing(task, status));
    }
    for (task, next, why) in [
        (
            db.pending,
            "done",
            Why::Says("only a running or reviewed task becomes done"),
        ),
        (
            db.pending,
            "failed",
            Why::Says("only a running or reviewed task fails"),
        ),
        (
            db.gated,
            "pending",
            Why::Says("a task never becomes pending again"),
        ),
        (
            db.reviewed,
            "pending",
            Why::Says("a task never becomes pending again"),
        ),
        (db.ungated, "review", Why::Check),
        (db.ungated, "approved", Why::Check),
    ] {
        db.refuses(why, &finishing(task, next));
    }
    let gate = format!("UPDATE tasks SET gated = TRUE WHERE id = '{}'", db.pending);
    db.refuses_after(
        &gate,
        Why::Says("only a running task enters review"),
        &finishing(db.pending, "review"),
    );
    for (task, next) in [
        (db.pending, "running"),
        (db.pending, "cancelled"),
        (db.gated, "review"),
        (db.gated, "failed"),
        (db.gated, "cancelled"),
    ] {
        db.takes(&finishing(task, next));
    }
    for set in [
        "id = 'task_new'".to_owned(),
        "type = 'prompt'".to_owned(),
        "lineage_id = id".to_owned() + " || 'x'",
        "created_at = 1".to_owned(),
        format!("created_by = '{}'", db.human_key),
        format!("desktop_id = '{}'", db.foreign.desktop),
    ] {
        let sql = format!("UPDATE tasks SET {set} WHERE id = '{}'", db.ungated);
        db.refuses(Why::Says("what a task is never changes"), &sql);
    }
}

/// A row that never changes: the table, which row, a harmless-looking change, the message, and what
/// makes a copy of it legal.
type Frozen<'a> = (
    &'a str,
    String,
    &'a str,
    &'static str,
    &'a [(&'a str, &'a str)],
);

fn what_happened_is_never_rewritten(db: &Filled) {
    let next = format!(
        "(SELECT max(seq) + 1 FROM activity WHERE account_id = '{}')",
        db.account
    );
    let next: &[(&str, &str)] = &[("seq", &next)];
    let pending = quoted(&db.pending.to_string());
    let elsewhere: &[(&str, &str)] = &[("task_id", &pending)];
    let of = |task: TaskId| format!("task_id = '{task}'");
    let log = format!("account_id = '{}' AND seq = 2", db.account);
    let me = format!("id = '{}'", db.person);
    let new_id: &[(&str, &str)] = &[("id", "'user_new'")];
    let without_content: &[(&str, &str)] = &[("task_id", "'task_new'")];
    let frozen: [Frozen<'_>; 5] = [
        (
            "activity",
            log,
            "payload = '{}'",
            "the log is append-only",
            next,
        ),
        (
            "evidence",
            of(db.done),
            "manifest = '{}'",
            "sealed evidence never changes",
            elsewhere,
        ),
        (
            "task_contents",
            of(db.done),
            "content = ''",
            "the content of a task never changes",
            without_content,
        ),
        (
            "task_dependencies",
            of(db.cancelled),
            "position = 7",
            "the dependencies of a task never change",
            elsewhere,
        ),
        (
            "principals",
            me,
            "name = 'somebody else'",
            "a principal never changes",
            new_id,
        ),
    ];
    let new_task = db.copy(
        "tasks",
        &format!("id = '{}'", db.pending),
        &[("id", "'task_new'"), ("lineage_id", "'task_new'")],
    );
    for (table, row, set, message, legal) in frozen {
        let why = Why::Says(message);
        db.refuses(why, &format!("UPDATE {table} SET {set} WHERE {row}"));
        db.refuses(why, &format!("DELETE FROM {table} WHERE {row}"));
        db.passes(&format!("UPDATE {table} SET {set} WHERE 1 = 0"));
        db.passes(&format!("DELETE FROM {table} WHERE 1 = 0"));
        let again = db.copy(table, &row, &[]);
        db.refuses(Why::Exists(message), &again);
        let new = db.copy(table, &row, legal);
        db.takes_after(&new_task, &new);
        replacing(db, why, &again, &new, &new_task);
        truncating(db, table, why);
    }
    let back = format!(
        "UPDATE accounts SET head_seq = 1 WHERE id = '{}'",
        db.account
    );
    db.refuses(Why::Says("the head of the log never goes back"), &back);
    db.takes(&back.replace("= 1", "= head_seq + 1"));
}

/// INSERT OR REPLACE exists on SQLite only. It deletes without a DELETE trigger unless the connection
/// asked for recursive triggers, so both are tried.
fn replacing(db: &Filled, why: Why, again: &str, new: &str, given: &str) {
    if db.engine() != Engine::Sqlite {
        return;
    }
    let or_replace = |sql: &str| sql.replacen("INSERT", "INSERT OR REPLACE", 1);
    for recursive in ["OFF", "ON"] {
        let pragma = format!("PRAGMA recursive_triggers = {recursive}");
        db.db.execute(&pragma).unwrap();
        db.refuses(why, &or_replace(again));
        db.takes_after(given, &or_replace(new));
    }
}

/// TRUNCATE exists on PostgreSQL only.
fn truncating(db: &Filled, table: &str, why: Why) {
    if db.engine() == Engine::Postgres {
        db.refuses(why, &format!("TRUNCATE {table} CASCADE"));
        db.passes("TRUNCATE idempotency CASCADE");
    }
}

fn nothing_is_deleted(db: &Filled) {
    for (table, message) in [
        ("tasks", "a task is never deleted or replaced"),
        ("approvals", "an approval is never deleted or replaced"),
        ("api_keys", "an API key is never deleted or replaced"),
    ] {
        let why = Why::Says(message);
        db.refuses(why, &format!("DELETE FROM {table}"));
        db.passes(&format!("DELETE FROM {table} WHERE id = 'none'"));
        truncating(db, table, why);
        let id = db.value(&format!("SELECT min(id) FROM {table}"));
        // a task must look new to come as far as the key
        let changes: &[(&str, &str)] = match table {
            "tasks" => &[("status", "'pending'"), ("attempt", "0")],
            _ => &[],
        };
        let again = db.copy(table, &format!("id = '{id}'"), changes);
        db.refuses(Why::Exists(message), &again);
        if db.engine() == Engine::Sqlite {
            db.refuses(why, &again.replacen("INSERT", "INSERT OR REPLACE", 1));
        }
    }
    let why = Why::Says("an account is never deleted");
    db.refuses(why, "DELETE FROM accounts");
    db.passes("DELETE FROM accounts WHERE id = 'none'");
    // the other keys of a row are no way to replace it either
    if db.engine() == Engine::Sqlite {
        let approval = db.copy("approvals", "status = 'approved'", &[("id", "'appr_new'")]);
        let key = db.copy("api_keys", "kind = 'human'", &[("id", "'key_new'")]);
        for (sql, message) in [
            (approval, "an approval is never deleted or replaced"),
            (key, "an API key is never deleted or replaced"),
        ] {
            let sql = sql.replacen("INSERT", "INSERT OR REPLACE", 1);
            db.refuses(Why::Says(message), &sql);
        }
    }
}

fn nothing_changes_under_a_sealed_attempt(db: &Filled) {
    let sealed = Why::Says("this attempt is sealed");
    let [closed, open] = [db.reviewed, db.gated].map(|task| format!("task_id = '{task}'"));
    for (table, set, new) in [
        ("log_entries", "bytes = stream", ("seq", "99")),
        ("files", "truncated = TRUE", ("n", "99")),
        ("file_bytes", "part = 'diff'", ("n", "99")),
        ("uploads", "log_dropped_bytes = 1", ("attempt", "99")),
    ] {
        let set = match (table, db.engine()) {
            ("log_entries", Engine::Postgres) => "bytes = 'x'::bytea",
            _ => set,
        };
        let update = |row: &str| format!("UPDATE {table} SET {set} WHERE {row}");
        db.refuses(sealed, &update(&closed));
        db.takes(&update(&open));
        let delete = |row: &str| format!("DELETE FROM {table} WHERE {row}");
        db.refuses(sealed, &delete(&closed));
        db.takes(&delete(&open));
        // for uploads a new row is one of another attempt, so its sealed one is taken away first
        let add = |row: &str| {
            let other_path = ("path_sha256", "'x'");
            let mut changes = vec![new];
            changes.extend((table == "files").then_some(other_path));
            db.copy(table, row, &changes)
        };
        if table == "uploads" {
            let task = quoted(&db.done.to_string());
            let smuggled = db.copy(table, &open, &[("task_id", &task)]);
            db.refuses(sealed, &smuggled);
        } else {
            db.refuses(sealed, &add(&closed));
        }
        db.takes(&add(&open));
        let moved = format!("UPDATE {table} SET task_id = '{}' WHERE {open}", db.done);
        let why = match db.engine() {
            // whichever of its two triggers comes first
            Engine::Sqlite => Why::Says("attempt"),
            Engine::Postgres => sealed,
        };
        db.refuses(why, &moved);
        let elsewhere = format!("UPDATE {table} SET task_id = '{}' WHERE {open}", db.ungated);
        db.refuses(
            Why::Says("an upload never moves to another attempt"),
            &elsewhere,
        );
        if db.engine() == Engine::Sqlite {
            let again = |row: &str| {
                db.copy(table, row, &[])
                    .replacen("INSERT", "INSERT OR REPLACE", 1)
            };
            db.refuses(sealed, &again(&closed));
            db.takes(&again(&open));
        }
        truncating(db, table, Why::Says("uploads of sealed attempts are kept"));
    }
}

/// A pruning of the sealed attempt of a task, as of now, with some columns changed to SQL expressions.
fn pruning(task: &str, changes: &[(&str, &str)]) -> String {
    let value = |column: &str, usual: &str| {
        let change = changes.iter().find(|(name, _)| *name == column);
        change.map_or_else(|| usual.to_owned(), |(_, value)| (*value).to_owned())
    };
    format!(
        "INSERT INTO prunings (account_id, task_id, attempt, evidence_sha256, older_than, log_bytes, file_bytes, \
         pruned_at, finished_at) SELECT {}, e.task_id, {}, {}, {}, 0, 0, {}, {} FROM evidence e WHERE e.task_id = '{task}'",
        value("account_id", "e.account_id"),
        value("attempt", "e.attempt"),
        value("evidence_sha256", "e.sha256"),
        value("older_than", "4000000000000000"),
        value("pruned_at", "4000000000000000"),
        value("finished_at", "NULL"),
    )
}

fn only_finished_work_is_pruned(db: &Filled) {
    let unfinished = Why::Says("only work that was finished before is pruned");
    let approved = db.approved.to_string();
    for task in [db.approved, db.done, db.failed] {
        db.takes(&pruning(&task.to_string(), &[]));
    }
    db.refuses(unfinished, &pruning(&db.reviewed.to_string(), &[]));
    // not sealed: there is no evidence to name
    for task in [db.cancelled, db.pending, db.gated, db.ungated] {
        let smuggled = pruning(&approved, &[]).replace("e.task_id,", &format!("'{task}',"));
        db.refuses(unfinished, &smuggled);
    }
    for (column, value, why) in [
        ("attempt", "2", unfinished),
        ("finished_at", "4000000000000000", unfinished),
        ("older_than", "e.sealed_at", unfinished),
        ("evidence_sha256", "'x'", Why::ForeignKey),
        ("pruned_at", "3999999999999999", Why::Check),
        ("account_id", &quoted(&db.foreign.account), Why::ForeignKey),
    ] {
        db.refuses(why, &pruning(&approved, &[(column, value)]));
    }
    // the decision counts beside the end, and the bound itself is too recent
    let decided = "(SELECT decided_at FROM approvals a WHERE a.task_id = e.task_id)";
    db.refuses(unfinished, &pruning(&approved, &[("older_than", decided)]));
    let later = format!("{decided} + 1");
    db.takes(&pruning(&approved, &[("older_than", &later)]));

    let frozen = Why::Says("a pruning is never changed or deleted");
    let stands = pruning(&approved, &[]);
    for set in [
        "finished_at = 1, log_bytes = 1",
        "finished_at = 1, pruned_at = pruned_at + 1",
        "finished_at = 1, older_than = 1",
        "finished_at = 1, attempt = 2",
        "finished_at = NULL",
    ] {
        db.refuses_after(&stands, frozen, &format!("UPDATE prunings SET {set}"));
    }
    let finish = "UPDATE prunings SET finished_at = 1";
    db.takes_after(&stands, finish);
    let finished = format!("{stands}; {finish}");
    db.refuses_after(&finished, frozen, "UPDATE prunings SET finished_at = 2");
    db.refuses_after(&finished, frozen, "DELETE FROM prunings");
    let exists = Why::Exists("a pruning is never changed or deleted");
    db.refuses_after(&stands, exists, &stands);
    if db.engine() == Engine::Sqlite {
        let replacing = stands.replacen("INSERT", "INSERT OR REPLACE", 1);
        db.refuses_after(&stands, frozen, &replacing);
    }
    truncating(db, "prunings", frozen);
}

fn what_is_pruned_loses_its_bytes_and_nothing_else(db: &Filled) {
    let sealed = Why::Says("this attempt is sealed");
    let task = format!("task_id = '{}'", db.reviewed);
    let person = quoted(&db.person);
    // the one with bytes is decided, then pruned
    let decide = format!("{} AND {task}", deciding("rejected", &person, "'human'"));
    let end = format!(
        "UPDATE tasks SET status = 'failed' WHERE id = '{}'",
        db.reviewed
    );
    let ended = format!("{decide}; {end}");
    let pruned = format!("{ended}; {}", pruning(&db.reviewed.to_string(), &[]));
    let (empty, other) = match db.engine() {
        Engine::Sqlite => ("x''", "x'00'"),
        Engine::Postgres => ("''::bytea", "'x'::bytea"),
    };
    let bytes = |value: &str, more: &str| {
        format!("UPDATE log_entries SET bytes = {value}{more} WHERE {task}")
    };
    let drop_parts = format!("DELETE FROM file_bytes WHERE {task}");
    for sql in [bytes(empty, ""), drop_parts.clone()] {
        db.refuses_after(&ended, sealed, &sql);
        db.takes_after(&pruned, &sql);
    }
    db.refuses_after(&pruned, sealed, &bytes(other, ""));
    for more in [
        "seq = 9",
        "size = 0",
        "at = 1",
        "stream = 'agent'",
        "in_tail = NOT in_tail",
        "sha256 = 'x'",
        "attempt = 2",
        &format!("task_id = '{}'", db.gated),
        &format!("account_id = '{}'", db.foreign.account),
    ] {
        let sql = bytes(empty, &format!(", {more}"));
        let why = match db.engine() {
            // whichever of its two triggers comes first
            Engine::Sqlite => Why::Says("attempt"),
            Engine::Postgres => sealed,
        };
        db.refuses_after(&pruned, why, &sql);
    }
    if db.engine() == Engine::Sqlite {
        // text that is as empty is not the bytes that are allowed
        db.refuses_after(&pruned, sealed, &bytes("''", ""));
    }
    for sql in [
        format!("DELETE FROM log_entries WHERE {task}"),
        db.copy("log_entries", &task, &[("seq", "9")]),
        format!("UPDATE file_bytes SET part = 'diff' WHERE {task}"),
        db.copy("file_bytes", &task, &[("n", "9")]),
        format!("DELETE FROM files WHERE {task}"),
        format!("UPDATE files SET truncated = TRUE WHERE {task}"),
        format!("UPDATE uploads SET log_dropped_bytes = 1 WHERE {task}"),
        format!("DELETE FROM uploads WHERE {task}"),
    ] {
        db.refuses_after(&pruned, sealed, &sql);
    }
    let evidence = Why::Says("sealed evidence never changes");
    for set in ["manifest = '{}'", "sha256 = 'x'", "output = NULL"] {
        let sql = format!("UPDATE evidence SET {set} WHERE {task}");
        db.refuses_after(&pruned, evidence, &sql);
    }
}

fn no_row_points_into_another_account(db: &Filled) {
    let theirs = &db.foreign;
    let task = |column: &str, value: &str| {
        let changes = [
            (column, value),
            ("id", "'task_new'"),
            ("lineage_id", "'task_new'"),
        ];
        db.copy("tasks", &format!("id = '{}'", db.pending), &changes)
    };
    let (their_task, my_task) = (quoted(&theirs.task), quoted(&db.failed.to_string()));
    let their_account = quoted(&theirs.account);
    let mut pairs = vec![
        // a task and its desktop, creator, chain of retries, account
        (
            task("desktop_id", &quoted(&theirs.desktop)),
            task("desktop_id", &quoted(&db.desktop)),
        ),
        (
            task("created_by", &quoted(&theirs.person)),
            task("created_by", &quoted(&db.person)),
        ),
        (task("retry_of", &their_task), task("retry_of", &my_task)),
        (
            task("retried_by", &their_task),
            task("retried_by", &my_task),
        ),
        (
            task("lineage_id", &their_task),
            task("lineage_id", &my_task),
        ),
        (
            task("account_id", &their_account),
            task("account_id", &quoted(&db.account)),
        ),
    ];
    // a key and its desktop and principal
    let key = |desktop: &str| {
        let principal = [("id", "'key_new'")];
        let agent = format!("id = '{}'", db.agent_key);
        let desktop = quoted(desktop);
        let changes = [
            ("id", "'key_new'"),
            ("sha256", "'x'"),
            ("desktop_id", &*desktop),
        ];
        let given = db.copy("principals", &agent, &principal);
        (given, db.copy("api_keys", &agent, &changes))
    };
    let (given, foreign) = key(&theirs.desktop);
    db.refuses_after(&given, Why::ForeignKey, &foreign);
    let (given, own) = key(&db.desktop);
    db.takes_after(&given, &own);
    db.refuses(Why::ForeignKey, &own);
    // an edge and its three tasks
    let edge = |column: &str, value: &str| {
        let of = format!("task_id = '{}'", db.cancelled);
        db.copy(
            "task_dependencies",
            &of,
            &[("position", "9"), (column, value)],
        )
    };
    for column in ["task_id", "depends_on", "parent_lineage"] {
        pairs.push((edge(column, &their_task), edge(column, &my_task)));
    }
    // everything that hangs on a task or a principal, claimed for the other account
    let of = |task: TaskId| format!("task_id = '{task}'");
    let log = format!("account_id = '{}' AND seq = 2", db.account);
    let next = "(SELECT max(seq) + 1 FROM activity)";
    let attempt: &[(&str, &str)] = &[("attempt", "99")];
    for (table, row, fresh) in [
        ("uploads", of(db.gated), attempt),
        ("log_entries", of(db.gated), &[("seq", "99")][..]),
        (
            "files",
            of(db.gated),
            &[("n", "99"), ("path_sha256", "'x'")][..],
        ),
        ("file_bytes", of(db.gated), &[("n", "99")][..]),
        ("evidence", of(db.done), attempt),
        ("activity", log, &[("seq", next)][..]),
        ("idempotency", "1 = 1".to_owned(), &[("scope", "'x'")][..]),
    ] {
        let changes: Vec<_> = fresh
            .iter()
            .copied()
            .chain([("account_id", &*their_account)])
            .collect();
        pairs.push((db.copy(table, &row, &changes), db.copy(table, &row, fresh)));
    }
    // what somebody did, and who asked
    let second = format!("account_id = '{}' AND seq = 2", db.account);
    for (table, row, fresh, column) in [
        ("activity", &*second, ("seq", next), "actor_id"),
        ("idempotency", "1 = 1", ("scope", "'x'"), "principal_id"),
    ] {
        let by = |person: &str| db.copy(table, row, &[fresh, (column, &quoted(person))]);
        pairs.push((by(&theirs.person), by(&db.person)));
    }
    // an approval and its task and evidence
    let approval = |account: &str| {
        let (task, account) = (quoted(&db.done.to_string()), quoted(account));
        let digest = format!("(SELECT sha256 FROM evidence WHERE task_id = {task})");
        let changes = [
            ("id", "'appr_new'"),
            ("account_id", &*account),
            ("task_id", &*task),
            ("evidence_sha256", &*digest),
        ];
        db.copy("approvals", "status = 'pending'", &changes)
    };
    pairs.push((approval(&theirs.account), approval(&db.account)));
    for (foreign, own) in pairs {
        db.refuses(Why::ForeignKey, &foreign);
        db.takes(&own);
    }
    // people and contents, whose keys are those of what they belong to
    let user = |account: &str| {
        let account = quoted(account);
        let changes = [
            ("id", "'user_new'"),
            ("email", "'new'"),
            ("account_id", &*account),
        ];
        db.copy("users", &format!("id = '{}'", db.person), &changes)
    };
    let me = format!("id = '{}'", db.person);
    let given = db.copy("principals", &me, &[("id", "'user_new'")]);
    db.refuses_after(&given, Why::ForeignKey, &user(&theirs.account));
    db.takes_after(&given, &user(&db.account));
    let content = |account: &str| {
        let account = quoted(account);
        let changes = [("task_id", "'task_new'"), ("account_id", &*account)];
        db.copy("task_contents", &of(db.done), &changes)
    };
    let given = task("requires_approval", "requires_approval");
    db.refuses_after(&given, Why::ForeignKey, &content(&theirs.account));
    db.takes_after(&given, &content(&db.account));
}

/// So that a table added later cannot forget it: every foreign key begins with the account, but those
/// that point at the account itself.
fn every_foreign_key_carries_the_account(db: &Filled) {
    let sql = match db.engine() {
        Engine::Sqlite => {
            "SELECT t.name, group_concat(k.\"from\"), group_concat(k.\"to\"), k.\"table\"
             FROM sqlite_master t, pragma_foreign_key_list(t.name) k
             WHERE t.type = 'table' GROUP BY t.name, k.id ORDER BY 1, 2"
        }
        Engine::Postgres => {
            "SELECT conrelid::regclass,
                (SELECT string_agg(attname, ',' ORDER BY n) FROM unnest(conkey) WITH ORDINALITY c (num, n)
                 JOIN pg_attribute ON attrelid = conrelid AND attnum = num),
                (SELECT string_agg(attname, ',' ORDER BY n) FROM unnest(confkey) WITH ORDINALITY c (num, n)
                 JOIN pg_attribute ON attrelid = confrelid AND attnum = num),
                confrelid::regclass
             FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 2"
        }
    };
    let keys = db.db.query(sql).unwrap();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        let [Some(table), Some(from), Some(to), Some(parent)] = &key[..] else {
            panic!("{key:?}");
        };
        assert!(from.starts_with("account_id"), "{table}: {from}");
        let expected = if parent == "accounts" {
            "id"
        } else {
            "account_id,"
        };
        assert!(to.starts_with(expected), "{table}: {from} -> {parent} {to}");
    }
}

fn a_key_never_becomes_more_than_it_was(db: &Filled) {
    let set = |id: &str, what: &str| format!("UPDATE api_keys SET {what} WHERE id = '{id}'");
    let never = Why::Says("what a key is and may do never changes");
    for what in [
        "kind = 'human'",
        "capabilities = capabilities || ' settings:write'",
        "capabilities = 'approvals:decide'",
        "sha256 = 'x'",
        "id = 'key_new'",
    ] {
        db.refuses(never, &set(&db.service_key, what));
    }
    let other_desktop = format!("desktop_id = '{}'", db.foreign.desktop);
    db.refuses(never, &set(&db.agent_key, &other_desktop));
    db.refuses(never, &set(&db.agent_key, "desktop_id = NULL"));
    db.takes(&set(&db.service_key, "last_used_at = 1"));
    let revoked = set(&db.service_key, "revoked_at = 1");
    db.takes(&revoked);
    db.refuses_after(
        &revoked,
        Why::Says("a revoked key never comes back"),
        &set(&db.service_key, "revoked_at = NULL"),
    );

    let minted = |id: &str, changes: &[(&str, &str)]| {
        let row = format!("id = '{id}'");
        let given = db.copy("principals", &row, &[("id", "'key_new'")]);
        let new = [("id", "'key_new'"), ("sha256", "'x'")];
        let all: Vec<_> = changes.iter().copied().chain(new).collect();
        (given, db.copy("api_keys", &row, &all))
    };
    let decide = [("capabilities", "'tasks:read approvals:decide'")];
    for id in [&db.agent_key, &db.service_key] {
        let (given, sql) = minted(id, &decide);
        db.refuses_after(&given, Why::Check, &sql);
        let (given, sql) = minted(id, &[]);
        db.takes_after(&given, &sql);
    }
    let (given, sql) = minted(&db.human_key, &decide);
    db.takes_after(&given, &sql);
    // a kind that its principal does not have
    let (given, sql) = minted(&db.service_key, &[("kind", "'human'"), decide[0]]);
    db.refuses_after(&given, Why::ForeignKey, &sql);
    let desktop = quoted(&db.desktop);
    for (id, desktop) in [(&db.agent_key, "NULL"), (&db.human_key, &*desktop)] {
        let (given, sql) = minted(id, &[("desktop_id", desktop)]);
        db.refuses_after(&given, Why::Check, &sql);
    }
}

/// Adds an open session and an unused link of the person.
fn with_session(db: &Filled) -> String {
    format!(
        "INSERT INTO sign_in_links (sha256, account_id, user_id, created_at, expires_at) \
         VALUES ('link', '{account}', '{person}', 1, 9); \
         INSERT INTO sessions (id, account_id, user_id, sha256, agent, created_at, last_seen_at, expires_at) \
         VALUES ('sess_1', '{account}', '{person}', 'cookie', 'x', 1, 1, 9)",
        account = db.account,
        person = db.person,
    )
}

fn a_session_is_of_one_person_and_never_comes_back(db: &Filled) {
    let given = with_session(db);
    let set = |what: &str| format!("UPDATE sessions SET {what} WHERE id = 'sess_1'");
    let never = Why::Says("whose a session is never changes");
    let theirs = format!("account_id = '{}'", db.foreign.account);
    for what in [
        "id = 'sess_2'",
        "sha256 = 'other'",
        "user_id = 'user_other'",
        "created_at = 2",
        &theirs,
    ] {
        db.refuses_after(&given, never, &set(what));
    }
    db.takes_after(&given, &set("last_seen_at = 5, expires_at = 99"));
    db.takes_after(&given, &set("ended_at = 5, expires_at = 5"));
    db.takes_after(&given, "DELETE FROM sessions");
    let ended = format!("{given}; {}", set("ended_at = 5"));
    let back = Why::Says("an ended session never comes back");
    db.refuses_after(&ended, back, &set("ended_at = NULL"));
    db.takes_after(&ended, &set("last_seen_at = 5"));

    let copy = |id: &str, sha256: &str| {
        let changes = [("id", id), ("sha256", sha256)];
        db.copy("sessions", "id = 'sess_1'", &changes)
    };
    let twice = "a session is never replaced";
    for (id, sha256) in [("id", "'new'"), ("'sess_2'", "sha256")] {
        db.refuses_after(&given, Why::Exists(twice), &copy(id, sha256));
        if db.engine() == Engine::Sqlite {
            let replacing = copy(id, sha256).replacen("INSERT", "INSERT OR REPLACE", 1);
            db.refuses_after(&given, Why::Says(twice), &replacing);
        }
    }
    db.takes_after(&given, &copy("'sess_2'", "'new'"));
}

fn what_a_session_is_bound_to_never_changes(db: &Filled) {
    let given = with_session(db);
    let [one, other] = ["a", "b"].map(|digit| quoted(&digit.repeat(64)));
    let bind = |id: &str, origin: &str| {
        let sha256 = format!("'of {id}'");
        let changes = [
            ("id", &*quoted(id)),
            ("sha256", &sha256),
            ("origin_sha256", origin),
        ];
        db.copy("sessions", "id = 'sess_1'", &changes)
    };
    for short in [
        "''",
        "'a'",
        &quoted(&"a".repeat(63)),
        &quoted(&"a".repeat(65)),
    ] {
        db.refuses_after(&given, Why::Check, &bind("sess_2", short));
    }
    db.takes_after(&given, &bind("sess_2", &one));
    db.takes_after(&given, &bind("sess_2", "NULL"));
    let bound = format!("{given}; {}", bind("sess_2", &one));
    let never = Why::Says("what a session is bound to never changes");
    let set = |id: &str, origin: &str| {
        format!("UPDATE sessions SET origin_sha256 = {origin} WHERE id = '{id}'")
    };
    for (id, origin) in [("sess_2", "NULL"), ("sess_2", &*other), ("sess_1", &*one)] {
        db.refuses_after(&bound, never, &set(id, origin));
    }
    db.takes_after(&bound, &set("sess_2", &one));
    db.takes_after(
        &bound,
        "UPDATE sessions SET last_seen_at = 5, expires_at = 99 WHERE id = 'sess_2'",
    );
}

fn a_link_is_used_once(db: &Filled) {
    let given = with_session(db);
    let set = |what: &str| format!("UPDATE sign_in_links SET {what}");
    let never = Why::Says("what a link is for never changes");
    let theirs = format!("account_id = '{}'", db.foreign.account);
    for what in [
        "sha256 = 'other'",
        "user_id = 'user_other'",
        "expires_at = 10",
        &theirs,
    ] {
        db.refuses_after(&given, never, &set(what));
    }
    db.takes_after(&given, &set("expires_at = 8"));
    db.takes_after(&given, &set("used_at = 5"));
    db.takes_after(&given, "DELETE FROM sign_in_links");
    let used = format!("{given}; {}", set("used_at = 5"));
    for what in ["used_at = NULL", "used_at = 6", "expires_at = 8"] {
        db.refuses_after(&used, Why::Says("a link is used once"), &set(what));
    }
    let again = db.copy("sign_in_links", "1 = 1", &[]);
    let twice = "a link is never replaced";
    db.refuses_after(&used, Why::Exists(twice), &again);
    if db.engine() == Engine::Sqlite {
        let replacing = again.replacen("INSERT", "INSERT OR REPLACE", 1);
        db.refuses_after(&used, Why::Says(twice), &replacing);
    }
    let new = db.copy("sign_in_links", "1 = 1", &[("sha256", "'new'")]);
    db.takes_after(&used, &new);
}

fn sessions_and_links_are_of_people_of_their_account(db: &Filled) {
    let given = with_session(db);
    let [theirs, person, agent] =
        [&db.foreign.account, &db.foreign.person, &db.agent_key].map(|id| quoted(id));
    for (table, fresh) in [
        ("sessions", &[("id", "'sess_2'"), ("sha256", "'new'")][..]),
        ("sign_in_links", &[("sha256", "'new'")][..]),
    ] {
        let with = |changes: &[(&str, &str)]| db.copy(table, "1 = 1", &[fresh, changes].concat());
        for changes in [
            ("account_id", &*theirs),
            ("user_id", &*person),
            ("user_id", &*agent),
            ("user_id", "'system'"),
            ("user_id", "'user_nobody'"),
        ] {
            db.refuses_after(&given, Why::ForeignKey, &with(&[changes]));
        }
        for kind in ["'agent'", "'service'", "'system'"] {
            let changes = [("user_id", &*agent), ("kind", kind)];
            db.refuses_after(&given, Why::Check, &with(&changes));
        }
        db.takes_after(&given, &with(&[]));
        db.takes_after(
            &given,
            &with(&[("account_id", &theirs), ("user_id", &person)]),
        );
    }
}

/// A row has more keys than its id: on SQLite each is a way to replace it.
#[test]
fn no_other_key_replaces_a_person_or_a_retry() {
    let db = TestDb::migrated_sqlite();
    db.execute("PRAGMA recursive_triggers = OFF").unwrap();
    let task = |id: &str, retry_of: &str| {
        format!(
            "INSERT INTO tasks (id, account_id, type, title, status, desktop_id, requires_approval, gated, \
             auto_run, on_dependency_failure, timeout_seconds, attempt, max_attempts, retry_of, lineage_id, \
             created_by, created_by_kind, created_at) VALUES ('{id}', 'a', 'command', 't', 'pending', 'd', \
             FALSE, FALSE, FALSE, 'block', 1, 0, 1, {retry_of}, '{id}', 'u1', 'human', 0)"
        )
    };
    let user = |id: &str, email: &str| {
        format!(
            "INSERT INTO users (id, account_id, email, created_at) VALUES ('{id}', 'a', '{email}', 0)"
        )
    };
    for sql in [
        "INSERT INTO accounts (id, name, created_at) VALUES ('a', 'a', 0)",
        "INSERT INTO principals (account_id, id, kind, name) \
         VALUES ('a', 'u1', 'human', 'x'), ('a', 'u2', 'human', 'x')",
        "INSERT INTO desktops (id, account_id, name, created_at) VALUES ('d', 'a', 'd', 0)",
        &user("u1", "one@example.org"),
        &task("t1", "NULL"),
        &task("t2", "'t1'"),
    ] {
        db.execute(sql).unwrap();
    }
    let or_replace = |sql: &str| sql.replacen("INSERT", "INSERT OR REPLACE", 1);
    let refused = db.execute(&or_replace(&task("t3", "'t1'"))).unwrap_err();
    assert!(refused.contains("never deleted or replaced"), "{refused}");
    let refused = db
        .execute(&or_replace(&user("u2", "one@example.org")))
        .unwrap_err();
    assert!(refused.contains("a person is never replaced"), "{refused}");
    db.execute(&or_replace(&task("t3", "'t2'"))).unwrap();
    db.execute(&or_replace(&user("u2", "two@example.org")))
        .unwrap();
}
