//! Progress bars on stderr, for people: where that is no terminal there is none.

use std::fmt;
use std::io;
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// A bar. What it shows is gone when it is cleared, whatever was typed meanwhile.
pub(super) fn bar(length: u64, template: &str) -> anyhow::Result<ProgressBar> {
    let terminal = Term::buffered_stderr();
    if !terminal.is_term() {
        return Ok(ProgressBar::hidden());
    }
    let target = ProgressDrawTarget::term_like(Box::new(Narrower(terminal)));
    let bar = ProgressBar::with_draw_target(Some(length), target).with_style(style(template)?);
    bar.enable_steady_tick(REFRESH); // what comes is shown then, and the last of it too
    Ok(bar)
}

/// How a bar looks.
pub(super) fn style(template: &str) -> anyhow::Result<ProgressStyle> {
    Ok(ProgressStyle::with_template(template)?)
}

/// The columns that a text may take: those of a terminal, or as many as it likes.
pub(super) fn columns() -> usize {
    let terminal = Term::stdout();
    let columns = terminal.is_term().then(|| terminal.size_checked()).flatten();
    columns.map_or(usize::MAX, |(_, columns)| columns.into())
}

/// How often a bar is drawn.
const REFRESH: Duration = Duration::from_millis(100);
/// What a terminal shows of Ctrl-C: behind a bar as wide as the terminal it would begin another line, and clearing the bar would
/// clear that line in its place.
const ECHO: u16 = 3;

/// A terminal with room for an echo on the right.
struct Narrower(Term);

impl fmt::Debug for Narrower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Narrower")
    }
}

impl TermLike for Narrower {
    fn width(&self) -> u16 {
        TermLike::width(&self.0).saturating_sub(ECHO).max(1)
    }

    fn height(&self) -> u16 {
        TermLike::height(&self.0)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
