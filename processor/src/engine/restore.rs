//! What was created before the last stop comes back: objects in the order of their creation, then their queries.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::create::QueryNames;
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
        let mut is_complete = true;
        for StoredObject { name, payload } in self.ports.catalog.load() {
            match Stored::decode(&payload) {
                Ok(object) => stored.push((name, object)),
                Err(reason) => {
                    is_complete = false;
                    self.keep_broken(&name, None, reason);
                }
            }
        }
        stored.sort_by_key(|(_, object)| object.order);
        *order = stored.last().map_or(0, |(_, object)| object.order + 1);
        for (name, object) in &stored {
            if let Err(reason) = self.restore_object(name, object) {
                self.keep_broken(name, Some(object), reason);
            }
        }
        match is_complete {
            true => self.clear_leftovers(&stored).await,
            // Whose they are is not known: a newer version's objects are back once that version is.
            false => tracing::warn!("state of dropped queries is kept, since not every stored object can be read"),
        }
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

    /// Deletes changelogs and state of queries that are gone: a stop between DROP and clearing away leaves them.
    async fn clear_leftovers(&self, stored: &[(String, Stored)]) {
        let names: Vec<QueryNames> = stored
            .iter()
            .filter_map(|(name, object)| Some(QueryNames::new(name, object.query.as_ref()?)))
            .collect();
        let changelogs: HashSet<&str> = names.iter().map(|n| n.changelog.as_str()).collect();
        let left: Vec<String> = self
            .ports
            .topics
            .list()
            .into_iter()
            .filter(|t| t.internal && t.name.starts_with("tidemill.changelog.") && !changelogs.contains(&*t.name))
            .map(|t| t.name.to_string())
            .collect();
        self.delete_topics(&left).await;
        let folders: HashSet<&str> = names.iter().map(|n| n.state_folder.as_str()).collect();
        for folder in self.state_folders() {
            if !folders.contains(folder.as_str()) {
                self.remove_state(&folder).await;
            }
        }
    }

    fn state_folders(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.config.state_dir) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_state_folder(name))
            .collect()
    }
}

/// Whether a folder has the name of a query's state, as [`QueryNames`] makes it. Anything else in the folder is not ours.
fn is_state_folder(name: &str) -> bool {
    let parts = name.rsplit_once('-');
    parts.is_some_and(|(id, generation)| Uuid::parse_str(id).is_ok() && generation.parse::<u32>().is_ok())
}
