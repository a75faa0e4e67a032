//! The statements of the SQL reference run.

use super::Setup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_of_the_reference_runs() {
    let page = include_str!("../../../../docs/sql.md");
    let setup = Setup::new().await;
    setup.world.topic("website_clicks", 2);
    setup.world.topic("purchases", 1);
    let click = r#"{"user_id":1,"url":"/a","price":1.5,"ts":"2026-01-01T12:00:01Z"}"#;
    setup.world.produce("website_clicks", 0, crate::testing::NOON, &[click]);
    let purchase = r#"{"purchase_id":"p","card_id":"c","country":"FR","amount":12.5,"ts":"2026-01-01T12:00:01Z"}"#;
    setup.world.produce("purchases", 0, crate::testing::NOON, &[purchase]);
    let mut count = 0;
    for block in page.split("```sql\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for statement in crate::sql::split(block).expect("statements") {
            setup.run(&statement).await;
            count += 1;
        }
    }
    assert!(35 <= count, "only {count} statements were found");
}
