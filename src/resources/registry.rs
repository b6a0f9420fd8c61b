//! What a resource brings to the program, and the list of all of them.

use std::sync::OnceLock;

use super::samples::Samples;
use super::secrets::Look;
use super::*;
use crate::app::Route;
use crate::error::Result;
use crate::store::{AnyTable, Problems, Tx};

/// Adds what is wrong beyond what the declarations of the tables say.
pub type Check = fn(&Tx, &mut Problems) -> Result<()>;

/// Shows every sealed secret, with what it is sealed for.
pub type Seals = fn(&Tx, Look<'_>) -> Result<()>;

/// A resource: its routes, its tables, one sample of each stored record, and its own checks.
pub struct Resource {
    pub routes: fn() -> Vec<Route>,
    pub tables: &'static [&'static dyn AnyTable],
    /// Only tests read them: release builds leave them out.
    #[cfg(any(test, debug_assertions))]
    pub samples: fn(&mut Samples),
    pub checks: &'static [Check],
    /// Shows everything that it seals.
    pub seals: &'static [Seals],
}

impl Resource {
    /// A resource with these routes, and nothing else yet.
    pub const fn of(routes: fn() -> Vec<Route>) -> Resource {
        Resource {
            routes,
            tables: &[],
            #[cfg(any(test, debug_assertions))]
            samples: |_| (),
            checks: &[],
            seals: &[],
        }
    }

    /// One without routes.
    pub const fn inner() -> Resource {
        Resource::of(Vec::new)
    }

    /// The tables that it owns; their indexes come with them. Each needs a sample.
    pub const fn tables(mut self, tables: &'static [&'static dyn AnyTable]) -> Resource {
        self.tables = tables;
        self
    }

    /// A sample of each kind of record, for the test of the stored bytes.
    #[cfg(any(test, debug_assertions))]
    pub const fn samples(mut self, samples: fn(&mut Samples)) -> Resource {
        self.samples = samples;
        self
    }

    /// A sample of each kind of record, which a release build leaves out.
    #[cfg(not(any(test, debug_assertions)))]
    pub const fn samples(self, _samples: fn(&mut Samples)) -> Resource {
        self
    }

    /// What `orgd check` proves of it.
    pub const fn checks(mut self, checks: &'static [Check]) -> Resource {
        self.checks = checks;
        self
    }

    /// The secrets that it stores sealed.
    pub const fn seals(mut self, seals: &'static [Seals]) -> Resource {
        self.seals = seals;
        self
    }
}

/// This program's resources, in the order in which the route table shows them.
static OWN: &[&Resource] = &[
    &organizations::RESOURCE,
    &projects::RESOURCE,
    &members::RESOURCE,
    &metrics::RESOURCE,
    &invites::RESOURCE,
    &batch_exports::RESOURCE,
    &environments::RESOURCE,
    &integrations::RESOURCE,
    &capture::RESOURCE,
    &sdk::RESOURCE,
    &plugins::RESOURCE,
    &domains::RESOURCE,
    &roles::RESOURCE,
    &role_memberships::RESOURCE,
    &proxy_records::RESOURCE,
    &access_controls::RESOURCE,
    &signup::RESOURCE,
    &sessions::RESOURCE,
    &last_logins::RESOURCE,
    &acme::RESOURCE,
    &reset::RESOURCE,
    &addresses::RESOURCE,
    &account_links::RESOURCE,
    &users::RESOURCE,
    &two_factor::RESOURCE,
    &api_keys::RESOURCE,
    &root::RESOURCE,
    &status::RESOURCE,
    &whoami::RESOURCE,
    &openapi_doc::RESOURCE,
    &org_file::RESOURCE,
    &audit::RESOURCE,
    &events::RESOURCE,
    &outbox::RESOURCE,
    &persons::RESOURCE,
];

static MORE: OnceLock<&'static [&'static Resource]> = OnceLock::new();

/// Adds resources for as long as the process runs, before anything was read from the list. Only the first call counts.
pub fn add(more: &'static [&'static Resource]) {
    MORE.get_or_init(|| more);
}

/// Every resource.
pub fn all() -> impl Iterator<Item = &'static Resource> {
    OWN.iter().chain(*MORE.get_or_init(|| &[])).copied()
}

/// The tables of all resources.
pub fn tables() -> Vec<&'static dyn AnyTable> {
    all().flat_map(|resource| resource.tables).copied().collect()
}

/// The routes of all resources.
pub fn routes() -> Vec<Route> {
    all().flat_map(|resource| (resource.routes)()).collect()
}
