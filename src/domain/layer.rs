//! A published layer as data: what it is called, where it comes from, which properties it shows. Declared once; everything
//! that speaks of a layer (collections, parameters, schema, documentation, pages) is derived from this.

use super::access::Role;

/// A published layer.
#[derive(Debug)]
pub struct Layer {
    pub id: &'static str,
    pub title: Titles,
    pub description: Titles,
    /// The view or table that holds `feature_id`, `geom`, `valid_from`, `valid_to` and the properties as columns.
    pub relation: &'static str,
    pub properties: &'static [Property],
    /// Rows whose life has ended are shown only where `datetime` asks for them.
    pub current_only: bool,
    pub visibility: Visibility,
    /// The tables whose rows show in it, its own first: what makes its history and its changes.
    pub sources: &'static [Source],
}

/// A table of the log whose rows show in a layer.
#[derive(Debug)]
pub struct Source {
    pub table: &'static str,
    pub title: Titles,
    /// The column that the log knows a row by.
    pub id: &'static str,
    pub shows: Shows,
    /// The column with the division that decides who may see a row (`protect_by_jurisdiction`); `None` = everybody.
    pub division: Option<&'static str>,
}

/// Which features a row of a source shows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// In the feature of its own id.
    AsItself,
    /// In the feature whose id this column holds. It never changes in the life of a row, and `as_of_table` was told of it.
    InFeatureOf(&'static str),
    /// In every feature that has the row's id as this property.
    WhereProperty(&'static str),
}

/// Who may see a layer (domain.md §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Staff, and only rows of their own jurisdiction.
    Internal,
}

impl Visibility {
    /// Whether somebody of this role may know that the layer exists.
    pub fn is_for(self, role: Role) -> bool {
        match self {
            Visibility::Public => true,
            Visibility::Internal => role.reads_internal(),
        }
    }
}

/// Chinese and English.
#[derive(Debug, Clone, Copy)]
pub struct Titles {
    pub zh: &'static str,
    pub en: &'static str,
}

/// One property of a layer; `name` is the column and the JSON key.
#[derive(Debug)]
pub struct Property {
    pub name: &'static str,
    pub kind: PropertyKind,
    pub title: Titles,
    /// Unit of a number: `m2`, `ha`, `mu`.
    pub unit: Option<&'static str>,
    /// May be a query parameter (equality; membership for lists).
    pub queryable: bool,
}

impl Property {
    /// A text of a few known words or codes: several may be asked for at once, with commas between.
    pub fn is_code(&self) -> bool {
        const CODES: [&str; 16] = [
            "code",
            "level",
            "status",
            "county_code",
            "county_codes",
            "prefecture_code",
            "park_code",
            "state",
            "held_state",
            "derived_sets",
            "approval_age",
            "idle_stage",
            "plan_state",
            "end_reason",
            "land_use_code",
            "block_id",
        ];
        CODES.contains(&self.name)
    }

    /// The unit as Chinese readers write it.
    pub fn unit_zh(&self) -> Option<&'static str> {
        self.unit.map(|unit| match unit {
            "m2" => "m²",
            "ha" => "公顷",
            "mu" => "亩",
            other => other,
        })
    }

    /// The Chinese title with its unit: three areas of one name differ by nothing else.
    pub fn heading_zh(&self) -> String {
        match self.unit_zh() {
            Some(unit) => format!("{}（{unit}）", self.title.zh),
            None => self.title.zh.to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyKind {
    Text,
    TextList,
    Number,
    Integer,
    Boolean,
    /// A day without a time zone.
    Date,
    /// A moment, shown by RFC 3339 in UTC.
    DateTime,
}

impl Layer {
    /// The property that says in which division a feature lies.
    pub fn division_property(&self) -> Option<&'static str> {
        let has = |name: &str| self.properties.iter().any(|p| p.name == name);
        ["county_code", "prefecture_code"].into_iter().find(|name| has(name))
    }

    /// The queryable property of this name.
    pub fn queryable(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.queryable && p.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_layers_do_not_exist_for_the_public() {
        for role in Role::ALL {
            assert!(Visibility::Public.is_for(role));
            assert_eq!(Visibility::Internal.is_for(role), role != Role::Public, "{role:?}");
        }
    }
}
