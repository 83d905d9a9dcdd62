//! A certificate that nobody has to trust: the kubelet does not check one either.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
};

/// No TLS server could be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the certificate could not be used: {0}")]
    Config(#[from] rustls::Error),
}

/// Makes a key and a certificate of its own.
///
/// # Errors
///
/// The certificate could not be made or used.
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
