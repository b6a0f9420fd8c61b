//! What a body may say of a plugin, and how answers show it.

use serde::Serialize;
use serde_json::Value;

use super::Loaded;
use crate::api::fields::{Checked, python_type_name};
use crate::api::{Field, FieldInfo};
use crate::error::{Result, invalid};
use crate::ids::{OrganizationId, PluginId};
use crate::resources::organizations;
use crate::store::{Json, Tx};

pub(super) const PLUGIN_TYPE: Field<Option<String>> =
    Field::text_choice("plugin_type", is_plugin_type).nullable();
pub(super) const NAME: Field<Option<String>> = Field::text("name", 200).blank().nullable();
pub(super) const DESCRIPTION: Field<Option<String>> = Field::long_text("description").blank().nullable();
pub(super) const URL: Field<Option<String>> = Field::text("url", 800).blank().nullable();
pub(super) const ICON: Field<Option<String>> = Field::text("icon", 800).blank().nullable();
pub(super) const CONFIG_SCHEMA: Field<Json> = Field::json("config_schema");
pub(super) const VERSION_TAG: Field<Option<String>> = Field::text("tag", 200).blank().nullable();
pub(super) const IS_GLOBAL: Field<bool> = Field::boolean("is_global");
pub(super) const CAPABILITIES: Field<Json> = Field::json("capabilities").rule(is_object);
pub(super) const METRICS: Field<Option<Json>> = Field::json("metrics").nullable();
pub(super) const PUBLIC_JOBS: Field<Option<Json>> = Field::json("public_jobs").nullable();

pub(super) const FIELDS: &[FieldInfo] = &fields(URL.read_only());
/// The url decides what a new plugin is; later it can't be changed.
pub const NEW: &[FieldInfo] = &fields(URL.info());
pub(super) const UPDATES: &[FieldInfo] = &[Field::object("plugin", FIELDS).read_only()];

const fn fields(url: FieldInfo) -> [FieldInfo; 15] {
    [
        Field::integer("id", 0, i64::MAX).read_only(),
        PLUGIN_TYPE.info(),
        NAME.info(),
        DESCRIPTION.info(),
        url,
        ICON.info(),
        CONFIG_SCHEMA.info(),
        VERSION_TAG.info(),
        Field::text("latest_tag", 800).nullable().read_only(),
        IS_GLOBAL.info(),
        Field::uuid("organization_id").read_only(),
        Field::text("organization_name", organizations::NAME_CHARS_MAX).read_only(),
        CAPABILITIES.info(),
        METRICS.info(),
        PUBLIC_JOBS.info(),
    ]
}

fn is_plugin_type(text: &str) -> bool {
    ["", "local", "custom", "repository", "source", "inline"].contains(&text)
}

fn is_object(attr: &'static str, value: &Checked) -> Result<()> {
    match value {
        Checked::Json(Value::Object(_)) => Ok(()),
        Checked::Json(other) => {
            let detail =
                format!("Expected a dictionary of items but got type \"{}\".", python_type_name(other));
            Err(invalid(attr, "not_a_dict", detail))
        }
        _ => Ok(()),
    }
}

#[derive(Serialize)]
pub(super) struct Wire<'a> {
    id: PluginId,
    plugin_type: Option<&'a str>,
    name: Option<&'a str>,
    description: Option<&'a str>,
    url: Option<&'a str>,
    icon: Option<&'a str>,
    config_schema: &'a Json,
    tag: Option<&'a str>,
    latest_tag: Option<&'a str>,
    is_global: bool,
    organization_id: OrganizationId,
    organization_name: String,
    capabilities: &'a Json,
    metrics: &'a Option<Json>,
    public_jobs: &'a Option<Json>,
}

impl Loaded {
    pub(super) fn wire(&self, tx: &Tx) -> Result<Wire<'_>> {
        let Loaded { organization, id, plugin } = self;
        Ok(Wire {
            id: *id,
            plugin_type: plugin.plugin_type.as_deref(),
            name: plugin.name.as_deref(),
            description: plugin.description.as_deref(),
            url: plugin.url.as_deref(),
            icon: plugin.icon.as_deref(),
            config_schema: &plugin.config_schema,
            tag: plugin.tag.as_deref(),
            latest_tag: plugin.latest_tag.as_deref(),
            is_global: plugin.is_global,
            organization_id: *organization,
            organization_name: organizations::find(tx, *organization)?.name,
            capabilities: &plugin.capabilities,
            metrics: &plugin.metrics,
            public_jobs: &plugin.public_jobs,
        })
    }
}
