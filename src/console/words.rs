//! What people read, where it is said more than once: labels and helps of fields, choices, levels, and what a form
//! has done.

use std::borrow::Cow;

use crate::api::Level;
use crate::api::fields::FieldKind;

/// Name, label and help of every field that a form shows.
const FIELDS: &[(&str, &str, &str)] = &[
    // People
    ("email", "E-mail", ""),
    (
        "password",
        "Password",
        "At least 8 characters. Three unrelated words are better than one with signs in it.",
    ),
    ("current_password", "Your password now", ""),
    ("first_name", "First name", ""),
    ("last_name", "Last name", ""),
    ("organization_name", "Organization", "Your company or team. It can be changed later."),
    ("role_at_organization", "What you do there", ""),
    ("token", "Code", "Six digits from your authenticator app, or one of your recovery codes."),
    ("theme_mode", "Colours", ""),
    ("anonymize_data", "Leave my name out of analytics", ""),
    ("set_current_organization", "Current organization", "What API clients mean by @current."),
    ("set_current_team", "Current project", "What API clients mean by @current."),
    ("allow_impersonation", "Let the operator act as me", ""),
    (
        "setup_code",
        "Set-up code",
        "The server printed it when it started. Look into its log: journalctl -u orgd, or docker logs.",
    ),
    // Organizations
    ("name", "Name", ""),
    (
        "enforce_2fa",
        "Everybody needs two-factor authentication",
        "Whoever has none is asked to set it up before anything else.",
    ),
    ("is_member_join_email_enabled", "Tell members by e-mail when somebody joins", ""),
    ("members_can_invite", "Members may invite people", "Otherwise only admins and owners may."),
    ("members_can_create_projects", "Members may make projects", "Otherwise only admins and owners may."),
    (
        "members_can_use_personal_api_keys",
        "Members may use personal API keys",
        "Otherwise only keys of admins and owners work here.",
    ),
    ("members_can_see_org_members", "Members see who else is here", ""),
    (
        "enforce_verified_domains",
        "Only addresses of verified domains",
        "People with other addresses can neither be invited nor sign in to this organization.",
    ),
    ("allow_publicly_shared_resources", "Allow public sharing", "Kept for clients; orgd shares nothing."),
    ("default_role_id", "Role of new members", "Whoever joins is put into this role."),
    ("default_anonymize_ips", "New projects drop IP addresses", ""),
    (
        "is_ai_data_processing_approved",
        "Allow processing by AI",
        "Kept for clients; orgd sends nothing to AI services.",
    ),
    (
        "is_ai_training_opted_in",
        "Allow training of AI",
        "Kept for clients; orgd sends nothing to AI services.",
    ),
    ("read_only_mcp_access", "MCP clients only read", "Kept for clients."),
    ("default_experiment_stats_method", "Statistics of experiments", "Kept for clients."),
    ("logo_media_id", "Logo", "The identifier of an uploaded image. Kept for clients."),
    // Members and invites
    ("level", "Level", "Members use the organization, admins manage it, owners can delete it."),
    ("target_email", "E-mail", ""),
    ("addresses", "E-mail addresses", "One a line, at most 20."),
    ("message", "Message", "It is quoted in the invitation."),
    ("send_email", "Send an e-mail", "Otherwise you pass the link on yourself."),
    ("combine_pending_invites", "Join with open invites to the same address", ""),
    ("private_project_access", "Private projects", "What the person may open from the start."),
    ("step_at_delegation", "Step", ""),
    // Roles
    ("user_uuid", "Person", ""),
    ("feature_flags_access_level", "Feature flags", "Kept for clients; orgd has no feature flags."),
    ("is_default", "New members get this role", ""),
    ("role", "Role", ""),
    ("organization_member", "Member", ""),
    ("access_level", "Access", ""),
    // Projects
    ("timezone", "Time zone", ""),
    ("access_control", "Private project", "Only people and roles that are added, admins and owners see it."),
    ("anonymize_ips", "Drop IP addresses", "Events are stored without the address that they came from."),
    ("app_urls", "Addresses of your app", "One a line."),
    ("autocapture_opt_out", "Turn autocapture off", ""),
    ("autocapture_exceptions_opt_in", "Capture exceptions", ""),
    ("autocapture_web_vitals_opt_in", "Capture web vitals", ""),
    ("capture_console_log_opt_in", "Record the console", ""),
    ("capture_performance_opt_in", "Record network timing", ""),
    ("session_recording_opt_in", "Record sessions", "Kept for clients; orgd stores no recordings."),
    ("session_recording_sample_rate", "Share of sessions", "Between 0 and 1."),
    (
        "session_recording_minimum_duration_milliseconds",
        "Shortest session",
        "In milliseconds, at most 15,000.",
    ),
    ("session_recording_retention_period", "Keep recordings for", ""),
    ("recording_domains", "Recorded domains", "One a line."),
    (
        "person_display_name_properties",
        "Properties that name a person",
        "One a line; the first that a person has is shown.",
    ),
    ("live_events_columns", "Columns of live events", "One a line."),
    ("slack_incoming_webhook", "Slack webhook", ""),
    ("surveys_opt_in", "Surveys", "Kept for clients; orgd has none."),
    ("heatmaps_opt_in", "Heatmaps", "Kept for clients; orgd has none."),
    ("inject_web_apps", "Web apps", "Kept for clients."),
    ("test_account_filters_default_checked", "Leave out test accounts by default", ""),
    ("week_start_day", "First day of the week", ""),
    ("primary_dashboard", "First dashboard", "Kept for clients; orgd has none."),
    ("completed_snippet_onboarding", "The snippet is installed", ""),
    ("is_demo", "Demo project", ""),
    ("base_currency", "Currency", ""),
    ("business_model", "Business model", ""),
    ("conversations_enabled", "Conversations", "Kept for clients; orgd has none."),
    ("proactive_tasks_enabled", "Proactive tasks", "Kept for clients; orgd has none."),
    ("feature_flag_confirmation_enabled", "Confirm changes of flags", "Kept for clients."),
    ("feature_flag_confirmation_message", "What to confirm", "Kept for clients."),
    ("default_evaluation_contexts_enabled", "Default evaluation contexts", "Kept for clients."),
    ("require_evaluation_contexts", "Require evaluation contexts", "Kept for clients."),
    ("web_analytics_pre_aggregated_tables_enabled", "Pre-aggregated web analytics", "Kept for clients."),
    ("tags", "Tags", "One a line."),
    ("receive_org_level_activity_logs", "Activity of the organization", "Also shown in this project."),
    ("organization_id", "Organization", ""),
    // Domains and proxies
    ("domain", "Domain", "Such as example.com, without https:// and without a path."),
    (
        "jit_provisioning_enabled",
        "Let people with an address there join by themselves",
        "They become members when they sign up.",
    ),
    ("sso_enforcement", "Single sign-on", "Kept for clients."),
    ("saml_entity_id", "SAML entity ID", "Kept for clients."),
    ("saml_acs_url", "SAML ACS URL", "Kept for clients."),
    ("saml_x509_cert", "SAML certificate", "Kept for clients."),
    // Keys
    ("label", "Label", "What the key is for, so that you can tell it from others."),
    ("scopes", "Scopes", ""),
    ("scoped_organizations", "Organizations", "Where the key works; none chosen: everywhere."),
    ("scoped_teams", "Projects", "Where the key works; none chosen: everywhere."),
    // Exports
    ("type", "Destination", ""),
    ("model", "What is exported", ""),
    ("interval", "How often", ""),
    ("paused", "Paused", "Nothing is exported until you unpause it."),
    ("start_at", "From", "In UTC."),
    ("end_at", "To", "In UTC."),
    (
        "hogql_query",
        "Columns",
        "A SELECT without FROM that says which columns there are. Empty: all of them.",
    ),
    ("offset_day", "Day", "0 is Sunday."),
    ("offset_hour", "Hour", "From 0 to 23."),
    ("backfill", "Export what was missed meanwhile", ""),
    ("include_events", "Only these events", "One name a line. Empty: all of them."),
    ("exclude_events", "Not these events", "One name a line."),
    ("bucket_name", "Bucket", ""),
    ("region", "Region", "Such as eu-central-1."),
    ("prefix", "Prefix of keys", "Such as events/{year}/{month}/."),
    ("aws_access_key_id", "Access key ID", ""),
    ("aws_secret_access_key", "Secret access key", ""),
    ("compression", "Compression", ""),
    ("encryption", "Encryption", ""),
    ("kms_key_id", "KMS key", "Only with the encryption aws:kms."),
    ("endpoint_url", "Endpoint", "For stores other than AWS, such as https://minio.example.com:9000."),
    ("file_format", "Format", ""),
    ("max_file_size_mb", "Largest file in MB", "Empty: one file for each run."),
    (
        "use_virtual_style_addressing",
        "The bucket stands in the host name",
        "Most stores other than AWS want this off.",
    ),
    ("user", "User", ""),
    ("host", "Host", ""),
    ("port", "Port", ""),
    ("database", "Database", ""),
    ("schema", "Schema", "Empty: public."),
    ("table_name", "Table", "It is made if there is none."),
    (
        "has_self_signed_cert",
        "The server's certificate is its own",
        "The connection is encrypted, but the server is not proved.",
    ),
    ("properties_data_type", "Type of properties", ""),
    ("url", "Address", ""),
    // Plugins
    ("plugin_type", "Where it comes from", ""),
    ("description", "Description", ""),
    ("icon", "Icon", ""),
    ("tag", "Version", ""),
    ("is_global", "For all organizations", ""),
];

