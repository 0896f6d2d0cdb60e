//! The paths, and what each is answered with.

use super::answer::Answer;
use super::request::Request;
use super::server::Site;
use super::tables::parameter;
use super::{api, metrics, page, swap};

const METHODS: &str = "GET, HEAD";

type Route = (&'static str, fn(&Site, &Request) -> Answer);

/// The paths, each with what answers it, but for the page's files and those of a single aggregate.
const ROUTES: [Route; 8] = [
    ("/metrics", |site, _| Answer::metrics(metrics::text(&site.board))),
    ("/health", |site, _| api::health(&site.board)),
    ("/ready", |site, _| api::ready(&site.board)),
    ("/api/status", |site, _| Answer::json(200, &api::status(&site.board, site.door.has_token()))),
    ("/api/plugins", |site, _| Answer::json(200, &api::plugins(&site.board))),
    ("/api/swaps", |site, _| api::swaps(&site.board)),
    ("/api/commits", commits),
    ("/api/dead-letters", |site, request| site.tables.dead_letters(request)),
];
const OF_AGGREGATES: &str = "/api/aggregates/NAME/windows, /api/aggregates/NAME/groups";

/// Whether this asks for a swap, which takes a body and its time.
pub fn is_swap(request: &Request) -> bool {
    request.path == swap::PATH && request.method == "POST"
}

pub fn answer(request: &Request, site: &Site) -> Answer {
    if request.has_body() {
        return Answer::error(413, "no path but /api/swap takes a body, by POST; send none");
    }
    if request.path == swap::PATH {
        return Answer::only("POST");
    }
    let is_asked = METHODS.split(", ").any(|method| method == request.method);
    let answer = |of: &dyn Fn() -> Answer| if is_asked { of() } else { Answer::only(METHODS) };
    if let Some((_, of)) = ROUTES.iter().find(|(path, _)| *path == request.path) {
        return answer(&|| of(site, request));
    }
    if let Some(file) = page::file(&request.path) {
        return answer(&|| file.clone());
    }
    let of_aggregate = if is_asked { site.tables.of_aggregate(request) } else { None };
    of_aggregate.unwrap_or_else(|| {
        let known = ROUTES.map(|(path, _)| path).join(", ");
        let why =
            format!("there is nothing at this path; there are /, {known}, {OF_AGGREGATES}, {}", swap::PATH);
        Answer::error(404, &why)
    })
}

fn commits(site: &Site, request: &Request) -> Answer {
    match parameter(&request.query, "after").map(|after| after.parse()) {
        None => Answer::json(200, &api::commits(&site.board, 0)),
        Some(Ok(after)) => Answer::json(200, &api::commits(&site.board, after)),
        Some(Err(_)) => Answer::error(400, "`after` is the number of an epoch"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, RunFlags};

    fn site() -> Site {
        let flags = RunFlags {
            brokers: Some("b:1".into()),
            topic: Some("t".into()),
            parse: Some("p.wasm".into()),
            aggregate: Some("a.wasm".into()),
            output: Some("o/daily".into()),
            checkpoint: Some("c".into()),
            http: Some("127.0.0.1:0".into()),
            ..RunFlags::default()
        };
        let spec = config::load(flags).unwrap();
        Site::of(spec.http.as_ref().unwrap(), &spec, &super::super::Board::new(&spec, &Default::default()))
            .unwrap()
    }

    fn check(site: &Site, method: &str, target: &str, status: u16, says: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request =
            Request { method: method.into(), path: path.into(), query: query.into(), ..Request::default() };
        let answer = answer(&request, site);
        assert_eq!(answer.status, status, "{method} {target}");
        assert!(answer.body.contains(says), "{method} {target}: {}", answer.body);
    }

    #[test]
    fn each_path_is_answered_before_the_job_has_begun() {
        let site = site();
        check(&site, "GET", "/", 200, "<!doctype html>");
        check(&site, "GET", "/metrics", 200, "# TYPE speed_layer_ready gauge\nspeed_layer_ready 0\n");
        check(&site, "GET", "/health", 200, "\"status\":\"ok\"");
        check(&site, "GET", "/ready", 503, "\"error\":\"the job is starting");
        check(&site, "GET", "/api/status", 200, "\"state\":\"starting\"");
        for list in ["/api/plugins", "/api/swaps", "/api/commits", "/api/commits?after=7"] {
            check(&site, "GET", list, 200, "[]");
        }
        check(&site, "HEAD", "/ready", 503, "");
    }

    #[test]
    fn other_paths_and_methods_are_refused_as_json() {
        let site = site();
        for path in [
            "",
            "/metric",
            "/metrics/",
            "/api",
            "/../etc/passwd",
            "*",
            "/page/index.html",
            "/api/aggregates/daily/rows",
        ] {
            check(&site, "GET", path, 404, "{\"error\":\"there is nothing at this path");
        }
        for method in ["POST", "DELETE", "get", "PUT", "CONNECT"] {
            check(&site, method, "/metrics", 405, "{\"error\":\"this path knows GET, HEAD");
            check(&site, method, "/", 405, "{\"error\":\"this path knows GET, HEAD");
        }
        check(&site, "GET", "/api/swap", 405, "this path knows POST");
        check(&site, "GET", "/api/commits?after=x", 400, "the number of an epoch");
        check(&site, "GET", "/api/dead-letters?limit=0", 400, "from 1 to 200");
        check(&site, "GET", "/api/aggregates/hourly/windows", 404, "there are daily");
        check(&site, "GET", "/api/aggregates/daily/windows?key=x", 400, "a JSON object");
    }
}
