//! The first lines of every Kafka handler: what it serves, in one form, in agreement with the route table.

use crate::files::{TextFile, rust_files};

const FOLDER: &str = "broker/src/handlers/";
const STAGE: &str = "//! Stage: ";

/// One line of the route table, as far as the handler's first lines repeat it.
struct Route {
    api: String,
    versions: String,
    is_alone: bool,
    module: String,
}

impl Route {
    /// Reads `Api from min..=max Order module Request reply;`.
    fn parse(line: &str) -> Option<Self> {
        let [api, _, versions, order, module, _, reply] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        let is_route = reply.ends_with(';') && ["Alone", "Pipelined"].contains(&order);
        is_route.then(|| Self {
            api: api.to_owned(),
            versions: versions.replace("..=", "-"),
            is_alone: order == "Alone",
            module: module.to_owned(),
        })
    }

    /// What is wrong with the first lines of its handler.
    fn faults(&self, file: &TextFile) -> Vec<String> {
        let head: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        let mut faults = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{}: {what}", file.path));
            }
        };
        let title = head.first().copied().unwrap_or_default();
        let begins = title.starts_with(&format!("//! {} (key ", self.api));
        let ends = title.ends_with(&format!("), versions {}.", self.versions));
        check(
            begins && ends,
            "the first line is `//! Api (key N), versions MIN-MAX.` as in the route table",
        );
        let sections = ["//! Versions: ", STAGE, "//! Deliberate deviation"];
        let places = sections.map(|section| head.iter().position(|line| line.starts_with(section)));
        let in_order = places.iter().all(Option::is_some) && places.is_sorted();
        check(
            in_order,
            "Versions, Stage and Deliberate deviations follow, in this order",
        );
        let stage = if self.is_alone {
            "alone on its connection."
        } else {
            "pipelined."
        };
        let stages = head.iter().filter_map(|line| line.strip_prefix(STAGE));
        check(
            stages.into_iter().all(|told| told.starts_with(stage)),
            "the stage is that of the route table",
        );
        let mut lines = file.text.lines();
        let handle = lines.position(|line| line.starts_with("pub(crate) async fn handle("));
        let before = handle.and_then(|at| file.text.lines().nth(at.checked_sub(1)?));
        check(
            before.is_some_and(|line| line.starts_with("///")),
            "`handle` has a doc comment",
        );
        faults
    }
}

#[test]
fn every_handler_says_what_it_serves() {
    let files = rust_files();
    let file = |name: &str| files.iter().find(|file| file.path == format!("{FOLDER}{name}"));
    let table = file("mod.rs").expect("the route table");
    let routes: Vec<Route> = table.text.lines().filter_map(Route::parse).collect();
    assert!(20 < routes.len(), "the route table was read");
    let mut faults = Vec::new();
    for route in routes {
        let handler = file(&format!("{}.rs", route.module)).or_else(|| file(&format!("{}/mod.rs", route.module)));
        let handler = handler.unwrap_or_else(|| panic!("{} has no file of its own", route.api));
        faults.extend(route.faults(handler));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
