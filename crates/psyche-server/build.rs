//! The web app is embedded from `web/dist`: build again when it changes. Nothing is downloaded or generated here.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
    println!("cargo::rerun-if-changed=assets");
}
