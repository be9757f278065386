//! Networks that are cut: one way, both ways, flapping. Nothing is closed, so
//! nobody is told.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::proxy::{Cut, Proxy};
use crate::support::random::Random;
use crate::support::{LEASE, Site, makers};

const TASKS: u64 = 8;

fn done(status: &Value) -> bool {
    status["state"] == "done"
}

/// A worker behind a network that `trouble` happens to, beside one with a
/// good one.
fn survives(name: &str, trouble: impl FnOnce(&Proxy)) {
    let site = Site::new().short_leases();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let proxy = Proxy::before(join);
    let _cut_off = site.worker(&proxy.address, "cut-off");
    site.submit(join, name, &makers(name, 0..TASKS, 600));
    site.wait_for(join, name, |s| s["running"].as_u64() >= Some(1));
    let _other = site.worker(join, "other");
    trouble(&proxy);
    proxy.heal();
    let healed = Instant::now();
    let status = site.wait_for(join, name, done);
    eprintln!("{name}: done {:?} after healing", healed.elapsed());
    site.check_done(&status);
}

/// The only worker is cut off: its work is delivered once it is healed.
fn delivers(name: &str, which: Cut, cut_for: Duration) {
    let site = Site::new().short_leases();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let proxy = Proxy::before(join);
    let _worker = site.worker(&proxy.address, "w");
    site.submit(join, name, &makers(name, 0..3, 600));
    site.wait_for(join, name, |s| s["done"].as_u64() >= Some(1));
    proxy.cut(which);
    sleep(cut_for);
    proxy.heal();
    let status = site.wait_for(join, name, done);
    site.check_done(&status);
}

#[test]
fn one_way_out() {
    survives("up", |proxy| {
        proxy.cut(Cut::Up);
        sleep(LEASE * 2);
    });
    delivers("up", Cut::Up, LEASE * 5);
}

#[test]
fn one_way_in() {
    survives("down", |proxy| {
        proxy.cut(Cut::Down);
        sleep(LEASE * 2);
    });
    delivers("down", Cut::Down, LEASE * 5);
}

#[test]
fn both_ways() {
    survives("both", |proxy| {
        proxy.cut(Cut::Both);
        sleep(LEASE * 2);
    });
    delivers("both", Cut::Both, LEASE * 5);
}

#[test]
fn flapping() {
    let mut random = Random::from_env("ABLATE_FLAP_SEED");
    survives("flap", |proxy| {
        for _ in 0..12 {
            proxy.cut([Cut::Up, Cut::Down, Cut::Both][random.place(3)]);
            sleep(random.millis(50..1200));
            proxy.heal();
            sleep(random.millis(50..600));
        }
    });
}
