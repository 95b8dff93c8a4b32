//! The store that replicas share is not built in: there is none, which the compiler knows.

#![expect(clippy::unused_async, reason = "a store that is built in waits")]

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::journal::list::Entry;
use crate::journal::new::{Asker, ChannelError, Claim, StoreError};
use crate::journal::record::{Gone, Meta, Outbox, Record, Trimmed, Viewer};
use crate::journal::shelf::Shelf;
use crate::journal::{Config, Key, OpenError};
use crate::telemetry::Metrics;

#[derive(Clone, Debug)]
pub(super) enum Store {}

pub(super) fn is_url(_: &str) -> bool {
    true
}

impl Store {
    pub(super) fn new(_: &Config, _: Metrics, _: Bytes) -> Option<Self> {
        None
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        match *self {}
    }

    pub(super) fn secret(&self) -> watch::Receiver<Bytes> {
        match *self {}
    }

    pub(super) fn is_up(&self) -> bool {
        match *self {}
    }

    pub(super) async fn connect(&self) {
        match *self {}
    }

    pub(super) async fn run(&self, _: &Shelf) {
        match *self {}
    }

    pub(super) async fn draw(
        &self,
        _: &str,
        _: [i64; 3],
        _: Option<i64>,
        _: bool,
    ) -> Option<(bool, [i64; 3])> {
        match *self {}
    }

    pub(super) async fn flush(&self, _: &Shelf) {
        match *self {}
    }

    pub(super) async fn begin(&self, _: &Record) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) async fn claim(
        &self,
        _: &Meta,
        _: &Key,
        _: Option<&Claim>,
    ) -> Result<Option<Claim>, StoreError> {
        match *self {}
    }

    pub(super) async fn converse(
        &self,
        _: &Meta,
        _: &str,
        _: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        match *self {}
    }

    pub(super) async fn conversation(&self, _: Option<&str>, _: &str) -> Result<Option<String>, StoreError> {
        match *self {}
    }

    pub(super) async fn of_alias(&self, _: Option<&str>, _: &str) -> Result<Option<String>, StoreError> {
        match *self {}
    }

    pub(super) async fn open(&self, _: &Shelf, _: Asker<'_>, _: &str) -> Result<Arc<Record>, OpenError> {
        match *self {}
    }

    pub(super) async fn listed(&self, _: Option<&str>) -> Result<Vec<(u64, String)>, StoreError> {
        match *self {}
    }

    pub(super) async fn unlist(&self, _: Option<&str>, _: Vec<String>) {
        match *self {}
    }

    pub(super) async fn entry(&self, _: Option<&str>, _: &str) -> Result<Option<Entry>, StoreError> {
        match *self {}
    }

    pub(super) async fn line(&self, _: Option<&str>, _: &str) -> Result<Vec<String>, StoreError> {
        match *self {}
    }

    pub(super) async fn leave_line(&self, _: Option<&str>, _: &str, _: &[String]) {
        match *self {}
    }

    pub(super) async fn channel(&self, _: Option<&str>, _: &str) -> Result<Option<String>, StoreError> {
        match *self {}
    }

    pub(super) async fn open_channel(
        &self,
        _: Option<&str>,
        _: &str,
        _: Option<&str>,
    ) -> Result<String, ChannelError> {
        match *self {}
    }

    pub(super) async fn publish(
        &self,
        _: Option<&str>,
        _: &str,
        _: &Bytes,
    ) -> Result<(String, u64), ChannelError> {
        match *self {}
    }

    pub(super) async fn end_channel(&self, _: Option<&str>, _: &str) -> Result<bool, StoreError> {
        match *self {}
    }

    pub(super) async fn cancel(&self, _: &str, _: Gone) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) async fn admit(&self, _: &str, _: &mut Viewer) -> Result<(), Trimmed> {
        match *self {}
    }

    pub(super) async fn delete(&self, _: &str) -> Result<(), StoreError> {
        match *self {}
    }
}
