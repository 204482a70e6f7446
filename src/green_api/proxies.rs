//! The proxies that the environment names.

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Which proxy a host is reached through, if any.
#[derive(Debug)]
pub struct Proxies(Matcher);

impl Proxies {
    /// Those that the `environment` names by the usual variables. One that is empty is as if it were not set.
    pub fn of(environment: impl Fn(&str) -> Option<String>) -> Self {
        let value = |names| set(names, &environment).map(|(_, value)| value).unwrap_or_default();
        let no = value(["NO_PROXY", "no_proxy"]);
        // The matcher would not see in it the hosts that are named by an address.
        if no.trim() == "*" {
            return Self(Matcher::builder().build());
        }
        let matcher = Matcher::builder().all(value(ALL)).https(value(HTTPS)).http(value(HTTP));
        Self(matcher.no(no).build())
    }

    /// The variables of the `environment` that name a proxy that can't be used. What has no scheme of a proxy is passed over; a SOCKS proxy
    /// makes every request fail to connect.
    pub fn unusable(environment: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
        let is_unusable = |proxy: &str| {
            let proxies = Self(Matcher::builder().all(proxy).build());
            let proxy = proxies.between(&Uri::from_static("https://api.green-api.com"));
            !proxy.is_some_and(|proxy| speaks_http(&proxy))
        };
        let set = [ALL, HTTPS, HTTP]
            .into_iter()
            .filter_map(|names| set(names, &environment));
        set.filter(|(_, proxy)| is_unusable(proxy))
            .map(|(name, _)| name)
            .collect()
    }

    /// The proxy between us and the host of `uri`; `None` where there is none.
    pub(super) fn between(&self, uri: &Uri) -> Option<Intercept> {
        self.0.intercept(uri)
    }
}

/// Whether we can speak to a proxy.
pub(super) fn speaks_http(proxy: &Intercept) -> bool {
    matches!(proxy.uri().scheme_str(), Some("http" | "https"))
}

/// The first of these variables that has a value.
fn set(names: [&'static str; 2], environment: impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    let value = |name| environment(name).filter(|value| !value.is_empty());
    names.into_iter().find_map(|name| Some((name, value(name)?)))
}

const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment of these variables.
    fn of(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        }
    }

    #[test]
    fn a_host_is_reached_through_the_proxy_of_its_scheme_or_of_all_unless_it_is_to_be_reached_directly() {
        let check = |variables: &[(&str, &str)], uri: &'static str, expected: Option<&str>| {
            let proxy = Proxies::of(of(variables)).between(&Uri::from_static(uri));
            let host = proxy.as_ref().and_then(|proxy| proxy.uri().host());
            assert_eq!(host, expected, "{uri} by {variables:?}");
        };
        let (https, http) = ("https://10.0.0.1", "http://10.0.0.1");
        check(&[], https, None);
        for name in ["HTTPS_PROXY", "https_proxy"] {
            check(&[(name, "http://a:1")], https, Some("a"));
            check(&[(name, "http://a:1")], http, None);
        }
        for name in ["HTTP_PROXY", "http_proxy"] {
            check(&[(name, "http://a:1")], http, Some("a"));
            check(&[(name, "http://a:1")], https, None);
        }
        for name in ["ALL_PROXY", "all_proxy"] {
            check(&[(name, "http://a:1")], https, Some("a"));
            check(&[(name, "http://a:1"), ("https_proxy", "http://b:1")], https, Some("b"));
        }
        check(&[("HTTPS_PROXY", ""), ("https_proxy", "http://b:1")], https, Some("b"));
        check(
            &[("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:1")],
            https,
            Some("a"),
        );
        for name in ["NO_PROXY", "no_proxy"] {
            let all = ("ALL_PROXY", "http://a:1");
            for direct in ["10.0.0.1", "10.0.0.0/8"] {
                check(&[all, (name, direct)], https, None);
                check(&[all, (name, direct)], "https://11.0.0.1", Some("a"));
            }
            check(&[all, (name, "green-api.com")], "https://api.green-api.com", None);
            check(&[all, (name, "*")], https, None);
        }
    }

    #[test]
    fn a_variable_that_names_a_proxy_that_cannot_be_used_is_told_unless_another_has_its_place() {
        let check = |variables: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(Proxies::unusable(of(variables)), expected, "{variables:?}");
        };
        for usable in ["", "proxy", "proxy:3128", "http://user:a@proxy:3128", "https://[::1]/"] {
            check(&[("HTTPS_PROXY", usable)], &[]);
        }
        for unusable in ["htps://proxy", "socks5h://proxy", "http://a proxy", "://proxy"] {
            for name in ["ALL_PROXY", "https_proxy", "HTTP_PROXY"] {
                check(&[(name, unusable)], &[name]);
            }
            check(&[("HTTPS_PROXY", "http://a:1"), ("https_proxy", unusable)], &[]);
            check(&[("HTTPS_PROXY", ""), ("https_proxy", unusable)], &["https_proxy"]);
        }
    }
}
