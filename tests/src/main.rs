//! `tracer-lab`: the servers of the lab and its demonstrations.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracer_lab::demo::Demo;
use tracer_lab::labs::{Incident, Incidents};
use tracer_lab::node::Node;
use tracer_lab::role::{
    answer, backend, broken, bulk, client, dns_relay, elastic, grpc, load, long_way, metadata, otlp, steady,
    wait,
};
use tracer_lab::soak::Soak;

/// The lab of tracer: servers for incidents, to be run inside the lab's pods.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The metadata incident, traced live, and its healthy twin
    Demo(Demo),
    /// One incident with the tracer on it, and everything that a user would read
    Incident(Incident),
    /// All incidents with the tracer on them, as a matrix of labs and findings
    Incidents(Incidents),
    /// A metadata service as in a cloud instance
    Metadata(metadata::Metadata),
    /// A stand-in for Elasticsearch
    Elastic(elastic::Elastic),
    /// A stand-in for any service that answers GETs
    Answer(answer::Answer),
    /// Holds the answers of a real DNS server for a while
    DnsRelay(dns_relay::DnsRelay),
    /// The backend of the incident
    Backend(backend::Backend),
    /// Numbered requests to the backend
    Client(client::Client),
    /// Accepts requests and ends their connections instead of answering
    Broken(broken::Broken),
    /// Answers with long bodies, and takes them
    BulkServer(bulk::Server),
    /// One request with a long body, or for one
    BulkClient(bulk::Client),
    /// A gRPC service that answers as it is asked to
    GrpcServer(grpc::Server),
    /// Many gRPC calls at once on one connection
    GrpcClient(grpc::Client),
    /// Plain requests at a given rate
    Load(load::Load),
    /// Carries packets of a device, slowly
    LongWay(long_way::LongWay),
    /// Takes what an OpenTelemetry collector passes on
    OtlpReceiver(otlp::Receiver),
    /// Clients of a web front at a steady rate
    SteadyWeb(steady::web::Web),
    /// Lookups at a steady rate
    SteadyLookups(steady::lookups::Lookups),
    /// gRPC calls and streams at a steady rate
    SteadyCalls(grpc::Steady),
    /// Reads and writes of etcd at a steady rate
    SteadyKeys(grpc::Keys),
    /// Healthy mixed traffic with the agent on it
    Soak(Soak),
    /// A Kubernetes node without Kubernetes; for a VM of its own
    Node(Node),
    /// Waits: the process of a sandbox
    Wait,
    /// Removes what killed labs left
    Sweep,
}

impl Command {
    /// Whether it logs times that others are measured by.
    fn keeps_time(&self) -> bool {
        !matches!(
            self,
            Self::Demo(_)
                | Self::Incident(_)
                | Self::Incidents(_)
                | Self::Soak(_)
                | Self::Load(_)
                | Self::SteadyWeb(_)
                | Self::SteadyLookups(_)
                | Self::SteadyCalls(_)
                | Self::SteadyKeys(_)
                | Self::Node(_)
                | Self::Wait
                | Self::Sweep
        )
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if command.keeps_time() {
        tracer_lab::priority::raise();
    }
    let outcome = match command {
        Command::Demo(demo) => demo.run(),
        Command::Incident(incident) => incident.run(),
        Command::Incidents(incidents) => incidents.run(),
        Command::Metadata(role) => role.run(),
        Command::Elastic(role) => role.run(),
        Command::Answer(role) => role.run(),
        Command::DnsRelay(role) => role.run(),
        Command::Backend(role) => role.run(),
        Command::Client(role) => role.run(),
        Command::Broken(role) => role.run(),
        Command::BulkServer(role) => role.run(),
        Command::BulkClient(role) => role.run(),
        Command::GrpcServer(role) => role.run(),
        Command::GrpcClient(role) => role.run(),
        Command::Load(role) => role.run(),
        Command::LongWay(role) => role.run(),
        Command::OtlpReceiver(role) => role.run(),
        Command::SteadyWeb(role) => role.run(),
        Command::SteadyLookups(role) => role.run(),
        Command::SteadyCalls(role) => role.run(),
        Command::SteadyKeys(role) => role.run(),
        Command::Soak(soak) => soak.run(),
        Command::Node(node) => node.run(),
        Command::Wait => wait::run(),
        Command::Sweep => {
            tracer_lab::pod::sweep::sweep();
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tracer-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
