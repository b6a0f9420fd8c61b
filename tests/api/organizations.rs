//! Organizations: their shape, who may do what, and what goes with them.

use serde_json::json;

use crate::support::Server;

#[test]
fn the_founder_sees_the_organization_with_exactly_the_fields_of_the_page() {
    let server = Server::start();
    let org = server.org();
    let shown = org.owner.get(&org.at("")).json(200);
    assert_eq!(shown["name"], "Acme");
    assert_eq!(shown["slug"], "acme");
    assert_eq!(shown["membership_level"], 15);
    assert_eq!(shown["member_count"], 1);
    assert_eq!(shown["metadata"], json!({"instance_tag": "none"}));
}
