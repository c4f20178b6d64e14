//! Attachments of a record: a file is looked at, kept and listed; later it may be removed, its bytes stay.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::moves::text;
use super::{Deed, Done, begin, check_jurisdiction, finish, lock, not_found, open};
use crate::domain::access::Viewer;
use crate::domain::attachment::{AttachmentKind, AttachmentName, MOST_EVER, MOST_STANDING, MediaType, Refusal, Scan};
use crate::domain::{DivisionCode, Finding, Ledger, Place};
use crate::error::{Error, Result};
use crate::inventory::export::Held;
use crate::inventory::export::flow::{PIECES_AHEAD, send_file};
use crate::store::attachments::{self, Attachment, NewAttachment, PART_BYTES};
use crate::store::{self, ledgers};

/// A file that may be attached: what it is, by its own bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    pub name: AttachmentName,
    pub media_type: MediaType,
    pub size_bytes: i64,
    pub sha256: String,
}

/// Looks at an uploaded file, a part at a time; `declared` is the type that the client gave it.
pub async fn inspect(path: &Path, file_name: &str, declared: Option<&str>) -> Result<Inspected> {
    let name = AttachmentName::parse(file_name)
        .map_err(|why| Error::invalid("file_name_invalid", format!("附件的文件名{why}；请改名后重试")))?;
    let (mut scan, mut hasher, mut size_bytes) = (Scan::default(), Sha256::new(), 0);
    let mut file = File::open(path).await.map_err(unreadable)?;
    loop {
        let part = next_part(&mut file).await?;
        if part.is_empty() {
            break;
        }
        scan.feed(&part);
        hasher.update(&part);
        size_bytes += i64::try_from(part.len()).unwrap_or(0);
    }
    let media_type = scan.finish().map_err(|refusal| refused(&name, refusal))?;
    agree(&name, declared, media_type)?;
    Ok(Inspected { name, media_type, size_bytes, sha256: format!("{:x}", hasher.finalize()) })
}

/// Up to a part's bytes; nothing at the end of the file.
async fn next_part(file: &mut File) -> Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART_BYTES);
    file.take(PART_BYTES as u64).read_to_end(&mut part).await.map_err(unreadable)?;
    Ok(part)
}

fn unreadable(cause: std::io::Error) -> Error {
    Error::internal("上传的文件无法读回", cause)
}

fn refused(name: &AttachmentName, refusal: Refusal) -> Error {
    let taken = MediaType::ALL.map(MediaType::label).join("、");
    match refusal {
        Refusal::Empty => Error::invalid("attachment_incomplete", format!("“{name}”是空文件；请重新选择")),
        Refusal::Incomplete(kind) => {
            let detail = format!("“{name}”像 {}，但不完整，可能传输或复制时中断了；请重新取得该文件", kind.label());
            Error::invalid("attachment_incomplete", detail)
        }
        Refusal::Foreign(looks) => {
            let detail = format!("附件只收 {taken}；“{name}”的内容像{looks}");
            Error::unsupported("attachment_type_unsupported", detail)
        }
        Refusal::Archive(kind) => {
            let detail = format!("“{name}”是 {}，但末尾附有压缩包；请去掉后再上传", kind.label());
            Error::unsupported("attachment_type_unsupported", detail)
        }
    }
}

/// Name and declared type may be silent; what they say must be so.
fn agree(name: &AttachmentName, declared: Option<&str>, kind: MediaType) -> Result<()> {
    if let Some(extension) = name.extension().filter(|e| !kind.extensions().contains(&e.as_str())) {
        let detail = format!("“{name}”的扩展名是 .{extension}，但内容是 {}；请核对文件，或改正扩展名", kind.label());
        return Err(Error::unsupported("attachment_type_mismatch", detail));
    }
    if let Some(declared) = declared.filter(|declared| !kind.agrees_with(declared)) {
        let shown: String = declared.chars().filter(|c| !c.is_control()).take(60).collect();
        let detail = format!("“{name}”上传时声明的类型是 {shown}，但内容是 {}；请核对文件", kind.label());
        return Err(Error::unsupported("attachment_type_mismatch", detail));
    }
    Ok(())
}

/// A file to be attached, where it lies, and what it is for.
#[derive(Debug)]
pub struct Addition<'a> {
    pub path: &'a Path,
    pub file: &'a Inspected,
    pub kind: AttachmentKind,
    pub note: Option<&'a str>,
}

