//! The name that was meant.

/// The known name nearest to `name`, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this similarity (0 to 1) a proposal would confuse.
    const NEAR: f64 = 0.7;
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(name, k), k))
        .filter(|(similarity, _)| NEAR <= *similarity)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// The known name that was meant, or all of them.
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    // It has a refusal of its own, and is no advice.
    let known: Vec<&str> = known.iter().copied().filter(|known| *known != "state_ttl").collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known are {}", known.join(", ")),
    }
}
