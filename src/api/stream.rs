//! Server-sent events: the pages of the change feed, pushed as revisions are made.
//!
//! A stream holds a place, sends one page at a time and waits for its reader only so long; whoever is cut off comes again with
//! `Last-Event-ID` and misses nothing. Never: a connection of the pool held while nothing changes.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::stream;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::changes::{Position, page_text};
use super::feed::Feed;
use super::problem::Answer;
use crate::domain::access::Viewer;
use crate::domain::generalisation::Generalisation;
use crate::domain::layer::Layer;
use crate::error::{Error, Result};
use crate::store::changes::{self, ChangesPage, ChangesQuery};

/// Changes of one event.
const PER_EVENT: u32 = 200;
/// A line that says nothing, so that proxies and clients see that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A reader that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// Whoever may look today may not tomorrow: a stream ends, and is asked for again with what is known then.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Milliseconds after which a client that was cut off comes again.
const RETRY: &str = "retry: 2000\n\n";

/// What is streamed, to whom, from where on.
pub struct Source {
    pub pool: PgPool,
    pub viewer: Viewer,
    pub layer: &'static Layer,
    pub position: Position,
}

/// Opens a stream, if there is a place.
pub fn open(source: Source, feed: &Feed) -> Answer {
    let Some(place) = feed.place() else {
        let detail = "变更推送的连接已满；请稍后重试，或改用 changes?since= 定时读取".to_owned();
        return Err(Error::Unavailable { code: "too_many_streams", detail, cause: None }.into());
    };
    // One chunk waits while the one before is written: that is all that a slow reader holds.
    let (to_reader, chunks) = mpsc::channel::<Bytes>(1);
    let feed = feed.clone();
    actix_web::rt::spawn(async move {
        push(source, feed, to_reader).await;
        drop(place);
    });
    let body = stream::unfold(chunks, |mut chunks| async move {
        chunks.recv().await.map(|chunk| (Ok::<_, Infallible>(chunk), chunks))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // A compressor would hold events back until it has enough of them; so would a buffering proxy.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

/// Sends until the reader is gone or too slow, the hour is over, or the service ends.
async fn push(source: Source, mut feed: Feed, to_reader: mpsc::Sender<Bytes>) {
    let Source { pool, viewer, layer, mut position } = source;
    let send = async |text: String| {
        let sent = timeout(PATIENCE, to_reader.send(Bytes::from(text))).await;
        matches!(sent, Ok(Ok(())))
    };
    if !send(RETRY.to_owned()).await {
        return;
    }
    let end = Instant::now() + LONGEST;
    let mut beat = Instant::now() + HEARTBEAT;
    // What the client knows that it holds. Revisions that changed nothing here move `position` alone: the next event spans them.
    let mut told = position.since;
    while !*feed.stopping.borrow_and_update() && Instant::now() < end {
        feed.newest.mark_unchanged();
        let newest = *feed.newest.borrow();
        // Restored to an older state (0: not looked yet): the client must begin anew, and is told so when it asks. Or the bell of what
        // the client has read already is still to ring here: the register itself knows.
        if newest > 0 && newest < position.since && is_ahead(&pool, &viewer, layer, &position).await {
            return;
        }
        let due = position.after.is_some() || newest > position.since;
        if due {
            match next(&pool, &viewer, layer, &position).await {
                Ok(page) if page.changes.is_empty() => {
                    position = Position::behind(&page);
                    continue;
                }
                Ok(mut page) => {
                    page.since = told;
                    position = Position::behind(&page);
                    told = position.since;
                    if !send(event(&position, &page, layer.generalisation_for(&viewer))).await {
                        return;
                    }
                    beat = Instant::now() + HEARTBEAT;
                    continue;
                }
                // The same, seen by the read.
                Err(Error::Invalid { .. }) => return,
                Err(error) => {
                    tracing::warn!(layer = layer.id, error = %error, "change stream waits");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
        if Instant::now() >= beat {
            if !send(heartbeat(&position, told)).await {
                return;
            }
            told = position.since;
            beat = Instant::now() + HEARTBEAT;
        }
        tokio::select! {
            _ = feed.stopping.changed() => {}
            rung = feed.newest.changed(), if !due => if rung.is_err() { return },
            () = tokio::time::sleep_until(beat), if !due => {}
            () = to_reader.closed() => return,
            () = sleep(Duration::from_millis(10)), if due => {}
        }
    }
}

async fn next(pool: &PgPool, viewer: &Viewer, layer: &Layer, position: &Position) -> Result<ChangesPage> {
    let query = ChangesQuery { since: position.since, after: position.after.clone(), limit: PER_EVENT };
    changes::list(pool, viewer, layer, &query).await
}

/// Whether the client stands for a revision that the register does not have.
async fn is_ahead(pool: &PgPool, viewer: &Viewer, layer: &'static Layer, position: &Position) -> bool {
    matches!(next(pool, viewer, layer, position).await, Err(Error::Invalid { .. }))
}

/// A comment; or, where revisions have passed that changed nothing here, how far the client is by now.
fn heartbeat(position: &Position, told: i64) -> String {
    let revision = position.since;
    if revision == told || position.after.is_some() {
        return ": \n\n".to_owned();
    }
    format!("id: {revision}\nevent: current\ndata: {{\"revision\":{revision}}}\n\n")
}

/// One event; the text of a page has no line break outside of its strings, where JSON escapes it.
fn event(behind: &Position, page: &ChangesPage, outlined: Option<&Generalisation>) -> String {
    let data = page_text(page, outlined, None).replace('\n', " ");
    format!("id: {}\nevent: change\ndata: {data}\n\n", behind.to_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_tells_how_far_it_is_only_where_that_is_news() {
        let at = |since| Position { since, after: None };
        assert_eq!(heartbeat(&at(7), 7), ": \n\n");
        assert_eq!(heartbeat(&at(9), 7), "id: 9\nevent: current\ndata: {\"revision\":9}\n\n");
    }
}
