//! The route table: every room's rows under their paths.

use std::fmt::Write;
use std::sync::LazyLock;

use crate::api::Route;
use crate::api::call::Method;
use crate::api::route::{Needs, Slash};
use crate::resources;

/// The rows of one path.
pub struct Node {
    rows: [Option<Route>; Method::ALL.len()],
    /// The names of the path's parameters, in its order.
    params: Vec<String>,
    /// The methods of the path, as the `Allow` header lists them.
    pub allow: String,
}

impl Node {
    /// The row of a method.
    pub fn row(&self, method: Method) -> Option<&Route> {
        self.rows[method as usize].as_ref()
    }

    /// The names of the path's parameters, in its order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(String::as_str)
    }

    /// Whether nobody has to be signed in for any of the rows.
    pub fn is_public(&self) -> bool {
        self.rows.iter().flatten().all(|row| row.needs == Needs::Public)
    }

    /// Whether a row reads its body itself; then it is the path's only one.
    pub fn takes_bytes(&self) -> bool {
        self.rows.iter().flatten().any(|row| row.takes_bytes.is_some())
    }

    fn slash(&self) -> Slash {
        self.rows.iter().flatten().next().map_or(Slash::Optional, |row| row.slash)
    }

    /// The path as the table has it.
    pub fn name(&self) -> &str {
        self.rows.iter().flatten().next().map_or("", |row| &row.path)
    }
}

/// A path's parameters: name and value.
pub type Params = Vec<(&'static str, String)>;

/// The one table of this program.
pub fn table() -> &'static Routes {
    static TABLE: LazyLock<Routes> = LazyLock::new(Routes::new);
    &TABLE
}

/// All paths.
pub struct Routes {
    router: matchit::Router<usize>,
    nodes: Vec<(String, Node)>,
}

impl Routes {
    /// Joins the rows of all rooms.
    ///
    /// # Panics
    /// When two rows have the same path and method: the program is wrong then.
    fn new() -> Routes {
        let mut routes = Routes { router: matchit::Router::new(), nodes: Vec::new() };
        for row in resources::rows() {
            routes.add(row);
        }
        for (_, node) in &mut routes.nodes {
            let mut methods: Vec<&str> = node.rows.iter().flatten().map(|row| row.method.name()).collect();
            if methods.contains(&"GET") {
                methods.push("HEAD");
            }
            methods.push("OPTIONS");
            node.allow = methods.join(", ");
        }
        routes
    }

    fn add(&mut self, row: Route) {
        let path = match row.path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        let place = self.nodes.iter().position(|(known, _)| *known == path).unwrap_or_else(|| {
            let place = self.nodes.len();
            self.router.insert(&path, place).unwrap_or_else(|clash| panic!("{path}: {clash}"));
            let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let params = names.map(str::to_owned).collect();
            self.nodes.push((path.clone(), Node { rows: Default::default(), params, allow: String::new() }));
            place
        });
        let cell = &mut self.nodes[place].1.rows[row.method as usize];
        assert!(cell.is_none(), "{} {path} stands twice in the route table", row.method.name());
        *cell = Some(row);
    }

    /// The rows of a decoded path, and its parameters.
    pub fn find(&'static self, path: &str) -> Option<(&'static Node, Params)> {
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

    /// All rows, by path.
    pub fn rows(&self) -> impl Iterator<Item = &Route> {
        let mut rows: Vec<&Route> =
            self.nodes.iter().flat_map(|(_, node)| node.rows.iter().flatten()).collect();
        rows.sort_by(|a, b| (&a.path, a.method).cmp(&(&b.path, b.method)));
        rows.into_iter()
    }

    /// The table as text: method, path, what it needs, status.
    pub fn print(&self) -> String {
        let mut text = String::new();
        for row in self.rows() {
            let needs = match row.needs {
                Needs::Public => "public",
                Needs::Session => "session",
                Needs::SignedIn => "signed in",
                Needs::Scope(scope) => scope,
            };
            let _ = writeln!(text, "{:6} {:72} {:26} {}", row.method.name(), row.path, needs, row.status);
        }
        text
    }
}
