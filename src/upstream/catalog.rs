//! Which models the backends have, merged and remembered for a few seconds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::upstream::attempt::read_bounded;
use crate::upstream::backend::{Api, Backend};
use crate::upstream::pool::Pool;

/// A model as a backend describes it.
#[derive(Clone, Debug)]
pub struct Model {
    /// What its backend calls it.
    pub name: String,
    pub backend: String,
    /// Seconds since 1970; 0 if unknown.
    pub created: u64,
    pub owned_by: String,
    /// Its entry in Ollama's words: what Ollama said, or the little that is known of another's.
    pub tag: Value,
    /// What else its backend says of it that clients act on.
    pub facts: Map<String, Value>,
}

/// The models of all backends.
#[derive(Debug)]
pub struct Catalog {
    pool: Pool,
    models: Kept,
    running: Kept,
    version: Mutex<Option<(Instant, Option<Value>)>>,
}

/// A list, and when it was made.
type Kept = Mutex<Option<(Instant, Arc<[Model]>)>>;

/// Ollama's route for the models that it has.
const MODELS: &str = "/api/tags";
/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(5);
/// How long a backend may take: a dead one must not hold up the list.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest list of models.
const LIST_BYTES: usize = 8 << 20;

impl Catalog {
    pub fn new(pool: Pool) -> Self {
        Self { pool, models: Mutex::default(), running: Mutex::default(), version: Mutex::default() }
    }

    /// All models, in the order of the backends. A backend that does not answer has none.
    pub async fn models(&self) -> Arc<[Model]> {
        self.fresh(&self.models, MODELS).await
    }

    /// The models that Ollama backends have loaded.
    pub async fn running(&self) -> Arc<[Model]> {
        self.fresh(&self.running, "/api/ps").await
    }

    /// The version of the first Ollama backend that answers.
    pub async fn version(&self) -> Option<Value> {
        let mut kept = self.version.lock().await;
        if let Some((at, version)) = kept.as_ref()
            && at.elapsed() < FRESH
        {
            return version.clone();
        }
        let ollama = self.pool.backends().iter().filter(|backend| backend.api == Api::Ollama);
        let versions = join_all(ollama.map(|backend| fetch(backend, "/api/version"))).await;
        let version = versions.into_iter().flatten().next();
        *kept = Some((Instant::now(), version.clone()));
        version
    }

    async fn fresh(&self, kept: &Kept, route: &str) -> Arc<[Model]> {
        // Held while the backends are asked, so that a crowd of clients asks them once.
        let mut kept = kept.lock().await;
        if let Some((at, models)) = kept.as_ref()
            && at.elapsed() < FRESH
        {
            return Arc::clone(models);
        }
        let lists = join_all(self.pool.backends().iter().map(|backend| list(backend, route))).await;
        let lists = lists.into_iter().map(Option::unwrap_or_default);
        let mut seen = HashSet::new();
        let fresh = |model: &Model| seen.insert((model.backend.clone(), model.name.clone()));
        let models: Arc<[Model]> = lists.flatten().filter(fresh).collect();
        *kept = Some((Instant::now(), Arc::clone(&models)));
        models
    }
}

/// Remembers which models a backend has, for the choice among backends; false if it does not tell.
pub(super) async fn learn(backend: &Backend) -> bool {
    list(backend, MODELS).await.is_some()
}

/// What a backend tells; `None`: nothing.
async fn list(backend: &Backend, ollama_route: &str) -> Option<Vec<Model>> {
    let models: Vec<Model> = match backend.api {
        Api::Demo if ollama_route == MODELS => vec![described(backend, "demo", 0, "streamgate")],
        Api::Ollama => {
            let tags = fetch(backend, ollama_route).await?;
            let models = tags.get("models").and_then(Value::as_array)?;
            models.iter().filter_map(|tag| tagged(backend, tag)).collect()
        }
        Api::OpenAi | Api::Anthropic if ollama_route == MODELS => {
            let route = if backend.api == Api::Anthropic { "/v1/models?limit=1000" } else { "/v1/models" };
            let list = fetch(backend, route).await?;
            let models = list.get("data").and_then(Value::as_array)?;
            models.iter().filter_map(|model| listed(backend, model)).collect()
        }
        Api::Demo | Api::OpenAi | Api::Anthropic => Vec::new(),
    };
    if ollama_route == MODELS {
        backend.standing.lists(models.iter().map(|model| model.name.clone()).collect());
    }
    Some(models)
}

