//! Runs one of a scenario's servers.

use crate::{
    Result,
    netbench::{
        Options, Outcome, interrupted, new_script,
        recorder::Recorder,
        scenario::Scenario,
        script,
        stacks::{self, Server},
        write_samples,
    },
    system,
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Answers connections until a signal arrives.
pub async fn serve(options: &Options, scenario: Arc<Scenario>) -> Result<()> {
    let id = options.number("server-id", 0)? as usize;
    let materials = scenario
        .servers
        .get(id)
        .ok_or_else(|| format!("--server-id {id} does not exist"))?;
    let settings = options.settings(&materials.chain, &materials.key)?;
    let ip: IpAddr = options.text("ip", "::").trim_matches(['[', ']']).parse()?;
    let socket = system::Socket::new(SocketAddr::new(ip, options.number("port", 4433)? as u16))?;
    let addr = socket.addr;
    let mut server = Server::new(&options.stack, socket, &settings)?;
    let recorder = options.recorder("server", &scenario)?;
    let verify = options.flags.contains_key("verify");
    tokio::spawn(write_samples(recorder.clone()));
    stacks::print_ready(addr);
    let mut end = std::pin::pin!(interrupted());
    loop {
        let accepted = tokio::select! {
            accepted = server.accept() => accepted.ok_or("the endpoint has ended")?,
            result = &mut end => {
                recorder.write(true);
                return result;
            }
        };
        let (scenario, recorder) = (scenario.clone(), recorder.clone());
        tokio::spawn(async move {
            match answer(accepted, &scenario, id, verify, recorder.clone()).await {
                Ok(()) => recorder.completed(),
                Err((class, err)) => recorder.failed(class, &err),
            }
        });
    }
}

/// Runs the server's script of one connection and waits for the client to close.
async fn answer(
    accepted: stacks::Accepted,
    scenario: &Scenario,
    server: usize,
    verify: bool,
    recorder: Arc<Recorder>,
) -> Outcome {
    let (mut connection, name) = accepted
        .complete()
        .await
        .map_err(|err| ("handshake", err))?;
    recorder.connected(None, None);
    let index = name
        .split('.')
        .next()
        .and_then(|label| label.parse().ok())
        .unwrap_or(u64::MAX);
    let Some(ops) = scenario.servers[server].connections.get(index as usize) else {
        connection.abort();
        return Err((
            "script",
            format!("the client asked for {name:?}, which is not a connection").into(),
        ));
    };
    let script = new_script(&connection, index, recorder, None, verify);
    let run = script::run(script.clone(), &mut connection, ops).await;
    if let Err(err) = run {
        connection.abort();
        return Err(("script", err));
    }
    match connection.accept().await {
        Ok(Some(_)) => Err((
            "script",
            "the client opened a stream without a script".into(),
        )),
        // What ends the connection after the script does not matter.
        _ => Ok(()),
    }
}
