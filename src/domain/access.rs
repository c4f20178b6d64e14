//! Who asks: role (角色) and jurisdiction (管辖范围). The handler and the database (row-level security) go by the same.

use super::DivisionCode;
use super::ids::IdError;

/// Stands for all divisions.
const EVERYWHERE: &str = "*";

/// What somebody may do; each role may do what the ones before it may, but for `Planner`, who reads and checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// 公众: parks, directory, aggregates.
    Public,
    /// 查询人员: reads the ledgers of the own jurisdiction.
    Staff,
    /// 规划人员: reads like staff, and checks boundaries.
    Planner,
    /// 编辑人员: writes in the own jurisdiction.
    Editor,
    /// 管理员: everything, accounts too.
    Admin,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Public, Role::Staff, Role::Planner, Role::Editor, Role::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Public => "public",
            Role::Staff => "staff",
            Role::Planner => "planner",
            Role::Editor => "editor",
            Role::Admin => "admin",
        }
    }

    /// 公众, 查询人员, 规划人员, 编辑人员, 管理员.
    pub fn label(self) -> &'static str {
        match self {
            Role::Public => "公众",
            Role::Staff => "查询人员",
            Role::Planner => "规划人员",
            Role::Editor => "编辑人员",
            Role::Admin => "管理员",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text || role.label() == text)
    }

    /// What both may do: planners and editors have in common that they read.
    pub fn meet(self, other: Role) -> Role {
        match (self, other) {
            (Role::Public, _) | (_, Role::Public) => Role::Public,
            (Role::Admin, role) | (role, Role::Admin) => role,
            (a, b) if a == b => a,
            _ => Role::Staff,
        }
    }

    /// May see the internal layers, as far as the jurisdiction goes.
    pub fn reads_internal(self) -> bool {
        self != Role::Public
    }

    /// May check boundaries and say what is to be done about the findings.
    pub fn checks_boundaries(self) -> bool {
        matches!(self, Role::Planner | Role::Editor | Role::Admin)
    }

    /// May write, as far as the jurisdiction goes.
    pub fn writes(self) -> bool {
        matches!(self, Role::Editor | Role::Admin)
    }
}

/// The divisions somebody is responsible for: a record belongs to it by the significant digits of its county's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jurisdiction {
    /// No bounds.
    Everywhere,
    /// These divisions and all below them; none = nothing.
    Divisions(Vec<DivisionCode>),
}

impl Jurisdiction {
    pub const NOWHERE: Jurisdiction = Jurisdiction::Divisions(Vec::new());

    /// Whether a record of this division lies in it.
    pub fn covers(&self, division: &DivisionCode) -> bool {
        match self {
            Jurisdiction::Everywhere => true,
            Jurisdiction::Divisions(own) => own.iter().any(|d| division.as_str().starts_with(d.prefix())),
        }
    }

    /// [`Jurisdiction::covers`] of a code as text; what is no code lies in none but everywhere.
    pub fn covers_code(&self, division: &str) -> bool {
        *self == Jurisdiction::Everywhere || DivisionCode::parse(division).is_ok_and(|code| self.covers(&code))
    }

    /// Of codes as an account's record has them: `*` alone is everywhere.
    pub fn parse(codes: &[String]) -> Result<Self, IdError> {
        if matches!(codes, [all] if all.trim() == EVERYWHERE) {
            return Ok(Jurisdiction::Everywhere);
        }
        let mut divisions = Vec::new();
        for code in codes {
            if code.trim() == EVERYWHERE {
                return Err(IdError("“*”表示全部范围，不能与行政区划代码并列".to_owned()));
            }
            let code = DivisionCode::parse(code)?;
            if !divisions.contains(&code) {
                divisions.push(code);
            }
        }
        Ok(Jurisdiction::Divisions(divisions))
    }

    /// The codes that [`Jurisdiction::parse`] reads.
    pub fn codes(&self) -> Vec<String> {
        match self {
            Jurisdiction::Everywhere => vec![EVERYWHERE.to_owned()],
            Jurisdiction::Divisions(own) => own.iter().map(|code| code.as_str().to_owned()).collect(),
        }
    }

