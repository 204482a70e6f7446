//! Answers a call the way the services behind the API's address do: first the proxy, then the gateway with its limits, then the API.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::body::{huge_journal, json_bytes};
use super::method::{Method, Route};
use super::site::{RETENTION_MINUTES, Site};
use super::wire;
use super::{Received, Simulator, account, malformed, publish};
use crate::clock::unix_seconds;
use crate::label::LabelValue;
use crate::web::{Body, full};

/// Answers one request, whatever it is.
pub(super) async fn answer(simulator: Simulator, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
        return wire::nginx_page(413, "Request Entity Too Large");
    };
    let received = Received {
        verb: head.method,
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body: body.to_bytes(),
    };
    match Route::of(head.uri.path()) {
        Route::Instance { id, method, token } => match id.and_then(|id| simulator.site(id).ok()) {
            Some(site) => {
                Call {
                    simulator: &simulator,
                    site,
                    method,
                    token,
                    received,
                }
                .answer()
                .await
            }
            // A wrong number is the proxy's business: it picks the host by it (api.md 1.4).
            None => wire::nginx_page(403, "Forbidden"),
        },
        Route::PartnerInstances { token } => {
            let answer = if received.verb == hyper::Method::GET {
                partner_instances(&simulator, token)
            } else {
                not_found(&received, simulator.now())
            };
            // A partner's calls are not in the table of limits (api.md 4), so that nobody counts them here.
            let per_second = Method::calls_per_second(None);
            wire::limited(answer, per_second.saturating_sub(1), per_second)
        }
        Route::Instances if received.verb == hyper::Method::GET => instances(&simulator),
        Route::InstanceBehaviour { id } if received.verb == hyper::Method::PUT => {
            match id.and_then(|id| simulator.site(id).ok()) {
                Some(site) => set_behaviour(site, simulator.now(), &received.body),
                None => text(404, "no such instance"),
            }
        }
        _ => wire::nginx_page(404, "Not Found"),
    }
}

/// A call of an instance's API.
struct Call<'a> {
    simulator: &'a Simulator,
    site: &'a Site,
    method: Option<Method>,
    token: Option<&'a str>,
    received: Received,
}

