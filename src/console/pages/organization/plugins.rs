//! Plugins of an organization: what is installed, from where, and what its code can do. Code is shown, never run.

use std::sync::Arc;

use maud::{Markup, Render, html};
use serde_json::Value;

use super::{BASE, HERE, LINES};
use crate::api::{Paging, Reply};
use crate::app::session;
use crate::console::form::{Control, Form};
use crate::console::frame::Here;
use crate::console::page::{Page, page};
use crate::console::parts::{
    Confirm, Danger, Shown, Tone, amount, code, code_block, counted, crumbs, danger_zone, details, empty,
    facts, head, link_to, name, notice, pager, section, table, tag, time,
};
use crate::console::visit::Visit;
use crate::console::words::Said;
use crate::error::{Result, denied, not_found};
use crate::ids::PluginId;
use crate::resources::plugins::{self, NEW, Plugin, Seen, commands};
use crate::resources::sessions;
use crate::store::{Tx, WriteTx};

pub(in crate::console) fn pages() -> Vec<Page> {
    let all = format!("{BASE}/plugins");
    let one = format!("{all}/{{id}}");
    vec![
        page(&all, session(), HERE, list),
        page(format!("{all}/install"), session(), HERE, ask_install).works(install),
        page(&one, session(), HERE, show),
        page(format!("{one}/remove"), session(), HERE, ask).does(remove),
    ]
}

fn list(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let rows = plugins::seen_in(tx, here.at)?;
    let (paging, total) = (Paging::by(visit, LINES), rows.len() as u64);
    let install = here.path("plugins/install");
    let action = plugins::may_install(tx, here.at)?.then_some((install.as_str(), "Install plugin"));
    visit.show(
        tx,
        "Plugins",
        &html! {
            (head("Plugins", counted(total, "plugin", "plugins"), action))
            @if total == 0 {
                (empty("No plugins yet",
                    "Plugins are kept with their versions and their code for the programs that run them. This server \
                     stores and shows them; it runs none.", action))
            } @else {
                (table("Plugins", &["Name", "Version", "Can do", "Changed", ""],
                    paging.cut(rows).iter().map(|seen| line(&here, seen))))
                (pager(&visit.address(), Shown { total, limit: paging.limit, offset: paging.offset }))
            }
        },
    )
}

fn title(seen: &Seen) -> &str {
    seen.plugin.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("Plugin without a name")
}

fn line(here: &Here, seen: &Seen) -> [Markup; 5] {
    let path = here.path(&format!("plugins/{}", seen.id));
    [
        html! {
            (name(title(seen), seen.plugin.url.as_deref().unwrap_or("Source that was sent")))
            @if seen.plugin.is_global { " " (tag(Tone::Plain, "For everybody")) }
        },
        html! { @match &seen.plugin.tag { Some(version) => (version), None => span.soft { "None" } } },
        abilities(&seen.plugin),
        time(seen.plugin.updated_at),
        link_to(path, "Open", title(seen)),
    ]
}

/// What the code defines: methods, scheduled tasks and jobs.
fn abilities(plugin: &Plugin) -> Markup {
    let capabilities = plugin.capabilities.value();
    let names: Vec<&str> = ["methods", "scheduled_tasks", "jobs"]
        .iter()
        .filter_map(|group| capabilities[*group].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    html! { @if names.is_empty() { span.soft { "Nothing on a server" } } @else { (code(names.join(", "))) } }
}

fn ask_install(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    plugins::seen_in(tx, here.at)?;
    if !plugins::may_install(tx, here.at)? {
        return Err(denied("Your organization's plugin access level is insufficient."));
    }
    let all = here.path("plugins");
    let form = Form::new(Some(visit.token()))
        .field(NEW, "url", |control: Control<'_>| {
            control.label("Address of a repository or a package").first().help(
                "Of GitHub, GitLab or npm, such as https://github.com/PostHog/posthog-hello-world-plugin. A private \
                 one: with ?private_token= and its token, which is stored sealed.",
            )
        })
        .refused(visit.refused())
        .button("Install plugin")
        .cancel(&all);
    let local = "file:my-plugin";
    visit.show(
        tx,
        "Install plugin",
        &html! {
            (crumbs(&[(&all, "Plugins")]))
            (form.summary())
            (head("Install plugin", "It is downloaded and stored. Its code is never run here.", None))
            (form.render())
            (details("Without a network", html! {
                p {
                    "An operator can put plugins into a directory of this machine, whose path is the setting "
                    (code("ORGD_PLUGIN_LOCAL_DIR")) ". The address of one there is " (code(local)) "."
                }
            }))
        },
    )
}

