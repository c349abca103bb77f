//! Ranks with ties.

/// Ranks from 1, tied values sharing the mean of their ranks; and the sizes of the groups of ties, ones included.
pub fn mid_ranks(values: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut ties = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let same = order[start..].iter().take_while(|i| values[**i] == values[order[start]]).count();
        for i in &order[start..start + same] {
            ranks[*i] = start as f64 + f64::midpoint(1.0, same as f64);
        }
        ties.push(same);
        start += same;
    }
    (ranks, ties)
}

/// Σ(t³ − t) over groups of t ties: what ties take off a variance of ranks.
pub(super) fn tie_sum(ties: &[usize]) -> f64 {
    ties.iter().map(|t| (*t as f64).powi(3) - *t as f64).sum()
}
