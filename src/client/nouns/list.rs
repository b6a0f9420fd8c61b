//! The table itself, a noun after the other.

use super::columns::{Cell, Column};
use super::kinds::{DOMAIN, EXPORT, IN_ROLE, INVITE, KEY, MEMBER, ORGANIZATION, PROJECT, PROXY, ROLE};
use super::{Does, Kind, Noun, Part, Shows, Take, Verb};
use crate::api::Method;

const fn get(path: &'static str) -> Does {
    Does::Request(Method::Get, path)
}

const fn post(path: &'static str) -> Does {
    Does::Request(Method::Post, path)
}

const fn patch(path: &'static str) -> Does {
    Does::Request(Method::Patch, path)
}

const fn delete(path: &'static str) -> Does {
    Does::Request(Method::Delete, path)
}

const fn column(title: &'static str, at: &'static str) -> Column {
    Column::new(title, at, Cell::Text)
}

const fn time(title: &'static str, at: &'static str) -> Column {
    Column::new(title, at, Cell::Time)
}

const ID: Column = column("ID", "/id");
const NAME: Column = column("NAME", "/name");
const CREATED: Column = time("CREATED", "/created_at");

const LEVEL: Take =
    Take::new("level", Kind::Level, Part::Body("level"), "The level: member, admin or owner").flag();
const NEW_NAME: Take = Take::new("name", Kind::Text, Part::Body("name"), "The name");
const SEARCH: Take =
    Take::new("search", Kind::Text, Part::Query("search"), "Only those with this text in them").flag();

/// Every noun, in the order of the help.
pub static NOUNS: &[Noun] = &[
    Noun { name: "auth", about: "Stores the keys of servers, and says what they open.", verbs: AUTH },
    Noun { name: "org", about: "Organizations.", verbs: ORG },
    Noun { name: "project", about: "Projects of an organization.", verbs: PROJECTS },
    Noun { name: "member", about: "Members of an organization and their levels.", verbs: MEMBERS },
    Noun { name: "invite", about: "Invites to an organization.", verbs: INVITES },
    Noun { name: "role", about: "Roles, and who has them.", verbs: ROLES },
    Noun {
        name: "key",
        about: "Personal API keys: those of a user of a data file, with --data and --as.",
        verbs: KEYS,
    },
    Noun { name: "domain", about: "Domains of an organization.", verbs: DOMAINS },
    Noun { name: "proxy", about: "Reverse proxies of an organization.", verbs: PROXIES },
    Noun { name: "batch-export", about: "Batch exports of a project.", verbs: EXPORTS },
    Noun { name: "activity", about: "The audit log.", verbs: ACTIVITY },
    Noun { name: "access", about: "Who may do what in projects, and why.", verbs: ACCESS },
    Noun { name: "api", about: "Sends any request to the API, and prints the answer.", verbs: API },
];

const KEY_LINES: &[Column] = &[
    column("LABEL", "/label"),
    column("KEY", "/mask_value"),
    Column::new("SCOPES", "/scopes", Cell::Words),
    Column::new("ORGANIZATIONS", "/scoped_organizations", Cell::Words),
    Column::new("PROJECTS", "/scoped_teams", Cell::Words),
    time("LAST USED", "/last_used_at"),
    ID,
];

const AUTH: &[Verb] = &[
    Verb::new(
        "login",
        "Stores a server and its key as a profile, after the key was tried. The key is typed, or comes on standard input.",
        Does::Login,
        Shows::One(KEY_LINES),
        "orgd auth login --url https://orgd.example.com --key-stdin < key.txt",
    )
    .takes(&[
        Take::new("key-stdin", Kind::Switch, Part::Own, "Reads the key from standard input").flag(),
        Take::new("key-command", Kind::Text, Part::Own, "Stores this command, which prints the key, instead of the key").flag(),
    ]),
    Verb::new(
        "status",
        "Shows what the key opens.",
        get("/api/personal_api_keys/@current/"),
        Shows::One(KEY_LINES),
        "orgd auth status",
    ),
    Verb::new(
        "logout",
        "Forgets a profile and its key. On its server, the key opens what it has opened.",
        Does::Logout,
        Shows::Done("Forgotten."),
        "orgd auth logout",
    ),
];

