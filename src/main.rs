//! The binary: installs the TLS provider, then does what the command line says.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tidegate::cli::main()
}