/// Attaches the file to a record that stands; the id of what is done is the attachment's number.
pub async fn add(
    pool: &PgPool,
    deed: &Deed<'_>,
    ledger: Ledger,
    record: &str,
    addition: &Addition<'_>,
) -> Result<Done> {
    let (file, note) = (addition.file, text(addition.note, "note")?);
    let mut transaction = store::begin_write_as(pool, deed.viewer).await?;
    let Some(standing) = ledgers::find_state(&mut transaction, ledger, record).await? else {
        return lock(&mut transaction, deed).await?.ok_or_else(|| not_found(ledger, record));
    };
    let county = standing.county;
    // Before the lock: nobody waits for somebody's megabytes. Refused or done before, it goes with the transaction.
    store_content(&mut transaction, &county, &file.sha256, addition.path).await?;
    if let Some(done) = lock(&mut transaction, deed).await? {
        return Ok(done);
    }
    let standing = ledgers::lock_state(&mut transaction, ledger, record).await?;
    let standing = standing.ok_or_else(|| not_found(ledger, record))?;
    check_county(deed.viewer, &standing.county)?;
    let ordinal = next_ordinal(&mut transaction, ledger, record, file).await?;
    let reason = format!("{} {record}：加附件 {ordinal}“{}”", ledger.label(), file.name);
    let revision = open(&mut transaction, deed, &reason).await?;
    let new = NewAttachment {
        ordinal,
        county: &county,
        kind: addition.kind.code(),
        file_name: file.name.as_str(),
        note: note.as_deref(),
        media_type: file.media_type.as_str(),
        size_bytes: file.size_bytes,
        sha256: &file.sha256,
    };
    attachments::insert(&mut transaction, ledger, record, &new).await?;
    let done = Done { id: ordinal.to_string(), created: true, revision: Some(revision), replayed: false };
    finish(transaction, deed, done).await
}

fn check_county(viewer: &Viewer, county: &str) -> Result<()> {
    let code = DivisionCode::parse(county).map_err(|cause| Error::internal("登记库中的县区代码不合规则", cause))?;
    check_jurisdiction(viewer, &code)
}

/// Keeps the file's bytes. What stands there already is believed only after it was read back.
async fn store_content(connection: &mut PgConnection, county: &str, sha256: &str, path: &Path) -> Result<()> {
    let mut file = File::open(path).await.map_err(unreadable)?;
    let mut was_there = false;
    for number in 0.. {
        let part = next_part(&mut file).await?;
        if part.is_empty() {
            was_there |= attachments::read_part(connection, county, sha256, number).await?.is_some();
            break;
        }
        was_there |= !attachments::write_part(connection, county, sha256, number, &part).await?;
    }
    if was_there && hash_of_content(connection, county, sha256).await? != sha256 {
        return Err(damaged(format!("content {county} {sha256} stands otherwise")));
    }
    Ok(())
}

async fn hash_of_content(connection: &mut PgConnection, county: &str, sha256: &str) -> Result<String> {
    let mut hasher = Sha256::new();
    for number in 0.. {
        let Some(part) = attachments::read_part(connection, county, sha256, number).await? else { break };
        hasher.update(part);
    }
    Ok(format!("{:x}", hasher.finalize()))
}

/// The number of the record's next attachment, or why it gets none.
async fn next_ordinal(connection: &mut PgConnection, ledger: Ledger, record: &str, file: &Inspected) -> Result<i32> {
    let all = attachments::list(connection, ledger, record, true).await?;
    let standing: Vec<&Attachment> = all.iter().filter(|a| a.removed_revision.is_none()).collect();
    if let Some(same) = standing.iter().find(|a| a.sha256 == file.sha256) {
        let detail = format!("内容完全相同的附件已有：附件 {}“{}”", same.ordinal, same.file_name);
        return Err(Error::conflict("attachment_exists", detail));
    }
    if standing.len() >= MOST_STANDING || all.len() >= MOST_EVER {
        let detail = format!(
            "一条记录至多 {MOST_STANDING} 个附件，连同已移除的至多 {MOST_EVER} 个；请先移除不用的，或合并成一个 PDF"
        );
        return Err(Error::conflict("attachments_full", detail));
    }
    Ok(all.last().map_or(1, |last| last.ordinal + 1))
}

/// Ends an attachment, also of a record that has ended itself; it stays in the history, and its bytes with it.
pub async fn remove(
    pool: &PgPool,
    deed: &Deed<'_>,
    ledger: Ledger,
    record: &str,
    ordinal: i32,
    reason: Option<&str>,
) -> Result<Done> {
    let reason = text(reason, "reason")?;
    let (mut transaction, done) = begin(pool, deed).await?;
    if let Some(done) = done {
        return Ok(done);
    }
    let standing = find_in(&mut transaction, ledger, record, ordinal, false).await?;
    let attachment = standing.ok_or_else(|| no_attachment(ledger, record, &ordinal.to_string()))?;
    check_county(deed.viewer, &attachment.county_code)?;
    let why = reason.as_ref().map(|said| format!("：{said}")).unwrap_or_default();
    let told = format!("{} {record}：移除附件 {ordinal}“{}”{why}", ledger.label(), attachment.file_name);
    let revision = open(&mut transaction, deed, &told).await?;
    attachments::remove(&mut transaction, ledger, record, ordinal, reason.as_deref()).await?;
    let done = Done { id: ordinal.to_string(), created: false, revision: Some(revision), replayed: false };
    finish(transaction, deed, done).await
}

