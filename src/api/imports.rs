//! `/api/imports`: an upload is checked, then committed or left, and can be undone as a whole.
//!
//! Reading is for staff, as reports may quote what is not public; writing for editors. Writes go through
//! `inventory`. Never: a decision about a file's content.

use actix_multipart::Multipart;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::auth;
use super::list_page::ListPage;
use super::params::{Params, parse_crs, positive, shorten};
use super::problem::Answer;
use super::representation::{self, link};
use super::state::State;
use super::upload::{self, Names, Upload};
use crate::domain::access::Viewer;
use crate::domain::{DivisionCode, ParkCode};
use crate::error::{Error, Result};
use crate::inventory::import::{self, ImportRequest, LAYERS, ReadOptions};
use crate::store;

/// What a caller may say of an upload, as form parts or in the query string; `allow` may come again.
const NAMES: Names = Names {
    all: &["layer", "park", "county", "zone_kind", "crs", "encoding", "source_layer", "repair", "allow"],
    lists: &["allow"],
    attributes: true,
};

/// `GET /api/imports`: newest first, without reports.
pub async fn list_imports(request: HttpRequest, state: web::Data<State>) -> Answer {
    let viewer = auth::staff(&request, &state).await?;
    let params = Params::read(&request, &["limit", "before"], |_| false)?;
    let page = ListPage::of(&params)?;
    let before = params.text("before").map(|text| before(&text)).transpose()?;
    let base = representation::base_url(&request, &state);
    let mut batches = import::list(&state.pool, &viewer, page.rows(), before).await?;
    let url = format!("{base}/api/imports");
    let links = page.cut(&mut batches, (&url, "application/json"), "before", |batch| batch["id"].to_string());
    let imports: Vec<Value> = batches.into_iter().map(|batch| with_links(batch, &base)).collect();
    let document = json!({"numberReturned": imports.len(), "imports": imports, "links": links});
    representation::no_store_json(HttpResponse::Ok(), &document)
}

/// `POST /api/imports`: checks an upload against the register and writes nothing but the batch.
///
/// The answer is 201 also where the file was refused: the batch exists, says `refused` and why, and can be fetched
/// again. A 4xx means that there was nothing to check.
pub async fn create_import(request: HttpRequest, form: Multipart, state: web::Data<State>) -> Answer {
    let viewer = auth::editor(&request, &state).await?;
    let upload = upload::receive(&request, form, &NAMES, state.http.upload_limit_mb).await?;
    let wanted = import_request(&upload, &viewer)?;
    let staged = store::while_answering(&state.pool, import::stage(&state.pool, &wanted)).await?;
    let batch = import::get(&state.pool, staged.id, &viewer).await?;
    let base = representation::base_url(&request, &state);
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, import_url(&base, &staged.id.to_string())));
    representation::no_store_json(response, &with_links(batch, &base))
}

