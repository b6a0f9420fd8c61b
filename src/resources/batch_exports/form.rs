//! What a body may say of an export.

use serde_json::Value;

use super::destination::{self, Destination, Kind};
use super::hogql::{self, Fault};
use super::interval::{Interval, UTC};
use super::{Model, runs};
use crate::api::fields::Checked;
use crate::api::{Ctx, Field, FieldInfo, Input};
use crate::clock::Time;
use crate::error::{Result, invalid};
use crate::ids::BatchExportId;
use crate::resources::projects;
use crate::store::Json;

const DESTINATION_FIELDS: &[FieldInfo] = &[
    Field::text_choice("type", |name| Kind::named(name).is_some()).required().info(),
    Field::json("config").required().info(),
];

const NAME: Field<String> = Field::long_text("name").required();
const MODEL: Field<Option<String>> =
    Field::text_choice("model", |name| Model::named(name).is_some()).nullable();
const DESTINATION: Field<Value> = Field::object("destination", DESTINATION_FIELDS).required();
const INTERVAL: Field<String> =
    Field::text_choice("interval", |name| Interval::named(name).is_some()).required();
const PAUSED: Field<bool> = Field::boolean("paused");
const LAST_PAUSED_AT: Field<Option<Time>> =
    Field::time("last_paused_at").nullable().described("Set by pausing; what is sent is ignored.");
const START_AT: Field<Option<Time>> = Field::time("start_at").nullable();
const END_AT: Field<Option<Time>> = Field::time("end_at").nullable();
const HOGQL_QUERY: Field<Option<String>> = Field::long_text("hogql_query")
    .nullable()
    .described("A SELECT whose columns are exported, of events into files and tables.");
const FILTERS: Field<Option<Json>> = Field::json("filters")
    .rule(leaves_nothing_out)
    .nullable()
    .described("Null or empty. Which events are exported is said by `include_events` and `exclude_events`.");
const TIMEZONE: Field<Option<String>> = Field::text_choice("timezone", projects::is_timezone)
    .nullable()
    .described("The time zone in which days and weeks begin.");
const OFFSET_DAY: Field<Option<i64>> = Field::integer("offset_day", 0, 6)
    .nullable()
    .described("The weekday on which weekly intervals begin, 0 for Sunday. Null: Thursday.");
const OFFSET_HOUR: Field<Option<i64>> = Field::integer("offset_hour", 0, 23)
    .nullable()
    .described("The hour at which daily and weekly intervals begin. Null: midnight.");
pub const FIELDS: &[FieldInfo] = &[
    Field::uuid("id").read_only(),
    Field::integer("team_id", 0, i64::MAX).read_only().described("The number of the project."),
    NAME.info(),
    MODEL.info(),
    DESTINATION.info(),
    INTERVAL.info(),
    PAUSED.info(),
    Field::time("created_at").read_only(),
    Field::time("last_updated_at").read_only(),
    LAST_PAUSED_AT.info(),
    START_AT.info(),
    END_AT.info(),
    Field::objects("latest_runs", runs::FIELDS).read_only(),
    Field::uuid("backfill_id").read_only().optional().described("What `backfill/` has begun."),
    HOGQL_QUERY.info(),
    FILTERS.info(),
    Field::json("hogql_modifiers").nullable().read_only(),
    TIMEZONE.info(),
    OFFSET_DAY.info(),
    OFFSET_HOUR.info(),
    Field::json("schema").nullable().read_only().described("The columns of the query, as it was understood."),
];

/// What is read before and after `destination`. That field needs what is stored, and `hogql_query` is null in
/// answers only: both have rules of their own and are judged in their turn.
const BEFORE_DESTINATION: &[FieldInfo] = &[NAME.info(), MODEL.info()];
const AFTER_DESTINATION: &[FieldInfo] =
    &[INTERVAL.info(), PAUSED.info(), LAST_PAUSED_AT.info(), START_AT.info(), END_AT.info()];
const AFTER_QUERY: &[FieldInfo] = &[FILTERS.info(), TIMEZONE.info(), OFFSET_DAY.info(), OFFSET_HOUR.info()];

