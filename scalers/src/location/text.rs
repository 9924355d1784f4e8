//! Finds a sample in the text that Prometheus scrapes, by its name and labels: Prometheus' own format and OpenMetrics.

use super::Flaw;

/// The line that ends an OpenMetrics text. What stands behind it is no part of it.
const END: &str = "# EOF";

/// A metric's name with labels that must be equal; others may be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

impl Selector {
    /// Reads `name`, `name{label="value"}` or `{"any name", label="value"}`; the error completes "the text ...".
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "is not the name of a metric with labels, such as jobs{queue=\"mail\"}";
        match head(text) {
            Ok(Head { name, labels, rest }) if rest.trim().is_empty() => Ok(Self { name, labels }),
            Err(Odd::Comparison) => Err("compares a label otherwise than with =, which is not supported".to_owned()),
            Ok(_) | Err(Odd::Malformed) => Err(EXPECTED.to_owned()),
        }
    }

    fn matches(&self, head: &Head<'_>) -> bool {
        head.name == self.name && self.labels.iter().all(|label| head.labels.contains(label))
    }
}

/// The value of the first sample that matches.
pub(crate) fn find(selector: &Selector, body: &[u8]) -> Result<f64, Flaw> {
    let text = std::str::from_utf8(body).map_err(|_| Flaw::Unreadable("a text in UTF-8"))?;
    let lines = text.lines().map(str::trim).take_while(|line| *line != END);
    // A name in quotes stands within the braces.
    let samples = lines.filter(|line| line.starts_with(selector.name.as_str()) || line.starts_with('{'));
    let mut matching = samples.filter_map(|line| head(line).ok()).filter(|head| selector.matches(head));
    number(matching.next().ok_or(Flaw::Absent)?.rest)
}

/// The value of a sample: behind it there may be a time, and an exemplar behind `#`.
fn number(rest: &str) -> Result<f64, Flaw> {
    let before_exemplar = rest.split_once('#').map_or(rest, |(before, _)| before);
    let mut words = before_exemplar.split_whitespace();
    let value = words.next().and_then(|word| word.parse().ok()).ok_or(Flaw::NotANumber)?;
    let is_time = |word: &str| word.parse::<f64>().is_ok_and(f64::is_finite);
    // Something else behind the value means that the line is none of this format, so its value may be none either.
    if words.next().is_none_or(is_time) && words.next().is_none() { Ok(value) } else { Err(Flaw::NotANumber) }
}

/// The beginning of a sample and what is behind it: value, time, exemplar.
struct Head<'a> {
    name: String,
    labels: Vec<(String, String)>,
    rest: &'a str,
}

/// Why a text does not begin as a sample does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    /// A label is compared otherwise than with `=`.
    Comparison,
    /// Anything else.
    Malformed,
}

fn head(line: &str) -> Result<Head<'_>, Odd> {
    let line = line.trim_start();
    let (mut name, mut rest) = match word(line) {
        Some((name, rest)) => (Some(name.to_owned()), rest),
        None => (None, line),
    };
    let mut labels = Vec::new();
    if let Some(inside) = rest.trim_start().strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (term, behind) = term(rest)?;
            match term {
                Term::Label(label, value) => labels.push((label, value)),
                // A name in quotes comes first, and in place of one before the braces.
                Term::Name(quoted) if name.is_none() && labels.is_empty() => name = Some(quoted),
                Term::Name(_) => return Err(Odd::Malformed),
            }
            let behind = behind.trim_start();
            rest = match behind.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if behind.starts_with('}') => behind,
                None => return Err(Odd::Malformed),
            };
        }
        rest = &rest[1..];
    }
    Ok(Head { name: name.filter(|name| !name.is_empty()).ok_or(Odd::Malformed)?, labels, rest })
}

/// One entry within the braces.
enum Term {
    /// A label with its value.
    Label(String, String),
    /// The name of the metric.
    Name(String),
}

/// An entry and what is behind it. Names of labels may be in quotes as well.
fn term(text: &str) -> Result<(Term, &str), Odd> {
    let plain = || word(text).map(|(name, behind)| (name.to_owned(), behind));
    let is_quoted = text.starts_with('"');
    let (name, behind) = if is_quoted { quoted(text) } else { plain() }.ok_or(Odd::Malformed)?;
    let behind = behind.trim_start();
    if ["!=", "=~", "!~"].iter().any(|other| behind.starts_with(other)) {
        return Err(Odd::Comparison);
    }
    match behind.strip_prefix('=') {
        Some(value) => {
            let (value, behind) = quoted(value.trim_start()).ok_or(Odd::Malformed)?;
            Ok((Term::Label(name, value), behind))
        }
        None if is_quoted => Ok((Term::Name(name), behind)),
        None => Err(Odd::Malformed),
    }
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
        let inside = Selector::parse("jobs{a=\"b!=c\"}").expect("within a value it is a text like any other");
        assert_eq!(inside.labels, [("a".to_owned(), "b!=c".to_owned())]);
        for text in [
            "",
            "{a=\"b\"}",
            "{}",
            "{\"\"}",
            "jobs{\"other\"}",
            "{a=\"b\",\"late\"}",
            "{\"two\",\"names\"}",
            "jobs{a=b}",
            "jobs{a=\"b\"",
            "jobs x",
            "1jobs",
            "a.b",
        ] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    /// As the specification of OpenMetrics shows them, with what Prometheus 3 adds: names in quotes.
    const OPEN: &str = "# TYPE \"orders.waiting\" gauge\n# UNIT \"orders.waiting\" jobs\n\
        {\"orders.waiting\",queue=\"mail\"} 5\n{\"orders.waiting\", \"shop.name\" = \"a \\\"b\\\"\"} 6 1700000000.123\n\
        {queue=\"none\"} 9\nhandled_bucket{le=\"0.1\"} 8 # {trace_id=\"KOO5S4\"} 0.067\n\
        handled_bucket{le=\"1\"} 11 1520879607.789 # {trace_id=\"oHg5SJ\"} 9.8 1520879607.7\n\
        handled_created 1520430000.123\nodd 5 soon\nodder 5 6 7\nodd_exemplar 5# {}\n# EOF\nafter_end 4\n";

    fn open(selector: &str) -> Result<f64, Flaw> {
        find(&Selector::parse(selector).unwrap(), OPEN.as_bytes())
    }

    #[test]
    fn names_in_quotes_times_and_exemplars_are_read() {
        let cases = [
            ("{\"orders.waiting\"}", 5.0),
            ("{ \"orders.waiting\" , \"shop.name\"=\"a \\\"b\\\"\"}", 6.0),
            ("handled_bucket", 8.0),
            ("{\"handled_bucket\",le=\"1\"}", 11.0),
            ("handled_bucket{\"le\"=\"1\"}", 11.0),
            ("handled_created", 1_520_430_000.123),
            ("odd_exemplar", 5.0),
        ];
        for (selector, value) in cases {
            assert_eq!(open(selector), Ok(value), "{selector}");
        }
    }

    #[test]
    fn what_is_behind_the_end_or_odd_is_no_value() {
        assert_eq!(open("after_end"), Err(Flaw::Absent));
        assert_eq!(open("{\"orders.waiting\",queue=\"print\"}"), Err(Flaw::Absent));
        assert_eq!((open("odd"), open("odder")), (Err(Flaw::NotANumber), Err(Flaw::NotANumber)));
    }
}
