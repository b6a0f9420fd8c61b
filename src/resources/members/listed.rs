//! The list of members: search, filters, order.

use std::cmp::Ordering;

use super::{BY_JOINING, Row, Visible, Wire, load, users_of, wire};
use crate::api::level::LEVELS;
use crate::api::{Call, Ctx, InOrganization, Level, Paging, Reply};
use crate::clock::Time;
use crate::error::{Error, Result, invalid, invalid_choice};
use crate::ids::{OrganizationId, UserId};
use crate::resources::domains;
use crate::store::{Order, Tx};

/// The parameters of the list, for the OpenAPI document.
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("search", "Those whose name or address holds this text, whatever its case; by first name."),
    ("email", "Only the member with exactly this address."),
    ("email_domain", "Only addresses under this domain."),
    ("outside_verified_domains", "True: only addresses under none of the organization's verified domains."),
    ("levels", "Only these levels: `levels=1,8`, or repeated."),
    ("updated_after", "Only memberships that changed later than this time."),
    ("order", "`joined_at`, `updated_at`, `level` or `id`; with `-` in front, falling. Not while searching."),
];

const SEARCH_CHARS_MAX: usize = 200;

/// What of the list is wanted; by default everybody.
#[derive(Default)]
pub struct Wanted {
    /// In lower case, with single spaces; empty for no search.
    search: String,
    email: Option<String>,
    /// In lower case.
    email_domain: Option<String>,
    outside_verified_domains: bool,
    /// Empty for all.
    levels: Vec<Level>,
    is_2fa_enabled: Option<bool>,
    updated_after: Option<Time>,
    order: Option<String>,
}

impl Wanted {
    /// Those whose name or address holds the text.
    ///
    /// # Errors
    /// 400 for a text that is too long.
    pub fn search(text: &str) -> Result<Wanted> {
        let search = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if search.chars().count() > SEARCH_CHARS_MAX {
            let detail = "Search query must be 200 characters or fewer.";
            return Err(invalid("search", "max_length", detail));
        }
        Ok(Wanted { search: search.to_lowercase(), ..Wanted::default() })
    }

    /// Those of these levels; of all, where there are none.
    pub fn at_levels(self, levels: Vec<Level>) -> Wanted {
        Wanted { levels, ..self }
    }

    /// Those with a second factor, or without; with `None` both.
    pub fn by_second_factor(self, is_2fa_enabled: Option<bool>) -> Wanted {
        Wanted { is_2fa_enabled, ..self }
    }

    fn of(call: &Call) -> Result<Wanted> {
        let given = |name| call.query(name).map(str::trim).filter(|text| !text.is_empty());
        Ok(Wanted {
            email: call.query("email").map(str::to_owned),
            email_domain: given("email_domain").map(|name| name.trim_start_matches('@').to_lowercase()),
            outside_verified_domains: match given("outside_verified_domains") {
                Some(text) => boolean("outside_verified_domains", text)?,
                None => false,
            },
            levels: levels(call)?,
            updated_after: given("updated_after").map(time).transpose()?,
            order: call.query("order").map(str::to_owned),
            ..Wanted::search(call.query("search").unwrap_or_default())?
        })
    }

    /// Whether it is the whole list in its usual order.
    fn is_plain(&self) -> bool {
        let Wanted { search, email, email_domain, levels, updated_after, order, .. } = self;
        search.is_empty()
            && email.is_none()
            && email_domain.is_none()
            && !self.outside_verified_domains
            && self.is_2fa_enabled.is_none()
            && levels.is_empty()
            && updated_after.is_none()
            && order.is_none()
    }

    fn has(&self, tx: &Tx, organization: OrganizationId, row: &Row) -> Result<bool> {
        let domain = row.user.email.rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        Ok((self.search.is_empty() || self.finds(row))
            && self.email.as_ref().is_none_or(|email| row.user.email == *email)
            && (self.email_domain.is_none() || self.email_domain == domain)
            && (self.levels.is_empty() || self.levels.contains(&row.member.level))
            && self.is_2fa_enabled.is_none_or(|wanted| row.is_2fa_enabled == wanted)
            && self.updated_after.is_none_or(|after| row.member.updated_at > after)
            && (!self.outside_verified_domains || !domains::admits(tx, organization, &row.user.email)?))
    }

