//! LIBMF built with OpenMP, as its own Makefile does, needs OpenMP's library.

fn main() {
    println!("cargo:rerun-if-env-changed=CXXFLAGS");
    if std::env::var("CXXFLAGS").is_ok_and(|flags| flags.contains("-fopenmp")) {
        println!("cargo:rustc-link-lib=gomp");
    }
}
