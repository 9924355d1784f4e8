//! Finds a sample in the text that Prometheus scrapes, by its name and labels.

use super::location::Flaw;

/// A metric's name with labels that must be equal; others may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

impl Selector {
    /// Reads `name` or `name{label="value"}`; the error completes "the text ...".
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "is not the name of a metric with labels, such as jobs{queue=\"mail\"}";
        if text.contains("!=") || text.contains("=~") || text.contains("!~") {
            return Err("compares a label otherwise than with =, which is not supported".to_owned());
        }
        let head = head(text).filter(|head| head.rest.trim().is_empty()).ok_or(EXPECTED)?;
        Ok(Self { name: head.name.to_owned(), labels: head.labels })
    }
}

/// The value of the first sample that matches.
pub(super) fn find(selector: &Selector, body: &[u8]) -> Result<f64, Flaw> {
    let text = std::str::from_utf8(body).map_err(|_| Flaw::Unreadable("a text in UTF-8"))?;
    let samples = text.lines().map(str::trim).filter(|line| line.starts_with(selector.name.as_str()));
    let mut matching = samples
        .filter_map(head)
        .filter(|head| head.name == selector.name && selector.labels.iter().all(|label| head.labels.contains(label)));
    let sample = matching.next().ok_or(Flaw::Absent)?;
    let value = sample.rest.split_whitespace().next().ok_or(Flaw::NotANumber)?;
    value.parse().map_err(|_| Flaw::NotANumber)
}

/// The beginning of a sample and what is behind it: value, time, exemplar.
struct Head<'a> {
    name: &'a str,
    labels: Vec<(String, String)>,
    rest: &'a str,
}

fn head(line: &str) -> Option<Head<'_>> {
    let (name, mut rest) = word(line)?;
    let mut labels = Vec::new();
    if let Some(inside) = rest.trim_start().strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (label, behind) = word(rest)?;
            let (value, behind) = quoted(behind.trim_start().strip_prefix('=')?.trim_start())?;
            labels.push((label.to_owned(), value));
            let behind = behind.trim_start();
            rest = match behind.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if behind.starts_with('}') => behind,
                None => return None,
            };
        }
        rest = &rest[1..];
    }
    Some(Head { name, labels, rest })
}

/// A name and what is behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).then_some((word, rest))
}

/// A text in quotes with its escapes undone, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (inside, mut plain) = (text.strip_prefix('"')?, String::new());
    let mut characters = inside.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((plain, &inside[place + 1..])),
            '\\' => plain.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => plain.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "# HELP jobs How many wait.\r\n# TYPE jobs gauge\r\njobs_total 99\r\n\
        jobs{queue=\"mail\",node=\"a\"} 5 1700000000\r\njobs { queue=\"print, \\\"x\\\"}\" , } 7.5e1\n\
        nan NaN\ninf{a=\"b\"} +Inf\nbroken{a=\"b\" 3\nempty{a=\"b\"}\njobs{queue=\"last\"} 8";

    fn at(selector: &str) -> Result<f64, Flaw> {
        find(&Selector::parse(selector).unwrap(), BODY.as_bytes())
    }

    #[test]
    fn the_first_sample_with_these_labels_counts() {
        let cases = [
            ("jobs", 5.0),
            ("jobs_total", 99.0),
            ("jobs{queue=\"mail\"}", 5.0),
            ("jobs{ node = \"a\", queue=\"mail\" }", 5.0),
            ("jobs{queue=\"print, \\\"x\\\"}\"}", 75.0),
            ("jobs{queue=\"last\"}", 8.0),
        ];
        for (selector, value) in cases {
            assert_eq!(at(selector), Ok(value), "{selector}");
        }
    }

    #[test]
    fn what_does_not_match_or_is_no_number_is_an_error() {
        for selector in ["job", "jobs{queue=\"none\"}", "jobs{colour=\"mail\"}", "broken"] {
            assert_eq!(at(selector), Err(Flaw::Absent), "{selector}");
        }
        assert_eq!(at("empty"), Err(Flaw::NotANumber));
        assert!(at("nan").is_ok_and(f64::is_nan) && at("inf").is_ok_and(f64::is_infinite), "the caller refuses them");
    }

    #[test]
    fn other_comparisons_and_other_texts_are_refused() {
        for text in ["jobs{a!=\"b\"}", "jobs{a=~\"b\"}", "jobs{a!~\"b\"}"] {
            assert!(Selector::parse(text).unwrap_err().contains("not supported"), "{text}");
        }
        for text in ["", "{a=\"b\"}", "jobs{a=b}", "jobs{a=\"b\"", "jobs x", "1jobs", "a.b"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
