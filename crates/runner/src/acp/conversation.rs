//! One prompt from the greeting to the end of the turn.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::schema::{
    AuthMethod, CancelNotification, ContentBlock, Implementation, InitializeRequest,
    NewSessionRequest, PromptRequest, RequestPermissionOutcome, RequestPermissionRequest,
    RequestPermissionResponse, SessionId, SessionNotification, StopReason, TextContent,
};
use agent_client_protocol::{
    Agent, Builder, Channel, Client, ConnectionTo, Error, Responder, UntypedMessage,
    on_receive_notification, on_receive_request,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::acp::error::{Cause, Step, told};
use crate::acp::permission::{Decision, decide};
use crate::acp::text::one_line;
use crate::acp::transcript::Transcript;
use crate::acp::wire::{MARK, carry};
use crate::acp::{AcpError, Answer, Permissions, Prompt};
use crate::pump::Piece;

/// The name the agent is told.
const NAME: &str = "countersign";
/// How long an agent may take to answer before the turn. A turn takes as long as it takes.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an agent that was asked to cancel may take to end its turn.
const GRACE: Duration = Duration::from_secs(3);
/// How much of the name of a way to sign in is repeated, in bytes.
const METHOD: usize = 256;

/// Gives `prompt` to the agent behind the two pipes, and listens until its turn ends.
///
/// What it says and does goes into `pieces` as it comes, on the stream of agents. The agent is
/// read only as fast as `pieces` takes it. When `stop` is cancelled, the agent is asked to cancel
/// and has three seconds to end its turn; the answer is what it said so far.
///
/// # Errors
/// Whatever keeps the turn from its end, and the step it happened at. The agent may still run then:
/// ending its process is the caller's job.
pub(crate) async fn converse(
    stdin: impl AsyncWrite + Send + Unpin + 'static,
    stdout: impl AsyncRead + Send + Unpin + 'static,
    prompt: Prompt<'_>,
    pieces: mpsc::Sender<Piece>,
    stop: &CancellationToken,
) -> Result<Answer, AcpError> {
    let transcript = Mutex::new(Transcript::new(pieces.clone()));
    let place = watch::Sender::new(Step::Initialize);
    let handled = Notify::new();
    let (ours, theirs) = Channel::duplex();
    let ended = tokio::select! {
        biased;
        ended = connect(theirs, &prompt, &transcript, &handled, &place, stop) => ended,
        cause = carry(stdin, stdout, ours, &handled) => Err(cause),
        () = pieces.closed() => Err(Cause::Unheard),
    };
    let reached = *place.borrow();
    let reason = match ended {
        Ok(reason) => reason,
        // However an agent ends that was asked to: that is what was asked for.
        Err(_) if reached == Step::Prompt && stop.is_cancelled() => StopReason::Cancelled,
        Err(cause) => {
            return Err(AcpError {
                step: reached,
                cause,
            });
        }
    };
    let output = transcript.into_inner().into_said();
    Ok(Answer {
        output,
        stop: reason,
    })
}

/// Talks through the channel until the turn ends, and handles what the agent says meanwhile.
async fn connect(
    channel: Channel,
    prompt: &Prompt<'_>,
    transcript: &Mutex<Transcript>,
    handled: &Notify,
    place: &watch::Sender<Step>,
    stop: &CancellationToken,
) -> Result<StopReason, Cause> {
    let (folder, permissions) = (prompt.folder, prompt.permissions);
    // Not `Client.v1()`: it reports another version of the protocol as if the agent had refused,
    // where `greet` names the two.
    Builder::new(Client)
        .name(NAME)
        .on_receive_notification(
            async |notification: SessionNotification, _agent| {
                transcript.lock().await.update(notification.update).await;
                Ok(())
            },
            on_receive_notification!(),
        )
        .on_receive_request(
            async |request: RequestPermissionRequest, responder, _agent| {
                let mut transcript = transcript.lock().await;
                permit(
                    request,
                    responder,
                    &mut transcript,
                    permissions,
                    folder,
                    stop,
                )
                .await
            },
            on_receive_request!(),
        )
        .on_receive_notification(
            // All other notifications end here too: the library would keep some of them for
            // handlers that never come.
            async |notification: UntypedMessage, _agent| {
                if notification.method() == MARK {
                    handled.notify_one();
                }
                Ok(())
            },
            on_receive_notification!(),
        )
        .connect_with(channel, async |agent| {
            Ok(talk(&agent, prompt, place, stop).await)
        })
        .await
        .unwrap_or_else(|error| Err(Cause::Connection(told(&error))))
}

/// Answers a request for permission and takes both down. The answer waits for the log, except
/// that a conversation that shall stop answers at once.
async fn permit(
    request: RequestPermissionRequest,
    responder: Responder<RequestPermissionResponse>,
    transcript: &mut Transcript,
    permissions: Permissions,
    folder: &Path,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let call = transcript.learn(&request.tool_call);
    let stopped = Decision::stopped(&call);
    let deciding = tokio::task::spawn_blocking({
        let folder = folder.to_owned();
        move || decide(permissions, &folder, &call, &request.options)
    });
    let taken_down = async {
        let decision = deciding.await.map_err(Error::into_internal_error)?;
        transcript.lines(&format!("{}\n", decision.line)).await;
        Ok::<_, Error>(decision.outcome)
    };
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        outcome = taken_down => Some(outcome?),
    };
    let is_stopped = outcome.is_none();
    let outcome = outcome.unwrap_or(RequestPermissionOutcome::Cancelled);
    responder.respond(RequestPermissionResponse::new(outcome))?;
    if is_stopped {
        transcript.lines(&format!("{}\n", stopped.line)).await;
    }
    Ok(())
}

