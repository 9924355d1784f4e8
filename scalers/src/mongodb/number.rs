//! Reads numbers out of documents: only what a server states as a finite number is one.

use mongodb::bson::{Bson, Document};
use tidegate_calculator::source::Milli;

/// Why a field is no number, as it completes "the field ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It, or a document above it, is not there.
    Absent,
    /// It is null.
    Null,
    /// It is of another type.
    NotANumber,
    /// It is NaN or infinite.
    NotFinite,
}

impl Flaw {
    /// What the field is, in words.
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Absent => "is not there",
            Self::Null => "is null",
            Self::NotANumber => "is not a number",
            Self::NotFinite => "is NaN or infinite",
        }
    }
}

/// The number at a path such as `count` or `totals.waiting`.
pub(super) fn at(document: &Document, path: &str) -> Result<f64, Flaw> {
    let mut names = path.split('.');
    let mut found = names.next().and_then(|name| document.get(name)).ok_or(Flaw::Absent)?;
    for name in names {
        let Bson::Document(inner) = found else { return Err(Flaw::Absent) };
        found = inner.get(name).ok_or(Flaw::Absent)?;
    }
    number(found)
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 a difference of one is none")]
fn number(value: &Bson) -> Result<f64, Flaw> {
    let number = match value {
        Bson::Int32(number) => f64::from(*number),
        Bson::Int64(number) => *number as f64,
        Bson::Double(number) => *number,
        // Its text is one that Rust reads: 12.5, 1E+3, NaN, -Infinity.
        Bson::Decimal128(number) => number.to_string().parse().map_err(|_| Flaw::NotANumber)?,
        Bson::Null | Bson::Undefined => return Err(Flaw::Null),
        _ => return Err(Flaw::NotANumber),
    };
    if number.is_finite() { Ok(number) } else { Err(Flaw::NotFinite) }
}

/// A value as KEDA reports it: in thousandths, rounded, and nothing below zero.
#[expect(clippy::cast_possible_truncation, reason = "the cast ends at the edge of the range, as it should")]
pub(super) fn reported(value: f64) -> Milli {
    Milli((value * 1000.0).round().max(0.0) as i64)
}

/// A target that a replica takes care of; none if it is less than a thousandth, which nothing can be divided by.
pub(super) fn target(value: f64) -> Option<Milli> {
    Some(reported(value)).filter(|target| target.0 > 0)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Decimal128, doc};

    use super::*;

    #[test]
    fn every_kind_of_number_is_one_and_nothing_else() {
        let decimal = |text: &str| Bson::Decimal128(text.parse::<Decimal128>().unwrap());
        let cases = [
            (Bson::Int32(7), Ok(7.0)),
            (Bson::Int64(-3), Ok(-3.0)),
            (Bson::Double(2.5), Ok(2.5)),
            (decimal("12.50"), Ok(12.5)),
            (decimal("1E+3"), Ok(1000.0)),
            (decimal("0"), Ok(0.0)),
            (decimal("NaN"), Err(Flaw::NotFinite)),
            (decimal("-Infinity"), Err(Flaw::NotFinite)),
            (decimal("1E+6000"), Err(Flaw::NotFinite)),
            (Bson::Double(f64::NAN), Err(Flaw::NotFinite)),
            (Bson::Double(f64::INFINITY), Err(Flaw::NotFinite)),
            (Bson::Null, Err(Flaw::Null)),
            (Bson::String("7".to_owned()), Err(Flaw::NotANumber)),
            (Bson::Boolean(true), Err(Flaw::NotANumber)),
            (Bson::Array(vec![Bson::Int32(1)]), Err(Flaw::NotANumber)),
        ];
        for (value, expected) in cases {
            assert_eq!(at(&doc! { "count": value.clone() }, "count"), expected, "{value}");
        }
    }

    #[test]
    fn a_path_leads_into_documents_and_an_absent_field_is_not_zero() {
        let document = doc! { "totals": { "waiting": 4_i64 }, "list": [1] };
        assert_eq!(at(&document, "totals.waiting"), Ok(4.0));
        for path in ["count", "totals.count", "totals.waiting.more", "list.0", ""] {
            assert_eq!(at(&document, path), Err(Flaw::Absent), "{path}");
        }
        assert_eq!(at(&document, "totals"), Err(Flaw::NotANumber));
    }

    #[test]
    fn values_are_rounded_to_thousandths_and_never_negative() {
        let cases = [(1.0, 1000), (0.0004, 0), (0.0006, 1), (-3.0, 0), (1e300, i64::MAX)];
        for (value, milli) in cases {
            assert_eq!(reported(value), Milli(milli), "{value}");
        }
        assert_eq!((target(0.0004), target(-1.0), target(0.5)), (None, None, Some(Milli(500))));
    }
}
