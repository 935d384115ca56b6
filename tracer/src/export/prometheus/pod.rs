//! The series of one pod, made when there is something to count.

use prometheus::{GaugeVec, Registry, Result};

use super::{
    call, dns,
    maker::{Maker, PodLabels},
    metadata, naming, own, request, tcp,
};
use crate::request::{Attribution, Call, Request, What, folded::Folded};

/// Every metric family.
pub(super) struct Families {
    request: request::Families,
    call: call::Families,
    dns: dns::Families,
    metadata: metadata::Families,
    tcp: tcp::Families,
    findings: GaugeVec,
    pub(super) own: own::Families,
    pub(super) naming: naming::Families,
}

impl Families {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let make = Maker(registry);
        Ok(Self {
            request: request::Families::new(&make)?,
            call: call::Families::new(&make)?,
            dns: dns::Families::new(&make)?,
            metadata: metadata::Families::new(&make)?,
            tcp: tcp::Families::new(&make)?,
            findings: make.pod_gauge(
                "tracer_finding_active",
                "1 while the pod has the finding, otherwise 0.",
                &["finding"],
            )?,
            own: own::Families::new(&make)?,
            naming: naming::Families::new(&make)?,
        })
    }
}

/// A pod that serves nothing, makes no lookup or never asks the metadata service has no series for it.
pub(super) struct PodSeries {
    labels: PodLabels,
    request: Option<request::Series>,
    call: Option<call::Series>,
    dns: Option<dns::Series>,
    metadata: Option<metadata::Series>,
    tcp: Option<tcp::Series>,
}

impl PodSeries {
    pub(super) fn new(labels: PodLabels) -> Self {
        Self { labels, request: None, call: None, dns: None, metadata: None, tcp: None }
    }

    pub(super) fn labels(&self) -> &PodLabels {
        &self.labels
    }

    pub(super) fn settled(&mut self, families: &Families, request: &Request) {
        self.request(families).settled(request);
    }

    pub(super) fn folded(&mut self, families: &Families, folded: &Folded) {
        self.request(families).folded(folded);
    }

    fn request(&mut self, families: &Families) -> &mut request::Series {
        self.request.get_or_insert_with(|| request::Series::new(&families.request, &self.labels))
    }

    pub(super) fn ended(&mut self, families: &Families, call: &Call, attribution: Attribution) {
        let labels = &self.labels;
        let duration = call.end.saturating_sub(call.start);
        let series = self.call.get_or_insert_with(|| call::Series::new(&families.call, labels));
        series.ended(&families.call, labels, call, attribution);
        match &call.what {
            What::Dns(lookup) => {
                let new = || dns::Series::new(&families.dns, labels);
                self.dns.get_or_insert_with(new).ended(lookup, duration);
            }
            What::Metadata(metadata) => {
                let new = || metadata::Series::new(&families.metadata, labels);
                self.metadata.get_or_insert_with(new).ended(&families.metadata, labels, metadata, duration);
            }
            What::Connect { .. } | What::Tls { .. } | What::Http(_) | What::Opaque => {}
        }
    }

    pub(super) fn connect(&mut self, families: &Families, result: tcp::ConnectResult, nanoseconds: u64) {
        let labels = &self.labels;
        let series = self.tcp.get_or_insert_with(|| tcp::Series::new(&families.tcp, labels));
        series.connect(&families.tcp, labels, result, nanoseconds);
    }

    pub(super) fn tcp(&mut self, families: &Families) -> &tcp::Series {
        self.tcp.get_or_insert_with(|| tcp::Series::new(&families.tcp, &self.labels))
    }

    pub(super) fn finding(&self, families: &Families, id: &str, active: bool) {
        families.findings.with_label_values(&self.labels.with(id)).set(f64::from(active));
    }

    pub(super) fn flush(&mut self) {
        self.request.iter_mut().for_each(request::Series::flush);
        self.call.iter().for_each(call::Series::flush);
        self.dns.iter().for_each(dns::Series::flush);
        self.metadata.iter().for_each(metadata::Series::flush);
        self.tcp.iter().for_each(tcp::Series::flush);
    }

    /// Takes the pod's series out of every family; `findings` are all that any pod had.
    pub(super) fn remove<'a>(&self, families: &Families, findings: impl IntoIterator<Item = &'a str>) {
        request::remove(&families.request, &self.labels);
        call::remove(&families.call, &self.labels);
        dns::remove(&families.dns, &self.labels);
        metadata::remove(&families.metadata, &self.labels);
        tcp::remove(&families.tcp, &self.labels);
        for id in findings {
            let _ = families.findings.remove_label_values(&self.labels.with(id));
        }
    }
}
