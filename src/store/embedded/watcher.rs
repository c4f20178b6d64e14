//! One thread that keeps a cluster's server running.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::failed;
use super::place::Place;
use super::server::signal;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Watcher {
    stopping: Arc<AtomicBool>,
    child: Arc<Mutex<Option<u32>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// One long-lived thread starts the server (its death signal hangs on the thread), waits on it, and starts it again
    /// when it dies; where another sizhi runs it, the thread looks twice a second whether it still does.
    pub(super) fn begin(place: Place) -> Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let child = Arc::new(Mutex::new(None));
        let (first_try, tried) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("postgres-watch".into())
            .spawn({
                let (stopping, child) = (Arc::clone(&stopping), Arc::clone(&child));
                move || watch(&place, &stopping, &child, &first_try)
            })
            .map_err(|e| failed("无法建立监视线程", e))?;
        match tried.recv() {
            Ok(outcome) => outcome?,
            Err(_) => return Err(failed("监视线程意外结束", io::Error::other("watcher ended"))),
        }
        Ok(Self { stopping, child, thread: Some(thread) })
    }

    pub(super) fn stop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Ok(child) = self.child.lock()
            && let Some(pid) = *child
        {
            // Fast shutdown: sessions are ended, everything is written.
            signal(pid.cast_signed(), libc::SIGINT);
        }
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn watch(place: &Place, stopping: &AtomicBool, child: &Mutex<Option<u32>>, first_try: &mpsc::Sender<Result<()>>) {
    let mut pause = Duration::from_millis(100);
    let mut told = false;
    while !stopping.load(Ordering::SeqCst) {
        if place.is_running() {
            // Somebody else's, or one of ours that is still going down after a kill: both are waited out.
            if !told && accepts(place) {
                told = true;
                let _ = first_try.send(Ok(()));
            }
            // `stop` wakes it: a short command must not wait half a second to end.
            std::thread::park_timeout(Duration::from_millis(if told { 500 } else { 50 }));
            continue;
        }
        let started = Instant::now();
        match place.spawn() {
            Ok(mut server) => {
                if let Ok(mut slot) = child.lock() {
                    *slot = Some(server.id());
                }
                if !told {
                    told = true;
                    let _ = first_try.send(Ok(()));
                }
                // `stop` may have looked before the pid was there.
                if stopping.load(Ordering::SeqCst) {
                    signal(server.id().cast_signed(), libc::SIGINT);
                }
                let outcome = server.wait();
                if let Ok(mut slot) = child.lock() {
                    *slot = None;
                }
                if !stopping.load(Ordering::SeqCst) {
                    tracing::error!(?outcome, "postgres ended by itself; starting it again");
                }
            }
            Err(error) => {
                if !told {
                    let _ = first_try.send(Err(error));
                    return;
                }
                tracing::error!(error = %error, "postgres could not be started again");
            }
        }
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        // Children of a killed postmaster hold its memory for a moment: each early death waits longer, but never so long
        // that readiness would take 5 s to come back.
        pause = if started.elapsed() > Duration::from_secs(3) {
            Duration::from_millis(100)
        } else {
            (pause * 2).min(Duration::from_secs(2))
        };
        std::thread::park_timeout(pause);
    }
}

/// The look of [`Place::accepts`] from a thread that is none of the runtime's.
fn accepts(place: &Place) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.is_ok_and(|runtime| runtime.block_on(place.accepts()))
}
