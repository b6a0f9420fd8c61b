//! Work on bytes that may be damaged. redb trusts what it reads in places, and panics where it is not what it
//! wrote; here that becomes an error.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, Location, catch_unwind};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where the last guarded panic happened.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`. A panic in it becomes an error with its message and its place, and is logged by nobody else.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if IS_GUARDED.get() {
                PLACE.set(panic.location().map(shown).unwrap_or_default());
            } else {
                others(panic);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(before);
    outcome.map_err(|cause| format!("{} [{}]", text(&*cause), PLACE.take()))
}

fn shown(place: &Location<'_>) -> String {
    let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
    format!("{file}:{}", place.line())
}

fn text(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_says_where() {
        assert_eq!(guarded(|| 1), Ok(1));
        let caught = guarded(|| guarded(|| panic!("inner")).map_err(|cause| panic!("outer {cause}")));
        let sentence: Result<Result<(), ()>, String> = caught;
        let sentence = sentence.unwrap_err();
        assert!(sentence.starts_with("outer inner [guard.rs:") && sentence.ends_with(']'), "{sentence}");
    }
}
