//! Tables and texts out: CSV, XLSX, GeoJSON and one feature a line. Row by row; nothing is held but the row.

mod csv;
mod geojson;
mod xlsx;

use encoding_rs::GBK;

pub use self::csv::{CsvOptions, write_csv};
pub use self::geojson::{write_feature_collection, write_feature_lines};
pub use self::xlsx::{Sheet, write_book, write_xlsx};
use crate::domain::export::ExportRow;
use crate::error::{Error, Result};

/// The rows of an export as they come; an error ends them.
pub type Rows<'a> = &'a mut dyn Iterator<Item = Result<ExportRow>>;

/// What cannot be written for no fault of the data.
pub(super) fn failed(cause: std::io::Error) -> Error {
    Error::internal("写导出文件时出错", cause)
}

/// The text in GBK; a character that it lacks is named with its place and never replaced.
pub(super) fn in_gbk<'a>(text: &'a str, place: impl Fn() -> String) -> Result<std::borrow::Cow<'a, [u8]>> {
    let (bytes, _, lossy) = GBK.encode(text);
    if !lossy {
        return Ok(bytes);
    }
    let missing = text.chars().find(|c| GBK.encode(c.encode_utf8(&mut [0; 4])).2).unwrap_or('?');
    let message = format!("{}：字符“{missing}”不在 GBK 编码中；请改用 utf-8 导出", place());
    Err(Error::invalid("character_not_in_gbk", message))
}
