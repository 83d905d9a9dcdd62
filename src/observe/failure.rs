//! Failures of a session and of steps.

/// What failed, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    what: String,
    /// The status code with which the API server refused a request.
    code: Option<u16>,
}

impl Failure {
    pub(super) fn refused(code: u16, what: String) -> Self {
        let code = Some(code);
        Self { what, code }
    }

    /// A failed request to the API server.
    pub(crate) fn to(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |error| Self {
            what: format!("failed to {doing}: {error}"),
            code: match error {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
        }
    }

    /// Whether the cluster forbids it.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code == Some(403)
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.code == Some(404)
    }
}

impl<T: Into<String>> From<T> for Failure {
    fn from(what: T) -> Self {
        let (what, code) = (what.into(), None);
        Self { what, code }
    }
}
