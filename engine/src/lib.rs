//! The engine of Tidegate: inputs go in, commands come out, and one owner keeps all objects and their memory.
//!
//! [`Engine`](core::Engine) does no I/O and reads no clock; feature `driver` adds the tokio driver that runs its commands through the [`ports`].
#![forbid(unsafe_code)]

pub mod core;
mod defect;
#[cfg(feature = "driver")]
pub mod driver;
mod gate;
mod life;
mod object;
mod operate;
mod pass;
mod phase;
#[cfg(feature = "driver")]
pub mod ports;
pub mod protocol;
mod read;
mod record;
pub mod snapshot;
pub mod subject;
pub mod tally;
mod target;
mod view;
mod write;

pub use operate::{AftermathError, Left, PERFORM_DEADLINE, Rest};
pub use read::READ_DEADLINE;
pub use record::STORE_DEADLINE;
pub use target::REFRESH_DEADLINE;
pub use write::APPLY_DEADLINE;
