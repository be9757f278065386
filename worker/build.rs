//! With the feature `cuda`: the GPU's kernels as PTX, by the CUDA compiler
//! that candle's own kernels are built with.

#[cfg(feature = "cuda")]
fn main() {
    use std::path::PathBuf;

    println!("cargo::rerun-if-changed=src/nn/cuda");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let ptx = cudaforge::KernelBuilder::new()
        .source_files(["src/nn/cuda/kernels.cu"])
        .watch(["src/nn/cuda/patches.h"])
        .arg("-O3")
        .build_ptx()
        .and_then(|ptx| ptx.write(out.join("ptx.rs")));
    if let Err(error) = ptx {
        // What cargo shows of a build that stops.
        eprintln!("compiling src/nn/cuda/kernels.cu: {error}");
        std::process::exit(1);
    }
}

#[cfg(not(feature = "cuda"))]
fn main() {}
