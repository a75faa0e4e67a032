//! Who this node is: `meta.properties` in the data folder, in Kafka's format (class `MetaProperties`).
//!
//! | key | what |
//! |---|---|
//! | `version` | 1 |
//! | `cluster.id` | 16 random bytes in URL-safe base64 without padding |
//! | `node.id` | number of the node |
//! | `tidemill.format.version` | version of the data folder's layout, 1 |
//!
//! **Crash rule:** the file is written beside its place, synced, and renamed, before anything else is put into the
//! folder. So a folder that holds metadata has an identity; one that lost it is not taken for new.

use std::io;
use std::path::Path;
use std::sync::Arc;

use protocol::ids::TopicId;
use storage::fs::{Fs, OpenMode, read_vec_at, write_all_at};
use uuid::Uuid;

use super::image::NodeId;

const FILE: &str = "meta.properties";
const NEW_FILE: &str = "meta.properties.new";
/// Folder of the cluster metadata log.
pub const METADATA_FOLDER: &str = "metadata";
const META_VERSION: &str = "1";
const FORMAT_VERSION: u32 = 1;
const FORMAT_KEY: &str = "tidemill.format.version";
/// No identity file is longer.
const LEN_MAX: usize = 64 * 1024;

/// The identity of a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: Arc<str>,
    /// The node.
    pub node_id: NodeId,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
    /// A file that is none.
    #[error("{path} does not say {key}")]
    Malformed {
        /// The file.
        path: String,
        /// The missing or unreadable key.
        key: &'static str,
    },
    /// A newer program wrote the folder.
    #[error("the data folder has format version {found}, and this program reads up to {FORMAT_VERSION}")]
    NewerFormat {
        /// Version of the folder.
        found: u32,
    },
    /// Another node's folder.
    #[error("the data folder belongs to node {found}, and node.id is {configured}")]
    OtherNode {
        /// Node of the folder.
        found: NodeId,
        /// Node of the configuration.
        configured: NodeId,
    },
    /// Metadata without an identity.
    #[error("{path} is missing although the folder holds metadata: it was lost or the folder is incomplete")]
    Lost {
        /// The missing file.
        path: String,
    },
}

impl Identity {
    /// Reads the identity of a data folder, or gives a new folder one. `fresh` becomes the cluster id then.
    pub fn open(fs: &dyn Fs, data_dir: &Path, node_id: NodeId, fresh: Uuid) -> Result<Self, IdentityError> {
        let path = data_dir.join(FILE);
        let at_file = |reason| IdentityError::Io {
            path: path.display().to_string(),
            reason,
        };
        if fs.exists(&path).map_err(at_file)? {
            let file = fs.open(&path, OpenMode::Read).map_err(at_file)?;
            let bytes = read_vec_at(file.as_ref(), 0, LEN_MAX).map_err(at_file)?;
            return Self::parse(&String::from_utf8_lossy(&bytes), &path, node_id);
        }
        if fs.exists(&data_dir.join(METADATA_FOLDER)).map_err(at_file)? {
            return Err(IdentityError::Lost {
                path: path.display().to_string(),
            });
        }
        let identity = Self {
            cluster_id: Arc::from(TopicId(fresh).to_string()),
            node_id,
        };
        identity.write(fs, data_dir).map_err(at_file)?;
        Ok(identity)
    }

    fn parse(text: &str, path: &Path, configured: NodeId) -> Result<Self, IdentityError> {
        let value = |key: &'static str| {
            let found = text
                .lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == key);
            found
                .map(|(_, value)| value.trim())
                .ok_or_else(|| IdentityError::Malformed {
                    path: path.display().to_string(),
                    key,
                })
        };
        let malformed = |key| IdentityError::Malformed {
            path: path.display().to_string(),
            key,
        };
        let format: u32 = value(FORMAT_KEY)?.parse().map_err(|_| malformed(FORMAT_KEY))?;
        if FORMAT_VERSION < format {
            return Err(IdentityError::NewerFormat { found: format });
        }
        let found: NodeId = value("node.id")?.parse().map_err(|_| malformed("node.id"))?;
        if found != configured {
            return Err(IdentityError::OtherNode { found, configured });
        }
        let cluster_id = value("cluster.id")?;
        if cluster_id.is_empty() {
            return Err(malformed("cluster.id"));
        }
        Ok(Self {
            cluster_id: Arc::from(cluster_id),
            node_id: found,
        })
    }

    fn write(&self, fs: &dyn Fs, data_dir: &Path) -> io::Result<()> {
        let text = format!(
            "version={META_VERSION}\ncluster.id={}\nnode.id={}\n{FORMAT_KEY}={FORMAT_VERSION}\n",
            self.cluster_id, self.node_id
        );
        let beside = data_dir.join(NEW_FILE);
        let file = fs.open(&beside, OpenMode::CreateEmpty)?;
        write_all_at(file.as_ref(), text.as_bytes(), 0)?;
        file.sync_data()?;
        fs.rename(&beside, &data_dir.join(FILE))?;
        fs.sync_dir(data_dir)
    }
}

#[cfg(test)]
mod tests {
    use storage::fs::DiskFs;

    use super::*;

    fn open(folder: &Path, node: NodeId) -> Result<Identity, IdentityError> {
        Identity::open(&DiskFs, folder, node, Uuid::from_u128(7))
    }

    #[test]
    fn a_folder_keeps_its_identity() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path(), 3).expect("a new folder");
        assert_eq!(first.cluster_id.len(), 22);
        assert_eq!(open(folder.path(), 3).expect("the same folder"), first);
        assert!(matches!(
            open(folder.path(), 4),
            Err(IdentityError::OtherNode {
                found: 3,
                configured: 4
            })
        ));
    }

    #[test]
    fn a_lost_identity_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        DiskFs
            .create_dir_all(&folder.path().join(METADATA_FOLDER))
            .expect("made");
        assert!(matches!(open(folder.path(), 1), Err(IdentityError::Lost { .. })));
    }

    #[test]
    fn newer_and_broken_files_are_refused() {
        let path = Path::new("meta.properties");
        let newer = "version=1\ncluster.id=x\nnode.id=1\ntidemill.format.version=2\n";
        assert!(matches!(
            Identity::parse(newer, path, 1),
            Err(IdentityError::NewerFormat { found: 2 })
        ));
        let broken = "version=1\nnode.id=1\ntidemill.format.version=1\n";
        assert!(matches!(
            Identity::parse(broken, path, 1),
            Err(IdentityError::Malformed { key: "cluster.id", .. })
        ));
    }
}
