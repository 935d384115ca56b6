//! What a VM's console says: the output and the exit code of each step of its init.

/// The shell function that runs a step and prints its markers.
pub(crate) const STEP: &str = include_str!("step.sh");

/// One step of the VM's init.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) output: String,
    /// Exit code; `None` when the VM ended before the step did.
    pub(crate) code: Option<i32>,
}

impl Step {
    /// Whether the step ended well.
    pub(crate) fn is_ok(&self) -> bool {
        self.code == Some(0)
    }
}

/// Reads the markers that `init.sh` prints.
pub(super) fn parse(console: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in console.lines().map(str::trim_end) {
        if let Some(name) = line.strip_prefix("@@begin ") {
            steps.push(Step { name: name.to_owned(), output: String::new(), code: None });
        } else if let Some(end) = line.strip_prefix("@@end ") {
            close(&mut steps, end);
        } else if let Some(step) = steps.last_mut().filter(|step| step.code.is_none()) {
            step.output.push_str(line);
            step.output.push('\n');
        }
    }
    steps
}

fn close(steps: &mut [Step], end: &str) {
    if let Some((name, code)) = end.rsplit_once(' ')
        && let Some(step) = steps.last_mut().filter(|step| step.name == name)
    {
        step.code = code.parse().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_between_their_markers() {
        let console =
            "noise\r\n@@begin release\r\n6.1.0\r\n\r\n@@end release 0\r\nnoise\r\n@@begin demo\r\nline\r\n";
        let expected = [
            Step { name: "release".to_owned(), output: "6.1.0\n\n".to_owned(), code: Some(0) },
            Step { name: "demo".to_owned(), output: "line\n".to_owned(), code: None },
        ];
        assert_eq!(parse(console), expected);
    }
}