const WHICH_ORG: Take =
    Take::new("ORG", Kind::Object(&ORGANIZATION), Part::Path("id"), "Its slug, name or id");
const ORG_OR_CURRENT: Take =
    Take { help: "Its slug, name or id; the current one unless it is given", ..WHICH_ORG }.or_current();
const ORG_LINES: &[Column] = &[
    NAME,
    column("SLUG", "/slug"),
    Column::new("YOUR LEVEL", "/membership_level", Cell::Level),
    column("MEMBERS", "/member_count"),
    Column::new("PROJECTS", "/projects", Cell::Count),
    ID,
];
const ONE_ORG: &str = "/api/organizations/{id}/";

const ORG: &[Verb] = &[
    Verb::new(
        "list",
        "Lists the organizations that the key reaches.",
        get("/api/organizations/"),
        Shows::List(ORG_LINES),
        "orgd org list",
    ),
    Verb::new("view", "Shows an organization.", get(ONE_ORG), Shows::One(ORG_LINES), "orgd org view")
        .takes(&[ORG_OR_CURRENT]),
    Verb::new(
        "create",
        "Makes an organization, which is yours.",
        post("/api/organizations/"),
        Shows::One(ORG_LINES),
        "orgd org create Globex",
    )
    .takes(&[Take { name: "NAME", ..NEW_NAME }])
    .takes_fields(),
    Verb::new(
        "edit",
        "Changes settings.",
        patch(ONE_ORG),
        Shows::One(ORG_LINES),
        "orgd org edit acme -F members_can_invite=false",
    )
    .takes(&[ORG_OR_CURRENT, NEW_NAME.flag()])
    .takes_fields(),
    Verb::new(
        "delete",
        "Deletes an organization.",
        delete(ONE_ORG),
        Shows::Done("Deleted"),
        "orgd org delete globex --yes",
    )
    .takes(&[WHICH_ORG])
    .asks("deletes the organization with its projects, events and everything else that it has"),
];

const WHICH_PROJECT: Take =
    Take::new("PROJECT", Kind::Object(&PROJECT), Part::Path("id"), "Its name or number");
const PROJECT_OR_CURRENT: Take =
    Take { help: "Its name or number; the current one unless it is given", ..WHICH_PROJECT }.or_current();
const PROJECT_LINES: &[Column] = &[
    ID,
    NAME,
    column("TOKEN", "/api_token"),
    column("TIMEZONE", "/timezone"),
    Column::new("PRIVATE", "/access_control", Cell::YesNo),
];
const ALL_PROJECTS: &str = "/api/organizations/{organization_id}/projects/";
const ONE_PROJECT: &str = "/api/organizations/{organization_id}/projects/{id}/";

const PROJECTS: &[Verb] = &[
    Verb::new(
        "list",
        "Lists the projects that you see.",
        get(ALL_PROJECTS),
        Shows::List(PROJECT_LINES),
        "orgd project list",
    )
    .takes(&[SEARCH]),
    Verb::new(
        "view",
        "Shows a project.",
        get(ONE_PROJECT),
        Shows::One(PROJECT_LINES),
        "orgd project view Website",
    )
    .takes(&[PROJECT_OR_CURRENT]),
    Verb::new(
        "create",
        "Makes a project.",
        post(ALL_PROJECTS),
        Shows::One(PROJECT_LINES),
        "orgd project create Shop --timezone Europe/Lisbon",
    )
    .takes(&[
        Take { name: "NAME", ..NEW_NAME },
        Take::new("timezone", Kind::Text, Part::Body("timezone"), "Its time zone").flag(),
    ])
    .takes_fields(),
    Verb::new(
        "edit",
        "Changes settings.",
        patch(ONE_PROJECT),
        Shows::One(PROJECT_LINES),
        "orgd project edit Website -F surveys_opt_in=true",
    )
    .takes(&[PROJECT_OR_CURRENT, NEW_NAME.flag()])
    .takes_fields(),
    Verb::new(
        "reset-token",
        "Gives a project a new token.",
        patch("/api/organizations/{organization_id}/projects/{id}/reset_token/"),
        Shows::One(PROJECT_LINES),
        "orgd project reset-token Website --yes",
    )
    .takes(&[WHICH_PROJECT])
    .asks("gives the project another token: apps that send with the old one are not heard any more"),
    Verb::new(
        "delete",
        "Deletes a project.",
        delete(ONE_PROJECT),
        Shows::Done("Deleted"),
        "orgd project delete Shop --yes",
    )
    .takes(&[WHICH_PROJECT])
    .asks("deletes the project with its events"),
];

