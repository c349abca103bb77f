//! Several tests at once: p-values corrected so that the whole family keeps its promise.

/// Holm's step-down correction: of m p-values in ascending order, p'_(i) = max over j ≤ i of min(1, (m − j + 1)·p_(j)).
/// Keeps the chance of even one false finding. Holm (1979). In the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut corrected = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (place, i) in order.iter().enumerate() {
        largest = largest.max(((p.len() - place) as f64 * p[*i]).min(1.0));
        corrected[*i] = largest;
    }
    corrected
}

/// Benjamini and Hochberg's step-up correction: p'_(i) = min over j ≥ i of min(1, m·p_(j)/j). Keeps the expected share of
/// false ones among the findings. Benjamini & Hochberg (1995). In the order given.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut corrected = vec![0.0; p.len()];
    let mut smallest: f64 = 1.0;
    for (place, i) in order.iter().enumerate().rev() {
        smallest = smallest.min(p.len() as f64 * p[*i] / (place + 1) as f64);
        corrected[*i] = smallest;
    }
    corrected
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    order
}
