//! Edits of valid input, as by an attacker or a broken disk.

use arbitrary::Arbitrary;

/// One change of a text. Places are taken modulo its length, so that each change hits.
#[derive(Arbitrary, Debug)]
pub(crate) enum Edit<'a> {
    Put { at: u16, byte: u8 },
    Flip { at: u16, bit: u8 },
    Insert { at: u16, bytes: &'a [u8] },
    Remove { at: u16, bytes: u8 },
    Copy { from: u16, bytes: u8, to: u16 },
    Cut { at: u16 },
}

/// The text after these changes.
pub(crate) fn edited(text: &str, edits: &[Edit<'_>]) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    for edit in edits {
        edit.apply(&mut text);
    }
    text
}

impl Edit<'_> {
    fn apply(&self, text: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) % (text.len() + 1);
        let some = |from: usize, bytes: u8| from..text.len().min(from + usize::from(bytes));
        match *self {
            Self::Put { at, byte } => {
                let at = place(at);
                text.splice(some(at, 1), [byte]);
            }
            Self::Flip { at, bit } => {
                let at = place(at);
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Insert { at, bytes } => {
                let at = place(at);
                text.splice(at..at, bytes.iter().copied());
            }
            Self::Remove { at, bytes } => {
                text.drain(some(place(at), bytes));
            }
            Self::Copy { from, bytes, to } => {
                let (copied, to) = (text[some(place(from), bytes)].to_vec(), place(to));
                text.splice(to..to, copied);
            }
            Self::Cut { at } => text.truncate(place(at)),
        }
    }
}
