//! Answers out of memory: pages whose features are ready text, what is said of their age, and writers that read their own writes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::BlockingError;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes};
use actix_web::{HttpMessage as _, HttpRequest};
use futures_util::Stream;
use futures_util::stream::unfold;

use super::problem::Answer;
use super::state::State;
use crate::domain::access::Viewer;
use crate::domain::items_query::{ItemsQuery, Shape};
use crate::domain::layer::Layer;
use crate::error::{self, Error};
use crate::inventory::live::Live;
use crate::layers::snapshot::{Picked, Selection, Snapshot};
use crate::layers::{selection, shaped};

/// Seconds since which the database was not seen: what is shown may have changed.
pub const STALE_HEADER: HeaderName = HeaderName::from_static("sizhi-stale");

/// A writer waits so long at most until this server shows what it wrote. The write stands either way.
const OWN_WRITE: Duration = Duration::from_secs(5);

/// A feature collection whose features are sent as they lie in memory.
pub fn picked_body(snapshot: Arc<Snapshot>, opening: String, picked: Vec<Picked>) -> BoxBody {
    if picked.len() <= FEW
        && let Some(text) = copied(&snapshot, &opening, &picked)
    {
        return BoxBody::new(text);
    }
    PickedBody::new(snapshot, opening, picked).boxed()
}

/// All of it in one piece, where it is small: that costs less than to have each feature handed through the layers of the framework.
fn copied(snapshot: &Snapshot, opening: &str, picked: &[Picked]) -> Option<Vec<u8>> {
    let room = opening.len() + picked.iter().map(|one| snapshot.json_len(*one) + 1).sum::<usize>() + END.len();
    if room > SMALL {
        return None;
    }
    let mut text = Vec::with_capacity(room);
    text.extend_from_slice(opening.as_bytes());
    for (at, one) in picked.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        text.extend_from_slice(snapshot.text(*one));
    }
    text.extend_from_slice(END);
    Some(text)
}

/// [`picked_body`] of many: feature by feature, without a copy of the whole.
struct PickedBody {
    snapshot: Arc<Snapshot>,
    picked: Vec<Picked>,
    opening: Bytes,
    /// The next to send: the opening, each feature, the end.
    next: usize,
    size: u64,
}

const END: &[u8] = b"]}";
/// Features, and bytes, that are copied into one piece at most.
const FEW: usize = 64;
const SMALL: usize = 128 << 10;
/// Features whose text is fetched from memory ahead of its being sent.
const FETCHED: usize = 200;

impl PickedBody {
    fn new(snapshot: Arc<Snapshot>, opening: String, picked: Vec<Picked>) -> Self {
        // (Of a page that is longer the first would be gone again before they are sent.)
        snapshot.fetch(&picked[..picked.len().min(FETCHED)]);
        let features: usize = picked.iter().map(|p| snapshot.json_len(*p) + 1).sum();
        // The last feature has no comma.
        let size = (opening.len() + features.saturating_sub(1) + END.len()) as u64;
        Self { snapshot, picked, opening: opening.into(), next: 0, size }
    }
}

/// The feature as a question wants it. Its properties are cut out of its ready text; its outline lies beside.
pub fn write_shaped(out: &mut String, snapshot: &Snapshot, picked: Picked, shape: &Shape) {
    let text = std::str::from_utf8(snapshot.text(picked)).unwrap_or_default();
    let properties = selection::member(text, "properties").unwrap_or("{}");
    shaped::feature(out, snapshot.id(picked), properties, snapshot.geometry(picked), shape);
}

/// Features that are written at once in another shape than they lie in.
const PIECE: usize = 200;
/// From so many features on a question without a box is not looked through on a thread that answers others.
const LONG: usize = 20_000;

/// What the snapshot answers; `None` where the database must be asked.
pub async fn select(snapshot: &Arc<Snapshot>, query: &ItemsQuery, viewer: &Viewer) -> error::Result<Option<Selection>> {
    if !query.boxes.is_empty() || snapshot.len() < LONG {
        return Ok(snapshot.select(query, &viewer.jurisdiction));
    }
    let (snapshot, query, jurisdiction) = (Arc::clone(snapshot), query.clone(), viewer.jurisdiction.clone());
    let look = move || snapshot.select(&query, &jurisdiction);
    web::block(look).await.map_err(|cause| Error::internal("查找要素时程序出错", cause))
}

