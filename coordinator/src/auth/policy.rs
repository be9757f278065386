//! Which roles may call which RPC: the one place that says so.

use ablate_proto::access::RPCS;
use ablate_proto::access::Role::{self, Admin, User, Worker};

/// A line for every RPC of the contract. One without is not compiled.
const POLICY: [(&str, &[Role]); RPCS.len()] = [
    ("/ablate.v1.Cluster/Session", &[Worker, Admin]),
    ("/ablate.v1.Sweeps/Submit", &[User, Admin]),
    ("/ablate.v1.Sweeps/Status", &[User, Admin]),
    ("/ablate.v1.Sweeps/Watch", &[User, Admin]),
    ("/ablate.v1.Sweeps/Logs", &[User, Admin]),
    ("/ablate.v1.Sweeps/Cancel", &[User, Admin]),
    ("/ablate.v1.Sweeps/Pause", &[User, Admin]),
    ("/ablate.v1.Sweeps/Resume", &[User, Admin]),
    ("/ablate.v1.Sweeps/Prioritise", &[User, Admin]),
    ("/ablate.v1.Sweeps/Retry", &[User, Admin]),
    ("/ablate.v1.Sweeps/Drain", &[Admin]),
    ("/ablate.v1.Sweeps/Explain", &[User, Admin]),
];

const _: () = assert!(
    covers(&POLICY, RPCS),
    "an RPC has no policy: say which roles may call it, in POLICY"
);

/// The roles that may call this path; `None` for what is not of the contract.
pub(super) fn roles(path: &str) -> Option<&'static [Role]> {
    let found = POLICY.iter().find(|(known, _)| *known == path);
    found.map(|(_, roles)| *roles)
}

const fn covers(policy: &[(&str, &[Role])], rpcs: &[&str]) -> bool {
    let mut rpc = 0;
    while rpc < rpcs.len() {
        let mut line = 0;
        while line < policy.len() && !same(policy[line].0, rpcs[rpc]) {
            line += 1;
        }
        if line == policy.len() || policy[line].1.is_empty() {
            return false;
        }
        rpc += 1;
    }
    true
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rpc_without_a_policy_is_found() {
        assert!(covers(&POLICY, RPCS));
        assert!(!covers(&POLICY, &["/ablate.v1.Sweeps/Sub"]));
        assert!(!covers(&POLICY, &["/ablate.v1.Sweeps/SubmitAll"]));
        assert!(!covers(&[("/a", &[])], &["/a"]));
        assert!(covers(&[("/a", &[Admin])], &["/a"]));
    }

    #[test]
    fn workers_hold_sessions_and_nothing_else() {
        for path in RPCS {
            let may = roles(path).unwrap();
            assert_eq!(may.contains(&Worker), path.ends_with("/Session"), "{path}");
            assert!(may.contains(&Admin), "{path}");
        }
        assert_eq!(roles("/ablate.v1.Sweeps/Drain"), Some(&[Admin][..]));
        assert_eq!(roles("/grpc.health.v1.Health/Check"), None);
    }
}