const WHO: Take =
    Take::new("WHO", Kind::Object(&MEMBER), Part::Path("user__uuid"), "Their e-mail address or UUID");
const MEMBER_LINES: &[Column] = &[
    column("EMAIL", "/user/email"),
    Column::new("NAME", "/user", Cell::FullName),
    Column::new("LEVEL", "/level", Cell::Level),
    Column::new("2FA", "/is_2fa_enabled", Cell::YesNo),
    time("JOINED", "/joined_at"),
    column("ID", "/user/uuid"),
];
const ONE_MEMBER: &str = "/api/organizations/{organization_id}/members/{user__uuid}/";

const MEMBERS: &[Verb] = &[
    Verb::new(
        "list",
        "Lists the members.",
        get("/api/organizations/{organization_id}/members/"),
        Shows::List(MEMBER_LINES),
        "orgd member list --search grace",
    )
    .takes(&[SEARCH]),
    Verb::new(
        "edit",
        "Changes the level of a member.",
        patch(ONE_MEMBER),
        Shows::One(MEMBER_LINES),
        "orgd member edit grace@example.com --level admin",
    )
    .takes(&[WHO, LEVEL.required()]),
    Verb::new(
        "remove",
        "Removes a member, or yourself.",
        delete(ONE_MEMBER),
        Shows::Done("Removed"),
        "orgd member remove kay@example.com --yes",
    )
    .takes(&[WHO])
    .asks("ends the membership, with the roles and the access that it gave"),
];

const WHICH_INVITE: Take =
    Take::new("INVITE", Kind::Object(&INVITE), Part::Path("id"), "Its e-mail address or id");
const INVITE_LINES: &[Column] = &[
    column("EMAIL", "/target_email"),
    Column::new("LEVEL", "/level", Cell::Level),
    Column::new("EXPIRED", "/is_expired", Cell::YesNo),
    column("BY", "/created_by/email"),
    CREATED,
    ID,
];
const ALL_INVITES: &str = "/api/organizations/{organization_id}/invites/";

const INVITES: &[Verb] = &[
    Verb::new("list", "Lists open invites.", get(ALL_INVITES), Shows::List(INVITE_LINES), "orgd invite list"),
    Verb::new(
        "create",
        "Invites somebody; a mail is sent where the server sends mails.",
        post(ALL_INVITES),
        Shows::One(INVITE_LINES),
        "orgd invite create joan@example.com --level admin",
    )
    .takes(&[
        Take::new("EMAIL", Kind::Text, Part::Body("target_email"), "Their e-mail address"),
        LEVEL,
        Take::new("message", Kind::Text, Part::Body("message"), "A text of the mail").flag(),
    ])
    .takes_fields(),
    Verb::new(
        "link",
        "Shows the link of an invite: whoever has it can join.",
        get("/api/organizations/{organization_id}/invites/{id}/link/"),
        Shows::One(&[column("LINK", "/link")]),
        "orgd invite link joan@example.com",
    )
    .takes(&[WHICH_INVITE]),
    Verb::new(
        "delete",
        "Takes an invite back.",
        delete("/api/organizations/{organization_id}/invites/{id}/"),
        Shows::Done("Deleted"),
        "orgd invite delete joan@example.com --yes",
    )
    .takes(&[WHICH_INVITE])
    .asks("takes the invite back, so that its link opens nothing"),
];