    fn finds(&self, row: &Row) -> bool {
        let full = format!("{} {}", row.user.first_name, row.user.last_name);
        [&row.user.first_name, &row.user.last_name, &row.user.email, &full]
            .iter()
            .any(|text| text.to_lowercase().contains(&self.search))
    }

    fn sort(&self, rows: &mut [Row]) {
        if !self.search.is_empty() {
            rows.sort_by_cached_key(|row| row.user.first_name.to_lowercase());
            return;
        }
        let order = self.order.as_deref().unwrap_or_default();
        let (name, falling) = order.strip_prefix('-').map_or((order, false), |name| (name, true));
        let compare: fn(&Row, &Row) -> Ordering = match name {
            "joined_at" => |a, b| a.member.joined_at.cmp(&b.member.joined_at),
            "updated_at" => |a, b| a.member.updated_at.cmp(&b.member.updated_at),
            "level" => |a, b| a.member.level.cmp(&b.member.level),
            "id" => |a, b| a.member.id.cmp(&b.member.id),
            // Any other is the usual order, which they are in.
            _ => return,
        };
        rows.sort_by(|a, b| if falling { compare(b, a) } else { compare(a, b) });
    }
}

fn levels(call: &Call) -> Result<Vec<Level>> {
    let values = call.query.iter().filter(|(name, _)| name == "levels");
    let numbers = values.flat_map(|(_, text)| text.split(',')).map(str::trim).filter(|text| !text.is_empty());
    let level = |text: &str| {
        let number = text.parse::<i64>().ok().filter(|number| LEVELS.contains(number));
        number.and_then(Level::of).ok_or_else(|| invalid_choice("levels", text))
    };
    numbers.map(level).collect()
}

fn boolean(attr: &'static str, text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid(attr, "invalid_input", "Must be a valid boolean.")),
    }
}

fn time(text: &str) -> Result<Time> {
    let wrong =
        || -> Error { invalid("updated_after", "invalid_input", "Enter a valid date and time in ISO 8601.") };
    // A plus that was sent as it is stands for a space in a query.
    Time::parse(text).or_else(|| Time::parse(&text.replace(' ', "+"))).ok_or_else(wrong)
}

pub(super) fn list(call: &Call, tx: &Tx) -> Result<Reply> {
    let wanted = Wanted::of(call)?;
    let paging = Paging::of(call);
    let (total, rows) = find_page(call, tx, call.place.in_organization()?, &wanted, paging)?;
    // Nothing but whole words and parts of them is searched for.
    let search_match_type = (!wanted.search.is_empty()).then_some("exact");
    let shown = rows.iter().map(|row| Wire { search_match_type, ..wire(row) });
    paging.reply(call, total, &shown.collect::<Vec<_>>())
}

/// How many members are wanted that the caller may see, and a page of them.
///
/// # Errors
/// None but of the data file.
pub fn find_page(
    ctx: &Ctx,
    tx: &Tx,
    at: InOrganization,
    wanted: &Wanted,
    paging: Paging,
) -> Result<(u64, Vec<Row>)> {
    let visible = Visible::of(tx, at, ctx.user()?)?;
    if wanted.is_plain() && visible.is_everybody() {
        let (total, page) = tx.page(&BY_JOINING, &at.id, Order::Descending, paging.offset, paging.limit)?;
        return Ok((total, load_all(tx, at.id, page.into_iter().map(|(_, user)| user))?));
    }
    let newest_first = users_of(tx, at.id)?.into_iter().rev();
    let mut rows = Vec::new();
    for row in load_all(tx, at.id, newest_first.filter(|user| visible.has(*user)))? {
        if wanted.has(tx, at.id, &row)? {
            rows.push(row);
        }
    }
    wanted.sort(&mut rows);
    Ok((rows.len() as u64, paging.cut(rows)))
}

fn load_all(tx: &Tx, organization: OrganizationId, users: impl Iterator<Item = UserId>) -> Result<Vec<Row>> {
    users.map(|user| load(tx, organization, user)).collect()
}
