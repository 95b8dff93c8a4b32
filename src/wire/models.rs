//! What models are known to refuse or to insist on, by their names. A name that says nothing promises nothing: what such a model
//! refuses is found when it does.

use serde::Deserialize;

use crate::wire::request::{Dropped, Effort, Sampling};

/// A sampling option that a model may refuse.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SamplingOption {
    Temperature,
    TopP,
    TopK,
    MinP,
    Seed,
    FrequencyPenalty,
    PresencePenalty,
    RepeatPenalty,
}

impl SamplingOption {
    pub(super) const ALL: [Self; 8] = [
        Self::Temperature,
        Self::TopP,
        Self::TopK,
        Self::MinP,
        Self::Seed,
        Self::FrequencyPenalty,
        Self::PresencePenalty,
        Self::RepeatPenalty,
    ];

    /// Its name in requests.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::MinP => "min_p",
            Self::Seed => "seed",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::PresencePenalty => "presence_penalty",
            Self::RepeatPenalty => "repeat_penalty",
        }
    }

    /// The value that changes nothing; `None`: each does.
    fn neutral(self) -> Option<f64> {
        match self {
            Self::Temperature | Self::TopP | Self::RepeatPenalty => Some(1.0),
            Self::FrequencyPenalty | Self::PresencePenalty => Some(0.0),
            Self::TopK | Self::MinP | Self::Seed => None,
        }
    }

    fn of<'s, 'a>(self, sampling: &'s mut Sampling<'a>) -> &'s mut Option<&'a str> {
        match self {
            Self::Temperature => &mut sampling.temperature,
            Self::TopP => &mut sampling.top_p,
            Self::TopK => &mut sampling.top_k,
            Self::MinP => &mut sampling.min_p,
            Self::Seed => &mut sampling.seed,
            Self::FrequencyPenalty => &mut sampling.frequency_penalty,
            Self::PresencePenalty => &mut sampling.presence_penalty,
            Self::RepeatPenalty => &mut sampling.repeat_penalty,
        }
    }
}

/// A set of sampling options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplingOptions(u8);

impl FromIterator<SamplingOption> for SamplingOptions {
    fn from_iter<I: IntoIterator<Item = SamplingOption>>(options: I) -> Self {
        Self(options.into_iter().fold(0, |all, option| all | Self::bit(option)))
    }
}

impl SamplingOptions {
    /// What Anthropic's models from Opus 4.7 on refuse, and all of them under its API of 2026-10-21.
    pub fn of_anthropic() -> Self {
        [SamplingOption::Temperature, SamplingOption::TopP, SamplingOption::TopK].into_iter().collect()
    }

    fn of_openai() -> Self {
        let penalties = [SamplingOption::FrequencyPenalty, SamplingOption::PresencePenalty];
        [SamplingOption::Temperature, SamplingOption::TopP].into_iter().chain(penalties).collect()
    }

    fn bit(option: SamplingOption) -> u8 {
        1 << (option as u8)
    }

    fn has(self, option: SamplingOption) -> bool {
        self.0 & Self::bit(option) != 0
    }
}

impl Sampling<'_> {
    /// The options without those that are refused; each whose loss changes something is named.
    pub(super) fn without(&self, refused: SamplingOptions, dropped: &mut Dropped) -> Self {
        let mut left = self.clone();
        for option in SamplingOption::ALL.into_iter().filter(|option| refused.has(*option)) {
            let Some(value) = option.of(&mut left).take() else { continue };
            let neutral = option.neutral();
            if neutral.is_none() || value.parse::<f64>().ok() != neutral {
                dropped.add(option.name());
            }
        }
        left
    }
}

/// A model of Anthropic's, by its family and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claude<'m> {
    family: &'m str,
    version: (u32, u32),
}

impl<'m> Claude<'m> {
    /// Reads names like `claude-opus-4-7`, `anthropic/claude-opus-4.7` and `us.anthropic.claude-haiku-5-5-20261007-v1:0`. Those of
    /// before, `claude-3-7-sonnet`, have the version first.
    fn read(model: &'m str) -> Option<Self> {
        let (_, name) = model.rsplit_once("claude-")?;
        let mut words = name.split(['-', '.', '@', ':', '_']);
        let family = words.next()?;
        // A date is no version.
        let mut number = || words.next().filter(|word| word.len() <= 2)?.parse::<u32>().ok();
        if family.chars().all(|letter| letter.is_ascii_digit()) {
            return Some(Self { family: "", version: (family.parse().ok()?, number().unwrap_or(0)) });
        }
        let preview = name.strip_prefix(family).is_some_and(|rest| rest.starts_with("-preview"));
        let major = number().or_else(|| preview.then_some(0))?;
        Some(Self { family, version: (major, number().unwrap_or(0)) })
    }

    fn is_since(self, opus: (u32, u32), sonnet: (u32, u32), haiku: (u32, u32), fable: (u32, u32)) -> bool {
        let since = match self.family {
            "opus" => opus,
            "sonnet" => sonnet,
            "haiku" => haiku,
            "fable" | "mythos" => fable,
            _ => return false,
        };
        self.version >= since
    }
}

/// Does a model of Anthropic's take sampling options and budgets for thinking no more?
fn is_adaptive_only(model: &str) -> bool {
    Claude::read(model).is_some_and(|claude| claude.is_since((4, 7), (5, 0), (5, 5), (0, 0)))
}

/// Must a model of Anthropic's be told how much to think by a level?
pub(super) fn thinks_by_level(model: &str) -> bool {
    is_adaptive_only(model)
}

