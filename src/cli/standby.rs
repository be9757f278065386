//! `ablate coordinator --standby`: waiting for the turn.

use std::sync::Arc;

use ablate_coordinator::takeover::{self, Followed};
use ablate_proto::current::Current;
use object_store::ObjectStore;
use serde_json::json;

use super::Context;
use crate::lines;
use crate::lines::printable;

/// Returns when the store's coordinator is gone.
pub(super) async fn wait(context: &Context, url: &str, store: &Arc<dyn ObjectStore>) {
    // For the message alone: whom it waits for, it finds out again and again.
    let active = takeover::find(store).await.ok().flatten();
    let active = active.filter(|current| !current.stopped);
    let address = active.as_ref().map(|current| current.address.as_str());
    if context.json {
        lines::json(&json!({ "standby": true, "store": url, "active": address }));
    } else {
        let active = address.map_or_else(
            || "no coordinator".to_owned(),
            |address| format!("the coordinator at {}", printable(address)),
        );
        lines::line(format_args!("standby for store {url}, served by {active}"));
    }
    let standby = context.settings.coordinator.standby(url);
    let followed = takeover::stand_by(store.clone(), standby).await;
    match followed {
        Followed::Nobody => tracing::info!("the store had no coordinator; serving it"),
        Followed::Stopped(of) => {
            tracing::info!(
                of = name(of.as_ref()),
                "the coordinator has ended; taking over"
            );
        }
        Followed::Silent(of) => tracing::warn!(
            of = name(of.as_ref()),
            after = ?standby.after,
            "the coordinator gives no sign of life; taking over"
        ),
    }
}

fn name(current: Option<&Current>) -> String {
    current.map_or_else(|| "?".to_owned(), |current| printable(&current.address))
}