/// A feature collection of features that are not sent as they lie: written piece by piece as the client takes them, beside the threads that
/// answer others, and no further than it does.
pub fn shaped_body(
    snapshot: Arc<Snapshot>,
    opening: String,
    picked: Vec<Picked>,
    shape: Shape,
) -> BodyStream<impl Stream<Item = Result<Bytes, BlockingError>>> {
    let (picked, shape) = (Arc::new(picked), Arc::new(shape));
    BodyStream::new(unfold((opening, Some(0)), move |(opening, begin)| {
        let (snapshot, picked, shape) = (Arc::clone(&snapshot), Arc::clone(&picked), Arc::clone(&shape));
        async move {
            let begin = begin?;
            let end = (begin + PIECE).min(picked.len());
            let is_last = end == picked.len();
            let write = move || {
                let mut text = opening;
                for (at, one) in picked.iter().enumerate().take(end).skip(begin) {
                    if at > 0 {
                        text.push(',');
                    }
                    write_shaped(&mut text, &snapshot, *one, &shape);
                }
                if is_last {
                    text.push_str("]}");
                }
                Bytes::from(text)
            };
            let written = web::block(write).await;
            let next = Some(end).filter(|_| !is_last && written.is_ok());
            Some((written, (String::new(), next)))
        }
    }))
}

impl MessageBody for PickedBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.size)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let at = self.next;
        self.next += 1;
        let count = self.picked.len();
        Poll::Ready(match at {
            0 => Some(Ok(self.opening.clone())),
            n if n <= count => Some(Ok(self.snapshot.json(self.picked[n - 1], n < count))),
            n if n == count + 1 => Some(Ok(Bytes::from_static(END))),
            _ => None,
        })
    }
}

/// Says so where the database has not been seen for some time.
pub fn told_stale(answer: Answer, state: &State, layers: &[&Layer]) -> Answer {
    let mut answer = answer?;
    if let Some(silence) = layers.iter().filter_map(|layer| state.live.as_ref()?.silent_for(layer)).max() {
        answer.headers_mut().insert(STALE_HEADER, HeaderValue::from(silence.as_secs()));
    }
    Ok(answer)
}

/// Lets a writer read its own write: its answer waits until the layers in memory hold it.
pub async fn own_writes(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.call(request).await;
    }
    let state = request.app_data::<web::Data<State>>().cloned();
    let answer = next.call(request).await?;
    let is_shown = answer.request().extensions().contains::<IsShown>();
    if let Some(state) = state
        && let Some(live) = &state.live
    {
        // Rights may have changed, whatever an error of ours says of it; who is refused changes none.
        if !answer.status().is_client_error() {
            state.callers.forget();
        }
        if answer.status().is_success() && !is_shown {
            show(live).await;
        }
    }
    Ok(answer)
}

/// What the request has written was waited for already.
struct IsShown;

/// [`own_writes`] before the answer is written, for one that shows what was stored; whether the layers in memory show it now.
pub async fn show_own_write(request: &HttpRequest, state: &State) -> bool {
    let Some(live) = &state.live else { return false };
    let is_shown = show(live).await;
    request.extensions_mut().insert(IsShown);
    is_shown
}

async fn show(live: &Arc<Live>) -> bool {
    // In a task of its own: a client that goes away must not throw away what others wait for as well.
    let live = Arc::clone(live);
    let refreshing = tokio::spawn(async move { live.refresh().await });
    match tokio::time::timeout(OWN_WRITE, refreshing).await {
        Ok(Ok(Ok(()))) => return true,
        Ok(Ok(Err(failure))) => tracing::warn!(error = %failure, "a write is not to be seen in the layers yet"),
        _ => tracing::warn!("a write is not to be seen in the layers yet"),
    }
    false
}
