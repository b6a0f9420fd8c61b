//! A setting as it is shown.

use serde::Serialize;

/// The name of a setting, its value, and where the value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The variable, or the flag where there is none.
    pub name: String,
    /// `None`: unset.
    pub value: Option<String>,
    /// `flag`, `variable`, `file` with the line, `credential` or `default`.
    pub from: String,
    /// Whether it can hold nothing but a number, a boolean or a choice.
    #[serde(skip)]
    pub is_plain: bool,
}

impl Setting {
    /// Without what may be a secret, or name somebody or something: fit for a stranger's eyes.
    #[must_use]
    pub fn redacted(mut self) -> Setting {
        // What follows the word is the path of a file.
        self.from.truncate(self.from.find(' ').unwrap_or(self.from.len()));
        if !self.is_plain {
            let word = if self.from == "default" { "default" } else { "set" };
            self.value = self.value.map(|_| word.to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_hold_no_name_keeps_its_value() {
        let redacted = |value: Option<&str>, from: &str, is_plain| {
            let value = value.map(str::to_owned);
            let setting = Setting { name: "ORGD_X".into(), value, from: from.into(), is_plain }.redacted();
            (setting.value, setting.from)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(redacted(Some("7"), "flag", true), (text("7"), "flag".into()));
        assert_eq!(redacted(Some("7"), "file /home/ada/orgd.conf:3", true), (text("7"), "file".into()));
        assert_eq!(redacted(Some("ada"), "variable", false), (text("set"), "variable".into()));
        assert_eq!(redacted(Some("./orgd.redb"), "default", false), (text("default"), "default".into()));
        assert_eq!(redacted(None, "default", false), (None, "default".into()));
    }
}
