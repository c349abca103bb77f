//! HD-D and MATTR(50): second opinions on diversity. Work for any language that separates words.
//!
//! * MATTR = mean over every stretch of 50 consecutive words of its distinct words / 50.
//! * HD-D = Σ over the distinct words of P(the word occurs in a random sample of 42 words) / 42, that probability being
//!   1 − C(N − f, 42) / C(N, 42) for a word that occurs f times among N: the expected type-token ratio of 42 words.
//! * Both 0..1, 1 = no word recurs.
//! * Source: Covington & McFall (2010), Journal of Quantitative Linguistics 17:94 (MATTR); McCarthy & Jarvis (2010),
//!   Behavior Research Methods 42:381 (HD-D).
//! * Limits: under 50 and under 42 words there is no value.

use super::window::Window;

/// Words in a stretch of MATTR.
pub const STRETCH: usize = 50;
/// Words in a sample of HD-D.
pub const SAMPLE: usize = 42;

/// MATTR(50) of texts read one after the other; `None` under 50 words.
pub fn mattr<'a>(texts: impl Iterator<Item = &'a str>) -> Option<f64> {
    let window = Window::new(texts);
    let tokens = &window.tokens;
    if tokens.len() < STRETCH {
        return None;
    }
    let mut counts = vec![0usize; window.types()];
    let (mut distinct, mut sum) = (0usize, 0usize);
    for (at, token) in tokens.iter().enumerate() {
        let count = &mut counts[*token as usize];
        distinct += usize::from(*count == 0);
        *count += 1;
        if at >= STRETCH {
            let left = &mut counts[tokens[at - STRETCH] as usize];
            *left -= 1;
            distinct -= usize::from(*left == 0);
        }
        sum += if at + 1 >= STRETCH { distinct } else { 0 };
    }
    Some(sum as f64 / (STRETCH * (tokens.len() - STRETCH + 1)) as f64)
}

/// HD-D of texts; `None` under 42 words.
pub fn hd_d<'a>(texts: impl Iterator<Item = &'a str>) -> Option<f64> {
    let window = Window::new(texts);
    let all = window.tokens.len();
    if all < SAMPLE {
        return None;
    }
    let mut counts = vec![0usize; window.types()];
    for token in &window.tokens {
        counts[*token as usize] += 1;
    }
    let absent = |count: usize| -> f64 {
        (0..SAMPLE).map(|i| (all - i).saturating_sub(count) as f64 / (all - i) as f64).product()
    };
    Some(counts.into_iter().map(|count| 1.0 - absent(count)).sum::<f64>() / SAMPLE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values() {
        let different: Vec<String> = (0..60).map(|i| format!("w{i}")).collect();
        let once = different.join(" ");
        assert_eq!(mattr([once.as_str()].into_iter()), Some(1.0));
        assert!((hd_d([once.as_str()].into_iter()).unwrap() - 1.0).abs() < 1e-12);
        let same = vec!["w"; 60].join(" ");
        assert_eq!(mattr([same.as_str()].into_iter()), Some(1.0 / 50.0));
        assert!((hd_d([same.as_str()].into_iter()).unwrap() - 1.0 / 42.0).abs() < 1e-12);
        // Fifty words a b a b …, then one new: stretches of 2 and of 3 distinct words.
        let two = [vec!["a b"; 25].join(" "), "c".to_owned()].join(" ");
        assert_eq!(mattr([two.as_str()].into_iter()), Some((2.0 + 3.0) / 100.0));
        // a, b: 42 of 51 words leave out all 25 of one with chance C(26, 42)/C(51, 42) = 0; c with 9/51.
        assert!((hd_d([two.as_str()].into_iter()).unwrap() - (2.0 + 42.0 / 51.0) / 42.0).abs() < 1e-12);
        assert_eq!((mattr(["a b"].into_iter()), hd_d(["a b"].into_iter())), (None, None));
    }
}
