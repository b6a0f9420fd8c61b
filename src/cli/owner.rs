//! What the first owner's fields are called where the operator writes them, so that errors can name them.

use orgd::control::Failure;
use orgd::error::Error;

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

/// What the operator reads of an error, beginning with the name of what is wrong.
pub(super) fn sentence_by(names: &OwnerNames, cause: Error) -> String {
    named(names, cause.into())
}

/// The same of a request's failure.
pub(super) fn named(names: &OwnerNames, Failure { sentence, field }: Failure) -> String {
    match names.iter().find(|(name, _)| Some(*name) == field.as_deref()) {
        Some((_, name)) => format!("{name}: {sentence}"),
        None => sentence,
    }
}
