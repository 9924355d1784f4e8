//! Kubernetes quantities: their text form, and what the HPA makes of them (hpa-algorithm §2).

use std::fmt;
use std::str::FromStr;

use crate::source::Milli;

/// A number as Kubernetes writes it: `500m`, `1.5`, `2Ki`, `1e3`.
///
/// It is held in whole billionths; what is finer rounds up in magnitude. Values beyond ±1.7·10²⁹ are held at that edge.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nano: i128,
    format: Format,
    approximate: f64,
}

/// How a quantity is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Powers of 1000: `n u m k M G T P E`.
    #[default]
    DecimalSi,
    /// Powers of 1024: `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// A power of ten: `1e3`.
    DecimalExponent,
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a quantity: allowed is a number with one suffix of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or an exponent"
)]
pub struct QuantityError(pub String);

impl QuantityError {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        "QuantityMalformed"
    }
}

/// Billionths of one.
const NANO: i128 = 1_000_000_000;

/// Suffixes of powers of 1000 from 1 on, and of powers of 1024 from 1024 on.
const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Suffixes of powers of 1/1000.
const SMALL: [&str; 3] = ["m", "u", "n"];

/// How many places of a fraction are kept apart; what is beyond them only says whether to round up.
const PLACES: usize = 20;

impl Quantity {
    /// A quantity of so many thousandths.
    pub fn milli(milli: Milli, format: Format) -> Self {
        Self { nano: i128::from(milli.0) * 1_000_000, format, approximate: as_f64(i128::from(milli.0)) * 1e-3 }
    }

    /// The quantity of a resource's usage in a status: memory counts in powers of 1024, everything else in powers of 1000.
    pub fn of_resource(resource: &str, milli: Milli) -> Self {
        let format = if resource == "memory" { Format::BinarySi } else { Format::DecimalSi };
        Self::milli(milli, format)
    }

    /// The value in billionths.
    pub fn nano(&self) -> i128 {
        self.nano
    }

    /// The format that it was written in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The value in thousandths, rounded away from zero; none if it does not fit.
    pub fn to_milli(&self) -> Option<Milli> {
        let (whole, rest) = (self.nano / 1_000_000, self.nano % 1_000_000);
        i64::try_from(whole + rest.signum()).ok().map(Milli)
    }

    /// The value in thousandths, rounded away from zero, at the edge of i64 if it lies beyond.
    pub fn to_milli_saturating(&self) -> Milli {
        self.to_milli().unwrap_or(Milli(if self.nano < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The value as an f64, the digits taken as a whole number first and then scaled: so `0.1` and `100m` are the double 0.1.
    pub fn to_f64(&self) -> f64 {
        self.approximate
    }
}

impl PartialEq for Quantity {
    /// Equal values are equal, however they are written.
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || QuantityError(text.to_owned());
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(error());
        }
        let scale = Scale::of(suffix).ok_or_else(error)?;
        let mut nano = scale.nano(whole, fraction);
        let mut format = scale.format();
        if format == Format::BinarySi {
            nano = nano.min(i128::from(i64::MAX) * NANO);
            if (1..NANO).contains(&nano) {
                format = Format::DecimalSi;
            }
        }
        let approximate = scale.approximate(whole, fraction);
        let sign = if negative { -1 } else { 1 };
        Ok(Self { nano: sign * nano, format, approximate: if negative { -approximate } else { approximate } })
    }
}

/// What a suffix says.
#[derive(Clone, Copy)]
enum Scale {
    /// A power of ten, and whether it was written as an exponent.
    Ten(i32, bool),
    /// A power of 1024.
    Binary(u32),
}

impl Scale {
    fn of(suffix: &str) -> Option<Self> {
        let position =
            |list: &[&str]| list.iter().position(|known| *known == suffix).and_then(|at| i32::try_from(at).ok());
        if let Some(power) = position(&DECIMAL) {
            return Some(Self::Ten(3 * power, false));
        }
        if let Some(power) = position(&SMALL) {
            return Some(Self::Ten(-3 * (power + 1), false));
        }
        if let Some(power) = position(&BINARY) {
            return u32::try_from(power + 1).ok().map(Self::Binary);
        }
        let exponent = suffix.strip_prefix(['e', 'E'])?;
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        exponent.parse().ok().map(|exponent| Self::Ten(exponent, true))
    }

    fn format(self) -> Format {
        match self {
            Self::Ten(_, false) => Format::DecimalSi,
            Self::Ten(_, true) => Format::DecimalExponent,
            Self::Binary(_) => Format::BinarySi,
        }
    }

    /// The magnitude in billionths, rounded up.
    fn nano(self, whole: &str, fraction: &str) -> i128 {
        match self {
            Self::Ten(exponent, _) => {
                let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent) + 9);
                shifted(&format!("{whole}{fraction}"), point)
            }
            Self::Binary(power) => {
                let factor = 1_i128 << (10 * power);
                let kept = &fraction[..fraction.len().min(PLACES)];
                let beyond = fraction[kept.len()..].bytes().any(|digit| digit != b'0');
                // A fraction of 20 places times 2^60 stays below 2^127.
                let parts = digits(&format!("{kept:0<PLACES$}")) * factor;
                let one = 100_000_000_000; // of 10^20 parts, what one billionth is
                let parts = parts / one + i128::from(parts % one != 0 || beyond);
                digits(whole).saturating_mul(factor).saturating_mul(NANO).saturating_add(parts)
            }
        }
    }

    fn approximate(self, whole: &str, fraction: &str) -> f64 {
        let mantissa: f64 = format!("0{whole}{fraction}").parse().unwrap_or(0.0);
        let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
        let (exponent, factor) = match self {
            Self::Ten(exponent, _) => (exponent, 1.0),
            Self::Binary(power) => (0, as_f64(1 << (10 * power))),
        };
        let exponent = exponent.saturating_sub(places);
        if exponent == 0 { mantissa * factor } else { mantissa * factor * ten_to(exponent) }
    }
}

