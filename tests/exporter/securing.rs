//! TLS, client certificates, users and limits of the web configuration, as `curl` and `openssl` see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenapi_exporter::simulator::Behaviour;
use rcgen::SanType;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::certificates::{Authority, self_signed, this_machine};
use crate::harness::{Exporter, Finished, PATIENCE, TempFile, binary, config, program, run, simulate};
use crate::prometheus::Prometheus;

/// An exporter with a web configuration, in a folder with certificates: `server`, `client` of the same authority,
/// `stranger` of another one, and self-signed ones: `loner`, `expired` and `premature`. The system trusts `ca.pem`.
struct Site {
    exporter: Exporter,
    folder: TempDir,
}

impl Site {
    async fn start(web_config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new("authority");
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        authority.issue(folder.path(), "server", &this_machine());
        authority.issue(folder.path(), "client", &client_names());
        Authority::new("another").issue(folder.path(), "stranger", &client_names());
        self_signed(folder.path(), "loner", 1975..4096);
        self_signed(folder.path(), "expired", 1975..2000);
        self_signed(folder.path(), "premature", 4000..4096);
        let path = folder.path().join("web.yml");
        fs::write(&path, web_config).unwrap();
        let (simulator, url) = simulate(&[Behaviour::Healthy]);
        let config = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
        let mut command = binary(&["serve", "--config.file", config.path(), "--log.level", "debug"]);
        command
            .args(["--web.listen-address", "127.0.0.1:0", "--web.config.file"])
            .arg(&path)
            .env("SSL_CERT_FILE", folder.path().join("ca.pem"));
        let exporter = Exporter::spawn(command, Some(config)).await;
        Self { exporter, folder }
    }

    /// One that serves by TLS, with more lines in `tls_server_config`.
    async fn start_tls(more: &str) -> Self {
        let more = more.replace('\n', "\n  ");
        Self::start(&format!("{TLS}  {more}\n")).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self) -> &str {
        self.exporter.url.strip_prefix("http://").unwrap()
    }

    /// `curl` of `path` with `flags`, in the folder.
    async fn curl(&self, scheme: &str, path: &str, flags: &[&str]) -> Finished {
        let mut curl = program("curl");
        curl.current_dir(self.folder.path())
            .args([
                "--silent",
                "--show-error",
                "--include",
                "--max-time",
                "60",
                "--cacert",
                "ca.pem",
            ])
            .args(flags)
            .arg(format!("{scheme}://{}{path}", self.address()));
        run(&mut curl).await
    }

    /// The first line of the answer at `/-/healthy`, or the code of curl's failure.
    async fn status(&self, scheme: &str, flags: &[&str]) -> String {
        let finished = self.curl(scheme, "/-/healthy", flags).await;
        match finished.stdout.lines().next() {
            Some(line) => line.trim_end().to_owned(),
            None => format!("curl ends with {}", finished.code.unwrap()),
        }
    }

    /// Whether one is let in who has this certificate, or none.
    async fn admits(&self, client: &str) -> bool {
        let (certificate, key) = (format!("{client}.pem"), format!("{client}.key"));
        let flags: &[&str] = match client {
            "" => &[],
            _ => &["--cert", &certificate, "--key", &key],
        };
        self.status("https", flags).await == "HTTP/2 200"
    }

    /// The certificate that a new connection is served with, as PEM.
    async fn served_certificate(&self) -> String {
        let mut client = program("openssl");
        client.args(["s_client", "-connect", self.address(), "-showcerts"]);
        let shown = run(&mut client).await.stdout;
        let (_, rest) = shown.split_once("-----BEGIN CERTIFICATE-----").unwrap();
        rest.split("-----END").next().unwrap().replace(['\n', '\r'], "")
    }

