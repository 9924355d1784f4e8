//! Writes a label selector of an object as the text that triggers take: `queue=jobs,tier in (a,b)`.

use serde_json::Value;
use tidegate_calculator::hpa::selector::Selector;

use super::fields::{Fields, Found};

/// The selector as text: labels in the order of their names, then the expressions. Empty for none, which means all.
pub(super) fn text(selector: Option<&Fields<'_>>, found: &mut Found) -> String {
    let Some(selector) = selector else { return String::new() };
    selector.only(&["matchLabels", "matchExpressions"], found);
    let mut parts = Vec::new();
    if let Some(labels) = selector.child("matchLabels", found) {
        let texts = labels.iter().filter_map(|(key, _)| {
            // An empty value is a value here.
            let value = labels.get(key).and_then(Value::as_str);
            if value.is_none() {
                found.refuse(labels.at(key), labels.get(key), "is not a text; quote it");
            }
            value.map(|value| format!("{key}={value}"))
        });
        parts.extend(texts);
        parts.sort();
    }
    for expression in selector.children("matchExpressions", found) {
        parts.extend(requirement(&expression, found));
    }
    let text = parts.join(",");
    // Names and values of labels are few characters, so whatever the text form cannot hold is no label.
    if !text.is_empty()
        && let Err(error) = Selector::parse(&text)
    {
        found.refuse(selector.path(), None, error.to_string());
    }
    text
}

fn requirement(expression: &Fields<'_>, found: &mut Found) -> Option<String> {
    expression.only(&["key", "operator", "values"], found);
    let (key, operator) = (expression.required_text("key", found)?, expression.required_text("operator", found)?);
    let values = values(expression, found)?;
    let (word, takes_values) = match operator.as_str() {
        "In" => ("in", true),
        "NotIn" => ("notin", true),
        "Exists" => ("", false),
        "DoesNotExist" => ("!", false),
        _ => {
            let allowed = "is not one of In, NotIn, Exists, DoesNotExist";
            found.refuse(expression.at("operator"), Some(&operator.into()), allowed);
            return None;
        }
    };
    if takes_values == values.is_empty() {
        let allowed = if takes_values { "must have at least one entry" } else { "must be empty" };
        found.refuse(expression.at("values"), expression.get("values"), format!("{allowed} for {operator}"));
        return None;
    }
    Some(if takes_values { format!("{key} {word} ({})", values.join(",")) } else { format!("{word}{key}") })
}

fn values<'a>(expression: &Fields<'a>, found: &mut Found) -> Option<Vec<&'a str>> {
    let Some(given) = expression.get("values") else { return Some(Vec::new()) };
    let values = given.as_array().and_then(|values| values.iter().map(Value::as_str).collect());
    if values.is_none() {
        found.refuse(expression.at("values"), Some(given), "is not a list of texts");
    }
    values
}
