//! The vocabulary that resources share: types and pure functions, without tables and without I/O.

pub mod call;
pub mod caller;
pub mod charset;
pub mod ctx;
pub mod cursor;
pub mod fields;
pub mod form;
pub mod idn;
pub mod input;
pub mod json;
pub mod level;
pub mod page;
pub mod place;
pub mod reply;
pub mod way;

pub use call::{Body, Call, Method, Within};
pub use caller::{Caller, KeyAccess, Via};
pub use ctx::{Actor, Ctx, Source};
pub use fields::{FieldInfo, FieldKind};
pub use form::{Field, Form};
pub use input::{Input, Values};
pub use level::Level;
pub use page::Paging;
pub use place::{InOrganization, InProject, Place};
pub use reply::Reply;
