//! Connections to a MeshCentral server: its control channel, and its files.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderValue, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use url::Url;

use super::Token;

/// How long connecting and shaking hands may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of one message: the longest answer lists all events that are asked for at once.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A server, and how to log in there.
#[derive(Clone)]
pub(super) struct Server {
    url: Url,
    token: Token,
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.url)
    }
}

/// What went wrong between here and there.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// There is no connection.
    #[error("cannot connect to `{0}`")]
    Connect(String, #[source] std::io::Error),
    /// It took too long.
    #[error("`{0}` took longer than {CONNECT_TIMEOUT:?} to connect")]
    Slow(String),
    /// The control channel failed.
    #[error("the control channel failed")]
    Channel(#[source] Box<tungstenite::Error>),
    /// The channel was closed.
    #[error("the server closed the control channel")]
    Closed,
    /// The server does not let the token in.
    #[error("the server refuses the login token: {0}")]
    Refused(String),
    /// The server said nothing for too long.
    #[error("the server was silent for {0} s")]
    Silent(u64),
    /// A file could not be asked for.
    #[error("the server does not answer")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file was not given.
    #[error("the server answers {0} instead of a file; may the token's account see recordings?")]
    Status(StatusCode),
    /// The archive failed.
    #[error("the archive does not take what was heard")]
    Store(#[from] debrief_store::StoreError),
}

pub(super) type Channel = WebSocketStream<Box<dyn Io>>;

/// A connection, encrypted or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Server {
    pub(super) fn new(url: Url, token: Token, pin: Option<[u8; 32]>) -> Server {
        // Two providers are in the program: neither is the default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3");
        let tls = match pin {
            Some(sha256) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned { sha256, provider }))
                .with_no_client_auth(),
            None => {
                let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
                let roots: RootCertStore = roots.collect();
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        Server {
            url,
            token,
            tls: Arc::new(tls),
        }
    }

    /// Opens the control channel.
    pub(super) async fn control(&self) -> Result<Channel, ClientError> {
        let channel = |error| ClientError::Channel(Box::new(error));
        let socket = self.connect().await?;
        let mut url = self.url.join("control.ashx").expect("a path that is valid");
        let scheme = if self.url.scheme() == "https" {
            "wss"
        } else {
            "ws"
        };
        url.set_scheme(scheme).expect("both are special schemes");
        let mut request = url.as_str().into_client_request().map_err(channel)?;
        let token = format!(
            "{},{}",
            STANDARD.encode(&self.token.user),
            STANDARD.encode(&self.token.password)
        );
        let mut token = HeaderValue::from_str(&token).expect("base64 and a comma");
        token.set_sensitive(true);
        request.headers_mut().insert("x-meshauth", token);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let upgrade = tokio_tungstenite::client_async_with_config(request, socket, Some(config));
        let upgraded = tokio::time::timeout(CONNECT_TIMEOUT, upgrade).await;
        let upgraded = upgraded.map_err(|_| ClientError::Slow(self.url.to_string()))?;
        Ok(upgraded.map_err(channel)?.0)
    }

    /// Begins to fetch a recording. Its files are for browsers only: so it logs in as one.
    pub(super) async fn recording(&self, file: &str) -> Result<Incoming, ClientError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("action", "login")
            .append_pair("username", &self.token.user)
            .append_pair("password", &self.token.password)
            .finish();
        let login = Request::post(self.url.path())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.ask(login, Body::from(form)).await?;
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        drop(answer);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("file", file)
            .finish();
        let path = format!("{}recordings.ashx?{query}", self.url.path());
        let request = Request::get(path).header(COOKIE, cookies);
        let answer = self.ask(request, Body::empty()).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(ClientError::Status(status)),
        }
    }

    async fn ask(
        &self,
        request: axum::http::request::Builder,
        body: Body,
    ) -> Result<axum::http::Response<Incoming>, ClientError> {
        let socket = TokioIo::new(self.connect().await?);
        let asked = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(socket)
                .await
                .map_err(|error| ClientError::Http(error.into()))?;
            // It ends with the answer's body.
            tokio::spawn(connection);
            let host = self.url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
            let request = request.header(HOST, host).body(body);
            let request = request.map_err(|error| ClientError::Http(error.into()))?;
            let answer = sender.send_request(request).await;
            answer.map_err(|error| ClientError::Http(error.into()))
        };
        let answer = tokio::time::timeout(CONNECT_TIMEOUT, asked).await;
        answer.map_err(|_| ClientError::Slow(self.url.to_string()))?
    }

    async fn connect(&self) -> Result<Box<dyn Io>, ClientError> {
        let host = self.url.host_str().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = self.url.port_or_known_default().unwrap_or(443);
        let failed = |error| ClientError::Connect(self.url.to_string(), error);
        let connecting = async {
            let socket = TcpStream::connect((host.as_str(), port))
                .await
                .map_err(failed)?;
            if self.url.scheme() == "http" {
                return Ok(Box::new(socket) as Box<dyn Io>);
            }
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|error| failed(std::io::Error::other(error)))?;
            let tls = TlsConnector::from(Arc::clone(&self.tls));
            let socket = tls.connect(name, socket).await.map_err(failed)?;
            Ok(Box::new(socket) as Box<dyn Io>)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        connected.map_err(|_| ClientError::Slow(self.url.to_string()))?
    }
}

/// Trusts one certificate, whoever made it and whatever name it has.
#[derive(Debug)]
struct Pinned {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let sha256: [u8; 32] = Sha256::digest(certificate).into();
        if sha256 == self.sha256 {
            return Ok(ServerCertVerified::assertion());
        }
        let sha256 = super::events::hex(&sha256);
        Err(rustls::Error::General(format!(
            "the certificate is not the pinned one: its SHA-256 is {sha256}"
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
