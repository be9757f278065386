//! Where every number comes from: one entry a task.

use std::collections::BTreeMap;

use ablate_coordinator::sweep::plan::PlannedTask;
use ablate_proto::artifact::Manifest;
use ablate_proto::id::TaskKey;
use maud::{Markup, html};
use serde_json::Value;

use super::cell::{LISTED, task_anchor, task_link};
use crate::report::format;
use crate::report::study::Study;

pub(super) fn section(study: &Study) -> Markup {
    let index: BTreeMap<TaskKey, usize> = study
        .plan
        .tasks
        .iter()
        .enumerate()
        .map(|(i, planned)| (planned.task.key, i))
        .collect();
    let builds = builds(study);
    let mut stages: Vec<&str> = Vec::new();
    for planned in study.plan.tasks.iter().take(LISTED) {
        if !stages.contains(&planned.stage.as_str()) {
            stages.push(&planned.stage);
        }
    }
    html! {
        section id="provenance" {
            h2 { "Provenance" }
            p.lead {
                "One entry a task: what it computed, from what, with which binary, and where. "
                @if builds.len() > 1 {
                    "The results come from " (builds.len()) " builds: " (builds.join("; ")) "."
                } @else if let Some(build) = builds.first() {
                    "All results come from one build: " (build) "."
                }
            }
            @if study.plan.tasks.len() > LISTED {
                p.empty {
                    "Only the first " (format::count(LISTED)) " of "
                    (format::counted(study.plan.tasks.len(), "task")) "; report.json has all."
                }
            }
            @for stage in stages {
                h3 { (format::clean(stage)) }
                div.tasks {
                    @for (i, planned) in study.plan.tasks.iter().take(LISTED).enumerate() {
                        @if planned.stage == stage { (entry(study, &index, i, planned)) }
                    }
                }
            }
        }
    }
}

fn builds(study: &Study) -> Vec<String> {
    let mut builds: Vec<String> = Vec::new();
    for manifest in study.outcomes.iter().filter_map(|o| o.manifest.as_ref()) {
        let build = format::clean(&manifest.provenance.build);
        if !builds.contains(&build) {
            builds.push(build);
        }
    }
    builds
}

fn entry(
    study: &Study,
    index: &BTreeMap<TaskKey, usize>,
    task: usize,
    planned: &PlannedTask,
) -> Markup {
    let outcome = &study.outcomes[task];
    let manifest = outcome.manifest.as_ref();
    let spec = manifest.map_or_else(
        || Value::Object(planned.task.spec.parameters()),
        |m| m.spec.clone(),
    );
    let spec = serde_json::to_string_pretty(&spec).unwrap_or_default();
    html! {
        article.task id=(task_anchor(study, task)) {
            h4 {
                code { (planned.task.key.short()) }
                span { (format::clean(&planned.task.label)) }
                @if let Some(m) = manifest { span.time { (format::seconds(m.provenance.seconds)) } }
            }
            @if let Some(gap) = &outcome.gap {
                p.empty { "— " (format::clean(&gap.class)) ": " (format::clean(&gap.cause)) }
            } @else if manifest.is_none() {
                p.bare { "Done; it left no files and no measurements." }
            }
            dl {
                div { dt { "Seed" } dd { (planned.task.seed) } }
                @if let Some(m) = manifest { (origin(m)) }
                @if let Some((digest, own)) = data(study, index, task) {
                    div {
                        dt { "Data" }
                        dd {
                            code title=(digest) { (digest.chars().take(16).collect::<String>()) "…" }
                            @if !own { " through its inputs" }
                        }
                    }
                }
                @if !planned.task.inputs.is_empty() {
                    div {
                        dt { "Inputs" }
                        dd {
                            @for (i, input) in planned.task.inputs.iter().enumerate() {
                                @if i > 0 { ", " }
                                (format::clean(&input.role)) " "
                                @match index.get(&input.task) {
                                    Some(parent) => (task_link(study, *parent)),
                                    None => code { (input.task.short()) },
                                }
                            }
                        }
                    }
                }
            }
            details {
                summary { "Config, key and files" }
                p.key { "task " code { (planned.task.key) } }
                pre { (format::clean(&spec)) }
                @if let Some(m) = manifest {
                    ul.files {
                        @for file in &m.files {
                            li {
                                code { (format::clean(&file.name)) } " "
                                (file.bytes) " bytes, blake3 " code { (format::clean(&file.blake3)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn origin(manifest: &Manifest) -> Markup {
    let from = &manifest.provenance;
    html! {
        div { dt { "Attempt" } dd { (manifest.attempt.number) } }
        div { dt { "Build" } dd { (format::clean(&from.build)) } }
        div { dt { "Host" } dd { (format::clean(&from.host)) } }
        div {
            dt { "Device" }
            dd { (format::clean(&from.device)) ", " (format::counted(from.threads, "thread")) }
        }
        @if let Some(step) = from.resumed_from {
            div { dt { "Resumed" } dd { "from step " (step) } }
        }
    }
}

/// Digest of the data a task read, itself or through its inputs.
fn data(study: &Study, index: &BTreeMap<TaskKey, usize>, task: usize) -> Option<(String, bool)> {
    let mut queue = vec![task];
    let mut seen = Vec::new();
    while let Some(at) = queue.pop() {
        if seen.contains(&at) {
            continue;
        }
        seen.push(at);
        let manifest = study.outcomes[at].manifest.as_ref();
        if let Some(digest) = manifest.and_then(|m| m.data_digest.as_deref()) {
            return Some((format::clean(digest), at == task));
        }
        let inputs = &study.plan.tasks[at].task.inputs;
        queue.extend(inputs.iter().filter_map(|i| index.get(&i.task)));
    }
    None
}
