//! The tables as diesel knows them. A test compares them with the live columns of both engines.

diesel::table! {
    accounts (id) {
        id -> Text,
        name -> Text,
        task_approval_mode -> Bool,
        require_evidence -> Bool,
        head_seq -> BigInt,
        head_hash -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    principals (account_id, id) {
        account_id -> Text,
        id -> Text,
        kind -> Text,
        name -> Text,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        account_id -> Text,
        kind -> Text,
        email -> Text,
        password_hash -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    desktops (id) {
        id -> Text,
        account_id -> Text,
        name -> Text,
        running -> Bool,
        last_seen_at -> Nullable<BigInt>,
        created_at -> BigInt,
        removed_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        account_id -> Text,
        kind -> Text,
        capabilities -> Text,
        desktop_id -> Nullable<Text>,
        sha256 -> Text,
        last4 -> Text,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    tasks (id) {
        id -> Text,
        account_id -> Text,
        #[sql_name = "type"]
        type_ -> Text,
        title -> Text,
        status -> Text,
        desktop_id -> Text,
        requires_approval -> Bool,
        gated -> Bool,
        auto_run -> Bool,
        on_dependency_failure -> Text,
        timeout_seconds -> BigInt,
        attempt -> BigInt,
        max_attempts -> BigInt,
        lease_token -> Nullable<Text>,
        lease_expires_at -> Nullable<BigInt>,
        lease_heard -> Bool,
        queued_seq -> Nullable<BigInt>,
        retry_of -> Nullable<Text>,
        retried_by -> Nullable<Text>,
        lineage_id -> Text,
        created_by -> Text,
        created_by_kind -> Text,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        completed_at -> Nullable<BigInt>,
        exit_code -> Nullable<BigInt>,
        error -> Nullable<Text>,
        evidence_sha256 -> Nullable<Text>,
        completed_token -> Nullable<Text>,
        completed_body -> Nullable<Text>,
    }
}

diesel::table! {
    task_contents (task_id) {
        task_id -> Text,
        account_id -> Text,
        content -> Text,
    }
}

diesel::table! {
    task_dependencies (task_id, position) {
        account_id -> Text,
        task_id -> Text,
        position -> BigInt,
        depends_on -> Text,
        parent_lineage -> Text,
    }
}

diesel::table! {
    uploads (task_id, attempt) {
        account_id -> Text,
        task_id -> Text,
        attempt -> BigInt,
        version -> BigInt,
        log_received -> Text,
        log_head_open -> Bool,
        log_head_bytes -> BigInt,
        log_tail_bytes -> BigInt,
        log_dropped_bytes -> BigInt,
        file_count -> BigInt,
        file_bytes -> BigInt,
    }
}

diesel::table! {
    log_entries (task_id, attempt, seq) {
        account_id -> Text,
        task_id -> Text,
        attempt -> BigInt,
        seq -> BigInt,
        stream -> Text,
        at -> BigInt,
        in_tail -> Bool,
        size -> BigInt,
        sha256 -> Text,
        bytes -> Binary,
    }
}

diesel::table! {
    files (task_id, attempt, n) {
        account_id -> Text,
        task_id -> Text,
        attempt -> BigInt,
        n -> BigInt,
        path -> Binary,
        path_sha256 -> Text,
        old_path -> Nullable<Binary>,
        change -> Text,
        mode -> Nullable<Text>,
        old_mode -> Nullable<Text>,
        diff_size -> Nullable<BigInt>,
        diff_sha256 -> Nullable<Text>,
        content_size -> Nullable<BigInt>,
        content_sha256 -> Nullable<Text>,
        truncated -> Bool,
        added_lines -> Nullable<BigInt>,
        removed_lines -> Nullable<BigInt>,
        is_binary -> Nullable<Bool>,
    }
}

diesel::table! {
    file_bytes (task_id, attempt, n, part) {
        account_id -> Text,
        task_id -> Text,
        attempt -> BigInt,
        n -> BigInt,
        part -> Text,
        bytes -> Binary,
    }
}

diesel::table! {
    evidence (task_id, attempt) {
        account_id -> Text,
        task_id -> Text,
        attempt -> BigInt,
        sha256 -> Text,
        manifest -> Text,
        output -> Nullable<Binary>,
        sealed_at -> BigInt,
    }
}

diesel::table! {
    prunings (task_id, attempt) {
        account_id -> Text,
        task_id -> Text,
        attempt -> BigInt,
        evidence_sha256 -> Text,
        older_than -> BigInt,
        log_bytes -> BigInt,
        file_bytes -> BigInt,
        pruned_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    approvals (id) {
        id -> Text,
        account_id -> Text,
        task_id -> Text,
        attempt -> BigInt,
        status -> Text,
        reason -> Text,
        evidence_sha256 -> Text,
        created_at -> BigInt,
        decided_at -> Nullable<BigInt>,
        decided_by -> Nullable<Text>,
        decided_by_kind -> Nullable<Text>,
        feedback -> Nullable<Text>,
    }
}

diesel::table! {
    totals (account_id, kind, status, desktop_id) {
        account_id -> Text,
        desktop_id -> Text,
        kind -> Text,
        status -> Text,
        number -> BigInt,
    }
}

diesel::table! {
    activity (account_id, seq) {
        account_id -> Text,
        seq -> BigInt,
        #[sql_name = "type"]
        type_ -> Text,
        payload -> Text,
        actor_id -> Text,
        actor_kind -> Text,
        actor_name -> Text,
        at -> BigInt,
        prev_hash -> Text,
        hash -> Text,
    }
}

diesel::table! {
    idempotency (account_id, principal_id, scope) {
        account_id -> Text,
        principal_id -> Text,
        scope -> Text,
        body_sha256 -> Text,
        answer -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        account_id -> Text,
        user_id -> Text,
        kind -> Text,
        sha256 -> Text,
        agent -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        origin_sha256 -> Nullable<Text>,
    }
}

diesel::table! {
    sign_in_links (sha256) {
        sha256 -> Text,
        account_id -> Text,
        user_id -> Text,
        kind -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    principals,
    users,
    desktops,
    api_keys,
    tasks,
    task_contents,
    task_dependencies,
    uploads,
    log_entries,
    files,
    file_bytes,
    evidence,
    prunings,
    approvals,
    totals,
    activity,
    idempotency,
    sessions,
    sign_in_links,
);
