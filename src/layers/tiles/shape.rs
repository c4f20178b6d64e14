//! Lines and rings on a tile's grid: fewer places, no spikes, the direction that the specification asks for.
//!
//! The rule for what neighbours share: a vertex is snapped by itself, and dropped only where it lies within [`TOLERANCE`] of what
//! stays. Both sides of a border are within that of the snapped border, so a gap between them is never wider than one unit,
//! a sixteenth of a pixel.

use super::projection::Place;

/// How far a vertex that is dropped may lie from what stays, in units.
const TOLERANCE: f64 = 0.5;
/// Vertices that are this many units apart, on average, are not looked at: too few would go.
const SPACING: f64 = 8.0;

/// What thinning works with, kept from shape to shape.
#[derive(Debug, Default)]
pub struct Thinner {
    kept: Vec<bool>,
    open: Vec<(usize, usize)>,
}

impl Thinner {
    /// Drops vertices of a ring (not closed).
    pub fn ring(&mut self, ring: &mut Vec<Place>) {
        if ring.len() < 4 || !is_dense(ring) {
            return;
        }
        let first = ring[0];
        let far = (1..ring.len()).max_by(|a, b| distance2(ring[*a], first).total_cmp(&distance2(ring[*b], first)));
        let Some(far) = far else { return };
        ring.push(first);
        let last = ring.len() - 1;
        self.thin(ring, &[(0, far), (far, last)]);
        ring.pop();
    }

    /// Drops vertices of a line.
    pub fn line(&mut self, line: &mut Vec<Place>) {
        if line.len() >= 3 && is_dense(line) {
            let last = line.len() - 1;
            self.thin(line, &[(0, last)]);
        }
    }

    /// Douglas and Peucker, between the given ends.
    fn thin(&mut self, places: &mut Vec<Place>, spans: &[(usize, usize)]) {
        self.kept.clear();
        self.kept.resize(places.len(), false);
        self.open.clear();
        for (from, to) in spans {
            self.kept[*from] = true;
            self.kept[*to] = true;
            self.open.push((*from, *to));
        }
        while let Some((from, to)) = self.open.pop() {
            if let Some(farthest) = farthest(places, from, to) {
                self.kept[farthest] = true;
                self.open.push((from, farthest));
                self.open.push((farthest, to));
            }
        }
        let mut kept = self.kept.iter();
        places.retain(|_| kept.next().copied().unwrap_or(true));
    }
}

fn is_dense(places: &[Place]) -> bool {
    let (mut low, mut high) = (places[0], places[0]);
    for p in places {
        low = [low[0].min(p[0]), low[1].min(p[1])];
        high = [high[0].max(p[0]), high[1].max(p[1])];
    }
    let around = 2.0 * (high[0] - low[0] + high[1] - low[1]);
    around < SPACING * places.len() as f64
}

fn distance2(a: Place, b: Place) -> f64 {
    let (x, y) = (a[0] - b[0], a[1] - b[1]);
    x * x + y * y
}

/// The vertex between the two that lies farthest from the line between them, if it lies too far.
fn farthest(places: &[Place], from: usize, to: usize) -> Option<usize> {
    let (a, b) = (places[from], places[to]);
    let (x, y) = (b[0] - a[0], b[1] - a[1]);
    let length2 = x * x + y * y;
    let inverse = if length2 > 0.0 { 1.0 / length2 } else { 0.0 };
    let mut worst = (TOLERANCE * TOLERANCE, None);
    for (at, p) in places.iter().enumerate().take(to).skip(from + 1) {
        let (u, v) = (p[0] - a[0], p[1] - a[1]);
        let along = u * x + v * y;
        let away = if along <= 0.0 {
            u * u + v * v
        } else if along >= length2 {
            distance2(*p, b)
        } else {
            let across = u * y - v * x;
            across * across * inverse
        };
        if away > worst.0 {
            worst = (away, Some(at));
        }
    }
    worst.1
}

/// Drops repeated vertices, vertices on a straight line, and spikes, which have no area; fewer than three are none.
pub fn clean_ring(ring: &mut Vec<Place>) {
    let mut length = 0;
    for at in 0..ring.len() {
        let place = ring[at];
        // Written over what was read: never more is kept than was seen.
        loop {
            if length > 0 && ring[length - 1] == place {
                break;
            }
            if length > 1 && is_straight(ring[length - 2], ring[length - 1], place) {
                length -= 1;
                continue;
            }
            ring[length] = place;
            length += 1;
            break;
        }
    }
    // The same around the start.
    let mut start = 0;
    while length - start >= 3 {
        let [first, last] = [ring[start], ring[length - 1]];
        if first == last || is_straight(ring[length - 2], last, first) {
            length -= 1;
        } else if is_straight(last, first, ring[start + 1]) {
            start += 1;
        } else {
            break;
        }
    }
    ring.truncate(length);
    ring.drain(..start);
    if ring.len() < 3 {
        ring.clear();
    }
}

