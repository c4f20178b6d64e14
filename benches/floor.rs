//! `cargo bench --bench floor -- PORT FILE`: actix-web answering with one file's bytes from memory. Nothing that reads a
//! register can be faster; `benches/run` measures both in one run.

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [port, file] = arguments.as_slice() else {
        return Err(std::io::Error::other("usage: cargo bench --bench floor -- PORT FILE"));
    };
    let bytes = Bytes::from(std::fs::read(file)?);
    let port: u16 = port.parse().map_err(std::io::Error::other)?;
    HttpServer::new(move || {
        let bytes = bytes.clone();
        App::new().default_service(web::to(move || {
            let bytes = bytes.clone();
            async move { HttpResponse::Ok().content_type("application/geo+json").body(bytes) }
        }))
    })
    .workers(2)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
