//! The vocabulary that rooms share: types and pure functions, no tables and no I/O.

pub mod about;
pub mod call;
pub mod fields;
pub mod level;
pub mod openapi;
pub mod page;
pub mod place;
pub mod reply;
pub mod route;
pub mod way;

pub use about::{Tag, tagged};
pub use call::{Body, Call, Caller, KeyAccess, Method, Via};
pub use fields::{Field, Form, Kind};
pub use level::Level;
pub use page::Paging;
pub use place::{InProject, Place};
pub use reply::Reply;
pub use route::{Route, Within, public, read, scope, session, signed_in, steps, write};
