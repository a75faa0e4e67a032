//! What was created before the last stop comes back: objects in the order of their creation, then their queries.

use std::sync::Arc;

use super::{Engine, SessionSettings};
use crate::catalog::{Body, Object, Stored};
use crate::ports::StoredObject;
use crate::sql::parse;
use crate::sql::statement::Statement;

impl Engine {
    /// Restores all objects and starts their queries; clears away what dropped ones left.
    pub(super) async fn restore(&self) {
        let mut order = self.changes.lock().await;
        let mut stored: Vec<(String, Stored)> = Vec::new();
        for StoredObject { name, payload } in self.ports.catalog.load() {
            match Stored::decode(&payload) {
                Ok(object) => stored.push((name, object)),
                Err(reason) => self.keep_broken(&name, None, reason),
            }
        }
        stored.sort_by_key(|(_, object)| object.order);
        *order = stored.last().map_or(0, |(_, object)| object.order + 1);
        for (name, object) in &stored {
            if let Err(reason) = self.restore_object(name, object) {
                self.keep_broken(name, Some(object), reason);
            }
        }
        self.clear_leftovers().await;
        for (name, _) in &stored {
            self.launch(name);
        }
    }

    fn restore_object(&self, name: &str, stored: &Stored) -> Result<(), String> {
        let sql = &stored.sql;
        let (body, uses) = self.body(sql, stored)?;
        self.change_catalog(|catalog| {
            catalog.put(Object {
                name: name.to_owned(),
                sql: sql.clone(),
                uses,
                body,
            });
        });
        Ok(())
    }

    fn body(&self, sql: &str, stored: &Stored) -> Result<(Body, Vec<String>), String> {
        let statement = parse(sql, usize::MAX).map_err(|e| e.message)?;
        let session = SessionSettings::new();
        for (name, value) in stored.query.iter().flat_map(|query| &query.settings) {
            session.set(name, Some(value)).map_err(|e| e.message)?;
        }
        let catalog = self.catalog();
        let draft = match statement {
            Statement::CreateSource(source) => {
                let relation = self.relation(sql, &source).map_err(|e| e.message)?;
                return Ok((Body::Source(Arc::new(relation)), Vec::new()));
            }
            Statement::CreateView(view) => return self.view_body(sql, &view).map_err(|e| e.message),
            Statement::CreateMaterializedView(view) => self.draft_view(sql, &catalog, &view, &session),
            Statement::CreateSink(sink) => self.draft_sink(sql, &catalog, &sink, &session),
            _ => return Err("it is no CREATE statement".to_owned()),
        };
        let draft = draft.map_err(|e| e.message)?;
        let query = stored.query.clone().ok_or("its identity is missing")?;
        let uses = draft.planned.uses.clone();
        Ok((draft.restored(query)?, uses))
    }

    /// Keeps an object that cannot be restored, so that it is seen and can be dropped.
    fn keep_broken(&self, name: &str, stored: Option<&Stored>, reason: String) {
        tracing::error!(object = name, reason, "a stored SQL object cannot be restored");
        let sql = stored.map(|s| s.sql.clone()).unwrap_or_default();
        let query = stored.and_then(|s| s.query.clone());
        let body = Body::broken(&sql, query, reason);
        self.change_catalog(|catalog| {
            catalog.put(Object {
                name: name.to_owned(),
                sql,
                uses: Vec::new(),
                body,
            });
        });
    }
}
