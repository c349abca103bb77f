//! Pages: the web app or a page that says it is missing, the viewers, and what protects them.

use crate::support::TestApp;

#[tokio::test]
async fn unknown_pages_are_the_apps_and_unknown_calls_are_errors() {
    let app = TestApp::start().await;
    for path in ["//", "//sessions/of/the/app"] {
        let page = app.get(path, None).await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.header("content-type").starts_with("text/html"));
        assert_eq!(page.header("cache-control"), "no-cache");
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';")
                && !policy.contains("unsafe")
        );
        assert_eq!(page.header("x-frame-options"), "DENY");
    }
    for path in ["//api/v2/x", "//api", "//ws", "//assets/missing.js"] {
        let missing = app.get(path, None).await;
        assert_eq!(missing.status, 404, "{path}");
        assert_eq!(missing.json()["error"]["kind"], "not_found");
    }
    assert_eq!(
        app.post("//anything", None, serde_json::json!({})).await.expect(405)["error"]["kind"],
        "method_not_allowed"
    );
}

#[tokio::test]
async fn both_viewers_come_from_here_and_without_inline_scripts() {
    let app = TestApp::start().await;
    for (page, script) in [("docs", "swagger-ui-bundle.js"), ("redoc", "redoc.standalone.js")] {
        let html = app.get(&format!("//api/{page}"), None).await;
        assert_eq!(html.status, 200);
        assert!(html.text.contains(&format!("<script src=\"/api/viewers/{script}\">")));
        let scripts = html.text.matches("<script").count();
        assert_eq!(html.text.matches("<script src=\"/api/viewers/").count(), scripts, "inline script");
        assert!(html.header("content-security-policy").contains("script-src 'self';"));
        for asset in html.text.split('"').filter(|part| part.starts_with("/api/viewers/")) {
            let url = format!("{}{asset}", app.base);
            let reply = app.http.get(url).header("Accept-Encoding", "gzip").send().await.unwrap();
            assert_eq!(reply.status(), 200, "{asset}");
            let packed = reply.headers().contains_key("content-encoding");
            assert_eq!(packed, !asset.ends_with("-init.js"), "{asset}");
            assert!(reply.bytes().await.unwrap().len() > 50);
        }
    }
    assert_eq!(app.get("//api/viewers/..%2Fsrc%2Flib.rs", None).await.status, 404);
    let document = app.get("//api/openapi.json", None).await.expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}
