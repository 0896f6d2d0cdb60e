//! A job that ends while its page is open: the page says so, and goes on with the job that is started again.

use std::net::TcpListener;

use speed_layer_tests::kafka;

use super::{LIMIT, job_over, opened, records};

#[test]
fn a_job_that_is_gone_is_told_as_such_until_it_is_back() {
    let (job, running, address) = job_over("chromium-gone", &records());
    let mut page = opened(&address);
    let count = page.eval("document.querySelectorAll('#windows-table tbody tr').length").expect("a number");
    // Its end is SIGKILL.
    drop(running);
    page.until("!document.getElementById('away').hidden");
    assert!(page.text("#away").contains("not reachable since 20"), "{}", page.text("#away"));
    assert_eq!(page.text("#state"), "not reachable");
    assert_eq!(
        page.eval("document.querySelectorAll('#windows-table tbody tr').length").expect("a number"),
        count
    );
    kafka::shared().append("chromium-gone", &records()[..10]);
    let listen = address.replace("http://", "");
    // Nobody else has taken the port meanwhile, or this says so.
    drop(TcpListener::bind(&listen).expect("the port is free"));
    let mut again = job.start_with(&[("--http", &listen)]).expect("it starts");
    again.wait_for("started", LIMIT).expect("it starts");
    page.until("document.getElementById('away').hidden && document.getElementById('state').textContent === 'running'");
    page.until("document.getElementById('rate-more').textContent.startsWith('10 read')");
}
