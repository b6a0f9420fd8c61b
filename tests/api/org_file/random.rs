//! Random organizations go through a file and come out the same; random text is refused or read, and never more.

use orgd::org_file;
use orgd::org_file::export::Wish;
use orgd::org_file::plan::Options;

use super::world::{WHOLE, lines};
use crate::support::Server;

/// A small generator whose numbers are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % end
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const WORDS: &[&str] =
    &["Web", "App", "a: b", "no", "1e3", "# x", "Ärger", "日本", "it's", "\\\"q\\\"", "null", "- d", "x y z"];

/// A seed with a bit of everything.
fn organization(random: &mut Random) -> String {
    let people = 1 + random.below(6);
    let email = |person: usize| format!("p{person}@example.com");
    let mut text = "orgd: 1\nusers:\n".to_owned();
    for person in 0..people {
        text += &format!("  - {{email: {}, first_name: \"{}\"}}\n", email(person), random.of(WORDS));
    }
    text += &format!(
        "organizations:\n  - slug: o\n    name: \"{}\"\n    settings: {{members_can_invite: {}, enforce_2fa: {}}}\n",
        random.of(WORDS),
        random.is(2),
        random.of(&["true", "null", "false"])
    );
    text += "    members:\n";
    for person in 0..people {
        let level = if person == 0 { "owner" } else { random.of(&["member", "admin", "owner"]) };
        text += &format!("      - {{email: {}, level: {level}}}\n", email(person));
    }
    text += "    roles:\n";
    let roles = 1 + random.below(4);
    for (role, word) in WORDS.iter().enumerate().take(roles) {
        let members: Vec<String> = (0..people).filter(|_| random.is(2)).map(email).collect();
        text += &format!("      - {{name: \"R{role} {word}\", members: [{}]}}\n", members.join(", "));
    }
    if random.is(2) {
        text += &format!("    default_role: \"R0 {}\"\n", WORDS[0]);
    }
    text += "    projects:\n";
    for project in 0..1 + random.below(4) {
        text += &format!(
            "      - name: \"P{project} {}\"\n        timezone: {}\n",
            random.of(WORDS),
            random.of(&["UTC", "Europe/Lisbon"])
        );
        text += &format!(
            "        settings: {{access_control: {}, app_urls: [\"https://a.example.com\"], session_recording_sample_rate: {}, tags: [\"{}\"], surveys_opt_in: {}}}\n",
            random.is(3),
            random.of(&["0.5", "1", "null"]),
            random.of(WORDS),
            random.of(&["true", "null"])
        );
        if random.is(2) {
            text += &format!(
                "        access: {{default: {}, members: {{{}: admin}}, roles: {{\"R0 {}\": {}}}, resources: {{notebook: {{default: editor}}}}}}\n",
                random.of(&["none", "member"]),
                email(random.below(people)),
                WORDS[0],
                random.of(&["none", "member", "admin"])
            );
        }
        if random.is(2) {
            text += &format!(
                "        exports:\n          - {{name: \"e {}\", interval: {}, paused: {}, destination: {{type: NoOp, config: {{arg: \"{}\"}}}}}}\n",
                random.of(WORDS),
                random.of(&["hour", "day"]),
                random.is(2),
                random.of(WORDS)
            );
        }
    }
    if random.is(2) {
        text += "    invites: [{email: i@example.com, level: admin, message: \"a\\nb\"}]\n";
    }
    if random.is(2) {
        text += "    domains: [{domain: d.example.com, saml_entity_id: \"\"}]\n";
    }
    if random.is(2) {
        text += "    proxies: [{domain: e.example.com}]\n";
    }
    text
}

#[test]
fn what_is_exported_makes_the_same_on_an_empty_file() {
    let mut random = Random(0x5eed_0000_0001);
    for round in 0..24 {
        let text = organization(&mut random);
        let first = Server::start();
        first.seed(&text).unwrap_or_else(|cause| panic!("round {round}: {cause}\n{text}"));
        let exported = first.export(&Wish::default());
        let plan = first.plan_of(&exported, Options::default()).unwrap();
        assert_eq!(lines(&plan), [""; 0], "round {round}\n{exported}");
        let second = Server::start();
        second
            .apply(&exported, Options::default())
            .unwrap_or_else(|cause| panic!("round {round}: {cause:?}\n{exported}"));
        assert_eq!(second.export(&Wish::default()), exported, "round {round}");
        assert!(second.apply(&exported, Options::default()).unwrap().is_empty(), "round {round}");
        // A template makes the same but for identifiers.
        let bare = Wish { organizations: vec!["o".into()], without_ids: true };
        let third = Server::start();
        third.apply(&first.export(&bare), Options::default()).unwrap();
        assert_eq!(third.export(&bare), first.export(&bare), "round {round}");
        assert_eq!(
            org_file::fmt::formatted(&exported).unwrap(),
            exported,
            "round {round}: an export is in its form"
        );
    }
}

#[test]
fn broken_text_is_refused_and_never_does_harm() {
    let mut random = Random(0x5eed_0000_0002);
    let letters = b" \n\t:-{}[],&*!|>'\"%@`#?~0a\xc3\x00";
    let started = Server::start();
    started.seed(WHOLE).unwrap();
    let before = started.rows();
    for _ in 0..4000 {
        let mut bytes = WHOLE.as_bytes().to_vec();
        for _ in 0..1 + random.below(6) {
            let place = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[place] = letters[random.below(letters.len())],
                1 => bytes.insert(place, letters[random.below(letters.len())]),
                2 => bytes.truncate(place.max(1)),
                _ => {
                    let end = (place + random.below(40)).min(bytes.len());
                    let part: Vec<u8> = bytes[place..end].to_vec();
                    let to = random.below(bytes.len());
                    bytes.splice(to..to, part);
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        // Whatever comes of it, it comes as a value.
        let _ = org_file::read(&[&text]);
        let _ = org_file::fmt::formatted(&text);
    }
    assert!(started.rows() == before);
}
