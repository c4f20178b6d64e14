//! Rows from the database to the encoder, bytes from the encoder to whoever waits: each side waits for the other, and
//! an end that was not said is no end.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::domain::export::ExportRow;
use crate::error::{Error, Result};
use crate::inventory::progress::Progress;
use crate::store::blocks::{self, Papers};
use crate::store::feature_rows::FeatureRows;

/// Pieces that wait for the other side.
pub const PIECES_AHEAD: usize = 2;

/// Bytes of a piece of a file.
const PIECE_BYTES: usize = 64 * 1024;

/// A reader that takes nothing for so long has gone, though its connection stands.
const READER_PATIENCE: Duration = Duration::from_secs(60);

/// Rows with what else is known of them; an empty piece is the end.
pub type Piece = Vec<(ExportRow, Papers)>;

/// The encoder's end of the rows.
pub struct Pieces {
    from: mpsc::Receiver<Result<Piece>>,
    current: std::vec::IntoIter<(ExportRow, Papers)>,
    ended: bool,
}

pub fn pieces() -> (mpsc::Sender<Result<Piece>>, Pieces) {
    let (to, from) = mpsc::channel(PIECES_AHEAD);
    (to, Pieces { from, current: Vec::new().into_iter(), ended: false })
}

impl Iterator for Pieces {
    type Item = Result<(ExportRow, Papers)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.current.next() {
                return Some(Ok(row));
            }
            if self.ended {
                return None;
            }
            match self.from.blocking_recv() {
                Some(Ok(piece)) if piece.is_empty() => self.ended = true,
                Some(Ok(piece)) => self.current = piece.into_iter(),
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                // The service stops: what came so far is not all.
                None => {
                    self.ended = true;
                    return Some(Err(Error::Internal { detail: "导出中途停止".to_owned(), cause: None }));
                }
            }
        }
    }
}

/// Brings the rows until the last, until nobody takes them, or until the time is over. The transaction ends with it.
pub async fn pump(
    mut rows: FeatureRows,
    papers: bool,
    to: mpsc::Sender<Result<Piece>>,
    deadline: Instant,
    progress: Arc<dyn Progress>,
) {
    loop {
        let piece = match timeout_at(deadline, next_piece(&mut rows, papers)).await {
            Ok(piece) => piece,
            Err(_) => Err(too_long()),
        };
        let ends = piece.as_ref().map_or(true, Vec::is_empty);
        progress.advance(piece.as_ref().map_or(0, |p| p.len() as u64));
        let sent = timeout_at(deadline.min(Instant::now() + READER_PATIENCE), to.send(piece)).await;
        if ends || !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
}

fn too_long() -> Error {
    Error::Unavailable {
        code: "query_timeout",
        detail: "导出超过了时限，请加上范围或条件，分几次导出".to_owned(),
        cause: None,
    }
}

async fn next_piece(rows: &mut FeatureRows, papers: bool) -> Result<Piece> {
    let found = rows.next().await?;
    if !papers {
        return Ok(found.into_iter().map(|row| (row, Papers::default())).collect());
    }
    let ids: Vec<&str> = found.iter().map(|row| row.id.as_str()).collect();
    let mut known = blocks::list_papers(rows.connection(), &ids).await?;
    Ok(found
        .into_iter()
        .map(|row| {
            let papers = known.remove(&row.id).unwrap_or_default();
            (row, papers)
        })
        .collect())
}

/// A writer whose bytes go to somebody who may be slow, or leave.
pub struct PieceWriter {
    to: mpsc::Sender<Result<Vec<u8>>>,
    piece: Vec<u8>,
}

impl PieceWriter {
    pub fn new(to: mpsc::Sender<Result<Vec<u8>>>) -> Self {
        Self { to, piece: Vec::with_capacity(PIECE_BYTES) }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.to.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Says how it ended: an empty piece, or the error. A reader that has gone hears neither.
    pub fn finish(mut self, outcome: Result<()>) {
        let last = match (outcome, self.send()) {
            (Ok(()), Ok(())) => Ok(Vec::new()),
            (Ok(()), Err(_)) => return,
            (Err(error), _) => Err(error),
        };
        let _ = self.to.blocking_send(last);
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Pieces are sent when they are full: a small one costs as much as a large one.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is made already, piece by piece, with the same ends.
pub async fn send_file(mut file: impl AsyncRead + Unpin, to: mpsc::Sender<Result<Vec<u8>>>, deadline: Instant) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let piece = file.read(&mut piece).await.map(|length| {
            piece.truncate(length);
            piece
        });
        let piece = piece.map_err(|cause| Error::internal("读要发出的文件时出错", cause));
        let ends = piece.as_ref().map_or(true, Vec::is_empty);
        let sent = timeout_at(deadline.min(Instant::now() + READER_PATIENCE), to.send(piece)).await;
        if ends || !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> (ExportRow, Papers) {
        let row = ExportRow { id: id.to_owned(), cells: vec![], geometry: None, centre: None, feature: String::new() };
        (row, Papers::default())
    }

    fn ids(pieces: Pieces) -> Vec<std::result::Result<String, &'static str>> {
        pieces.map(|row| row.map(|(row, _)| row.id).map_err(|e| e.code())).collect()
    }

    #[test]
    fn rows_end_only_where_the_end_was_said() {
        let (to, whole) = pieces();
        to.try_send(Ok(vec![row("1"), row("2")])).expect("room");
        to.try_send(Ok(vec![])).expect("room");
        assert_eq!(ids(whole), [Ok("1".to_owned()), Ok("2".to_owned())]);
        let (to, broken) = pieces();
        to.try_send(Ok(vec![row("1")])).expect("room");
        drop(to);
        assert_eq!(ids(broken), [Ok("1".to_owned()), Err("internal")]);
        let (to, failed) = pieces();
        to.try_send(Err(too_long())).expect("room");
        assert_eq!(ids(failed), [Err("query_timeout")]);
    }

    #[test]
    fn bytes_end_with_an_empty_piece_or_an_error() {
        let (to, mut from) = mpsc::channel(8);
        let mut writer = PieceWriter::new(to);
        writer.write_all(&vec![b'a'; PIECE_BYTES + 1]).expect("taken");
        writer.write_all(b"b").expect("taken");
        writer.finish(Ok(()));
        let mut lengths = Vec::new();
        while let Some(piece) = from.blocking_recv() {
            lengths.push(piece.map(|p| p.len()).map_err(|e| e.code()));
        }
        assert_eq!(lengths, [Ok(PIECE_BYTES + 1), Ok(1), Ok(0)]);
        let (to, mut from) = mpsc::channel(8);
        PieceWriter::new(to).finish(Err(too_long()));
        assert_eq!(from.blocking_recv().map(|p| p.map_err(|e| e.code())), Some(Err("query_timeout")));
        assert!(from.blocking_recv().is_none());
        let (to, from) = mpsc::channel(8);
        drop(from);
        let gone = PieceWriter::new(to).write_all(&vec![b'a'; PIECE_BYTES]);
        assert_eq!(gone.map_err(|e| e.kind()), Err(io::ErrorKind::BrokenPipe));
    }
}
