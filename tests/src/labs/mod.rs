//! The incidents as labs: each file tells one story, with its healthy twin and with what looks like it and
//! is not. A [`Story`] is data; [`run`] plays it under the tracer, and compares what was found with what
//! should be.

mod check;
mod client_throttle;
mod dead_peer;
mod dns;
mod dns_search;
mod dns_timeout;
mod endpoint_pinned;
mod etcd;
mod matrix;
mod metadata_credentials;
mod metadata_token_timeout;
pub(crate) mod python;
mod rpc;
mod run;
mod sdk;
mod seen;
mod stage;

use anyhow::{Context, Result};
use clap::ValueEnum;

pub use check::Checks;
pub use run::{Incident, Incidents};
pub use seen::Seen;
pub use stage::{Stage, Tools};

/// Every story, in the order of the matrix.
pub const ALL: &[&Story] = &[
    &metadata_credentials::STORY,
    &dns_search::STORY,
    &metadata_token_timeout::STORY,
    &dns_timeout::STORY,
    &client_throttle::STORY,
    &etcd::STORY,
    &endpoint_pinned::HEARTBEATS,
    &endpoint_pinned::FIRST,
    &dead_peer::VANISHED,
    &dead_peer::KEEPALIVE,
    &dead_peer::GOAWAY,
    &dead_peer::REFUSED,
];

/// One incident with everything that it is compared with.
pub struct Story {
    /// Its name on the command line and in the matrix.
    pub name: &'static str,
    /// What happens in it, in a sentence.
    pub tells: &'static str,
    /// The ways in which it is played; the first is the incident itself.
    pub parts: &'static [Part],
    /// Its pods.
    pub pods: &'static [&'static str],
    /// The pod that the incident is about: tcpdump listens there, and captures are read from its view.
    pub subject: &'static str,
    /// Starts the servers, and does everything else that the tracer is not to see.
    pub set_up: fn(&mut Stage) -> Result<()>,
    /// The traffic, which takes 30 s at most.
    pub traffic: fn(&Stage) -> Result<()>,
    /// Compares the story and the findings' evidence with the logs of the components.
    pub check: fn(&Stage, &Seen, &mut Checks) -> Result<()>,
}

/// One way to play a story.
pub struct Part {
    /// Which.
    pub twin: Twin,
    /// What is different in it.
    pub tells: &'static str,
    /// The identifiers of the findings that there must be, and no others.
    pub expected: &'static [&'static str],
}

/// The incident, or what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Twin {
    /// The incident.
    Sick,
    /// The same without its cause.
    Healthy,
    /// What looks like it and has no cause or another one.
    NearMiss,
}

impl Twin {
    /// As on the command line and in the matrix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sick => "sick",
            Self::Healthy => "healthy",
            Self::NearMiss => "near-miss",
        }
    }
}

impl Story {
    /// The story of this name.
    pub fn named(name: &str) -> Result<&'static Self> {
        let found = ALL.iter().find(|story| story.name == name);
        let names = || ALL.iter().map(|story| story.name).collect::<Vec<_>>().join(", ");
        found.copied().with_context(|| format!("no incident is called {name}; there are: {}", names()))
    }

    /// The part for a twin.
    pub fn part(&self, twin: Twin) -> Result<&'static Part> {
        let found = self.parts.iter().find(|part| part.twin == twin);
        found.with_context(|| format!("{} has no twin {}", self.name, twin.name()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ALL, Twin};

    #[test]
    fn every_story_has_an_incident_that_is_found_a_healthy_twin_and_a_near_miss() {
        for story in ALL {
            let expected = |twin| story.part(twin).map(|part| part.expected);
            assert!(!expected(Twin::Sick).unwrap().is_empty(), "{}", story.name);
            assert!(expected(Twin::Healthy).unwrap().is_empty(), "{}", story.name);
            assert!(expected(Twin::NearMiss).is_ok(), "{}", story.name);
            assert_eq!(story.parts[0].twin, Twin::Sick);
            assert!(story.pods.contains(&story.subject), "{}", story.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = ALL.iter().map(|story| story.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
