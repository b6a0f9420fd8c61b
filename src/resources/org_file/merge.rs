//! Several files as one: kinds merge, and what stands in two of them is an error.

use super::fault::Fault;
use super::yaml::{Name, Node, Tree};

/// Both as one.
///
/// # Errors
/// What both say, at its second place.
pub(super) fn merged(first: Node, second: Node) -> Result<Node, Fault> {
    let at = first.at;
    let (Tree::Object(mut all), Tree::Object(more)) = (first.tree, second.tree) else {
        return Err(Fault::at(at, "an object is wanted".into()));
    };
    for (name, node) in more {
        let Some((_, known)) = all.iter_mut().find(|(known, _)| known.text == name.text) else {
            all.push((name, node));
            continue;
        };
        match name.text.as_str() {
            "orgd" | "$schema" => {}
            "organizations" => organizations(known, node)?,
            _ => list(known, name, node)?,
        }
    }
    Ok(Node { tree: Tree::Object(all), at })
}

/// Entries of one organization belong together.
fn organizations(known: &mut Node, more: Node) -> Result<(), Fault> {
    let (Tree::List(all), Tree::List(more)) = (&mut known.tree, more.tree) else { return Ok(()) };
    for entry in more {
        match all.iter_mut().find(|known| is_same(known, &entry)) {
            Some(known) => object(known, entry)?,
            None => all.push(entry),
        }
    }
    Ok(())
}

fn is_same(one: &Node, other: &Node) -> bool {
    ["id", "slug"].into_iter().any(|name| {
        let text = |node: &Node| node.get(name).map(|value| value.value());
        text(one).is_some() && text(one) == text(other)
    })
}

fn object(known: &mut Node, more: Node) -> Result<(), Fault> {
    let (Tree::Object(all), Tree::Object(more)) = (&mut known.tree, more.tree) else { return Ok(()) };
    for (name, node) in more {
        match all.iter_mut().find(|(known, _)| known.text == name.text) {
            None => all.push((name, node)),
            // Both have to name it.
            Some((_, known))
                if known.value() == node.value() && ["id", "slug"].contains(&name.text.as_str()) => {}
            Some((_, known)) => list(known, name, node)?,
        }
    }
    Ok(())
}

/// Lists are put together, and so are objects that have no name in common.
fn list(known: &mut Node, name: Name, more: Node) -> Result<(), Fault> {
    match (&mut known.tree, more.tree) {
        (Tree::List(all), Tree::List(more)) => all.extend(more),
        (Tree::Object(all), Tree::Object(more)) => {
            for (name, node) in more {
                if all.iter().any(|(known, _)| known.text == name.text) {
                    return Err(double(&name));
                }
                all.push((name, node));
            }
        }
        _ => return Err(double(&name)),
    }
    Ok(())
}

fn double(name: &Name) -> Fault {
    Fault::at(name.at, format!("`{}` stands in two files", name.text))
}
