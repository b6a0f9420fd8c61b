//! The route table: the routes of all resources, by path.

use std::fmt::Write;
use std::sync::LazyLock;

use crate::api::Within;
use crate::api::call::{Method, parse_uuid};
use crate::app::Route;
use crate::app::route::{Format, Needs, Protocol, Refuse, Slash};
use crate::metrics::PathRequests;
use crate::resources;
use crate::test_server::conceal;
use crate::test_server::paths::KnownPaths;

/// The routes of one path.
pub struct PathNode {
    routes: [Option<Route>; Method::ALL.len()],
    /// The names of the path's parameters, in its order.
    params: Vec<String>,
    /// What the log may say of them, in the same order.
    logged: Vec<Logged>,
    protocol: Protocol,
    requests: &'static PathRequests,
    /// The methods of the path, as the `Allow` header lists them.
    pub allow: String,
}

/// Parameters that name something and open nothing, so that the log may hold them.
const LOGGED: [&str; 17] = [
    "backfill_id",
    "destination",
    "export_id",
    "id",
    "key",
    "membership",
    "organization_id",
    "project_id",
    "role",
    "role_id",
    "run",
    "run_id",
    "session_id",
    "user",
    "user__uuid",
    "user_uuid",
    "uuid",
];
/// Routes below it are opened by what their paths name.
const OPENED_BY_PATH: &str = "/api/signup/";
/// Longer values name nothing.
const LOGGED_BYTES_MAX: usize = 48;

/// What the log may say of a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Logged {
    Never,
    /// UUIDs, numbers, and `@me` and the like.
    Id,
    /// Slugs besides.
    IdOrSlug,
}

impl Logged {
    fn of(route: &Route, name: &str) -> Logged {
        match name {
            _ if !LOGGED.contains(&name) || route.path.starts_with(OPENED_BY_PATH) => Logged::Never,
            "organization_id" => Logged::IdOrSlug,
            _ if matches!(route.within, Within::OrganizationBy(_)) => Logged::IdOrSlug,
            _ => Logged::Id,
        }
    }

    /// Whether the value is of a kind that names things. Anything else was put there by mistake or in malice.
    fn admits(self, value: &str) -> bool {
        let all = |plain: fn(&u8) -> bool| !value.is_empty() && value.as_bytes().iter().all(plain);
        let is_id =
            || parse_uuid(value).is_some() || all(u8::is_ascii_digit) || ["@me", "@current"].contains(&value);
        let is_slug = || all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-');
        match self {
            _ if value.len() > LOGGED_BYTES_MAX => false,
            Logged::Never => false,
            Logged::Id => is_id(),
            Logged::IdOrSlug => is_id() || is_slug(),
        }
    }
}

impl PathNode {
    /// The route of a method.
    pub fn route(&self, method: Method) -> Option<&Route> {
        self.routes[method as usize].as_ref()
    }

