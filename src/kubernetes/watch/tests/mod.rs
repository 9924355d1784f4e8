//! The index on timelines, and the whole on an API server in memory.

mod counted;
mod faults;
mod following;
mod latest;
mod timelines;

mod ending;