/// `GET /api/imports/{id}`: the batch with its report.
pub async fn get_import(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::staff(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let batch = import::get(&state.pool, import_id(&path)?, &viewer).await?;
    the_batch(&request, &state, batch)
}

/// `POST /api/imports/{id}/commit`: judges the upload again and writes it as one revision, or nothing.
pub async fn commit_import(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::editor(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let id = import_id(&path)?;
    let batch = store::while_answering(&state.pool, import::commit(&state.pool, id, &viewer)).await?;
    the_batch(&request, &state, batch)
}

/// `POST /api/imports/{id}/undo`: takes a committed import back as a new revision.
pub async fn undo_import(request: HttpRequest, path: web::Path<String>, state: web::Data<State>) -> Answer {
    let viewer = auth::editor(&request, &state).await?;
    Params::read(&request, &[], |_| false)?;
    let id = import_id(&path)?;
    let batch = store::while_answering(&state.pool, import::undo(&state.pool, id, &viewer)).await?;
    the_batch(&request, &state, batch)
}

fn the_batch(request: &HttpRequest, state: &State, batch: Value) -> Answer {
    let document = with_links(batch, &representation::base_url(request, state));
    representation::no_store_json(HttpResponse::Ok(), &document)
}

fn import_request(upload: &Upload, viewer: &Viewer) -> Result<ImportRequest> {
    let params = &upload.params;
    let layer = params.text("layer").ok_or_else(|| {
        Error::invalid("layer_missing", format!("请说明导入到哪个图层（layer）：{}", LAYERS.join("、")))
    })?;
    let park = params.text("park").map(|text| ParkCode::parse(&text)).transpose();
    let county = params.text("county").map(|text| DivisionCode::parse(&text)).transpose();
    Ok(ImportRequest {
        county: county.map_err(|reason| Error::invalid("county_invalid", reason.to_string()))?,
        zone_kind: params.text("zone_kind"),
        attributes: upload.attributes.as_ref().map(|(file, name)| (file.path().to_owned(), name.clone())),
        read: ReadOptions {
            crs: params.text("crs").map(|text| parse_crs(&text)).transpose()?,
            encoding: params.text("encoding"),
            source_layer: params.text("source_layer"),
            file_name: None,
            ..ReadOptions::default()
        },
        park: park.map_err(|reason| Error::invalid("park_code_invalid", reason.to_string()))?,
        repair: params.flag("repair")?,
        allow: params.text("allow").map(|list| codes(&list)).unwrap_or_default(),
        ..ImportRequest::new(upload.file.path().to_owned(), upload.file_name.clone(), layer, viewer)
    })
}

/// The codes of a comma-separated list, each once.
fn codes(list: &str) -> Vec<String> {
    let mut codes: Vec<String> = Vec::new();
    for code in list.split(',').map(str::trim).filter(|code| !code.is_empty()) {
        if !codes.iter().any(|known| known == code) {
            // Unknown ones are quoted back, so they are cut to what a sentence bears.
            codes.push(shorten(code));
        }
    }
    codes
}

fn import_id(text: &str) -> Result<i64> {
    positive::<i64>(text).ok_or_else(|| {
        Error::not_found("import_not_found", format!("没有编号为“{}”的导入批次；编号是正整数", shorten(text)))
    })
}

fn before(text: &str) -> Result<i64> {
    positive::<i64>(text).ok_or_else(|| {
        Error::invalid("value_invalid", format!("参数 before 应为导入批次的编号，不是“{}”", shorten(text)))
    })
}

fn import_url(base: &str, id: &str) -> String {
    format!("{base}/api/imports/{id}")
}

/// The batch with links to what can follow: a checked one is committed, a committed one undone.
fn with_links(mut batch: Value, base: &str) -> Value {
    let url = import_url(base, &batch["id"].to_string());
    let status = batch["status"].as_str().unwrap_or_default();
    let mut links = vec![link("self", &url)];
    if status == "checked" {
        links.push(link("commit", &format!("{url}/commit")));
    }
    if status == "committed" {
        links.push(link("undo", &format!("{url}/undo")));
    }
    if let Some(object) = batch.as_object_mut() {
        object.insert("links".into(), Value::Array(links));
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_batches() {
        for (text, expected) in [
            ("1", Some(1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("0", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("", None),
            ("１", None),
        ] {
            assert_eq!(positive::<i64>(text), expected, "{text}");
        }
    }

    #[test]
    fn lists_of_codes() {
        assert_eq!(codes(" a, b,,a ,"), ["a", "b"]);
        assert_eq!(codes(","), [""; 0]);
    }

    #[test]
    fn links_lead_to_what_can_follow() {
        let rels = |status: &str| {
            let batch = with_links(json!({"id": 7, "status": status}), "http://x");
            let rels = batch["links"].as_array().into_iter().flatten();
            rels.filter_map(|l| l["rel"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(rels("checked"), ["self", "commit"]);
        assert_eq!(rels("committed"), ["self", "undo"]);
        for status in ["refused", "unchanged", "undone"] {
            assert_eq!(rels(status), ["self"], "{status}");
        }
    }
}
