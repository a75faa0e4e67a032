//! `DROP`. The object is gone once the catalog's store says so; what it leaves behind is cleared away afterwards, and
//! again at the next start where that fails. DROP works while a query is failing.

use std::sync::Arc;

use super::create::QueryNames;
use super::{Engine, SqlError, SqlState, StatementResult, command};
use crate::catalog::{Object, StoredQuery};
use crate::sql::statement::{Drop, ObjectKind};

impl Engine {
    pub(super) async fn drop_object(&self, drop: &Drop) -> Result<StatementResult, SqlError> {
        let _order = self.changes.lock().await;
        let tag = format!("DROP {}", drop.kind.keywords());
        let catalog = self.catalog();
        let Some(object) = catalog.find(&drop.name) else {
            if drop.if_exists {
                return Ok(command(tag));
            }
            return Err(missing(drop));
        };
        if object.kind() != drop.kind {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a {}", drop.name, drop.kind.words()),
            )
            .with_hint(format!(
                "it is a {}: use DROP {}",
                object.kind().words(),
                object.kind().keywords()
            )));
        }
        let dependents = catalog.dependents(&drop.name);
        if !drop.cascade && !dependents.is_empty() {
            return Err(depended_on(object, &dependents));
        }
        for object in dependents.iter().chain(std::iter::once(object)) {
            self.remove(object).await?;
        }
        Ok(command(tag))
    }

    async fn remove(&self, object: &Arc<Object>) -> Result<(), SqlError> {
        let handle = self.running().get(&object.name).cloned();
        if let Some(handle) = handle {
            handle.stop().await;
        }
        if let Err(error) = self.ports.catalog.remove(&object.name).await {
            // Nothing happened: the query goes on.
            self.launch(&object.name);
            return Err(error.into());
        }
        self.running().remove(&object.name);
        self.change_catalog(|catalog| catalog.remove(&object.name));
        if let Some(stored) = object.stored() {
            self.clear(&object.name, stored).await;
        }
        Ok(())
    }

    /// Clears away what a dropped query leaves behind.
    async fn clear(&self, name: &str, stored: &StoredQuery) {
        let names = QueryNames::new(name, stored);
        if let Err(error) = self.ports.epochs.retire(&names.transactional_id, &names.group).await {
            tracing::warn!(query = name, %error, "transactional id of a dropped query was not retired");
        }
        let mut topics = stored.owns.clone();
        topics.push(names.changelog);
        self.delete_topics(&topics).await;
        self.remove_state(&names.state_folder).await;
    }

    /// Deletes a state folder, which may not exist.
    #[expect(
        clippy::disallowed_methods,
        reason = "deleting blocks for the disk, and nothing waits for its success"
    )]
    pub(super) async fn remove_state(&self, folder: &str) {
        let path = self.config.state_dir.join(folder);
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err((path, error)),
            _ => Ok(()),
        });
        if let Ok(Err((path, error))) = removed.await {
            tracing::warn!(path = %path.display(), %error, "state of a dropped query was not deleted");
        }
    }
}

fn missing(drop: &Drop) -> SqlError {
    let kind = drop.kind.words();
    let code = match drop.kind {
        ObjectKind::Sink => SqlState::UNDEFINED_OBJECT,
        _ => SqlState::UNDEFINED_TABLE,
    };
    SqlError::new(code, format!("{kind} \"{}\" does not exist", drop.name))
}

fn depended_on(object: &Object, dependents: &[Arc<Object>]) -> SqlError {
    let names: Vec<String> = dependents
        .iter()
        .map(|d| format!("{} \"{}\"", d.kind().words(), d.name))
        .collect();
    SqlError::new(
        SqlState::DEPENDENT_OBJECTS,
        format!(
            "cannot drop {} \"{}\" because other objects depend on it: {}",
            object.kind().words(),
            object.name,
            names.join(", ")
        ),
    )
    .with_hint("use DROP ... CASCADE to drop them too")
}
