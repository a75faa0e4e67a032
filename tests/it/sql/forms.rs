//! The five forms of a result: the same rows in each, and the right words around them.

use arrow::array::AsArray;
use arrow::datatypes::{Decimal128Type, Int64Type};
use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};
use tests::broker::TestBroker;
use tests::paths;

use super::{ask, post};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";
const CSV: &str = "text/csv";
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// Two rows with what is hard to write in one form or another.
const SELECT: &str = "SELECT * FROM (VALUES
    (9223372036854775807, 'plain', 12.50::NUMERIC(12,2)),
    (-1, E'say \"hi\", then\\nleave', NULL)) AS t(id, text, amount)";

fn columns() -> Value {
    json!([
        { "name": "id", "type": "BIGINT" },
        { "name": "text", "type": "TEXT" },
        { "name": "amount", "type": "NUMERIC(12,2)" },
    ])
}

#[test]
fn json_is_one_document() {
    let broker = TestBroker::start();
    for accept in [JSON, "*/*", "application/*", "text/html, application/json;q=0.5"] {
        let reply = ask(&broker, accept, SELECT);
        assert_eq!((reply.status, reply.content_type.as_str()), (200, JSON), "{accept}");
        let text = reply.text();
        assert!(text.contains("[9223372036854775807,\"plain\",12.50]"), "{text}");
        let document = reply.json();
        assert_eq!(document["columns"], columns());
        assert_eq!(document["rows"][1], json!([-1, "say \"hi\", then\nleave", null]));
        assert_eq!(
            (&document["command"], &document["row_count"]),
            (&json!("SELECT"), &json!(2))
        );
    }
    let reply = post(&broker, None, json!({ "statement": SELECT }).to_string().as_bytes());
    assert_eq!(
        (reply.status, reply.content_type.as_str()),
        (200, JSON),
        "without an Accept header"
    );
}

#[test]
fn ndjson_is_columns_and_then_a_row_per_line() {
    let broker = TestBroker::start();
    let reply = ask(&broker, NDJSON, SELECT);
    assert_eq!((reply.status, reply.content_type.as_str()), (200, NDJSON));
    let text = reply.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert_eq!(lines[0], columns());
    assert!(text.contains("[9223372036854775807,\"plain\",12.50]\n"), "{text}");
    assert_eq!(lines[2], json!([-1, "say \"hi\", then\nleave", null]));
    assert_eq!(
        ask(&broker, NDJSON, "SELECT 1 AS one WHERE false")
            .text()
            .lines()
            .count(),
        1
    );
}

#[test]
fn events_have_a_schema_rows_and_an_end() {
    let broker = TestBroker::start();
    let reply = ask(&broker, EVENTS, SELECT);
    assert_eq!((reply.status, reply.content_type.as_str()), (200, EVENTS));
    let events = events(&reply.text());
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("schema", "end"));
    assert_eq!(events[0].1, columns());
    let rows: Vec<&Value> = events[1..events.len() - 1]
        .iter()
        .flat_map(|(_, data)| data.as_array().expect("an array"))
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1], &json!([-1, "say \"hi\", then\nleave", null]));
    assert_eq!(
        events[events.len() - 1].1,
        json!({ "command": "SELECT", "row_count": 2 })
    );
}

fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').expect("an event has two lines");
        let name = name.strip_prefix("event: ").expect("a name").to_owned();
        let data = data.strip_prefix("data: ").expect("data");
        (name, serde_json::from_str(data).expect("JSON"))
    };
    text.split("\n\n")
        .filter(|block| !block.is_empty())
        .map(event)
        .collect()
}

#[test]
fn csv_quotes_what_it_must() {
    let broker = TestBroker::start();
    let reply = ask(&broker, CSV, SELECT);
    assert_eq!((reply.status, reply.content_type.as_str()), (200, CSV));
    let expected = "id,text,amount\n9223372036854775807,plain,12.50\n-1,\"say \"\"hi\"\", then\nleave\",\n";
    assert_eq!(reply.text(), expected);
}

#[test]
fn arrow_streams_are_read_by_arrow() {
    let broker = TestBroker::start();
    let reply = ask(&broker, ARROW, SELECT);
    assert_eq!((reply.status, reply.content_type.as_str()), (200, ARROW));
    let reader = StreamReader::try_new(reply.body.as_slice(), None).expect("an Arrow stream");
    let batches: Vec<_> = reader.map(|batch| batch.expect("a whole batch")).collect();
    let (mut ids, mut texts, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
    for batch in &batches {
        ids.extend(batch.column(0).as_primitive::<Int64Type>().iter());
        texts.extend(
            batch
                .column(1)
                .as_string::<i32>()
                .iter()
                .map(|text| text.map(str::to_owned)),
        );
        amounts.extend(batch.column(2).as_primitive::<Decimal128Type>().iter());
    }
    assert_eq!(ids, [Some(i64::MAX), Some(-1)]);
    assert_eq!(texts[1].as_deref(), Some("say \"hi\", then\nleave"));
    assert_eq!(amounts, [Some(1250), None]);
}

#[test]
fn commands_have_no_rows_in_any_form() {
    let broker = TestBroker::start();
    let set = "SET epoch_interval = '1 s'";
    assert_eq!(ask(&broker, JSON, set).json()["command"], "SET");
    assert_eq!(
        events(&ask(&broker, EVENTS, set).text()),
        [(
            "end".to_owned(),
            json!({ "command": "SET", "row_count": 0, "settings": { "epoch_interval": "1 s" } })
        )]
    );
    assert_eq!(ask(&broker, NDJSON, set).text(), "[]\n");
    for form in [CSV, ARROW] {
        assert_eq!(ask(&broker, form, set).status, 204, "{form}");
    }
}

#[test]
fn errors_are_json_in_every_form() {
    let broker = TestBroker::start();
    for form in [JSON, NDJSON, EVENTS, CSV, ARROW] {
        let reply = ask(&broker, form, "SELECT * FROM missing");
        assert_eq!((reply.status, reply.content_type.as_str()), (404, JSON), "{form}");
        assert_eq!(reply.json()["error"]["code"], "42P01", "{form}");
    }
}

/// What is offered is named to who asks for something else, and in docs/http.md.
#[test]
fn an_unknown_media_type_is_refused_with_those_that_are_offered() {
    let reply = ask(&TestBroker::start(), "image/png", "SELECT 1");
    assert_eq!(reply.status, 406);
    let refusal = reply.json()["error"]["message"].to_string();
    let page =
        std::fs::read_to_string(paths::repository().join("docs/http.md")).expect("the page is in the repository");
    for form in [JSON, NDJSON, EVENTS, CSV, ARROW] {
        assert!(refusal.contains(form), "{refusal}");
        assert!(page.contains(&format!("| {form} |")), "{form} is not on the page");
    }
    assert_eq!(refusal.matches('/').count(), 5, "the page knows all of them: {refusal}");
}
