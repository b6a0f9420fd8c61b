//! What the first owner's fields are called where the operator writes them, so that errors can name them.

use orgd::error::Error;

use super::sentence;

/// What the fields of the first owner and of their organization are called where the operator writes them.
pub(super) type OwnerNames = [(&'static str, &'static str); 5];

pub(super) fn option_names(password_stdin: bool) -> OwnerNames {
    [
        ("email", "--email"),
        ("organization", "--organization"),
        ("first_name", "--first-name"),
        ("password", if password_stdin { "--password-stdin" } else { "ORGD_BOOTSTRAP_PASSWORD" }),
        ("api_key", "ORGD_BOOTSTRAP_API_KEY"),
    ]
}

pub(super) const SETTING_NAMES: OwnerNames = [
    ("email", "--bootstrap-email (ORGD_BOOTSTRAP_EMAIL)"),
    ("organization", "--bootstrap-organization (ORGD_BOOTSTRAP_ORGANIZATION)"),
    ("first_name", "the first name"),
    ("password", "ORGD_BOOTSTRAP_PASSWORD"),
    ("api_key", "ORGD_BOOTSTRAP_API_KEY"),
];

/// The same, beginning with the name of what is wrong.
pub(super) fn sentence_by(names: &OwnerNames, cause: Error) -> String {
    let field = cause.envelope().attr;
    match names.iter().find(|(name, _)| Some(*name) == field) {
        Some((_, name)) => format!("{name}: {cause}"),
        None => sentence(cause),
    }
}
