//! Finds a value in XML by a path of element names with dots; KEDA names this format, but cannot read it.
//!
//! The first part may name the root element or be one of its children. A number picks one of several elements of the
//! same name, `@name` at the end an attribute. Prefixes of namespaces are left out.

use roxmltree::{Document, Node, ParsingOptions};

use super::{Flaw, quantity};

/// The most nodes that are read.
const NODES: u32 = 500_000;

/// The number at a path.
pub(crate) fn find(path: &[String], body: &[u8]) -> Result<f64, Flaw> {
    let text = std::str::from_utf8(body).map_err(|_| Flaw::Unreadable("XML"))?;
    let options = ParsingOptions { nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|_| Flaw::Unreadable("XML"))?;
    let found = walk(vec![document.root()], path).or_else(|| walk(vec![document.root_element()], path));
    quantity(&found.ok_or(Flaw::Absent)?)
}

/// The text at a path that begins below these.
fn walk(mut at: Vec<Node<'_, '_>>, path: &[String]) -> Option<String> {
    for (index, part) in path.iter().enumerate() {
        if let Some(attribute) = part.strip_prefix('@').filter(|_| index + 1 == path.len()) {
            return at.first()?.attribute(attribute).map(str::to_owned);
        }
        at = match part.parse::<usize>() {
            // The name of an element does not begin with a digit.
            Ok(number) => vec![*at.get(number)?],
            Err(_) => at.first()?.children().filter(|child| is_named(*child, part)).collect(),
        };
    }
    let element = at.first()?;
    element.children().all(|child| !child.is_element()).then(|| element.text().unwrap_or_default().to_owned())
}

fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"<?xml version="1.0"?><stats xmlns:q="urn:q"><q:queue name="a" size="7"><depth> 42 </depth></q:queue>
        <queue><depth>3k</depth></queue><empty/></stats>"#;

    fn at(path: &str) -> Result<f64, Flaw> {
        find(&path.split('.').map(str::to_owned).collect::<Vec<_>>(), BODY.as_bytes())
    }

    #[test]
    fn elements_indexes_and_attributes_lead_to_a_number() {
        assert_eq!((at("stats.queue.depth"), at("queue.depth")), (Ok(42.0), Ok(42.0)));
        assert_eq!((at("queue.1.depth"), at("queue.0.@size")), (Ok(3000.0), Ok(7.0)));
    }

    #[test]
    fn what_is_not_there_or_no_number_is_an_error() {
        for path in ["stats", "queue", "nothing", "queue.2.depth", "queue.@none"] {
            assert_eq!(at(path), Err(Flaw::Absent), "{path}");
        }
        assert_eq!((at("empty"), at("queue.@name")), (Err(Flaw::NotANumber), Err(Flaw::NotANumber)));
        for body in ["{}", "<a><b></a>", "<!DOCTYPE a [<!ENTITY x \"1\">]><a>&x;</a>"] {
            assert_eq!(find(&["a".to_owned()], body.as_bytes()), Err(Flaw::Unreadable("XML")), "{body}");
        }
    }
}
