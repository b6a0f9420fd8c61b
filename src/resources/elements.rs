//! The chain of page elements that an autocaptured event carries, in PostHog's text form.

use serde_json::{Map, Value};

/// Takes the chain out of the properties: as text from newer senders, as a list of elements from older ones.
pub(super) fn take_chain(mut take: impl FnMut(&str) -> Option<Value>) -> String {
    let text = take("$elements_chain");
    let list = take("$elements");
    match (text, list) {
        (Some(Value::String(chain)), _) => chain,
        (_, Some(Value::Array(elements))) => {
            let chain: Vec<String> = elements.iter().filter_map(Value::as_object).map(link).collect();
            chain.join(";")
        }
        _ => String::new(),
    }
}

/// `tag.class:name="value"…` with the attributes sorted by name.
fn link(element: &Map<String, Value>) -> String {
    const TEXT_CHARS_MAX: usize = 400;
    const HREF_CHARS_MAX: usize = 2048;
    let plain = |name: &str| match element.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let cut = |text: String, max: usize| text.chars().take(max).collect::<String>();
    let mut link = plain("tag_name").unwrap_or_default();
    for class in classes(element) {
        link.push('.');
        link.push_str(&class.replace('"', ""));
    }
    let mut attributes: Vec<(String, String)> = vec![
        ("nth-child".into(), plain("nth_child").unwrap_or_else(|| "0".into())),
        ("nth-of-type".into(), plain("nth_of_type").unwrap_or_else(|| "0".into())),
    ];
    attributes.extend(plain("$el_text").map(|text| ("text".into(), cut(text, TEXT_CHARS_MAX))));
    attributes.extend(plain("attr__href").map(|href| ("href".into(), cut(href, HREF_CHARS_MAX))));
    attributes.extend(plain("attr__id").map(|id| ("attr_id".into(), id)));
    let own = element.keys().filter(|name| name.starts_with("attr__"));
    attributes.extend(own.map(|name| (name.clone(), plain(name).unwrap_or_default())));
    attributes.sort();
    link.push(':');
    for (name, value) in attributes {
        let escaped = |text: &str| text.replace('"', "\\\"");
        link.push_str(&format!("{}=\"{}\"", escaped(&name), escaped(&value)));
    }
    link
}

fn classes(element: &Map<String, Value>) -> Vec<String> {
    let mut classes: Vec<String> = match element.get("attr__class") {
        Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    classes.sort();
    classes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(properties: Value) -> (String, Value) {
        let Value::Object(mut properties) = properties else { panic!("an object is needed") };
        (take_chain(|name| properties.shift_remove(name)), Value::Object(properties))
    }

    #[test]
    fn newer_senders_send_the_chain_itself() {
        let (chain, rest) = taken(json!({"$elements_chain": "a:nth-child=\"1\"", "x": 1}));
        assert_eq!((chain.as_str(), rest), ("a:nth-child=\"1\"", json!({"x": 1})));
    }

    #[test]
    fn a_list_of_elements_becomes_a_chain() {
        let link = json!({"tag_name": "a", "attr__class": "small btn", "attr__href": "/x", "$el_text": "say \"hi\"", "nth_child": 1, "nth_of_type": 2});
        let (chain, rest) = taken(json!({"$elements": [link, {"tag_name": "body"}]}));
        let wanted = concat!(
            "a.btn.small:attr__class=\"small btn\"attr__href=\"/x\"href=\"/x\"nth-child=\"1\"nth-of-type=\"2\"",
            "text=\"say \\\"hi\\\"\";body:nth-child=\"0\"nth-of-type=\"0\"",
        );
        assert_eq!((chain.as_str(), rest), (wanted, json!({})));
        assert_eq!(taken(json!({"x": 1})).0, "");
    }
}
