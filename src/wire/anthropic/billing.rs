//! The line with which Claude Code begins its system prompt, for Anthropic's accounts.

use crate::wire::json::Text;

/// How it begins. What follows is other with every version, and often with every request.
pub(super) const BILLING: &str = "x-anthropic-billing-header:";

/// A text without the line at its start; `None` if there is nothing else in it.
pub fn without_billing(text: Text<'_>) -> Option<Text<'_>> {
    let rest = match text {
        Text::Plain(all) if all.trim_start().starts_with(BILLING) => {
            all.trim_start().split_once('\n').map(|(_, rest)| Text::Plain(rest.trim_start()))
        }
        Text::Escaped(all) if all.starts_with(BILLING) => {
            all.split_once("\\n").map(|(_, rest)| Text::Escaped(without_breaks(rest)))
        }
        Text::Plain(_) | Text::Escaped(_) => return Some(text),
    };
    rest.filter(|rest| !rest.is_empty())
}

/// Escaped text without the line breaks at its start.
fn without_breaks(mut text: &str) -> &str {
    while let Some(rest) = text.strip_prefix("\\n") {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_taken_from_the_start_of_a_text_and_from_nowhere_else() {
        let line = "x-anthropic-billing-header: cc_version=2.1; cch=3fa09;";
        for (given, left) in [
            (line.to_owned(), None),
            (format!("{line}\\n\\nBe brief."), Some("Be brief.")),
            (format!("{line}\\n"), None),
            (format!("Say `{line}`"), Some("Say `x-anthropic-billing-header: cc_version=2.1; cch=3fa09;`")),
            ("Be brief.".to_owned(), Some("Be brief.")),
        ] {
            assert_eq!(without_billing(Text::Escaped(&given)), left.map(Text::Escaped), "{given}");
        }
        assert_eq!(without_billing(Text::Plain(line)), None);
        assert_eq!(
            without_billing(Text::Plain("x-anthropic-billing-header: a\nHi")),
            Some(Text::Plain("Hi"))
        );
    }
}