    /// What lies in both.
    pub fn meet(&self, other: &Jurisdiction) -> Jurisdiction {
        let (own, others) = match (self, other) {
            (Jurisdiction::Everywhere, narrow) | (narrow, Jurisdiction::Everywhere) => return narrow.clone(),
            (Jurisdiction::Divisions(own), Jurisdiction::Divisions(others)) => (own, others),
        };
        // Divisions lie within each other or apart.
        let inner = own.iter().filter(|code| other.covers(code)).chain(others.iter().filter(|code| self.covers(code)));
        let mut both: Vec<DivisionCode> = Vec::new();
        inner.for_each(|code| {
            if !both.contains(code) {
                both.push(code.clone());
            }
        });
        Jurisdiction::Divisions(both)
    }

    /// Whether all of it lies in `other`.
    pub fn is_within(&self, other: &Jurisdiction) -> bool {
        match self {
            Jurisdiction::Everywhere => *other == Jurisdiction::Everywhere,
            Jurisdiction::Divisions(own) => own.iter().all(|code| other.covers(code)),
        }
    }

    /// As the database reads it (`sizhi.jurisdiction`): `*`, or the significant digits joined by commas.
    pub fn setting(&self) -> String {
        match self {
            Jurisdiction::Everywhere => "*".to_owned(),
            Jurisdiction::Divisions(own) => own.iter().map(DivisionCode::prefix).collect::<Vec<_>>().join(","),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// For the revision log: `account:zhang`, `token:map-sync`, `cli:root`; empty for the public.
    pub actor: String,
    pub role: Role,
    pub jurisdiction: Jurisdiction,
}

impl Viewer {
    /// Somebody who has not said who they are.
    pub fn public() -> Self {
        Self { actor: String::new(), role: Role::Public, jurisdiction: Jurisdiction::NOWHERE }
    }

    /// The operator at the machine itself, or whoever holds the administrator's token.
    pub fn operator(actor: &str) -> Self {
        Self { actor: actor.to_owned(), role: Role::Admin, jurisdiction: Jurisdiction::Everywhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> DivisionCode {
        DivisionCode::parse(text).expect("code")
    }

    #[test]
    fn a_jurisdiction_covers_what_lies_below_it() {
        let changsha = Jurisdiction::Divisions(vec![code("430100")]);
        for (division, expected) in [("430102", true), ("430100", true), ("430202", false), ("430000", false)] {
            assert_eq!(changsha.covers(&code(division)), expected, "{division}");
            assert_eq!(changsha.covers_code(division), expected, "{division}");
            assert!(Jurisdiction::Everywhere.covers(&code(division)));
            assert!(!Jurisdiction::NOWHERE.covers(&code(division)));
        }
        assert!(!changsha.covers_code("长沙") && Jurisdiction::Everywhere.covers_code("长沙"));
        assert_eq!(changsha.setting(), "4301");
        let two = Jurisdiction::Divisions(vec![code("430102"), code("430000")]);
        assert_eq!((two.setting().as_str(), Jurisdiction::NOWHERE.setting().as_str()), ("430102,43", ""));
    }

    #[test]
    fn a_token_has_what_it_and_its_account_have_in_common() {
        for (a, b, both) in [
            (Role::Admin, Role::Editor, Role::Editor),
            (Role::Editor, Role::Planner, Role::Staff),
            (Role::Staff, Role::Planner, Role::Staff),
            (Role::Planner, Role::Planner, Role::Planner),
            (Role::Public, Role::Admin, Role::Public),
        ] {
            assert_eq!((a.meet(b), b.meet(a)), (both, both));
        }
        let of = |codes: &[&str]| {
            Jurisdiction::parse(&codes.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()).expect("jurisdiction")
        };
        for (a, b, both) in [
            (of(&["*"]), of(&["430100"]), of(&["430100"])),
            (of(&["430000"]), of(&["430102", "430200"]), of(&["430102", "430200"])),
            (of(&["430100"]), of(&["430200"]), Jurisdiction::NOWHERE),
            (of(&["430100", "430201"]), of(&["430102", "430200"]), of(&["430201", "430102"])),
        ] {
            assert_eq!(a.meet(&b), both);
            assert!(both.is_within(&a) && both.is_within(&b));
            assert!(b.meet(&a).is_within(&both) && both.is_within(&b.meet(&a)));
        }
        assert!(!of(&["*"]).is_within(&of(&["430000"])));
        assert!(Jurisdiction::parse(&["*".to_owned(), "430100".to_owned()]).is_err());
    }
}
