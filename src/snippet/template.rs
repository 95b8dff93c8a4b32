//! Texts with holes. A line that begins with `%word` stands only where the word holds; `%gateway` lines stand once for each
//! gateway, those that follow each other as one block.

use crate::snippet::Gateway;

/// What a text is filled from.
#[derive(Debug)]
pub(super) struct Filling<'a> {
    /// The words that hold.
    pub(super) conditions: Vec<&'static str>,
    /// What goes into `{{name}}`.
    pub(super) values: Vec<(&'static str, String)>,
    pub(super) gateways: &'a [Gateway],
}

/// One line, without what stands in front of it.
struct Line<'t> {
    text: &'t str,
    repeated: bool,
}

impl Filling<'_> {
    pub(super) fn fill(&self, template: &str) -> String {
        let lines: Vec<Line<'_>> = template.lines().filter_map(|line| self.line(line)).collect();
        let mut text = String::with_capacity(template.len());
        for block in lines.chunk_by(|one, next| one.repeated && next.repeated) {
            if block.iter().all(|line| line.repeated) {
                for (at, gateway) in self.gateways.iter().enumerate() {
                    self.write(&mut text, block, Some((at + 1, gateway)));
                }
            } else {
                self.write(&mut text, block, None);
            }
        }
        text
    }

    /// The line, if it is to stand.
    fn line<'t>(&self, line: &'t str) -> Option<Line<'t>> {
        let (mut text, mut repeated) = (line, false);
        while let Some((word, rest)) = text.strip_prefix('%').and_then(|rest| rest.split_once(' ')) {
            if word == "gateway" {
                repeated = true;
            } else if !self.conditions.contains(&word) {
                return None;
            }
            text = rest;
        }
        Some(Line { text, repeated })
    }

    fn write(&self, text: &mut String, block: &[Line<'_>], gateway: Option<(usize, &Gateway)>) {
        for line in block {
            let mut filled = line.text.to_owned();
            if let Some((number, gateway)) = gateway {
                for (name, value) in gateway.values(number) {
                    filled = filled.replace(name, &value);
                }
            }
            for (name, value) in &self.values {
                filled = filled.replace(name, value);
            }
            text.extend([filled.as_str(), "\n"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_holes_and_blocks_are_filled() {
        let gateways = ["a:1", "[::1]:2"].map(|gateway| gateway.parse().unwrap());
        let filling = Filling {
            conditions: vec!["named", "tls"],
            values: vec![("{{host}}", "chat.example.org".to_owned())],
            gateways: &gateways,
        };
        let template = "%named host {{host}}\n%any host *\n%tls %named   both\n%tls %any none\n\
                        %gateway {{number}} {\n%gateway   {{gateway_host}} {{gateway_port}}\n50% {\n";
        let expected = "host chat.example.org\n  both\n1 {\n  a 1\n2 {\n  ::1 2\n50% {\n";
        assert_eq!(filling.fill(template), expected);
    }
}
