//! What the web app notes about somebody who tries products.

use serde_json::{Value, json};

use super::commands::{self, write_down};
use super::wire::Loaded;
use crate::api::fields::{FREE_BYTES_MAX, bytes_of};
use crate::api::{Ctx, Field, FieldInfo, InProject, Input};
use crate::error::{Result, invalid};
use crate::store::{Json, Tx, WriteTx};

const PRODUCT_TYPE: Field<String> = Field::text("product_type", 200).required();
const INTENT_CONTEXT: Field<Option<String>> = Field::long_text("intent_context").blank().nullable();
const METADATA: Field<Option<Json>> = Field::json("metadata").nullable();
pub(super) const FIELDS: &[FieldInfo] = &[PRODUCT_TYPE.info(), INTENT_CONTEXT.info(), METADATA.info()];

/// Checks what is sent and keeps nothing: nobody here reads intents. For members.
///
/// # Errors
/// 400 for wrong fields.
pub fn add_product_intent(tx: &Tx, at: InProject, input: Input<'_>) -> Result<Loaded> {
    product(input, "This field is required.")?;
    Loaded::find(tx, at)
}

/// Notes that a product is set up. For members.
///
/// # Errors
/// 400 for wrong fields.
pub fn complete_product_onboarding(
    ctx: &Ctx,
    tx: &WriteTx,
    at: InProject,
    input: Input<'_>,
) -> Result<Loaded> {
    let product = product(input, "product_type is required")?;
    let mut found = Loaded::find(tx, at)?;
    let before = found.clone();
    let done = found.project.has_completed_onboarding_for.as_ref().map(Json::value);
    let mut done = done.filter(Value::is_object).unwrap_or_else(|| json!({}));
    done[&product] = json!(true);
    if bytes_of(&done) > FREE_BYTES_MAX {
        let detail = format!("Ensure this field has at most {FREE_BYTES_MAX} bytes.");
        return Err(invalid("product_type", "max_length", detail));
    }
    found.project.has_completed_onboarding_for = Some(Json::of(&done));
    found.details.updated_at = ctx.now;
    commands::store(tx, &found)?;
    write_down(ctx, tx, &before, &found)?;
    Ok(found)
}

fn product(input: Input<'_>, missing: &'static str) -> Result<String> {
    let mut form = input.form(FIELDS)?;
    form.ignore(INTENT_CONTEXT);
    form.ignore(METADATA);
    let product = form.take(PRODUCT_TYPE);
    form.finish();
    product.ok_or_else(|| invalid("product_type", "required", missing))
}
