//! The printed custom resource definitions against tables of what they must say, and the types against manifests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as expected")]

mod compare;
mod generated;
mod manifests;
mod row;
mod tables;
