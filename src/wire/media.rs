//! Images and documents of a request, and the data URLs (RFC 2397) in which OpenAI's dialects carry them.

use bytes::{BufMut, BytesMut};

use crate::wire::json::{Object, Text};

#[derive(Clone, Debug)]
pub enum Image<'a> {
    /// Base64. Ollama does not say of which media type.
    Data {
        media_type: Option<String>,
        base64: Text<'a>,
    },
    Url(Text<'a>),
}

/// A file, most likely a PDF.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    pub name: Option<Text<'a>>,
    pub source: DocumentSource<'a>,
}

/// Where a document is.
#[derive(Clone, Debug)]
pub enum DocumentSource<'a> {
    Data { media_type: String, base64: Text<'a> },
    Url(Text<'a>),
}

impl<'a> Image<'a> {
    /// A data URL gives its base64, any other URL stays one.
    pub(super) fn of_url(url: Text<'a>) -> Self {
        match data_of(url) {
            Some((media_type, base64)) => Self::Data { media_type, base64 },
            None => Self::Url(url),
        }
    }

    /// The media type, told by the first bytes (in base64) where nobody said it.
    pub(super) fn media_type(&self) -> &str {
        const KNOWN: [(&str, &str); 4] = [
            ("iVBOR", "image/png"),
            ("/9j/", "image/jpeg"),
            ("R0lGOD", "image/gif"),
            ("UklGR", "image/webp"),
        ];
        match self {
            Self::Data { media_type: Some(media_type), .. } => media_type,
            Self::Data { media_type: None, base64: Text::Escaped(data) | Text::Plain(data) } => {
                KNOWN.iter().find(|(start, _)| data.starts_with(start)).map_or("image/jpeg", |(_, name)| name)
            }
            Self::Url(_) => "image/jpeg",
        }
    }

    /// Writes the image as a URL, quotes included.
    pub(super) fn write_url(&self, out: &mut BytesMut) {
        match self {
            Self::Url(url) => url.write_quoted(out),
            Self::Data { base64, .. } => write_data_url(self.media_type(), *base64, out),
        }
    }
}

impl<'a> Document<'a> {
    /// A data URL gives its data, one of the web stays what it is; `None` for anything else.
    pub(super) fn of_url(url: Text<'a>, name: Option<Text<'a>>) -> Option<Self> {
        let source = match data_of(url) {
            Some((media_type, base64)) => {
                let media_type = media_type.unwrap_or_else(|| "application/pdf".into());
                DocumentSource::Data { media_type, base64 }
            }
            None if is_of_the_web(url) => DocumentSource::Url(url),
            None => return None,
        };
        Some(Self { name, source })
    }

    /// Writes the members of a file in OpenAI's dialects. Only Responses can name a URL, and then takes no name beside it.
    pub(super) fn write_members(&self, object: &mut Object<'_>) {
        match &self.source {
            DocumentSource::Data { media_type, base64 } => {
                object.text("filename", self.name.unwrap_or(Text::Plain("document")));
                write_data_url(media_type, *base64, object.key("file_data"));
            }
            DocumentSource::Url(url) => {
                object.text("file_url", *url);
            }
        }
    }
}

/// The picture as a URL that holds it, still escaped.
pub(super) fn data_url(image: &Image<'_>) -> String {
    let mut url = BytesMut::new();
    image.write_url(&mut url);
    String::from_utf8_lossy(&url).trim_matches('"').to_owned()
}

fn is_of_the_web(url: Text<'_>) -> bool {
    let url = url.plain();
    ["https://", "http://"].iter().any(|scheme| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && url.len() > scheme.len()
    })
}

/// The media type without its parameters, if there is one, and the data.
fn data_of(url: Text<'_>) -> Option<(Option<String>, Text<'_>)> {
    let (Text::Escaped(text) | Text::Plain(text)) = url;
    let (head, base64) = text.strip_prefix("data:")?.split_once(";base64,")?;
    // JSON may write `/` as `\/`
    let named = head.split(';').next().unwrap_or_default().replace('\\', "").trim().to_ascii_lowercase();
    let media_type = match named.as_str() {
        "" => None,
        "image/jpg" => Some("image/jpeg".into()), // no such type is registered, but many write it
        _ => Some(named),
    };
    Some((media_type, Text::Escaped(base64)))
}

fn write_data_url(media_type: &str, base64: Text<'_>, out: &mut BytesMut) {
    out.put_slice(b"\"data:");
    Text::Plain(media_type).write(out);
    out.put_slice(b";base64,");
    base64.write(out);
    out.put_u8(b'"');
}
