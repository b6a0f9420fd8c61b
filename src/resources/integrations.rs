//! Integrations, of which there are none: credentials stand in the configuration of each batch export. Clients look for
//! them all the same.

use super::Resource;
use crate::api::{Call, Field, FieldInfo, Paging, Reply, Within};
use crate::app::{Route, Tag, read, scope, tagged};
use crate::error::Result;
use crate::store::Tx;

pub static RESOURCE: Resource = Resource::of(routes);

const FIELDS: &[FieldInfo] = &[Field::integer("id", 0, i64::MAX).read_only()];

fn routes() -> Vec<Route> {
    const TAG: Tag = Tag {
        name: "integrations",
        noun: "integration",
        about: "Connections to other services. There are none on this server.",
    };
    let route = |prefix: &str| {
        let path = format!("/api/{prefix}/{{project_id}}/integrations/");
        Route::get(path, scope("integration:read"), Within::Project("project_id"), read(list))
            .responds_page(FIELDS)
            .about("List integrations", "Always an empty page.")
    };
    tagged(TAG, ["projects", "environments"].map(route).into())
}

fn list(call: &Call, _: &Tx) -> Result<Reply> {
    Paging::of(call).reply::<()>(call, 0, &[])
}
