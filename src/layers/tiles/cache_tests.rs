//! The cache under interleavings that are written out, one step after the other.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::*;

fn content(layers: &str, scope: &str) -> Content {
    Content { layers: layers.to_owned().into(), scope: scope.to_owned().into(), state: "".into() }
}

fn tile_at(zoom: u8, longitude: f64, latitude: f64) -> Tile {
    let size = f64::from(grid::matrix_size(zoom));
    let at = |share: f64| (share * size) as u32;
    Tile::new(zoom, at(grid::south_of(latitude)), at(grid::east_of(longitude))).expect("in the matrix")
}

const CHANGSHA: (f64, f64) = (112.94, 28.23);

fn around((x, y): (f64, f64), by: f64) -> Bbox {
    [x - by, y - by, x + by, y + by]
}

/// A future that is moved on by hand.
struct Steps<'a, T>(Pin<Box<dyn Future<Output = T> + 'a>>);

impl<'a, T> Steps<'a, T> {
    fn of(future: impl Future<Output = T> + 'a) -> Self {
        Self(Box::pin(future))
    }

    fn step(&mut self) -> Option<T> {
        match self.0.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    Steps::of(future).step().expect("nothing to wait for")
}

async fn bytes(text: &str) -> Result<Vec<u8>, Infallible> {
    Ok(text.as_bytes().to_vec())
}

fn text(made: &MadeTile) -> String {
    String::from_utf8(made.plain.to_vec()).expect("text")
}

#[test]
fn a_tile_is_made_once_for_all_who_wait() {
    let cache = TileCache::new(1 << 20);
    let (content, tile) = (content("parks", ""), tile_at(9, CHANGSHA.0, CHANGSHA.1));
    let made = AtomicUsize::new(0);
    let (send, wait) = oneshot::channel::<()>();
    let mut first = Steps::of(cache.get(&content, tile, || async {
        made.fetch_add(1, Ordering::SeqCst);
        let _ = wait.await;
        bytes("a").await
    }));
    let second_make = || async {
        made.fetch_add(1, Ordering::SeqCst);
        bytes("b").await
    };
    let mut second = Steps::of(cache.get(&content, tile, &second_make));
    assert!(first.step().is_none() && second.step().is_none());
    send.send(()).expect("somebody waits");
    let first = first.step().expect("made").expect("no error");
    let second = second.step().expect("made").expect("no error");
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!((text(&second), made.load(Ordering::SeqCst)), ("a".to_owned(), 1));
    assert_eq!(text(&now(cache.get(&content, tile, &second_make)).expect("held")), "a");
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn whoever_goes_away_hands_the_work_on_and_leaves_nothing() {
    let cache = TileCache::new(1 << 20);
    let (content, tile) = (content("parks", ""), tile_at(9, CHANGSHA.0, CHANGSHA.1));
    let mut first = Steps::of(cache.get(&content, tile, std::future::pending::<Result<Vec<u8>, Infallible>>));
    let mut second = Steps::of(cache.get(&content, tile, || bytes("second")));
    assert!(first.step().is_none() && second.step().is_none());
    drop(first);
    assert_eq!(text(&second.step().expect("made").expect("no error")), "second");
    assert_eq!(cache.size().1, 1);
    // Alone, and gone: no place is left; an error leaves none either.
    let other = tile_at(10, CHANGSHA.0, CHANGSHA.1);
    let mut alone = Steps::of(cache.get(&content, other, std::future::pending::<Result<Vec<u8>, Infallible>>));
    assert!(alone.step().is_none());
    assert_eq!(cache.size().1, 2);
    drop(alone);
    assert_eq!(cache.size().1, 1);
    assert_eq!(now(cache.get(&content, other, || async { Err::<Vec<u8>, &str>("ill") })).err(), Some("ill"));
    assert_eq!(cache.size().1, 1);
}

/// Every order of the five steps of a maker (begin, read, finish) and a writer (publish, invalidate) that keeps each one's own order.
#[test]
fn no_tile_of_an_older_state_is_found_after_the_invalidation() {
    let orders: [&str; 10] = ["brfpi", "brpfi", "brpif", "bprfi", "bprif", "bpirf", "pbrfi", "pbrif", "pbirf", "pibrf"];
    for order in orders {
        let cache = TileCache::new(1 << 20);
        let (content, tile) = (content("parks", ""), tile_at(9, CHANGSHA.0, CHANGSHA.1));
        let state = AtomicI64::new(1);
        let (begin_reading, may_read) = oneshot::channel::<()>();
        let (begin_writing, may_finish) = oneshot::channel::<()>();
        let (mut begin_reading, mut begin_writing) = (Some(begin_reading), Some(begin_writing));
        let mut maker = None;
        let mut reader = Some(async {
            let _ = may_read.await;
            let read = state.load(Ordering::SeqCst);
            let _ = may_finish.await;
            bytes(&format!("state {read}")).await
        });
        let (mut seen, mut invalidated_first) = (String::new(), false);
        for step in order.chars() {
            match step {
                'b' => {
                    let mut steps = Steps::of(cache.get(&content, tile, {
                        let read = reader.take().expect("once");
                        || read
                    }));
                    assert!(steps.step().is_none());
                    maker = Some(steps);
                }
                'r' => {
                    begin_reading.take().expect("once").send(()).expect("waits");
                    assert!(maker.as_mut().expect("begun").step().is_none());
                }
                'f' => {
                    begin_writing.take().expect("once").send(()).expect("waits");
                    seen = text(&maker.as_mut().expect("begun").step().expect("made").expect("no error"));
                }
                'p' => state.store(2, Ordering::SeqCst),
                'i' => {
                    cache.invalidate("parks", &[around(CHANGSHA, 1e-6)]);
                    invalidated_first = maker.is_none();
                    if invalidated_first {
                        continue;
                    }
                    // Who asks from now on must see the new state, whatever is under way.
                    let other = now(cache.get(&content, tile, || bytes("state 2"))).expect("no error");
                    assert_eq!(text(&other), "state 2", "{order}");
                }
                _ => unreachable!("{order}"),
            }
        }
        drop(maker);
        assert!(!invalidated_first || seen == "state 2", "{order}");
        assert_eq!(cache.find(&content, tile).map(|made| text(&made)).as_deref(), Some("state 2"), "{order}");
    }
}

#[test]
fn an_edit_drops_the_tiles_it_touches_at_every_zoom_and_no_other() {
    let cache = TileCache::new(64 << 20);
    let contents =
        [content("parks", ""), content("parcels", "4301"), content("parcels,parks", ""), content("park", "")];
    let changed = around(CHANGSHA, 0.004);
    let mut held = Vec::new();
    for zoom in 0..=16 {
        let middle = tile_at(zoom, CHANGSHA.0, CHANGSHA.1);
        for (row, col) in [(0_i64, 0_i64), (0, 1), (1, 0), (-1, -1), (0, 2), (3, 0), (0, -4)] {
            let at = |base: u32, by: i64| u32::try_from(i64::from(base) + by).ok();
            let Some((row, col)) = at(middle.row, row).zip(at(middle.col, col)) else { continue };
            held.extend(Tile::new(zoom, row, col));
        }
    }
    for content in &contents {
        for tile in &held {
            now(cache.get(content, *tile, || bytes("x"))).expect("no error");
        }
    }
    let all = cache.size();
    cache.invalidate("parks", &[changed]);
    let mut dropped = 0;
    for content in &contents {
        for tile in &held {
            let reach = tile.reach();
            let meets =
                changed[0] <= reach[2] && changed[2] >= reach[0] && changed[1] <= reach[3] && changed[3] >= reach[1];
            let expected = !(meets && content.has("parks"));
            assert_eq!(cache.find(content, *tile).is_some(), expected, "{content:?} {tile:?}");
            dropped += usize::from(!expected);
        }
    }
    assert!(dropped > 2 * 17 && dropped < all.1 / 2, "{dropped} of {all:?}");
    assert_eq!(cache.size().1, all.1 - dropped);
    assert_eq!(cache.size().0, (all.0 / all.1) * (all.1 - dropped));
    cache.invalidate_layer("parks");
    cache.invalidate_layer("parcels");
    cache.invalidate_layer("park");
    assert_eq!(cache.size(), (0, 0));
}

#[test]
fn memory_is_bounded_and_what_is_asked_for_stays() {
    let limit = 400_000;
    let cache = TileCache::new(limit);
    let content = content("parks", "");
    let favourite = tile_at(14, CHANGSHA.0, CHANGSHA.1);
    let big = || async { Ok::<_, Infallible>(vec![7_u8; 2_000]) };
    now(cache.get(&content, favourite, &big)).expect("no error");
    for step in 0..3_000 {
        let tile = Tile::new(14, step, 5).expect("tile");
        now(cache.get(&content, tile, &big)).expect("no error");
        assert!(cache.size().0 <= limit, "{step}");
        assert!(cache.find(&content, favourite).is_some(), "{step}");
        now(cache.get(&content, favourite, &big)).expect("no error");
        if step % 3 == 0 {
            cache.invalidate("parks", &[tile.bounds()]);
        }
    }
    assert!(cache.size().1 > limit / 4_000);
    let orders: usize = cache.shards.iter().map(|s| s.lock().expect("sound").order.len()).sum();
    assert!(orders <= 2 * cache.size().1 + 64 * SHARDS, "{orders}");
    // A cache of nothing keeps nothing, and answers.
    let none = TileCache::new(0);
    assert_eq!(now(none.get(&content, favourite, &big)).expect("made").plain.len(), 2_000);
    assert_eq!(none.size(), (0, 0));
}

#[test]
fn the_compressed_form_is_counted_and_comes_back_whole() {
    let cache = TileCache::new(1 << 20);
    let (content, tile) = (content("parks", ""), tile_at(9, CHANGSHA.0, CHANGSHA.1));
    let long = "四至".repeat(500);
    let made = now(cache.get(&content, tile, || bytes(&long))).expect("no error");
    let before = cache.size().0;
    let compressed = made.gzip();
    cache.recount(&content, tile);
    assert_eq!(cache.size().0, before + compressed.len());
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&compressed[..]), &mut plain).expect("gzip");
    assert_eq!(plain, made.plain);
}
