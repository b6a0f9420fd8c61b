//! What a person at a terminal sees, by way of `script`.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::json;

use super::World;
use crate::support::program;

impl World {
    /// What a terminal of this width shows while the command runs; the text is typed when the prompt is there.
    fn at_terminal(
        &self,
        columns: usize,
        command: &str,
        typed: Option<(&str, &str)>,
        more: &[(&str, &str)],
    ) -> Option<String> {
        let script = program("script", "bsdutils")?;
        let path = std::path::Path::new(env!("CARGO_BIN_EXE_orgd")).display().to_string();
        let line = format!("stty cols {columns}; {} ; echo ended with $?", command.replace("orgd", &path));
        let pattern = self.bare(&[]);
        let mut shell = Command::new(script);
        for (name, value) in pattern.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.args(["-qec", &line, "/dev/null"]).current_dir(self.folder.path()).env("TERM", "xterm");
        shell.env("ORGD_URL", self.base()).env("ORGD_KEY", &self.key).envs(more.iter().copied());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().expect("script runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut shown = Vec::new();
        if let Some((prompt, text)) = typed {
            let mut byte = [0];
            while !String::from_utf8_lossy(&shown).contains(prompt)
                && stdout.read(&mut byte).is_ok_and(|read| read > 0)
            {
                shown.extend_from_slice(&byte);
            }
            stdin.write_all(text.as_bytes()).expect("it is typed");
        }
        stdout.read_to_end(&mut shown).expect("it ends");
        drop(stdin);
        child.wait().expect("it ends");
        Some(String::from_utf8(shown).expect("text").replace('\r', ""))
    }
}

#[test]
fn a_table_has_titles_and_fits() {
    let world = World::new();
    for name in ["東京本社のエンジニア部門", "Équipe 👩‍💻 données", "Engineers"] {
        world.api("POST", "/api/organizations/@current/roles/", &json!({"name": name}));
    }
    for columns in [60, 80, 200] {
        let Some(shown) = world.at_terminal(columns, "orgd role list", None, &[]) else { return };
        assert!(shown.contains("\u{1b}[1mNAME"), "{shown}");
        assert!(shown.contains("Engineers") && shown.contains("ended with 0"), "{shown}");
        let plain =
            world.at_terminal(columns, "orgd role list", None, &[("NO_COLOR", "1")]).expect("script runs");
        assert!(!plain.contains('\u{1b}') && plain.contains("NAME"), "{plain}");
        let is_whole =
            plain.contains("東京本社のエンジニア部門") && plain.lines().all(|line| !line.contains('…'));
        assert_eq!(is_whole, columns == 200, "{plain}");
        for line in plain.lines() {
            // Signs that take two columns are not counted as one.
            let wide = line.chars().filter(|letter| ('\u{3000}'..='\u{9fff}').contains(letter)).count();
            let joined = line.chars().filter(|letter| matches!(letter, '👩' | '\u{200d}' | '💻')).count();
            assert!(line.chars().count() + wide - joined.min(1) <= columns + 1, "{columns}: {line}");
        }
    }
}

#[test]
fn whoever_deletes_types_the_name() {
    let world = World::new();
    let role = |name: &str| world.api("POST", "/api/organizations/@current/roles/", &json!({"name": name})).0;
    assert_eq!(role("Engineers"), 201);
    let count = || world.text(&["role", "list"]).lines().count();
    for typed in ["no\n", "\n", "engineers\n", "yes\n"] {
        let Some(shown) =
            world.at_terminal(80, "orgd role delete engineers", Some(("to go on: ", typed)), &[])
        else {
            return;
        };
        assert!(shown.contains("Type Engineers to go on") && shown.contains("nothing was done"), "{shown}");
        assert!(shown.contains("ended with 1"), "{shown}");
        assert_eq!(count(), 1);
    }
    let shown = world
        .at_terminal(80, "orgd role delete engineers", Some(("to go on: ", "Engineers\n")), &[])
        .expect("script runs");
    assert!(shown.contains("Deleted: Engineers.") && shown.contains("ended with 0"), "{shown}");
    assert_eq!(count(), 0);
}

#[test]
fn a_key_that_is_typed_is_not_shown() {
    let world = World::new();
    let command = format!("orgd auth login --url {}; stty -a | grep -w echo", world.base());
    let key = format!("{}\n", world.key);
    let Some(shown) = world.at_terminal(80, &command, Some(("Key for http://127.0.0.1", &key)), &[]) else {
        return;
    };
    assert!(
        shown.contains("Key for http://127.0.0.1") && shown.contains("Stored as the profile default"),
        "{shown}"
    );
    assert!(shown.contains("Scopes:"), "{shown}");
    assert!(!shown.contains(&world.key), "{shown}");
    // The terminal shows again what is typed.
    assert!(shown.contains("ended with 0") && !shown.contains("-echo "), "{shown}");
}