/// Named choices of fields, as value and words.
type Choices = &'static [(&'static str, &'static str)];
const CHOICES: &[(&str, Choices)] = &[
    ("level", &[("1", "Member"), ("8", "Admin"), ("15", "Owner")]),
    ("theme_mode", &[("system", "As the system"), ("light", "Light"), ("dark", "Dark")]),
    ("week_start_day", &[("0", "Sunday"), ("1", "Monday")]),
    ("model", &[("events", "Events"), ("persons", "Persons")]),
    ("access_level", &[("none", "No access"), ("member", "Member"), ("admin", "Admin")]),
    (
        "interval",
        &[
            ("every 5 minutes", "Every 5 minutes"),
            ("every 15 minutes", "Every 15 minutes"),
            ("hour", "Every hour"),
            ("day", "Every day"),
            ("week", "Every week"),
        ],
    ),
    ("file_format", &[("JSONLines", "JSON lines"), ("Parquet", "Parquet")]),
    (
        "compression",
        &[
            ("", "None"),
            ("gzip", "gzip"),
            ("brotli", "Brotli"),
            ("zstd", "Zstandard (Parquet)"),
            ("lz4", "LZ4 (Parquet)"),
            ("snappy", "Snappy (Parquet)"),
        ],
    ),
    ("encryption", &[("", "None"), ("AES256", "AES256"), ("aws:kms", "aws:kms")]),
    ("properties_data_type", &[("varchar", "VARCHAR"), ("super", "SUPER")]),
    (
        "role_at_organization",
        &[
            ("engineering", "Engineering"),
            ("data", "Data"),
            ("product", "Product"),
            ("founder", "Founder"),
            ("leadership", "Leadership"),
            ("marketing", "Marketing"),
            ("sales", "Sales"),
            ("other", "Something else"),
        ],
    ),
];

