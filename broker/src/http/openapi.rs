//! `/v1/openapi.json`: the description of this port, kept as a document beside the code.

use axum::http::header;
use axum::response::IntoResponse;

const DOCUMENT: &str = include_str!("openapi.json");

/// The document.
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_every_route() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("valid JSON");
        let paths: Vec<&String> = document["paths"].as_object().expect("an object").keys().collect();
        assert_eq!(paths, ["/livez", "/readyz", "/metrics", "/v1/sql", "/v1/openapi.json"]);
    }
}
