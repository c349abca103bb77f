//! One suite for every adapter of the event log and the directory. An adapter's test file gives a function that makes an
//! empty store and calls [`conformance!`] with it.

pub mod audit;
pub mod budgets;
pub mod build;
pub mod clock;
pub mod directory;
pub mod erasure;
pub mod forks;
pub mod leases;
pub mod log;
pub mod people;

use std::sync::Arc;

use psyche_core::port::{AuditLog, Directory, EventLog};

/// What a case needs of a store.
pub trait Store: EventLog + Directory + AuditLog + 'static {}
impl<S: EventLog + Directory + AuditLog + 'static> Store for S {}

/// An empty store, and what must live as long as it.
pub struct Fixture<S> {
    pub store: Arc<S>,
    pub keep: Option<tempfile::TempDir>,
}

/// Makes a test of every case: `conformance!(open)` with `fn open() -> Fixture<S>`.
macro_rules! conformance {
    ($open:path) => {
        $crate::conformance::conformance!($open, log {
            a_log_is_created_appended_to_and_read
            an_append_is_fenced_by_epoch_and_head
            without_ownership_only_a_command_is_appended
            records_that_would_break_the_log_are_refused
            an_append_is_kept_whole_or_not_at_all
            a_turn_and_a_command_are_taken_once
            of_concurrent_appends_to_one_head_one_wins
            snapshots_are_found_at_or_before_a_seq
            numbers_are_read_without_words
            deleting_removes_one_session_whole
            what_is_not_there_is_named
        });
        $crate::conformance::conformance!($open, leases {
            a_lease_is_held_renewed_and_given_back
            an_expired_lease_is_free
            sessions_without_an_owner_that_run_or_wait_are_claimable
            owners_that_steal_a_short_lease_leave_a_gapless_log
        });
        $crate::conformance::conformance!($open, erasure {
            erasing_a_session_keeps_its_chain_and_the_people_in_it
            erasing_a_person_reaches_every_session
            erasing_a_person_from_one_session_leaves_the_others
            a_fork_carries_erased_texts
            a_log_from_before_an_erasure_brings_nothing_back
            what_quotes_an_erased_person_is_masked
            the_embedding_of_what_quotes_an_erased_person_goes
            an_erasure_begins_a_new_generation
            a_row_loses_the_words_of_who_wrote_them
        });
        $crate::conformance::conformance!($open, forks {
            a_fork_has_its_parents_past
            a_fork_outlives_its_parent
            erasing_reaches_forks
            what_does_not_follow_from_the_parent_is_no_fork
            forks_are_listed_and_counted_by_parent
        });
        $crate::conformance::conformance!($open, people {
            users_are_found_by_folded_name_and_patched
            the_last_admin_stays
            of_concurrent_first_admins_one_is_made
            users_are_paged_newest_first
            users_are_found_by_a_part_of_their_names
            sign_ins_are_limited_and_revoked
            refresh_tokens_rotate
            unknown_and_dead_sign_ins_do_not_rotate
            the_rights_version_tells_of_every_change
            a_reset_token_sets_a_password_once
            a_deleted_user_leaves_nothing
            addresses_are_blocked_and_lifted
            what_has_run_out_is_swept
        });
        $crate::conformance::conformance!($open, audit {
            rows_are_chained_and_filtered
            a_write_and_its_row_are_one
            a_rotation_takes_the_row_that_fits
            pruning_keeps_the_chain
            concurrent_rows_make_one_chain
        });
        $crate::conformance::conformance!($open, budgets {
            what_an_append_costs_is_charged_with_it
            budgets_are_set_and_lifted
            sessions_and_forks_are_counted
            secrets_are_put_changed_and_removed
        });
        $crate::conformance::conformance!($open, directory {
            whose_a_session_is_does_not_follow_from_its_log
            sessions_are_filtered_and_paged
            an_append_replaces_the_summary
            members_relate_to_a_session
            a_cast_goes_up_by_one_version
            settings_are_put_and_removed
            a_probe_succeeds
        });
    };
    ($open:path, $room:ident { $($case:ident)* }) => {
        mod $room {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fixture = $open();
                $crate::conformance::$room::$case(&fixture.store).await;
                drop(fixture.keep);
            })*
        }
    };
}
pub(crate) use conformance;