const WHICH_ROLE: Take = Take::new("ROLE", Kind::Object(&ROLE), Part::Path("id"), "Its name or id");
const OF_ROLE: Take = Take { part: Part::Path("role_id"), ..WHICH_ROLE };
const ROLE_LINES: &[Column] = &[
    NAME,
    Column::new("MEMBERS", "/members", Cell::Count),
    Column::new("DEFAULT", "/is_default", Cell::YesNo),
    CREATED,
    ID,
];
const IN_ROLE_LINES: &[Column] = &[
    column("EMAIL", "/user/email"),
    Column::new("NAME", "/user", Cell::FullName),
    time("JOINED", "/joined_at"),
    ID,
];
const ALL_ROLES: &str = "/api/organizations/{organization_id}/roles/";
const ONE_ROLE: &str = "/api/organizations/{organization_id}/roles/{id}/";
const ALL_IN_ROLE: &str = "/api/organizations/{organization_id}/roles/{role_id}/role_memberships/";
const ONE_IN_ROLE: &str = "/api/organizations/{organization_id}/roles/{role_id}/role_memberships/{id}/";

const ROLES: &[Verb] = &[
    Verb::new("list", "Lists the roles.", get(ALL_ROLES), Shows::List(ROLE_LINES), "orgd role list"),
    Verb::new(
        "create",
        "Makes a role.",
        post(ALL_ROLES),
        Shows::One(ROLE_LINES),
        "orgd role create Engineers",
    )
    .takes(&[Take { name: "NAME", ..NEW_NAME }]),
    Verb::new("view", "Shows a role.", get(ONE_ROLE), Shows::One(ROLE_LINES), "orgd role view Engineers")
        .takes(&[WHICH_ROLE]),
    Verb::new(
        "add-member",
        "Puts a member into a role.",
        post(ALL_IN_ROLE),
        Shows::One(IN_ROLE_LINES),
        "orgd role add-member Engineers grace@example.com",
    )
    .takes(&[OF_ROLE, Take { part: Part::Body("user_uuid"), ..WHO }]),
    Verb::new(
        "list-members",
        "Lists who is in a role.",
        get(ALL_IN_ROLE),
        Shows::List(IN_ROLE_LINES),
        "orgd role list-members Engineers",
    )
    .takes(&[OF_ROLE]),
    Verb::new(
        "remove-member",
        "Takes a member out of a role.",
        delete(ONE_IN_ROLE),
        Shows::Done("Removed"),
        "orgd role remove-member Engineers grace@example.com",
    )
    .takes(&[OF_ROLE, Take { kind: Kind::Object(&IN_ROLE), part: Part::Path("id"), ..WHO }]),
    Verb::new(
        "delete",
        "Deletes a role.",
        delete(ONE_ROLE),
        Shows::Done("Deleted"),
        "orgd role delete Engineers --yes",
    )
    .takes(&[WHICH_ROLE])
    .asks("deletes the role with the access that it gave"),
];

const WHICH_KEY: Take = Take::new("KEY", Kind::Object(&KEY), Part::Path("id"), "Its label or id");
const NEW_KEY_LINES: &[Column] = &[
    column("VALUE", "/value"),
    column("LABEL", "/label"),
    Column::new("SCOPES", "/scopes", Cell::Words),
    ID,
];
const ALL_KEYS: &str = "/api/personal_api_keys/";

const KEYS: &[Verb] = &[
    Verb::new("list", "Lists the keys.", get(ALL_KEYS), Shows::List(KEY_LINES), "orgd key list"),
    Verb::new(
        "create",
        "Makes a key, whose value is shown this once.",
        post(ALL_KEYS),
        Shows::One(NEW_KEY_LINES),
        "orgd key create ci --scopes project:read,organization:read",
    )
    .takes(&[
        Take::new("LABEL", Kind::Text, Part::Body("label"), "What it is for"),
        Take::new(
            "scopes",
            Kind::Words,
            Part::Body("scopes"),
            "What it opens, with commas between; * for everything",
        )
        .flag()
        .required(),
    ])
    .takes_fields(),
    Verb::new(
        "rotate",
        "Gives a key a new value, which is shown this once.",
        post("/api/personal_api_keys/{id}/roll/"),
        Shows::One(NEW_KEY_LINES),
        "orgd key rotate ci --yes",
    )
    .takes(&[WHICH_KEY])
    .asks("gives the key a new value, and the old one opens nothing any more"),
    Verb::new(
        "delete",
        "Deletes a key.",
        delete("/api/personal_api_keys/{id}/"),
        Shows::Done("Deleted"),
        "orgd key delete ci --yes",
    )
    .takes(&[WHICH_KEY])
    .asks("deletes the key, which opens nothing any more"),
];

