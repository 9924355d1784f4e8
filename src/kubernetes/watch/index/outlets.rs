//! What the index tells others through: everything in it is shared with them.

use std::sync::Arc;

use crate::kubernetes::holds::Holds;
use crate::kubernetes::kept::Kept;
use crate::kubernetes::known::Known;
use crate::kubernetes::objects::Feed;
use crate::kubernetes::surroundings::counter::Counts;
use crate::kubernetes::watch::attention::Attention;
use crate::kubernetes::watch::directory::Directory;

/// What the index tells others through.
#[derive(Clone, Debug)]
pub(in crate::kubernetes) struct Outlets {
    pub(in crate::kubernetes) feed: Arc<Feed>,
    pub(in crate::kubernetes) known: Known,
    pub(in crate::kubernetes) holds: Holds,
    pub(in crate::kubernetes) directory: Directory,
    pub(in crate::kubernetes) attention: Attention,
    pub(in crate::kubernetes) counts: Counts,
    pub(in crate::kubernetes) kept: Kept,
}

impl Default for Outlets {
    fn default() -> Self {
        let attention = Attention::default();
        Self {
            feed: Arc::default(),
            known: Known::default(),
            holds: Holds::default(),
            directory: Directory::default(),
            kept: Kept::new(attention.clone()),
            attention,
            counts: Counts::default(),
        }
    }
}
