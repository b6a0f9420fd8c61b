//! Values as they look in real life, for the examples of the document.

use serde_json::{Map, Value};

use super::side::Side;
use crate::api::fields::{FieldInfo, FieldKind};

const UUID: &str = "0199c2a4-6c1e-7d2a-9f3b-5a1c8e4d7b60";
const TIME: &str = "2026-01-15T10:30:00.000000Z";
/// An example of a body shows so many fields at the most.
const REQUEST_FIELDS_MAX: usize = 8;

/// The value of a field in JSON, by its name or by the noun of its resource and its name.
const VALUES: &[(&str, &str)] = &[
    ("access_level", r#""member""#),
    ("api_token", r#""phc_8zvHq2kYb0Jt5Rw3Lx7Nc1Ds9Fg4Mp6Vu0Ae2Ki8Zo""#),
    ("app_urls", r#"["https://www.example.com"]"#),
    ("associated_flags", "[]"),
    ("available_access_levels", r#"["none", "member", "admin"]"#),
    ("backup_codes", r#"["k3v9-w2qd-71nx", "p0ta-8mzc-4hre"]"#),
    ("backup_codes_left", "10"),
    ("batch export.level", r#""INFO""#),
    (
        "batch export.message",
        r#""Successfully finished exporting batch 2026-01-15 09:00:00+00:00 - 2026-01-15 10:00:00+00:00""#,
    ),
    ("batch export.name", r#""Events to the warehouse""#),
    ("batch export.status", r#""Completed""#),
    ("base", r#""sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08""#),
    ("config", r#"{"url": "https://receiver.example.com/batch/"}"#),
    ("config.sent", r#"{"url": "https://receiver.example.com/batch/", "token": "phc_receiver"}"#),
    ("current_password", r#""a-long-Passphrase""#),
    ("cursor", "null"),
    ("data_interval_end", r#""2026-01-15T10:00:00.000000Z""#),
    ("data_interval_start", r#""2026-01-15T09:00:00.000000Z""#),
    ("data_attributes", r#"["data-attr"]"#),
    ("default_access_level", r#""member""#),
    ("description", r#""Adds the weather to events""#),
    ("device", r#""Firefox on Linux""#),
    ("distinct_id", r#""p4QxN7c2Lr0Zk5Vt""#),
    ("documentation", r#""https://orgd.example.com/api/schema/redoc/""#),
    ("domain", r#""example.com""#),
    ("effective_membership_level", "8"),
    ("email", r#""grace@example.com""#),
    ("feature_flags_access_level", "37"),
    ("file", r#""orgd: 1\norganizations:\n  - slug: acme\n    name: Acme\n""#),
    ("file.sent", r#"{"orgd": 1, "organizations": [{"slug": "acme", "name": "Acme"}]}"#),
    ("finished_at", r#""2026-01-15T10:30:02.000000Z""#),
    ("first_name", r#""Grace""#),
    ("format", r#""csv""#),
    ("icon", "null"),
    ("instance_id", r#""0199c2a4-6c1e-7d2a-9f3b-5a1c8e4d7b61""#),
    ("interval", r#""hour""#),
    ("is_email_verified", "true"),
    ("label", r#""Terraform""#),
    ("last_name", r#""Hopper""#),
    ("latest_tag", "null"),
    ("level", "1"),
    ("link", r#""https://orgd.example.com/signup/f2Qk9Zr4Lx7Nc1Ds""#),
    ("live_events_token", r#""eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl""#),
    ("location", r#""203.0.113.7""#),
    ("login_method", r#""password""#),
    ("mask_value", r#""phx_...k2Qp""#),
    ("membership_level", "8"),
    ("message", r#""Welcome to the team""#),
    ("method", r#""TOTP""#),
    ("model", r#""events""#),
    ("name", r#""Acme""#),
    ("openapi", r#""https://orgd.example.com/api/schema/""#),
    (
        "organization API key.access_scope",
        r#"{"type": "projects", "projects": [{"id": 1, "name": "Website"}]}"#,
    ),
    ("organization API key.id", r#""7Qz0Lr4Nc1""#),
    ("organization file.format", "1"),
    ("organization_name", r#""Acme""#),
    ("otpauth_url", r#""otpauth://totp/orgd:grace@example.com?secret=JBSWY3DPEHPK3PXP&issuer=orgd""#),
    ("password", r#""a-long-Passphrase""#),
    ("paths", r#"{"/api/organizations/": ["GET", "POST"]}"#),
    ("personal API key.id", r#""7Qz0Lr4Nc1""#),
    ("plugin.name", r#""Weather""#),
    ("plugin_type", r#""custom""#),
    ("plugins_access_level", "9"),
    ("project.name", r#""Website""#),
    (
        "proxy record.checks",
        r#"[{"id": "cname", "name": "CNAME record", "status": "passed", "detail": "e.example.com leads to 0199c2a46c1e.proxy.example.com.", "remediation": null}]"#,
    ),
    ("proxy record.domain", r#""e.example.com""#),
    ("proxy record.status", r#""waiting""#),
    ("proxy record.summary", r#"{"status": "healthy", "primary_issue": null, "next_action": null}"#),
    ("redirect_url", r#""/""#),
    ("referral_source", r#""""#),
    ("resource", r#""project""#),
    ("resource_id", r#""1""#),
    ("revoked_count", "2"),
    ("role.name", r#""Data team""#),
    ("role_at_organization", r#""engineering""#),
    ("schema", "null"),
    ("scopes", r#"["organization:read", "project:write"]"#),
    ("secret", r#""JBSWY3DPEHPK3PXP""#),
    ("session_recording_sample_rate", r#""0.50""#),
    ("set_current_organization", r#""0199c2a4-6c1e-7d2a-9f3b-5a1c8e4d7b60""#),
    ("set_current_team", r#""1""#),
    ("slug", r#""acme""#),
    ("sso_enforcement", r#""""#),
    ("status", r#""valid""#),
    ("tag", "null"),
    ("target_cname", r#""0199c2a46c1e.proxy.example.com""#),
    ("target_email", r#""grace@example.com""#),
    ("team_id", "1"),
    ("test_account_filters", "[]"),
    ("theme_mode", "null"),
    ("timezone", r#""Europe/Lisbon""#),
    ("token", r#""123456""#),
    ("toolbar_mode", r#""disabled""#),
    ("type", r#""HTTP""#),
    ("url", r#""https://github.com/example/weather""#),
    ("user_access_level", r#""admin""#),
    ("verification_challenge", r#""k7Qz0Lr4Nc1Ds9Fg4Mp6Vu0Ae2Ki8Zo5""#),
    ("capabilities", r#"{"methods": ["processEvent"]}"#),
    ("config_schema", "[]"),
    ("access_source", r#""explicit_role""#),
    ("base_currency", r#""EUR""#),
    ("effective_access_level", r#""member""#),
    ("inherited_access_level", r#""none""#),
    ("inherited_access_level_reason", r#""project_default""#),
    ("maximum", r#""admin""#),
    ("maximum_access_level", r#""admin""#),
    ("minimum", r#""none""#),
    ("minimum_access_level", r#""none""#),
    ("organization_id", r#""0199c2a4-6c1e-7d2a-9f3b-5a1c8e4d7b60""#),
    ("organization_membership_level", r#""member""#),
    ("product_type", r#""surveys""#),
    ("project_access_level", r#""none""#),
    ("role_name", r#""Data team""#),
    ("rule", r#""role""#),
    ("source", r#""object""#),
    ("source_resource", r#""project""#),
    ("text", r#""A rule gives the role Data team the level member.""#),
    ("email_tracking_consent_mode", r#""opt_in""#),
];

/// An object with these fields, of the resource with this noun.
pub(super) fn object(noun: &str, fields: &[FieldInfo], side: Side) -> Value {
    let fields = fields.iter().filter(|field| side.has(field));
    let values = fields.map(|field| (field, value(noun, field, side)));
    let shown: Map<String, Value> = match side {
        Side::Response => values.map(|(field, value)| (field.name.to_owned(), value)).collect(),
        // A change of one or two things, or what is worth saying at the start.
        Side::Request { partial } => values
            .filter(|(field, value)| field.required || !value.is_null())
            .take(if partial { 2 } else { REQUEST_FIELDS_MAX })
            .map(|(field, value)| (field.name.to_owned(), value))
            .collect(),
    };
    shown.into()
}

fn value(noun: &str, field: &FieldInfo, side: Side) -> Value {
    // Secrets are sent and never shown.
    let sent = (side != Side::Response).then(|| listed(noun, &format!("{}.sent", field.name))).flatten();
    if let Some(listed) = sent.or_else(|| listed(noun, field.name)) {
        return listed;
    }
    match field.kind {
        FieldKind::Object(fields) if !field.nullable || side == Side::Response => object(noun, fields, side),
        FieldKind::Objects(fields) if side == Side::Response => {
            let item = object(noun, fields, side);
            Value::Array(vec![item])
        }
        _ if field.nullable => Value::Null,
        FieldKind::Uuid => UUID.into(),
        FieldKind::Time => TIME.into(),
        FieldKind::Boolean => false.into(),
        FieldKind::Integer { min, .. } => min.max(1).into(),
        FieldKind::Choice(choices) => choices.first().copied().into(),
        FieldKind::Texts { .. } | FieldKind::Integers | FieldKind::List | FieldKind::Objects(_) => {
            Value::Array(Vec::new())
        }
        FieldKind::Json | FieldKind::Object(_) => Value::Object(Map::new()),
        FieldKind::Email
        | FieldKind::Fraction
        | FieldKind::Secret { .. }
        | FieldKind::Text { .. }
        | FieldKind::TextChoice(_) => "".into(),
    }
}

/// The value that the list has: of this resource, or of any.
fn listed(noun: &str, name: &str) -> Option<Value> {
    let of = |wanted: &str| VALUES.iter().find(|(known, _)| *known == wanted).map(|(_, text)| *text);
    let text = of(&format!("{noun}.{name}")).or_else(|| of(name))?;
    // A unit test reads them all.
    serde_json::from_str(text).ok()
}

/// Whether a reader would see an empty text where there should be a real one.
#[cfg(test)]
fn lacks_an_example(noun: &str, field: &FieldInfo) -> bool {
    let is_text = matches!(
        field.kind,
        FieldKind::Email
            | FieldKind::Fraction
            | FieldKind::Secret { .. }
            | FieldKind::Text { .. }
            | FieldKind::TextChoice(_)
    );
    is_text && !field.nullable && listed(noun, field.name).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Field;

    #[test]
    fn every_value_is_json() {
        for (name, text) in VALUES {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{name}: {text}");
        }
    }

    #[test]
    fn a_text_without_a_value_is_noticed() {
        assert!(lacks_an_example("role", &Field::text("unheard_of", 10).info()));
        assert!(!lacks_an_example("role", &Field::text("name", 10).info()));
    }
}