/// Does a model of Anthropic's think whatever it is asked? Thinking cannot be switched off then, nor can a tool be forced on it.
pub(super) fn always_thinks(model: &str) -> bool {
    const NEVER: (u32, u32) = (u32::MAX, 0);
    Claude::read(model).is_some_and(|claude| claude.is_since((5, 5), NEVER, NEVER, (5, 1)))
}

/// What a model of Anthropic's refuses.
pub(super) fn refused_by_anthropic(model: &str) -> SamplingOptions {
    if is_adaptive_only(model) { SamplingOptions::of_anthropic() } else { SamplingOptions::default() }
}

/// How a model of `OpenAI`'s reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reasons {
    Always,
    /// From 5.1 on, only where it is asked to.
    WhenAsked,
}

fn reasoning_of(model: &str) -> Option<Reasons> {
    let name = model.rsplit('/').next().unwrap_or(model);
    if let Some(rest) = name.strip_prefix("gpt-5") {
        return match rest.split_at_checked(1) {
            _ if rest.starts_with("-chat") => None,
            None | Some(("-", _)) => Some(Reasons::Always),
            Some((".", rest)) => (!rest.contains("-chat")).then_some(Reasons::WhenAsked),
            Some(_) => None,
        };
    }
    let of_series =
        |series: &str| name.strip_prefix(series).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    ["o1", "o3", "o4-mini"].into_iter().any(of_series).then_some(Reasons::Always)
}

/// What a model of `OpenAI`'s refuses that is asked to think so much.
pub(super) fn refused_by_openai(model: &str, effort: Option<Effort>) -> SamplingOptions {
    match (reasoning_of(model), effort) {
        (None, _) | (Some(Reasons::WhenAsked), None | Some(Effort::None)) => SamplingOptions::default(),
        (Some(Reasons::Always), _) | (Some(Reasons::WhenAsked), Some(_)) => SamplingOptions::of_openai(),
    }
}

/// The name of the token limit in chat completions: reasoning models of `OpenAI`'s refuse the older one.
pub(super) fn limit_field(model: &str) -> &'static str {
    if reasoning_of(model).is_some() { "max_completion_tokens" } else { "max_tokens" }
}

/// Does a model refuse a history in which a call of a tool has no reasoning before it? Moonshot's and `DeepSeek`'s do while they think.
pub(super) fn wants_reasoning_of_calls(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    ["kimi-", "deepseek-"].iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_anthropics_says_what_the_model_takes() {
        for (model, levels, always) in [
            ("claude-opus-4-6", false, false),
            ("claude-opus-4-7", true, false),
            ("anthropic/claude-opus-4.8", true, false),
            ("claude-opus-4-20250514", false, false),
            ("claude-opus-5", true, false),
            ("claude-opus-5-20260801", true, false),
            ("us.anthropic.claude-opus-5-5-v1:0", true, true),
            ("claude-sonnet-4-6", false, false),
            ("claude-sonnet-5@20260707", true, false),
            ("claude-sonnet-5-5", true, false),
            ("claude-haiku-4-5-20251001", false, false),
            ("claude-haiku-5-5", true, false),
            ("claude-fable-5", true, false),
            ("claude-fable-5-2", true, true),
            ("claude-mythos-preview", true, false),
            ("claude-mythos-5-1", true, true),
            ("claude-opus-6", true, true),
            ("claude-3-7-sonnet-20250219", false, false),
            ("claude-instant", false, false),
            ("kimi-k2", false, false),
            ("", false, false),
        ] {
            let refused = refused_by_anthropic(model);
            assert_eq!((thinks_by_level(model), always_thinks(model)), (levels, always), "{model}");
            assert_eq!(refused.has(SamplingOption::TopK), levels, "{model}");
        }
    }

    #[test]
    fn a_name_of_openais_says_what_the_model_takes() {
        for (model, alone, asked) in [
            ("gpt-4o", false, false),
            ("gpt-oss-120b", false, false),
            ("gpt-5", true, true),
            ("openai/gpt-5-mini-2025-08-07", true, true),
            ("gpt-5-chat-latest", false, false),
            ("gpt-5.1", false, true),
            ("gpt-5.6-codex", false, true),
            ("gpt-5.2-chat-latest", false, false),
            ("gpt-50", false, false),
            ("o1-pro", true, true),
            ("o3", true, true),
            ("o4-mini", true, true),
            ("o3x", false, false),
            ("qwen3", false, false),
        ] {
            let refuses = |effort| refused_by_openai(model, effort).has(SamplingOption::Temperature);
            assert_eq!((refuses(None), refuses(Some(Effort::Low))), (alone, asked), "{model}");
            assert_eq!(refuses(Some(Effort::None)), alone, "{model}");
            assert_eq!(limit_field(model) == "max_completion_tokens", alone || asked, "{model}");
        }
    }

    #[test]
    fn what_is_refused_is_named_where_its_loss_changes_something() {
        let sampling = Sampling {
            temperature: Some("1.0"),
            top_p: Some("0.9"),
            top_k: Some("40"),
            seed: Some("7"),
            ..Sampling::default()
        };
        let mut dropped = Dropped::default();
        let left = sampling.without(SamplingOptions::of_anthropic(), &mut dropped);
        assert_eq!((left.temperature, left.top_p, left.top_k, left.seed), (None, None, None, Some("7")));
        assert_eq!(dropped.header().as_deref(), Some("top_p, top_k"));
    }
}