/// What a new export needs, and the number of a step of its test.
pub(super) const fn with_step(step: FieldInfo) -> [FieldInfo; 6] {
    [NAME.info(), MODEL.info(), DESTINATION.info(), INTERVAL.info(), HOGQL_QUERY.info(), step]
}

/// A filter that is not applied would let out more than is wanted, so there may be none.
fn leaves_nothing_out(attr: &'static str, value: &Checked) -> Result<()> {
    match value {
        Checked::Json(Value::Array(list)) if !list.is_empty() => {}
        Checked::Json(Value::Object(object)) if !object.is_empty() => {}
        Checked::Json(Value::Array(_) | Value::Object(_)) | Checked::Null => return Ok(()),
        _ => {}
    }
    let detail = "Filters are not applied here, and without them more would be exported than is wanted. Choose events by include_events and exclude_events.";
    Err(invalid(attr, "invalid_input", detail))
}

/// What an input says, checked field by field in the order of the list.
pub(super) struct Sent {
    pub name: Option<String>,
    pub model: Option<Option<Model>>,
    pub destination: Option<Destination>,
    pub interval: Option<Interval>,
    pub paused: Option<bool>,
    pub start_at: Option<Option<Time>>,
    pub end_at: Option<Option<Time>>,
    pub schema: Option<Json>,
    pub filters: Option<Option<Json>>,
    pub timezone: Option<String>,
    pub offset_day: Option<Option<u8>>,
    pub offset_hour: Option<Option<u8>>,
}

impl Sent {
    /// `before` is what the export delivers to so far.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub(super) fn read(
        ctx: &Ctx,
        id: BatchExportId,
        before: Option<&Destination>,
        input: Input<'_>,
    ) -> Result<Sent> {
        let Input { value, is_text, is_partial } = input;
        let value = value?;
        let part = || Input { value: Ok(value), is_text, is_partial };
        let mut front = part().form(BEFORE_DESTINATION)?;
        let destination = destination::read(ctx, id, before, part())?;
        let mut back = part().form(AFTER_DESTINATION)?;
        let schema = schema_of(value)?;
        let mut last = part().form(AFTER_QUERY)?;
        let small = |number: Option<i64>| number.and_then(|number| u8::try_from(number).ok());
        let sent = Sent {
            name: front.take(NAME),
            model: front.take(MODEL).map(|name| name.as_deref().and_then(Model::named)),
            destination,
            interval: back.take(INTERVAL).as_deref().and_then(Interval::named),
            paused: back.take(PAUSED),
            start_at: back.take(START_AT),
            end_at: back.take(END_AT),
            schema,
            filters: last.take(FILTERS),
            timezone: last.take(TIMEZONE).map(|name| name.unwrap_or_else(|| UTC.to_owned())),
            offset_day: last.take(OFFSET_DAY).map(small),
            offset_hour: last.take(OFFSET_HOUR).map(small),
        };
        front.finish();
        back.ignore(LAST_PAUSED_AT);
        back.finish();
        last.finish();
        Ok(sent)
    }
}

/// The schema that the query of a body makes.
fn schema_of(value: &Value) -> Result<Option<Json>> {
    const NAME: &str = HOGQL_QUERY.name();
    let schema = match value.get(NAME) {
        None => return Ok(None),
        Some(Value::Null) => return Err(invalid(NAME, "null", "This field may not be null.")),
        Some(Value::String(query)) => hogql::schema(query),
        Some(_) => Err(Fault::Unparsable),
    };
    schema.map(Some).map_err(|fault| invalid(NAME, "invalid_input", fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writable_field_has_its_turn() {
        let turns = [
            BEFORE_DESTINATION,
            &[DESTINATION.info()],
            AFTER_DESTINATION,
            &[HOGQL_QUERY.info()],
            AFTER_QUERY,
        ];
        let read: Vec<&str> = turns.concat().iter().map(|field| field.name).collect();
        let writable = FIELDS.iter().filter(|field| !field.read_only);
        assert_eq!(read, writable.map(|field| field.name).collect::<Vec<_>>());
    }
}