/// What a browser may fill into a field, in the words of HTML.
const AUTOCOMPLETE: &[(&str, &str)] = &[
    ("email", "email"),
    ("password", "new-password"),
    ("current_password", "current-password"),
    ("first_name", "given-name"),
    ("last_name", "family-name"),
    ("organization_name", "organization"),
    ("token", "one-time-code"),
];

/// Fields that hold text for machines.
const CODE: &[&str] = &[
    "domain",
    "saml_entity_id",
    "saml_acs_url",
    "saml_x509_cert",
    "hogql_query",
    "include_events",
    "exclude_events",
    "bucket_name",
    "region",
    "prefix",
    "aws_access_key_id",
    "kms_key_id",
    "endpoint_url",
    "user",
    "host",
    "port",
    "database",
    "schema",
    "table_name",
    "url",
    "addresses",
    "app_urls",
    "recording_domains",
    "token",
];

/// Text of several lines.
const LONG: &[&str] = &["message", "addresses", "saml_x509_cert", "hogql_query", "description"];

/// The keyboard of a phone.
const INPUTMODES: &[(&str, &str)] =
    &[("url", "url"), ("endpoint_url", "url"), ("slack_incoming_webhook", "url"), ("port", "numeric")];

fn found<T: Copy>(list: &[(&str, T)], name: &str) -> Option<T> {
    list.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// What a field is called.
pub fn label(name: &str) -> Cow<'static, str> {
    let known = FIELDS.iter().find(|(known, _, _)| *known == name);
    known.map_or_else(|| Cow::Owned(name.replace('_', " ")), |(_, label, _)| Cow::Borrowed(*label))
}

