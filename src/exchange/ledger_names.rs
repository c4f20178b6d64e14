//! What the files of bureaus call the fields of the ledgers: beside each field's own name and Chinese title, pinyin initials of survey
//! forms (domain.md §6) and other words seen.

use crate::domain::Ledger;

/// What every parcel has beyond its ledger's fields: canonical name, Chinese title, other words.
pub(super) const COMMON: [(&str, &str, &[&str]); 4] = [
    ("state", "状态", &["state", "状态", "地块状态", "用地状态", "供应状态", "状态代码", "dkzt", "ydzt", "zt"]),
    ("held_state", "原状态", &["held_state", "原状态"]),
    ("state_on", "状态日期", &["state_on", "状态日期", "状态时间", "ztrq"]),
    ("parcel_no", "地块编号", &["parcel_id", "所属地块", "关联地块"]),
];

/// Words beyond name and title, field by field.
fn words(ledger: Ledger) -> &'static [(&'static str, &'static [&'static str])] {
    match ledger {
        Ledger::Turnover => &TURNOVER,
        Ledger::LowEfficiency => &LOW_EFFICIENCY,
        Ledger::Plan => &PLAN,
    }
}

const TURNOVER: [(&str, &[&str]); 35] = [
    ("location", &["zl", "位置", "地址"]),
    ("land_use_system", &["地类分类标准"]),
    ("land_use_code", &["地类代码", "dlbm", "dldm", "地类"]),
    ("planned_use", &["用途", "土地用途", "地块用途", "dkyt", "ghyt", "yt", "规划土地用途", "land_use"]),
    ("batch_name", &["批次", "批次名", "pcmc", "项目名称"]),
    ("approval_year", &["批准年度", "年度", "pznd"]),
    ("approval_doc_city", &["市批文号", "市级批准文号"]),
    ("approval_doc_province", &["省批文号", "省级批准文号", "批准文号", "批文号", "文号", "pzwh"]),
    ("approved_on", &["批准时间", "批文日期", "批复日期", "pzsj", "pzrq"]),
    ("approved_area_m2", &["pzmj", "批复面积", "approved_area", "approved_area_ha", "approved_area_mu"]),
    ("new_construction_area_m2", &["新增面积", "xzmj", "新增建设用地"]),
    ("approval_kind", &["批准类型", "报批方式"]),
    ("acquired_area_m2", &["已征收面积", "征收面积", "yzmj"]),
    ("not_demolished_area_m2", &["未拆面积", "wcqmj"]),
    ("compensation_done", &["是否补偿到位", "补偿是否到位"]),
    ("site_condition", &["土地条件", "供地条件", "三通一平", "是否净地"]),
    ("planned_supply_on", &["计划供地时间", "拟供地时间"]),
    ("supply_mode", &["供应方式", "拟供地方式", "计划供地方式", "出让方式", "gdfs", "gyfs"]),
    ("target_industry", &["拟引进产业", "产业类型", "产业方向"]),
    ("contract_no", &["合同号", "合同编号", "出让合同编号", "hth", "htbh"]),
    ("supervision_no", &["监管号", "dzjgh"]),
    ("land_user", &["受让人", "使用权人", "土地使用权人", "用地企业", "企业名称", "ydr", "srr", "用地者"]),
    ("price_10k_yuan", &["成交价", "成交价格", "出让价款", "土地价款", "成交价款(万元)", "成交价(万元)"]),
    ("supplied_area_m2", &["供应面积", "已供面积", "出让面积", "gdmj", "gymj", "crmj"]),
    ("signed_on", &["签订时间", "合同签订日期", "合同签订时间", "签约日期", "qdrq", "供地日期", "供应日期"]),
    ("agreed_delivery_on", &["约定交地时间", "ydjdsj"]),
    ("delivered_on", &["交地日期", "交地时间", "实际交地时间", "jdsj"]),
    ("agreed_start_on", &["约定开工时间", "约定动工日期", "约定动工时间", "ydkgsj", "ydkgrq"]),
    ("started_on", &["实际开工时间", "开工日期", "开工时间", "动工日期", "sjkgsj", "sjkgrq"]),
    ("agreed_finish_on", &["约定竣工时间", "ydjgsj", "ydjgrq"]),
    ("finished_on", &["实际竣工时间", "竣工日期", "竣工时间", "sjjgsj", "sjjgrq"]),
    ("started_area_m2", &["动工面积", "已开工面积", "已建面积"]),
    ("registered_area_m2", &["djmj", "证载面积", "发证面积"]),
    ("title_no", &["bdcqz", "不动产权证", "土地证号", "产权证号"]),
    ("note", &["bz", "说明", "remark"]),
];

