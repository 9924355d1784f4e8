//! Walks over the bytes of a response before the codec does.
//!
//! The codec reserves room for as many items as a list claims to have, up to two thousand million. A peer that is no
//! broker, or a broken one, would end the process with one frame. So the layout of each response that we ask for is
//! written down here, as in Kafka's protocol guide, and followed without reserving anything.

use bytes::Buf;

/// One part of a structure.
enum Part {
    /// So many bytes.
    Fixed(usize),
    /// A text, or none.
    Text,
    /// Bytes behind their number, or none.
    Blob,
    /// A list of items of so many bytes each.
    Numbers(usize),
    /// A list of texts.
    Texts,
    /// A list of structures.
    List(&'static Structure),
}

/// A part, and the versions in which it is there: first and last.
struct Field(i16, i16, Part);

/// Parts in their order; in flexible versions followed by tagged fields.
struct Structure {
    fields: &'static [Field],
    /// The tagged fields that the codec knows.
    tagged: &'static [(u32, Tagged)],
}

/// What a tagged field holds.
enum Tagged {
    Bytes(usize),
    One(&'static Structure),
    Many(&'static Structure),
}

/// A response: the first version in which it is flexible, and its layout.
struct Layout(i16, &'static Structure);

const NEWEST: i16 = i16::MAX;

const fn always(part: Part) -> Field {
    Field(0, NEWEST, part)
}

const fn since(version: i16, part: Part) -> Field {
    Field(version, NEWEST, part)
}

const fn until(version: i16, part: Part) -> Field {
    Field(0, version, part)
}

const fn plain(fields: &'static [Field]) -> Structure {
    Structure { fields, tagged: &[] }
}

/// The layout of the responses that we ask for, by API key.
const fn layout(key: i16) -> Option<Layout> {
    Some(match key {
        1 => Layout(12, &FETCH),
        2 => Layout(6, &LIST_OFFSETS),
        3 => Layout(9, &METADATA),
        9 => Layout(6, &OFFSET_FETCH),
        10 => Layout(3, &FIND_COORDINATOR),
        17 => Layout(NEWEST, &SASL_HANDSHAKE),
        18 => Layout(3, &API_VERSIONS),
        36 => Layout(2, &SASL_AUTHENTICATE),
        _ => return None,
    })
}

const FETCH: Structure = Structure {
    fields: &[always(Part::Fixed(4)), since(7, Part::Fixed(2 + 4)), always(Part::List(&FETCH_TOPIC))],
    tagged: &[(0, Tagged::Many(&FETCH_NODE))],
};
const FETCH_TOPIC: Structure =
    plain(&[until(12, Part::Text), since(13, Part::Fixed(16)), always(Part::List(&FETCH_PARTITION))]);
const FETCH_PARTITION: Structure = Structure {
    fields: &[
        always(Part::Fixed(4 + 2 + 8 + 8)),
        since(5, Part::Fixed(8)),
        always(Part::List(&FETCH_ABORTED)),
        since(11, Part::Fixed(4)),
        always(Part::Blob),
    ],
    tagged: &[(0, Tagged::One(&TWELVE_BYTES)), (1, Tagged::One(&FETCH_LEADER)), (2, Tagged::One(&TWELVE_BYTES))],
};
const FETCH_ABORTED: Structure = plain(&[always(Part::Fixed(8 + 8))]);
const FETCH_LEADER: Structure = plain(&[always(Part::Fixed(4 + 4))]);
const FETCH_NODE: Structure =
    plain(&[always(Part::Fixed(4)), always(Part::Text), always(Part::Fixed(4)), always(Part::Text)]);
/// An epoch and an offset, in either order.
const TWELVE_BYTES: Structure = plain(&[always(Part::Fixed(4 + 8))]);

const LIST_OFFSETS: Structure = plain(&[since(2, Part::Fixed(4)), always(Part::List(&LIST_OFFSETS_TOPIC))]);
const LIST_OFFSETS_TOPIC: Structure = plain(&[always(Part::Text), always(Part::List(&LIST_OFFSETS_PARTITION))]);
const LIST_OFFSETS_PARTITION: Structure = plain(&[always(Part::Fixed(4 + 2 + 8 + 8)), since(4, Part::Fixed(4))]);

const METADATA: Structure = plain(&[
    since(3, Part::Fixed(4)),
    always(Part::List(&METADATA_BROKER)),
    since(2, Part::Text),
    since(1, Part::Fixed(4)),
    always(Part::List(&METADATA_TOPIC)),
    Field(8, 10, Part::Fixed(4)),
    since(13, Part::Fixed(2)),
]);
const METADATA_BROKER: Structure =
    plain(&[always(Part::Fixed(4)), always(Part::Text), always(Part::Fixed(4)), since(1, Part::Text)]);
const METADATA_TOPIC: Structure = plain(&[
    always(Part::Fixed(2)),
    always(Part::Text),
    since(10, Part::Fixed(16)),
    since(1, Part::Fixed(1)),
    always(Part::List(&METADATA_PARTITION)),
    since(8, Part::Fixed(4)),
]);
const METADATA_PARTITION: Structure = plain(&[
    always(Part::Fixed(2 + 4 + 4)),
    since(7, Part::Fixed(4)),
    always(Part::Numbers(4)),
    always(Part::Numbers(4)),
    since(5, Part::Numbers(4)),
]);

const OFFSET_FETCH: Structure = plain(&[
    since(3, Part::Fixed(4)),
    until(7, Part::List(&OFFSET_FETCH_TOPIC)),
    Field(2, 7, Part::Fixed(2)),
    since(8, Part::List(&OFFSET_FETCH_GROUP)),
]);
const OFFSET_FETCH_GROUP: Structure =
    plain(&[always(Part::Text), always(Part::List(&OFFSET_FETCH_TOPIC)), always(Part::Fixed(2))]);
const OFFSET_FETCH_TOPIC: Structure =
    plain(&[until(9, Part::Text), since(10, Part::Fixed(16)), always(Part::List(&OFFSET_FETCH_PARTITION))]);
const OFFSET_FETCH_PARTITION: Structure =
    plain(&[always(Part::Fixed(4 + 8)), since(5, Part::Fixed(4)), always(Part::Text), always(Part::Fixed(2))]);

const FIND_COORDINATOR: Structure = plain(&[
    since(1, Part::Fixed(4)),
    until(3, Part::Fixed(2)),
    Field(1, 3, Part::Text),
    until(3, Part::Fixed(4)),
    until(3, Part::Text),
    until(3, Part::Fixed(4)),
    since(4, Part::List(&COORDINATOR)),
]);
const COORDINATOR: Structure = plain(&[
    always(Part::Text),
    always(Part::Fixed(4)),
    always(Part::Text),
    always(Part::Fixed(4 + 2)),
    always(Part::Text),
]);

const SASL_HANDSHAKE: Structure = plain(&[always(Part::Fixed(2)), always(Part::Texts)]);
const SASL_AUTHENTICATE: Structure =
    plain(&[always(Part::Fixed(2)), always(Part::Text), always(Part::Blob), since(1, Part::Fixed(8))]);

const API_VERSIONS: Structure = Structure {
    fields: &[always(Part::Fixed(2)), always(Part::List(&API_VERSION)), since(1, Part::Fixed(4))],
    tagged: &[
        (0, Tagged::Many(&API_FEATURE)),
        (1, Tagged::Bytes(8)),
        (2, Tagged::Many(&API_FEATURE)),
        (3, Tagged::Bytes(1)),
    ],
};
const API_VERSION: Structure = plain(&[always(Part::Fixed(2 + 2 + 2))]);
const API_FEATURE: Structure = plain(&[always(Part::Text), always(Part::Fixed(2 + 2))]);

/// Whether the body of a response of this API and version has the layout that it must have, to its last byte.
pub(super) fn check(key: i16, version: i16, body: &[u8]) -> Option<()> {
    let Layout(first_flexible, structure) = layout(key)?;
    let mut walk = Walk { rest: body, version, flexible: version >= first_flexible };
    walk.structure(structure)?;
    walk.rest.is_empty().then_some(())
}

/// What is still ahead. Every step gives nothing when the bytes end too soon or a number is impossible.
struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
}

impl Walk<'_> {
    fn structure(&mut self, structure: &Structure) -> Option<()> {
        for Field(first, last, part) in structure.fields {
            if (*first..=*last).contains(&self.version) {
                self.part(part)?;
            }
        }
        if self.flexible { self.tagged(structure) } else { Some(()) }
    }

    fn part(&mut self, part: &Part) -> Option<()> {
        match part {
            Part::Fixed(length) => self.skip(*length),
            Part::Text => {
                let length =
                    if self.flexible { self.compact()? } else { number(self.rest.try_get_i16().ok()?.into())? };
                self.skip(length)
            }
            Part::Blob => {
                let length = self.count()?;
                self.skip(length)
            }
            Part::Numbers(size) => {
                let count = self.count()?;
                self.skip(count.checked_mul(*size)?)
            }
            Part::Texts => self.many(|walk| walk.part(&Part::Text)),
            Part::List(structure) => self.many(|walk| walk.structure(structure)),
        }
    }

    /// The items of a list, none of which is empty: a count above what is left ends the walk at once.
    fn many(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        let count = self.count().filter(|count| *count <= self.rest.len())?;
        (0..count).try_for_each(|_| item(self))
    }

    /// The tagged fields at the end of a structure. The codec trusts the kind of those that it knows, not their size.
    fn tagged(&mut self, structure: &Structure) -> Option<()> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let size = usize::try_from(self.varint()?).ok()?;
            let (value, behind) = self.rest.split_at_checked(size)?;
            let mut inside = Walk { rest: value, version: self.version, flexible: self.flexible };
            match structure.tagged.iter().find(|(known, _)| *known == tag) {
                Some((_, Tagged::Bytes(length))) => inside.skip(*length)?,
                Some((_, Tagged::One(structure))) => inside.structure(structure)?,
                Some((_, Tagged::Many(structure))) => inside.many(|walk| walk.structure(structure))?,
                None => inside.rest = &[],
            }
            inside.rest.is_empty().then_some(())?;
            self.rest = behind;
        }
        Some(())
    }

    /// The number of a list's items or of a blob's bytes; none at all counts as zero.
    fn count(&mut self) -> Option<usize> {
        if self.flexible { self.compact() } else { number(self.rest.try_get_i32().ok()?) }
    }

    /// A number that is written one higher, so that zero means none.
    fn compact(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?.saturating_sub(1)).ok()
    }

    /// A number in groups of seven bits, lowest first.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for place in 0..5 {
            let byte = self.rest.try_get_u8().ok()?;
            value |= u32::from(byte & 0x7f).checked_mul(1 << (7 * place))?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.rest = self.rest.get(length..)?;
        Some(())
    }
}

/// A length of the older versions: minus one for none.
fn number(length: i32) -> Option<usize> {
    if length == -1 { Some(0) } else { usize::try_from(length).ok() }
}