/// A sentence below a field, or nothing.
pub fn help(name: &str) -> &'static str {
    FIELDS.iter().find(|(known, _, _)| *known == name).map_or("", |(_, _, help)| help)
}

/// What may be chosen, as value and words, where it does not depend on what is stored.
pub fn choices(name: &str) -> Option<Choices> {
    found(CHOICES, name)
}

/// The words for a value of such a field; another value stands for itself.
pub fn choice<'a>(name: &str, value: &'a str) -> &'a str {
    choices(name).and_then(|all| found(all, value)).unwrap_or(value)
}

pub(super) fn autocomplete(name: &str) -> Option<&'static str> {
    found(AUTOCOMPLETE, name)
}

pub(super) fn inputmode(name: &str) -> Option<&'static str> {
    found(INPUTMODES, name)
}

pub(super) fn is_code(name: &str) -> bool {
    CODE.contains(&name)
}

pub(super) fn is_long(name: &str) -> bool {
    LONG.contains(&name)
}

/// A level in a word.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Member => "Member",
        Level::Admin => "Admin",
        Level::Owner => "Owner",
    }
}

/// The kinds of things that change, as the audit log names them.
const SCOPES: &[(&str, &str)] = &[
    ("AccessControl", "Access"),
    ("BatchExport", "Export"),
    ("Organization", "Organization"),
    ("OrganizationDomain", "Domain"),
    ("OrganizationInvite", "Invite"),
    ("OrganizationMembership", "Membership"),
    ("PersonalAPIKey", "API key"),
    ("Plugin", "Plugin"),
    ("PluginConfig", "Content of a plugin"),
    ("Project", "Place of a project"),
    ("ProxyRecord", "Proxy"),
    ("Role", "Role"),
    ("Team", "Project"),
    ("User", "Account"),
];

/// A kind of things that change, in words; an unknown one stands for itself.
pub fn scope(name: &str) -> &str {
    found(SCOPES, name).unwrap_or(name)
}

/// A level in a sentence: "You are an admin here."
pub fn with_article(level: Level) -> &'static str {
    match level {
        Level::Member => "a member",
        Level::Admin => "an admin",
        Level::Owner => "an owner",
    }
}

/// What is wrong with a field, below its label; the API says the same to programs.
pub fn fault(kind: Option<FieldKind>, code: &str, detail: &str) -> String {
    let chars_max = match kind {
        Some(FieldKind::Text { chars_max }) => chars_max,
        Some(FieldKind::Secret { chars_max }) => Some(chars_max),
        _ => None,
    };
    match (code, kind, chars_max) {
        ("required" | "blank" | "null", Some(_), _) => "This is missing.".to_owned(),
        ("max_length", _, Some(most)) => format!("At most {most} characters."),
        ("invalid_choice", Some(_), _) => "Choose one of the choices.".to_owned(),
        ("invalid_input", Some(FieldKind::Email), _) if detail == "Enter a valid email address." => {
            "This is no e-mail address. One reads like name@example.com.".to_owned()
        }
        ("invalid_input", Some(FieldKind::Integer { .. }), _) => "This must be a whole number.".to_owned(),
        ("invalid_input", Some(FieldKind::Time), _) => "This must be a date with a time.".to_owned(),
        _ => detail.to_owned(),
    }
}

