//! The vocabulary that resources share: types and pure functions, without tables and without I/O.

pub mod call;
pub mod ctx;
pub mod fields;
pub mod level;
pub mod page;
pub mod place;
pub mod reply;
pub mod way;

pub use call::{Body, Call, Caller, KeyAccess, Method, Via};
pub use ctx::{Actor, Ctx};
pub use fields::{Field, Form, Kind};
pub use level::Level;
pub use page::Paging;
pub use place::{InProject, Place, Within};
pub use reply::Reply;
