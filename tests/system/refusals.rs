//! Every way to get the joining wrong has a sentence and an exit code.

use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair};

use crate::support::Site;
use crate::support::safe::{Safe, done, refused};

const NOBODY: &str = "00000000000000000000000000000000";

#[test]
fn mistakes_get_a_sentence_and_an_exit_code() {
    let safe = Safe::start("0.0.0.0:0");
    let (_, user) = safe.token("user", "1h");
    let (_, worker) = safe.token("worker", "1h");
    let address = format!("127.0.0.1:{}", safe.port());
    let status = ["status"];
    done(&safe.run(&user, &status));

    // The other kind of connection.
    refused(&safe.run(&address, &status), 4, "TLS is spoken there");
    let listen = "127.0.0.1:0";
    let plain = [
        "coordinator",
        "--json",
        "--store",
        "plain",
        "--listen",
        listen,
    ];
    let plain = safe.site.coordinator_from(safe.site.command(&plain));
    let port = plain.address.rsplit_once(':').unwrap().1;
    let elsewhere = user.replace(&format!(":{}#", safe.port()), &format!(":{port}#"));
    refused(&safe.run(&elsewhere, &status), 4, "no TLS is spoken there");

    // The wrong authority, the wrong name.
    let (rest, fingerprint) = user.rsplit_once('@').unwrap();
    let wrong = format!("{rest}@{}", fingerprint.chars().rev().collect::<String>());
    refused(&safe.run(&wrong, &status), 4, "the fingerprint");
    let misnamed = user.replace("127.0.0.1", "127.0.0.2");
    refused(&safe.run(&misnamed, &status), 4, "for other names than");

    // Nobody there.
    let nowhere = user.replace("127.0.0.1", "no-such-host.invalid");
    refused(
        &safe.run(&nowhere, &status),
        3,
        "is not known on this machine",
    );
    let silent = user.replace(&format!(":{}#", safe.port()), ":1#");
    refused(&safe.run(&silent, &status), 3, "no coordinator answers");

    // Tokens that will not do.
    let secret = user
        .split(['#', '@'])
        .nth(1)
        .unwrap()
        .rsplit_once('_')
        .unwrap()
        .1;
    let strange = user.replace(secret, NOBODY);
    refused(
        &safe.run(&strange, &status),
        4,
        "not known to the coordinator",
    );
    let (_, expired) = safe.token("user", "0s");
    refused(&safe.run(&expired, &status), 4, "has expired");
    refused(&safe.run(&worker, &status), 4, "has the role `worker`");
    let without = user.replace(user.split(['#', '@']).nth(1).unwrap(), "");
    refused(&safe.run(&without, &status), 4, "asks for a token");
    refused(&safe.run(&user, &["drain", "x"]), 4, "--role admin");
    refused(&safe.run(&user[..60], &status), 2, "fingerprint");

    // A worker hears the same.
    for (join, code, says) in [
        (&user, 4, "has the role `user`"),
        (&strange, 4, "not known to the coordinator"),
        (&wrong, 4, "the fingerprint"),
        (&address, 4, "TLS is spoken there"),
        (&elsewhere, 4, "no TLS is spoken there"),
    ] {
        refused(&safe.run(join, &["worker", "--slots", "1"]), code, says);
    }
}

#[test]
fn an_expired_certificate_is_named_as_such() {
    let safe = Safe::start("127.0.0.1:0");
    let (_, user) = safe.token("user", "1h");
    let Safe { site, coordinator } = safe;
    let address = coordinator.address.clone();
    coordinator.process.kill();
    expire(&site.path().join("tls"));
    let _coordinator = site.coordinator_with(&address, &["--tls-dir", "tls"]);
    let status = |site: &Site| {
        let mut status = site.command(&["status"]);
        status.env("ABLATE_JOIN", &user).output().unwrap()
    };
    refused(&status(&site), 4, "ablate cert renew");
    drop(_coordinator);
    done(&site.run(&["cert", "renew", "--dir", "tls"]));
    let _coordinator = site.coordinator_with(&address, &["--tls-dir", "tls"]);
    done(&status(&site));
}

/// Puts a certificate that was valid for a day, long ago, in its place.
fn expire(folder: &Path) {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let authority_key = KeyPair::from_pem(&read("ca-key.pem")).unwrap();
    let mut authority = CertificateParams::default();
    authority.distinguished_name = DistinguishedName::new();
    let name = "ablate private authority";
    authority.distinguished_name.push(DnType::CommonName, name);
    let issuer = Issuer::from_params(&authority, &authority_key);
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let key = KeyPair::from_pem(&read("server-key.pem")).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let chain = certificate.pem() + &read("ca.pem");
    std::fs::write(folder.join("server.pem"), chain).unwrap();
}