macro_rules! said {
    ($($name:ident $code:literal $sentence:literal;)*) => {
        /// What the form that led to a page has done. A cookie carries the code, so that no text of a request is shown.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Said { $($name,)* }

        impl Said {
            pub const ALL: &[Said] = &[$(Said::$name,)*];

            pub fn code(self) -> &'static str {
                match self { $(Said::$name => $code,)* }
            }

            pub fn sentence(self) -> &'static str {
                match self { $(Said::$name => $sentence,)* }
            }

            pub fn of(code: &str) -> Option<Said> {
                Said::ALL.iter().copied().find(|said| said.code() == code)
            }
        }
    };
}

said! {
    Saved "saved" "Saved.";
    SignedOut "signed-out" "You are signed out.";
    PasswordChanged "password-changed" "Your password was changed. All other sessions were ended.";
    PasswordReset "password-reset" "Your password was changed. Sign in with the new one.";
    ResetAsked "reset-asked" "If there is an account with this address, a mail with a link is on its way.";
    AddressPending "address-pending" "Open the link in the mail to your new address to confirm it.";
    AddressConfirmed "address-confirmed" "Your e-mail address is confirmed.";
    AddressCancelled "address-cancelled" "The change of your e-mail address was cancelled.";
    MailSent "mail-sent" "The e-mail is on its way.";
    TwoFactorOn "two-factor-on" "Two-factor authentication is on. All other sessions were ended.";
    TwoFactorOff "two-factor-off" "Two-factor authentication is off.";
    SessionEnded "session-ended" "The session was ended.";
    SessionsEnded "sessions-ended" "All other sessions were ended.";
    Welcome "welcome" "Everything is set up.";
    OrganizationMade "organization-made" "The organization was made.";
    OrganizationDeleted "organization-deleted" "The organization was deleted.";
    OrganizationSwitched "organization-switched" "This is your current organization now.";
    Joined "joined" "You have joined the organization.";
    Left "left" "You have left the organization.";
    MemberRemoved "member-removed" "The member was removed.";
    LevelChanged "level-changed" "The level was changed.";
    InviteMade "invite-made" "The invite was made.";
    InvitesMade "invites-made" "The invites were made.";
    InviteSent "invite-sent" "The invite was sent again.";
    InviteRenewed "invite-renewed" "The invite is good for three more days.";
    InviteRevoked "invite-revoked" "The invite was revoked. Its link no longer works.";
    RoleMade "role-made" "The role was made.";
    RoleDeleted "role-deleted" "The role was deleted.";
    RoleMemberAdded "role-member-added" "The person was added to the role.";
    RoleMemberRemoved "role-member-removed" "The person was removed from the role.";
    MadeAlready "made-already" "This form was sent before, and what it makes was made then.";
    ProjectMade "project-made" "The project was made.";
    ProjectDeleted "project-deleted" "The project was deleted.";
    ProjectMoved "project-moved" "The project was moved.";
    AccessChanged "access-changed" "Access was changed.";
    TokenReset "token-reset" "The project has a new token. The old one no longer works.";
    SecretTokenMade "secret-token-made" "The project has a new secret token. The one before stays good until you end it.";
    TokenEnded "token-ended" "The secret token before the last change no longer works.";
    DomainMade "domain-made" "The domain was added. Verify it next.";
    DomainVerified "domain-verified" "The domain is verified.";
    DomainDeleted "domain-deleted" "The domain was removed.";
    ProxyMade "proxy-made" "The proxy was added.";
    ProxyRetried "proxy-retried" "The proxy is looked at again.";
    ProxyDeleted "proxy-deleted" "The proxy was deleted.";
    KeyRolled "key-rolled" "The key has a new value. The old one no longer works.";
    KeyDeleted "key-deleted" "The key was deleted.";
    KeyRevoked "key-revoked" "The key no longer reaches this organization.";
    ExportMade "export-made" "The export was made.";
    ExportPaused "export-paused" "The export is paused.";
    ExportUnpaused "export-unpaused" "The export is running.";
    ExportDeleted "export-deleted" "The export was deleted.";
    BackfillStarted "backfill-started" "The backfill has started.";
    BackfillCancelled "backfill-cancelled" "The backfill was cancelled.";
    RunRetried "run-retried" "The run is tried again.";
    RunCancelled "run-cancelled" "The run was cancelled.";
    PluginInstalled "plugin-installed" "The plugin was installed.";
    PluginRemoved "plugin-removed" "The plugin was removed.";
    UserSessionsEnded "user-sessions-ended" "All sessions of this person were ended.";
    UserDeactivated "user-deactivated" "The account was deactivated.";
    UserActivated "user-activated" "The account is active again.";
    SecondFactorRemoved "second-factor-removed" "The second factor was removed.";
    OperatorMade "operator-made" "The person is an operator now.";
    OperatorUnmade "operator-unmade" "The person is no longer an operator.";
    BackupMade "backup-made" "The backup was made.";
    BackupGood "backup-good" "The backup is complete and undamaged.";
    MailRetried "mail-retried" "The mail is tried again.";
    BackupBegun "backup-begun" "A backup is being made. It is listed here once it has been checked.";
    MailDropped "mail-dropped" "The mail was dropped.";
}

