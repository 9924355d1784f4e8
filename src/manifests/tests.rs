use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;

fn documents(text: &str) -> Vec<Document> {
    parse(Path::new("a.yaml"), text).unwrap()
}

fn flaw(text: &str) -> String {
    parse(Path::new("a.yaml"), text).unwrap_err().to_string()
}

#[test]
fn documents_know_what_they_are_and_where_their_fields_stand() {
    let text = "# a comment\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n---\nkind: X\nmetadata: {name: x, namespace: shop}\n\
                spec:\n  list:\n  - a: 1\n    b.c/d: [2, 3]\n---\n# nothing\n";
    let all = documents(text);
    assert_eq!(all.len(), 2, "the last document is empty");
    let first = &all[0];
    assert_eq!((first.api_version(), first.kind(), first.namespace(), first.name()), ("v1", "Secret", "default", "s"));
    let second = &all[1];
    assert_eq!((second.api_version(), second.namespace()), ("", "shop"));
    let at = |path: &str| second.position(path).map(|at| (at.line, at.column)).unwrap();
    assert_eq!(at(""), (7, 1));
    assert_eq!(at("metadata.namespace"), (8, 21));
    assert_eq!(at("spec.list[0]"), (11, 5));
    assert_eq!(at("spec.list[0][b.c/d][1]"), (12, 16));
    assert_eq!(at("spec.list[0][b.c/nothing.here]"), (11, 5), "the nearest parent");
    assert_eq!(at("spec.list[7].a"), (10, 3));
    assert_eq!(at("nothing"), (7, 1));
    assert_eq!(second.value["spec"], json!({ "list": [{ "a": 1, "b.c/d": [2, 3] }] }));
}

#[test]
fn quotes_tags_and_block_texts_decide_the_type() {
    let all = documents("a: \"5\"\nb: '5'\nc: 5\nd: !!str 5\ne: !!int \"5\"\nf: |\n  5\ng: !mine 5\n1: x\nyes: y\n");
    let expected =
        json!({ "a": "5", "b": "5", "c": 5, "d": "5", "e": 5, "f": "5\n", "g": "5", "1": "x", "true": true });
    assert_eq!(all[0].value, expected);
}

#[test]
fn json_is_read_too() {
    let all = documents(
        "{\n\t\"kind\": \"X\",\n\t\"metadata\": {\"name\": \"a\\/\\u0041\", \"n\": -1.5e1, \"z\": null}\n}\n",
    );
    assert_eq!(all[0].value, json!({ "kind": "X", "metadata": { "name": "a/A", "n": -15, "z": null } }));
    assert_eq!(all[0].position("metadata.n").map(|at| at.line), Some(3));
}

#[test]
fn lists_are_taken_apart() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  metadata: {name: a}\n- kind: B\n";
    let all = documents(text);
    assert_eq!((all[0].kind(), all[0].name(), all[1].kind(), all[1].api_version()), ("A", "a", "B", ""));
    assert_eq!(all[0].position("metadata.name"), Some(Position { line: 5, column: 14 }));
    let text = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObjectList\nitems:\n- metadata: {name: a}\n";
    let all = documents(text);
    assert_eq!((all[0].kind(), all[0].api_version()), ("ScaledObject", "keda.sh/v1alpha1"));
    assert_eq!(documents("kind: AllowList\nspec: {}\n")[0].kind(), "AllowList", "a kind that only ends like a list");
}

#[test]
fn anchors_and_merges_are_followed() {
    let text = "base: &b {x: 1, w: 2}\none:\n  <<: *b\n  w: 3\ntwo:\n  <<: [*b, {z: 4, x: 9}]\nthree: *b\n";
    let value = &documents(text)[0].value;
    assert_eq!(value["one"], json!({ "x": 1, "w": 3 }));
    assert_eq!(value["two"], json!({ "x": 1, "w": 2, "z": 4 }));
    assert_eq!(value["three"], json!({ "x": 1, "w": 2 }));
    assert_eq!(documents("\"<<\": 1\n")[0].value, json!({ "<<": 1 }));
}

