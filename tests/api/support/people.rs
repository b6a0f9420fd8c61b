//! People: who they are, how they show it, and the organizations that they found.

use std::net::SocketAddr;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

use super::{Answer, Server};

/// A password that is strong enough.
pub const PASSWORD: &str = "a-rather-Long-passphrase-7";

/// The label of the keys that people of tests hold.
pub const KEY_LABEL: &str = "test";

/// A client that follows no redirects and sends requests as they are. Each server has one of its own: ports
/// are used again, and a kept connection would lead to a server that is gone.
pub fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
    config.allow_non_standard_methods(true).build().new_agent()
}

/// What somebody shows of themselves.
#[derive(Clone)]
pub enum Shows {
    Nothing,
    Session { id: String, csrf: String },
    Key(String),
}

/// Somebody who calls the API.
#[derive(Clone)]
pub struct Person {
    agent: Agent,
    pub address: SocketAddr,
    pub email: String,
    /// Empty until they have signed up.
    pub uuid: String,
    pub shows: Shows,
}

impl Person {
    /// Somebody with this address who has not signed up.
    pub fn unknown(server: &Server, email: String) -> Person {
        Person {
            agent: server.agent.clone(),
            address: server.address,
            email,
            uuid: String::new(),
            shows: Shows::Nothing,
        }
    }

    /// The same person, who calls another server.
    pub fn moved_to(&self, server: &Server) -> Person {
        Person { agent: server.agent.clone(), address: server.address, ..self.clone() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", &[])
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "", &[])
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &body)
    }

    pub fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, &body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, &body)
    }

    /// Any method with a JSON body.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let method = method.parse().expect("a method");
        self.send(method, path, body.to_string(), &[("content-type", "application/json")])
    }

    /// With a form.
    pub fn send_form(&self, method: Method, path: &str, form: &str) -> Answer {
        self.send(method, path, form, &[("content-type", "application/x-www-form-urlencoded")])
    }

    /// With any bytes and headers, beside what the person shows.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let what = format!("{method} {path}");
        let mut request = Request::builder().method(method).uri(self.url(path));
        match &self.shows {
            Shows::Nothing => {}
            Shows::Session { id, csrf } => {
                request = request
                    .header("cookie", format!("sessionid={id}; posthog_csrftoken={csrf}"))
                    .header("x-csrftoken", csrf);
            }
            Shows::Key(value) => request = request.header("authorization", format!("Bearer {value}")),
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body: Vec<u8> = body.into();
        let answer = if body.is_empty() {
            self.agent.run(request.body(()).expect("a request"))
        } else {
            self.agent.run(request.body(body).expect("a request"))
        };
        Answer::read(what, answer.unwrap_or_else(|cause| panic!("no answer: {cause}")))
    }

    /// The same person without anything to show.
    pub fn without(&self) -> Person {
        Person { shows: Shows::Nothing, ..self.clone() }
    }

    /// The same person with what an answer's cookies say.
    pub fn with_cookies_of(&self, answer: &Answer) -> Person {
        let shows =
            Shows::Session { id: answer.cookie("sessionid"), csrf: answer.cookie("posthog_csrftoken") };
        Person { shows, ..self.clone() }
    }

    /// The same person, logged in anew.
    pub fn logged_in(&self) -> Person {
        let answer = self.without().post("/api/login/", json!({"email": self.email, "password": PASSWORD}));
        answer.json(200);
        self.with_cookies_of(&answer)
    }

    /// The same person with a new key of these scopes. Needs their session.
    pub fn key(&self, scopes: &[&str]) -> Person {
        self.key_of(json!({"scopes": scopes}))
    }

    /// The same person with a new key as described.
    pub fn key_of(&self, mut body: Value) -> Person {
        body["label"] = json!(KEY_LABEL);
        let made = self.post("/api/personal_api_keys/", body).json(201);
        let value = made["value"].as_str().expect("the value of a new key").to_owned();
        Person { shows: Shows::Key(value), ..self.clone() }
    }

    /// The same person with this key.
    pub fn holding(&self, key: &str) -> Person {
        Person { shows: Shows::Key(key.to_owned()), ..self.clone() }
    }

    /// Goes through an invite of their address, by the token of its link.
    pub fn accept(&self, token: &str) -> Person {
        let path = format!("/api/signup/{token}/");
        if !self.uuid.is_empty() {
            self.post(&path, json!({})).json(201);
            return self.clone();
        }
        let answer = self.post(&path, json!({"first_name": "Sam", "password": PASSWORD}));
        let uuid = text(&answer.json(201)["uuid"]);
        Person { uuid, ..self.with_cookies_of(&answer) }
    }

    pub fn me(&self) -> Value {
        self.get("/api/users/@me/").json(200)
    }
}

/// An organization, by the session of its founder.
#[derive(Clone)]
pub struct Org {
    pub owner: Person,
    pub id: String,
    /// Its default project.
    pub project: u64,
}

impl Org {
    pub fn sign_up(_server: &Server, person: Person, name: &str) -> Org {
        let body = json!({"first_name": "Olive", "email": person.email, "password": PASSWORD, "organization_name": name});
        let answer = person.post("/api/signup/", body);
        let uuid = text(&answer.json(201)["uuid"]);
        let owner = Person { uuid, ..person.with_cookies_of(&answer) };
        let me = owner.me();
        let id = text(&me["organization"]["id"]);
        let project = me["team"]["id"].as_u64().expect("a default project");
        Org { owner, id, project }
    }

    /// A path below this organization.
    pub fn at(&self, tail: &str) -> String {
        format!("/api/organizations/{}/{tail}", self.id)
    }

    /// A path below its default project.
    pub fn project_at(&self, tail: &str) -> String {
        self.at(&format!("projects/{}/{tail}", self.project))
    }

    pub fn member(&self, server: &Server) -> Person {
        self.joined(server.somebody("member"), 1)
    }

    pub fn admin(&self, server: &Server) -> Person {
        self.joined(server.somebody("admin"), 8)
    }

    pub fn second_owner(&self, server: &Server) -> Person {
        self.joined(server.somebody("owner"), 15)
    }

    /// Somebody who joins through an invite at this level.
    pub fn joined(&self, person: Person, level: u8) -> Person {
        person.accept(&self.token(&person.email, level))
    }

    /// The id of a new invite.
    pub fn invite(&self, email: &str, level: u8) -> String {
        let made = self.owner.post(&self.at("invites/"), json!({"target_email": email, "level": level}));
        text(&made.json(201)["id"])
    }

    /// The token in the link of a new invite.
    pub fn token(&self, email: &str, level: u8) -> String {
        self.token_of(&self.invite(email, level))
    }

    /// The token in the link of this invite.
    pub fn token_of(&self, invite: &str) -> String {
        let link = text(&self.owner.get(&self.at(&format!("invites/{invite}/link/"))).json(200)["link"]);
        link.rsplit_once("/signup/").expect("a link to the sign-up").1.to_owned()
    }
}

/// A JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
