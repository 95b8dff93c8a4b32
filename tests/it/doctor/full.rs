//! `doctor --full`: silences as long as the patience that programs come with, of paths that are examined side by side.

use crate::doctor::{Diagnosis, examine_with, gateway, setup};
use crate::support::hops::bare;

#[tokio::test]
async fn silences_of_up_to_105_seconds_tell_a_minutes_patience_from_15_seconds_of_life_and_from_a_right_path()
{
    // A gateway that sends no keep-alives in that time.
    let silent = setup().stream("keep_alive = \"10m\"").start().await;
    let nginx = bare::nginx(silent.public, "proxy_http_version 1.1; proxy_read_timeout 60s;").await;
    let usual = gateway().await;
    let (envoy, right) = (
        bare::envoy(usual.public, "", "", "").await,
        bare::nginx(usual.public, "proxy_http_version 1.1;").await,
    );

    let (behind_silent, behind_usual) =
        (format!("gateway=http://{}", silent.public), format!("gateway=http://{}", usual.public));
    let full = async |public: String, gateway: &str| examine_with(&[&public, gateway], &["--full"]).await;
    let (minute, brief, clean) = tokio::join!(
        full(nginx.url(), &behind_silent),
        full(envoy.url(), &behind_usual),
        full(right.url(), &behind_usual),
    );
    clean.is_clean();
    minute.blames(1, "nginx", "idle_cut", "proxy_read_timeout 1h;");
    assert!(minute.says(["silent for about 59.9 s", "silent for about 60."]), "{}", minute.all);
    brief.blames(1, "Envoy", "lifetime_cut", "route: { timeout: 0s }");
    assert!(brief.says(["stream about 14.9 s after", "stream about 15.0 s after"]), "{}", brief.all);
}

impl Diagnosis {
    /// One of these: times are told to a tenth of a second.
    fn says(&self, words: [&str; 2]) -> bool {
        words.iter().any(|words| self.all.contains(words))
    }
}
