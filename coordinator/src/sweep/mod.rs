//! From a sweep file to a plan: pure, without I/O.

pub mod plan;

pub struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}
pub struct Options {
    pub profile: Option<String>,
    pub set: Vec<String>,
}
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct SweepError;
pub fn plan(_s: &Source<'_>, _o: &Options) -> Result<plan::Plan, SweepError> {
    Err(SweepError)
}