#[test]
fn mistakes_are_named_with_their_place() {
    let twice = "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n";
    assert_eq!(flaw(twice), "a.yaml:5:3 error has the key \"c\" twice; it stands in line 3 already");
    assert!(flaw("a: [1, 2\nb: 3\n").starts_with("a.yaml:2:"), "{}", flaw("a: [1, 2\nb: 3\n"));
    assert!(flaw("a: b: c\n").contains("error is not YAML: "), "{}", flaw("a: b: c\n"));
    assert!(flaw("name: {{ .Values.name }}\n").contains("a template must be rendered"));
    assert_eq!(
        flaw("just some words\n"),
        "a.yaml:1:1 error is not a Kubernetes object: a map with apiVersion and kind is needed"
    );
    assert!(flaw("a: .nan\n").contains("a.yaml:1:4 error .nan has no form in JSON"));
    assert!(flaw("<<: 5\n").contains("merges what is not a map"));
    assert!(flaw("a: &x [*x]\n").contains("alias"));
    assert!(flaw(": 5\n").contains("empty key"));
    assert!(flaw("a: *nobody\n").contains("is not YAML"));
}

#[test]
fn small_files_cannot_become_large() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        let _ = writeln!(bomb, "a{level}: &a{level} [{alias}]");
    }
    let broken = parse(Path::new("a.yaml"), &bomb).unwrap_err();
    assert_eq!((broken.reason(), broken.cause), ("FileTooLarge", Cause::TooLarge));
    let deep = format!("a: {}{}\n", "[".repeat(5_000), "]".repeat(5_000));
    assert!(parse(Path::new("a.yaml"), &deep).is_err());
    let mut chain = format!("a0: &a0 {}{}\n", "[".repeat(60), "]".repeat(60));
    for level in 1..5 {
        let _ = writeln!(chain, "a{level}: &a{level} {}*a{}{}", "[".repeat(60), level - 1, "]".repeat(60));
    }
    assert!(flaw(&chain).contains("nested more than 100 deep"));
}

#[test]
fn files_and_directories_are_found_in_order() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    write("b.yaml", "kind: B\n");
    write("a/z.yml", "kind: A\n");
    let json = write("c.json", "{\"kind\": \"C\"}");
    write("notes.txt", "kind: No\n");
    write(".hidden.yaml", "kind: No\n");
    let bad = write("bad.yaml", "a: 1\n a: 2\n");
    std::os::unix::fs::symlink(root.path(), root.path().join("loop")).unwrap();
    let missing = root.path().join("missing");
    let loaded = load(&[root.path().to_owned(), json, missing.clone()]);
    assert_eq!(loaded.documents.iter().map(Document::kind).collect::<Vec<_>>(), ["A", "B", "C"]);
    let broken: Vec<(PathBuf, &str)> = loaded.broken.iter().map(|b| (b.file.clone(), b.reason())).collect();
    assert_eq!(broken, [(missing, "FileUnreadable"), (bad, "FileMalformed")]);
}

#[test]
fn what_is_no_text_or_too_long_is_refused() {
    assert_eq!(text(Path::new("x"), &b"a: \xff"[..]).unwrap_err().message, "is not YAML: byte 3 is not UTF-8 text");
    let endless = std::io::repeat(b'a');
    assert_eq!(text(Path::new("x"), endless).unwrap_err().cause, Cause::TooLarge);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n\t&*!|>\u{e9}]{0,200}") {
        let _ = parse(Path::new("a.yaml"), &text);
    }

    #[test]
    fn any_json_is_read_back(keys in proptest::collection::btree_map("[a-z.\"\\\\ ]{0,6}", "\\PC{0,12}", 0..8)) {
        let value = serde_json::to_value(&keys).unwrap();
        let text = serde_json::to_string_pretty(&value).unwrap();
        proptest::prop_assert_eq!(&documents(&text)[0].value, &value);
    }
}
