use super::*;

fn read(text: &str) -> Metrics {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let mut metrics = Metrics::open(&path).unwrap();
    std::fs::write(&path, text).unwrap();
    metrics.finish().unwrap();
    metrics
}

#[test]
fn curves_and_final_values_are_told_apart() {
    let metrics = read(concat!(
        "{\"name\":\"loss\",\"step\":1,\"value\":2}\n",
        "{\"name\":\"loss\",\"step\":2,\"value\":1}\n",
        "{\"name\":\"acc\",\"value\":0.5,\"unit\":\"%\",\"direction\":\"up\"}\n",
        "{\"progress\":2,\"total\":4}\n",
        "{\"name\":\"loss\",\"step\":2,\"value\":0.5}",
    ));
    assert_eq!((metrics.bad, metrics.progress), (0, (2, 4)));
    let finals = metrics.finals();
    let of = |name: &str| finals.iter().find(|row| row.name == name).unwrap();
    assert_eq!((of("loss").value, of("loss").step), (Some(0.5), None));
    assert_eq!(
        (of("acc").value, of("acc").direction),
        (Some(0.5), Direction::Up)
    );
    assert_eq!(metrics.kept().len(), 3);
}

#[test]
fn bad_lines_and_hostile_names_are_counted_and_not_fatal() {
    let long = "x".repeat(2 * MAX_LINE);
    let names = ["<script>", "../../x", "a\\nb", "=cmd()", "", "\\u202e"];
    let names = names.map(|name| format!("{{\"name\":\"{name}\",\"value\":1}}"));
    let text = format!(
        "nonsense\n{long}\n{}\n{{\"name\":\"a\"}}\n{{\"name\":\"a\",\"value\":NaN}}\n\
         {{\"name\":\"good\",\"value\":1}}\n",
        names.join("\n")
    );
    let metrics = read(&text);
    assert_eq!((metrics.bad, metrics.rows.len()), (10, 1));
    let finals = metrics.finals();
    assert_eq!(finals[1].name, "unreadable_metric_lines");
    assert_eq!(finals[1].value, Some(10.0));
    assert!(finals[1].note.as_ref().unwrap().contains("line 1"));
}

#[test]
fn what_a_later_attempt_did_again_counts_once() {
    let row = |step, value| MetricRow::scalar("loss", "", Direction::Down, value).at(step);
    let mut metrics = read("");
    metrics.restore(&lines([row(1, 9.0), row(2, 8.0), row(3, 7.0)].iter()));
    for (step, value) in [(2, 1.0), (3, 2.0)] {
        metrics.rows.push(row(step, value));
    }
    let kept: Vec<_> = metrics.kept().iter().map(|row| row.value).collect();
    assert_eq!(kept, [Some(9.0), Some(1.0), Some(2.0)]);
}

#[test]
fn only_the_newest_rows_are_sent() {
    let mut metrics = read("");
    assert!(metrics.news(2).is_none());
    let row = |step| MetricRow::scalar("loss", "", Direction::Down, 1.0).at(step);
    metrics.rows = (0..5).map(row).collect();
    let (_, _, rows) = metrics.news(2).unwrap();
    assert_eq!(
        rows.iter().map(|r| r.step).collect::<Vec<_>>(),
        [Some(3), Some(4)]
    );
    assert!(metrics.news(2).is_none());
}
