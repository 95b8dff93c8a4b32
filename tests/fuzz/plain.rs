//! The plainest reader of HTTP/1.1: it takes every line for what it looks like, as a hop would that checks nothing.

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    pub method: String,
    pub target: String,
    pub version: String,
    /// Names in lower case, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Where the request ends among the bytes; `None` if more of its body is to come.
    pub end: Option<usize>,
}

impl Plain {
    /// The values of a field.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_slice()).collect()
    }
}

/// The requests whose heads are whole.
pub fn requests(bytes: &[u8]) -> Vec<Plain> {
    let mut reader = Reader { bytes, at: 0 };
    let mut all = Vec::new();
    while let Some(request) = reader.request() {
        let is_last = request.end.is_none();
        all.push(request);
        if is_last {
            break;
        }
    }
    all
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    /// A line without its end, if it has come.
    fn line(&mut self) -> Option<&'b [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.windows(2).position(|two| two == b"\r\n")?;
        self.at += length + 2;
        rest.get(..length)
    }

    fn request(&mut self) -> Option<Plain> {
        let mut line = self.line()?;
        while line.is_empty() {
            line = self.line()?;
        }
        let mut words = line.split(|byte| *byte == b' ').map(text);
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let mut request = Plain { method, target, version, fields: Vec::new(), body: Vec::new(), end: None };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            request.fields.push((text(name).to_ascii_lowercase(), trimmed(&value[1..]).to_vec()));
        }
        let length = request.values("content-length").first().map(|length| text(length).parse());
        let whole = if request.values("transfer-encoding").is_empty() {
            let length = length.unwrap_or(Ok(0)).expect("the strict look took it");
            self.data(length, &mut request.body)
        } else {
            self.chunks(&mut request.body)
        };
        request.end = whole.map(|()| self.at);
        Some(request)
    }

    /// `None`: there is more to come.
    fn data(&mut self, length: u64, body: &mut Vec<u8>) -> Option<()> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let there = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        body.extend_from_slice(&rest[..there]);
        self.at += there;
        (there as u64 == length).then_some(())
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let line = text(self.line()?);
            let digits = line.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(digits, 16).expect("the strict look took it");
            if size == 0 {
                break;
            }
            self.data(size, body)?;
            self.line()?;
        }
        while !self.line()?.is_empty() {}
        Some(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Without the blanks around it (RFC 9110 section 5.5).
fn trimmed(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |at| at + 1);
    &value[start..end]
}
