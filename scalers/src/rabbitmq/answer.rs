//! Reads what the management API answers about queues; pure.
//!
//! The API leaves out what it does not know: the counts of a queue in the first seconds after the server has started, and the rates
//! of one that nothing ever went through. The first is no number, the second is a rate of 0.

use serde_json::Value;

use super::figures::Counts;

/// The columns that are asked for. Without them the server works out much more than is needed, consumers one by one.
pub(super) const COLUMNS: &str =
    "name,messages,messages_ready,message_stats.publish_details.rate,message_stats.deliver_get_details.rate";

/// What an answer says of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// All messages, also those that a consumer holds.
    pub(super) messages: Option<u64>,
    /// Those alone that nobody holds.
    pub(super) ready: Option<u64>,
    /// Whether anything is said of rates.
    pub(super) has_rates: bool,
    published: f64,
    delivered: f64,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) queues: Vec<(String, Facts)>,
    /// How many pages there are.
    pub(super) pages: u64,
    /// How many queues the pages have together.
    pub(super) matching: u64,
    /// How many queues the virtual host has.
    pub(super) total: u64,
}

/// The answer is none of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign;

impl Facts {
    /// What an object says; none if a number of it is not one.
    fn of(object: &Value) -> Result<Self, Foreign> {
        let object = object.as_object().ok_or(Foreign)?;
        let count = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(Foreign),
        };
        let rates = object.get("message_stats").filter(|stats| !stats.is_null());
        let rate = |name: &str| match rates.and_then(|stats| stats.get(name)).and_then(|details| details.get("rate")) {
            None => Ok(0.0),
            // A rate falls below 0 when counters begin anew, which says that nothing is known to have moved.
            Some(rate) => rate.as_f64().map(|rate| rate.max(0.0)).ok_or(Foreign),
        };
        Ok(Self {
            messages: count("messages")?,
            ready: count("messages_ready")?,
            has_rates: rates.is_some(),
            published: rate("publish_details")?,
            delivered: rate("deliver_get_details")?,
        })
    }

    /// The numbers that count; none if the server does not know how many messages there are.
    pub(super) fn counts(&self, ready_only: bool) -> Option<Counts> {
        let messages = if ready_only { self.ready? } else { self.messages? };
        Some(Counts { messages, published: self.published, delivered: self.delivered })
    }
}

/// Reads the answer about one queue.
pub(super) fn queue(body: &[u8]) -> Result<Facts, Foreign> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| Foreign)?;
    answer.get("name").and_then(Value::as_str).ok_or(Foreign)?;
    Facts::of(&answer)
}

/// Reads a page. A server that knows no pages answers with the whole list.
pub(super) fn page(body: &[u8]) -> Result<Page, Foreign> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| Foreign)?;
    let named =
        |item: &Value| Ok((item.get("name").and_then(Value::as_str).ok_or(Foreign)?.to_owned(), Facts::of(item)?));
    let read = |items: &[Value]| items.iter().map(named).collect::<Result<Vec<_>, Foreign>>();
    if let Some(items) = answer.as_array() {
        let queues = read(items)?;
        let total = u64::try_from(queues.len()).unwrap_or(u64::MAX);
        return Ok(Page { queues, pages: 1, matching: total, total });
    }
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).ok_or(Foreign);
    Ok(Page {
        queues: read(answer.get("items").and_then(Value::as_array).ok_or(Foreign)?)?,
        pages: number("page_count")?,
        matching: number("filtered_count")?,
        total: number("total_count")?,
    })
}

/// Whether the API says of itself that it keeps no rates.
pub(super) fn keeps_no_rates(body: &[u8]) -> Result<bool, Foreign> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| Foreign)?;
    let mode = answer.get("rates_mode").and_then(Value::as_str).ok_or(Foreign)?;
    Ok(mode == "none" || answer.get("disable_stats").and_then(Value::as_bool) == Some(true))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
