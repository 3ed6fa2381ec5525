//! A website of the test's own, on loopback.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use onsite::base::tasks::Tasks;
use tokio::net::TcpListener;

/// Serves the routes until dropped.
pub struct Site {
    pub address: SocketAddr,
    tasks: Tasks,
}

impl Site {
    pub async fn serve(routes: Router) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, tasks) = (listener.local_addr().unwrap(), Tasks::default());
        tasks.spawn("test-site", async move { axum::serve(listener, routes).await });
        Self { address, tasks }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

/// A page as authors write them.
pub fn page(title: &str, body: &str) -> axum::response::Html<String> {
    axum::response::Html(format!(
        "<!doctype html><html lang=en><head><title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    ))
}

/// Three pages about rivers: prose, a table, links.
pub async fn rivers() -> Site {
    use axum::routing::get;
    let index =
        page("Rivers", "<p>The Rhine is 1,233 km long and flows into the North Sea.</p><p><a href=/danube>Danube</a> <a href=/table>Table</a></p>");
    let danube = page("The Danube", "<p>The Danube is 2,850 km long and flows into the Black Sea. It passes through ten countries.</p>");
    let table = page(
        "Rivers of Europe",
        "<table><caption>Longest rivers</caption><tr><th>River</th><th>Length (km)</th><th>Mouth</th></tr>\
         <tr><td>Volga</td><td>3,530</td><td>Caspian Sea</td></tr><tr><td>Danube</td><td>2,850</td><td>Black Sea</td></tr></table>",
    );
    let routes = Router::new()
        .route("/", get(move || std::future::ready(index.clone())))
        .route("/danube", get(move || std::future::ready(danube.clone())))
        .route("/table", get(move || std::future::ready(table.clone())));
    Site::serve(routes).await
}
