//! How many requests one address, and one token or login, may make: so that a program that has gone mad does not take the service from
//! everybody else.
//!
//! A fixed table of cells, each the moment up to which its requests are paid for (GCRA): one compare-and-swap a request, no lock,
//! and no memory that a stranger could fill. Two that meet in one cell share its allowance; which those are nobody can foretell.
//! Never: a decision about who may do what.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_web::dev::ServiceRequest;
use actix_web::http::header;
use actix_web::{HttpRequest, web};

use super::auth;
use super::problem::Problem;
use super::state::State;
use crate::error::Error;

/// 512 kB; with ten thousand clients at once one in seven shares its cell.
const CELLS: usize = 1 << 16;
/// What was saved up may be spent at once: a map that opens asks for hundreds of tiles.
const BURST_SECONDS: u64 = 5;

/// The allowances of all clients of this process.
pub struct Allowances {
    /// Made when the first client is counted.
    cells: OnceLock<Box<[AtomicU64]>>,
    /// With a key of its own, so that nobody can choose whose cell to fill.
    hasher: RandomState,
    begun: Instant,
    /// Microseconds that one request is paid with; 0 = no limit.
    price: u64,
}

impl std::fmt::Debug for Allowances {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Allowances").field("price", &self.price).finish_non_exhaustive()
    }
}

impl Allowances {
    /// So many requests a second of one client; 0 = no limit.
    pub fn new(per_second: u32) -> Self {
        let price = if per_second == 0 { 0 } else { (1_000_000 / u64::from(per_second)).max(1) };
        Self { cells: OnceLock::new(), hasher: RandomState::new(), begun: Instant::now(), price }
    }

    /// Pays for one request of this client at this moment; where its allowance is spent, the microseconds until it has one again.
    fn pay(&self, client: impl Hash, now: u64) -> Result<(), u64> {
        if self.price == 0 {
            return Ok(());
        }
        let cells = self.cells.get_or_init(|| (0..CELLS).map(|_| AtomicU64::new(0)).collect());
        let cell = &cells[self.hasher.hash_one(client) as usize % CELLS];
        let after = |paid: u64| paid.max(now) + self.price;
        let most = now + BURST_SECONDS * 1_000_000;
        let paid =
            cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(after(paid)).filter(|a| *a <= most));
        paid.map(drop).map_err(|paid| after(paid) - most)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The refusal of a request that is above the allowance. Whether the service lives, and how it stands, is always told.
pub fn refusal(request: &ServiceRequest) -> Option<Problem> {
    match request.app_data::<web::Data<State>>() {
        Some(state) if !matches!(request.path(), "/livez" | "/readyz" | "/metrics") => refuse(request.request(), state),
        _ => None,
    }
}

fn refuse(request: &HttpRequest, state: &State) -> Option<Problem> {
    let allowances = &state.allowances;
    if allowances.price == 0 {
        return None;
    }
    let (address, now) = (counted_address(request, state)?, allowances.now());
    let by_address = allowances.pay(address, now);
    let by_credential = credential(request).map_or(Ok(()), |credential| allowances.pay(credential, now));
    let wait = by_address.and(by_credential).err()?;
    let retry_after_s = wait.div_ceil(1_000_000).max(1);
    let detail = format!("请求过于频繁；请在 {retry_after_s} 秒后重试，或减小并发");
    Some(Error::Throttled { code: "rate_limited", detail, retry_after_s }.into())
}

/// The token or the login, whatever else is in the headers: a cookie more makes nobody another.
fn credential(request: &HttpRequest) -> Option<String> {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.split_once(' ')).map(|(_, token)| token.trim().to_owned());
    token.or_else(|| auth::session_cookie(request))
}

/// The client's address; of IPv6 its network, which one client has whole. None for a peer on this machine that names no other: a proxy
/// that hides its clients, who must not pay for each other, or the operator's own tools.
fn counted_address(request: &HttpRequest, state: &State) -> Option<IpAddr> {
    let address = auth::address_of(request, state)?;
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// How many of `tries` requests at this moment are let through.
    fn through(allowances: &Allowances, client: &str, now: u64, tries: usize) -> usize {
        (0..tries).filter(|_| allowances.pay(client, now).is_ok()).count()
    }

    #[test]
    fn five_seconds_worth_at_once_and_then_as_many_as_come_back() {
        let allowances = Allowances::new(100);
        let start = 7 * SECOND;
        assert_eq!(through(&allowances, "a", start, 2_000), 500);
        assert_eq!(allowances.pay("a", start), Err(SECOND / 100));
        assert_eq!(through(&allowances, "b", start, 20), 20, "another pays for himself");
        assert_eq!(through(&allowances, "a", start + SECOND, 2_000), 100);
        assert_eq!(through(&allowances, "a", start + 3 * SECOND / 2, 2_000), 50);
        assert_eq!(through(&allowances, "a", start + 100 * SECOND, 2_000), 500, "no more is saved up");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let allowances = Allowances::new(0);
        assert_eq!(through(&allowances, "a", 0, 10_000), 10_000);
        assert!(allowances.cells.get().is_none(), "nor kept");
    }

    #[test]
    fn what_strangers_fill_is_spread_thin() {
        let allowances = Allowances::new(100);
        for stranger in 0..200_000_u32 {
            assert_eq!(allowances.pay(stranger, SECOND), Ok(()), "each is new");
        }
        // Three strangers a cell in the middle: nobody is refused for them.
        assert_eq!(through(&allowances, "a", SECOND, 400), 400);
    }

    #[test]
    fn many_at_once_are_counted_each() {
        let allowances = Allowances::new(100);
        let through: usize = std::thread::scope(|scope| {
            let work = || scope.spawn(|| through(&allowances, "a", SECOND, 1_000));
            (0..4).map(|_| work()).collect::<Vec<_>>().into_iter().map(|t| t.join().expect("joined")).sum()
        });
        assert_eq!(through, 500);
    }
}
