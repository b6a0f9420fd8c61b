//! How projects are shown: in short, and with all their settings.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::settings::Settings;
use super::{Details, PROJECTS, Project, newer, secret_tokens};
use crate::api::{Actor, Ctx, InProject, Level, Reply};
use crate::auth::scopes;
use crate::clock::Time;
use crate::config::LIVE_EVENTS_SECONDS;
use crate::error::{Error, Result, not_found};
use crate::ids::{OrganizationId, ProjectId};
use crate::resources::status;
use crate::store::{Json, Tx};

#[derive(Clone, Debug, Serialize)]
pub struct Short {
    pub id: ProjectId,
    uuid: Uuid,
    pub organization: OrganizationId,
    pub api_token: String,
    pub name: String,
    pub completed_snippet_onboarding: bool,
    has_completed_onboarding_for: Option<Json>,
    pub ingested_event: bool,
    is_demo: bool,
    pub timezone: String,
    pub access_control: bool,
}

pub(super) fn short(((organization, id), project): ((OrganizationId, ProjectId), Project)) -> Short {
    let Project { uuid, api_token, name, completed_snippet_onboarding, .. } = project;
    Short {
        id,
        uuid,
        organization,
        api_token,
        name,
        completed_snippet_onboarding,
        has_completed_onboarding_for: project.has_completed_onboarding_for,
        ingested_event: project.ingested_event,
        is_demo: project.is_demo,
        timezone: project.timezone,
        access_control: project.access_control,
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    id: ProjectId,
    uuid: Uuid,
    organization: OrganizationId,
    api_token: &'a str,
    name: &'a str,
    created_at: Time,
    updated_at: Time,
    completed_snippet_onboarding: bool,
    ingested_event: bool,
    is_demo: bool,
    timezone: &'a str,
    has_completed_onboarding_for: &'a Option<Json>,
    access_control: bool,
    #[serde(flatten)]
    settings: &'a Settings,
    effective_membership_level: Level,
    has_group_types: bool,
    person_on_events_querying_enabled: bool,
    default_modifiers: Value,
    live_events_token: String,
    secret_api_token: Option<String>,
    secret_api_token_backup: Option<String>,
    #[serde(flatten)]
    newer: Map<String, Value>,
}

/// The query modifiers of a PostHog without settings of its own, the same for all projects.
fn default_modifiers() -> Value {
    json!({
        "bounceRatePageViewMode": "count_pageviews",
        "dataWarehouseEventsModifiers": null,
        "debug": null,
        "inCohortVia": "auto",
        "materializationMode": "legacy_null_as_null",
        "optimizeJoinedFilters": false,
        "personsArgMaxVersion": "auto",
        "personsJoinMode": null,
        "personsOnEventsMode": "person_id_override_properties_joined",
        "propertyGroupsMode": null,
        "s3TableUseInvalidColumns": null,
        "sessionTableVersion": "auto",
        "useMaterializedViews": null,
    })
}

/// A project with its place and the caller's effective level.
#[derive(Clone)]
pub struct Loaded {
    pub(super) organization: OrganizationId,
    pub id: ProjectId,
    pub(super) level: Level,
    pub(super) project: Project,
    pub(super) details: Details,
}

impl Loaded {
    /// The project of a place, or 404 where it is gone.
    pub(super) fn find(tx: &Tx, at: InProject) -> Result<Loaded> {
        let InProject { organization, id, level } = at;
        let project = tx.get(&PROJECTS, &(organization, id))?.ok_or_else(not_found)?;
        let details = project.details.get()?;
        Ok(Loaded { organization, id, level, project, details })
    }

    pub(super) fn reply(&self, ctx: &Ctx, tx: &Tx, status: u16) -> Result<Reply> {
        let Loaded { organization, id, level, project, details } = self;
        let mut settings = Cow::Borrowed(&details.settings);
        let may_write = match ctx.actor {
            Actor::Operator(_) => true,
            _ => scopes::open_to(&ctx.caller()?.via, "project:write"),
        };
        if !may_write {
            settings.to_mut().hide_secrets();
        }
        let secret_tokens = match may_write && *level >= Level::Admin {
            true => secret_tokens::open(tx, &ctx.vault, *id)?,
            false => secret_tokens::Opened::default(),
        };
        Reply::json(
            status,
            &Wire {
                id: *id,
                uuid: project.uuid,
                organization: *organization,
                api_token: &project.api_token,
                name: &project.name,
                created_at: details.created_at,
                updated_at: details.updated_at,
                completed_snippet_onboarding: project.completed_snippet_onboarding,
                ingested_event: project.ingested_event,
                is_demo: project.is_demo,
                timezone: &project.timezone,
                has_completed_onboarding_for: &project.has_completed_onboarding_for,
                access_control: project.access_control,
                settings: &settings,
                effective_membership_level: *level,
                has_group_types: false,
                person_on_events_querying_enabled: false,
                default_modifiers: default_modifiers(),
                live_events_token: live_events_token(tx, ctx.now, *id, &project.api_token)?,
                secret_api_token: secret_tokens.current,
                secret_api_token_backup: secret_tokens.backup,
                newer: newer::shown(&details.extra),
            },
        )
    }
}

/// A JWT (HS256) that opens the project's live events for a week.
fn live_events_token(tx: &Tx, now: Time, id: ProjectId, api_token: &str) -> Result<String> {
    let claims = json!({
        "team_id": id,
        "api_token": api_token,
        "exp": now.unix_seconds() + LIVE_EVENTS_SECONDS,
        "aud": "posthog:livestream",
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let mut signer = Hmac::<Sha256>::new_from_slice(&status::secret(tx)?)
        .map_err(|cause| Error::internal(format!("the instance's secret is unusable: {cause}")))?;
    signer.update(signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signer.finalize().into_bytes())))
}
