//! The rooms: each owns its record, its tables, its rules and its handlers. Only a room writes its
//! tables; its neighbours call its functions.

pub mod access_controls;
pub mod activity;
pub mod api_keys;
pub mod batch_exports;
pub mod capture;
pub mod check;
pub mod domains;
mod elements;
pub mod events;
#[cfg(test)]
mod golden;
pub mod instance;
pub mod invites;
pub mod members;
pub mod organizations;
pub mod outbox;
pub mod persons;
pub mod places;
pub mod plugins;
pub mod projects;
pub mod proxy_records;
pub mod role_memberships;
pub mod roles;
pub mod schema;
pub mod secrets;
pub mod sessions;
pub mod signup;
pub mod trusted_time;
pub mod two_factor;
pub mod users;
mod whoami;

use crate::app::Route;
use crate::store::TableInfo;

/// What a step of a sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub rows: u64,
    /// Whether more may be left.
    pub is_more: bool,
}

/// Every row of the route table but the schema's own.
pub fn rows() -> Vec<Route> {
    [
        organizations::rows(),
        projects::rows(),
        members::rows(),
        invites::rows(),
        batch_exports::rows(),
        capture::rows(),
        plugins::rows(),
        domains::rows(),
        roles::rows(),
        role_memberships::rows(),
        proxy_records::rows(),
        access_controls::rows(),
        signup::rows(),
        sessions::rows(),
        users::rows(),
        two_factor::rows(),
        api_keys::rows(),
        instance::rows(),
        whoami::rows(),
        schema::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every table of the data file but the store's own.
pub fn tables() -> Vec<TableInfo> {
    vec![
        access_controls::ENTRIES.info(),
        activity::ENTRIES.info(),
        activity::BY_SCOPE.info(),
        api_keys::KEYS.info(),
        api_keys::BY_USER.info(),
        domains::DOMAINS.info(),
        domains::VERIFIED.info(),
        domains::IN_ORDER.info(),
        batch_exports::EXPORTS.info(),
        batch_exports::BY_ID.info(),
        batch_exports::SCHEDULE.info(),
        batch_exports::backfills::BACKFILLS.info(),
        batch_exports::backfills::OPEN.info(),
        batch_exports::logs::LOGS.info(),
        batch_exports::runs::RUNS.info(),
        batch_exports::runs::OPEN.info(),
        batch_exports::runs::COMMITS.info(),
        events::EVENTS.info(),
        events::BY_TIME.info(),
        events::BY_UUID.info(),
        events::KEPT.info(),
        instance::INSTANCE.info(),
        invites::INVITES.info(),
        invites::BY_TOKEN.info(),
        invites::BY_EMAIL.info(),
        members::MEMBERS.info(),
        members::BY_JOINING.info(),
        organizations::ORGANIZATIONS.info(),
        organizations::BY_SLUG.info(),
        outbox::OUTBOX.info(),
        persons::PERSONS.info(),
        persons::MAPPINGS.info(),
        persons::DISTINCT_IDS.info(),
        persons::BY_TOUCH.info(),
        plugins::PLUGINS.info(),
        plugins::BY_NUMBER.info(),
        plugins::GLOBAL.info(),
        plugins::BY_URL.info(),
        plugins::address::PRIVATE_URLS.info(),
        plugins::source::FILES.info(),
        plugins::repository::LISTS.info(),
        projects::PROJECTS.info(),
        projects::DETAILS.info(),
        projects::BY_NUMBER.info(),
        projects::BY_TOKEN.info(),
        proxy_records::RECORDS.info(),
        proxy_records::BY_DOMAIN.info(),
        proxy_records::DUE.info(),
        role_memberships::MEMBERSHIPS.info(),
        role_memberships::BY_USER.info(),
        roles::ROLES.info(),
        roles::BY_NAME.info(),
        sessions::SESSIONS.info(),
        sessions::BY_USER.info(),
        sessions::BY_AGE.info(),
        two_factor::DEVICES.info(),
        users::USERS.info(),
        users::BY_EMAIL.info(),
    ]
}
