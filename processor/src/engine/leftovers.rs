//! What a query leaves behind: its group, transactional id, topics and state folder. DROP clears them away, and whatever
//! it could not, or a CREATE that died half way had made already, is found here by its owner and cleared later: at every
//! start, and when a CREATE finds such a topic in its way.
//!
//! The changelog goes last. As long as it is there, its name and its owner tell which group and which transactional id
//! are still to be cleared.

use std::collections::HashSet;

use uuid::Uuid;

use super::Engine;
use super::create::QueryNames;
use crate::catalog::Object;
use crate::crash;
use crate::ports::PortError;

impl Engine {
    /// Clears away what a query leaves behind: all that [`QueryNames`] names, and the topics that it alone wrote.
    pub(super) async fn clear(&self, names: &QueryNames, topics: &[String]) {
        let retired = self.retire(names, true).await;
        self.delete_topics(topics).await;
        self.remove_state(&names.state_folder).await;
        crash::pass(crash::BEFORE_CHANGELOG_DELETED);
        self.forget_changelog(names, retired).await;
    }

    /// Clears away everything that belongs to a query which no object of the catalog has. Only while `changes` is held.
    pub(super) async fn clear_leftovers(&self) {
        let catalog = self.catalog();
        if catalog.objects().any(|object| object.is_unreadable()) {
            // Whose they are is not known: a newer version's objects are back once that version is.
            tracing::warn!("what dropped queries left is kept, since not every stored object can be read");
            return;
        }
        let stored = || catalog.objects().filter_map(|o| Some((o, o.stored()?)));
        let ids: HashSet<&str> = stored().map(|(_, query)| query.id.as_str()).collect();
        let live: Vec<QueryNames> = stored().map(|(o, query)| QueryNames::new(&o.name, query)).collect();
        for topic in self.ports.topics.owned() {
            match QueryNames::of_changelog(&topic) {
                None if ids.contains(&*topic.owner) => {}
                None => self.delete_topics(&[topic.name.to_string()]).await,
                Some(names) if live.iter().any(|l| l.changelog == names.changelog) => {}
                Some(names) => {
                    // A query that was created since under the same name has the group now.
                    let own_group = !live.iter().any(|l| l.group == names.group);
                    let retired = self.retire(&names, own_group).await;
                    self.forget_changelog(&names, retired).await;
                }
            }
        }
        for folder in self.state_folders() {
            if !live.iter().any(|l| l.state_folder == folder) {
                self.remove_state(&folder).await;
            }
        }
    }

    /// True where a topic of that name belongs to a query that no object has.
    pub(super) fn is_leftover(&self, topic: &str) -> bool {
        let owned = self.ports.topics.owned();
        let Some(found) = owned.iter().find(|owned| &*owned.name == topic) else {
            return false;
        };
        let catalog = self.catalog();
        !catalog.objects().any(|o| o.is_unreadable() || is_of(o, &found.owner))
    }

    async fn retire(&self, names: &QueryNames, own_group: bool) -> Result<(), PortError> {
        if own_group {
            self.ports
                .epochs
                .delete_progress_group(&names.transactional_id, &names.group)
                .await?;
        }
        crash::pass(crash::AFTER_GROUP_DELETED);
        self.ports.epochs.remove_transactional_id(&names.transactional_id).await
    }

    async fn forget_changelog(&self, names: &QueryNames, retired: Result<(), PortError>) {
        match retired {
            Ok(()) => self.delete_topics(std::slice::from_ref(&names.changelog)).await,
            Err(error) => tracing::warn!(
                group = names.group,
                transactional_id = names.transactional_id,
                %error,
                "a dropped query could not be forgotten; the next start tries again"
            ),
        }
    }

    /// Deletes a state folder, which may not exist.
    #[expect(
        clippy::disallowed_methods,
        reason = "deleting blocks for the disk, and nothing waits for its success"
    )]
    async fn remove_state(&self, folder: &str) {
        let path = self.config.state_dir.join(folder);
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err((path, error)),
            _ => Ok(()),
        });
        if let Ok(Err((path, error))) = removed.await {
            tracing::warn!(path = %path.display(), %error, "state of a dropped query was not deleted");
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

fn is_of(object: &Object, id: &str) -> bool {
    object.stored().is_some_and(|query| query.id == id)
}

/// Whether a folder has the name of a query's state, as [`QueryNames`] makes it. Anything else in the folder is not ours.
fn is_state_folder(name: &str) -> bool {
    let parts = name.rsplit_once('-');
    parts.is_some_and(|(id, generation)| Uuid::parse_str(id).is_ok() && generation.parse::<u32>().is_ok())
}
