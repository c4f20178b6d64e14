//! Listening to the child: its messages, gathered into stretches of records for whoever works on them.

use std::io::{BufReader, Read};
use std::sync::mpsc::SyncSender;

use super::wire::{self, Failure, Feature, Header, Message};
use crate::domain::{Finding, Place};
use crate::exchange::limits::{MAX_CHILD_BYTES, MAX_FEATURES};

/// Records handed on together: enough to be worked on side by side.
const STRETCH: usize = 4_096;

/// What the child said, in its order.
pub(super) enum Part {
    /// What the file is, and the names of its fields as the file's bytes. Once, before any record.
    Head(Header, Vec<Vec<u8>>),
    Features(Vec<Feature>),
}

/// How it ended.
#[derive(Default)]
pub(super) struct End {
    /// The child came to the end of the records.
    pub complete: bool,
    /// Records with arcs, which were made straight.
    pub curved: u64,
    /// Why it could not.
    pub failure: Option<Failure>,
    /// Why we stopped listening.
    pub refusal: Option<Finding>,
}

/// Listens until the child has said everything, or more than is taken.
pub(super) fn listen(output: impl Read, say: &SyncSender<Part>) -> End {
    let mut from = BufReader::with_capacity(1 << 18, output.take(MAX_CHILD_BYTES));
    let mut end = End::default();
    let mut head: Option<(Header, Vec<Vec<u8>>)> = None;
    let mut stretch = Vec::new();
    let mut payload = Vec::new();
    let mut count = 0;
    // Nobody hears us only where the other side has failed; the end is told to whoever waits for this thread.
    let tell = |part| drop(say.send(part));
    loop {
        match wire::read(&mut from, &mut payload) {
            Ok(Some(Message::Header(header))) => head = Some((header, Vec::new())),
            Ok(Some(Message::Field(name))) => {
                if let Some((_, fields)) = &mut head {
                    fields.push(name);
                }
            }
            Ok(Some(Message::Feature(feature))) => {
                if let Some((header, fields)) = head.take() {
                    tell(Part::Head(header, fields));
                }
                count += 1;
                if count > MAX_FEATURES {
                    let message = format!("要素超过 {MAX_FEATURES} 个，请分成几个文件");
                    end.refusal = Some(Finding::error("too_many_records", Place::whole(), message));
                    return end;
                }
                stretch.push(feature);
                if stretch.len() == STRETCH {
                    tell(Part::Features(std::mem::take(&mut stretch)));
                }
            }
            Ok(Some(Message::Done(done))) => (end.complete, end.curved) = (true, done.curved),
            Ok(Some(Message::Failure(told))) => end.failure = Some(told),
            // A killed child leaves half a message; its exit status says why.
            Ok(None) | Err(_) => break,
        }
    }
    if let Some((header, fields)) = head {
        tell(Part::Head(header, fields));
    }
    tell(Part::Features(stretch));
    if from.get_ref().limit() == 0 {
        let message = format!("文件展开后超过上限 {} MB，请分成几个文件", MAX_CHILD_BYTES / 1_048_576);
        end.refusal = Some(Finding::error("file_too_large", Place::whole(), message));
    }
    end
}
