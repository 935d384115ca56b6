//! `tracer-lab incident` and `tracer-lab incidents`: one lab with everything that a user would read, and all
//! labs as a matrix.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::matrix::{self, Row};
use super::seen::{found, keep_logs, watch};
use super::{ALL, Checks, Part, Seen, Stage, Story, Tools, Twin};

/// No traffic takes longer, in seconds.
const LONGEST: f64 = 40.0;

/// What every lab needs.
#[derive(Args)]
struct Common {
    /// The tracer program
    #[arg(long)]
    tracer: PathBuf,
    /// A Python that has an AWS SDK from before 2022, which refreshes what lives 15 minutes or less
    #[arg(long)]
    aws_sdk: PathBuf,
    /// Directory for a folder per lab, and for summary.json
    #[arg(long)]
    out: PathBuf,
}

/// Flags of one lab.
#[derive(Args)]
pub struct Incident {
    /// Which incident
    name: String,
    /// The incident itself, or what it is compared with
    #[arg(long, value_enum, default_value_t = Twin::Sick)]
    twin: Twin,
    #[command(flatten)]
    common: Common,
}

/// Flags of all labs.
#[derive(Args)]
pub struct Incidents {
    /// Only these incidents, with all their twins
    names: Vec<String>,
    #[command(flatten)]
    common: Common,
}

impl Incident {
    /// Runs the lab and prints what a user would read; an error when anything is not as expected.
    pub fn run(&self) -> Result<()> {
        let story = Story::named(&self.name)?;
        let part = story.part(self.twin)?;
        let row = self.common.row(story, part, true);
        print!("\n{}", matrix::table(std::slice::from_ref(&row)));
        ensure!(row.as_expected(), "{} {} is not as expected", row.lab, row.twin);
        Ok(())
    }
}

impl Incidents {
    /// Runs the labs, prints the matrix and writes it; an error when anything is not as expected.
    pub fn run(&self) -> Result<()> {
        let named = self.names.iter().map(|name| Story::named(name)).collect::<Result<Vec<_>>>()?;
        let stories = if named.is_empty() { ALL.to_vec() } else { named };
        let mut rows = Vec::new();
        for story in stories {
            for part in story.parts {
                rows.push(self.common.row(story, part, false));
                self.common.write_summary(&rows)?;
            }
        }
        print!("\n{}", matrix::table(&rows));
        let wrong = rows.iter().filter(|row| !row.as_expected()).count();
        ensure!(wrong == 0, "{wrong} of {} labs are not as expected", rows.len());
        Ok(())
    }
}

impl Common {
    /// Plays a part; what keeps it from being played is in the row.
    fn row(&self, story: &Story, part: &Part, full: bool) -> Row {
        let mut expected: Vec<_> = part.expected.iter().map(|&id| id.to_owned()).collect();
        expected.sort();
        let row =
            Row { lab: story.name.to_owned(), twin: part.twin.name().to_owned(), expected, ..Row::default() };
        match self.play(story, part, full) {
            Ok((seen, checks)) => Row {
                found_live: Some(seen.found_live()),
                found_offline: Some(seen.found_offline()),
                wrong: checks.wrong(),
                ..row
            },
            Err(error) => Row { wrong: vec![format!("the lab failed: {error:#}")], ..row },
        }
    }

    fn play(&self, story: &Story, part: &Part, full: bool) -> Result<(Seen, Checks)> {
        println!("{} {}: {}", story.name, part.twin.name(), part.tells);
        let out = self.out.join(format!("{}-{}", story.name, part.twin.name()));
        // What an earlier run left must not be taken for this one's.
        let _absent = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
        let lab = std::env::current_exe().context("find tracer-lab itself")?;
        let tools = Tools { lab, aws_sdk: self.aws_sdk.clone() };
        let mut stage = Stage::new(part.twin, &tools, story.pods)?;
        if full {
            opening(story, &stage);
        }
        let outcome = self.judge(story, &mut stage, &out);
        keep_logs(stage.lab.dir(), &out)?;
        let (seen, checks) = outcome?;
        if full {
            tables(&seen, &out);
        }
        checks.lines().for_each(|line| println!("  {line}"));
        Ok((seen, checks))
    }

    fn judge(&self, story: &Story, stage: &mut Stage, out: &Path) -> Result<(Seen, Checks)> {
        (story.set_up)(stage).context("set the lab up")?;
        let seen = watch(story, stage, &self.tracer, out)?;
        let mut checks = Checks::default();
        let took = seen.took.as_secs_f64();
        checks.holds(took < LONGEST, format_args!("{took:.1} s of traffic"));
        (story.check)(stage, &seen, &mut checks).context("compare with the logs")?;
        Ok((seen, checks))
    }

    fn write_summary(&self, rows: &[Row]) -> Result<()> {
        let file = self.out.join("summary.json");
        let json = serde_json::to_string_pretty(rows)?;
        fs::write(&file, json + "\n").with_context(|| format!("write {}", file.display()))
    }
}

fn opening(story: &Story, stage: &Stage) {
    println!("\n{}\n\nThe pods:", story.tells);
    for (name, pod) in stage.pods() {
        let look = if name == story.subject { "  look here" } else { "" };
        println!("  {name:<9} {} {}{look}", pod.addresses().v4, pod.uid());
    }
    println!();
}

/// What a user would read.
fn tables(seen: &Seen, out: &Path) {
    println!("$ tracer live --waterfall 1\n\n{}\n", seen.live_table.trim_end());
    println!(
        "$ tracer analyze {}\n\n{}\n",
        out.join("tcpdump.pcap").display(),
        seen.offline_table.trim_end()
    );
    let masked = found(seen.capture.pods.iter()).join(", ");
    println!("$ tracer analyze {}", out.join("capture.pcapng").display());
    println!("findings: {}\n", if masked.is_empty() { "none" } else { &masked });
}