/// The sentence for a second sending of a form whose value was shown once.
pub const MADE_ALREADY: &str = "This was made already; its value was shown then.";
/// Beside a value that is shown once.
pub const SHOWN_ONCE: &str = "Copy it now. It is not shown again.";
/// A page whose form came from elsewhere, or is too old.
pub const OPEN_AGAIN: &str = "Open the page again and send the form from there.";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::api::fields::FieldInfo;

    /// Fields that only PostHog's web app and programs send.
    const UNSEEN: &[&str] = &[
        "allow_sidebar_suggestions",
        "email_opt_in",
        "format",
        "hide_mcp_hints",
        "intent_context",
        "last_paused_at",
        "next_url",
        "passkeys_enabled_for_2fa",
        "product_type",
        "referral_source",
        "resource",
        "resource_id",
        "shortcut_position",
        "step",
        "toolbar_mode",
        "uuid",
    ];

    fn is_shown(field: &FieldInfo) -> bool {
        let is_free = matches!(field.kind, FieldKind::Json | FieldKind::Object(_) | FieldKind::Objects(_));
        !field.read_only && !is_free && !UNSEEN.contains(&field.name)
    }

    #[test]
    fn every_field_that_a_form_may_show_has_a_label() {
        let labelled: HashSet<&str> = FIELDS.iter().map(|(name, _, _)| *name).collect();
        let prefixes = [
            "/api/organizations",
            "/api/projects",
            "/api/environments",
            "/api/users",
            "/api/personal_api_keys",
            "/api/signup",
            "/api/login",
            "/api/reset",
            "/api/organization",
        ];
        let mut missing = Vec::new();
        let mut seen = 0;
        for resource in crate::resources::registry::all() {
            for route in (resource.routes)() {
                if !prefixes.iter().any(|prefix| route.path.starts_with(prefix)) {
                    continue;
                }
                for field in route.accepts.unwrap_or_default().iter().filter(|field| is_shown(field)) {
                    seen += 1;
                    if !labelled.contains(field.name) {
                        missing.push(format!("{} of {}", field.name, route.path));
                    }
                }
            }
        }
        assert!(seen > 100, "{seen} fields");
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn words_are_sentences_and_stand_once() {
        let names: HashSet<&str> = FIELDS.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(names.len(), FIELDS.len());
        for (name, label, help) in FIELDS {
            assert!(label.starts_with(char::is_uppercase) && !label.ends_with('.'), "{name}: {label}");
            assert!(help.is_empty() || help.ends_with('.'), "{name}: {help}");
        }
        for name in CODE.iter().chain(LONG).chain(CHOICES.iter().map(|(name, _)| name)) {
            assert!(names.contains(name), "{name} is no field");
        }
    }

    #[test]
    fn what_was_said_is_found_by_its_code_only() {
        let codes: HashSet<&str> = Said::ALL.iter().map(|said| said.code()).collect();
        assert_eq!(codes.len(), Said::ALL.len());
        for said in Said::ALL {
            assert_eq!(Said::of(said.code()), Some(*said));
            assert!(said.sentence().ends_with('.'), "{said:?}");
        }
        assert_eq!(Said::of("<script>"), None);
    }
}
