//! `cargo bench --bench floor -- PORT FILE|FOLDER`: actix-web answering from memory, the most that a server of this kind can do.
//! With a file, every address gives its bytes. With a folder, addresses give what was recorded for them: `index.tsv` there has lines of
//! address, media type and file. Nothing that reads a register can be faster; `benches/run` and `benches/map` measure both in one run.

use std::collections::HashMap;
use std::io::{Error, Result};
use std::path::Path;
use std::sync::Arc;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

/// One recorded answer: its media type and its bytes, which are never copied.
type Answer = (String, Bytes);

/// What is answered: the same always, or by address.
enum Memory {
    One(Answer),
    ByAddress(HashMap<String, Answer>),
}

impl Memory {
    fn read(path: &Path) -> Result<Self> {
        if path.is_file() {
            return Ok(Self::One(("application/geo+json".to_owned(), Bytes::from(std::fs::read(path)?))));
        }
        let mut answers = HashMap::new();
        for line in std::fs::read_to_string(path.join("index.tsv"))?.lines() {
            let [address, media_type, file] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(Error::other(format!("index.tsv: {line}")));
            };
            let bytes = Bytes::from(std::fs::read(path.join(file))?);
            answers.insert(address.to_owned(), (media_type.to_owned(), bytes));
        }
        Ok(Self::ByAddress(answers))
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let found = match self {
            Self::One(answer) => Some(answer),
            Self::ByAddress(answers) => {
                request.uri().path_and_query().and_then(|address| answers.get(address.as_str()))
            }
        };
        match found {
            // An empty tile is 204, and has no media type.
            Some((_, bytes)) if bytes.is_empty() => HttpResponse::NoContent().finish(),
            Some((media_type, bytes)) => HttpResponse::Ok().content_type(media_type.as_str()).body(bytes.clone()),
            None => HttpResponse::NotFound().finish(),
        }
    }
}

#[actix_web::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [port, path] = arguments.as_slice() else {
        return Err(Error::other("usage: cargo bench --bench floor -- PORT FILE|FOLDER"));
    };
    let memory = Arc::new(Memory::read(Path::new(path))?);
    let port: u16 = port.parse().map_err(Error::other)?;
    HttpServer::new(move || {
        let memory = memory.clone();
        App::new().default_service(web::to(move |request: HttpRequest| {
            let answer = memory.answer(&request);
            async move { answer }
        }))
    })
    .workers(2)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