/// 404 for an attachment that there is not, or that was removed.
pub fn no_attachment(ledger: Ledger, record: &str, asked: &str) -> Error {
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(80).collect::<String>();
    let detail = format!("{}“{}”没有附件“{}”，或它已被移除", ledger.label(), shown(record), shown(asked));
    Error::not_found("attachment_not_found", detail)
}

/// The record's attachments, the first one first; `None` where the viewer has no such record. One that has ended still has its own.
pub async fn list(
    pool: &PgPool,
    viewer: &Viewer,
    ledger: Ledger,
    record: &str,
    with_removed: bool,
) -> Result<Option<Vec<Attachment>>> {
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    if attachments::county_of_record(&mut transaction, ledger, record).await?.is_none() {
        return Ok(None);
    }
    let found = attachments::list(&mut transaction, ledger, record, with_removed).await?;
    transaction.commit().await?;
    Ok(Some(found))
}

async fn find_in(
    connection: &mut PgConnection,
    ledger: Ledger,
    record: &str,
    ordinal: i32,
    with_removed: bool,
) -> Result<Option<Attachment>> {
    let all = attachments::list(connection, ledger, record, with_removed).await?;
    Ok(all.into_iter().find(|attachment| attachment.ordinal == ordinal))
}

/// An attachment's bytes, read back and found to be what they were: a file of ours, which goes when this is dropped.
#[derive(Debug)]
pub struct Spooled {
    file: File,
}

/// Brings the bytes into a temporary file and compares their hash before anybody gets one of them.
pub async fn spool(pool: &PgPool, viewer: &Viewer, attachment: &Attachment) -> Result<Spooled> {
    let unwritable = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Unavailable {
            code: "storage_full",
            detail: "服务器存放临时文件的磁盘已满，请联系运维人员".to_owned(),
            cause: Some(Box::new(cause)),
        },
        _ => Error::internal("附件无法写入临时文件", cause),
    };
    let mut file = File::from_std(tempfile::tempfile().map_err(unwritable)?);
    let mut hasher = Sha256::new();
    let mut transaction = store::begin_read_as(pool, viewer).await?;
    for number in 0.. {
        let (county, sha256) = (&attachment.county_code, &attachment.sha256);
        let Some(part) = attachments::read_part(&mut transaction, county, sha256, number).await? else { break };
        hasher.update(&part);
        file.write_all(&part).await.map_err(unwritable)?;
    }
    transaction.commit().await?;
    file.flush().await.map_err(unwritable)?;
    let found = format!("{:x}", hasher.finalize());
    if found != attachment.sha256 {
        return Err(damaged(format!(
            "attachment {} of county {} has {found}",
            attachment.sha256, attachment.county_code
        )));
    }
    Ok(Spooled { file })
}

/// Never wrong bytes: the log names the content, the client is told whom to tell.
fn damaged(what: String) -> Error {
    let detail = "附件的内容与登记时的校验值不符，没有发出；请联系运维人员核对备份".to_owned();
    Error::Unavailable { code: "attachment_damaged", detail, cause: Some(what.into()) }
}

impl Spooled {
    /// Lets `length` bytes from `from` on flow out; an empty piece says the end. Whoever takes nothing for a minute, or is not done
    /// after `patience`, gets no more; `held` is let go then.
    pub async fn flow(
        mut self,
        from: u64,
        length: u64,
        patience: Duration,
        held: Held,
    ) -> Result<mpsc::Receiver<Result<Vec<u8>>>> {
        self.file.seek(SeekFrom::Start(from)).await.map_err(|cause| Error::internal("附件无法读回", cause))?;
        let (to, pieces) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            send_file(self.file.take(length), to, Instant::now() + patience).await;
            drop(held);
        });
        Ok(pieces)
    }
}

/// Refuses the undo that has taken records out of the ledgers for good while attachments stand on them. `what` is undone.
pub(in crate::inventory) async fn refuse_to_leave(
    connection: &mut PgConnection,
    undone: i64,
    what: &str,
) -> Result<()> {
    let left = attachments::left_behind(connection, undone).await?;
    if left.is_empty() {
        return Ok(());
    }
    let told = |(table, record): &(String, String)| {
        let ledger = Ledger::ALL.into_iter().find(|l| l.table() == table).map_or("", Ledger::label);
        Finding::error("attachments_left", Place::whole(), format!("{ledger} {record} 有附件，撤销后记录不复存在"))
    };
    Err(Error::Conflict {
        code: "undo_conflict",
        detail: format!("{what}的记录之后加有附件，不能撤销；请先移除附件"),
        findings: left.iter().map(told).collect(),
    })
}
