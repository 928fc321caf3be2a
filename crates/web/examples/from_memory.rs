//! The floor of reads for `cargo xtask bench`: actix-web answers every GET with the bytes it was given on
//! standard input. Prints its address.

use std::io::{Read as _, Write as _};

use actix_web::web::Bytes;
use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut body = Vec::new();
    std::io::stdin().lock().read_to_end(&mut body)?;
    let body = Bytes::from(body);
    let server = HttpServer::new(move || {
        let body = body.clone();
        App::new().default_service(web::get().to(move || {
            let answer = HttpResponse::Ok()
                .content_type("application/json")
                .body(body.clone());
            std::future::ready(answer)
        }))
    })
    .bind(("127.0.0.1", 0))?;
    for address in server.addrs() {
        writeln!(std::io::stdout(), "{address}")?;
    }
    server.run().await
}