impl Call<'_> {
    async fn answer(self) -> Response<Body> {
        // Before the arrival is known, so that nobody can release what isn't held yet.
        let mut released = self.site.release.subscribe();
        let behaviour = self.site.receive(self.method, self.received.clone());
        let answer = async {
            match behaviour {
                Behaviour::Slow(time) => tokio::time::sleep(time).await,
                Behaviour::Hang => std::future::pending().await,
                // The instance lives as long as the simulator; there is no other way for the channel to close.
                Behaviour::Held => drop(released.changed().await),
                _ => return self.answer_at_once(behaviour),
            }
            self.answer_at_once(self.site.behaviour())
        };
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.simulator.stopped() => wire::no_answer(),
        }
    }

    fn answer_at_once(&self, behaviour: Behaviour) -> Response<Body> {
        if let Some(failure) = self.proxy_failure(behaviour) {
            return failure;
        }
        let per_second = Method::calls_per_second(self.method);
        if let Behaviour::RateLimited(retry_after) = behaviour {
            return wire::too_many_requests(per_second, retry_after);
        }
        let remaining = match self.simulator.limits() {
            Some(clock) => self.site.take_call(self.method, per_second, unix_seconds(clock.now())),
            None => per_second.checked_sub(1),
        };
        match remaining {
            Some(remaining) => wire::limited(self.answer_of_api(behaviour), remaining, per_second),
            None => wire::too_many_requests(per_second, None),
        }
    }

    fn answer_of_api(&self, behaviour: Behaviour) -> Response<Body> {
        if let Some(failure) = self.failure(behaviour) {
            return failure;
        }
        // A browser asks whether it may call, before it calls (api.md 3).
        if self.method.is_some() && self.received.verb == hyper::Method::OPTIONS {
            return wire::api_empty(204);
        }
        let Some(method) = self.method.filter(|method| method.verb() == self.received.verb) else {
            return not_found(&self.received, self.simulator.now());
        };
        if behaviour == Behaviour::Unauthorized || self.token != Some(&self.site.token) {
            return wire::api_empty(401);
        }
        self.refusal(method, behaviour)
            .or_else(|| self.odd_journal(method, behaviour))
            .unwrap_or_else(|| self.serve(method, behaviour))
    }

    /// What the proxy makes of a behaviour. It doesn't get as far as the limits.
    fn proxy_failure(&self, behaviour: Behaviour) -> Option<Response<Body>> {
        Some(match behaviour {
            Behaviour::BadGateway => wire::nginx_page(502, "Bad Gateway"),
            Behaviour::ServiceUnavailable => wire::nginx_page(503, "Service Temporarily Unavailable"),
            Behaviour::GatewayTimeout => wire::nginx_page(504, "Gateway Time-out"),
            Behaviour::Redirect => wire::redirect("/simulator/redirected"),
            Behaviour::Reset | Behaviour::Hang => wire::no_answer(),
            Behaviour::Garbage => wire::nginx_page(200, "Welcome"),
            Behaviour::Forbidden if self.method.is_some_and(Method::is_about_statuses) => {
                wire::nginx_page(403, "Forbidden")
            }
            _ => return None,
        })
    }

    /// What the API makes of a behaviour whatever is asked for.
    fn failure(&self, behaviour: Behaviour) -> Option<Response<Body>> {
        Some(match behaviour {
            Behaviour::NoContent => wire::api_empty(204),
            Behaviour::Truncated => wire::cut_off(br#"[{"type":"outgoing","idMessage":"3EB0"#),
            Behaviour::NotFound => not_found(&self.received, self.simulator.now()),
            Behaviour::BadRequest => self.error(400, "bad request data"),
            Behaviour::ServerError => self.error(500, "Internal server error"),
            _ => return None,
        })
    }

    /// What comes of the state of the account. State, settings and queue can be read without a linked phone.
    fn refusal(&self, method: Method, behaviour: Behaviour) -> Option<Response<Body>> {
        let needs_phone = method.is_about_statuses() || method == Method::GetContacts;
        Some(match behaviour {
            Behaviour::Starting if needs_phone => self.error(400, "instance in starting process try later"),
            Behaviour::NotAuthorized if needs_phone => self.error(400, "instance is starting or not authorized"),
            Behaviour::Expired => {
                let message = "Instance account is expired. Renew your instance from personal area";
                self.error(400, message)
            }
            Behaviour::Deleted => self.error(400, "Instance is deleted"),
            Behaviour::QuotaExceeded if needs_phone => wire::quota_exceeded(method.as_str()),
            _ => return None,
        })
    }

    /// A journal that isn't what was documented.
    fn odd_journal(&self, method: Method, behaviour: Behaviour) -> Option<Response<Body>> {
        if !method.is_journal() {
            return None;
        }
        let body = match behaviour {
            Behaviour::Empty => "[]".into(),
            Behaviour::Null => "null".into(),
            Behaviour::Object => r#"{"message":"try again later"}"#.into(),
            Behaviour::Unfinished => r#"[{"type":"outgoing","idMessage":"3EB0"#.into(),
            Behaviour::Malformed => malformed::journal(self.simulator.now()),
            Behaviour::Huge(length) => {
                let journal = huge_journal(length, self.simulator.now(), &self.site.owner());
                return Some(wire::api_stream(journal));
            }
            _ => return None,
        };
        Some(wire::api_answer(200, body.into_bytes()))
    }

    /// What a method answers where nothing is wrong.
    fn serve(&self, method: Method, behaviour: Behaviour) -> Response<Body> {
        let (site, now, owner) = (self.site, self.simulator.now(), self.site.owner());
        let body = match method {
            Method::GetOutgoingStatuses => site.verbatim().unwrap_or_else(|| self.outgoing(&owner)),
            Method::GetIncomingStatuses => {
                let statuses = site.incoming(now, self.minutes());
                json_bytes(
                    &statuses
                        .iter()
                        .map(|(status, sender)| status.incoming(sender, "A friend"))
                        .collect::<Vec<_>>(),
                )
            }
            Method::GetStatusStatistic => {
                let Some(id_message) = self.parameter("idMessage").filter(|id| !id.is_empty()) else {
                    return self.error(400, &publish::invalid("idMessage", "is required"));
                };
                let status = site.find(now, &id_message);
                json_bytes(&status.as_ref().map(account::statistic).unwrap_or_default())
            }
            Method::SendTextStatus | Method::SendMediaStatus | Method::SendVoiceStatus | Method::DeleteStatus => {
                return self.change(method, now);
            }
            Method::GetStateInstance => json_bytes(&json!({"stateInstance": behaviour.state().as_str()})),
            Method::GetSettings => json_bytes(&account::settings(&owner, behaviour)),
            Method::GetContacts => {
                let group = self.parameter("group").and_then(|group| group.parse().ok());
                let count = self.parameter("count").and_then(|count| count.parse().ok());
                json_bytes(&account::contacts(&owner, group, count.unwrap_or(usize::MAX)))
            }
            Method::GetMessagesCount => json_bytes(&json!({"count": site.queued(now)})),
        };
        wire::api_answer(200, body)
    }

    /// The journal of published statuses.
    fn outgoing(&self, owner: &str) -> Vec<u8> {
        let statuses = self.site.outgoing(self.simulator.now(), self.minutes());
        json_bytes(&statuses.iter().map(|status| status.outgoing(owner)).collect::<Vec<_>>())
    }

    /// Publishes a status, or takes one back.
    fn change(&self, method: Method, now: u64) -> Response<Body> {
        let order = match publish::order(method, &self.received.body) {
            Ok(order) => order,
            Err(message) => return self.error(400, &message),
        };
        match order {
            publish::Order::Publish(status) => {
                let id_message = self.site.publish(now, status);
                wire::api_answer(200, json_bytes(&json!({"idMessage": id_message})))
            }
            publish::Order::Delete(id_message) if self.site.delete(now, &id_message) => wire::api_empty(200),
            publish::Order::Delete(_) => self.error(400, "ID message notfound"),
        }
    }

    /// How far back a journal is wanted. What isn't a positive number counts as not given; that the API does so is inferred (api.md 1.1).
    fn minutes(&self) -> u64 {
        let minutes = self.parameter("minutes").and_then(|minutes| minutes.parse().ok());
        minutes
            .filter(|minutes| *minutes > 0)
            .unwrap_or(DAY_MINUTES)
            .min(RETENTION_MINUTES)
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.received.target.split_once('?')?;
        let mut parameters = url::form_urlencoded::parse(query.as_bytes());
        parameters.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    fn error(&self, code: u16, message: &str) -> Response<Body> {
        wire::api_error(code, &self.received.target, self.simulator.now(), message)
    }
}

/// What the API answers to a method that it doesn't have. The message leaves the query out.
fn not_found(received: &Received, now: u64) -> Response<Body> {
    let Received { verb, target, .. } = received;
    let (path, _) = target.split_once('?').unwrap_or((target, ""));
    wire::api_error(404, target, now, &format!("Cannot {verb} {path}"))
}

/// All instances of the partner. A wrong token is told in the body of a success (api.md 2.10).
fn partner_instances(simulator: &Simulator, token: &str) -> Response<Body> {
    let body = if token == simulator.partner_token() {
        let now = simulator.now();
        simulator.sites().map(|site| account::listed(site, now)).collect()
    } else {
        json!({"code": 401, "description": "Unauthorized"})
    };
    wire::api_answer(200, json_bytes(&body))
}

/// The simulator's own list of instances, without tokens: a dashboard may show it.
fn instances(simulator: &Simulator) -> Response<Body> {
    let listed = |site: &Site| {
        let (id, behaviour) = (site.id.to_string(), site.behaviour().to_string());
        json!({"id": id, "name": site.name, "behaviour": behaviour})
    };
    let instances: Value = simulator.sites().map(listed).collect();
    wire::nginx_answer(200, "application/json; charset=utf-8", full(json_bytes(&instances)))
}

/// Makes an instance behave as the body says.
fn set_behaviour(site: &Site, now: u64, body: &Bytes) -> Response<Body> {
    match String::from_utf8_lossy(body).trim().parse() {
        Ok(behaviour) => {
            site.set_behaviour(now, behaviour);
            text(200, &behaviour.to_string())
        }
        Err(error) => text(400, &error.to_string()),
    }
}

fn text(code: u16, line: &str) -> Response<Body> {
    wire::nginx_answer(code, "text/plain; charset=utf-8", full(format!("{line}\n")))
}

/// The longest request body that is read.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What a journal covers where nothing is asked for: a day (api.md 1.1).
const DAY_MINUTES: u64 = 1440;