/// The digits before `point` as a number, rounded up if anything but zeros stands behind it.
fn shifted(all: &str, point: i64) -> i128 {
    let length = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let nonzero = |text: &str| text.bytes().any(|digit| digit != b'0');
    if point <= 0 {
        return i128::from(nonzero(all));
    }
    if point >= length {
        let zeros = u32::try_from(point - length).unwrap_or(u32::MAX);
        let scale = 10_i128.checked_pow(zeros);
        return match (digits(all), scale) {
            (0, _) => 0,
            (number, Some(scale)) => number.saturating_mul(scale),
            (_, None) => i128::MAX,
        };
    }
    let (before, behind) = all.split_at(usize::try_from(point).unwrap_or(usize::MAX));
    digits(before).saturating_add(i128::from(nonzero(behind)))
}

/// Digits as a number, saturating; none are zero.
fn digits(text: &str) -> i128 {
    text.bytes().fold(0_i128, |number, digit| number.saturating_mul(10).saturating_add(i128::from(digit - b'0')))
}

/// The double nearest to a power of ten; multiplying it up step by step would not give it.
fn ten_to(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::INFINITY)
}

#[expect(clippy::cast_precision_loss, reason = "what the HPA calls an approximate float")]
fn as_f64(number: i128) -> f64 {
    number as f64
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = self.format == Format::BinarySi && self.nano % NANO == 0 && self.nano.abs() >= 1024 * NANO;
        let sign = if self.nano < 0 { "-" } else { "" };
        if binary {
            let (number, power) = reduced(self.nano.unsigned_abs() / NANO.unsigned_abs(), 1024, BINARY.len());
            let suffix = power.checked_sub(1).and_then(|index| BINARY.get(index)).unwrap_or(&"");
            return write!(f, "{sign}{number}{suffix}");
        }
        let most = DECIMAL.len() - 1 + SMALL.len();
        let (number, power) = reduced(self.nano.unsigned_abs(), 1000, most);
        // Zero is whole.
        let power = if number == 0 { SMALL.len() } else { power };
        if self.format == Format::DecimalExponent {
            let exponent = 3 * i64::try_from(power).unwrap_or(0) - 9;
            return if exponent == 0 { write!(f, "{sign}{number}") } else { write!(f, "{sign}{number}e{exponent}") };
        }
        let suffix = match power.checked_sub(SMALL.len()) {
            Some(large) => DECIMAL.get(large),
            None => SMALL.get(SMALL.len() - 1 - power),
        };
        write!(f, "{sign}{number}{}", suffix.unwrap_or(&""))
    }
}

/// The number without its factors of `base`, at most `most` of them, and how many there were.
fn reduced(mut number: u128, base: u128, most: usize) -> (u128, usize) {
    let mut power = 0;
    while number != 0 && number.is_multiple_of(base) && power < most {
        number /= base;
        power += 1;
    }
    (number, power)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DecimalSi => "DecimalSI",
            Self::BinarySi => "BinarySI",
            Self::DecimalExponent => "DecimalExponent",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn tolerances_are_the_doubles_that_people_write() {
        for hundredths in 1..30 {
            let text = format!("0.{hundredths:02}");
            assert_eq!(read(&text).to_f64().to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
        assert_eq!((read("100m").to_f64(), read("-1Ki").to_f64(), read("1e-1").to_f64()), (0.1, -1024.0, 0.1));
    }

    #[test]
    fn thousandths_round_away_from_zero() {
        assert_eq!(["1n", "-1n", "1500u", "-1500u"].map(|text| read(text).to_milli().unwrap().0), [1, -1, 2, -2]);
        assert_eq!((read("1E").to_milli(), read("-20E").to_milli_saturating()), (None, Milli(i64::MIN)));
    }

    #[test]
    fn negative_ones_print_as_they_are() {
        assert_eq!(
            ["-1024Mi", "-500m", "-0", "+1.50", "0Ki"].map(|text| read(text).to_string()).join(" "),
            "-1Gi -500m 0 1500m 0"
        );
        let error = "1i".parse::<Quantity>().unwrap_err();
        assert!(error.to_string().contains("\"1i\"") && error.reason() == "QuantityMalformed");
    }

    #[test]
    fn numbers_beyond_the_edge_stay_at_it() {
        for text in ["1e2000000000", "1e60", "99999999999999999999999999999999999999999E"] {
            assert_eq!(read(text).nano(), i128::MAX, "{text}");
        }
        assert_eq!(read("0e60").nano(), 0);
        assert_eq!(read("1e-2000000000").nano(), 1);
        assert_eq!(read("0.00000000000000000000000000001Ki").nano(), 1);
    }
}