async fn install(visit: Arc<Visit>) -> Result<Reply> {
    let id = plugins::install(Arc::clone(&visit.app), visit.call()).await?;
    let path = visit.read(|visit, tx| Ok(visit.here(tx)?.path(&format!("plugins/{id}"))))?;
    Ok(visit.done(&path, Said::PluginInstalled))
}

/// The plugin of the path.
fn find(visit: &Visit, tx: &Tx, here: &Here) -> Result<Seen> {
    let id = visit.param("id").parse().map(PluginId).map_err(|_| not_found())?;
    plugins::seen(tx, here.at, id)
}

fn show(visit: &Visit, tx: &Tx) -> Result<Reply> {
    let here = visit.here(tx)?;
    let seen = find(visit, tx, &here)?;
    let plugin = &seen.plugin;
    let path = here.path(&format!("plugins/{}/remove", seen.id));
    let danger = Danger {
        title: "Remove this plugin",
        text: "With its code. It can be installed again from its address.",
        path: &path,
        deed: "Remove plugin",
    };
    let may_remove = seen.is_own && !plugin.is_global && plugins::may_install(tx, here.at)?;
    visit.show(
        tx,
        title(&seen),
        &html! {
            (crumbs(&[(&here.path("plugins"), "Plugins")]))
            (head(title(&seen), plugin.description.as_deref().unwrap_or_default(), None))
            @if !seen.is_own { (notice(Tone::Plain, html! { p { "Another organization keeps this plugin for everybody." } })) }
            (facts(about(plugin)))
            @if let Some(files) = plugins::source_of(tx, here.at, &seen)? { (section("Source", source(&files))) }
            @if may_remove { (danger_zone(&[danger])) }
        },
    )
}

fn about(plugin: &Plugin) -> Vec<(&'static str, Markup)> {
    let text = |text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => code(text),
        None => html! { span.soft { "None" } },
    };
    let mut all = vec![
        ("Address", text(&plugin.url)),
        ("Kind", text(&plugin.plugin_type)),
        ("Version", text(&plugin.tag)),
        ("Newest version", text(&plugin.latest_tag)),
        ("Can do", abilities(plugin)),
        ("Installed", time(plugin.created_at)),
        ("Changed", time(plugin.updated_at)),
    ];
    if let Some(archive) = &plugin.archive {
        all.push(("Downloaded bytes", amount(archive.bytes)));
        all.push(("SHA-256", code(crate::store::hex(&archive.sha256))));
    }
    all
}

/// The files, each to be opened; what is long is cut.
fn source(files: &std::collections::BTreeMap<String, String>) -> Markup {
    const CHARS_MAX: usize = 20_000;
    const FILES_MAX: usize = 20;
    html! {
        @if files.is_empty() { p.soft { "No source is stored." } }
        @for (number, (file, text)) in files.iter().take(FILES_MAX).enumerate() {
            @let shown: String = text.chars().take(CHARS_MAX).collect();
            (details(code(file), html! {
                (code_block(&format!("file-{number}"), file, &shown))
                @if shown.len() < text.len() { p.soft { "The rest is left out here." } }
            }))
        }
        @if files.len() > FILES_MAX { p.soft { (counted((files.len() - FILES_MAX) as u64, "more file", "more files")) "." } }
    }
}

fn ask(visit: &Visit, tx: &Tx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    let seen = find(visit, tx, &here)?;
    let question = format!("Remove {}?", title(&seen));
    let refused = Form::new(None).refused(visit.refused());
    let confirm = Confirm {
        question: &question,
        lost: vec![html! { "The plugin with its code and, of a private one, the token of its address." }],
        kept: vec![html! { "What stands at its address: it can be installed again." }],
        deed: "Remove plugin",
        cancel: &here.path(&format!("plugins/{}", seen.id)),
        token: visit.token(),
        ..Confirm::default()
    };
    visit.show(tx, &question, &html! { (refused.summary()) (confirm) })
}

fn remove(visit: &Visit, tx: &WriteTx) -> Result<Reply> {
    sessions::require_recent_login(visit)?;
    let here = visit.here(tx)?;
    let seen = find(visit, tx, &here)?;
    commands::remove(visit, tx, here.at, seen.id)?;
    Ok(visit.done(&here.path("plugins"), Said::PluginRemoved))
}
