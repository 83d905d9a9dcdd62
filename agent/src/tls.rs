//! TLS with a self-signed certificate. The kubelet does not verify certificates either.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("failed to create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("failed to load the certificate: {0}")]
    Config(#[from] rustls::Error),
}

/// Creates an acceptor with a new key and certificate.
///
/// # Errors
///
/// When the certificate cannot be created or loaded.
pub(crate) fn acceptor() -> Result<TlsAcceptor, TlsError> {
    let made =
        rcgen::generate_simple_self_signed(["hookproof".to_owned(), "localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
