//! CSV for spreadsheets: a byte order mark, CRLF, formulas made harmless; attributes, a point inside, WKT where asked for.

use std::io::Write;

use ::csv::{Terminator, WriterBuilder};

use super::{Rows, failed, in_gbk};
use crate::domain::export::{Cell, Column, TextEncoding};
use crate::domain::layer::PropertyKind;
use crate::error::{Error, Result};
use crate::exchange::formula;
use crate::exchange::shape_text::wkt;

/// How the table is written.
#[derive(Debug, Clone)]
pub struct CsvOptions {
    /// Columns with the place of each in a row's cells.
    pub columns: Vec<(usize, Column)>,
    /// Columns of a point inside; a table of no places has none.
    pub centre: Option<[Column; 2]>,
    pub wkt: Option<Column>,
    pub encoding: TextEncoding,
}

/// Writes the table; the number of its rows.
pub fn write_csv(rows: Rows<'_>, options: &CsvOptions, out: &mut dyn Write) -> Result<u64> {
    let broken = |cause: ::csv::Error| match cause.into_kind() {
        ::csv::ErrorKind::Io(cause) => failed(cause),
        other => Error::internal("写 CSV 时出错", std::io::Error::other(format!("{other:?}"))),
    };
    let mut out = out;
    if options.encoding == TextEncoding::Utf8 {
        // Without it Chinese turns to mojibake in spreadsheets.
        out.write_all(b"\xEF\xBB\xBF").map_err(failed)?;
    }
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(&mut out);
    let shown = options.columns.iter().map(|(_, column)| column);
    for column in shown.chain(options.centre.iter().flatten()).chain(&options.wkt) {
        put(&mut writer, &column.heading, options.encoding, || "表头".to_owned()).map_err(|e| e.unwrap(broken))?;
    }
    writer.write_record(None::<&[u8]>).map_err(broken)?;
    let mut count = 0;
    for row in rows {
        let row = row?;
        count += 1;
        for (at, column) in &options.columns {
            let cell = row.cells.get(*at).unwrap_or(&Cell::Missing);
            let place = || format!("第 {count} 行（{}）的“{}”", row.id, column.heading);
            put(&mut writer, &text_of(cell, column.kind), options.encoding, place).map_err(|e| e.unwrap(broken))?;
        }
        if options.centre.is_some() {
            let (x, y) = row.centre.map_or_else(Default::default, |(x, y)| (x.to_string(), y.to_string()));
            writer.write_field(x).and_then(|()| writer.write_field(y)).map_err(broken)?;
        }
        if options.wkt.is_some() {
            writer.write_field(row.geometry.as_ref().map(wkt).unwrap_or_default()).map_err(broken)?;
        }
        writer.write_record(None::<&[u8]>).map_err(broken)?;
    }
    writer.flush().map_err(failed)?;
    Ok(count)
}

/// A field that could not be written: by its text, or by the writer.
enum Refused {
    Text(Error),
    Writer(::csv::Error),
}

impl Refused {
    fn unwrap(self, broken: impl Fn(::csv::Error) -> Error) -> Error {
        match self {
            Refused::Text(error) => error,
            Refused::Writer(cause) => broken(cause),
        }
    }
}

fn put<W: Write>(
    writer: &mut ::csv::Writer<W>,
    text: &str,
    encoding: TextEncoding,
    place: impl Fn() -> String,
) -> std::result::Result<(), Refused> {
    match encoding {
        TextEncoding::Utf8 => writer.write_field(text),
        TextEncoding::Gbk => writer.write_field(in_gbk(text, place).map_err(Refused::Text)?),
    }
    .map_err(Refused::Writer)
}

/// Texts are made harmless; numbers are numbers, also below zero.
fn text_of(cell: &Cell, kind: PropertyKind) -> String {
    match cell {
        Cell::Text(text) => formula::neutralise(text).into_owned(),
        // A number where the layer declares texts is a text to whoever opens the file.
        Cell::Number(_) | Cell::Integer(_)
            if matches!(kind, PropertyKind::Text | PropertyKind::TextList | PropertyKind::NumberList) =>
        {
            formula::neutralise(&cell.text()).into_owned()
        }
        other => other.text(),
    }
}
