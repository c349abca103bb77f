//! Interval of a gauge: how far its value could lie from what longer talk of the same kind would read.
//!
//! * The delete-a-group jackknife: the window's utterances are cut into G groups of two consecutive ones (the oldest
//!   holds a third when their number is odd), and the value is read again without each group.
//! * SE = √((G − 1)/G · Σ(θ₋g − mean θ₋)²), θ₋g being the value without group g.
//! * interval = value ± t(0.975; G − 1) · SE, cut to the range the value can take.
//! * Groups are pairs because an utterance and its answer are not independent. It draws nothing: the same window gives
//!   the same interval.
//! * Source: Künsch (1989), Annals of Statistics 17:1217 (jackknife with blocks for dependent observations); Kott
//!   (2001), Journal of Official Statistics 17:521 (delete-a-group jackknife with t intervals).
//! * Limits: it knows the spread within the window alone; a value that is not smooth in its utterances (diversity) is
//!   approximated.

use std::ops::{Range, RangeInclusive};

/// Utterances in a group.
const GROUP: usize = 2;

/// The 0.975 quantile of Student's t with 1, 2, … 9 degrees of freedom: those of 2 to 10 groups.
const T: [f64; 9] = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622];

/// The groups of `n` things, the oldest first.
fn groups(n: usize) -> impl Iterator<Item = Range<usize>> {
    let count = n / GROUP;
    (0..count).map(move |g| {
        let start = n - GROUP * (count - g);
        (if g == 0 { 0 } else { start })..start + GROUP
    })
}

/// The interval of `value`, read from `n` things of which `without` leaves a range out; `None` when that cannot be
/// read for some group, or with fewer than two groups.
pub(super) fn jackknife(
    value: f64,
    n: usize,
    range: RangeInclusive<f64>,
    mut without: impl FnMut(Range<usize>) -> Option<f64>,
) -> Option<[f64; 2]> {
    let values: Vec<f64> = groups(n).map(&mut without).collect::<Option<_>>()?;
    let t = T.get(values.len().checked_sub(2)?)?;
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let reach = t * libm::sqrt((count - 1.0) / count * squares);
    Some([value - reach, value + reach].map(|bound| bound.clamp(*range.start(), *range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_pairs_and_together_everything() {
        assert_eq!(groups(6).collect::<Vec<_>>(), [0..2, 2..4, 4..6]);
        assert_eq!(groups(7).collect::<Vec<_>>(), [0..3, 3..5, 5..7]);
        assert_eq!(groups(1).count(), 0);
    }

    #[test]
    fn of_a_mean_it_is_the_t_interval_of_the_groups_means() {
        let values = [1.0, 3.0, 2.0, 6.0, 5.0, 1.0];
        let mean_without = |left_out: Range<usize>| {
            let kept: Vec<f64> =
                values.iter().enumerate().filter(|(i, _)| !left_out.contains(i)).map(|(_, value)| *value).collect();
            Some(kept.iter().sum::<f64>() / kept.len() as f64)
        };
        // Pair means 2, 4, 3: mean 3, standard deviation 1, standard error 1/√3, t(0.975; 2) = 4.3027.
        let [low, high] = jackknife(3.0, 6, f64::NEG_INFINITY..=f64::INFINITY, mean_without).unwrap();
        let reach = 4.3027 / 3f64.sqrt();
        assert!((low - (3.0 - reach)).abs() < 1e-9 && (high - (3.0 + reach)).abs() < 1e-9, "{low} {high}");
        assert_eq!(jackknife(3.0, 6, 2.0..=4.0, mean_without), Some([2.0, 4.0]), "cut to the range");
        assert_eq!(jackknife(3.0, 3, 0.0..=9.0, mean_without), None, "one group");
        assert_eq!(jackknife(3.0, 6, 0.0..=9.0, |_| None), None);
    }
}
