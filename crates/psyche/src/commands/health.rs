//! `psyche health`: whether a running server answers, for containers, which have no other program to ask it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::config::Config;

/// A server that takes longer than this for a probe is not well.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Args, Debug)]
pub struct Arguments {
    /// Where the server is (default: the configured address)
    #[arg(long)]
    url: Option<String>,
    /// Ask whether requests should be sent there, not only whether it runs
    #[arg(long)]
    ready: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> Result<ExitCode> {
    let server = match arguments.url {
        Some(url) => url,
        None => configured(config)?,
    };
    let url = format!("{}/{}", server.trim_end_matches('/'), if arguments.ready { "ready" } else { "live" });
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .context("make the client that asks")?;
    match client.get(&url).send().await {
        Ok(answer) if answer.status().is_success() => {
            println!("{url} answers {}", answer.status());
            return Ok(ExitCode::SUCCESS);
        }
        Ok(answer) => {
            let status = answer.status();
            eprintln!("psyche: {url} answers {status} {}", answer.text().await.unwrap_or_default());
        }
        Err(error) => eprintln!("psyche: {url} does not answer: {:#}", anyhow::Error::from(error.without_url())),
    }
    Ok(ExitCode::FAILURE)
}

/// Where this configuration's server is reached from its own machine.
fn configured(config: &Config) -> Result<String> {
    // A certificate is seldom made out to the loopback address; the listener of the metrics speaks without one.
    let key = if config.text("tls_cert").is_some() { "metrics_addr" } else { "listen" };
    let Some(mut address) = config.address(key).filter(|address| address.port() != 0) else {
        bail!("`{key}` names no address that can be asked; give one with --url");
    };
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        });
    }
    Ok(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    /// Flags, and the address that follows or what the error says.
    type Case<'a> = (&'a [(&'a str, &'a str)], Result<&'a str, &'a str>);

    #[test]
    fn the_server_of_a_configuration_is_asked_where_it_can_be() {
        let tls = [("tls_cert", "a.pem"), ("tls_key", "b.pem")];
        let cases: [Case<'_>; 6] = [
            (&[], Ok("http://127.0.0.1:8080")),
            (&[("listen", "0.0.0.0:80")], Ok("http://127.0.0.1:80")),
            (&[("listen", "[::]:80")], Ok("http://[::1]:80")),
            (&[("listen", "10.1.2.3:80")], Ok("http://10.1.2.3:80")),
            (&[("listen", "127.0.0.1:0")], Err("--url")),
            (&[("metrics_addr", "0.0.0.0:9464"), tls[0], tls[1]], Ok("http://127.0.0.1:9464")),
        ];
        for (flags, expected) in cases {
            let flags = flags.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let found = configured(&Config::load(&Sources { flags, ..Sources::default() }).unwrap());
            match expected {
                Ok(url) => assert_eq!(found.unwrap(), url),
                Err(words) => assert!(found.unwrap_err().to_string().contains(words)),
            }
        }
    }
}
