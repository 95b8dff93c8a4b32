//! A picture of one answer in one line of text: time runs to the right, and every sign says how many events came then.

use std::time::Duration;

/// The columns of a picture.
pub(super) const WIDTH: usize = 48;

/// `.` for nothing, `|` for one event, a number for several, `#` for more than nine, over this time.
pub(super) fn picture(times: &[Duration], span: Duration) -> String {
    let mut columns = [0_usize; WIDTH];
    let span = span.as_micros().max(1);
    for time in times {
        let column = time.as_micros() * (WIDTH as u128 - 1) / span;
        let column = usize::try_from(column).unwrap_or(usize::MAX).min(WIDTH - 1);
        if let Some(count) = columns.get_mut(column) {
            *count += 1;
        }
    }
    columns.iter().map(|count| sign(*count)).collect()
}

fn sign(count: usize) -> char {
    match count {
        0 => '.',
        1 => '|',
        2..=9 => u32::try_from(count).ok().and_then(|count| char::from_digit(count, 10)).unwrap_or('#'),
        _ => '#',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stand_where_they_came() {
        let at = Duration::from_millis;
        let span = at(470);
        let picture = picture(&[at(0), at(100), at(470), at(470), at(900)], span);
        assert_eq!(picture.len(), WIDTH);
        assert!(picture.starts_with("|.........|.") && picture.ends_with(".3"), "{picture}");
        assert!(super::picture(&[at(470); 24], span).ends_with(".#"));
        assert_eq!(super::picture(&[], Duration::ZERO), ".".repeat(WIDTH));
    }
}
