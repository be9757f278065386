//! Compiles the contract with protox, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let file = "proto/ablate.proto";
    println!("cargo:rerun-if-changed={file}");
    let descriptors = protox::compile([file], ["proto"])?;
    let rpcs: Vec<String> = descriptors
        .file
        .iter()
        .flat_map(|file| file.service.iter().map(move |service| (file, service)))
        .flat_map(|(file, service)| {
            let rpc = move |name: &str| format!("/{}.{}/{name}", file.package(), service.name());
            service.method.iter().map(move |m| rpc(m.name()))
        })
        .collect();
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join("rpcs.rs");
    std::fs::write(out, format!("&{rpcs:?}"))?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
