//! `DROP`. The object is gone once the catalog's store says so; what it leaves behind is cleared away afterwards. Where
//! that fails, or the broker dies meanwhile, [`super::leftovers`] does it. DROP works while a query is failing.

use std::sync::Arc;

use super::create::QueryNames;
use super::{Engine, SqlError, SqlState, StatementResult, command};
use crate::catalog::Object;
use crate::crash;
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
        crash::pass(crash::AFTER_OBJECT_REMOVED);
        if let Some(stored) = object.stored() {
            self.clear(&QueryNames::new(&object.name, stored), &stored.owns).await;
        }
        Ok(())
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
