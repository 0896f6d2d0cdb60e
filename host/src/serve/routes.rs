//! The paths, and what each is answered with.

use super::answer::Answer;
use super::board::Board;
use super::request::Request;
use super::{api, metrics};

const METHODS: &str = "GET, HEAD";

type Route = (&'static str, fn(&Board) -> Answer);

/// The paths, each with what answers it.
const ROUTES: [Route; 7] = [
    ("/metrics", |board| Answer::metrics(metrics::text(board))),
    ("/health", api::health),
    ("/ready", api::ready),
    ("/api/status", |board| Answer::json(200, &api::status(board))),
    ("/api/plugins", |board| Answer::json(200, &api::plugins(board))),
    ("/api/swaps", api::swaps),
    ("/api/commits", |board| Answer::json(200, &api::commits(board))),
];

pub fn answer(request: &Request, board: &Board) -> Answer {
    let Some((_, of)) = ROUTES.iter().find(|(path, _)| *path == request.path) else {
        let known = ROUTES.map(|(path, _)| path).join(", ");
        return Answer::error(404, &format!("there is nothing at this path; there are {known}"));
    };
    if METHODS.split(", ").any(|method| method == request.method) { of(board) } else { Answer::only(METHODS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, status: u16, says: &str) {
        let request = Request { method: method.into(), path: path.into() };
        let answer = answer(&request, &Board::default());
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.body.contains(says), "{method} {path}: {}", answer.body);
    }

    #[test]
    fn each_path_is_answered_before_the_job_has_begun() {
        check("GET", "/metrics", 200, "# TYPE speed_layer_ready gauge\nspeed_layer_ready 0\n");
        check("GET", "/health", 200, "\"status\":\"ok\"");
        check("GET", "/ready", 503, "\"error\":\"the job is starting");
        check("GET", "/api/status", 200, "\"state\":\"starting\"");
        for list in ["/api/plugins", "/api/swaps", "/api/commits"] {
            check("GET", list, 200, "[]");
        }
        check("HEAD", "/ready", 503, "");
    }

    #[test]
    fn other_paths_and_methods_are_refused_as_json() {
        for path in ["/", "", "/metric", "/metrics/", "/api", "/../etc/passwd", "*"] {
            check("GET", path, 404, "{\"error\":\"there is nothing at this path");
        }
        for method in ["POST", "DELETE", "get", "PUT", "CONNECT"] {
            check(method, "/metrics", 405, "{\"error\":\"this path knows GET, HEAD");
        }
    }
}
