//! One suite for every adapter of the bus and of expiring values.

pub mod bus;
pub mod ephemeral;

/// Makes a test of every case: `conformance!(bus, open)` with `fn open() -> impl Bus + 'static`, or
/// `conformance!(ephemeral, open)` with `fn open() -> (impl EphemeralStore, impl Fn(u64))`, where the function lets that
/// many milliseconds pass.
macro_rules! conformance {
    (bus, $open:path) => {
        $crate::conformance::conformance!($open, bus {
            news_reach_every_subscriber_in_order
            news_before_the_subscription_and_of_others_are_not_heard
            a_slow_subscriber_is_told_and_the_others_are_not_slowed
            a_probe_succeeds
        });
    };
    (ephemeral, $open:path) => {
        $crate::conformance::conformance!($open, ephemeral {
            a_value_is_there_until_it_expires
            the_first_to_put_wins
            a_count_starts_again_when_its_time_is_over
            a_value_is_taken_once
            of_concurrent_takers_and_putters_one_wins
        });
    };
    ($open:path, $room:ident { $($case:ident)* }) => {
        mod $room {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$room::$case($open()).await;
            })*
        }
    };
}
pub(crate) use conformance;
