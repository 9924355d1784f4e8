//! Reads Kubernetes quantities as the `HorizontalPodAutoscaler` reads its tolerance (hpa-algorithm §2).

/// The value of a quantity as an f64: its digits times a power of ten or two; none if the text is no quantity.
///
/// The digits are taken as a whole number first, so `0.1` and `100m` are exactly the double 0.1.
pub(super) fn number(text: &str) -> Option<f64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (digits, suffix) = unsigned.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let (exponent, binary) = scale(suffix)?;
    let places = i32::try_from(fraction.len()).ok()?;
    let mantissa: f64 = format!("{whole}{fraction}").parse().ok()?;
    let value = sign * mantissa * ten_to(exponent.checked_sub(places)?)? * binary;
    value.is_finite().then_some(value)
}

/// A suffix as a power of ten and a factor of its own.
fn scale(suffix: &str) -> Option<(i32, f64)> {
    let decimal = |exponent| Some((exponent, 1.0));
    let binary = |power: i32| Some((0, 1024_f64.powi(power)));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => suffix.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse().ok()).and_then(decimal),
    }
}

/// The double nearest to a power of ten; multiplying it up step by step would not give it.
fn ten_to(exponent: i32) -> Option<f64> {
    format!("1e{exponent}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_does() {
        let cases = [
            ("0", 0.0),
            ("0.1", 0.1),
            ("100m", 0.1),
            ("0.10", 0.1),
            ("0.15", 0.15),
            (".5", 0.5),
            ("1.", 1.0),
            ("+2", 2.0),
            ("-1", -1.0),
            ("1k", 1000.0),
            ("1Ki", 1024.0),
            ("5e-2", 0.05),
            ("1E1", 10.0),
            ("1E", 1e18),
        ];
        for (text, value) in cases {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "-", ".", "1.2.3", "1x", " 1", "1 ", "--1", "1e", "e3", "NaN", "inf", "1mi", "ten"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn two_digit_tolerances_equal_their_literals() {
        for hundredths in 1..=29 {
            let text = format!("0.{hundredths:02}");
            assert_eq!(number(&text), text.parse().ok());
        }
    }
}
