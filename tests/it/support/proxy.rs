//! A proxy between two unix sockets that cuts the connection at the N-th message of the database.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Listens in a folder of its own; `cut_at` counts the messages of all connections from 1, 0 cuts nothing.
pub struct Proxy {
    folder: PathBuf,
    seen: Arc<AtomicUsize>,
    cut_at: Arc<AtomicUsize>,
}

const SOCKET: &str = ".s.PGSQL.5432";

impl Proxy {
    pub fn start(name: &str, database: &Path) -> Self {
        // Short, for a socket's path holds 107 bytes.
        let folder = std::env::temp_dir().join(format!("sizhi-test-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("folder");
        let listener = UnixListener::bind(folder.join(SOCKET)).expect("socket");
        let (seen, cut_at) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let to = database.join(SOCKET);
        std::thread::spawn({
            let (seen, cut_at) = (Arc::clone(&seen), Arc::clone(&cut_at));
            move || {
                for client in listener.incoming().flatten() {
                    // A database that is away is a cut connection, too.
                    let Ok(server) = UnixStream::connect(&to) else { continue };
                    let (seen, cut_at) = (Arc::clone(&seen), Arc::clone(&cut_at));
                    std::thread::spawn(move || pass(client, server, &seen, &cut_at));
                }
            }
        });
        Self { folder, seen, cut_at }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts counting anew; the message of this number, counted from 1, is not delivered and the connection ends.
    pub fn arm(&self, cut_at: usize) {
        self.cut_at.store(cut_at, Ordering::SeqCst);
        self.seen.store(0, Ordering::SeqCst);
    }

    /// Messages of the database since the last [`Self::arm`].
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn pass(client: UnixStream, mut server: UnixStream, seen: &AtomicUsize, cut_at: &AtomicUsize) {
    let (mut from, mut to) = (client.try_clone().expect("client"), server.try_clone().expect("server"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let mut client = client;
    let mut head = [0; 5];
    // Every message of the server: a letter, then the length of what follows with itself.
    while server.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
        let mut body = vec![0; length];
        if server.read_exact(&mut body).is_err() {
            break;
        }
        if seen.fetch_add(1, Ordering::SeqCst) + 1 == cut_at.load(Ordering::SeqCst) {
            break;
        }
        if client.write_all(&head).and_then(|()| client.write_all(&body)).is_err() {
            break;
        }
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = server.shutdown(std::net::Shutdown::Both);
}
