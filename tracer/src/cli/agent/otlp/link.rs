//! The connection to a collector.

use std::{fs::File, io::Read as _, path::Path, time::Duration};

use anyhow::Context as _;
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
        trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    },
    metrics::v1::ResourceMetrics,
    trace::v1::ResourceSpans,
};
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri},
};

/// How long an export may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest file of headers.
const HEADERS_LIMIT: u64 = 64 << 10;

/// Reads lines of `NAME=VALUE`, but for empty ones and those that begin with `#`; what it says of a mistake has no value.
fn read_headers(path: &Path) -> anyhow::Result<MetadataMap> {
    let what = || format!("cannot use the headers for the collector in {}", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(what)?;
    file.take(HEADERS_LIMIT).read_to_string(&mut text).with_context(what)?;
    headers(&text).with_context(what)
}

fn headers(text: &str) -> anyhow::Result<MetadataMap> {
    let mut headers = MetadataMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        let (name, value) =
            line.split_once('=').with_context(|| format!("line {number} is not NAME=VALUE"))?;
        let key = AsciiMetadataKey::from_bytes(name.trim().to_ascii_lowercase().as_bytes())
            .map_err(|_| anyhow::anyhow!("line {number}: no name of a header stands before the ="))?;
        let mut value: AsciiMetadataValue = value.trim().parse().map_err(|_| {
            anyhow::anyhow!("line {number}: the value of {key} has characters that no header may have")
        })?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Reads a URL with a scheme, a host and no path.
pub(super) fn parse_endpoint(text: &str) -> Result<Uri, String> {
    let uri: Uri =
        text.parse().map_err(|error| format!("{error}: expected http://host:4317 or https://host:4317"))?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    if !known || uri.host().is_none_or(str::is_empty) {
        return Err("expected http://host:4317 or https://host:4317".to_owned());
    }
    if !matches!(uri.path(), "" | "/") {
        return Err("OTLP over gRPC has no path: expected http://host:4317 or https://host:4317".to_owned());
    }
    Ok(uri)
}

/// Exports over one connection, which is made when it is needed and again when it broke.
#[derive(Clone)]
pub(super) struct Link {
    endpoint: Endpoint,
    headers: MetadataMap,
}

impl Link {
    /// To an endpoint, with a file of headers and one of a certificate authority.
    pub(super) fn new(uri: &Uri, headers: Option<&Path>, ca: Option<&Path>) -> anyhow::Result<Self> {
        let mut endpoint = Channel::builder(uri.clone()).connect_timeout(TIMEOUT).timeout(TIMEOUT);
        if uri.scheme_str() == Some("https") {
            let mut tls = ClientTlsConfig::new();
            tls = match ca {
                Some(path) => {
                    let pem = std::fs::read(path).with_context(|| {
                        format!("cannot read the collector's certificate authority {}", path.display())
                    })?;
                    tls.ca_certificate(Certificate::from_pem(pem))
                }
                None => tls.with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).context("cannot prepare TLS to the collector")?;
        }
        let headers = headers.map(read_headers).transpose()?.unwrap_or_default();
        Ok(Self { endpoint, headers })
    }

    /// Where it leads.
    pub(super) fn uri(&self) -> &Uri {
        self.endpoint.uri()
    }

    /// The channel; must be called within a runtime.
    pub(super) fn channel(&self) -> Channel {
        self.endpoint.connect_lazy()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request
    }

    /// Exports spans; says how many the collector rejected.
    pub(super) async fn spans(&self, channel: Channel, spans: Vec<ResourceSpans>) -> Result<u64, Status> {
        let request = self.request(ExportTraceServiceRequest { resource_spans: spans });
        let response = TraceServiceClient::new(channel).export(request).await?.into_inner();
        Ok(response.partial_success.map_or(0, |partial| partial.rejected_spans.max(0).cast_unsigned()))
    }

    /// Exports metrics; says how many points the collector rejected.
    pub(super) async fn metrics(&self, channel: Channel, metrics: ResourceMetrics) -> Result<u64, Status> {
        let request = self.request(ExportMetricsServiceRequest { resource_metrics: vec![metrics] });
        let response = MetricsServiceClient::new(channel).export(request).await?.into_inner();
        Ok(response.partial_success.map_or(0, |partial| partial.rejected_data_points.max(0).cast_unsigned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_scheme_and_a_host_and_no_path() {
        assert!(parse_endpoint("http://collector.monitoring:4317").is_ok());
        assert!(parse_endpoint("https://[fd00::1]:4317/").is_ok());
        for wrong in
            ["collector:4317", "ftp://collector", "http://collector:4318/v1/traces", "http://", "a b"]
        {
            let error = parse_endpoint(wrong).unwrap_err();
            assert!(error.contains("expected http://host:4317"), "{wrong}: {error}");
        }
    }

    #[test]
    fn headers_are_lines() {
        let headers = headers("# the token\nAuthorization=Bearer a=b\n\nx-scope = team-1\n").unwrap();
        assert_eq!(headers.get("authorization").unwrap(), "Bearer a=b");
        assert_eq!(headers.get("x-scope").unwrap(), "team-1");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn what_is_said_of_a_header_has_not_its_value() {
        for wrong in ["s3cr3t", "a b=s3cr3t", "authorization=s3cr3t\u{1}"] {
            let error = headers(&format!("x=y\n{wrong}")).unwrap_err().to_string();
            assert!(error.contains("line 2") && !error.contains("s3cr3t"), "{wrong}: {error}");
        }
        let link = Link {
            endpoint: Endpoint::from_static("http://[::1]:4317"),
            headers: headers("a=s3cr3t").unwrap(),
        };
        assert!(!format!("{:?}", link.headers).contains("s3cr3t"));
    }
}
