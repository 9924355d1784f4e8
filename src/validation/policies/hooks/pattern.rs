//! `namePattern`: a regular expression that the whole name of a job must match.

use regex::{Error, Regex, RegexBuilder};

/// How much memory one expression may take, in bytes: a name is short, and so is what tells it from others.
const MOST_MEMORY: usize = 256 * 1024;

/// The expression, anchored at both ends whatever it says: `enrich` matches the name `enrich` alone, and `enrich-.*` all that begin so.
///
/// # Errors
/// If the text is no regular expression of the crate `regex` (no look-around, no back-references), or one that takes too much memory.
pub fn name_pattern(text: &str) -> Result<Regex, Error> {
    // By itself first: between the anchors a text such as `a)|(b` would be one, and anchored at neither end.
    RegexBuilder::new(text).size_limit(MOST_MEMORY).build()?;
    RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(MOST_MEMORY).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_must_match() {
        let matches = |pattern: &str, name: &str| name_pattern(pattern).unwrap().is_match(name);
        assert!(matches("enrich", "enrich") && !matches("enrich", "enrich-2") && !matches("enrich", "re-enrich"));
        assert!(matches("enrich-.*", "enrich-2") && matches("^a$", "a") && !matches("a|b", "ab"));
        assert!(!matches("(?m)a$", "a\nb"), "a line is not a name");
        for text in ["a)|(b", "(", "a{1,2000}{1,2000}", r"(a)\1", "(?x)a #"] {
            assert!(name_pattern(text).is_err(), "{text}");
        }
    }
}