/// Our side of the conversation.
async fn talk(
    agent: &ConnectionTo<Agent>,
    prompt: &Prompt<'_>,
    place: &watch::Sender<Step>,
    stop: &CancellationToken,
) -> Result<StopReason, Cause> {
    let methods = greet(agent, stop).await?;
    place.send_replace(Step::NewSession);
    let session = open(agent, prompt.folder, stop)
        .await
        .map_err(|cause| with_methods(cause, &methods))?;
    if stop.is_cancelled() {
        return Err(Cause::Stopped);
    }
    place.send_replace(Step::Prompt);
    ask(agent, session, prompt.text, stop)
        .await
        .map_err(|cause| with_methods(cause, &methods))
}

/// Greets the agent, and gives the ways to sign in that it offers.
async fn greet(
    agent: &ConnectionTo<Agent>,
    stop: &CancellationToken,
) -> Result<Vec<AuthMethod>, Cause> {
    // The capabilities are left as they are by default: none.
    let greeting = InitializeRequest::new(ProtocolVersion::V1)
        .client_info(Implementation::new(NAME, env!("CARGO_PKG_VERSION")));
    let answer = in_time(agent.send_request(greeting).block_task(), stop).await?;
    if answer.protocol_version != ProtocolVersion::V1 {
        return Err(Cause::Version {
            theirs: answer.protocol_version.as_u16(),
            ours: ProtocolVersion::V1.as_u16(),
        });
    }
    Ok(answer.auth_methods)
}

/// Opens a session in `folder`, without any servers of tools.
async fn open(
    agent: &ConnectionTo<Agent>,
    folder: &Path,
    stop: &CancellationToken,
) -> Result<SessionId, Cause> {
    let opening = agent.send_request(NewSessionRequest::new(folder));
    Ok(in_time(opening.block_task(), stop).await?.session_id)
}

/// Gives the prompt and waits for the end of the turn, which comes soon once `stop` is cancelled.
async fn ask(
    agent: &ConnectionTo<Agent>,
    session: SessionId,
    text: &str,
    stop: &CancellationToken,
) -> Result<StopReason, Cause> {
    let text = ContentBlock::Text(TextContent::new(text));
    let prompt = PromptRequest::new(session.clone(), vec![text]);
    let mut turn = pin!(agent.send_request(prompt).block_task());
    tokio::select! {
        biased;
        answer = &mut turn => return Ok(answer?.stop_reason),
        () = stop.cancelled() => {}
    }
    // One that cannot be told is not waited for any longer than one that does not listen.
    let _ = agent.send_notification(CancelNotification::new(session));
    match timeout(GRACE, turn).await {
        Ok(Ok(answer)) => Ok(answer.stop_reason),
        Ok(Err(_)) | Err(_) => Ok(StopReason::Cancelled),
    }
}

/// Waits for an answer before the turn.
async fn in_time<T>(
    answer: impl Future<Output = Result<T, Error>>,
    stop: &CancellationToken,
) -> Result<T, Cause> {
    tokio::select! {
        biased;
        answer = answer => Ok(answer?),
        () = stop.cancelled() => Err(Cause::Stopped),
        () = sleep(PATIENCE) => Err(Cause::Silent(PATIENCE)),
    }
}

/// Adds to a demand to sign in which ways the agent offers.
fn with_methods(cause: Cause, methods: &[AuthMethod]) -> Cause {
    match cause {
        Cause::SignIn(told) if !methods.is_empty() => {
            let names: Vec<_> = methods
                .iter()
                .map(|method| one_line(method.name(), METHOD))
                .collect();
            Cause::SignIn(format!("{told}; it offers: {}", names.join(", ")))
        }
        cause => cause,
    }
}
