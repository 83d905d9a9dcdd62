//! The suites and manifests are carried in the binary: a new file there means building again.

fn main() {
    println!("cargo::rerun-if-changed=suites");
    println!("cargo::rerun-if-changed=manifests");
}
