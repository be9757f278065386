//! A small disk that can be filled: a tmpfs in a user and mount namespace of
//! its own, which needs no privileges where those are allowed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Process, Site};

pub(crate) struct Disk {
    /// Keeps the namespace.
    holder: Process,
    /// Where it is mounted, in the namespace.
    pub(crate) folder: PathBuf,
}

impl Disk {
    /// Mounted over `name` in the site's folder. `None` where namespaces are
    /// not allowed.
    pub(crate) fn new(site: &Site, name: &str, options: &str) -> Option<Self> {
        let folder = site.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let script = "mount -t tmpfs -o \"$1\" tmpfs \"$0\" && touch \"$2\" && exec sleep 1000";
        let ready = site.path().join(format!("{name}-is-mounted"));
        let child = Command::new("unshare")
            .args(["-Urm", "sh", "-c", script])
            .arg(&folder)
            .arg(options)
            .arg(&ready)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut holder = Process(child);
        while !ready.exists() {
            if holder.ended() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { holder, folder })
    }

    /// `ablate` where the disk is mounted.
    pub(crate) fn command(&self, site: &Site, args: &[&str]) -> Command {
        let ablate = site.command(args);
        let mut command = self.inside();
        // Entered anew: the old way to it leads around the mount.
        command.args(["sh", "-c", "cd \"$0\" && exec \"$@\""]);
        command.arg(site.path()).arg(ablate.get_program());
        command.args(ablate.get_args());
        command.envs(ablate.get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.stdin(Stdio::null());
        command
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string()]);
        command.args(["--user", "--mount", "--preserve-credentials"]);
        command
    }

    /// The disk as it is seen from outside.
    pub(crate) fn view(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.folder.strip_prefix("/").unwrap())
    }

    fn ballast(&self) -> PathBuf {
        self.view().join("ballast")
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        for size in [64 << 10, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    pub(crate) fn remount(&self, options: &str) {
        let mut mount = self.inside();
        mount.args(["mount", "-o", &format!("remount,{options}")]);
        assert!(mount.arg(&self.folder).status().unwrap().success());
    }
}
