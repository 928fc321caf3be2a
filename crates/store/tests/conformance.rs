//! One suite of scenarios, played on both engines: whatever the store promises, it promises on both.

mod suite;

use test_support::Engine;

/// Makes a test of every scenario for each engine. A scenario that is missing here is dead code, and
/// the compiler says so.
macro_rules! conformance {
    ($($subject:ident: $($scenario:ident),+;)+) => {
        conformance!(@engine sqlite Sqlite $($subject: $($scenario),+;)+);
        conformance!(@engine postgres Postgres $($subject: $($scenario),+;)+);
    };
    (@engine $name:ident $engine:ident $($subject:ident: $($scenario:ident),+;)+) => {
        mod $name {
            $(mod $subject {
                $(
                    #[test]
                    fn $scenario() {
                        let scenario = crate::suite::$subject::$scenario;
                        crate::suite::play(crate::Engine::$engine, scenario);
                    }
                )+
            })+
        }
    };
}

conformance! {
    activity:
        the_log_is_gapless_and_its_hashes_chain,
        settings_change_one_by_one_and_log_only_changes,
        listeners_learn_what_was_committed;
    administration:
        a_store_opens_on_a_migrated_database_of_its_own,
        accounts_and_people_are_added_beside_a_running_store;
    batches:
        work_ends_and_is_decided_once_in_one_batch,
        a_second_try_in_the_same_batch_is_refused;
    board:
        every_task_has_its_column,
        another_account_sees_nothing,
        older_cards_come_without_gap_or_double,
        a_desktop_filters,
        a_text_filters_every_character_as_itself,
        the_newest_retries_block;
    credentials:
        a_key_has_what_it_was_given,
        a_revoked_key_commits_nothing,
        the_use_of_keys_is_noted,
        an_agent_works_on_its_desktop_only,
        an_agent_sees_its_desktop_and_what_that_builds_on,
        accounts_are_separate_worlds;
    dependencies:
        the_newest_retry_of_a_dependency_counts,
        a_task_starts_in_the_transaction_that_unblocks_it,
        a_dead_dependency_cancels_those_that_ask_for_it_and_onward,
        every_death_of_a_dependency_counts,
        a_dependency_that_is_dead_or_done_at_creation_counts,
        a_retry_may_depend_on_what_was_itself_retried;
    desktops:
        a_deleted_desktop_takes_its_work_and_keys_along,
        a_desktop_runs_while_it_is_heard_from;
    gate:
        gated_work_waits_for_a_person,
        ungated_work_is_done_and_failed_work_fails,
        two_doors_lead_to_one_decision,
        a_rejection_keeps_its_words,
        the_mode_closes_the_gate_at_a_claim_and_at_the_finish,
        a_decision_names_the_sealed_evidence_or_none,
        only_people_decide;
    idempotency:
        a_repeat_is_answered_and_not_done_again,
        a_key_belongs_to_one_body_and_one_caller,
        a_repeat_in_the_same_batch_waits,
        a_refusal_is_not_kept;
    lists:
        tasks_come_newest_first_in_stable_pages,
        lists_cut_long_contents,
        approvals_come_oldest_first_in_stable_pages,
        desktops_and_keys_come_in_pages,
        the_dashboard_counts;
    pages:
        a_task_is_shown_with_what_surrounds_it,
        a_removed_desktop_is_named_and_a_stranger_sees_no_page,
        decided_approvals_come_newest_first_in_pages,
        lines_of_changes_are_counted,
        a_second_attempt_counts_its_own_changes,
        files_come_in_pages,
        the_ends_of_a_log,
        the_ends_of_a_log_that_lost_its_middle,
        the_log_is_read_backwards,
        a_rare_type_is_looked_for_in_steps,
        the_log_of_one_task;
    prunings:
        bytes_of_finished_work_go_and_its_evidence_stays,
        only_finished_and_decided_work_goes,
        only_administration_prunes_and_only_its_account,
        a_large_attempt_goes_in_steps_and_a_run_that_was_cut_off_is_gone_on_with;
    runner:
        a_lease_is_short_until_the_first_sign_of_life,
        nothing_is_taken_without_the_current_lease,
        a_repeated_log_entry_is_ignored,
        missing_log_entries_hold_up_the_end,
        a_log_keeps_its_first_and_last_four_mebibytes,
        the_last_version_of_a_file_counts,
        files_come_in_pages_of_4_mib_of_diffs,
        files_have_limits,
        evidence_is_what_was_stored,
        a_repeated_completion_changes_nothing,
        evidence_hashed_before_an_upload_is_stale,
        a_report_out_of_range_is_refused;
    sessions:
        a_password_opens_a_session_while_it_is_theirs,
        a_link_opens_one_session,
        a_link_is_for_one_person,
        only_the_server_lets_people_in,
        an_ended_session_commits_nothing,
        a_session_is_of_one_person,
        a_bound_session_commits_nothing_without_its_origin,
        a_new_password_ends_the_other_sessions,
        use_keeps_a_session,
        old_sessions_and_links_are_forgotten;
    sweeps:
        a_claim_without_a_sign_of_life_does_not_count,
        a_silent_runner_is_replaced_until_its_attempts_are_used_up,
        a_living_lease_is_left_alone,
        a_time_out_is_enforced_a_minute_late,
        the_sweeper_finds_what_is_due,
        a_silent_desktop_counts_as_stopped,
        old_answers_are_forgotten;
    tasks:
        creation_fills_in_what_is_absent,
        creation_refuses_what_breaks_a_limit,
        first_run_is_first_served,
        only_a_pending_task_is_run,
        a_task_is_cancelled_in_every_state_but_the_last,
        a_retry_copies_and_carries_the_feedback,
        a_task_is_retried_once_and_only_when_dead,
        a_retry_opens_no_gate;
}
