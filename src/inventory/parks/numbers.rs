//! Numbers of blocks that come under another park: their own where nothing else ever had it, else the next whole number.

use std::collections::HashSet;

/// The numbers that a park's blocks ever had.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    used: HashSet<String>,
}

impl Numbers {
    pub fn of(used: impl IntoIterator<Item = String>) -> Self {
        Self { used: used.into_iter().collect() }
    }

    /// Takes a number that was free.
    pub fn take(&mut self, number: &str) -> bool {
        self.used.insert(number.to_owned())
    }

    /// Gives one free again, whose block ends by the event.
    pub fn release(&mut self, number: &str) {
        self.used.remove(number);
    }

    /// This number, else the next whole number after all that were used.
    pub fn give(&mut self, wanted: &str) -> String {
        if self.take(wanted) {
            return wanted.to_owned();
        }
        let highest = self.used.iter().filter_map(|n| n.parse::<u64>().ok()).max().unwrap_or(0);
        let next = (highest.saturating_add(1)..).map(|n| n.to_string()).find(|n| !self.used.contains(n));
        let next = next.unwrap_or_else(|| format!("{wanted}-2"));
        self.used.insert(next.clone());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_where_it_is_free_and_is_else_the_next() {
        let mut numbers = Numbers::of(["1", "2", "7", "东片"].map(str::to_owned));
        let given = ["1", "2", "3", "东片", "西片", "8"].map(|wanted| numbers.give(wanted));
        assert_eq!(given, ["8", "9", "3", "10", "西片", "11"]);
        numbers.release("7");
        assert_eq!(numbers.give("7"), "7");
        assert!(!numbers.take("7") && numbers.take("12"));
    }
}