fn is_straight(a: Place, b: Place, c: Place) -> bool {
    (b[0] - a[0]) * (c[1] - b[1]) == (b[1] - a[1]) * (c[0] - b[0])
}

/// Twice the area; positive where the ring runs clockwise on the screen, as outer rings must (MVT 2.1, 4.3.4.4).
pub fn area2(ring: &[Place]) -> f64 {
    let Some(mut from) = ring.last().copied() else { return 0.0 };
    // From the first vertex: small products, exact.
    let [x0, y0] = ring[0];
    let mut sum = 0.0;
    for to in ring {
        sum += (from[0] - x0) * (to[1] - y0) - (to[0] - x0) * (from[1] - y0);
        from = *to;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(places: &[Place]) -> Vec<Place> {
        let mut ring = places.to_vec();
        clean_ring(&mut ring);
        ring
    }

    #[test]
    fn spikes_and_what_has_no_area_go() {
        let square = [[0.0, 0.0], [8.0, 0.0], [8.0, 8.0], [0.0, 8.0]];
        assert_eq!(cleaned(&square), square);
        let spiked = [
            [0.0, 0.0],
            [4.0, 0.0],
            [4.0, -5.0],
            [4.0, -9.0],
            [4.0, 0.0],
            [8.0, 0.0],
            [8.0, 8.0],
            [8.0, 8.0],
            [0.0, 8.0],
        ];
        assert_eq!(cleaned(&spiked), square);
        // The spike is where the ring begins.
        let mut turned = spiked;
        for _ in 0..spiked.len() {
            turned.rotate_left(1);
            assert_eq!((cleaned(&turned).len(), area2(&cleaned(&turned)).abs()), (4, 128.0), "{turned:?}");
        }
        for nothing in [
            &[][..],
            &[[1.0, 1.0]],
            &[[0.0, 0.0], [5.0, 5.0]],
            &[[0.0, 0.0], [5.0, 5.0], [9.0, 9.0]],
            &[[0.0, 0.0], [5.0, 5.0], [0.0, 0.0], [5.0, 5.0]],
            &[[0.0, 0.0], [0.0, 9.0], [0.0, 3.0], [0.0, -7.0]],
        ] {
            assert!(cleaned(nothing).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn clockwise_on_the_screen_is_positive() {
        assert_eq!(area2(&[[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]), 8.0);
        assert_eq!(area2(&[[0.0, 2.0], [2.0, 2.0], [2.0, 0.0], [0.0, 0.0]]), -8.0);
        assert_eq!(area2(&[]), 0.0);
    }

    /// A coast of many small steps, and the distance of each of its vertices from the thinned line.
    #[test]
    fn what_is_dropped_lies_within_half_a_unit() {
        let mut seed = 3_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / (1_u64 << 31) as f64
        };
        let mut thinner = Thinner::default();
        let mut dropped = 0;
        for _ in 0..200 {
            let count = 20 + (random() * 200.0) as usize;
            let size = 3.0 + random() * 60.0;
            let mut ring: Vec<Place> = (0..count)
                .map(|i| {
                    let angle = i as f64 / count as f64 * std::f64::consts::TAU;
                    let radius = size * (0.8 + 0.2 * random());
                    [(radius * angle.cos()).round(), (radius * angle.sin()).round()]
                })
                .collect();
            ring.dedup();
            let before = ring.clone();
            thinner.ring(&mut ring);
            dropped += before.len() - ring.len();
            for place in &before {
                let away = (0..ring.len())
                    .map(|i| {
                        let edge = [ring[i], *place, ring[(i + 1) % ring.len()]];
                        farthest_of(edge)
                    })
                    .fold(f64::INFINITY, f64::min);
                assert!(away <= TOLERANCE * TOLERANCE, "{place:?} is {away} away");
            }
        }
        assert!(dropped > 1_000, "{dropped}");
    }

    fn farthest_of([a, p, b]: [Place; 3]) -> f64 {
        let (x, y) = (b[0] - a[0], b[1] - a[1]);
        let length2 = x * x + y * y;
        let share = if length2 == 0.0 { 0.0 } else { ((p[0] - a[0]) * x + (p[1] - a[1]) * y) / length2 };
        let share = share.clamp(0.0, 1.0);
        distance2(p, [a[0] + share * x, a[1] + share * y])
    }
}
