//! Lines of documents that need no claim.

use super::super::model::{Account, Place};
use super::super::parse;
use super::super::yaml::{At, Reader};
use super::cites;
use super::raw::RawAccount;

pub(super) fn account(
    reader: &mut Reader<'_>,
    At { value: raw, at }: At<RawAccount>,
) -> Option<(Place, Account)> {
    let cites = reader.must(raw.cites, at, "missing `cites`: the lines");
    let repeats = raw.repeats.as_ref();
    if let Some(lines) = repeats {
        reader.parsed(Some(lines), parse::lines)?;
    }
    let because = match (raw.because, repeats) {
        (Some(because), None) => because.value,
        (None, Some(lines)) => format!("repeats lines {}", lines.value),
        (Some(_), Some(_)) => {
            reader.find(at, "both `because` and `repeats`: write one of them");
            return None;
        }
        (None, None) => {
            reader.find(at, "neither `because` nor `repeats`: write one of them");
            return None;
        }
    };
    let account = Account {
        cites: cites::citation(reader, cites?)?,
        because,
        repeats: raw.repeats.map(|lines| lines.value),
    };
    Some((reader.place(at), account))
}