async fn fetch(backend: &Backend, route: &str) -> Option<Value> {
    let asked = async {
        let response = backend.get(route).send().await.ok()?;
        backend.heard(response.headers());
        backend.served().by(&response);
        let response = response.error_for_status().ok()?;
        serde_json::from_slice(&read_bounded(backend, response, LIST_BYTES).await?).ok()
    };
    timeout(PATIENCE, asked).await.ok().flatten()
}

/// An entry of Ollama's `/api/tags`.
fn tagged(backend: &Backend, tag: &Value) -> Option<Model> {
    let name = tag.get("model").or_else(|| tag.get("name"))?.as_str()?;
    let modified = tag.get("modified_at").and_then(Value::as_str);
    Some(Model {
        name: name.to_owned(),
        backend: backend.name.clone(),
        created: modified.and_then(seconds_of).unwrap_or(0),
        owned_by: "library".into(), // what Ollama's own list says
        tag: tag.clone(),
        facts: Map::new(),
    })
}

/// Seconds since 1970 of an RFC 3339 time, without its fraction and zone.
fn seconds_of(time: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339_weak(time.get(..19)?).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// How large a model is, what it takes, and how else it is called: by llama.cpp, vLLM and `OpenRouter`. Not all that is said is passed
/// on: a router of llama.cpp tells its command lines.
const FACTS: [&str; 6] =
    ["aliases", "architecture", "capabilities", "context_length", "max_model_len", "meta"];

/// An entry of `/v1/models`, of OpenAI's shape or of Anthropic's.
fn listed(backend: &Backend, model: &Value) -> Option<Model> {
    #[derive(Deserialize)]
    struct Listed {
        id: String,
        #[serde(default)]
        created: Value,
        #[serde(default)]
        created_at: Value,
        #[serde(default)]
        owned_by: Value,
    }
    let listed = Listed::deserialize(model).ok()?;
    let owner = listed.owned_by.as_str().unwrap_or(&backend.name);
    let seconds = listed.created.as_u64().or_else(|| seconds_of(listed.created_at.as_str()?));
    let fact =
        |name: &&str| Some(((*name).to_owned(), model.get(*name).filter(|fact| !fact.is_null())?.clone()));
    let facts = FACTS.iter().filter_map(fact).collect();
    Some(Model { facts, ..described(backend, &listed.id, seconds.unwrap_or(0), owner) })
}

impl Model {
    /// The same model under the name that a route gives it.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Self {
        let mut renamed = Self { name: name.to_owned(), ..self.clone() };
        renamed.facts.remove("aliases"); // names there, which lead nowhere here
        let own = digest(&self.backend, &self.name);
        for (key, value) in renamed.tag.as_object_mut().into_iter().flatten() {
            match key.as_str() {
                "name" | "model" => *value = name.into(),
                // Of a model of Ollama's it says which weights those are, whatever they are called.
                "digest" if *value == own => *value = digest(&self.backend, name).into(),
                _ => {}
            }
        }
        renamed
    }
}

/// What stands for the weights of a model that has none here. Clients of Ollama take models of one digest for one.
fn digest(backend: &str, name: &str) -> String {
    let digest = Sha256::new().chain_update(backend).chain_update([0]).chain_update(name).finalize();
    digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// A model of which little is known, in the fields that Ollama's clients need.
fn described(backend: &Backend, name: &str, created: u64, owned_by: &str) -> Model {
    let modified = std::time::UNIX_EPOCH + Duration::from_secs(created);
    let tag = json!({
        "name": name,
        "model": name,
        "modified_at": humantime::format_rfc3339_seconds(modified).to_string(),
        "size": 0,
        "digest": digest(&backend.name, name),
        "details": {
            "parent_model": "", "format": "", "family": "", "families": null,
            "parameter_size": "", "quantization_level": "",
        },
    });
    Model {
        name: name.to_owned(),
        backend: backend.name.clone(),
        created,
        owned_by: owned_by.to_owned(),
        tag,
        facts: Map::new(),
    }
}
