//! Finds the migrations, so that adding a file is all it takes to add one.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    migrations(Path::new(&root), Path::new(&out));
}

/// Writes `migrations.rs`: the numbered files in order, with their text.
fn migrations(root: &Path, out: &Path) {
    let folder = root.join("src/store/migrations");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("src/store/migrations is readable")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    names.sort();
    let mut code = String::from("&[\n");
    for (index, name) in names.iter().enumerate() {
        let number: usize =
            name.split('_').next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{name}: a migration is named NNNN_what.sql"));
        assert_eq!(number, index + 1, "{name}: migrations are numbered without gaps");
        let path = folder.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        let stem = name.trim_end_matches(".sql");
        writeln!(code, "    Migration {{ name: {stem:?}, sql: include_str!({:?}) }},", path.display().to_string()).expect("writing to a string");
    }
    code.push_str("]\n");
    fs::write(out.join("migrations.rs"), code).expect("OUT_DIR is writable");
}
