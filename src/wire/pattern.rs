//! Patterns for the names of models.

/// Does `name` fit the pattern? `*` stands for any text, also none.
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match name.split_once(part) {
            Some((_, behind)) => name = behind,
            None => return false,
        }
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in
            [("*", "x"), ("*", ""), ("a*", "abc"), ("*c", "abc"), ("a*b*c", "a--b--c"), ("abc", "abc")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("abc", "abcd"), ("a*", "ba"), ("*c", "cb"), ("a*b*c", "a--c"), ("ab*ba", "aba")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
