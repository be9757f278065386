//! `ablate cert`: a private authority and the coordinator's certificate.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ablate_coordinator::tls::{self, AUTHORITY, AUTHORITY_KEY, CHAIN, KEY};
use ablate_proto::access::Join;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::Context;
use crate::exit::{CliResult, Exit, OrExit};
use crate::lines;

pub(super) const DEFAULT_FOLDER: &str = "ablate-tls";
/// The names that the certificate is for, one a line; the first is the one
/// that others join by.
const NAMES: &str = "names";
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Clocks of other machines may be behind.
const BEFORE: Duration = Duration::from_secs(24 * 3600);

#[derive(Subcommand)]
pub(super) enum CertCommand {
    /// Make a private authority, and a certificate for the coordinator
    Init(CertArgs),
    /// Make a new certificate by the same authority; strings to join with stay as they are
    Renew(CertArgs),
}

#[derive(Args)]
pub(super) struct CertArgs {
    /// Folder for certificates and keys
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    dir: PathBuf,
    /// A name or address that others know this machine by; the first goes into the strings to join
    /// with [default: the host's name]
    #[arg(long, value_name = "HOST")]
    name: Vec<String>,
    /// How long the coordinator's certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

pub(super) fn cert(context: &Context, command: &CertCommand) -> CliResult {
    let (args, names) = match command {
        CertCommand::Init(args) => (args, init(args).or_exit(Exit::Refused)?),
        CertCommand::Renew(args) => (args, renew(args).or_exit(Exit::Refused)?),
    };
    let fingerprint = tls::fingerprint(&args.dir).or_exit(Exit::Refused)?;
    let folder = args.dir.display();
    if context.json {
        lines::json(&serde_json::json!({
            "folder": args.dir, "names": names, "fingerprint": fingerprint.to_string(),
        }));
    } else {
        lines::line(format_args!(
            "certificates in {folder}, for {}\nfingerprint of the authority: {fingerprint}\n\
             make a token with: ablate token create --role worker --tls-dir {folder}",
            names.join(", ")
        ));
    }
    Ok(Exit::Done)
}

/// The name that others join by.
pub(super) fn first_name(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join(NAMES);
    let names = std::fs::read_to_string(&path)
        .with_context(|| format!("reading {}; or name the host with --host", path.display()))?;
    let first = names.lines().next().map(str::trim).unwrap_or_default();
    Ok(first.to_owned())
}

fn init(args: &CertArgs) -> anyhow::Result<Vec<String>> {
    let folder = &args.dir;
    for name in [AUTHORITY, AUTHORITY_KEY, CHAIN, KEY, NAMES] {
        let path = folder.join(name);
        if path.exists() {
            bail!(
                "{} is there already, and machines that joined rely on it: `ablate cert renew` \
                 makes a new certificate by the same authority; for a new authority name another \
                 folder with --dir",
                path.display()
            );
        }
    }
    let names = names(&args.name)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making the folder {}", folder.display()))?;
    let key = KeyPair::generate().context("making the authority's key")?;
    let authority = authority()?.self_signed(&key);
    let authority = authority.context("making the authority")?.pem();
    let (chain, server_key) = server(&key, &authority, &names, args.days)?;
    write(folder, AUTHORITY_KEY, &key.serialize_pem(), 0o600)?;
    write(folder, KEY, &server_key, 0o600)?;
    write(folder, AUTHORITY, &authority, 0o644)?;
    write(folder, CHAIN, &chain, 0o644)?;
    write(folder, NAMES, &lines_of(&names), 0o644)?;
    Ok(names)
}

fn renew(args: &CertArgs) -> anyhow::Result<Vec<String>> {
    let folder = &args.dir;
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| {
            format!(
                "reading {}; `ablate cert init` makes a new authority",
                path.display()
            )
        })
    };
    let key = KeyPair::from_pem(&read(AUTHORITY_KEY)?)
        .with_context(|| format!("the key in {}", folder.join(AUTHORITY_KEY).display()))?;
    let authority = read(AUTHORITY)?;
    let names = match &args.name[..] {
        [] => read(NAMES)?.lines().map(str::to_owned).collect(),
        names => self::names(names)?,
    };
    let (chain, server_key) = server(&key, &authority, &names, args.days)?;
    replace(folder, KEY, &server_key, 0o600)?;
    replace(folder, CHAIN, &chain, 0o644)?;
    replace(folder, NAMES, &lines_of(&names), 0o644)?;
    Ok(names)
}

/// The names given, or else this host's; always those of the loopback too.
fn names(given: &[String]) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = given.to_vec();
    if names.is_empty() {
        let host = nix::unistd::gethostname().context("asking for this host's name")?;
        names.push(host.to_string_lossy().into_owned());
    }
    for name in &names {
        let known = name.parse::<std::net::IpAddr>().is_ok() || {
            let join = format!("{name}:1").parse::<Join>();
            join.is_ok_and(|join| join.host == *name)
        };
        if !known {
            bail!("`{name}` is neither a name nor an address that others could join by");
        }
    }
    for name in ["localhost", "127.0.0.1", "::1"] {
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn lines_of(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

/// The same each time, so that a renewed certificate names the same issuer.
fn authority() -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = called("ablate private authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + 20 * YEAR).into();
    Ok(params)
}

/// The coordinator's certificate with the authority's behind it, and its key.
fn server(
    authority_key: &KeyPair,
    authority: &str,
    names: &[String],
    days: u32,
) -> anyhow::Result<(String, String)> {
    let params = CertificateParams::new(names);
    let mut params = params.with_context(|| format!("a certificate for {}", names.join(", ")))?;
    params.distinguished_name = called("ablate coordinator");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + days * Duration::from_secs(24 * 3600)).into();
    let key = KeyPair::generate().context("making the coordinator's key")?;
    let issuer = self::authority()?;
    let issuer = Issuer::from_params(&issuer, authority_key);
    let certificate = params.signed_by(&key, &issuer);
    let certificate = certificate.context("making the coordinator's certificate")?;
    Ok((certificate.pem() + authority, key.serialize_pem()))
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// Writes a file that must not be there yet.
fn write(folder: &Path, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
    let path = folder.join(name);
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("writing {}", path.display()))
}

/// The same, in the place of an older one.
fn replace(folder: &Path, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
    let new = format!("{name}.new");
    let path = folder.join(&new);
    // Left by one that was killed.
    let _ = std::fs::remove_file(&path);
    write(folder, &new, text, mode)?;
    std::fs::rename(&path, folder.join(name))
        .with_context(|| format!("writing {}", folder.join(name).display()))
}