    /// The names of the path's parameters, in its order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(String::as_str)
    }

    /// The identifiers among the parameters that the log may hold, as `name=value` with spaces between.
    pub fn ids(&self, params: &Params) -> String {
        if params.is_empty() {
            return String::new();
        }
        let mut text = String::with_capacity(128);
        for ((name, value), logged) in params.iter().zip(&self.logged) {
            if logged.admits(value) {
                let space = if text.is_empty() { "" } else { " " };
                text.extend([space, name, "=", value]);
            }
        }
        text
    }

    /// The path of a request, without the parameters that may open something.
    pub fn path_without_secrets(&self, path: &str, params: &Params) -> String {
        // What names a file opens nothing.
        const OF_FILES: [&str; 2] = ["file", "version"];
        let mut all = params.iter().zip(&self.logged);
        let segments = self.name().trim_end_matches('/').split('/').map(|segment| {
            if !segment.starts_with('{') {
                return segment;
            }
            match all.next() {
                Some(((_, value), Logged::Id | Logged::IdOrSlug)) => conceal::segment(value),
                Some(((name, value), Logged::Never)) if OF_FILES.contains(name) => conceal::segment(value),
                _ => conceal::CONCEALED,
            }
        });
        let shown = segments.collect::<Vec<_>>().join("/");
        let slash = if path.ends_with('/') { "/" } else { "" };
        format!("{shown}{slash}")
    }

    /// Whether a cache may keep its answers: they are the same for everybody, and nothing is changed there.
    pub fn may_be_stored(&self) -> bool {
        self.is_public()
            && !self.is_control()
            && self.routes.iter().flatten().all(|route| route.method.is_safe())
    }

    /// Whether nobody has to be signed in for any of the routes.
    pub fn is_public(&self) -> bool {
        self.routes.iter().flatten().all(|route| route.needs == Needs::Public)
    }

    /// The format of its answers. Where one method has its own, no caller of the path has to accept JSON.
    pub fn format(&self) -> Format {
        let mut formats = self.routes.iter().flatten().map(|route| route.format);
        // GET stands first.
        let first = formats.next().unwrap_or(Format::Own);
        if formats.any(|format| format == Format::Own) { Format::Own } else { first }
    }

    /// Whether it is a page for people.
    pub fn is_page(&self) -> bool {
        self.protocol == Protocol::Page
    }

    /// How a refusal looks; `None` for the JSON envelope.
    pub fn refuse(&self) -> Option<Refuse> {
        self.routes.iter().flatten().find_map(|route| route.refuse)
    }

    /// Whether it controls a development or test server.
    pub fn is_control(&self) -> bool {
        self.protocol == Protocol::Control
    }

    /// Whether events are received there.
    pub fn is_ingest(&self) -> bool {
        self.protocol == Protocol::Ingest
    }

    /// Where its requests are counted.
    pub fn requests(&self) -> &'static PathRequests {
        self.requests
    }

    fn slash(&self) -> Slash {
        self.routes.iter().flatten().next().map_or(Slash::Optional, |route| route.slash)
    }

    /// The path as the table has it.
    pub fn name(&self) -> &str {
        self.routes.iter().flatten().next().map_or("", |route| &route.path)
    }
}

/// How a path looks to people that names nothing; `None` where there are no pages.
pub fn refuse_unknown() -> Option<Refuse> {
    #[cfg(feature = "console")]
    let refuse: Option<Refuse> = Some(crate::console::refuse);
    #[cfg(not(feature = "console"))]
    let refuse = None;
    refuse
}

/// A path's parameters: name and value.
pub type Params = Vec<(&'static str, String)>;

/// The one table of an ordinary server.
pub fn table() -> &'static Routes {
    static TABLE: LazyLock<Routes> = LazyLock::new(|| {
        let routes = resources::registry::routes();
        #[cfg(feature = "console")]
        let routes = routes.into_iter().chain(crate::console::routes()).collect();
        Routes::of(routes)
    });
    &TABLE
}

/// Says which routes there are, for programmes of faults and assertions that name their paths.
pub fn introduce(paths: &KnownPaths) {
    paths.know(table().routes().map(|route| (route.method.name(), route.path.clone())));
}

/// The paths that only a development or test server has.
pub fn control_table() -> &'static Routes {
    static TABLE: LazyLock<Routes> = LazyLock::new(|| {
        let routes = resources::test_server::routes();
        #[cfg(feature = "console")]
        let routes = routes.into_iter().chain(crate::console::dev_routes()).collect();
        Routes::of(routes)
    });
    &TABLE
}

/// All paths.
pub struct Routes {
    router: matchit::Router<usize>,
    nodes: Vec<(String, PathNode)>,
}

impl Routes {
    /// Joins routes.
    ///
    /// # Panics
    /// When two routes have the same path and method, or speak differently on one path: the program is wrong then.
    fn of(all: Vec<Route>) -> Routes {
        let mut routes = Routes { router: matchit::Router::new(), nodes: Vec::new() };
        for route in all {
            routes.add(route);
        }
        for (_, node) in &mut routes.nodes {
            let mut methods: Vec<&str> =
                node.routes.iter().flatten().map(|route| route.method.name()).collect();
            if methods.contains(&"GET") {
                methods.push("HEAD");
            }
            methods.push("OPTIONS");
            node.allow = methods.join(", ");
        }
        routes
    }