const WHICH_DOMAIN: Take = Take::new("DOMAIN", Kind::Object(&DOMAIN), Part::Path("id"), "Its name or id");
const NEW_DOMAIN: Take = Take::new("DOMAIN", Kind::Text, Part::Body("domain"), "The name");
const DOMAIN_LINES: &[Column] = &[
    column("DOMAIN", "/domain"),
    Column::new("VERIFIED", "/is_verified", Cell::YesNo),
    column("TXT RECORD", "/verification_challenge"),
    ID,
];
const ALL_DOMAINS: &str = "/api/organizations/{organization_id}/domains/";

const DOMAINS: &[Verb] = &[
    Verb::new("list", "Lists the domains.", get(ALL_DOMAINS), Shows::List(DOMAIN_LINES), "orgd domain list"),
    Verb::new(
        "create",
        "Claims a domain: its TXT record belongs to _posthog-challenge below it.",
        post(ALL_DOMAINS),
        Shows::One(DOMAIN_LINES),
        "orgd domain create example.org",
    )
    .takes(&[NEW_DOMAIN]),
    Verb::new(
        "verify",
        "Looks for the TXT record.",
        post("/api/organizations/{organization_id}/domains/{id}/verify/"),
        Shows::One(DOMAIN_LINES),
        "orgd domain verify example.org",
    )
    .takes(&[WHICH_DOMAIN]),
    Verb::new(
        "delete",
        "Removes a domain.",
        delete("/api/organizations/{organization_id}/domains/{id}/"),
        Shows::Done("Deleted"),
        "orgd domain delete example.org --yes",
    )
    .takes(&[WHICH_DOMAIN])
    .asks("removes the domain, which others can verify then"),
];

const WHICH_PROXY: Take = Take::new("PROXY", Kind::Object(&PROXY), Part::Path("id"), "Its domain or id");
const PROXY_LINES: &[Column] = &[
    column("DOMAIN", "/domain"),
    column("STATUS", "/status"),
    column("CNAME", "/target_cname"),
    column("MESSAGE", "/message"),
    ID,
];
const ALL_PROXIES: &str = "/api/organizations/{organization_id}/proxy_records/";

const PROXIES: &[Verb] = &[
    Verb::new("list", "Lists the proxies.", get(ALL_PROXIES), Shows::List(PROXY_LINES), "orgd proxy list"),
    Verb::new(
        "create",
        "Makes a proxy: let the CNAME of its domain lead to what is shown.",
        post(ALL_PROXIES),
        Shows::One(PROXY_LINES),
        "orgd proxy create e.example.org",
    )
    .takes(&[NEW_DOMAIN]),
    Verb::new(
        "retry",
        "Looks at the domain again.",
        post("/api/organizations/{organization_id}/proxy_records/{id}/retry/"),
        Shows::One(PROXY_LINES),
        "orgd proxy retry e.example.org",
    )
    .takes(&[WHICH_PROXY]),
    Verb::new(
        "delete",
        "Deletes a proxy.",
        delete("/api/organizations/{organization_id}/proxy_records/{id}/"),
        Shows::Done("Deleted"),
        "orgd proxy delete e.example.org --yes",
    )
    .takes(&[WHICH_PROXY])
    .asks("deletes the proxy"),
];

const WHICH_EXPORT: Take = Take::new("EXPORT", Kind::Object(&EXPORT), Part::Path("id"), "Its name or id");
const EXPORT_LINES: &[Column] = &[
    NAME,
    column("TO", "/destination/type"),
    column("EVERY", "/interval"),
    Column::new("PAUSED", "/paused", Cell::YesNo),
    column("LAST RUN", "/latest_runs/0/status"),
    ID,
];
const ALL_EXPORTS: &str = "/api/projects/{project_id}/batch_exports/";
const ONE_EXPORT: &str = "/api/projects/{project_id}/batch_exports/{id}/";

