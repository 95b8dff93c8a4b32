//! One HTTP/1.1 request as bytes: what a test says is what goes out, nothing is added but `Host` and a length.

use serde_json::Value;

pub(crate) struct Request {
    method: &'static str,
    path: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), version: "HTTP/1.1", headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &str, body: &Value) -> Self {
        Self::raw(path, body.to_string().as_bytes())
    }

    /// A POST whose body is exactly these bytes.
    pub(crate) fn raw(path: &str, body: &[u8]) -> Self {
        let mut request = Self::new("POST", path).header("content-type", "application/json");
        request.body = body.to_vec();
        request.header("content-length", &body.len().to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more line, whatever is there already.
    pub(crate) fn line(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this JSON as its body.
    pub(crate) fn body(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        let length = self.body.len().to_string();
        self.header("content-type", "application/json").header("content-length", &length)
    }

    pub(crate) fn http_1_0(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// Will the answer have no body, whatever its headers say?
    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub(crate) fn to_bytes(&self, host: &str) -> Vec<u8> {
        let named = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = if named { String::new() } else { format!("host: {host}\r\n") };
        let headers: String =
            self.headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
        let mut bytes =
            format!("{} {} {}\r\n{host}{headers}\r\n", self.method, self.path, self.version).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
