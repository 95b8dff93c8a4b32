//! From a request to a plan: what each backend of the route is to be asked, in its own dialect.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::api::memory::Account;
use crate::api::serving::{Destination, Served};
use crate::edge::Refusal;
use crate::upstream::{Api, Candidate};
use crate::wire::openai_responses::{flatten, output_limit};
use crate::wire::{
    Ask, Code, Dialect, Dropped, Edits, Envelope, Failure, Finish, Names, ParseError, PassedOn, Request,
    Server, Style, Wish, Written, own_history, parse_request, write_request,
};

/// What is to be asked, or that there is nothing to ask.
#[derive(Debug)]
pub(super) enum Planned {
    Ask(Vec<Candidate>),
    /// An Ollama client wants the model loaded or unloaded, and these backends know nothing of that.
    Load(Finish),
}

/// Why a backend is not among the candidates.
#[derive(Clone)]
enum Unfit {
    /// The request cannot be put to it.
    Refused(Failure),
    Load(Finish),
}

/// How the request is to be written: backends for which it is the same share one copy.
#[derive(PartialEq)]
enum Form<'p> {
    /// In the client's own dialect, with the backend's name for the model; perhaps with wishes of the gateway.
    Own {
        alias: Option<&'p str>,
        ask: Ask,
        passed_on: PassedOn,
    },
    Translated {
        dialect: Dialect,
        model: &'p str,
        style: Style,
    },
}

/// The request in every form that was asked for.
struct Forms<'p> {
    client: Dialect,
    envelope: &'p Envelope,
    body: &'p Bytes,
    account: &'p Account,
    /// The body with the tools of namespaces beside the others.
    flat: &'p [u8],
    request: Option<Result<Request<'p>, ParseError>>,
    /// What of the history a backend of the client's own dialect is not told.
    own: Vec<(PassedOn, (Edits, Dropped))>,
    written: Vec<(Form<'p>, Result<Written, Unfit>)>,
}

impl<'p> Forms<'p> {
    /// The request in this form, as often as one likes. An error if there is no memory for it.
    fn write(&mut self, form: Form<'p>) -> Result<Result<Written, Unfit>, Refusal> {
        if let Some((_, written)) = self.written.iter().find(|(known, _)| *known == form) {
            return Ok(written.clone());
        }
        let written = match &form {
            Form::Own { alias, ask, passed_on } => {
                let known = self.own.iter().find(|(known, _)| known == passed_on).map(|(_, own)| own.clone());
                let (edits, dropped) = known.unwrap_or_else(|| {
                    let own = own_history(self.client, self.body, *passed_on);
                    self.own.push((*passed_on, own.clone()));
                    own
                });
                let body = self.envelope.rewrite(self.body, *alias, *ask, edits);
                Ok(Written { body, dropped, names: Names::default() })
            }
            Form::Translated { dialect, model, style } => {
                let request = self.request.get_or_insert_with(|| parse_request(self.client, self.flat));
                translate(request, self.client, *dialect, model, *style)
            }
        };
        let written = match written {
            Ok(written) => Ok(Written { body: self.account.rewritten(self.body, written.body)?, ..written }),
            Err(why) => Err(why),
        };
        self.written.push((form, written.clone()));
        Ok(written)
    }
}

/// Writes the request for every backend of the route that can serve it. One that cannot is left out; if there is no other, it
/// says why. What is written counts as held by the request's account.
pub(super) fn plan(
    served: &Served,
    client: Dialect,
    envelope: &Envelope,
    (body, account): (&Bytes, &Account),
    headers: &HeaderMap,
) -> Result<Planned, Refusal> {
    let fitting = served.fitting(&envelope.model);
    let mut candidates = Vec::with_capacity(fitting.len());
    let mut unfit = None;
    let flat = if client == Dialect::OpenAiResponses { flatten(body) } else { Cow::Borrowed(body.as_ref()) };
    let (request, own, written) = (None, Vec::new(), Vec::new());
    let mut forms = Forms { client, envelope, body, account, flat: &flat, request, own, written };
    for (Destination { backend, alias, .. }, share) in fitting {
        let Some(dialect) = backend.dialect_for(client) else { continue };
        let assembled =
            dialect == client && !envelope.stream && !envelope.only_whole && backend.streams_whole(dialect);
        let streams = envelope.stream || assembled;
        // Responses begin with an event that progress would take the place of.
        let own_progress = streams && dialect.has_stream_options() && backend.tells_progress(dialect);
        let form = if dialect == client {
            let usage = backend.reports_usage_on_request(dialect) && (streams || backend.api == Api::Demo);
            let ask = Ask { usage, stream: assembled, progress: own_progress };
            Form::Own { alias: alias.as_deref(), ask, passed_on: backend.style().passed_on }
        } else {
            let model = alias.as_deref().unwrap_or(&envelope.model);
            let progress = backend.tells_progress(dialect);
            let server = if backend.is_llama_cpp() { Server::LlamaCpp } else { Server::Any };
            let style = Style { progress, server, ..backend.style() };
            Form::Translated { dialect, model, style }
        };
        let shows_progress = dialect == client && envelope.stream && envelope.progress == Wish::Yes;
        match forms.write(form)? {
            Ok(Written { body, dropped, names }) => candidates.push(Candidate {
                limit: limit(&body, dialect, backend.is_llama_cpp() && dialect != client),
                backend: Arc::clone(backend),
                share,
                dialect,
                body,
                translated: dialect != client,
                dropped,
                names,
                headers: if dialect == client { headers.clone() } else { HeaderMap::new() },
                assembled,
                hides_progress: own_progress && dialect == client && envelope.progress == Wish::Unsaid,
                progress_after: shows_progress.then_some(served.settings.commit_after),
            }),
            Err(why) => {
                unfit.get_or_insert(why);
            }
        }
    }
    if !candidates.is_empty() {
        return Ok(Planned::Ask(candidates));
    }
    match unfit {
        Some(Unfit::Load(finish)) => Ok(Planned::Load(finish)),
        Some(Unfit::Refused(failure)) => Err(failure.into()),
        None => {
            let words = format!("no backend of this model speaks {}", client.path());
            Err(Failure::new(Code::InvalidRequest, words).param("model").into())
        }
    }
}

fn translate(
    request: &Result<Request<'_>, ParseError>,
    client: Dialect,
    backend: Dialect,
    model: &str,
    style: Style,
) -> Result<Written, Unfit> {
    let request = request.as_ref().map_err(|error| Unfit::Refused(failure(error)))?;
    // Without a prompt Ollama loads the model, or unloads it if it shall be kept for no time.
    if matches!(client, Dialect::OllamaChat | Dialect::OllamaGenerate) && request.messages.is_empty() {
        return Err(Unfit::Load(if request.unload { Finish::Unload } else { Finish::Load }));
    }
    write_request(backend, request, model, style).map_err(|refused| {
        Unfit::Refused(Failure::new(Code::InvalidRequest, refused.message).param(refused.param))
    })
}

fn failure(error: &ParseError) -> Failure {
    let failure = Failure::new(Code::InvalidRequest, error.message.clone());
    match error.param {
        Some(param) => failure.param(param),
        None => failure,
    }
}

/// The number of tokens at which llama.cpp ends a response that it calls completed.
fn limit(body: &[u8], dialect: Dialect, hides_it: bool) -> Option<u64> {
    if dialect == Dialect::OpenAiResponses && hides_it { output_limit(body) } else { None }
}

/// A body that cannot be read.
pub(super) fn refusal(error: &ParseError) -> Refusal {
    failure(error).into()
}
