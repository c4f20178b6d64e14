//! Extra layers at start: the operator's file is read, each table looked at, given to the service's role and put under triggers. All faults
//! are told at once, and with one of them nothing is changed.

use sqlx::{Connection, PgConnection, PgPool};

use crate::domain::extra_layer::{DeclaredLayer, POLL_SECONDS};
use crate::domain::layer::{Follow, Layer};
use crate::domain::{Finding, Severity};
use crate::error::{Error, Result};
use crate::layers::declaration;
use crate::layers::extra::{self, Declared, Faults};
use crate::store::extra::follow::{self, Installed};
use crate::store::extra::{admit, inspect};
use crate::store::replica::is_replica;

/// Layers that may be served, and what is to be said of them.
#[derive(Debug)]
pub struct Opened {
    pub layers: Vec<&'static Layer>,
    pub findings: Vec<Finding>,
}

/// Reads the file's text and makes its layers ready. `owner` may put triggers on tables; `application` is what the service reads with.
pub async fn open(owner: &PgPool, application: &PgPool, text: &str) -> Result<Opened> {
    let mut faults = Faults::default();
    let declared = extra::parse(text, &mut faults);
    // Reading all rows of large tables takes longer than a read may.
    let mut connection = owner.acquire().await?.detach();
    follow::take_time(&mut connection).await?;
    let outcome = make_ready(&mut connection, application, declared, faults).await;
    connection.close().await?;
    outcome
}

async fn make_ready(
    connection: &mut PgConnection,
    application: &PgPool,
    declared: Vec<DeclaredLayer>,
    mut faults: Faults,
) -> Result<Opened> {
    let mut made = Vec::new();
    for declared in declared {
        if declaration::find(&declared.id).is_some() {
            let what = "id 与登记库自己的图层相同；请换一个";
            faults.error("layer_id_taken", declared.line, extra::about(&declared, what));
            continue;
        }
        let Some(facts) = inspect::inspect(connection, &declared).await? else {
            let what = format!("模式“{}”中没有这张表或视图", declared.schema);
            faults.error("layer_table_missing", declared.line, extra::about(&declared, what));
            continue;
        };
        if let Some(layer) = extra::declare(&declared, &facts, &mut faults) {
            made.push((declared, layer));
        }
    }
    for (declared, layer) in &made {
        look_at_rows(connection, declared, *layer, &mut faults).await?;
    }
    refuse(&faults)?;
    let is_replica = is_replica(connection).await?;
    let mut reader = application.acquire().await?;
    for (declared, Declared { layer, .. }) in &made {
        let remedy = match layer.extra {
            // Nothing can be given on a replica; whether the role may read is seen below.
            Some(extra) if !is_replica => admit::admit(connection, extra).await?,
            _ => None,
        };
        if let Some(remedy) = remedy {
            let what = format!("服务所用的角色没有读取权限；请由表的所有者执行：{remedy}");
            faults.error("layer_table_unreadable", declared.line, extra::about(declared, what));
        } else if let Err(words) = inspect::try_read(&mut reader, layer).await? {
            let what = format!("不能读取：{words}");
            faults.error("layer_table_unreadable", declared.line, extra::about(declared, what));
        }
    }
    refuse(&faults)?;
    let mut layers = Vec::with_capacity(made.len());
    for (declared, Declared { layer, .. }) in &made {
        layers.push(if layer.follow != Follow::ByTrigger {
            *layer
        } else if is_replica {
            on_replica(connection, declared, layer, &mut faults).await?
        } else {
            follow::install(connection, layer).await?;
            *layer
        });
    }
    follow::prune(connection).await?;
    Ok(Opened { layers, findings: faults.into_findings() })
}

/// A layer under triggers on a replica: what its primary's triggers write comes along. Where there are none, it is polled.
async fn on_replica(
    connection: &mut PgConnection,
    declared: &DeclaredLayer,
    layer: &'static Layer,
    faults: &mut Faults,
) -> Result<&'static Layer> {
    if follow::stands(connection, layer).await? {
        return Ok(layer);
    }
    let seconds = declared.poll_seconds.unwrap_or(POLL_SECONDS);
    let what = format!(
        "数据库是只读副本，主库上没有这张表的触发器，改为每 {seconds} 秒比较一次；要及时跟随，请先在主库上用同一文件启动服务"
    );
    faults.warning("layer_polled_on_replica", declared.line, extra::about(declared, what));
    // Layers are declared once, at the start, and live as long as the process.
    Ok(Box::leak(Box::new(Layer { follow: Follow::ByPolling { seconds }, ..*layer })))
}

/// What only the rows can tell.
async fn look_at_rows(
    connection: &mut PgConnection,
    declared: &DeclaredLayer,
    made: Declared,
    faults: &mut Faults,
) -> Result<()> {
    let rows = inspect::count_oddities(connection, made.layer, made.key_is_unproven).await?;
    if rows.without_own_key > 0 {
        let what = format!("标识列有 {} 行为空或重复；请用 key 指明一列不重复、不为空的", rows.without_own_key);
        faults.error("layer_key_not_unique", declared.line, extra::about(declared, what));
    }
    if rows.without_shape > 0 {
        let what = format!("有 {} 行的图形不能显示（坐标无效、超出范围或不能转换），只显示属性", rows.without_shape);
        faults.warning("layer_shapes_not_shown", declared.line, extra::about(declared, what));
    }
    Ok(())
}

fn refuse(faults: &Faults) -> Result<()> {
    if faults.errors() == 0 {
        return Ok(());
    }
    let mut findings = faults.findings().to_vec();
    findings.sort_by_key(|finding| (finding.severity != Severity::Error, finding.place.row));
    for finding in &mut findings {
        if let Some(line) = finding.place.row {
            finding.message = format!("第 {line} 行：{}", finding.message);
        }
    }
    let detail = format!("图层文件有 {} 处错误，服务没有启动", faults.errors());
    Err(Error::Invalid { code: "layers_file_invalid", detail, findings })
}

/// The layers with triggers, declared at present or not.
pub async fn installed(owner: &PgPool) -> Result<Vec<Installed>> {
    follow::installed(&mut *owner.acquire().await?).await
}

/// Takes the triggers of a layer off its table.
pub async fn forget(owner: &PgPool, id: &str) -> Result<()> {
    if follow::forget(&mut *owner.acquire().await?, id).await? {
        return Ok(());
    }
    Err(Error::not_found("layer_not_followed", format!("没有图层“{id}”的触发器；sizhi db layers 列出所有的")))
}
