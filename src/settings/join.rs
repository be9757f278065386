//! Where the coordinator is, and with which token to speak to it. Shown
//! without its secret.

use std::fmt;
use std::io::Read;
use std::path::Path;

use ablate_proto::access::{Join, Token};
use anyhow::{Context, bail};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Larger files hold something else.
const MAX_FILE: u64 = 64 << 10;

/// As it was written, and the token if that was given apart from it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JoinSetting {
    text: String,
    token: Option<Token>,
}

impl JoinSetting {
    pub(crate) fn new(text: &str) -> Self {
        let text = text.trim().to_owned();
        Self { text, token: None }
    }

    /// What is behind the text. Errors do not show its secret.
    pub(crate) fn read(&self) -> anyhow::Result<Join> {
        let mut join: Join = self.text.parse()?;
        join.token = self.token.clone().or(join.token);
        let address = &join.host;
        let here = address == "localhost"
            || address
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if join.token.is_some() && join.fingerprint.is_none() && !here {
            bail!(
                "a token is not sent to {} without TLS: join with the string that `ablate token \
                 create` prints on the coordinator's machine",
                join.address()
            );
        }
        Ok(join)
    }

    /// The store that is named instead of an address, if one is.
    pub(crate) fn store(&self) -> Option<&str> {
        let public = self.text.split('#').next().unwrap_or_default();
        let (scheme, _) = public.split_once("://")?;
        (!matches!(scheme, "ablate" | "http" | "https")).then_some(public)
    }

    /// The same at the address that the store named.
    pub(crate) fn at(&self, address: &str) -> Self {
        let text = match self.text.split_once('#') {
            Some((_, secret)) => format!("ablate://{address}#{secret}"),
            None => address.to_owned(),
        };
        let token = self.token.clone();
        Self { text, token }
    }

    /// Takes in the files and variables that may say it instead. A file with
    /// the whole string comes first; a token's file comes before the token in
    /// the string, and that before the variable.
    pub(super) fn resolve(
        &mut self,
        join_file: &Path,
        token_file: &Path,
        variable: Option<&str>,
    ) -> anyhow::Result<()> {
        if !join_file.as_os_str().is_empty() {
            *self = Self::new(&read(join_file).context("reading worker.join_file")?);
        }
        if !token_file.as_os_str().is_empty() {
            let text = read(token_file).context("reading worker.token_file")?;
            let token = text.trim().parse();
            self.token =
                Some(token.with_context(|| format!("the token in {}", token_file.display()))?);
        } else if let Some(text) = variable
            && !self.text.contains('#')
        {
            self.token = Some(text.trim().parse().context("the variable ABLATE_TOKEN")?);
        }
        Ok(())
    }

    /// Without what follows `#`.
    fn public(&self) -> String {
        match self.text.split_once('#') {
            Some((public, _)) => format!("{public}#…"),
            None => self.text.clone(),
        }
    }
}

/// A file, or `-` for standard input.
fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .take(MAX_FILE)
            .read_to_string(&mut text)
            .context("standard input")?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .with_context(|| format!("{}", path.display()))?;
    }
    if text.trim().is_empty() {
        bail!("{} is empty", path.display());
    }
    Ok(text)
}

impl fmt::Debug for JoinSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.public(), f)
    }
}

impl fmt::Display for JoinSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public())
    }
}

impl Serialize for JoinSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.public())
    }
}

impl<'de> Deserialize<'de> for JoinSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "abababababababababababababababab";

    fn string() -> String {
        let fingerprint = "0".repeat(64);
        format!("ablate://box:7443#ablate_01020304_{SECRET}@{fingerprint}")
    }

    #[test]
    fn nothing_that_shows_it_shows_the_secret() {
        let join = JoinSetting::new(&string());
        let shown = format!("{join} {join:?} {}", serde_json::to_string(&join).unwrap());
        assert!(!shown.contains(SECRET), "{shown}");
        assert_eq!(join.to_string(), "ablate://box:7443#…");
        assert_eq!(join.read().unwrap().token.unwrap().id(), "01020304");
        let cut = JoinSetting::new(&string()[..90]);
        let refused = format!("{:#}", cut.read().unwrap_err());
        assert!(!refused.contains(SECRET), "{refused}");
    }

    #[test]
    fn a_store_may_stand_for_the_address() {
        let text = string().replace("ablate://box:7443", "s3://bucket/lab");
        let join = JoinSetting::new(&text);
        assert_eq!(join.store(), Some("s3://bucket/lab"));
        assert_eq!(join.at("box:7443"), JoinSetting::new(&string()));
        let plain = JoinSetting::new("file:///lab");
        assert_eq!(plain.at("[::1]:1"), JoinSetting::new("[::1]:1"));
        assert_eq!(JoinSetting::new("box:1").store(), None);
        assert_eq!(JoinSetting::new(&string()).store(), None);
    }

    #[test]
    fn files_come_before_the_string_and_the_variable_behind_it() {
        let none = Path::new("");
        let other = "ablate_0a0b0c0d_00000000000000000000000000000000";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, format!("{other}\n")).unwrap();
        let id = |join: &JoinSetting| join.read().unwrap().token.unwrap().id().to_owned();
        let mut join = JoinSetting::new(&string());
        join.resolve(none, none, Some(other)).unwrap();
        assert_eq!(id(&join), "01020304");
        join.resolve(none, &file, None).unwrap();
        assert_eq!(id(&join), "0a0b0c0d");
        let mut join = JoinSetting::new("localhost:7443");
        join.resolve(none, none, Some(other)).unwrap();
        assert_eq!(id(&join), "0a0b0c0d");
        let whole = folder.path().join("join");
        std::fs::write(&whole, string()).unwrap();
        let mut join = JoinSetting::new("elsewhere:1");
        join.resolve(&whole, none, None).unwrap();
        assert_eq!(join.read().unwrap().host, "box");
        for bad in [folder.path().join("absent"), folder.path().to_owned()] {
            let refused = join.resolve(&bad, none, None).unwrap_err();
            assert!(format!("{refused:#}").contains(bad.to_str().unwrap()));
        }
        std::fs::write(&file, SECRET).unwrap();
        let refused = join.resolve(none, &file, None).unwrap_err();
        assert!(!format!("{refused:#}").contains(SECRET));
    }

    #[test]
    fn a_token_does_not_leave_this_machine_without_tls() {
        let token = "ablate_0a0b0c0d_00000000000000000000000000000000";
        for (address, goes) in [
            ("10.0.0.1:7443", false),
            ("box:1", false),
            ("[::1]:1", true),
        ] {
            let mut join = JoinSetting::new(address);
            join.resolve(Path::new(""), Path::new(""), Some(token))
                .unwrap();
            assert_eq!(join.read().is_ok(), goes, "{address}");
        }
    }
}
