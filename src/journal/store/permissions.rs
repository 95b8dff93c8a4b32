//! Whether the store's user may do what the scripts do: each command is tried on keys and channels of the same form as theirs, so
//! that what is missing is known before the first stream, and by name.

use redis::{Cmd, Pipeline, RedisResult, Script, Value};

use crate::journal::store::Store;
use crate::journal::store::error::is_forbidden;
use crate::journal::store::names::{CHANNELS, SECRET, StreamKeys, replica};

/// How many of the missing permissions are named.
const NAMED: usize = 6;
/// For how long what is tried stays, should it not be taken away.
const SHORT: &str = "10000";

/// The commands without a key.
const PLAIN: &[(&str, &[&str])] = &[
    ("EVAL", &["return 0", "0"]),
    ("SCRIPT", &["LOAD", "return 0"]),
    ("PING", &[]),
    ("INFO", &["server"]),
    ("TIME", &[]),
];

impl Store {
    /// What the store's user may not do, in words; nothing if it may do all.
    pub(super) async fn forbidden(&self) -> RedisResult<String> {
        let mut connection = self.0.probes.lock().clone().ok_or_else(closed)?;
        let trials = trials(&self.0.replica);
        let mut all = Pipeline::with_capacity(trials.len());
        all.ignore_errors();
        for (_, trial) in &trials {
            all.add_command(trial.clone());
        }
        let replies: Vec<RedisResult<Value>> = all.query_async(&mut connection).await?;
        let refused = |reply: &RedisResult<Value>| reply.as_ref().is_err_and(is_forbidden);
        let mut missing: Vec<String> = trials
            .into_iter()
            .zip(&replies)
            .filter_map(|((words, _), reply)| refused(reply).then_some(words))
            .collect();
        let channels = [
            ("SUBSCRIBE sg:{…}", StreamKeys::new(&self.0.replica).channel),
            ("SUBSCRIBE sg:replica:…", replica(&self.0.replica)),
        ];
        let (mut sink, _messages) = self.0.client.get_async_pubsub().await?.split();
        for (words, channel) in channels {
            match sink.subscribe(&channel).await {
                Err(error) if is_forbidden(&error) => missing.push(words.into()),
                other => other?,
            }
        }
        let more = missing.len().saturating_sub(NAMED);
        missing.truncate(NAMED);
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        Ok(missing.join(", ") + &more)
    }
}

fn closed() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::NotConnected).into()
}

/// Every command of the scripts, with a key of each form that it is used on.
fn trials(id: &str) -> Vec<(String, Cmd)> {
    let (keys, nothing) = (StreamKeys::new(id), Script::new("return 0"));
    let staged = format!("sg:{{{id}}}:staged:");
    let (key, conversation) = (format!("sg:key:{id}"), format!("sg:conversation:{{{id}}}"));
    let (channel, line) = (format!("sg:channel:{id}"), format!("sg:line:{{{id}}}"));
    let (list, budget, counted) =
        (format!("sg:list:{id}"), format!("sg:{{budget:{id}}}"), format!("{CHANNELS}:{id}"));
    let home = replica(id);
    let tried: &[(&str, &[&str])] = &[
        ("EVALSHA", &[nothing.get_hash(), "0"]),
        ("HSET", &[&keys.meta, "first", "1"]),
        ("HINCRBY", &[&keys.meta, "first", "1"]),
        ("HGET", &[&keys.meta, "first"]),
        ("HMGET", &[&keys.meta, "first"]),
        ("HDEL", &[&keys.meta, "first"]),
        ("XADD", &[&keys.frames, "*", "f", ""]),
        ("XRANGE", &[&keys.frames, "-", "+", "COUNT", "1"]),
        ("XTRIM", &[&keys.frames, "MAXLEN", "0"]),
        ("RPUSH", &[&keys.head, ""]),
        ("LINDEX", &[&keys.head, "0"]),
        ("LLEN", &[&keys.head]),
        ("SET", &[&keys.readers, "1", "PX", SHORT]),
        ("SADD", &[&keys.viewers, "1"]),
        ("SISMEMBER", &[&keys.viewers, "1"]),
        ("RPUSH", &[&staged, ""]),
        ("LPOP", &[&staged]),
        ("SET", &[&key, "1", "PX", SHORT]),
        ("GET", &[&key]),
        ("SET", &[&conversation, "1", "PX", SHORT]),
        ("SET", &[&channel, "1", "PX", SHORT]),
        ("ZADD", &[&line, "1", "1"]),
        ("ZRANGE", &[&line, "0", "-1"]),
        ("ZREM", &[&line, "1"]),
        ("ZREMRANGEBYRANK", &[&line, "0", "-1"]),
        ("ZADD", &[&list, "1", "1"]),
        ("ZREVRANGE", &[&list, "0", "0"]),
        ("HSET", &[&budget, "day", "1"]),
        ("EXPIRE", &[&budget, "10"]),
        ("ZADD", &[&counted, "1", "1"]),
        ("ZSCORE", &[&counted, "1"]),
        ("ZCARD", &[&counted]),
        ("ZREMRANGEBYSCORE", &[&counted, "-inf", "1"]),
        ("ZCARD", &[CHANNELS]),
        ("GET", &[SECRET]),
        ("EXISTS", &[&keys.meta]),
        ("PEXPIRE", &[&keys.meta, SHORT]),
        ("PUBLISH", &[&keys.channel, ""]),
        ("PUBLISH", &[&home, ""]),
    ];
    let left = [&keys.meta, &keys.frames, &keys.head, &keys.readers, &keys.viewers, &staged, &key]
        .into_iter()
        .chain([&conversation, &channel, &line, &list, &budget, &counted]);
    let trial = |command: &str, arguments: &[&str]| {
        let place = arguments.first().filter(|place| place.starts_with("sg:")).copied().unwrap_or_default();
        let words = format!("{command} {}", place.replace(id, "…"));
        (words.trim_end().to_owned(), redis::cmd(command).arg(arguments).to_owned())
    };
    let tried = PLAIN.iter().chain(tried).map(|(command, arguments)| trial(command, arguments));
    tried.chain(left.map(|key| trial("DEL", &[key]))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The commands that a script calls.
    fn calls(script: &str) -> BTreeSet<&str> {
        let parts = script.split("redis.call('").chain(script.split("redis.pcall('")).skip(1);
        parts
            .filter_map(|rest| rest.split_once('\''))
            .map(|(command, _)| command)
            .filter(is_command)
            .collect()
    }

    fn is_command(word: &&str) -> bool {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase())
    }

    #[test]
    fn every_command_of_every_script_is_tried() {
        let trials = trials("abc");
        let tried: BTreeSet<&str> = trials.iter().filter_map(|(words, _)| words.split(' ').next()).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/journal/store/lua");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let script = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for command in calls(&script) {
                assert!(tried.contains(command), "{command}");
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn no_trial_touches_what_is_in_use() {
        for (words, trial) in trials("abc") {
            let text = String::from_utf8(trial.get_packed_command()).unwrap();
            let reads = ["ZCARD", "GET"].iter().any(|command| words.starts_with(command));
            assert!(reads || !text.contains("sg:") || text.contains("abc"), "{words}");
        }
    }
}
