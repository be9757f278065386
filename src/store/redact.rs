//! Keeps credentials out of what is said of a store that refuses: servers
//! repeat keys, and what was signed with them, in their answers.

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

const REDACTED: &str = "[redacted]";
/// Elements of S3's errors that hold the key or what was signed.
const ELEMENTS: [&str; 6] = [
    "AWSAccessKeyId",
    "StringToSign",
    "StringToSignBytes",
    "SignatureProvided",
    "CanonicalRequest",
    "CanonicalRequestBytes",
];
/// Shorter values would redact ordinary words.
const SHORTEST: usize = 6;

/// Connects as usual, and takes credentials out of answers that are errors.
#[derive(Clone)]
pub(super) struct Redacting {
    secrets: Vec<String>,
}

impl Redacting {
    /// Redacts the values of the variables that hold credentials.
    pub(super) fn from_env() -> Self {
        let secrets = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            (holds_a_secret(&name) && value.len() >= SHORTEST).then_some(value)
        });
        let secrets = secrets.collect();
        Self { secrets }
    }

    fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), REDACTED);
        }
        for element in ELEMENTS {
            text = without(&text, element);
        }
        text
    }
}

impl std::fmt::Debug for Redacting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redacting")
    }
}

fn holds_a_secret(name: &str) -> bool {
    let of_a_store = ["AWS_", "GOOGLE_", "AZURE_"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    // Names of files, URLs and regions are worth reading.
    let names_a_place = ["_FILE", "_URI", "_URL", "_PATH"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    let secret = ["KEY", "SECRET", "TOKEN", "PASSWORD", "SAS"]
        .iter()
        .any(|part| name.contains(part));
    of_a_store && secret && !names_a_place
}

/// Empties every `<element>…</element>`; what is not closed goes to the end.
fn without(text: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(&open) {
        let (before, from) = rest.split_at(start + open.len());
        kept.push_str(before);
        kept.push_str(REDACTED);
        rest = from.find(&close).map_or("", |end| &from[end..]);
    }
    kept + rest
}

impl HttpConnector for Redacting {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        let redacting = self.clone();
        Ok(HttpClient::new(RedactingService { inner, redacting }))
    }
}

#[derive(Debug)]
struct RedactingService {
    inner: HttpClient,
    redacting: Redacting,
}

#[async_trait]
impl HttpService for RedactingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.inner.execute(request).await?;
        let status = response.status();
        if !(status.is_client_error() || status.is_server_error()) {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let bytes = body.bytes().await?;
        let text = self.redacting.redact(&String::from_utf8_lossy(&bytes));
        Ok(HttpResponse::from_parts(head, text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_what_was_signed_with_them_are_taken_out() {
        let redacting = Redacting {
            secrets: vec!["AKIDCANARY".to_owned(), "wJalrCANARY".to_owned()],
        };
        let said = "<Error><Code>SignatureDoesNotMatch</Code>\
                    <AWSAccessKeyId>another</AWSAccessKeyId><Resource>/b</Resource>\
                    <StringToSign>20260101/wJalrCANARY</StringToSign> AKIDCANARY \
                    <CanonicalRequest>PUT /b";
        let redacted = redacting.redact(said);
        for secret in ["CANARY", "another", "PUT /b"] {
            assert!(!redacted.contains(secret), "{redacted}");
        }
        assert!(redacted.contains("<Code>SignatureDoesNotMatch</Code>"));
        assert!(redacted.contains("<Resource>/b</Resource>"));
    }

    #[test]
    fn variables_with_credentials_are_known_by_their_names() {
        for secret in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AZURE_STORAGE_SAS_KEY",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
        ] {
            assert!(holds_a_secret(secret), "{secret}");
        }
        for open in [
            "AWS_REGION",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "PATH",
            "MY_KEY",
        ] {
            assert!(!holds_a_secret(open), "{open}");
        }
    }
}
