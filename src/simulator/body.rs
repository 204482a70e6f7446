//! Bodies that aren't complete from the start: journals sent as they are made, and answers that break off.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use serde::Serialize;

use super::status::SimStatus;
use crate::journal::TypeMessage;
use crate::web::Body;

/// `value` as JSON.
pub(super) fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that aren't texts, and types that refuse, have no JSON; the simulator has neither.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A body that breaks the connection off after `sent`; without it, nothing at all is answered.
pub(super) fn broken_off(sent: Option<Bytes>) -> Body {
    // The head of an answer goes out with the first bytes of its body, or not at all.
    let flushed = sent.is_none();
    BrokenOff { sent, flushed }.boxed_unsync()
}

/// A journal of at least `length` bytes, most of them previews of pictures, of which only a frame is ever in memory.
pub(super) fn huge_journal(length: u64, now: u64, owner: &str) -> Body {
    const MARK: &str = "idMessage-goes-here";
    let status = SimStatus {
        type_message: TypeMessage::Image,
        thumbnail: 8 * 1024,
        ..SimStatus::new(MARK, now)
    };
    let record = String::from_utf8(json_bytes(&status.outgoing(owner))).unwrap_or_default();
    let (before_id, after_id) = record.split_once(MARK).unwrap_or_default();
    let journal = HugeJournal {
        before_id: before_id.to_owned(),
        after_id: after_id.to_owned(),
        records: 0,
        bytes_left: Some(length),
    };
    journal.map_err(|never: Infallible| match never {}).boxed_unsync()
}

struct BrokenOff {
    sent: Option<Bytes>,
    flushed: bool,
}

impl HttpBody for BrokenOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(sent) = self.sent.take() {
            return Poll::Ready(Some(Ok(Frame::data(sent))));
        }
        // The server sends what it has whenever a body makes it wait; an error at once would take the beginning along.
        if !std::mem::replace(&mut self.flushed, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }
}

struct HugeJournal {
    before_id: String,
    after_id: String,
    /// How many records have been made.
    records: u64,
    /// How many bytes are still wanted; `None` once the array is closed.
    bytes_left: Option<u64>,
}

impl HttpBody for HugeJournal {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(wanted) = self.bytes_left else {
            return Poll::Ready(None);
        };
        let mut frame = BytesMut::with_capacity(FRAME + self.before_id.len() + self.after_id.len());
        let written = |frame: &BytesMut| u64::try_from(frame.len()).unwrap_or(u64::MAX);
        while frame.len() < FRAME && written(&frame) < wanted {
            frame.extend_from_slice(if self.records == 0 { b"[" } else { b"," });
            frame.extend_from_slice(self.before_id.as_bytes());
            frame.extend_from_slice(format!("3EB0{:016X}", self.records).as_bytes());
            frame.extend_from_slice(self.after_id.as_bytes());
            self.records += 1;
        }
        self.bytes_left = wanted.checked_sub(written(&frame)).filter(|left| *left > 0);
        if self.bytes_left.is_none() {
            frame.extend_from_slice(if self.records == 0 { b"[]" } else { b"]" });
        }
        Poll::Ready(Some(Ok(Frame::data(frame.freeze()))))
    }
}

/// The least number of bytes sent at a time.
const FRAME: usize = 64 * 1024;