    fn add(&mut self, route: Route) {
        let path = match route.path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        let place = self.nodes.iter().position(|(known, _)| *known == path).unwrap_or_else(|| {
            let place = self.nodes.len();
            self.router.insert(&path, place).unwrap_or_else(|clash| panic!("{path}: {clash}"));
            let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let params: Vec<String> = names.map(str::to_owned).collect();
            let logged = params.iter().map(|name| Logged::of(&route, name)).collect();
            let (protocol, allow) = (route.protocol, String::new());
            let requests = PathRequests::of(&route.path);
            let node = PathNode { routes: Default::default(), params, logged, protocol, requests, allow };
            self.nodes.push((path.clone(), node));
            place
        });
        let node = &mut self.nodes[place].1;
        assert!(node.protocol == route.protocol, "{path} speaks two protocols");
        let cell = &mut node.routes[route.method as usize];
        assert!(cell.is_none(), "{} {path} is twice in the route table", route.method.name());
        *cell = Some(route);
    }

    /// The routes of a decoded path, and its parameters.
    pub fn find(&'static self, path: &str) -> Option<(&'static PathNode, Params)> {
        let bare = path.strip_suffix('/').filter(|bare| !bare.is_empty());
        let found = self.router.at(bare.unwrap_or(path)).ok()?;
        let (_, node) = &self.nodes[*found.value];
        let slash_fits = match node.slash() {
            Slash::Optional => true,
            Slash::Required => bare.is_some(),
            Slash::Absent => bare.is_none(),
        };
        if !slash_fits {
            return None;
        }
        let values = found.params.iter().map(|(_, value)| value.to_owned());
        Some((node, node.params().zip(values).collect()))
    }

    /// The longest path that a decoded path begins with and that is known, where it is more than the API's own; `None`
    /// too where the path itself is known.
    pub fn known_front(&'static self, path: &str) -> Option<&'static str> {
        let mut front = path.trim_end_matches('/');
        while let Some((shorter, _)) = front.rsplit_once('/') {
            front = shorter;
            if let Ok(found) = self.router.at(front) {
                let name = self.nodes[*found.value].1.name();
                return Some(name).filter(|name| *name != "/api/");
            }
        }
        None
    }

    /// All routes, by path.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        let mut routes: Vec<&Route> =
            self.nodes.iter().flat_map(|(_, node)| node.routes.iter().flatten()).collect();
        routes.sort_by(|a, b| (&a.path, a.method).cmp(&(&b.path, b.method)));
        routes.into_iter()
    }

    /// The table as text: method, path, what it needs, status.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for route in self.routes() {
            let needs = match route.needs {
                Needs::Public => "public",
                Needs::Session => "session",
                Needs::SignedIn => "signed in",
                Needs::Scope(scope) => scope,
            };
            let _ =
                writeln!(text, "{:6} {:72} {:26} {}", route.method.name(), route.path, needs, route.status);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_speaks_json_only_but_for_its_document_and_what_sdks_call() {
        for (_, node) in &table().nodes {
            let path = node.name();
            let is_document = path.starts_with("/api/schema/");
            let is_api = path.starts_with("/api/") && !is_document && !node.is_ingest();
            assert_eq!(node.format() != Format::Own, is_api, "{path}");
        }
    }

    #[test]
    fn an_ordinary_server_has_no_path_that_controls_it() {
        let is_one = |path: &str| path.starts_with("/_orgd") || path == "/dev" || path.starts_with("/dev/");
        let is_control = |node: &PathNode| node.is_control() || is_one(node.name());
        assert!(!table().nodes.iter().any(|(_, node)| is_control(node)));
        for (path, node) in &control_table().nodes {
            assert!(node.is_control() && is_one(path), "{path}");
        }
    }

    #[test]
    fn every_parameter_is_known_to_be_harmless_or_opens_something() {
        for (path, node) in &table().nodes {
            for (name, logged) in node.params().zip(&node.logged) {
                // What names a file may be anything.
                let opens = path.starts_with(OPENED_BY_PATH.trim_end_matches('/'))
                    || ["token", "file", "version"].contains(&name);
                assert_eq!(
                    *logged == Logged::Never,
                    opens,
                    "{path}: {name} is neither in LOGGED nor known to open"
                );
            }
        }
    }
}
