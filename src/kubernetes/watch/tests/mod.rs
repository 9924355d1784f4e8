//! The index on timelines, and the whole on an API server in memory.

mod fake;
mod following;
mod timelines;
