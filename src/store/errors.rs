//! `sqlx::Error` → our words. Constraints are known by name: one table says what each means to a clerk.

use crate::error::Error;

/// Constraint, code, sentence. Conflicts are about what the register holds; the rest is invalid input that got past the
/// checks before the database.
const CONFLICTS: [(&str, &str, &str); 22] = [
    ("account_pkey", "account_exists", "账号名已被使用"),
    ("park_pkey", "park_exists", "园区代码已存在"),
    ("division_pkey", "division_exists", "行政区划代码已存在"),
    ("park_block_pkey", "block_exists", "区块标识已存在"),
    ("park_block_one_at_a_time", "block_exists", "同一区块在同一时间只能有一个边界"),
    ("park_block_park_fkey", "park_unknown", "区块所属的园区不在名录中，或园区仍有区块"),
    ("directory_entry_park_fkey", "park_unknown", "名录条目所属的园区不存在，或园区仍有名录条目"),
    ("park_event_park_fkey", "park_unknown", "事件所属的园区不存在，或园区仍有事件"),
    ("attachment_once", "attachment_exists", "该记录已有内容完全相同的附件"),
    ("attachment_pkey", "attachment_exists", "另一个附件刚刚加入，请再试一次"),
    ("boundary_change_one_open", "change_open", "该园区已有未办结的调区扩区"),
    ("boundary_change_pkey", "change_open", "另一个调区扩区刚刚提出，请再试一次"),
    ("boundary_change_park_fkey", "park_unknown", "调区扩区所属的园区不存在，或园区仍有调区扩区"),
    ("turnover_parcel_pkey", "record_exists", "周转用地的标识已存在"),
    ("turnover_parcel_one_at_a_time", "record_exists", "同一周转用地在同一时间只能有一个状态"),
    ("low_efficiency_parcel_pkey", "record_exists", "低效用地的标识已存在"),
    ("low_efficiency_parcel_one_at_a_time", "record_exists", "同一低效用地在同一时间只能有一个状态"),
    ("redevelopment_plan_pkey", "record_exists", "再开发方案的标识已存在"),
    ("redevelopment_plan_one_at_a_time", "record_exists", "同一再开发方案在同一时间只能有一个状态"),
    ("redevelopment_plan_one_per_parcel", "plan_exists", "地块已有再开发方案（一宗一策）"),
    ("turnover_parcel_park_fkey", "park_unknown", "地块所在的园区不在名录中，或园区仍有地块"),
    ("low_efficiency_parcel_park_fkey", "park_unknown", "地块所在的园区不在名录中，或园区仍有地块"),
];
const INVALID: [(&str, &str, &str); 36] = [
    ("park_block_geom_in_province", "outside_province", "区块边界超出本省范围"),
    ("park_block_geom_finite", "geometry_empty", "区块边界为空，或有坐标不是有限的数"),
    ("park_block_area_finite", "area_invalid", "区块面积不是有效数值"),
    ("park_block_stated_area_positive", "stated_area_invalid", "标注面积应大于 0"),
    ("park_block_number_format", "id_invalid", "区块编号不合规则"),
    ("division_geom_in_province", "outside_province", "行政区界线超出本省范围"),
    ("division_geom_valid", "geometry_invalid", "行政区界线不是有效的多边形"),
    ("park_prefecture_fkey", "division_unknown", "园区所在市州不在行政区划表中"),
    ("park_level_matches_code", "level_contradicts_code", "园区级别与代码首字母不一致（G 为国家级，S 为省级）"),
    ("park_approved_area_positive", "area_invalid", "核准面积应大于 0"),
    ("turnover_parcel_county_fkey", "county_unknown", "县区不在行政区划表中"),
    ("turnover_parcel_numbers_sound", "number_out_of_range", "有数值为负或超出登记库能保存的范围"),
    ("turnover_parcel_number_format", "id_invalid", "编号不合规则"),
    ("low_efficiency_parcel_county_fkey", "county_unknown", "县区不在行政区划表中"),
    ("low_efficiency_parcel_numbers_sound", "number_out_of_range", "有数值为负或超出登记库能保存的范围"),
    ("low_efficiency_parcel_number_format", "id_invalid", "编号不合规则"),
    ("redevelopment_plan_county_fkey", "county_unknown", "县区不在行政区划表中"),
    ("redevelopment_plan_numbers_sound", "number_out_of_range", "有数值为负或超出登记库能保存的范围"),
    ("redevelopment_plan_number_format", "id_invalid", "编号不合规则"),
    ("turnover_parcel_geom_in_range", "outside_province", "图形超出经纬度范围"),
    ("turnover_parcel_geom_finite", "geometry_empty", "图形为空，或有坐标不是有限的数"),
    ("turnover_parcel_area_finite", "area_invalid", "面积不是有效数值"),
    ("turnover_parcel_stated_area_positive", "stated_area_invalid", "标注面积应大于 0"),
    ("turnover_parcel_land_use_with_system", "land_use_system_missing", "地类编码要写明地类标准"),
    ("low_efficiency_parcel_geom_in_range", "outside_province", "图形超出经纬度范围"),
    ("low_efficiency_parcel_geom_finite", "geometry_empty", "图形为空，或有坐标不是有限的数"),
    ("low_efficiency_parcel_area_finite", "area_invalid", "面积不是有效数值"),
    ("low_efficiency_parcel_stated_area_positive", "stated_area_invalid", "标注面积应大于 0"),
    ("low_efficiency_parcel_land_use_with_system", "land_use_system_missing", "地类编码要写明地类标准"),
    ("park_event_area_arithmetic", "event_area_arithmetic", "调整前 − 调出 + 新扩入 不等于 调整后"),
    ("boundary_change_area_arithmetic", "event_area_arithmetic", "调整前 − 调出 + 新扩入 不等于 调整后"),
    ("boundary_change_block_geom_in_province", "outside_province", "拟议区块的边界超出本省范围"),
    ("boundary_change_block_geom_finite", "geometry_empty", "拟议区块的边界为空，或有坐标不是有限的数"),
    ("boundary_change_block_area_finite", "area_invalid", "拟议区块的面积不是有效数值"),
    ("boundary_change_block_stated_area_positive", "stated_area_invalid", "标注面积应大于 0"),
    ("boundary_change_block_number_format", "id_invalid", "区块编号不合规则"),
];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = |code: &'static str, detail: &str, cause| Error::Unavailable {
            code,
            detail: detail.to_owned(),
            cause: Some(Box::new(cause)),
        };
        match &error {
            sqlx::Error::Database(database) => {
                let state = database.code().unwrap_or_default().into_owned();
                match state.as_str() {
                    "57014" => unavailable("query_timeout", "查询超过了时限，请缩小范围后重试", error),
                    "55P03" => unavailable("register_busy", "登记库正被另一个写操作占用，请稍后重试", error),
                    // The state is that of two writers in each other's way; of ours only what reads is so interrupted.
                    "40001" | "40P01" if is_recovery(database.as_ref()) => {
                        unavailable("replica_conflict", "副本正在应用主库的更改，查询被中断；请重试", error)
                    }
                    "40001" | "40P01" => unavailable("register_busy", "与另一个写操作冲突，请稍后重试", error),
                    // The policy's own check, not a missing grant: those are our fault.
                    "42501" if is_policy(database.as_ref()) => Error::Forbidden {
                        code: "outside_jurisdiction",
                        detail: "记录不在您的管辖范围内，不能写入".to_owned(),
                    },
                    // What a filter asks to reckon, of some feature: a root of −1, a pattern, a shape that GEOS cannot relate.
                    "2201F" | "22012" | "22025" => not_reckoned(),
                    "XX000" if is_geos(database.as_ref()) => not_reckoned(),
                    "22003" => Error::invalid("number_out_of_range", "有数值超出登记库能保存的范围"),
                    "53100" => unavailable("storage_full", "数据库磁盘已满，请联系运维人员", error),
                    // A replica, or a primary that was set to take no writes.
                    "25006" => unavailable("read_only_replica", READ_ONLY, error),
                    // Login refused, no such database: set right by the operator, not here.
                    "28P01" | "28000" | "3D000" => {
                        unavailable("database_unavailable", "数据库拒绝访问（账号或库名），请联系运维人员", error)
                    }
                    // 57P0x: shutting down, starting; 53300: too many connections; 08xxx: connection trouble.
                    s if s.starts_with("57P") || s.starts_with("08") || s == "53300" => {
                        unavailable("database_unavailable", "数据库暂时不可用，请稍后重试", error)
                    }
                    _ => of_constraint(error),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Tls(_) => unavailable("database_unavailable", "数据库暂时不可用，请稍后重试", error),
            _ => Error::internal("数据库操作失败", error),
        }
    }
}

