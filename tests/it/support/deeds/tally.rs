//! Which deeds are drawn, and what became of them.

use std::collections::BTreeMap;

use super::{DEEDS, Deed, Desk};
use crate::support::edits::Dice;

/// Rounds of deeds beyond the bags.
const MAKE_UP: usize = 100;

/// Deeds drawn from a bag of a hundred, so that a history of some length has all of them, whatever the dice say.
#[derive(Default)]
pub struct Bag(Vec<Deed>);

impl Bag {
    pub fn draw(&mut self, dice: &mut Dice) -> Deed {
        if self.0.is_empty() {
            self.0 = DEEDS.iter().flat_map(|&(deed, many, _)| std::iter::repeat_n(deed, many)).collect();
        }
        let at = dice.roll(self.0.len() as u64) as usize;
        self.0.swap_remove(at)
    }
}

/// What was done and what was refused.
#[derive(Debug, Default)]
pub struct Tally {
    done: BTreeMap<Deed, usize>,
    refused: BTreeMap<(Deed, u16, String), usize>,
}

impl Tally {
    /// Does one deed; whether it was done.
    pub fn act(&mut self, desk: &Desk, deed: Deed, dice: &mut Dice) -> bool {
        let outcome = desk.act(deed, dice);
        let done = outcome.is_ok();
        match outcome {
            Ok(()) => *self.done.entry(deed).or_default() += 1,
            Err((status, code)) => *self.refused.entry((deed, status, code)).or_default() += 1,
        }
        done
    }

    pub fn add(&mut self, other: Tally) {
        other.done.into_iter().for_each(|(deed, n)| *self.done.entry(deed).or_default() += n);
        other.refused.into_iter().for_each(|(key, n)| *self.refused.entry(key).or_default() += n);
    }

    /// Deeds that were done: each is one revision, and a refused one is none.
    pub fn done(&self) -> usize {
        self.done.values().sum()
    }

    fn tried(&self, deed: Deed) -> usize {
        let refused = self.refused.iter().filter(|((of, ..), _)| *of == deed);
        self.done_of(deed) + refused.map(|(_, n)| n).sum::<usize>()
    }

    /// Goes on where the dice left a kind of deed too seldom done: that one, and any other in between. Bounded; what is lacking
    /// then is told by [`Tally::assert_told_all`].
    pub fn make_up(&mut self, desk: &Desk, dice: &mut Dice, bags: usize) {
        let mut bag = Bag::default();
        for _ in 0..MAKE_UP {
            let Some((deed, ..)) = DEEDS.into_iter().find(|(deed, _, floor)| self.done_of(*deed) * 4 < floor * bags)
            else {
                return;
            };
            self.act(desk, deed, dice);
            let other = bag.draw(dice);
            self.act(desk, other, dice);
        }
    }

    fn done_of(&self, deed: Deed) -> usize {
        self.done.get(&deed).copied().unwrap_or(0)
    }

    /// Every kind of deed was tried and done often enough for so many bags of a hundred.
    #[track_caller]
    pub fn assert_told_all(&self, bags: usize, what: &str) {
        eprintln!("{self:?}");
        for (deed, many, floor) in DEEDS {
            let (tried, done) = (self.tried(deed), self.done_of(deed));
            assert!(tried >= many * bags, "{what}: {deed:?} was tried {tried} times in {bags} bags: {self:?}");
            assert!(done * 4 >= floor * bags, "{what}: few {deed:?}, {done} of {tried}: {self:?}");
        }
    }
}
