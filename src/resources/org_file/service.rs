//! Planning and applying, as a whole: what takes its time comes first, then everything is one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::apply::{self, Prepared};
use super::compare::{self, May, Planned, Wanted};
use super::deeds::{Secret, secret_of};
use super::document::{Document, UserEntry};
use super::plan::{Options, Plan};
use crate::api::Ctx;
use crate::app::App;
use crate::auth::password;
use crate::error::{Error, Result, invalid_body};
use crate::resources::{places, plugins, users};
use crate::store::{Tx, WriteTx};

/// A file to be planned or applied, by whom, and how.
#[derive(Clone)]
pub struct Job {
    pub ctx: Ctx,
    pub document: Arc<Document>,
    pub options: Options,
    pub may: May,
    /// What the plan was made from that is carried out; `None` at the machine, where it may be what is stored now.
    pub base: Option<String>,
    /// Whether nobody gets a mail of it.
    pub is_silent: bool,
}

/// What people's passwords come to.
#[derive(Clone, Default)]
struct Passwords {
    /// Of those who have another one than the file says.
    others: HashSet<String>,
    hashes: HashMap<String, String>,
}

impl Job {
    fn wanted<'a>(&'a self, passwords: &'a Passwords) -> Wanted<'a> {
        Wanted {
            document: &self.document,
            options: &self.options,
            may: self.may,
            other_passwords: &passwords.others,
        }
    }

    fn plan(&self, tx: &Tx, passwords: &Passwords) -> Result<Planned> {
        places::still_calls(&self.ctx, tx)?;
        compare::plan(&self.ctx, tx, &self.wanted(passwords))
    }

    /// Refuses to carry out what is stale, blocked or too much.
    fn admit(&self, plan: &Plan) -> Result<()> {
        if self.base.as_ref().is_some_and(|base| *base != plan.base) {
            return Err(stale());
        }
        if !plan.blocked.is_empty() && !self.options.skip_blocked {
            let first = &plan.blocked[0];
            let (kind, name, reason) = (&first.kind, &first.name, &first.reason);
            let (count, rest) = (plan.blocked.len(), "nothing was done; `skip_blocked` does the rest");
            let detail = format!("{count} blocked, first {kind} {name}: {reason}; {rest}");
            return Err(invalid_body("blocked", detail));
        }
        let removals = plan.summary.remove;
        if removals > self.options.max_removals {
            let most = self.options.max_removals;
            let detail =
                format!("{removals} removals are more than `max_removals` allows, {most}; nothing was done");
            return Err(invalid_body("too_many_removals", detail));
        }
        Ok(())
    }
}

/// 409 where the state is another one than a plan was made from.
fn stale() -> Error {
    let detail = "What is stored has changed since the plan was made: plan again.";
    Error::Conflict { code: "stale_plan", detail: detail.into() }
}

/// Says what applying the file would do. Every command of it is tried, and taken back.
///
/// # Errors
/// What applying would be refused with.
pub async fn plan(app: &Arc<App>, job: Job) -> Result<Plan> {
    let passwords = passwords(app, &job, false).await?;
    let planned = app.store.read(|tx| job.plan(tx, &passwords))?;
    if planned.steps.is_empty() || planned.plan.changes.is_empty() {
        return Ok(planned.plan);
    }
    let tried = Arc::new(Mutex::new(None));
    let result = Arc::clone(&tried);
    let trial = app.store.write(move |tx| -> Result<()> {
        let planned = job.plan(tx, &passwords)?;
        let prepared = Prepared { is_trial: true, is_silent: true, ..Prepared::default() };
        apply::run(&job.ctx, tx, &planned, &prepared)?;
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(planned.plan);
        // What was tried is taken back.
        Err(invalid_body("tried", "This was a trial."))
    });
    let outcome = trial.await;
    match tried.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(plan) => Ok(plan),
        None => outcome.and(Ok(planned.plan)),
    }
}

/// Applies the file, whole or not at all, and says what was done.
///
/// # Errors
/// The first thing that cannot be done: nothing was, then.
pub async fn apply(app: &Arc<App>, job: Job) -> Result<Plan> {
    let passwords = passwords(app, &job, true).await?;
    let planned = app.store.read(|tx| job.plan(tx, &passwords))?;
    job.admit(&planned.plan)?;
    if planned.plan.changes.is_empty() {
        return Ok(planned.plan);
    }
    let mut fetched = HashMap::new();
    for url in apply::to_fetch(&planned) {
        let plugin = plugins::fetch(app, &job.ctx, &url).await?;
        fetched.insert(url, plugin);
    }
    let prepared = Prepared {
        hashes: passwords.hashes.clone(),
        plugins: fetched,
        is_trial: false,
        is_silent: job.is_silent,
    };
    let write = app.store.write(move |tx: &WriteTx| {
        let planned = job.plan(tx, &passwords)?;
        job.admit(&planned.plan)?;
        apply::run(&job.ctx, tx, &planned, &prepared)?;
        Ok(planned.plan)
    });
    write.await
}

/// Hashes passwords, and judges those of people who are there: outside of any transaction.
async fn passwords(app: &Arc<App>, job: &Job, hashes: bool) -> Result<Passwords> {
    let mut all = Passwords::default();
    if !job.may.make_people {
        return Ok(all);
    }
    for entry in &job.document.users {
        let Some(Secret::Known(text)) =
            entry.password.as_ref().map(|value| secret_of(value, job.may.say_all))
        else {
            continue;
        };
        let email = entry.email.to_lowercase();
        let stored = app.store.read(|tx| match apply::is_known(tx, &email)? {
            Some(id) => Ok(Some(users::find(tx, id)?.password_hash)),
            None => Ok(None),
        })?;
        let is_new = stored.is_none();
        if !is_new && !job.options.secrets {
            continue;
        }
        let proof = text.clone();
        let is_same = !is_new
            && app
                .run_cpu_bound(job.ctx.peer(), move || password::verify(&proof, stored.flatten().as_deref()))
                .await?;
        if is_same {
            continue;
        }
        if !is_new {
            all.others.insert(email.clone());
        }
        if hashes {
            let hash = hashed(app, job, entry, text).await?;
            all.hashes.insert(email, hash);
        }
    }
    Ok(all)
}

async fn hashed(app: &Arc<App>, job: &Job, entry: &UserEntry, text: String) -> Result<String> {
    if !job.may.say_all {
        let hash = users::new_hash(app, &job.ctx, text).await;
        return hash.map_err(|error| compare::about(&entry.path, error));
    }
    // In a seed it may be as weak as a test likes it.
    let (ids, cost) = (Arc::clone(&app.ids), app.config.hash_cost());
    app.run_cpu_bound(job.ctx.peer(), move || password::hash(&ids, cost, &text)).await?
}