/// What a writer is told by a server over a replica.
pub const READ_ONLY: &str = "本服务所连的数据库是只读副本，不接受写入；请改到主库的服务上进行";

/// True where PostgreSQL broke off a statement because a replica has to show what its primary wrote: told by the place in PostgreSQL, since
/// its sentences are translated.
fn is_recovery(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.downcast_ref::<sqlx::postgres::PgDatabaseError>().routine() == Some("ProcessInterrupts")
}

fn not_reckoned() -> Error {
    Error::invalid("filter_failed", "条件在某个要素上无法计算（除以零、负数开方或图形有误）；请改写条件")
}

/// True for a shape that GEOS refuses: PostGIS gives it no state of its own, and says so in English in every locale.
fn is_geos(error: &dyn sqlx::error::DatabaseError) -> bool {
    let message = error.message();
    message.contains("GEOS") || message.contains("TopologyException")
}

/// True for a row that row-level security refuses: told by the place in PostgreSQL, since its sentences are translated.
fn is_policy(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.downcast_ref::<sqlx::postgres::PgDatabaseError>().routine() == Some("ExecWithCheckOptions")
}

fn of_constraint(error: sqlx::Error) -> Error {
    let name = match &error {
        sqlx::Error::Database(database) => database.constraint().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    if let Some((_, code, sentence)) = CONFLICTS.iter().find(|(n, ..)| *n == name) {
        return Error::conflict(code, *sentence);
    }
    if let Some((_, code, sentence)) = INVALID.iter().find(|(n, ..)| *n == name) {
        return Error::invalid(code, *sentence);
    }
    Error::internal("数据库操作失败", error)
}
