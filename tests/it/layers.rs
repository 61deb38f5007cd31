//! Each module may use those above it in `src/lib.rs`, and no others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn each_module_uses_only_those_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let tour = std::fs::read_to_string(source.join("lib.rs")).expect("there is a lib.rs");
    let order: Vec<&str> = tour
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert!(order.len() > 20, "these are few modules: {order:?}");
    let mut wrong = Vec::new();
    for (place, module) in order.iter().enumerate() {
        let may_use = &order[..=place];
        for file in files_of(&source, module) {
            let text = std::fs::read_to_string(&file).expect("it was just listed");
            for used in uses(&without_tests(&text)) {
                if !may_use.contains(&used.as_str()) {
                    let file = file.strip_prefix(&source).unwrap_or(&file).display();
                    wrong.push(format!("{file} uses {used}, which is below {module}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `<module>.rs`, or all that is in its folder, without files that are tests alone.
fn files_of(source: &Path, module: &str) -> Vec<PathBuf> {
    let file = source.join(format!("{module}.rs"));
    if file.exists() {
        return vec![file];
    }
    let (mut files, mut folders) = (Vec::new(), vec![source.join(module)]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("each module is a file or a folder");
        for entry in entries {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                files.push(path);
            }
        }
    }
    files
}

/// The names behind `crate::`, those of `crate::{a, b::c}` too, and not in comments.
fn uses(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => names.extend(first_names(group)),
            None => names.extend(first_name(rest)),
        }
    }
    names
}

fn first_name(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let name = &text[..end.unwrap_or(text.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// The names that the items of a group begin with: of `a, b::{c, d}}`, `a` and `b`.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut begins) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' => begins = depth == 0,
            c if begins && depth == 0 && !c.is_whitespace() => {
                names.extend(first_name(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// The text without what stands behind `#[cfg(test)]`. The source is formatted, so an item ends at
/// the first brace of its own indentation.
fn without_tests(text: &str) -> String {
    let mut lines = text.lines();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let is_short = lines.next().is_some_and(|item| item.ends_with([';', '}']));
        if !is_short {
            lines.find(|line| *line == end);
        }
    }
    kept
}

#[test]
fn uses_are_found_wherever_they_stand() {
    let text = "use crate::topic::Topic;\n// crate::comment\nuse crate::{\n    bus::{Bus, Inbox},\n    hub,\n};\nfn f() -> crate::price::Price { crate::auth::check() }\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\npub(crate) fn g() {}\n#[cfg(test)]\nuse crate::demo;\nuse crate::store;\n";
    let found: Vec<_> = uses(&without_tests(text)).into_iter().collect();
    assert_eq!(found, ["auth", "bus", "hub", "price", "store", "topic"]);
}
