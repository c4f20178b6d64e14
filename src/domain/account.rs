//! Accounts (账号): how they are called, and which passwords they may have.

use std::fmt;

use super::access::{Jurisdiction, Role};
use super::ids::IdError;
use super::text::misleads;

/// Shortest password, in characters.
pub const PASSWORD_MIN: usize = 10;
/// Longest password, in bytes: hashing megabytes would be a gift to whoever wants to keep us busy.
pub const PASSWORD_MAX: usize = 1024;
/// The most used passwords of ten characters and more, in small letters: shorter ones are refused anyway.
const COMMON: &str = include_str!("common_passwords.txt");

/// The name that somebody logs in with: 2–32 small letters, digits, `.`, `_`, `-`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(String);

impl AccountName {
    /// Parses a name; surrounding blanks are dropped, capital letters become small.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let name = text.trim().to_ascii_lowercase();
        let sound = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
        if (2..=32).contains(&name.len()) && name.as_bytes()[0].is_ascii_lowercase() && name.bytes().all(sound) {
            Ok(Self(name))
        } else {
            Err(IdError(
                "账号名应为 2 至 32 个小写字母、数字、点、下划线或连字符，以字母开头，例如 zhang.san".to_owned(),
            ))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account or token label that people read: 1–64 characters, none of them a control character.
pub fn parse_label(text: &str) -> Result<String, IdError> {
    let label = text.trim();
    let odd = |c: char| misleads(c) || matches!(c, '\u{200C}' | '\u{200D}');
    if label.is_empty() || label.chars().count() > 64 || label.chars().any(odd) {
        return Err(IdError("名称应为 1 至 64 个字，不含控制字符".to_owned()));
    }
    Ok(label.to_owned())
}

/// Whether an account may have this password; else why not.
pub fn check_password(name: &AccountName, password: &str) -> Result<(), IdError> {
    let small = password.to_lowercase();
    let why = if password.chars().count() < PASSWORD_MIN {
        format!("密码至少 {PASSWORD_MIN} 个字符")
    } else if password.len() > PASSWORD_MAX {
        format!("密码不能超过 {PASSWORD_MAX} 字节")
    } else if password.chars().any(char::is_control) {
        "密码不能含控制字符".to_owned()
    } else if small.contains(name.as_str()) && small.chars().count() < name.as_str().len() + PASSWORD_MIN {
        // With ten characters of its own beside the name, it is as good as any.
        "密码不能由账号名加几个字符组成".to_owned()
    } else if COMMON.lines().any(|common| common == small) || is_one_pattern(&small) {
        "这个密码太常见，容易被猜到".to_owned()
    } else {
        return Ok(());
    };
    Err(IdError(why))
}

/// `aaaaaaaaaaaa`, `1212121212`: at most two different characters.
fn is_one_pattern(password: &str) -> bool {
    let mut seen: Vec<char> = password.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() <= 2
}

/// The rights that an account is to have. Administrators have them everywhere: who gives out rights needs all of them.
pub fn check_rights(role: Role, jurisdiction: &Jurisdiction) -> Result<(), IdError> {
    match (role, jurisdiction) {
        (Role::Public, _) => Err(IdError("账号的角色应为 staff、planner、editor 或 admin".to_owned())),
        (Role::Admin, Jurisdiction::Divisions(_)) => {
            Err(IdError("管理员的管辖范围是全部，不能限定行政区划".to_owned()))
        }
        (_, Jurisdiction::Divisions(own)) if own.is_empty() => {
            Err(IdError("请给出管辖范围：一个或多个 6 位行政区划代码，或 * 表示全部".to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts() {
        for (text, expected) in [
            ("zhang", Some("zhang")),
            (" Zhang.San-2 ", Some("zhang.san-2")),
            ("z", None),
            ("2zhang", None),
            ("张三", None),
            ("zhang san", None),
            ("zhang/san", None),
            (&"a".repeat(32), Some("a".repeat(32).as_str())),
            (&"a".repeat(33), None),
            ("", None),
        ] {
            assert_eq!(AccountName::parse(text).ok().as_ref().map(AccountName::as_str), expected, "{text}");
        }
    }

    #[test]
    fn passwords_that_are_refused() {
        let name = AccountName::parse("zhangsan").expect("name");
        for (password, allowed) in [
            ("湘江北去橘子洲头独立寒秋", true),
            ("correct horse battery", true),
            ("zhangsan-of-changsha-county", true),
            ("ninechars", false),
            ("Zhangsan2026", false),
            ("2026ZHANGSAN", false),
            ("1234567890", false),
            ("PASSWORD123", false),
            ("qwertyuiop", false),
            ("aaaaaaaaaaaaaaaa", false),
            ("abababababab", false),
            ("with\ttab in it", false),
            (&"长".repeat(400), false),
        ] {
            assert_eq!(check_password(&name, password).is_ok(), allowed, "{password}");
        }
    }

    #[test]
    fn the_list_of_common_passwords_is_whole() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 100, "{}", lines.len());
        for line in &lines {
            assert!(line.chars().count() >= PASSWORD_MIN && *line == line.trim().to_lowercase(), "{line}");
        }
    }

    #[test]
    fn labels_without_tricks() {
        assert_eq!(parse_label(" 长沙县 局 ").as_deref(), Ok("长沙县 局"));
        for bad in ["", "  ", "a\nb", "a\u{202e}b", &"长".repeat(65)] {
            assert!(parse_label(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rights_that_fit_together() {
        let changsha = Jurisdiction::parse(&["430100".to_owned()]).expect("code");
        for (role, jurisdiction, fits) in [
            (Role::Admin, &Jurisdiction::Everywhere, true),
            (Role::Admin, &changsha, false),
            (Role::Editor, &changsha, true),
            (Role::Staff, &Jurisdiction::Everywhere, true),
            (Role::Staff, &Jurisdiction::NOWHERE, false),
            (Role::Public, &changsha, false),
        ] {
            assert_eq!(check_rights(role, jurisdiction).is_ok(), fits, "{role:?} {jurisdiction:?}");
        }
    }
}
