//! Gives plain scalars the types that an API server would see after `kubectl`.

use serde_json::{Number, Value};

/// The largest whole number that a double keeps exactly: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The value of a scalar without quotes; an error says why JSON has no such value.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => return Ok(true.into()),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => return Ok(false.into()),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => {
            return Err(format!("{text} has no form in JSON; a text needs quotes"));
        }
        _ => {}
    }
    let digits = text.replace('_', "");
    Ok(integer(&digits).or_else(|| float(&digits)).map_or_else(|| text.into(), Value::Number))
}

/// An integer as Go's `ParseInt` with base 0 takes it: decimal, `0x`, `0b`, `0o`, or octal after a leading zero.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // The standard library would take a second sign here.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(magnitude.into());
    }
    0_i64.checked_sub_unsigned(magnitude).map(Number::from)
}

/// A decimal number with a fraction or an exponent; a whole one is an integer, as Go's JSON writes it.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within the exact range")]
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_like_one = unsigned.trim_start_matches('.').as_bytes().first()?.is_ascii_digit();
    let only_number_signs = unsigned.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if !(starts_like_one && only_number_signs) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if value.fract() == 0.0 && value.abs() <= EXACT { Some((value as i64).into()) } else { Number::from_f64(value) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_those_that_an_api_server_sees() {
        let cases = [
            ("", json!(null)),
            ("~", json!(null)),
            ("on", json!(true)),
            ("y", json!(true)),
            ("No", json!(false)),
            ("yEs", json!("yEs")),
            ("5", json!(5)),
            ("+5", json!(5)),
            ("-5", json!(-5)),
            ("010", json!(8)),
            ("08", json!(8)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0b11", json!(3)),
            ("1_000", json!(1000)),
            ("1e3", json!(1000)),
            ("1.0", json!(1)),
            (".5", json!(0.5)),
            ("-1.5e-3", json!(-0.0015)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("1O", json!("1O")),
            ("1.2.3", json!("1.2.3")),
            ("--5", json!("--5")),
            ("0x+5", json!("0x+5")),
            ("2026-01-01", json!("2026-01-01")),
            ("10.0.0.1:6379", json!("10.0.0.1:6379")),
            ("5m", json!("5m")),
            (".", json!(".")),
            ("-", json!("-")),
            ("infinity", json!("infinity")),
        ];
        for (text, value) in cases {
            assert_eq!(plain(text), Ok(value), "{text:?}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        assert!(plain(".nan").is_err() && plain("-.inf").is_err());
    }
}