/// Zhejiang's survey form by its pinyin names.
const LOW_EFFICIENCY: [(&str, &[&str]); 42] = [
    ("survey_unit_no", &["dcdybh"]),
    ("survey_area_no", &["dcqbh"]),
    ("town", &["xzmc", "乡镇", "街道", "乡镇名称"]),
    ("location", &["zl", "位置", "地址"]),
    ("use_state", &["syzk", "使用状况"]),
    ("is_low_efficiency", &["sfdx"]),
    ("low_efficiency_kind", &["低效类别", "dxlx"]),
    ("land_use_code", &["xzdl", "地类编码", "地类代码", "dlbm", "dldm"]),
    ("current_use", &["xzyt", "用途", "土地用途", "地块用途", "land_use"]),
    ("industry", &["cylx", "行业", "产业"]),
    ("ownership", &["qsxz"]),
    ("used_since_on", &["ydsj", "用地日期"]),
    ("production_stopped", &["停产"]),
    ("planned_use", &["ghyt"]),
    ("redevelopment_mode", &["gzms", "再开发模式"]),
    ("redevelopment_progress", &["gzjz"]),
    ("in_village_renewal", &["sfczc"]),
    ("legacy_area_m2", &["qzlsylydmj"]),
    ("owner", &["cqr", "权利人", "使用权人", "土地使用权人", "企业名称"]),
    ("title_no", &["bdcqz", "不动产权证", "土地证号", "产权证号"]),
    ("registered_on", &["djsj", "登记日期"]),
    ("registered_area_m2", &["djmj", "证载面积"]),
    ("registered_use", &["djyt"]),
    ("right_type", &["syqlx"]),
    ("approval_doc", &["pzwh", "批文号", "文号"]),
    ("approved_on", &["pzsj", "批准日期"]),
    ("approved_area_m2", &["pzmj"]),
    ("approved_use", &["pzyt"]),
    ("penalty_no", &["cfwh"]),
    ("floor_area_ratio", &["rjl"]),
    ("building_density", &["jzmd", "建筑密度(%)"]),
    ("fixed_investment_per_ha", &["djgdzctz", "地均固定资产投资(万元/公顷)"]),
    ("tax_per_ha", &["djrksj", "地均入库税金", "地均税收(万元/公顷)"]),
    ("output_per_ha", &["地均产值", "地均产出(万元/公顷)"]),
    ("environment", &["hjzk"]),
    ("services", &["jcssptsp", "基础设施配套水平"]),
    ("criteria_year", &["认定年份", "标准年份"]),
    ("verified_on", &["核实时间"]),
    ("publicised_on", &["公示时间"]),
    ("recognised_on", &["认定时间"]),
    ("recognition_doc", &["认定文件"]),
    ("note", &["bz", "说明", "remark"]),
];

const PLAN: [(&str, &[&str]); 5] = [
    ("mode", &["改造模式", "再开发模式", "gzms"]),
    ("planned_use", &["ghyt"]),
    ("implementer", &["实施主体类型"]),
    ("approval_doc", &["批文号"]),
    ("note", &["bz", "说明", "remark"]),
];

/// Every name that a field of the ledger goes by, with the field: its own, its Chinese title, other words for it. An earlier one counts
/// before a later.
pub(super) fn names(ledger: Ledger) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = ledger.fields().iter().flat_map(|field| [(field.name, field.name), (field.title.zh, field.name)]);
    own.chain(words(ledger).iter().flat_map(|(field, words)| words.iter().map(|word| (*word, *field))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_claimed_once_and_by_a_field() {
        for ledger in Ledger::ALL {
            let mut seen = std::collections::HashMap::new();
            let common = COMMON.iter().flat_map(|(name, _, words)| words.iter().map(move |w| (*w, *name)));
            let own = ledger.fields().iter().flat_map(|f| [(f.name, f.name), (f.title.zh, f.name)]);
            let others = words(ledger).iter().flat_map(|(name, words)| words.iter().map(move |w| (*w, *name)));
            for (word, name) in common.chain(own).chain(others) {
                if let Some(other) = seen.insert(word.to_owned(), name) {
                    panic!("{ledger:?}: “{word}” is claimed by {other} and {name}");
                }
            }
            for (name, _) in words(ledger) {
                assert!(ledger.field(name).is_some(), "{ledger:?}: {name} is no field");
            }
        }
    }
}
