//! Scaling rules as autoscaling/v2 writes them.

use serde_json::{Value, json};
use tidegate_calculator::behavior::{Behavior, GivenRules, RatePolicy, Select, Unit};
use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::time::Span;

use crate::input::{list, number, span, text};

type Read<T> = Result<T, String>;

/// One direction as the user wrote it; absent is empty.
pub(crate) fn given(rules: Option<&Value>) -> Read<GivenRules> {
    let Some(rules) = rules.filter(|rules| !rules.is_null()) else {
        return Ok(GivenRules::default());
    };
    let select = match rules.get("selectPolicy").and_then(Value::as_str) {
        None => None,
        Some("Min") => Some(Select::Min),
        Some("Disabled") => Some(Select::Disabled),
        Some(_) => Some(Select::Max),
    };
    let policies = rules.get("policies").filter(|policies| !policies.is_null());
    let policies = policies.map(|policies| list(Some(policies)).iter().map(policy).collect::<Read<_>>()).transpose()?;
    let tolerance = match rules.get("tolerance") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.parse::<Quantity>().map_err(|error| error.to_string())?.to_f64()),
        Some(other) => other.as_f64(),
    };
    Ok(GivenRules { window: number(rules, "stabilizationWindowSeconds").map(span), select, policies, tolerance })
}

fn policy(of: &Value) -> Read<RatePolicy> {
    let unit = match text(of, "type") {
        "Pods" => Unit::Pods,
        "Percent" => Unit::Percent,
        other => return Err(format!("policies: type {other:?} is unknown")),
    };
    let value = number(of, "value").and_then(|value| u32::try_from(value).ok());
    let value = value.ok_or_else(|| format!("policies: {of} has no value"))?;
    let period = number(of, "periodSeconds").ok_or_else(|| format!("policies: {of} has no periodSeconds"))?;
    Ok(RatePolicy { unit, value, period: span(period) })
}

/// Both directions, filled in.
pub(crate) fn behavior(up: Option<&Value>, down: Option<&Value>, downscale_window: Span) -> Read<Behavior> {
    Ok(Behavior::complete(given(up)?, given(down)?, downscale_window))
}

/// Rules as JSON, for comparison; the tolerance only if there is one.
pub(crate) fn shown(rules: &GivenRules) -> Value {
    let policy = |policy: &RatePolicy| {
        let unit = if policy.unit == Unit::Pods { "Pods" } else { "Percent" };
        json!({ "type": unit, "value": policy.value, "periodSeconds": policy.period.0 / 1000 })
    };
    let select = rules.select.map(|select| match select {
        Select::Max => "Max",
        Select::Min => "Min",
        Select::Disabled => "Disabled",
    });
    let policies = rules.policies.as_ref().map(|policies| policies.iter().map(policy).collect::<Vec<_>>());
    let window = rules.window.map(|window| window.0 / 1000);
    let mut shown = json!({ "stabilizationWindowSeconds": window, "selectPolicy": select, "policies": policies });
    if let Some(tolerance) = rules.tolerance {
        shown["tolerance"] = json!(tolerance);
    }
    shown
}
