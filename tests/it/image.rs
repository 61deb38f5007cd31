//! What can be said of the Dockerfile without building an image.

use std::path::Path;
use std::process::Command;

/// Its instructions, with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    read("Dockerfile")
        .replace("\\\n", " ")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(instruction, rest)| (instruction.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn all(instruction: &str) -> Vec<String> {
    let mut found = instructions();
    found.retain(|(name, _)| name == instruction);
    assert!(!found.is_empty(), "no {instruction} in the Dockerfile");
    found.into_iter().map(|(_, rest)| rest).collect()
}

fn environment() -> Vec<(String, String)> {
    all("ENV")
        .iter()
        .flat_map(|line| line.split_whitespace())
        .map(|pair| pair.split_once('=').expect("NAME=value"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn what_the_image_copies_is_there_and_let_through() {
    let ignore = read(".dockerignore");
    for line in all("COPY") {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words[0].starts_with("--from=") {
            continue;
        }
        words.pop();
        for path in words {
            assert!(root().join(path).exists(), "{path} is not there");
            let let_through = ignore.lines().any(|line| line == format!("!{path}"));
            assert!(let_through, ".dockerignore keeps {path} back");
        }
    }
}

/// Without a file for each of them cargo does not read `Cargo.toml`, whatever it is to build.
#[test]
fn the_image_has_the_benchmarks_that_the_manifest_names() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let copied = all("COPY").join(" ");
    let copied: Vec<&str> = copied.split_whitespace().collect();
    let benchmarks = manifest["bench"].as_array().unwrap();
    for benchmark in benchmarks {
        let path = format!("benches/{}.rs", benchmark["name"].as_str().unwrap());
        assert!(copied.contains(&path.as_str()), "{path} is not copied");
    }
}

#[test]
fn the_image_is_built_by_the_rust_and_the_profile_of_this_project() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let rust = manifest["package"]["rust-version"].as_str().unwrap();
    assert!(all("FROM")[0].starts_with(&format!("rust:{rust}-")));
    let build = all("RUN").remove(0);
    let mut words = build
        .split_whitespace()
        .skip_while(|word| *word != "--profile");
    let profile = words.nth(1).expect("a profile");
    assert!(manifest["profile"].get(profile).is_some(), "{profile}");
    let built = format!("--from=build /tidings/target/{profile}/tidings ");
    assert!(all("COPY").iter().any(|line| line.starts_with(&built)));
}

#[test]
fn the_environment_of_the_image_is_settings() {
    let environment = environment();
    let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["config", "print"])
        .env_clear()
        .envs(environment.iter().cloned())
        .output()
        .expect("tidings runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let settings = String::from_utf8(output.stdout).unwrap();
    for (_, value) in &environment {
        assert!(
            settings.contains(&format!("\"{value}\"")),
            "{value} is not in {settings}"
        );
    }
}

#[test]
fn the_image_listens_where_it_says_and_keeps_what_it_owns() {
    let value = |name: &str| {
        let mut pairs = environment().into_iter();
        pairs.find(|pair| pair.0 == name).expect(name).1
    };
    let port = all("EXPOSE").remove(0);
    assert_eq!(value("TIDINGS_SERVER__LISTEN"), format!("0.0.0.0:{port}"));
    assert_eq!(value("TIDINGS_STORE__DIRECTORY"), all("VOLUME").remove(0));
    assert_ne!(all("USER").remove(0), "root");
}
