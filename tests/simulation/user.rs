//! The user of a simulated cluster: wishes, and watches.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::layout;
use ablate_proto::status::{ClusterStatus, SweepStatus, TaskState};
use ablate_proto::wire::sweeps_client::SweepsClient;
use ablate_proto::wire::{
    CancelRequest, InvalidMessage, StatusRequest, SubmitRequest, SweepRequest,
};
use ablate_worker::dial::Dial;
use futures::FutureExt as _;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::history::Told;
use crate::scenario::Wish;

/// A call that is not answered is made again after this.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(300);

pub(crate) struct User {
    pub(crate) dial: Dial,
    /// Their addresses.
    pub(crate) coordinators: Vec<String>,
    /// Which of them is asked.
    pub(crate) at: Cell<usize>,
    pub(crate) store: InMemory,
    pub(crate) told: Rc<RefCell<Told>>,
}

impl User {
    async fn connect(&self) -> Option<SweepsClient<Channel>> {
        let address = self.coordinators[self.at.get()].clone();
        let endpoint = Endpoint::from_shared(address).ok()?;
        let channel = timeout(PATIENCE, self.dial.connect(&endpoint)).await;
        let Ok(Ok(channel)) = channel else {
            self.turn_away();
            return None;
        };
        Some(SweepsClient::new(channel))
    }

    /// Asks another next time.
    fn turn_away(&self) {
        self.at.set((self.at.get() + 1) % self.coordinators.len());
    }

    /// Whether it knows the latest: one that was taken over may not.
    fn alone(&self) -> bool {
        self.coordinators.len() == 1
    }

    /// Has every wish fulfilled at its time, then waits for all sweeps to end.
    pub(crate) async fn live(self, wishes: Vec<(u64, Wish)>) -> Result<(), String> {
        let begun = Instant::now();
        let mut sweeps = Vec::new();
        for (at, wish) in wishes {
            let at = begun + Duration::from_millis(at);
            while Instant::now() < at {
                self.look(&sweeps).await?;
                sleep_until(at.min(Instant::now() + LOOK)).await;
            }
            if let Wish::Submit(name, _) = &wish {
                sweeps.push(name.clone());
            }
            self.insist(&wish).await?;
        }
        while !self.look(&sweeps).await? {
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Asks until it is answered.
    async fn insist(&self, wish: &Wish) -> Result<(), String> {
        loop {
            let Some(mut client) = self.connect().await else {
                sleep(LOOK).await;
                continue;
            };
            match timeout(PATIENCE, ask(&mut client, wish)).await {
                Ok(Ok(status)) => return self.believe(wish, status),
                Ok(Err(e)) if e.code() == tonic::Code::NotFound && self.alone() => {
                    return Err(format!("{wish:?}: {}; it was submitted", e.message()));
                }
                Ok(Err(e)) if e.code() == tonic::Code::InvalidArgument => {
                    return Err(format!("{wish:?}: {}", e.message()));
                }
                Ok(Err(_)) | Err(_) => self.turn_away(),
            }
            sleep(LOOK).await;
        }
    }

    fn believe(&self, wish: &Wish, status: Option<SweepStatus>) -> Result<(), String> {
        let mut told = self.told.borrow_mut();
        let id = |name: &str| name.parse::<SweepId>().map_err(|e| e.to_string());
        match wish {
            Wish::Submit(name, _) => {
                told.submitted.insert(id(name)?);
            }
            Wish::Cancel(name) => {
                // Of one that has ended, nothing is cancelled.
                let open = status.is_some_and(|s| s.cancelled > 0);
                told.cancelled.extend(open.then(|| id(name)).transpose()?);
            }
            Wish::Pause(name) => {
                let held = status.is_some_and(|s| s.held.is_some());
                told.held.extend(held.then(|| id(name)).transpose()?);
            }
            Wish::Resume(_) => {}
        }
        Ok(())
    }

    /// Whether all of these have ended.
    async fn look(&self, sweeps: &[String]) -> Result<bool, String> {
        let Some(mut client) = self.connect().await else {
            return Ok(false);
        };
        let mut all = true;
        for sweep in sweeps {
            let request = StatusRequest {
                sweep: sweep.clone(),
                ..StatusRequest::default()
            };
            let reply = match timeout(PATIENCE, client.status(request)).await {
                Ok(Ok(reply)) => reply.into_inner(),
                Ok(Err(e)) if e.code() == tonic::Code::NotFound && self.alone() => {
                    return Err(format!("{sweep} was submitted, and is unknown now"));
                }
                Ok(Err(_)) | Err(_) => {
                    self.turn_away();
                    return Ok(false);
                }
            };
            let status = ClusterStatus::try_from(reply).map_err(|e| e.to_string())?;
            let status = &status.sweeps[0];
            all &= status.state.is_terminal();
            let mut told = self.told.borrow_mut();
            for row in &status.rows {
                let latest = told.latest.entry(row.key).or_default();
                *latest = row.attempt.max(*latest);
                if row.state == TaskState::Done {
                    if !self.is_stored(&row.key) {
                        told.not_stored.insert(row.key);
                    }
                    let before = *told.done.entry(row.key).or_insert(row.attempt);
                    if before != row.attempt {
                        let (key, now) = (row.key.short(), row.attempt);
                        return Err(format!("{key} was done by attempt {before}, now by {now}"));
                    }
                } else if told.done.contains_key(&row.key) && self.alone() {
                    let (key, state) = (row.key.short(), row.state);
                    return Err(format!("{key} was said to be done, and is {state:?} now"));
                }
            }
        }
        Ok(all)
    }

    fn is_stored(&self, task: &TaskKey) -> bool {
        let path = layout::manifest(task).into();
        matches!(self.store.head(&path).now_or_never(), Some(Ok(_)))
    }
}

async fn ask(
    client: &mut SweepsClient<Channel>,
    wish: &Wish,
) -> Result<Option<SweepStatus>, Status> {
    let of = |sweep: &String| SweepRequest {
        sweep: sweep.clone(),
    };
    let read = |status| {
        SweepStatus::try_from(status).map_err(|e: InvalidMessage| Status::internal(e.to_string()))
    };
    Ok(match wish {
        Wish::Submit(name, toml) => {
            let request = SubmitRequest {
                file: format!("{name}.toml"),
                toml: toml.clone(),
                ..SubmitRequest::default()
            };
            client.submit(request).await?;
            None
        }
        Wish::Cancel(sweep) => {
            let request = CancelRequest {
                sweep: sweep.clone(),
                now: false,
            };
            client.cancel(request).await?;
            let request = StatusRequest {
                sweep: sweep.clone(),
                ..StatusRequest::default()
            };
            let reply = client.status(request).await?.into_inner();
            reply.sweeps.into_iter().next().map(read).transpose()?
        }
        Wish::Pause(sweep) => Some(read(client.pause(of(sweep)).await?.into_inner())?),
        Wish::Resume(sweep) => Some(read(client.resume(of(sweep)).await?.into_inner())?),
    })
}
