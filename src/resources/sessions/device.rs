//! What a browser says of itself, in words for people: "Firefox 120 on Windows".

/// Names of browsers and programs by what they write before their version. Many write the names of others
/// as well, so the first that fits counts.
const PROGRAMS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "Python"),
    ("Python-urllib/", "Python"),
    ("Go-http-client/", "Go"),
];

/// Systems by a word of theirs; phones before what they descend from.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// Says which program on which system a `User-Agent` means; what is not known is left out.
pub(super) fn name(user_agent: &str) -> String {
    let program = PROGRAMS.iter().find_map(|(mark, name)| {
        let (_, rest) = user_agent.split_once(mark)?;
        let version: String = rest.chars().take_while(char::is_ascii_digit).take(6).collect();
        Some(if version.is_empty() { (*name).to_owned() } else { format!("{name} {version}") })
    });
    let system = SYSTEMS.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program,
        (None, Some(system)) => format!("Unknown browser on {system}"),
        (None, None) => "Unknown device".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_user_agent_is_told_as_a_program_on_a_system() {
        for (user_agent, wanted) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0",
                "Firefox 120 on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "Chrome 131 on macOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.51",
                "Edge 131 on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
                "Safari 17 on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari 17 on iOS",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
                "Chrome 131 on Android",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
                "Firefox 131 on Linux",
            ),
            ("curl/8.5.0", "curl 8"),
            ("Mozilla/5.0 (X11; Linux x86_64)", "Unknown browser on Linux"),
            ("Firefox/", "Firefox"),
            ("", "Unknown device"),
            ("ünïcode\u{202e}", "Unknown device"),
        ] {
            assert_eq!(name(user_agent), wanted, "{user_agent}");
        }
    }
}
