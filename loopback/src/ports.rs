//! Ports of 127.0.0.1 that nobody listens on.

use std::net::TcpListener;

/// A free port. Somebody else may take it before a server does: whoever starts one tries again with another port.
pub fn free_port() -> u16 {
    let [port] = free_ports();
    port
}

/// Free ports, all different: each is held until the last one is found.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
