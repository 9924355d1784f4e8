//! Makes the messages and the client of external scalers out of their definition, if this build has that trigger.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    generate()
}

#[cfg(feature = "external")]
use external::generate;

/// There is nothing to make.
#[cfg(not(feature = "external"))]
#[expect(clippy::unnecessary_wraps, reason = "with the trigger it may fail")]
fn generate() -> Result<(), Box<dyn Error>> {
    Ok(())
}

#[cfg(feature = "external")]
mod external {
    use std::error::Error;
    use std::path::PathBuf;
    use std::{env, fs};

    const DEFINITION: &str = "proto/externalscaler.proto";

    /// The client goes into the crate. The server, in a folder of its own, is for the tests.
    pub(crate) fn generate() -> Result<(), Box<dyn Error>> {
        println!("cargo:rerun-if-changed={DEFINITION}");
        let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no folder")?);
        let server = folder.join("server");
        fs::create_dir_all(&server)?;
        let definition = protox::compile([DEFINITION], ["proto"])?;
        let client = tonic_prost_build::configure().build_server(false).out_dir(&folder);
        // What users pass on to their servers may be secret, so it cannot be printed.
        client.skip_debug(["ScaledObjectRef", "GetMetricsRequest"]).compile_fds(definition.clone())?;
        tonic_prost_build::configure().build_client(false).out_dir(&server).compile_fds(definition)?;
        Ok(())
    }
}
