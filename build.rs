//! Finds the migrations, so that adding a file is all it takes to add one, verifies the embedding model that becomes part of the binary,
//! and puts in the vendor's keys and the date.

#![expect(clippy::expect_used, clippy::panic, reason = "a build script has nobody to return an error to: it stops the build with a message")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use sha2::{Digest as _, Sha256};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    migrations(Path::new(&root), Path::new(&out));
    model(Path::new(&root));
    licence_keys(Path::new(&out));
    revocations(Path::new(&out));
    build_date(Path::new(&root));
    // Functions that came out the same, of many generic ones, stand once; lld, which Rust links with, knows how.
    println!("cargo::rustc-link-arg-bin=onsite=-Wl,--icf=all");
    // Two megabytes of a static-pie binary's relocations as a bitmap, which glibc reads since 2.36 (Debian 12).
    println!("cargo::rustc-link-arg-bin=onsite=-Wl,-z,pack-relative-relocs");
}

/// Writes `revocations.onsite`: the vendor's newest revocation list, so that an update brings it along. Without `LICENSE_REVOCATIONS_FILE`
/// it is empty.
fn revocations(out: &Path) {
    println!("cargo::rerun-if-env-changed=LICENSE_REVOCATIONS_FILE");
    let text = env::var("LICENSE_REVOCATIONS_FILE").ok().filter(|path| !path.trim().is_empty()).map(|path| {
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("LICENSE_REVOCATIONS_FILE: {path}: {error}"));
        assert!(text.contains("ONSITEREV1"), "LICENSE_REVOCATIONS_FILE: {path} holds no revocation list (onsite license revoke makes one)");
        text
    });
    fs::write(out.join("revocations.onsite"), text.unwrap_or_default()).expect("OUT_DIR is writable");
}

/// Writes `license_keys.pem`: the trust anchor of a release build. Without `LICENSE_PUBLIC_KEY_PEM` it is empty: a development build.
fn licence_keys(out: &Path) {
    println!("cargo::rerun-if-env-changed=LICENSE_PUBLIC_KEY_PEM");
    let keys = env::var("LICENSE_PUBLIC_KEY_PEM").unwrap_or_default();
    assert!(
        keys.trim().is_empty() || keys.contains("-----BEGIN PUBLIC KEY-----"),
        "LICENSE_PUBLIC_KEY_PEM is set and holds no PUBLIC KEY block: unset it for a development build, or give the keys to build in"
    );
    fs::write(out.join("license_keys.pem"), keys).expect("OUT_DIR is writable");
}

/// Passes on a moment that has passed: `SOURCE_DATE_EPOCH`, else the last commit's time, else 0. Never the time of the build itself,
/// so that the same source gives the same binary.
fn build_date(root: &Path) {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let commit = || {
        let log = std::process::Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root).output().ok()?;
        String::from_utf8(log.stdout).ok()
    };
    let seconds = env::var("SOURCE_DATE_EPOCH").ok().or_else(commit).and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    println!("cargo::rustc-env=ONSITE_BUILD_SECONDS={seconds}");
}

/// Stops the build, with the command to run, unless the files of the model are the released ones.
fn model(root: &Path) {
    let sums = root.join("packaging/model.sums");
    println!("cargo::rerun-if-changed={}", sums.display());
    for line in fs::read_to_string(&sums).expect("packaging/model.sums is readable").lines() {
        let (expected, name) = line.split_once("  ").expect("a line of packaging/model.sums is a SHA-256, two spaces and a name");
        let path = root.join("assets/model").join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        let state = match fs::read(&path) {
            Ok(bytes) if hex(&Sha256::digest(&bytes)) == expected => continue,
            Ok(_) => "is not the released file (its SHA-256 differs)",
            Err(_) => "is missing",
        };
        println!("cargo::error=the embedding model is part of the binary, and assets/model/{name} {state}. Run: packaging/fetch-model");
        std::process::exit(1);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
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
