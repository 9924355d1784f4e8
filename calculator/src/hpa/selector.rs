//! Label selectors in their text form: which pods belong to a target (hpa-algorithm §4).

use std::collections::BTreeMap;

/// A parsed selector: every requirement must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

/// A selector that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// There is no text at all.
    #[error("selector is required")]
    Empty,
    /// The text cannot be read.
    #[error("{text:?} is not a label selector: {what}")]
    Malformed {
        /// The text.
        text: String,
        /// What is wrong.
        what: String,
    },
}

impl SelectorError {
    /// The stable reason of this error: the HPA's event.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "SelectorRequired",
            Self::Malformed { .. } => "InvalidSelector",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

impl Selector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.is_empty() {
            return Err(SelectorError::Empty);
        }
        let requirement = |part: &str| {
            Requirement::parse(part).map_err(|what| SelectorError::Malformed { text: text.to_owned(), what })
        };
        parts(text).into_iter().map(requirement).collect::<Result<_, _>>().map(Self)
    }

    /// The labels that must have exactly one value, each with it: whoever keeps things by their labels finds by them what may match.
    pub fn equalities(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|requirement| match &requirement.test {
            Test::In(values) => match values.as_slice() {
                [value] => Some((requirement.key.as_str(), value.as_str())),
                _ => None,
            },
            _ => None,
        })
    }

    /// Whether labels meet every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }
}

/// The text between commas that stand outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

impl Requirement {
    fn parse(part: &str) -> Result<Self, String> {
        let part = part.trim();
        if let Some(key) = part.strip_prefix('!') {
            return Ok(Self { key: label(key, true)?, test: Test::Absent });
        }
        for (operator, negative) in [("!=", true), ("==", false), ("=", false)] {
            if let Some((key, value)) = part.split_once(operator) {
                let values = vec![label(value, false)?];
                let test = if negative { Test::NotIn(values) } else { Test::In(values) };
                return Ok(Self { key: label(key, true)?, test });
            }
        }
        for (operator, test) in [('>', Test::Greater as fn(i64) -> Test), ('<', Test::Less)] {
            if let Some((key, value)) = part.split_once(operator) {
                let number = value.trim().parse().map_err(|_| format!("{:?} is not a whole number", value.trim()))?;
                return Ok(Self { key: label(key, true)?, test: test(number) });
            }
        }
        let Some((key, rest)) = part.split_once(char::is_whitespace) else {
            return Ok(Self { key: label(part, true)?, test: Test::Exists });
        };
        Ok(Self { key: label(key, true)?, test: Test::of_set(rest.trim())? })
    }

    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Greater(least) => number().is_some_and(|number| number > *least),
            Test::Less(most) => number().is_some_and(|number| number < *most),
        }
    }
}

impl Test {
    fn of_set(rest: &str) -> Result<Self, String> {
        let unexpected = || format!("found {rest:?}, expected a comma, 'in (...)' or 'notin (...)'");
        let (negative, list) = match (rest.strip_prefix("notin"), rest.strip_prefix("in")) {
            (Some(list), _) => (true, list),
            (None, Some(list)) => (false, list),
            (None, None) => return Err(unexpected()),
        };
        let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')')).ok_or_else(unexpected)?;
        let values = list.split(',').map(|value| label(value, false)).collect::<Result<_, _>>()?;
        Ok(if negative { Self::NotIn(values) } else { Self::In(values) })
    }
}

/// A key, which may have a prefix and must not be empty, or a value.
fn label(text: &str, key: bool) -> Result<String, String> {
    let text = text.trim();
    let name = if key { text.rsplit('/').next().unwrap_or(text) } else { text };
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let ends =
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() <= 63 && letters && (ends || (name.is_empty() && !key)) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a label {}", if key { "key" } else { "value" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(text: &str) -> bool {
        let labels = [("app", "web"), ("tier", "front"), ("size", "3")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        Selector::parse(text).unwrap().matches(&labels)
    }

    #[test]
    fn requirements_hold_together() {
        for text in
            ["app=web", "app==web,tier!=back", "app in (web, api),tier notin (back)", "app", "!zone", "size>2,size<4"]
        {
            assert!(matches(text), "{text}");
        }
        for text in
            ["app=api", "app=web,tier=back", "zone", "!app", "app notin (web)", "zone in (a)", "size>3", "app>1"]
        {
            assert!(!matches(text), "{text}");
        }
        assert!(matches("zone!=a") && matches("zone notin (a)"), "what is not there is not that");
    }

    #[test]
    fn equalities_are_what_leaves_one_value() {
        let selector = Selector::parse("app=web,tier==front,zone in (a),size in (1,2),old!=x,!gone,there,n>1").unwrap();
        let found: Vec<_> = selector.equalities().collect();
        assert_eq!(found, [("app", "web"), ("tier", "front"), ("zone", "a")]);
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        assert_eq!(Selector::parse("").unwrap_err().reason(), "SelectorRequired");
        for text in ["cheddar cheese", "a=b=c", "=a", "a in b", "a,,b", "-a", "a>b", "a in (b"] {
            let error = Selector::parse(text).unwrap_err();
            assert_eq!(error.reason(), "InvalidSelector", "{text}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
