//! Finds the one live job that a trigger names; pure.

use tidegate_calculator::source::{ReadError, ReadErrorKind};

use super::client::JobId;
use super::client::jobs::{JobState, JobSummary};

/// Which job a trigger means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wanted {
    /// The job with this id.
    Id(JobId),
    /// The live job with this name.
    Name(String),
}

impl Wanted {
    /// 32 hexadecimal digits are an id; anything else is a name.
    pub(super) fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }

    /// What messages call it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Id(id) => format!("job {id}"),
            Self::Name(name) => format!("job {name:?}"),
        }
    }

    /// The job among all that the JobManager knows. Errors complete "SERVER: ...".
    ///
    /// Jobs at their end do not count: Flink lists them for a while. A job that is not there may come, so that is the source's state and not
    /// a mistake of the user; two of one name do not become one by themselves.
    pub(super) fn among(&self, jobs: &[JobSummary]) -> Result<JobId, ReadError> {
        let is_meant = |job: &&JobSummary| match self {
            Self::Id(id) => job.id == *id,
            Self::Name(name) => job.name == *name,
        };
        let live: Vec<&JobSummary> = jobs.iter().filter(is_meant).filter(|job| job.state.is_live()).collect();
        match live.as_slice() {
            [one] => Ok(one.id.clone()),
            [] => {
                let last = jobs.iter().filter(is_meant).max_by_key(|job| job.start_time);
                Err(last.map_or_else(|| self.absent(), |job| self.ended(job.state)))
            }
            several => {
                let what = format!("{} live jobs are named like {}; name one by its id", several.len(), self.shown());
                Err(ReadError::query(ReadErrorKind::Config, what))
            }
        }
    }

    /// The error of a job that the JobManager does not know.
    pub(super) fn absent(&self) -> ReadError {
        ReadError::query(ReadErrorKind::Unavailable, format!("there is no {}", self.shown()))
    }

    /// The error of a job that is at its end, or on its way there.
    pub(super) fn ended(&self, state: JobState) -> ReadError {
        ReadError::query(ReadErrorKind::Unavailable, format!("{} is {}", self.shown(), state.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(list: &[(&str, &str, &str)]) -> Vec<JobSummary> {
        let one = |(index, (id, name, state)): (usize, &(&str, &str, &str))| {
            let id = format!("{id:0>32}");
            format!(r#"{{"jid":"{id}","name":"{name}","state":"{state}","start-time":{},"tasks":{{}}}}"#, index + 1)
        };
        let texts: Vec<String> = list.iter().enumerate().map(one).collect();
        serde_json::from_str(&format!("[{}]", texts.join(","))).unwrap()
    }

    #[test]
    fn exactly_one_live_job_is_meant() {
        let all =
            jobs(&[("1", "a", "FINISHED"), ("2", "a", "RUNNING"), ("3", "b", "RESTARTING"), ("4", "b", "CREATED")]);
        let find = |wanted: &str| {
            Wanted::of(wanted).among(&all).map(|id| id.to_string()).map_err(|error| (error.kind, error.message))
        };
        assert_eq!(find("a"), Ok(format!("{:0>32}", 2)));
        assert_eq!(find(&format!("{:0>32}", 4)), Ok(format!("{:0>32}", 4)), "an id is enough where names are not");
        let several = "2 live jobs are named like job \"b\"; name one by its id".to_owned();
        assert_eq!(find("b"), Err((ReadErrorKind::Config, several)));
        assert_eq!(find("c"), Err((ReadErrorKind::Unavailable, "there is no job \"c\"".to_owned())));
        let ended = format!("job {:0>32} is FINISHED", 1);
        assert_eq!(find(&format!("{:0>32}", 1)), Err((ReadErrorKind::Unavailable, ended)));
    }

    #[test]
    fn of_jobs_at_their_end_the_last_is_told() {
        let all = jobs(&[("1", "a", "FINISHED"), ("2", "a", "FAILED")]);
        assert_eq!(Wanted::of("a").among(&all).unwrap_err().message, "job \"a\" is FAILED");
    }
}
