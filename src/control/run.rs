//! Carries requests out, in the server and on a file that no server holds alike.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::{Failure, Out, Request};
use crate::admin;
use crate::app::App;
use crate::backup::RowStream;
use crate::error::Error;
use crate::resources::org_file::export::Wish;
use crate::resources::{integrity, secrets};
use crate::store::damaged;
use crate::yielding_thread;

/// Does what the request says, and hands over what comes of it.
///
/// # Errors
/// Why it was not done, for the operator.
pub async fn run(app: &Arc<App>, request: Request, out: &Out) -> Result<(), Failure> {
    match request {
        Request::ListUsers => {
            walked(app, out, |app, out| admin::each_user(app, |user| out.blocking_line(&user).is_ok())).await
        }
        Request::ListOrganizations => {
            walked(app, out, |app, out| {
                admin::each_organization(app, |organization| out.blocking_line(&organization).is_ok())
            })
            .await
        }
        Request::ResetPassword { email, password } => {
            let password_was_given = password.is_some();
            let password = password.unwrap_or_else(|| admin::random_password(&app.ids));
            admin::reset_password(app, email, password.clone()).await?;
            if !password_was_given {
                out.line(&json!({"password": password})).await?;
            }
            Ok(())
        }
        Request::ResetLink { email } => {
            Ok(out.line(&json!({"link": admin::reset_link(app, email).await?})).await?)
        }
        Request::RemoveTwoFactor { email } => Ok(admin::remove_two_factor(app, email).await?),
        Request::EndSessions { email } => Ok(admin::end_sessions(app, email).await?),
        Request::FreeDomain { domain } => each(out, admin::free_domain(app, domain).await?).await,
        Request::FreeAddress { email, account } => {
            each(out, admin::free_address(app, email, account).await?).await
        }
        Request::DeleteUser { email, with_organizations } => {
            Ok(out.line(&admin::delete_user(app, email, with_organizations).await?).await?)
        }
        Request::MakeOwner { email, organization } => Ok(admin::make_owner(app, email, organization).await?),
        Request::SetOperator { email, is_operator } => {
            Ok(admin::set_operator(app, email, is_operator).await?)
        }
        Request::SetActive { email, is_active } => Ok(admin::set_active(app, email, is_active).await?),
        // Only a server has connections.
        Request::Status => Ok(out.line(&admin::overview::status(app, app.traffic.get().is_some())?).await?),
        Request::Support => Ok(out.line(&admin::support::report(app, app.traffic.get().is_some())?).await?),
        Request::ApplyFile { file, options, base, dry_run } => {
            Ok(out.line(&admin::apply_file(app, &file, options, base, dry_run).await?).await?)
        }
        Request::ExportFile { organizations, without_ids } => {
            let wish = Wish { organizations, without_ids };
            Ok(out.line(&json!({"file": admin::export_file(app, &wish)?})).await?)
        }
        Request::Api(call) => Ok(out.line(&call.answer(app).await?).await?),
        Request::Check => check(app, out).await,
        Request::Rows => rows(app, out).await,
    }
}

async fn each(out: &Out, lines: impl IntoIterator<Item = impl Serialize>) -> Result<(), Failure> {
    for line in lines {
        out.line(&line).await?;
    }
    Ok(())
}

/// Reads on a thread that may wait, for a reader that takes its time.
async fn walked(
    app: &Arc<App>,
    out: &Out,
    walk: impl FnOnce(&App, &Out) -> Result<(), Error> + Send + 'static,
) -> Result<(), Failure> {
    let (app, out) = (Arc::clone(app), out.clone());
    let walk = tokio::task::spawn_blocking(move || walk(&app, &out));
    let ended = |cause| Error::internal(format!("the reading ended: {cause}"));
    Ok(walk.await.unwrap_or_else(|cause| Err(ended(cause)))?)
}

/// Walks one snapshot, on a thread that may wait.
async fn check(app: &Arc<App>, out: &Out) -> Result<(), Failure> {
    let walked = Arc::clone(app);
    let walk = yielding_thread::run("check", move || {
        let mut problems = integrity::check(&walked.store)?;
        walked.store.read(|tx| secrets::check(tx, &walked.vault, &mut problems))?;
        let contents = walked.store.pin(walked.clock.now())?.contents()?;
        Ok((contents, problems))
    });
    let outcome =
        walk.await.unwrap_or_else(|cause| Err(Error::internal(format!("the check ended: {cause}"))));
    let shown = app.config.data.display().to_string();
    let (contents, problems) = outcome.map_err(|cause| damaged(&shown, &cause.to_string()))?;
    out.line(&json!({"digest": contents.digest, "rows": contents.rows})).await?;
    if let Some(doubt) = app.store.doubt() {
        out.line(&json!({"doubt": doubt})).await?;
    }
    for problem in &problems {
        out.line(&json!({"problem": problem})).await?;
    }
    out.line(&json!({"problems": problems.len()})).await?;
    if problems.is_empty() { Ok(()) } else { Err(format!("{} problems were found", problems.len()).into()) }
}

/// Streams one state. Where the file fails meanwhile, nobody may hold an old state any longer.
async fn rows(app: &Arc<App>, out: &Out) -> Result<(), Failure> {
    const LOOK: Duration = Duration::from_secs(1);
    let pinned = app.store.pin(app.clock.now()).map_err(|cause| cause.to_string())?;
    let mut rows = RowStream::new(pinned)?;
    while let Some(piece) = rows.next().await? {
        let mut sending = pin!(out.bytes(piece));
        loop {
            tokio::select! {
                sent = &mut sending => break sent?,
                () = tokio::time::sleep(LOOK) => {}
            }
            if !app.store.healthy() {
                return Err("the data file failed while it was copied".into());
            }
        }
    }
    Ok(())
}