const EXPORTS: &[Verb] = &[
    Verb::new("create", "Makes a batch export of what --input says.", post(ALL_EXPORTS), Shows::One(EXPORT_LINES), "orgd batch-export create --project Website --input export.json")
        .takes_fields(),
    Verb::new("list", "Lists the batch exports.", get(ALL_EXPORTS), Shows::List(EXPORT_LINES), "orgd batch-export list --project Website"),
    Verb::new("view", "Shows a batch export.", get(ONE_EXPORT), Shows::One(EXPORT_LINES), "orgd batch-export view \"to a table\" --project Website").takes(&[WHICH_EXPORT]),
    Verb::new("pause", "Pauses a batch export.", post("/api/projects/{project_id}/batch_exports/{id}/pause/"), Shows::Done("Paused"), "orgd batch-export pause \"to a table\" --project Website")
        .takes(&[WHICH_EXPORT]),
    Verb::new("unpause", "Resumes a batch export, in your name.", post("/api/projects/{project_id}/batch_exports/{id}/unpause/"), Shows::Done("Resumed"), "orgd batch-export unpause \"to a table\" --project Website")
        .takes(&[WHICH_EXPORT]),
    Verb::new("backfill", "Exports a range of the past.", post("/api/projects/{project_id}/batch_exports/{id}/backfills/"), Shows::One(&[column("BACKFILL", "/backfill_id")]), "orgd batch-export backfill \"to a table\" --project Website --start 2024-01-01T00:00:00Z --end 2024-01-01T02:00:00Z")
        .takes(&[
            WHICH_EXPORT,
            Take::new("start", Kind::Since, Part::Body("start_at"), "Where it begins").flag().required(),
            Take::new("end", Kind::Since, Part::Body("end_at"), "Where it ends").flag().required(),
        ]),
    Verb::new("logs", "Shows what runs and backfills said, the newest first.", get("/api/projects/{project_id}/batch_exports/{id}/logs/"), Shows::List(&[time("TIME", "/timestamp"), column("LEVEL", "/level"), column("MESSAGE", "/message")]), "orgd batch-export logs \"to a table\" --project Website")
        .takes(&[WHICH_EXPORT, SEARCH]),
    Verb::new("delete", "Deletes a batch export.", delete(ONE_EXPORT), Shows::Done("Deleted"), "orgd batch-export delete \"to a table\" --project Website --yes")
        .takes(&[WHICH_EXPORT])
        .asks("deletes the batch export with its runs and logs"),
];

const ACTIVITY: &[Verb] = &[Verb::new(
    "list",
    "Lists who changed what, the newest first. For admins.",
    get("/api/organizations/{organization_id}/advanced_activity_logs/"),
    Shows::List(&[
        time("TIME", "/created_at"),
        column("WHO", "/user/email"),
        column("DID", "/activity"),
        column("WHAT", "/scope"),
        column("NAME", "/detail/name"),
        column("ID", "/item_id"),
    ]),
    "orgd activity list --since 2d",
)
.takes(&[
    Take::new("since", Kind::Since, Part::Query("start_date"), "Only from then on: a time, or 90m, 12h, 2d")
        .flag(),
    Take::new("scope", Kind::Text, Part::Query("scopes"), "Only this kind of things, such as Role").flag(),
])];

const ACCESS: &[Verb] = &[Verb::new(
    "explain",
    "Shows what somebody may do in a project, every rule about that, and which one decides.",
    get("/api/orgd/access/"),
    Shows::Sentence {
        text: "/text",
        list: "/rules",
        columns: &[
            column("RULE", "/rule"),
            column("LEVEL", "/access_level"),
            Column::new("DECIDES", "/decides", Cell::YesNo),
            column("WHY", "/text"),
        ],
    },
    "orgd access explain grace@example.com --project Website",
)
.takes(&[
    Take::new("WHO", Kind::Text, Part::Query("user"), "Their e-mail address or UUID, or @me"),
    Take::new("project", Kind::Object(&PROJECT), Part::Query("project"), "The project, by name or number")
        .flag()
        .required(),
])];

const API: &[Verb] = &[Verb::new(
    "",
    "Sends any request to the API, and prints the answer.",
    Does::Api,
    Shows::One(&[]),
    "orgd api GET /api/organizations/@current/",
)
.takes(&[
    Take::new("METHOD", Kind::Text, Part::Own, "GET, POST, PUT, PATCH or DELETE"),
    Take::new("PATH", Kind::Text, Part::Own, "The path, with its query"),
    Take::new("paginate", Kind::Switch, Part::Own, "Follows a list to its end, and prints one array").flag(),
])
.takes_fields()];
