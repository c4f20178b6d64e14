//! What the register says of parks and divisions, for the words of papers.

use std::collections::HashMap;

use crate::domain::{DivisionCode, ParkCode};

/// What the register says of parks and divisions.
pub(super) struct Gazetteer {
    /// Park code → its counties.
    parks: HashMap<String, Vec<String>>,
    park_by_name: HashMap<String, String>,
    /// County code, as accepted on input → the real one.
    divisions: HashMap<String, String>,
    /// Name → code; `None` where two counties share it.
    division_by_name: HashMap<String, Option<String>>,
}

impl Gazetteer {
    /// `parks`: code, names, counties; `divisions`: code, name, the code that it stands for.
    pub(super) fn new(
        parks: Vec<(String, Vec<String>, Vec<String>)>,
        divisions: Vec<(String, String, Option<String>)>,
    ) -> Self {
        let mut division_by_name = HashMap::new();
        for (code, name, maps_to) in &divisions {
            let real = maps_to.clone().unwrap_or_else(|| code.clone());
            division_by_name
                .entry(name.clone())
                .and_modify(|held: &mut Option<String>| {
                    if held.as_ref() != Some(&real) {
                        *held = None;
                    }
                })
                .or_insert(Some(real));
        }
        Self {
            park_by_name: parks
                .iter()
                .flat_map(|(code, names, _)| names.iter().map(move |name| (name.clone(), code.clone())))
                .collect(),
            parks: parks.into_iter().map(|(code, _, counties)| (code, counties)).collect(),
            divisions: divisions
                .into_iter()
                .map(|(code, _, maps_to)| (code.clone(), maps_to.unwrap_or(code)))
                .collect(),
            division_by_name,
        }
    }

    /// The real county of a code or a name, if the register knows exactly one.
    pub(super) fn division(&self, text: &str) -> Option<DivisionCode> {
        // Land is numbered by counties; a prefecture would hide it from them.
        self.any_division(text).filter(DivisionCode::is_county)
    }

    /// The real division of a code or a name, of whatever level.
    pub(super) fn any_division(&self, text: &str) -> Option<DivisionCode> {
        let by_code = DivisionCode::parse(text).ok().and_then(|code| self.divisions.get(code.as_str()).cloned());
        let code = by_code.or_else(|| self.division_by_name.get(text.trim()).cloned().flatten())?;
        DivisionCode::parse(&code).ok()
    }

    /// Whether the division is in the table, by whatever code is accepted.
    pub(super) fn knows(&self, division: &DivisionCode) -> bool {
        self.divisions.contains_key(division.as_str())
    }

    /// The counties that the park of this code lies in.
    pub(super) fn counties_of(&self, park: &str) -> Option<&[String]> {
        self.parks.get(park).map(Vec::as_slice)
    }

    /// The park's code by code or name.
    pub(super) fn park(&self, text: &str) -> Option<String> {
        let by_code = ParkCode::parse(text).ok().map(|c| c.to_string()).filter(|code| self.parks.contains_key(code));
        by_code.or_else(|| self.park_by_name.get(text.trim()).cloned())
    }
}
