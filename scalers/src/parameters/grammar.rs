//! Reads the texts of parameters exactly as KEDA does, which is how Go and JSON read them.

use std::time::Duration;

use tidegate_calculator::hpa::quantity::Quantity;
use tidegate_calculator::source::Milli;

/// An integer in JSON's notation: no `+`, no leading zeros, no fraction, no exponent.
pub(super) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (is_json_whole(digits)).then(|| text.parse().ok()).flatten()
}

/// A number in JSON's notation: `1`, `-0.5`, `1e3`; not `.5`, `+1`, `NaN` or one beyond the range of a double.
pub(super) fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent_digits = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    let well_formed = is_json_whole(whole) && fraction.is_none_or(is_digits) && exponent_digits.is_none_or(is_digits);
    if !well_formed {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A truth value in one of the spellings that Go's `strconv.ParseBool` takes.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A quantity in Kubernetes' notation, in thousandths, rounded away from zero; none if it does not fit.
pub(super) fn quantity(text: &str) -> Option<Milli> {
    text.parse::<Quantity>().ok()?.to_milli()
}

/// The pieces between the commas, trimmed.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(|piece| piece.trim().to_owned()).collect()
}

/// `host:port`, an IPv6 address in brackets.
#[cfg(any(feature = "external", feature = "kafka", feature = "redis"))]
pub(crate) fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let well_formed = !host.is_empty() && !host.contains(['/', ' ', '@']) && (bare.is_some() || !host.contains(':'));
    well_formed.then_some((bare.unwrap_or(host).to_owned(), port_number(port)?))
}

/// A port from 1 to 65535, in digits alone.
#[cfg(any(feature = "external", feature = "kafka", feature = "mongodb", feature = "redis"))]
pub(crate) fn port_number(port: &str) -> Option<u16> {
    port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten().filter(|port| *port > 0)
}

/// A whole number of milliseconds, or a Go duration such as `1h15m30.5s`; never negative.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = integer(text) {
        return u64::try_from(millis).ok().map(Duration::from_millis);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at(end);
        let (unit, seconds) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        total += go_decimal(amount)? * seconds;
        rest = &tail[unit.len()..];
    }
    (total < MAX_SECONDS).then(|| Duration::from_secs_f64(total))
}

/// Go's units in seconds; a unit stands before every shorter one that begins alike.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
    ("\u{3bc}s", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Go counts durations in 63 bits of nanoseconds.
const MAX_SECONDS: f64 = 9.223_372_036e9;

/// `1`, `1.5`, `1.` or `.5`, as Go takes them inside a duration.
fn go_decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = (is_digits(whole) || whole.is_empty()) && (is_digits(fraction) || fraction.is_empty());
    (plain && !(whole.is_empty() && fraction.is_empty()))
        .then(|| format!("0{whole}.{fraction}0").parse().ok())
        .flatten()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_json_whole(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_follow_json() {
        let good = [("0", 0), ("-0", 0), ("5", 5), ("-12", -12), ("9223372036854775807", i64::MAX)];
        for (text, value) in good {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        for text in ["", "+5", "05", "-05", "1O", "1e3", "1.0", "0x5", "1_000", "9223372036854775808", "5 0", "-"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_follow_json() {
        let good = [("0", 0.0), ("-0.5", -0.5), ("1e3", 1000.0), ("1.25E-2", 0.0125), ("12", 12.0)];
        for (text, value) in good {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", ".5", "5.", "+1", "01", "NaN", "Inf", "1e", "1e999", "1_0", "--1", "1.e2"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn truth_values_follow_go() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(truth(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(truth(text), Some(false), "{text}");
        }
        for text in ["yes", "on", "tRUE", "", "2"] {
            assert_eq!(truth(text), None, "{text}");
        }
    }

    #[test]
    fn quantities_follow_kubernetes() {
        let good = [("5", 5_000), ("500m", 500), ("1Gi", 1_073_741_824_000), ("0.0001", 1), ("-2k", -2_000_000)];
        for (text, milli) in good {
            assert_eq!(quantity(text), Some(Milli(milli)), "{text}");
        }
        for text in ["", "1 Gi", "1gi", "50%", "ten", "10P"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn lists_are_split_and_trimmed() {
        assert_eq!(list("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(list("a"), ["a"]);
    }

    #[test]
    fn durations_follow_go_and_whole_numbers_are_milliseconds() {
        let good = [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1500", 1_500),
            ("0", 0),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            (".5s", 500),
            ("2000us", 2),
        ];
        for (text, millis) in good {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "+", "-5", "-30s", "30", "5 s", "1d", "s", "1.s.", "9999999h", "1m30"] {
            let expected = if text == "30" { Some(Duration::from_millis(30)) } else { None };
            assert_eq!(duration(text), expected, "{text}");
        }
    }
}
