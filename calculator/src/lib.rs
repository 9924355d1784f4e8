//! The pure core of Tidegate: what a policy, its memory and an observation decide at one moment.
//!
//! Nothing here reads a clock, a file or a socket. [`source`] holds the words that readers of demand share with the rest.
#![forbid(unsafe_code)]

pub mod behavior;
pub mod calendar;
pub mod decide;
pub mod decision;
pub mod explain;
pub mod hpa;
pub mod memory;
pub mod observation;
pub mod operation;
pub mod policy;
pub mod rules;
pub mod source;
pub mod time;
