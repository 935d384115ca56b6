//! `cargo xtask manifests`: what can be said of the Kubernetes manifests without a cluster.
//!
//! Every kustomization is rendered by kubectl, the Helm chart by Helm's template engine, and each object checked
//! against the API's schemas. The chart must make the same objects as the kustomizations. Alert rules are checked
//! and tested by promtool, and so are the expressions of the dashboards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::run::{self, say};
use crate::setup;
use crate::workspace::Workspace;

mod compare;
mod dashboards;
mod rules;

/// The oldest and the newest version of the API that the objects must fit.
const VERSIONS: [&str; 2] = ["1.25", "1.37"];
/// Release and namespace of the rendered chart: the names in the kustomizations.
const NAME: &str = "tracer";
/// Values of the chart under test: its own, and those with other suffixes made for one overlay each.
const VALUES: &str = "-values.yaml";

/// Everything that makes, reads and checks manifests.
struct Manifests<'a> {
    workspace: &'a Workspace,
    tools: setup::kubernetes::Tools,
    folder: PathBuf,
}

/// Checks everything; the first thing that is wrong is the error.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let folder = workspace.root.join("manifests");
    let manifests = Manifests { workspace, tools: setup::manifests(workspace)?, folder };
    let base = manifests.kustomized("base")?;
    let mut checked = base.len();
    for overlay in manifests.list("overlays")?.into_iter().chain(manifests.list("examples")?) {
        checked += manifests.kustomized(&overlay)?.len();
    }
    checked += manifests.check_chart(&base)?;
    let alerts = rules::check(&manifests)?;
    let expressions = dashboards::check(&manifests)?;
    say(format_args!(
        "manifests: {checked} objects are valid, the chart makes the same as the kustomizations, {alerts} alerts and \
         {expressions} expressions of dashboards are right"
    ));
    Ok(())
}

/// The objects of a kustomization below `manifests`, which the API would take.
pub(crate) fn objects(workspace: &Workspace, path: &str) -> Result<Vec<Value>> {
    let folder = workspace.root.join("manifests");
    Manifests { workspace, tools: setup::manifests(workspace)?, folder }.kustomized(path)
}

impl Manifests<'_> {
    /// The objects of a kustomization, which the API would take.
    fn kustomized(&self, path: &str) -> Result<Vec<Value>> {
        let mut kubectl = Command::new(&self.tools.kubectl);
        let rendered = run::output(kubectl.arg("kustomize").arg(self.folder.join(path)), "kustomize")?;
        self.objects(&rendered).with_context(|| format!("manifests/{path}"))
    }

    /// The chart with each set of values; the count of objects.
    fn check_chart(&self, base: &[Value]) -> Result<usize> {
        let sets = self.list("helm/tracer/ci")?;
        self.check_values(&sets)?;
        let plain = self.chart(None)?;
        compare::same(base, &plain).context("the chart with its own values and manifests/base")?;
        let mut count = plain.len();
        for set in &sets {
            let objects = self.chart(Some(set))?;
            count += objects.len();
            let name = Path::new(set).file_name().and_then(|name| name.to_str()?.strip_suffix(VALUES));
            let overlay =
                format!("overlays/{}", name.with_context(|| format!("{set} ends not in {VALUES}"))?);
            if self.folder.join(&overlay).exists() {
                let overlaid = self.kustomized(&overlay)?;
                compare::same(&overlaid, &objects)
                    .with_context(|| format!("the chart with {set} and manifests/{overlay}"))?;
            }
        }
        Ok(count)
    }

    /// The objects that the chart makes with some values.
    fn chart(&self, values: Option<&str>) -> Result<Vec<Value>> {
        let mut go = Command::new("go");
        go.current_dir(&self.workspace.root)
            .env("GO111MODULE", "off")
            .env("GOPATH", "/usr/share/gocode")
            .env("GOFLAGS", "")
            .env("GOCACHE", self.workspace.cache.join("go-build"))
            .args(["run", "xtask/src/manifests/render.go"])
            .arg(self.folder.join("helm/tracer"))
            .args([NAME, NAME])
            .args(values.map(|values| self.folder.join(values)));
        let rendered = run::output(&mut go, "rendering the Helm chart")?;
        self.objects(&rendered)
            .with_context(|| format!("the Helm chart with {}", values.unwrap_or("its values")))
    }

    fn check_values(&self, sets: &[String]) -> Result<()> {
        let chart = self.folder.join("helm/tracer");
        let mut python = self.python("values.py");
        python.args([chart.join("values.schema.json"), chart.join("values.yaml")]);
        python.args(sets.iter().map(|set| self.folder.join(set)));
        run::output(&mut python, "checking the chart's values against its schema").map(drop)
    }

    /// The objects of a YAML text, after their check.
    fn objects(&self, yaml: &str) -> Result<Vec<Value>> {
        let json = run::output_of_input(self.python("objects.py").args(VERSIONS), yaml, "checking objects")?;
        let objects: Vec<Value> = serde_json::from_str(&json).context("reading the objects")?;
        ensure!(!objects.is_empty(), "there are no objects");
        Ok(objects)
    }

    /// A YAML text as JSON, unchecked.
    fn yaml(&self, yaml: &str) -> Result<Value> {
        let mut python = Command::new(&self.tools.python);
        python.args(["-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"]);
        let json = run::output_of_input(&mut python, yaml, "reading YAML")?;
        serde_json::from_str(&json).context("reading YAML as JSON")
    }

    fn python(&self, script: &str) -> Command {
        let mut python = Command::new(&self.tools.python);
        python.arg(self.workspace.root.join("xtask/src/manifests").join(script));
        python
    }

    /// What a folder of the manifests holds, sorted, as paths from `manifests` on.
    fn list(&self, below: &str) -> Result<Vec<String>> {
        let folder = self.folder.join(below);
        let entries = fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
        let names: std::io::Result<Vec<String>> = entries
            .map(|entry| entry.map(|entry| format!("{below}/{}", entry.file_name().to_string_lossy())))
            .collect();
        let mut names = names.with_context(|| format!("listing {}", folder.display()))?;
        names.sort();
        Ok(names)
    }
}
