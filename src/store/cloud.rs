//! Stores behind HTTP: S3 and what speaks like it, and with their features
//! Google's and Microsoft's.
//!
//! Endpoint, region and credentials come from the usual variables of the
//! process that opens the store; a URL carries none, and they are never
//! handed on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use url::Url;

use super::redact::Redacting;

/// Schemes that this build opens.
pub(super) const SCHEMES: &[&str] = &[
    "s3",
    #[cfg(feature = "gcs")]
    "gs",
    #[cfg(feature = "azure")]
    "az",
];

/// Opens `s3://bucket/prefix` and its like. Nothing is asked of the server
/// yet.
pub(super) fn open(text: &str) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let url = parse(text)?;
    let prefix = Path::from_url_path(url.path())
        .with_context(|| format!("store {text}: the prefix after the bucket"))?;
    // Only the bucket: the client would refuse a URL that goes on.
    let bucket = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    // The process's own; one that is set already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match url.scheme() {
        #[cfg(feature = "gcs")]
        "gs" => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env()
                .with_url(bucket)
                .with_http_connector(Redacting::from_env())
                .with_retry(retry());
            Ok(below(
                builder.build().with_context(|| opening(text))?,
                prefix,
            ))
        }
        #[cfg(feature = "azure")]
        "az" => {
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env()
                .with_url(bucket)
                .with_http_connector(Redacting::from_env())
                .with_retry(retry());
            Ok(below(
                builder.build().with_context(|| opening(text))?,
                prefix,
            ))
        }
        _ => {
            let builder = AmazonS3Builder::from_env()
                .with_url(bucket)
                .with_http_connector(Redacting::from_env())
                .with_retry(retry());
            Ok(below(
                builder.build().with_context(|| opening(text))?,
                prefix,
            ))
        }
    }
}

fn opening(text: &str) -> String {
    format!("opening the store {text} with what the environment says of it")
}

/// A URL of a bucket, without anything secret in it.
fn parse(text: &str) -> anyhow::Result<Url> {
    let Ok(url) = Url::parse(text) else {
        bail!("the store's URL makes no sense; s3://bucket/prefix is expected");
    };
    // Not repeated: what stands there may be a secret.
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "the store's URL has a user name or a password in it; credentials come from the \
         environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …)"
    );
    ensure!(
        url.query().is_none() && url.fragment().is_none() && url.port().is_none(),
        "the store's URL goes on after the prefix or names a port; s3://bucket/prefix is \
         expected, and the endpoint comes from AWS_ENDPOINT_URL"
    );
    ensure!(
        url.host_str().is_some_and(|bucket| !bucket.is_empty()),
        "store {text}: the bucket is missing; s3://bucket/prefix is expected"
    );
    Ok(url)
}

fn below<S: ObjectStore>(store: S, prefix: Path) -> Arc<dyn ObjectStore> {
    if prefix.is_root() {
        Arc::new(store)
    } else {
        Arc::new(PrefixStore::new(store, prefix))
    }
}

/// Short: everyone who uses a store has a patience of their own on top.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 6,
        retry_timeout: Duration::from_secs(20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_bucket_and_no_secrets() {
        for good in ["s3://bucket", "s3://bucket/", "s3://bucket/a/b%20c"] {
            assert!(open(good).is_ok(), "{good}");
        }
        for bad in [
            "s3://",
            "s3:///prefix",
            "s3://key:hunter2@bucket/x",
            "s3://hunter2@bucket",
            "s3://bucket/x?token=hunter2",
            "s3://bucket/x#hunter2",
            "s3://bucket:9000/x",
        ] {
            let error = format!("{:#}", open(bad).map(drop).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
            assert!(
                error.contains("environment") || error.contains("expected"),
                "{error}"
            );
        }
    }
}