    /// Puts `text` in place of the file `name`, as programs do that renew certificates.
    fn replace(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

fn client_names() -> Vec<SanType> {
    vec![
        SanType::DnsName("scraper.example".try_into().unwrap()),
        SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
        SanType::URI("spiffe://example/scraper".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
    ]
}

fn body_of(pem: &Path) -> String {
    let lines = fs::read_to_string(pem).unwrap();
    let body = lines.lines().filter(|line| !line.starts_with("-----"));
    body.collect()
}

fn hash(password: &str) -> String {
    bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string()
}

#[tokio::test]
async fn tls_is_spoken_over_http_2_and_http_1() {
    let site = Site::start_tls("").await;
    let check = async |scheme: &str, flags: &[&str], expected: &str| {
        assert_eq!(site.status(scheme, flags).await, expected, "{flags:?}");
    };
    check("https", &[], "HTTP/2 200").await;
    check("https", &["--http2"], "HTTP/2 200").await;
    check("https", &["--http1.1"], "HTTP/1.1 200 OK").await;
    check("https", &["--http1.0", "--no-alpn"], "HTTP/1.0 200 OK").await;
    check("https", &["--cacert", "loner.pem"], "curl ends with 60").await;
    check("http", &[], "HTTP/1.1 400 Bad Request").await;
    let metrics = site.curl("https", "/metrics", &["--compressed"]).await.stdout;
    assert!(
        metrics.contains("greenapi_up{id_instance=\"1101000001\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_head_is_answered_without_the_body_whose_length_it_tells() {
    let site = Site::start_tls("").await;
    for version in ["--http1.1", "--http2"] {
        let answer = site.curl("https", "/-/healthy", &[version, "--head"]).await;
        assert_eq!(answer.code, Some(0), "{version}: {}", answer.stderr);
        let answer = answer.stdout.to_lowercase();
        assert!(answer.contains("\r\ncontent-length: 8\r\n"), "{version}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{version}: {answer}");
    }
}

#[tokio::test]
async fn http_2_can_be_switched_off() {
    let site = Site::start(&format!("{TLS}http_server_config:\n  http2: false\n")).await;
    assert_eq!(site.status("https", &["--http2"]).await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn only_versions_within_the_bounds_are_spoken() {
    let check = async |bounds: &str, expected: [&str; 3]| {
        let site = Site::start_tls(bounds).await;
        let mut spoken = Vec::new();
        for version in ["1.1", "1.2", "1.3"] {
            let old = if version == "1.1" {
                "DEFAULT@SECLEVEL=0"
            } else {
                "DEFAULT"
            };
            let flags = ["--tls-max", version, "--ciphers", old];
            spoken.push(site.status("https", &flags).await);
        }
        assert_eq!(spoken, expected, "{bounds}");
    };
    let (ok, refused) = ("HTTP/2 200", "curl ends with 35");
    check("", [refused, ok, ok]).await;
    check("min_version: TLS13", [refused, refused, ok]).await;
    check("max_version: TLS12", [refused, ok, ok]).await;
}

#[tokio::test]
async fn only_listed_cipher_suites_and_curves_are_spoken() {
    let check = async |listed: &str, flags: &[&str], expected: &str| {
        let site = Site::start_tls(listed).await;
        assert_eq!(site.status("https", flags).await, expected, "{listed} {flags:?}");
    };
    let (ok, refused) = ("HTTP/2 200", "curl ends with 35");
    let suite = "max_version: TLS12\ncipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]";
    check(suite, &[], ok).await;
    check(suite, &["--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"], ok).await;
    check(suite, &["--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"], refused).await;
    let curve = "min_version: TLS13\ncurve_preferences: [CurveP384]";
    check(curve, &[], ok).await;
    check(curve, &["--curves", "P-384"], ok).await;
    check(curve, &["--curves", "X25519"], refused).await;
    // The list is of TLS 1.2.
    let older = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]";
    check(older, &["--tls-max", "1.2"], refused).await;
    check(older, &["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"], ok).await;
}

#[tokio::test]
async fn the_preferred_order_of_cipher_suites_is_whose_it_is_said_to_be() {
    let check = async |prefer_own: bool, expected: &str| {
        let site = Site::start_tls(&format!(
            "max_version: TLS12\nprefer_server_cipher_suites: {prefer_own}\n\
             cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]"
        ))
        .await;
        let clients = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384";
        let mut client = program("openssl");
        client.args(["s_client", "-connect", site.address(), "-cipher", clients]);
        let shown = run(&mut client).await.stdout;
        assert!(shown.contains(&format!("Cipher is {expected}")), "{shown}");
    };
    check(true, "ECDHE-ECDSA-AES256-GCM-SHA384").await;
    check(false, "ECDHE-ECDSA-AES128-GCM-SHA256").await;
}

#[tokio::test]
async fn clients_are_asked_for_certificates_as_the_policy_says() {
    // Who is let in: nobody in particular, one of the authority, one of another, one that is listed itself.
    let check = async |policy: &str, expected: [bool; 4]| {
        let site = Site::start_tls(policy).await;
        let mut admitted = Vec::new();
        for client in ["", "client", "stranger", "loner"] {
            admitted.push(site.admits(client).await);
        }
        assert_eq!(admitted, expected, "{policy}");
    };
    check("client_auth_type: NoClientCert", [true, true, true, true]).await;
    check("client_auth_type: RequestClientCert", [true, true, true, true]).await;
    check("client_auth_type: RequireAnyClientCert", [false, true, true, true]).await;
    let (if_given, required) = ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert");
    let verified = |policy: &str, file: &str| format!("client_auth_type: {policy}\nclient_ca_file: {file}");
    check(&verified(if_given, "ca.pem"), [true, true, false, false]).await;
    check(&verified(required, "ca.pem"), [false, true, false, false]).await;
    check(&verified(required, "loner.pem"), [false, false, false, true]).await;
    // Where no authority is named, the system's are meant.
    check(&format!("client_auth_type: {if_given}"), [true, true, false, false]).await;
    check(&format!("client_auth_type: {required}"), [false, true, false, false]).await;
}

#[tokio::test]
async fn a_listed_self_signed_certificate_is_accepted_only_while_it_is_valid() {
    for (client, expected) in [("loner", true), ("expired", false), ("premature", false)] {
        let listed = format!("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: {client}.pem");
        let site = Site::start_tls(&listed).await;
        assert_eq!(site.admits(client).await, expected, "{client}");
    }
}

#[tokio::test]
async fn a_client_certificate_must_be_for_an_allowed_name() {
    let check = async |policy: &str, client: &str, names: &str, expected: bool| {
        let more = format!("client_auth_type: {policy}\nclient_ca_file: ca.pem\nclient_allowed_sans: {names}");
        let site = Site::start_tls(&more).await;
        assert_eq!(site.admits(client).await, expected, "{client} {names}");
    };
    let verified = "RequireAndVerifyClientCert";
    check(verified, "client", "[other, scraper.example]", true).await;
    check(verified, "client", "[ops@example.org]", true).await;
    check(verified, "client", "['spiffe://example/scraper']", true).await;
    check(verified, "client", "['192.0.2.1']", true).await;
    check(verified, "client", "['2001:db8::1']", true).await;
    check(verified, "client", "['192.0.2.2', '2001:db8::2']", false).await;
    check(verified, "client", "[other]", false).await;
    check(verified, "client", "['*.example', client, '']", false).await;
    check(verified, "client", "[]", false).await;
    check(verified, "stranger", "[scraper.example]", false).await;
    check("RequireAnyClientCert", "stranger", "[scraper.example]", true).await;
    check("RequireAnyClientCert", "loner", "[loner]", false).await;
    // Who shows no certificate has no name, even where none is required otherwise.
    check("VerifyClientCertIfGiven", "client", "[scraper.example]", true).await;
    check("VerifyClientCertIfGiven", "client", "[other]", false).await;
    check("VerifyClientCertIfGiven", "", "[scraper.example]", false).await;
    check("RequestClientCert", "stranger", "[scraper.example]", true).await;
    check("RequestClientCert", "", "[scraper.example]", false).await;
}

#[tokio::test]
async fn users_are_let_in_with_their_passwords_and_nobody_else() {
    let users = format!(
        "basic_auth_users:\n  alice: {}\n  bob: {}\n  '': {}\n  зоя: {}\n",
        hash("secret"),
        hash("with:colon:"),
        hash(""),
        hash("пароль")
    );
    let site = Site::start(&users).await;
    let check = async |user: &str, expected: &str| {
        assert_eq!(site.status("http", &["--user", user]).await, expected, "{user}");
    };
    let (ok, refused) = ("HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized");
    // Twice over, since the second answer comes from memory.
    for _ in 0..2 {
        check("alice:secret", ok).await;
        check("bob:with:colon:", ok).await;
        check("зоя:пароль", ok).await;
        check(":", ok).await;
        check("alice:wrong", refused).await;
        check("alice:", refused).await;
        check("nobody:secret", refused).await;
        check("bob:secret", refused).await;
        check("Alice:secret", refused).await;
    }
    let anonymous = site.curl("http", "/metrics", &[]).await.stdout;
    assert!(anonymous.starts_with("HTTP/1.1 401 Unauthorized"), "{anonymous}");
    assert!(anonymous.contains("www-authenticate: Basic realm="), "{anonymous}");
    assert!(!anonymous.contains("greenapi_"), "{anonymous}");
    let log = site.exporter.stop().await.stderr;
    assert!(!log.contains("secret") && !log.contains("colon"), "{log}");
}

#[tokio::test]
async fn a_password_that_was_right_is_remembered_for_nobody_else() {
    // CVE-2022-46146: parts put together without bounds made one user's answer another's.
    let known = hash("secret");
    let site = Site::start(&format!("basic_auth_users:\n  alice: {known}\n")).await;
    let check = async |user: &str, expected: &str| {
        assert_eq!(site.status("http", &["--user", user]).await, expected, "{user}");
    };
    let (ok, refused) = ("HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized");
    check("alice:secret", ok).await;
    for user in [
        format!("alice{known}:secret"),
        format!("alic:e{known}secret"),
        format!("alice:{known}secret"),
        format!("alice:{known}"),
        format!("nobody:{known}secret"),
        "nobody:fakepassword".to_owned(),
        "alicesecret:".to_owned(),
        "alice:secretsecret".to_owned(),
    ] {
        check(&user, refused).await;
        check(&user, refused).await;
    }
    check("alice:secret", ok).await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_whoever_makes_them() {
    let limit = "rate_limit:\n  interval: 1h\n  burst: 2\n";
    let limit_of_users = format!("{limit}basic_auth_users:\n  alice: {}\n", hash("secret"));
    let check = async |web_config: &str, user: &str, expected: [&str; 3]| {
        let site = Site::start(web_config).await;
        for expected in expected {
            let answer = site.curl("http", "/-/healthy", &["--user", user]).await.stdout;
            assert!(answer.starts_with(expected), "{user}: {answer}");
            let content_type = "\r\ncontent-type: text/plain; charset=utf-8\r\n";
            assert!(answer.contains(content_type), "{user}: {answer}");
        }
    };
    let (ok, unauthorized, too_many) = ("HTTP/1.1 200 ", "HTTP/1.1 401 ", "HTTP/1.1 429 ");
    check(limit, "nobody:", [ok, ok, too_many]).await;
    check(&limit_of_users, "alice:secret", [ok, ok, too_many]).await;
    // Nobody may guess more often than others ask.
    check(&limit_of_users, "alice:wrong", [unauthorized, unauthorized, too_many]).await;
}

#[tokio::test]
async fn prometheus_scrapes_with_a_certificate_and_a_password() {
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    let users = format!("basic_auth_users:\n  prometheus: {}\n", hash("secret"));
    let site = Site::start(&format!("{TLS}{policy}{users}")).await;
    let folder = site.folder.path().display();
    let how = format!(
        "    scheme: https\n    basic_auth: {{username: prometheus, password: secret}}\n    tls_config: \
         {{ca_file: {folder}/ca.pem, cert_file: {folder}/client.pem, key_file: {folder}/client.key}}\n"
    );
    let prometheus = Prometheus::start(site.address(), &how, &[]).await;
    prometheus.query("up{job=\"greenapi\"} == 1").await;
    prometheus.query("greenapi_up == 1").await;
}

#[tokio::test]
async fn configured_headers_go_with_every_answer() {
    let headers = "http_server_config:\n  headers:\n    Content-Security-Policy: default-src 'none'\n    \
                   X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n    X-XSS-Protection: '0'\n    \
                   Strict-Transport-Security: max-age=31536000\n";
    let site = Site::start(&format!("{headers}basic_auth_users:\n  alice: {}\n", hash("secret"))).await;
    for flags in [&[][..], &["--user", "alice:secret"]] {
        let answer = site.curl("http", "/", flags).await.stdout;
        for header in [
            "content-security-policy: default-src 'none'\r\n",
            "x-frame-options: deny\r\n",
            "x-content-type-options: nosniff\r\n",
            "x-xss-protection: 0\r\n",
            "strict-transport-security: max-age=31536000\r\n",
        ] {
            assert_eq!(answer.matches(header).count(), 1, "{header} {answer}");
        }
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_served_to_the_next_connection() {
    let mut site = Site::start_tls("").await;
    assert_eq!(site.served_certificate().await, body_of(&site.path("server.pem")));
    let renewed = TempDir::new().unwrap();
    Authority::new("renewed").issue(renewed.path(), "server", &this_machine());
    let [certificate, key] = ["server.pem", "server.key"].map(|name| fs::read(renewed.path().join(name)).unwrap());
    let before = body_of(&site.path("server.pem"));
    site.replace("server.pem", &certificate);
    // The key is still the old one's: what was good goes on.
    assert_eq!(site.served_certificate().await, before);
    assert_eq!(site.served_certificate().await, before);
    site.replace("server.key", &key);
    assert_eq!(site.served_certificate().await, body_of(&site.path("server.pem")));
    site.exporter.logged("has changed and is used").await;
    let log = site.exporter.stop().await.stderr;
    assert_eq!(
        log.matches("cannot use the changed web configuration").count(),
        1,
        "{log}"
    );
    assert!(log.contains("the private key does not match the certificate"), "{log}");
}

#[tokio::test]
async fn a_broken_change_keeps_the_last_good_configuration_and_is_told_once() {
    let users = |password: &str| format!("basic_auth_users:\n  alice: {}\n", hash(password));
    let site = Site::start(&users("old")).await;
    let check = async |user: &str, expected: bool| {
        let status = site.status("http", &["--user", user]).await;
        assert_eq!(status == "HTTP/1.1 200 OK", expected, "{user}");
    };
    check("alice:old", true).await;
    site.replace("web.yml", "basic_auth_user: {}\n");
    check("alice:old", true).await;
    check("nobody:old", false).await;
    site.replace("web.yml", users("new"));
    check("alice:old", false).await;
    check("alice:new", true).await;
    fs::remove_file(site.path("web.yml")).unwrap();
    check("alice:new", true).await;
    check("nobody:new", false).await;
    let log = site.exporter.stop().await.stderr;
    assert_eq!(
        log.matches("cannot use the changed web configuration").count(),
        2,
        "{log}"
    );
    assert!(log.contains("did you mean `basic_auth_users`?"), "{log}");
}

#[tokio::test]
async fn tls_is_never_switched_off_while_it_is_served() {
    let site = Site::start_tls("").await;
    site.replace("web.yml", "");
    assert_eq!(site.status("https", &[]).await, "HTTP/2 200");
    assert_eq!(site.status("http", &[]).await, "HTTP/1.1 400 Bad Request");
    let log = site.exporter.stop().await.stderr;
    assert!(log.contains("only by a restart"), "{log}");
}

#[tokio::test]
async fn a_limit_that_is_changed_forgets_what_came_under_the_one_before() {
    let limit = |burst| format!("rate_limit: {{interval: 1h, burst: {burst}}}\n");
    let site = Site::start(&limit(1)).await;
    let check = async |expected: &str| assert_eq!(site.status("http", &[]).await, expected);
    check("HTTP/1.1 200 OK").await;
    check("HTTP/1.1 429 Too Many Requests").await;
    site.replace("web.yml", limit(2));
    check("HTTP/1.1 200 OK").await;
    check("HTTP/1.1 200 OK").await;
    check("HTTP/1.1 429 Too Many Requests").await;
    // One that stays holds on.
    site.replace("web.yml", limit(2) + "http_server_config: {http2: false}\n");
    check("HTTP/1.1 429 Too Many Requests").await;
}

#[tokio::test]
async fn passwords_are_never_switched_off_while_it_is_served() {
    let site = Site::start(&format!("basic_auth_users:\n  alice: {}\n", hash("secret"))).await;
    for nobody in ["", "basic_auth_users: {}\n"] {
        site.replace("web.yml", nobody);
        assert_eq!(site.status("http", &[]).await, "HTTP/1.1 401 Unauthorized");
        assert_eq!(
            site.status("http", &["--user", "alice:secret"]).await,
            "HTTP/1.1 200 OK"
        );
    }
    let log = site.exporter.stop().await.stderr;
    assert_eq!(
        log.matches("`basic_auth_users` is lifted only by a restart").count(),
        2,
        "{log}"
    );
}

#[tokio::test]
async fn what_clients_must_prove_is_not_lifted_while_the_file_is_being_written() {
    let lines =
        "client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem\nclient_allowed_sans: [scraper.example]";
    let site = Site::start_tls(lines).await;
    let whole = fs::read_to_string(site.path("web.yml")).unwrap();
    let mut written = whole.as_str();
    for lifted in ["client_allowed_sans", "client_ca_file", "client_auth_type"] {
        let (kept, _) = written.split_once(lifted).unwrap();
        site.replace("web.yml", kept);
        assert!(!site.admits("").await, "without {lifted}");
        assert!(!site.admits("stranger").await, "without {lifted}");
        assert!(site.admits("client").await, "without {lifted}");
        written = kept;
    }
    let log = site.exporter.stop().await.stderr;
    assert_eq!(log.matches("is lifted only by a restart").count(), 3, "{log}");
}

#[tokio::test]
async fn certificates_are_verified_until_a_restart_says_otherwise() {
    let check = async |authority: &str| {
        let verified = format!("client_auth_type: RequireAndVerifyClientCert\n{authority}");
        let site = Site::start_tls(&verified).await;
        let whole = fs::read_to_string(site.path("web.yml")).unwrap();
        site.replace("web.yml", whole.replace("RequireAndVerify", "RequireAny"));
        assert!(!site.admits("stranger").await, "{authority}");
        let log = site.exporter.stop().await.stderr;
        assert!(log.contains("the verification of certificates"), "{log}");
    };
    check("client_ca_file: ca.pem").await;
    // The system's authorities are asked.
    check("").await;
}

#[tokio::test]
async fn slow_handshakes_hold_up_nobody_and_not_the_end_either() {
    let site = Site::start_tls("").await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut client = TcpStream::connect(site.address()).await.unwrap();
        client.write_all(b"\x16\x03\x01").await.unwrap();
        slow.push(client);
    }
    assert_eq!(site.status("https", &[]).await, "HTTP/2 200");
    assert_eq!(site.exporter.stop().await.code, Some(0));
}

#[tokio::test]
async fn more_connections_than_descriptors_are_survived_without_spinning() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let config = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    let serve = binary(&["serve"]);
    let mut command = program("sh");
    command
        .env_clear()
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"])
        .arg(serve.as_std().get_program())
        .args([
            "serve",
            "--web.listen-address",
            "127.0.0.1:0",
            "--config.file",
            config.path(),
            "--log.level",
            "debug",
        ]);
    let mut exporter = Exporter::spawn(command, Some(config)).await;
    let address = exporter.url.strip_prefix("http://").unwrap().to_owned();
    let started = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(TcpStream::connect(&address).await.unwrap());
    }
    let complaint = "cannot accept a connection";
    exporter.logged_times(4, complaint).await;
    // Three pauses lie between four complaints.
    let waited = started.elapsed();
    println!("4 complaints in {waited:?}");
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    let log = exporter.log();
    assert!(
        log.matches("still cannot accept").count() >= 2,
        "the operator is told once: {log}"
    );
    // One that was accepted is still answered.
    clients[0]
        .write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut status = [0; 15];
    clients[0].read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    drop(clients);
    let healthy = timeout(PATIENCE, exporter.get("/-/healthy")).await.unwrap();
    assert_eq!(healthy.status, 200);
}

#[tokio::test]
async fn no_session_outlives_the_certificate_that_it_began_with() {
    // A resumed session is not verified again, so that a client could go on for ever with a certificate that has expired.
    let site = Site::start_tls("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem").await;
    for version in ["-tls1_2", "-tls1_3"] {
        let connect = async |flags: &[&str]| {
            let mut client = program("openssl");
            client
                .current_dir(site.folder.path())
                .args([
                    "s_client",
                    "-connect",
                    site.address(),
                    version,
                    "-cert",
                    "client.pem",
                    "-key",
                    "client.key",
                ])
                .args(["-CAfile", "ca.pem", "-ign_eof"])
                .args(flags)
                .stdin(std::process::Stdio::piped());
            let mut client = client.stdout(std::process::Stdio::piped()).spawn().unwrap();
            let request = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            client.stdin.as_mut().unwrap().write_all(request).await.unwrap();
            let output = timeout(PATIENCE, client.wait_with_output()).await.unwrap().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let first = connect(&["-sess_out", "session"]).await;
        assert!(first.contains("200 OK"), "{first}");
        if site.path("session").exists() {
            let second = connect(&["-sess_in", "session"]).await;
            assert!(!second.contains("Reused"), "{version}: {second}");
        }
    }
}
